"""Draining: what the emergency queue holds comes into the table once, whatever fails, comes between or is forged.

Enumerated: the calls of a run without faults are counted; then each fails in every way, and others act before each.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.broker import emergency, ending, lending, revoking, sweeping
from chalicelib.broker.draining import SETTLES, WITHIN, Drained, Outcome, drain
from chalicelib.broker.ports import Stale, World
from chalicelib.core.catalogue import Quotas
from chalicelib.core.refusals import NotFound, QuotaUsed, ReviewOverdue, StsRefused, TooManyOpen, Unavailable
from chalicelib.core.request import SessionStatus, Verdict
from tests.broker.test_faults import Crash, Fault, Wire
from tests.broker.test_outage import FIRE, KEY, broken, burning
from tests.builders import HOUR, SECOND, a_submission
from tests.fakes import Effect, FakeQueue
from tests.people import ALICE, CAROL, DAVE
from tests.stage import Stage, an_ask

BEGUN = ["request.submitted", "break_glass.opened", "session.issuing"]
ISSUED, FAILED = [*BEGUN, "session.issued"], [*BEGUN, "session.failed"]


def lent() -> tuple[Stage, FakeQueue]:
    stage, queue = burning()
    broken(stage, key=KEY)
    return stage, queue


def lent_though_the_table_had_taken_its_beginning() -> tuple[Stage, FakeQueue]:
    stage, queue = burning(off=False)
    stage.requests.fail_next(Effect.AFTER)
    broken(stage, key=KEY)
    return stage, queue


def refused_by_sts() -> tuple[Stage, FakeQueue]:
    stage, queue = burning()
    stage.lender.refuse_next()
    with suppress(StsRefused):
        broken(stage)
    return stage, queue


def died_before_sts_was_asked() -> tuple[Stage, FakeQueue]:
    stage, queue = burning()

    def die(plan: Any) -> Any:
        raise Crash

    stage.lender.lend = die  # type: ignore[method-assign]
    with suppress(Crash):
        broken(stage)
    return stage, queue


# Each with the history that the drain leaves, and the calls of a run.
STORIES: dict[Callable[[], tuple[Stage, FakeQueue]], tuple[list[str], int]] = {
    lent: (ISSUED, 12),
    lent_though_the_table_had_taken_its_beginning: (ISSUED, 11),
    refused_by_sts: (FAILED, 12),
    died_before_sts_was_asked: (BEGUN, 7),
}


def back(stage: Stage) -> None:
    """The table is back, and the calls of the outage are over."""
    stage.requests.off = False
    stage.pass_time(SETTLES)


def outcomes(world: World) -> list[Outcome]:
    return [drained.outcome for drained in drain(world)]


def drained(stage: Stage, queue: FakeQueue) -> list[Outcome]:
    """What a later run does that nothing goes wrong in. It leaves nothing behind."""
    queue.forget_what_is_hidden()
    done = outcomes(stage.world)
    assert queue.messages == []
    return done


def only(stage: Stage) -> str:
    [request] = stage.requests.everything(after=None, limit=10).items
    return request.id


class DrainWire(Wire):
    """Also lets somebody act before one of the calls."""

    def __init__(self, stage: Stage, fails_at: int | None = None, fault: Fault | None = None) -> None:
        super().__init__(stage, fails_at, fault)
        self.meanwhile: Callable[[], object] | None = None

    def call(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.meanwhile and self.calls + 1 == self.fails_at:
            self.calls, self.fails_at = self.calls + 1, None
            self.meanwhile()
            return act(*args, **kwargs)
        return super().call(act, *args, **kwargs)

    @property
    def world(self) -> World:
        world = self.stage.world
        return replace(world, requests=self.through(world.requests), queue=self.through(world.queue))


# What it does.


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_history_is_one_chain_and_ends_where_the_request_says(story) -> None:
    stage, queue = story()
    told = [event for entry in queue.entries for event in entry.events]
    back(stage)
    assert set(outcomes(stage.world)) <= {Outcome.WRITTEN, Outcome.KNOWN}
    assert queue.messages == []
    assert stage.history(only(stage)) == told
    assert stage.types(only(stage)) == STORIES[story][0]


def test_the_request_and_its_session_are_as_if_the_table_had_never_been_out() -> None:
    stage, _ = lent()
    back(stage)
    outcomes(stage.world)
    request = stage.request(only(stage))
    [session] = stage.sessions(request.id)
    assert session.status is SessionStatus.ISSUED
    healthy = Stage()
    known = healthy.request(broken(healthy).request_id)
    same = ("id", "salt", "head_hash", "requester", "last_begun", "catalogue_digest")
    assert replace(request, **{name: getattr(known, name) for name in same}) == known
    lending.lend(stage.world, CAROL, request.id)
    reviewed = emergency.review(stage.world, DAVE, request.id, verdict=Verdict.JUSTIFIED, comment="I saw the pages")
    assert reviewed.review


def test_where_the_first_session_failed_for_certain_the_emergency_can_still_be_used() -> None:
    stage, _ = refused_by_sts()
    back(stage)
    outcomes(stage.world)
    assert stage.lent(stage.request(only(stage)))


def test_without_a_queue_there_is_nothing_to_do() -> None:
    assert outcomes(Stage().world) == []


def test_given_the_table_is_still_out_then_the_queue_keeps_everything() -> None:
    stage, queue = lent()
    stage.pass_time(SETTLES)
    with pytest.raises(Unavailable):
        outcomes(stage.world)
    assert len(queue.messages) == 2
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN] * 2


def test_it_does_not_rely_on_the_queue_to_give_each_message_once() -> None:
    stage, queue = lent()
    sent = queue.entries
    for entry in sent:
        queue.put(entry)
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN] * 2 + [Outcome.KNOWN] * 2
    for entry in sent:
        queue.put(entry)
    assert drained(stage, queue) == [Outcome.KNOWN] * 2
    assert stage.types(only(stage)) == ISSUED


def test_a_beginning_whose_call_may_still_be_going_on_waits_with_all_that_follows_it_and_holds_back_no_other() -> None:
    stage, queue = lent()
    stage.pass_time(SETTLES - SECOND)
    broken(stage, replace(CAROL, id="cora@example.com"))
    stage.requests.off = False
    assert outcomes(stage.world) == [Outcome.UNSETTLED] * 2
    queue.forget_what_is_hidden()
    stage.pass_time(SECOND)
    assert outcomes(stage.world) == [Outcome.WRITTEN] * 2 + [Outcome.UNSETTLED]
    assert stage.types(only(stage)) == ISSUED


def test_a_message_that_others_come_before_again_and_again_holds_back_no_other_request() -> None:
    stage, queue = lent()
    broken(stage, replace(CAROL, id="cora@example.com"))
    back(stage)
    restore, outpaced = stage.requests.restore, queue.entries[0].request.id

    def restored(change: Any, **rest: Any) -> None:
        if change.after.id == outpaced:
            raise Stale
        restore(change, **rest)

    stage.requests.restore = restored  # type: ignore[method-assign]
    assert outcomes(stage.world) == [Outcome.UNSETTLED, Outcome.WRITTEN, Outcome.WRITTEN]


def test_an_outcome_waits_for_nothing() -> None:
    stage, queue = lent()
    late = queue.messages.pop()
    stage.pass_time(SETTLES)
    stage.requests.off = False
    assert outcomes(stage.world) == [Outcome.WRITTEN]
    queue.messages.append(late)
    stage.now -= SETTLES  # as if its call had just ended
    assert outcomes(stage.world) == [Outcome.WRITTEN]


# The access has happened: nothing refuses it, and all of it counts.


def test_neither_a_full_quota_nor_an_overdue_review_keeps_it_out_and_it_counts_in_both() -> None:
    stage, queue = burning(off=False)
    first = broken(stage)
    for _ in range(Quotas().open_requests - 1):
        stage.asked()
    stage.pass_time(25 * HOUR)
    stage.requests.off = True
    second = broken(stage)
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN] * 2
    emergency.review(stage.world, DAVE, first.request_id, verdict=Verdict.JUSTIFIED, comment="seen")
    assert broken(stage)
    stage.pass_time(25 * HOUR)
    with pytest.raises(ReviewOverdue, match=second.request_id):
        broken(stage)
    for _ in range(Quotas().open_requests):
        with suppress(TooManyOpen):
            stage.asked()
    with pytest.raises(TooManyOpen):
        stage.asked()


def test_it_counts_on_its_day_although_that_day_had_no_room_left() -> None:
    stage, queue = burning(off=False)
    stage.catalogue = replace(stage.catalogue, quotas=Quotas(break_glass_per_day=1))
    broken(stage)
    stage.requests.off = True
    broken(stage)
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN] * 2
    assert list(stage.requests.used.values()) == [2]
    with pytest.raises(QuotaUsed, match="2 emergencies opened"):
        broken(stage)


def test_an_emergency_that_is_over_by_then_is_announced_as_ended() -> None:
    stage, queue = lent()
    back(stage)
    stage.pass_time(24 * HOUR)
    drained(stage, queue)
    sweeping.sweep(stage.world)
    assert stage.types(only(stage)) == [*ISSUED, "request.ended"]


# A crash at every step of the emergency itself: 1 the table, 2 the queue, 3 STS, 4 the queue.

ISSUING_CALLS = 4


class OutageWire(DrainWire):
    @property
    def world(self) -> World:
        return replace(super().world, lender=self.through(self.stage.lender))


def test_the_calls_of_an_emergency_through_the_queue_are_counted() -> None:
    stage, _ = burning()
    wire = OutageWire(stage)
    assert lending.ask_and_lend(wire.world, CAROL, FIRE, KEY)
    assert wire.calls == ISSUING_CALLS


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        pytest.param(number, fault, id=f"call {number}, {fault.value}")
        for number in range(2, ISSUING_CALLS + 1)
        for fault in Fault
        if fault is not Fault.REFUSED or number == 3
    ],
)
def test_given_one_call_of_an_emergency_fails_then_nothing_is_handed_out_and_all_that_was_begun_is_drained(
    number: int, fault: Fault
) -> None:
    stage, queue = burning()
    with pytest.raises((Unavailable, StsRefused, RuntimeError, Crash)):
        lending.ask_and_lend(OutageWire(stage, number, fault).world, CAROL, FIRE, KEY)
    in_the_queue = {entry.session.session_name for entry in queue.entries if entry.session}
    assert {plan.session_name for plan in stage.lender.plans} <= in_the_queue, "STS was asked without a record"
    told = [event for entry in queue.entries for event in entry.events]
    back(stage)
    drained(stage, queue)
    if told:
        assert stage.history(only(stage)) == told
    assert stage.requests.asides == {}


# A crash at every step of the drain.


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_calls_of_a_run_are_counted(story) -> None:
    stage, _ = story()
    back(stage)
    wire = DrainWire(stage)
    outcomes(wire.world)
    assert wire.calls == STORIES[story][1]


CASES = [
    pytest.param(story, number, fault, id=f"{story.__name__}: call {number}, {fault.value}")
    for story, (_, calls) in STORIES.items()
    for number in range(1, calls + 1)
    for fault in Fault
    if fault is not Fault.REFUSED
]


@pytest.mark.parametrize(("story", "number", "fault"), CASES)
def test_given_one_call_fails_then_the_next_run_does_the_rest_and_nothing_is_lost_or_there_twice(
    story, number, fault
) -> None:
    stage, queue = story()
    told = [event for entry in queue.entries for event in entry.events]
    back(stage)
    with suppress(Crash, Unavailable, RuntimeError):
        outcomes(DrainWire(stage, number, fault).world)
    drained(stage, queue)
    assert stage.history(only(stage)) == told
    assert len(stage.sessions(only(stage))) == 1
    assert stage.requests.asides == {}


@pytest.mark.parametrize("number", range(1, STORIES[lent][1] + 1))
def test_another_run_at_every_moment_of_this_one_does_nothing_twice(number: int) -> None:
    stage, queue = lent()
    told = [event for entry in queue.entries for event in entry.events]
    back(stage)
    wire = DrainWire(stage, number)

    def another_run() -> None:
        queue.forget_what_is_hidden()
        outcomes(stage.world)

    wire.meanwhile = another_run
    with suppress(Unavailable):  # its receipts are used up
        outcomes(wire.world)
    drained(stage, queue)
    assert stage.history(only(stage)) == told
    assert stage.requests.asides == {}


# Others at every step: where the table has the beginning, they may act on it before the outcome comes.


def _lends_again(stage: Stage, id: str) -> object:
    return lending.lend(stage.world, CAROL, id)


def _returns(stage: Stage, id: str) -> object:
    return ending.give_back(stage.world, CAROL, id)


def _revokes(stage: Stage, id: str) -> object:
    return revoking.revoke(stage.world, DAVE, id, comment="no more")


def _reviews(stage: Stage, id: str) -> object:
    return emergency.review(stage.world, DAVE, id, verdict=Verdict.UNJUSTIFIED, comment="there was no fire")


OTHERS: list[Callable[[Stage, str], object]] = [_lends_again, _returns, _revokes, _reviews]


@pytest.mark.parametrize("others", OTHERS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("story", [lent, lent_though_the_table_had_taken_its_beginning], ids=lambda s: s.__name__)
@pytest.mark.parametrize("number", range(1, STORIES[lent][1]))
def test_what_others_do_at_every_moment_keeps_no_outcome_out_of_the_history(number: int, story, others) -> None:
    stage, queue = story()
    opening, outcome = queue.entries
    key = outcome.events[0].details["access_key_id"]
    acted: list[object] = []
    back(stage)

    def act() -> None:
        with suppress(NotFound, Unavailable):
            acted.append(others(stage, opening.request.id))

    wire = DrainWire(stage, number)
    wire.meanwhile = act
    outcomes(wire.world)
    assert queue.messages == []
    history = stage.history(opening.request.id)
    assert history[:3] == list(opening.events)
    [issued] = [event for event in history if event.details.get("access_key_id") == key]
    assert (issued.type, issued.at, issued.actor) == ("session.issued", outcome.events[0].at, CAROL.id)
    if issued != outcome.events[0]:
        assert issued.details == {**outcome.events[0].details, "queued_hash": outcome.events[0].hash}
        assert issued.seq > 4
    assert outcome.session in stage.sessions(opening.request.id)
    assert stage.requests.asides == {}
    if not acted:
        others(stage, opening.request.id)
    assert len(stage.history(opening.request.id)) > 4


@pytest.mark.parametrize("number", range(1, STORIES[lent][1]))
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.REFUSED], ids=lambda f: f.value)
def test_an_outcome_that_came_after_others_is_there_once_whatever_fails(number: int, fault: Fault) -> None:
    stage, queue = lent_though_the_table_had_taken_its_beginning()
    _, outcome = queue.entries
    _lends_again(stage, only(stage))
    back(stage)
    with suppress(Crash, Unavailable, RuntimeError):
        outcomes(DrainWire(stage, number, fault).world)
    drained(stage, queue)
    assert stage.types(only(stage)) == [*BEGUN, "session.issuing", "session.issued", "session.issued"]
    assert outcome.session in stage.sessions(only(stage))
    assert stage.requests.asides == {}


# What is not believed, or fits nowhere, is set aside: once, with nothing lost.


def with_a_forgery() -> tuple[Stage, FakeQueue]:
    stage, queue = lent()
    queue.forge(queue.entries[0].request.id, "carol was never here")
    queue.forge("01K00000000000000000000000", "give me administrator")
    return stage, queue


def test_a_forged_message_is_never_believed_and_kept_for_people_to_look_at() -> None:
    stage, queue = with_a_forgery()
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN] * 2 + [Outcome.SET_ASIDE] * 2
    assert stage.types(only(stage)) == ISSUED
    texts = {message.text: because for message, because in stage.requests.asides.values()}
    assert set(texts) == {"carol was never here", "give me administrator"}
    assert set(texts.values()) == {"nobody put it here"}


def test_what_is_genuine_and_comes_after_a_forged_one_of_the_same_request_is_believed() -> None:
    stage, queue = lent()
    queue.forge(queue.entries[0].request.id, "carol was never here")
    queue.messages.insert(0, queue.messages.pop())
    back(stage)
    assert drained(stage, queue) == [Outcome.SET_ASIDE, Outcome.WRITTEN, Outcome.WRITTEN]


FORGERY_CALLS = 12 + 3 * 2


def test_the_calls_of_a_run_over_forgeries_are_counted() -> None:
    stage, _ = with_a_forgery()
    back(stage)
    wire = DrainWire(stage)
    outcomes(wire.world)
    assert wire.calls == FORGERY_CALLS


@pytest.mark.parametrize("number", range(1, FORGERY_CALLS + 1))
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.REFUSED], ids=lambda f: f.value)
def test_given_one_call_fails_then_a_forgery_is_still_set_aside_once_and_never_believed(
    number: int, fault: Fault
) -> None:
    stage, queue = with_a_forgery()
    back(stage)
    with suppress(Crash, Unavailable, RuntimeError):
        outcomes(DrainWire(stage, number, fault).world)
    drained(stage, queue)
    assert stage.types(only(stage)) == ISSUED
    assert len(stage.requests.asides) == 2


def test_an_outcome_whose_beginning_is_nowhere_is_set_aside() -> None:
    stage, queue = lent()
    del queue.messages[0]
    back(stage)
    assert drained(stage, queue) == [Outcome.SET_ASIDE]
    assert stage.requests.everything(after=None, limit=9).items == ()


def test_a_beginning_that_the_table_has_otherwise_is_set_aside_with_all_that_follows_from_it() -> None:
    stage, queue = lent()
    opening, outcome = queue.entries
    stage.requests.off = False
    other = replace(opening.request, reason="another story of the same id", version=0, head_hash="")
    stage.requests.submit(a_submission(other), claim=None, max_open=9, now=stage.now)
    back(stage)
    assert drained(stage, queue) == [Outcome.SET_ASIDE] * 2
    assert stage.request(opening.request.id).reason == "another story of the same id"
    assert len(stage.requests.asides) == 2
    assert outcome.session not in stage.sessions(opening.request.id)


def test_a_second_outcome_of_a_session_that_has_one_is_set_aside() -> None:
    stage, queue = lent()
    opening, outcome = queue.entries
    assert outcome.session
    other = replace(outcome, session=replace(outcome.session, access_key_id="ASIAANOTHER"))
    other = replace(other, events=(replace(outcome.events[0], hash="f" * 64),))
    queue.put(other)
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN, Outcome.WRITTEN, Outcome.SET_ASIDE]
    assert stage.types(opening.request.id) == ISSUED


# One run ends, and one bad message is no reason to leave the others.


def test_given_a_bug_with_one_request_then_it_and_what_follows_it_stay_and_the_others_are_drained() -> None:
    stage, queue = lent()
    broken(stage, replace(CAROL, id="cora@example.com"))
    bad = queue.entries[0].request.id
    back(stage)
    story = stage.requests.story

    def fails(request_id: str) -> Any:
        if request_id == bad:
            raise RuntimeError("a bug")
        return story(request_id)

    stage.requests.story = fails  # type: ignore[method-assign]
    found: list[Drained] = list(drain(stage.world))
    assert [each.outcome for each in found] == [Outcome.FAILED, Outcome.WRITTEN, Outcome.WRITTEN]
    assert isinstance(found[0].error, RuntimeError)
    stage.requests.story = story  # type: ignore[method-assign]
    assert drained(stage, queue) == [Outcome.WRITTEN] * 2


def test_a_run_begins_no_more_after_so_long() -> None:
    stage, queue = burning()
    for number in range(4):
        broken(stage, replace(CAROL, id=f"{number}@example.com"))
    back(stage)
    delete = queue.delete

    def slow(message: Any) -> None:
        stage.pass_time(WITHIN / 2)
        delete(message)

    queue.delete = slow  # type: ignore[method-assign]
    assert outcomes(stage.world) == [Outcome.WRITTEN] * 2
    queue.delete = delete  # type: ignore[method-assign]
    assert drained(stage, queue) == [Outcome.WRITTEN] * 6


def test_many_emergencies_are_drained_in_one_run() -> None:
    stage, queue = burning()
    for number in range(25):
        broken(stage, replace(CAROL, id=f"{number}@example.com"))
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN] * 50


def test_two_emergencies_of_one_person_are_two_histories() -> None:
    stage, queue = lent()
    stage.requests.off = False
    stage.asked(ALICE, an_ask("sandbox-admin"))
    stage.requests.off = True
    broken(stage)
    back(stage)
    assert drained(stage, queue) == [Outcome.WRITTEN] * 4
    mine = stage.requests.by_requester(CAROL.id, after=None, limit=9).items
    assert [stage.types(request.id) for request in mine] == [ISSUED, ISSUED]
