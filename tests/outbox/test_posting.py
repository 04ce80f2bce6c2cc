"""Posting: one message for a request and a place, which in the end shows the end, whatever happens on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.broker import balancing, deciding, emergency, ending, erasing, revoking, sweeping
from chalicelib.core.catalogue import Notify, Stage, Who
from chalicelib.core.ledger import EventType
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request, Verdict
from chalicelib.outbox.batch import handle
from chalicelib.outbox.posting import LEASE, WITHIN
from chalicelib.slack.posting import SaidNo, Silent
from tests.broker.test_faults import Crash, Fault
from tests.builders import HOUR, a_change
from tests.outbox.newsroom import CHANNEL, SRE, Newsroom, telling
from tests.people import BOB, CAROL, DAVE, FRANK
from tests.slack.test_messages import parts
from tests.slack.workspace import FakeSlack, Said
from tests.slack.workspace import Fault as SlackFault
from tests.stage import an_ask, with_rules
from tests.trails import a_session, a_use

FIRE = "payments are down for everybody"


def buttons(said: Said) -> list[str]:
    return [button["action_id"] for button in parts(said.blocks, "button")]


# A request's story, as its channel sees it.


def test_the_same_message_asks_follows_and_tells_the_end() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL)
    room.catch_up()
    asked = room.message(request)
    assert asked.text == "⏳ carol@example.com asks for payments-admin"
    assert buttons(asked) == ["daypass_approve", "daypass_shorten", "daypass_deny"]

    deciding.approve(room.stage.world, FRANK, request.id, comment="go ahead", duration=None)
    room.catch_up()
    approved = room.message(request)
    assert (approved.ts, approved.text) == (asked.ts, "✅ carol@example.com may use payments-admin")
    assert buttons(approved) == []
    assert "frank@example.com said yes" in str(approved.blocks)

    room.stage.lent(room.stage.request(request.id))
    ending.give_back(room.stage.world, CAROL, request.id)
    room.catch_up()
    over = room.message(request)
    assert (over.ts, over.text) == (asked.ts, "⏹️ carol@example.com gave back payments-admin")
    assert "carol@example.com gave it back" in str(over.blocks)
    room.assert_all_is_told()


def test_what_was_erased_goes_from_the_message_too() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL, an_ask(reason="Jane Doe called"))
    deciding.deny(room.stage.world, FRANK, request.id, comment="not for Jane Doe")
    room.catch_up()
    assert "Jane Doe" in str(room.message(request).blocks)
    erasing.erase(room.stage.world, DAVE, request.id)
    room.catch_up()
    assert "Jane Doe" not in str(room.message(request).blocks)
    room.assert_all_is_told()


def test_a_no_and_a_revocation_tell_who_and_when() -> None:
    room = Newsroom()
    denied, revoked = room.stage.asked(CAROL), room.stage.approved(CAROL)
    deciding.deny(room.stage.world, FRANK, denied.id, comment="not today")
    room.stage.pass_time(timedelta(minutes=3))
    revoking.revoke(room.stage.world, DAVE, revoked.id, comment="left the company")
    room.catch_up()
    no, taken = room.message(denied).blocks[3], room.message(revoked).blocks[3]
    assert ("frank@example.com said no" in str(no), "2031-03-05T12:00:00Z" in str(no)) == (True, True)
    assert ("dave@example.com took it away" in str(taken), "2031-03-05T12:03:00Z" in str(taken)) == (True, True)


def test_what_time_has_done_is_told_once_the_sweeper_has_said_it() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(9 * HOUR)
    sweeping.sweep(room.stage.world)
    room.catch_up()
    assert room.message(request).text == "⌛ carol@example.com asked for payments-admin"
    assert buttons(room.message(request)) == []


def test_what_is_approved_at_once_is_told_where_its_rule_says_so() -> None:
    room = Newsroom()
    room.stage.catalogue = with_rules(("engineers and sre read payments", {"notify": Notify(slack=("#incidents",))}))
    room.stage.asked(CAROL, an_ask("payments-read"))
    room.catch_up()
    [said] = room.workspace.messages()
    assert (said.channel, said.text) == ("C0INCIDENTS", "✅ carol@example.com may use payments-read")


def test_an_emergency_is_told_loudly_where_its_rule_says_so_besides() -> None:
    room = Newsroom()
    glass = room.stage.catalogue.rule(SRE)
    assert glass is not None
    assert glass.break_glass is not None
    besides = replace(glass.break_glass, notify=Notify(slack=("#incidents", "#sre-approvals")))
    room.stage.catalogue = with_rules((SRE, {"break_glass": besides}))
    room.stage.asked(CAROL, an_ask(reason=FIRE, break_glass=True))
    room.catch_up()
    said = room.workspace.messages()
    assert sorted(each.channel for each in said) == ["C0INCIDENTS", CHANNEL]
    for each in said:
        assert each.text.startswith("🚨 EMERGENCY: carol@example.com")
        assert list(parts(each.blocks, "broadcast"))
    assert room.workspace.replies() == []


def test_an_emergency_tells_in_the_end_what_was_done_and_its_review_what_is_known_by_then() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL, an_ask(reason=FIRE, break_glass=True))
    room.stage.lent(room.stage.request(request.id))
    [session] = room.stage.sessions(request.id)
    room.catch_up()
    assert "What was done" not in str(room.message(request).blocks)
    ending.give_back(room.stage.world, CAROL, request.id, cut=False)
    room.catch_up()
    assert "Nothing was done with it, as far as CloudTrail has told." in str(room.message(request).blocks)
    identity = a_session(session.access_key_id, request.role_arn, session.session_name, session.begun_at)
    use = a_use(None, session.begun_at, session=identity, action="iam:CreateUser")
    balancing.take(room.stage.trail, "0" * 32, [use], room.stage.now)
    emergency.review(room.stage.world, DAVE, request.id, verdict=Verdict.JUSTIFIED, comment="saw the pages")
    room.catch_up()
    assert "1 call from" in str(room.message(request).blocks)
    assert f"daypass activity {request.id}" in str(room.message(request).blocks)
    room.assert_all_is_told()


def test_what_was_done_with_an_ordinary_request_is_not_posted() -> None:
    room = Newsroom()
    request = room.stage.approved(CAROL)
    room.stage.lent(request)
    ending.give_back(room.stage.world, CAROL, request.id, cut=False)
    room.catch_up()
    assert "What was done" not in str(room.message(request).blocks)


def test_a_request_that_becomes_an_emergency_calls_everybody_in_the_thread_once() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL)
    room.catch_up()
    emergency.escalate(room.stage.world, CAROL, request.id, reason="nobody answers and it burns")
    room.catch_up()
    room.stage.lent(room.stage.request(request.id))
    emergency.review(room.stage.world, DAVE, request.id, verdict=Verdict.JUSTIFIED, comment="saw the pages")
    room.catch_up()
    [reply] = room.workspace.replies()
    assert (reply.thread, reply.to_all) == (room.message(request).ts, True)
    assert list(parts(reply.blocks, "broadcast"))
    assert "dave@example.com found the emergency justified" in str(room.message(request).blocks)


def test_a_request_of_which_nobody_is_to_hear_makes_no_call_to_slack() -> None:
    room = Newsroom()
    room.stage.asked(CAROL, an_ask("payments-read"))
    room.catch_up()
    assert room.workspace.calls == []


def test_what_would_not_change_the_message_is_not_sent() -> None:
    room = Newsroom()
    request = room.stage.approved(CAROL)
    for _ in range(3):
        room.stage.lent(room.stage.request(request.id))
        room.catch_up()
    assert room.workspace.calls == ["chat.postMessage"]
    room.assert_all_is_told()


# In person.

NAMED = (Stage(1, Who(ids=("frank@example.com", "erin@*", "carol@example.com"))),)


def in_person() -> Newsroom:
    room = Newsroom(users={"frank@example.com": "U0FRANK0001", "carol@example.com": "U0CAROL0001"})
    room.stage.catalogue = with_rules((SRE, {"notify": Notify(direct=True), "stages": NAMED}))
    return room


def test_approvers_who_are_named_are_asked_in_person_and_the_requester_is_told_the_answer() -> None:
    room = in_person()
    request = room.stage.asked(CAROL)
    room.catch_up()
    [asked] = room.workspace.messages()
    assert (asked.channel, len(buttons(asked))) == ("D0FRANK0001", 3)

    deciding.approve(room.stage.world, FRANK, request.id, comment=None, duration=None)
    room.catch_up()
    to_frank, to_carol = room.workspace.messages()
    assert (to_frank.ts, buttons(to_frank)) == (asked.ts, [])
    assert to_carol.channel == "D0CAROL0001"
    assert f"daypass credentials {request.id}" in str(to_carol.blocks)
    assert "daypass credentials" not in str(to_frank.blocks)


def test_nobody_is_told_in_person_what_they_did_themselves() -> None:
    room = in_person()
    request = room.stage.asked(CAROL)
    room.catch_up()
    ending.cancel(room.stage.world, CAROL, request.id)
    room.catch_up()
    assert [each.channel for each in room.workspace.messages()] == ["D0FRANK0001"]


def test_whom_slack_does_not_know_is_not_told_in_person() -> None:
    room = in_person()
    room.users = {}
    room.stage.asked(CAROL)
    room.catch_up()
    assert room.workspace.calls == []


# The stream: replayed, reordered across requests, failing half-way.


def several_stories(room: Newsroom) -> list[Request]:
    stage = room.stage
    answered, denied, burning, waiting = (stage.asked(CAROL) for _ in range(4))
    for step in (
        lambda: deciding.approve(stage.world, FRANK, answered.id, comment=None, duration=None),
        lambda: deciding.deny(stage.world, BOB, denied.id, comment="no"),
        lambda: stage.lent(stage.request(answered.id)),
        lambda: emergency.escalate(stage.world, CAROL, burning.id, reason="nobody answers and it burns"),
        lambda: revoking.revoke(stage.world, DAVE, answered.id, comment="left"),
        lambda: emergency.review(stage.world, DAVE, burning.id, verdict=Verdict.JUSTIFIED, comment="seen"),
    ):
        stage.pass_time(timedelta(seconds=20))
        step()
    return [answered, denied, burning, waiting]


STORIES = Newsroom()
several_stories(STORIES)
LINES = len(STORIES.stream())


@settings(max_examples=60)
@given(st.lists(st.integers(1, LINES), max_size=8).map(lambda cuts: sorted({0, *cuts, LINES})), st.data())
def test_replayed_and_reordered_across_requests_all_is_told_once(cuts: list[int], data: st.DataObject) -> None:
    room = Newsroom()
    several_stories(room)
    records = room.stream()
    batches = [records[begin:end] for begin, end in itertools.pairwise(cuts)]
    for batch in data.draw(st.permutations([*batches, *batches])):
        room.fed(batch)
    room.assert_all_is_told()


def test_line_by_line_no_older_state_is_ever_shown_over_a_newer_one() -> None:
    room = Newsroom()
    stage = room.stage
    request = stage.asked(CAROL)
    shown: list[str] = []

    def caught_up() -> None:
        room.catch_up()
        shown.append(room.message(request).text)

    caught_up()
    deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    caught_up()
    calls = len(room.workspace.calls)
    for record in reversed(room.stream()):
        room.fed([record])
    assert len(room.workspace.calls) == calls
    assert shown == ["⏳ carol@example.com asks for payments-admin", "✅ carol@example.com may use payments-admin"]


@pytest.mark.parametrize("number", range(1, 5))
def test_given_slack_throttles_one_call_then_it_and_all_after_it_is_tried_again_and_nothing_before(number: int) -> None:
    room = Newsroom()
    several_stories(room)
    records = room.stream()
    room.workspace.fail(*[None] * (number - 1), SlackFault(retry_after=30))
    handled = room.handed(records)
    told_before = [each.ts for each in room.workspace.messages()]
    assert handled.failed is not None
    position = [record["dynamodb"]["SequenceNumber"] for record in records].index(handled.failed)
    assert handled.response() == {"batchItemFailures": [{"itemIdentifier": handled.failed}]}
    room.fed(records[position:])
    assert [each.ts for each in room.workspace.messages()][: len(told_before)] == told_before
    room.assert_all_is_told()


def test_slack_down_for_hours_delays_everything_and_loses_nothing() -> None:
    room = Newsroom()
    several_stories(room)
    room.workspace.faults = [SlackFault(silent=True) for _ in range(60)]
    room.fed(room.stream(), tries=70)
    room.assert_all_is_told()
    assert room.dead.letters == []


@pytest.mark.parametrize(
    "code", ["channel_not_found", "not_in_channel", "missing_scope", "is_archived", "invalid_auth"]
)
def test_given_slack_will_not_tell_it_then_it_is_said_once_and_nothing_waits(code: str) -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL)
    room.workspace.fail(SlackFault(error=code))
    assert room.handed(room.stream()).failed is None
    assert room.untold == [("#sre-approvals", code)]
    assert deciding.approve(room.stage.world, FRANK, request.id, comment=None, duration=None)


def test_a_channel_that_is_there_again_hears_of_what_happens_next() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL)
    channels, room.workspace.channels = room.workspace.channels, {}
    room.catch_up()
    room.workspace.channels = channels
    deciding.approve(room.stage.world, FRANK, request.id, comment=None, duration=None)
    room.catch_up()
    room.assert_all_is_told()
    assert room.untold == [("#sre-approvals", "channel_not_found")]


def test_one_place_that_slack_will_not_tell_keeps_no_other_from_hearing_it() -> None:
    room = Newsroom()
    room.stage.catalogue = telling(Notify(slack=("#nowhere", "#incidents")))
    room.stage.asked(CAROL)
    room.catch_up()
    assert [each.channel for each in room.workspace.messages()] == ["C0INCIDENTS"]
    assert room.untold == [("#nowhere", "channel_not_found")]


def test_a_message_that_somebody_deleted_is_posted_anew() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL)
    room.catch_up()
    room.workspace.delete(room.message(request))
    deciding.approve(room.stage.world, FRANK, request.id, comment=None, duration=None)
    room.catch_up()
    room.assert_all_is_told()


def test_a_channel_that_the_catalogue_calls_by_its_id_from_now_on_is_the_same_channel() -> None:
    room = Newsroom()
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.catalogue = telling(Notify(slack=(CHANNEL,)))
    room.catch_up()
    room.assert_all_is_told()


def test_a_rule_that_is_gone_still_has_its_messages_brought_up_to_date() -> None:
    room = Newsroom()
    request = room.stage.asked(CAROL)
    room.catch_up()
    room.stage.catalogue = replace(room.stage.catalogue, rules=())
    ending.cancel(room.stage.world, CAROL, request.id)
    room.catch_up()
    assert room.message(request).text == "↩️ carol@example.com no longer asks for payments-admin"


def test_what_was_over_before_anybody_was_to_hear_of_it_is_not_told_now() -> None:
    room = Newsroom()
    room.stage.catalogue = telling(Notify())
    request = room.stage.approved(CAROL)
    room.stage.lent(request)
    ending.give_back(room.stage.world, CAROL, request.id)
    room.catch_up()
    room.stage.catalogue = telling(Notify(slack=("#sre-approvals",)))
    last = room.stream()[-1:]
    room.stage.requests.commit(a_change(room.stage.request(request.id), EventType.DENY_REMOVED))
    room.fed([*last, room.stream()[-1]])
    assert room.workspace.calls == []


def test_an_erased_request_is_no_news() -> None:
    room = Newsroom()
    room.stage.asked(CAROL)
    records = room.stream()
    room.stage.requests._requests.clear()
    assert room.handed(records).failed is None
    assert room.workspace.calls == []


def test_a_batch_ends_before_lambda_would_end_it() -> None:
    room = Newsroom()
    for _ in range(5):
        room.stage.asked(CAROL)
    records = room.stream()

    class Slow(FakeSlack):
        def post(self, *given: Any) -> Any:
            room.stage.pass_time(WITHIN / 2)
            return super().post(*given)

    handled = room.handed(records, slack=Slow(room.workspace))
    assert len(room.workspace.messages()) == 2
    assert handled.failed == records[2]["dynamodb"]["SequenceNumber"]
    room.catch_up()
    room.assert_all_is_told()


# A crash or a cut at any call: counted, then each of them, in every way.


class Wire:
    """Between posting and everything outside: counts calls, and lets the one that is told go wrong."""

    def __init__(self, room: Newsroom, fails_at: int | None = None, fault: Fault | None = None) -> None:
        self.room, self.fails_at, self.fault = room, fails_at, fault
        self.calls = 0
        desk = room.desk()
        self.ports = {name: self._through(getattr(desk, name)) for name in ("requests", "messages", "slack")}

    def _through(self, port: Any) -> Any:
        wire = self

        class Proxy:
            def __getattr__(self, name: str) -> Callable[..., Any]:
                return lambda *args, **kwargs: wire._call(getattr(port, name), *args, **kwargs)

        return Proxy()

    def _call(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls != self.fails_at:
            return act(*args, **kwargs)
        slack = isinstance(act.__self__, FakeSlack)  # type: ignore[attr-defined]
        if self.fault is Fault.REFUSED:
            raise SaidNo("channel_not_found") if slack else Unavailable("No.")
        if self.fault is Fault.BUG:
            raise RuntimeError("a bug")
        if self.fault in (Fault.UNANSWERED, Fault.CRASH_AFTER):
            act(*args, **kwargs)
        if self.fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            raise Crash
        raise Silent("The wire was cut.") if slack else Unavailable("The wire was cut.")


def about_to_hear(updates: bool) -> Newsroom:
    """A request of which nobody has heard yet; or one that was told, and has become an emergency since."""
    room = Newsroom()
    request = room.stage.asked(CAROL)
    if updates:
        room.catch_up()
        emergency.escalate(room.stage.world, CAROL, request.id, reason="nobody answers and it burns")
    return room


CALLS = {False: 5, True: 6}
"""Of a first message: request, messages, take, post, put. Of an update that calls everybody: one reply more."""


@pytest.mark.parametrize("updates", CALLS)
def test_the_calls_of_one_message_are_counted(updates: bool) -> None:
    room = about_to_hear(updates)
    wire = Wire(room)
    assert room.handed(room.stream(), **wire.ports).failed is None
    assert wire.calls == CALLS[updates]


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
@pytest.mark.parametrize(
    ("updates", "number"), [(updates, n) for updates, calls in CALLS.items() for n in range(1, calls + 1)]
)
def test_given_one_call_fails_then_there_is_one_message_in_the_end_and_it_shows_the_end(
    updates: bool, number: int, fault: Fault
) -> None:
    room = about_to_hear(updates)
    wire = Wire(room, number, fault)
    with suppress(Crash):
        room.handed(room.stream(), **wire.ports)
    room.stage.pass_time(LEASE)
    [request] = room.stage.requests._requests.values()
    deciding_or_ending(room, request)
    room.catch_up()
    room.assert_all_is_told()
    assert len(room.workspace.replies()) >= updates


ANSWERS = {
    "fine": None,
    "lost": SlackFault(silent=True),
    "unanswered": SlackFault(silent=True, after=True),
    "throttled": SlackFault(retry_after=1),
    "broken": SlackFault(status=500, error="internal_error"),
}


@pytest.mark.parametrize("answers", list(itertools.product(ANSWERS, repeat=3)), ids="-".join)
@pytest.mark.parametrize("updates", CALLS)
def test_given_slack_goes_wrong_again_and_again_then_there_is_one_message_in_the_end(
    updates: bool, answers: tuple[str, ...]
) -> None:
    room = about_to_hear(updates)
    room.workspace.fail(*(ANSWERS[answer] for answer in answers))
    room.catch_up()
    room.assert_all_is_told()


def deciding_or_ending(room: Newsroom, request: Request) -> None:
    ending.cancel(room.stage.world, CAROL, request.id)


def test_where_slack_may_not_be_searched_a_crash_leaves_two_messages_rather_than_none() -> None:
    room = about_to_hear(updates=False)
    wire = Wire(room, 4, Fault.CRASH_AFTER)
    with suppress(Crash):
        room.handed(room.stream(), **wire.ports)
    room.workspace.missing_scopes = {"conversations.history"}
    room.stage.pass_time(LEASE)
    room.catch_up()
    assert len(room.workspace.messages()) == 2


# Two at once, which happens where a run is slower than Lambda's patience: at every call of the one the other runs.


@pytest.mark.parametrize(
    ("updates", "number"), [(updates, n) for updates, calls in CALLS.items() for n in range(1, calls + 1)]
)
def test_given_another_run_comes_between_then_one_of_them_waits_and_one_message_shows_the_end(
    updates: bool, number: int
) -> None:
    room = about_to_hear(updates)
    records = room.stream()
    [request] = room.stage.requests._requests.values()
    wire = Wire(room)
    call = wire._call

    def between(act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if wire.calls + 1 == number:
            deciding_or_ending(room, request)
            room.handed(room.stream())
        return call(act, *args, **kwargs)

    wire._call = between  # type: ignore[method-assign]
    handled = room.handed(records, **wire.ports)
    if handled.failed:
        assert handled.why is not None
    room.catch_up()
    room.assert_all_is_told()
    over = ["no longer asks" in text for text in room.message(request).texts]
    assert over == sorted(over), "an older state was shown over a newer one"


def test_a_bug_at_one_request_is_buried_and_holds_up_no_other() -> None:
    room = Newsroom()
    broken, whole = room.stage.asked(CAROL), room.stage.asked(CAROL)
    get = room.stage.requests.get

    class Requests:
        def get(self, request_id: str) -> Request | None:
            if request_id == broken.id:
                raise RuntimeError("a bug")
            return get(request_id)

        def __getattr__(self, name: str) -> Any:
            return getattr(room.stage.requests, name)

    handled = room.handed(room.stream(), requests=Requests())
    assert handled.failed is None
    [letter] = room.dead.letters
    assert (letter["sink"], letter["error"]) == ("slack", "RuntimeError")
    assert broken.id in str(letter["keys"])
    assert room.message(whole)


def test_nothing_is_posted_for_what_is_no_new_event() -> None:
    room = Newsroom()
    room.stage.asked(CAROL)
    [record] = room.stream()
    modified = {**record, "eventName": "MODIFY"}
    removed = {**record, "eventName": "REMOVE", "dynamodb": {**record["dynamodb"], "NewImage": None}}
    del removed["dynamodb"]["NewImage"]
    assert handle([modified, removed], read=lambda _: None, sinks={}, dead=None).failed is None
    assert room.handed([modified, removed]).announced == 0
    assert room.workspace.calls == []
