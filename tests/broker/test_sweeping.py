"""Sweeping: what time has done is said once, however often, late or at once it is looked for; nothing depends on it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from chalicelib.broker import asking, deciding, ending, sweeping
from chalicelib.broker.sweeping import MOST, SETTLES, WITHIN, Outcome
from chalicelib.core.life import Expired, State, Status
from chalicelib.core.refusals import NotActive, NotCancellable, NotPending, TooManyOpen, Unavailable
from chalicelib.core.request import Request
from tests.broker.test_faults import Crash, Fault, Wire
from tests.builders import HOUR, NOW, SECOND, a_submission
from tests.people import ALICE, CAROL, FRANK
from tests.stage import CATALOGUE, Stage, an_ask

SANDBOX = an_ask("sandbox-admin")
ANNOUNCED = ("request.expired", "request.ended")


def sweep(stage: Stage) -> dict[Outcome, int]:
    swept = sweeping.sweep(stage.world)
    assert swept.failures == {}
    return dict(swept.outcomes)


def announced(stage: Stage, request: Request) -> list[str]:
    return [kind for kind in stage.types(request.id) if kind in ANNOUNCED]


def unanswered(stage: Stage) -> Request:
    return stage.asked(CAROL)


def unused(stage: Stage) -> Request:
    return stage.asked(ALICE, SANDBOX)


def ended(stage: Stage) -> Request:
    request = stage.asked(ALICE, SANDBOX)
    stage.lent(request, ALICE)
    return stage.request(request.id)


def missed(stage: Stage) -> Request:
    """Scheduled, and never used."""
    return stage.asked(ALICE, an_ask("sandbox-admin", starts_at=NOW + 2 * HOUR))


STORIES = {
    unanswered: ("request.expired", {"because": "unanswered", "expired_at": "2031-03-05T20:00:00Z"}),
    unused: ("request.expired", {"because": "unused", "expired_at": "2031-03-05T20:00:00Z"}),
    ended: ("request.ended", {"ended_at": "2031-03-05T13:00:00Z"}),
    missed: ("request.ended", {"ended_at": "2031-03-05T15:00:00Z"}),
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=365)], ids=["in time", "a year late"])
def test_what_has_run_out_is_announced_with_why_and_when_however_late(story, late) -> None:
    stage = Stage()
    request = story(stage)
    due = request.due_at()
    assert due is not None
    stage.now = due + SETTLES - SECOND
    assert sweep(stage) == {}
    stage.now = due + SETTLES + late
    sweep(stage)
    last = stage.history(request.id)[-1]
    assert (last.type, dict(last.details), last.actor) == (*STORIES[story], "daypass")


def test_however_often_it_runs_each_end_is_announced_once() -> None:
    stage = Stage()
    requests = [story(stage) for story in STORIES]
    for _ in range(50):
        stage.pass_time(HOUR / 4)
        sweep(stage)
    assert [announced(stage, request) for request in requests] == [[kind] for kind, _ in STORIES.values()]
    assert stage.requests.due(now=stage.now, after=None, limit=10).items == ()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_announcement_changes_nothing_that_is_reported(story) -> None:
    swept, unswept = Stage(), Stage()
    requests = [(stage, story(stage)) for stage in (swept, unswept)]
    for _ in range(100):
        for stage, _ in requests:
            stage.pass_time(timedelta(minutes=7))
        sweep(swept)
        one, other = (stage.request(request.id) for stage, request in requests)
        now = swept.now
        assert one.state(now) is other.state(now)
        assert one.expired_because(now) is other.expired_because(now)
        assert (one.status, one.window, one.use_by) == (other.status, other.window, other.use_by)


def test_what_somebody_ended_is_not_announced() -> None:
    stage = Stage()
    cancelled, returned, denied = stage.asked(), ended(stage), stage.asked()
    ending.cancel(stage.world, CAROL, cancelled.id)
    ending.give_back(stage.world, ALICE, returned.id)
    deciding.deny(stage.world, FRANK, denied.id, comment="no")
    stage.pass_time(24 * HOUR)
    assert sweep(stage) == {}


def test_nobody_can_do_after_the_announcement_what_they_could_not_before_it() -> None:
    stage = Stage()
    request = stage.asked()
    stage.pass_time(8 * HOUR + SETTLES)
    sweep(stage)
    with pytest.raises(NotPending):
        deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    with pytest.raises(NotCancellable):
        ending.cancel(stage.world, CAROL, request.id)
    with pytest.raises(NotActive):
        stage.lent(request)


def test_the_quota_is_freed_by_the_clock_and_not_by_the_announcement() -> None:
    stage = Stage()
    for _ in range(CATALOGUE.quotas.open_requests):
        stage.asked()
    stage.pass_time(8 * HOUR - SECOND)
    sweep(stage)
    with pytest.raises(TooManyOpen):
        stage.asked()
    stage.pass_time(SECOND)
    assert stage.asked()
    stage.pass_time(SETTLES)
    sweep(stage)
    for _ in range(CATALOGUE.quotas.open_requests - 1):
        stage.asked()
    with pytest.raises(TooManyOpen):
        stage.asked()


def test_what_a_much_slower_clock_approved_after_its_end_was_announced_is_announced_once_more_at_its_new_end() -> None:
    stage = Stage()
    request = stage.asked()
    stage.now = NOW + 8 * HOUR + SETTLES
    sweep(stage)
    stage.now = NOW + 8 * HOUR - SECOND
    approved = deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert approved.due_at() == approved.use_by
    stage.now = NOW + 24 * HOUR
    for _ in range(2):
        sweep(stage)
    assert stage.types(request.id)[1:] == ["request.expired", "request.approved", "request.expired"]


def test_the_record_is_asked_and_not_the_list_which_may_be_behind_it() -> None:
    stage = Stage()
    request = stage.asked()
    stage.pass_time(8 * HOUR + SETTLES)
    behind = stage.requests.due(now=stage.now, after=None, limit=10)
    sweep(stage)
    stage.requests.due = lambda **_: behind  # type: ignore[method-assign]
    assert sweep(stage) == {Outcome.NOTHING: 1}
    assert announced(stage, request) == ["request.expired"]


def test_given_another_run_was_faster_by_a_moment_then_it_is_announced_once() -> None:
    stage = Stage()
    request = stage.asked()
    stage.pass_time(8 * HOUR + SETTLES)
    stage.requests.meanwhile(lambda: sweeping.sweep(stage.world))
    assert sweep(stage) == {Outcome.NOTHING: 1}
    assert announced(stage, request) == ["request.expired"]


def test_a_run_announces_so_many_and_leaves_the_others_to_the_next() -> None:
    stage = Stage()
    for number in range(MOST + 3):
        change = a_submission(requester=f"{number}@example.com", answer_by=NOW)
        stage.requests.submit(change, claim=None, max_open=1, now=NOW)
    stage.pass_time(SETTLES)
    first, second = sweeping.sweep(stage.world), sweeping.sweep(stage.world)
    assert (first.outcomes, first.finished) == ({Outcome.EXPIRED: MOST}, False)
    assert (second.outcomes, second.finished) == ({Outcome.EXPIRED: 3}, True)


def test_a_run_ends_before_lambda_would_end_it() -> None:
    stage = Stage()
    for _ in range(5):
        stage.asked()
    stage.pass_time(8 * HOUR + SETTLES)
    get = stage.requests.get

    def slow(request_id: str) -> Request | None:
        stage.pass_time(WITHIN / 2)
        return get(request_id)

    stage.requests.get = slow  # type: ignore[method-assign]
    swept = sweeping.sweep(stage.world)
    assert (swept.outcomes, swept.finished) == ({Outcome.EXPIRED: 2}, False)


def test_given_one_request_cannot_be_announced_then_the_others_are_and_it_is_told() -> None:
    stage = Stage()
    first, broken, last = (stage.asked() for _ in range(3))
    stage.pass_time(8 * HOUR + SETTLES)
    get = stage.requests.get

    def fails(request_id: str) -> Request | None:
        if request_id == broken.id:
            raise RuntimeError("a bug")
        return get(request_id)

    stage.requests.get = fails  # type: ignore[method-assign]
    swept = sweeping.sweep(stage.world)
    assert swept.outcomes == {Outcome.EXPIRED: 2, Outcome.FAILED: 1}
    assert [*swept.failures] == [broken.id]
    stage.requests.get = get  # type: ignore[method-assign]
    assert sweep(stage) == {Outcome.EXPIRED: 1}
    assert [announced(stage, request) for request in (first, broken, last)] == [["request.expired"]] * 3


# A crash at any point repeats nothing and loses nothing: the calls of a run are counted, then each fails in every way.

CALLS = 1 + 2 * len(STORIES)
"""The list, and for each request a read and a write."""


def test_the_calls_of_one_run_are_counted() -> None:
    wire, _ = due_on_a_wire()
    assert sweeping.sweep(wire.world).outcomes.total() == len(STORIES)
    assert wire.calls == CALLS


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault is not Fault.REFUSED], ids=lambda fault: fault.value
)
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_given_one_call_fails_then_the_next_run_says_the_rest_and_nothing_twice(number: int, fault: Fault) -> None:
    wire, requests = due_on_a_wire(number, fault)
    with suppress(Crash, Unavailable, RuntimeError):
        sweeping.sweep(wire.world)
    for _ in range(2):
        sweep(wire.stage)
    assert [announced(wire.stage, request) for request in requests] == [[kind] for kind, _ in STORIES.values()]


def due_on_a_wire(fails_at: int | None = None, fault: Fault | None = None) -> tuple[Wire, list[Request]]:
    stage = Stage()
    requests = [story(stage) for story in STORIES]
    stage.pass_time(24 * HOUR)
    return Wire(stage, fails_at, fault), requests


def test_states_are_arithmetic_also_where_nobody_ever_swept() -> None:
    stage = Stage()
    request = asking.ask(stage.world, CAROL, an_ask(), None).request
    stage.pass_time(8 * HOUR)
    assert (request.state(stage.now), request.expired_because(stage.now)) == (State.EXPIRED, Expired.UNANSWERED)
    assert request.status is Status.PENDING
