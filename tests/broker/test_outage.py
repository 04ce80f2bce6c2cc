"""The table is out: a new emergency goes on the record in a queue, once per person; everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from chalicelib.broker import asking, deciding, draining, emergency, lending, outage
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import Entry
from chalicelib.core.ledger import beginning, first_break
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import NotEligible, Refusal, StsRefused, TooLong, Unavailable
from chalicelib.core.request import SessionStatus
from chalicelib.web.endpoints import ENDPOINTS
from tests.builders import HOUR, NOW, SECOND
from tests.fakes import Effect, FakeQueue
from tests.people import ALICE, BOB, CAROL, DAVE, now_in
from tests.stage import Stage, an_ask
from tests.web.api import Api

FIRE = an_ask(reason="payments are down for everybody", break_glass=True)
KEY = IdempotencyKey("POST /credentials", "k-1")
BODY = {
    "role": "payments-admin",
    "duration_seconds": 3600,
    "reason": "payments are down for everybody",
    "break_glass": True,
}


def burning(*, off: bool = True) -> tuple[Stage, FakeQueue]:
    """A stage with an emergency queue, whose table is out."""
    stage = Stage()
    stage.queue = FakeQueue(lambda: stage.now)
    stage.requests.off = off
    return stage, stage.queue


def broken(stage: Stage, who=CAROL, wish=FIRE, key: IdempotencyKey | None = None) -> Credentials:
    outcome = lending.ask_and_lend(stage.world, who, wish, key)
    assert isinstance(outcome, Credentials)
    return outcome


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Unavailable) as caught:
        act()
    return caught.value.detail


def told(queue: FakeQueue) -> list[str]:
    """The types of all events in the queue, of one request, having checked that they are one chain."""
    found = queue.entries
    events = [event for entry in found for event in entry.events]
    assert first_break(beginning(found[0].request.id), events) is None
    assert found[-1].request.head_hash == events[-1].hash
    return [event.type for event in events]


def test_given_the_table_is_out_when_breaking_the_glass_then_the_queue_is_the_record_and_the_credentials_come() -> None:
    stage, queue = burning()
    lent = broken(stage, key=KEY)
    assert lent.expiration == NOW + HOUR
    assert told(queue) == ["request.submitted", "break_glass.opened", "session.issuing", "session.issued"]
    opening, outcome = queue.entries
    assert {message.request_id for message in queue.messages} == {lent.request_id}
    assert opening.claim
    assert opening.claim.key == "k-1"
    assert outcome.claim is None
    assert outcome.session
    assert (outcome.session.status, outcome.session.access_key_id) == (SessionStatus.ISSUED, lent.access_key_id)


def test_when_sts_is_asked_the_sessions_name_is_in_the_queue_already() -> None:
    stage, queue = burning()
    lend = stage.lender.lend

    def looking_first(plan):
        assert queue.entries[-1].events[-1].details["session_name"] == plan.session_name
        return lend(plan)

    stage.lender.lend = looking_first  # type: ignore[method-assign]
    assert broken(stage)


def test_given_a_healthy_table_then_the_queue_is_not_touched() -> None:
    stage, queue = burning(off=False)
    queue.off = True
    assert broken(stage)


def test_given_the_table_took_it_all_the_same_then_the_queue_has_the_same_events() -> None:
    stage, queue = burning(off=False)
    stage.requests.fail_next(Effect.AFTER)
    lent = broken(stage)
    stored = stage.history(lent.request_id)
    assert queue.entries[0].events == tuple(stored)
    assert told(queue)[-1] == "session.issued", "what follows goes to the queue, too"


# What is judged is judged as ever.


@pytest.mark.parametrize(
    ("who", "changed"),
    [
        (ALICE, {}),
        (BOB, {}),
        (replace(CAROL, kind=Kind.WORKLOAD), {}),
        (replace(CAROL, mfa=False), {}),
        (now_in(CAROL, "sre", "oncall", "contractors"), {}),
        (CAROL, {"duration": 2 * HOUR}),
        (CAROL, {"role": "sandbox-admin"}),
        (CAROL, {"reason": "short"}),
    ],
)
def test_whom_the_catalogue_refuses_an_outage_does_not_help(who, changed) -> None:
    stage, queue = burning()
    with pytest.raises((NotEligible, TooLong, Refusal)) as refusal:
        broken(stage, who, replace(FIRE, **changed))
    assert not isinstance(refusal.value, Unavailable)
    assert (queue.messages, stage.lender.plans) == ([], [])


# Everything else is refused.


def test_nothing_but_a_new_emergency_goes_to_the_queue() -> None:
    stage, queue = burning(off=False)
    pending, approved = stage.asked(), stage.approved()
    burnt = broken(stage)
    stage.requests.off = True
    world = stage.world
    for act in (
        lambda: asking.ask(world, CAROL, FIRE, None),
        lambda: asking.ask(world, CAROL, an_ask(), None),
        lambda: lending.ask_and_lend(world, CAROL, an_ask(), None),
        lambda: lending.ask_and_lend(world, ALICE, an_ask("sandbox-admin"), None),
        lambda: lending.lend(world, CAROL, approved.id),
        lambda: lending.lend(world, CAROL, burnt.request_id),
        lambda: emergency.escalate(world, CAROL, pending.id, reason="nobody answers and it burns"),
        lambda: deciding.approve(world, BOB, pending.id, comment=None, duration=None),
    ):
        assert refused(act)
    assert queue.messages == []
    assert len(stage.lender.plans) == 1


def test_given_the_table_fails_halfway_through_an_emergency_that_it_took_then_nothing_goes_to_the_queue() -> None:
    stage, queue = burning(off=False)
    stage.requests.fail_next(Effect.BEFORE, after=1)
    refused(lambda: broken(stage))
    assert queue.messages == []


def test_every_address_that_needs_the_table_answers_503_and_the_emergency_200() -> None:
    stage, _ = burning(off=False)
    request = stage.asked()
    stage.requests.off = True
    api = Api(stage=stage)
    bodies = {
        "/requests": {key: BODY[key] for key in ("role", "duration_seconds", "reason")},
        "/credentials": {key: BODY[key] for key in ("role", "duration_seconds", "reason")},
        "/requests/{id}/deny": {"comment": "no"},
        "/requests/{id}/revoke": {"comment": "no"},
        "/requests/{id}/escalate": {"reason": "nobody answers and it burns"},
        "/requests/{id}/review": {"verdict": "justified", "comment": "seen"},
        "/slack/bind": {"code": "4f2a"},
    }
    queries = {"/events": "?day=2031-03-05"}
    answered = {
        (endpoint.method, endpoint.path): api.call(
            endpoint.method,
            "/v1" + endpoint.path.replace("{id}", request.id) + queries.get(endpoint.path, ""),
            bodies.get(endpoint.path, {}) if endpoint.method == "POST" else None,
            who=DAVE if endpoint.path == "/events" else CAROL,
        ).status
        for endpoint in ENDPOINTS
    }
    without_table = {("GET", "/me"): 200, ("GET", "/roles"): 200}
    assert answered == dict.fromkeys(answered, 503) | without_table
    lent = api.call("POST", "/v1/credentials", BODY)
    assert lent.status == 200
    again = api.call("POST", "/v1/credentials", BODY)
    assert (again.status, again.slug, again.headers["Retry-After"]) == (503, "unavailable", "5")
    assert lent.json["RequestId"] in again.json["detail"]


def test_a_table_that_cannot_keep_up_is_no_outage() -> None:
    stage, queue = burning(off=False)
    busy = Unavailable("Too much happens at once.")

    def submit(*_: object, **__: object) -> None:
        raise busy

    stage.requests.submit = submit  # type: ignore[method-assign]
    with pytest.raises(Unavailable) as refusal:
        broken(stage)
    assert refusal.value is busy
    assert queue.messages == []


def test_without_a_queue_it_is_refused_and_said_so() -> None:
    stage, _ = burning()
    stage.queue = None
    assert "no emergency queue" in refused(lambda: broken(stage))
    assert stage.lender.plans == []


def test_given_the_queue_is_out_too_then_nothing_is_lent_and_the_next_try_may_succeed() -> None:
    stage, queue = burning()
    queue.off = True
    assert "nothing was lent" in refused(lambda: broken(stage))
    assert stage.lender.plans == []
    queue.off = False
    assert broken(stage)


def test_given_the_outcome_cannot_be_put_down_then_nothing_is_handed_out_and_the_next_try_may_succeed() -> None:
    stage, queue = burning()
    lend = stage.lender.lend

    def then_the_queue_is_out(plan):
        queue.off = True
        return lend(plan)

    stage.lender.lend = then_the_queue_is_out  # type: ignore[method-assign]
    assert "not handed out" in refused(lambda: broken(stage))
    assert told(queue)[-1] == "session.issuing"
    queue.off, stage.lender.lend = False, lend  # type: ignore[method-assign]
    assert broken(stage)


@pytest.mark.parametrize(
    ("fails", "raises", "status"),
    [
        (lambda stage: stage.lender.refuse_next(), StsRefused, "approved"),
        (lambda stage: stage.lender.time_out_next(Effect.AFTER), Unavailable, "used"),
    ],
    ids=["refused", "no answer"],
)
def test_given_sts_lends_nothing_then_that_is_in_the_queue_and_the_next_try_may_succeed(fails, raises, status) -> None:
    stage, queue = burning()
    fails(stage)
    with pytest.raises(raises):
        broken(stage)
    assert told(queue)[-1] == "session.failed"
    assert queue.entries[-1].request.status == status
    assert broken(stage)


@pytest.mark.parametrize(("seconds", "lends"), [(12, True), (13, False)])
def test_given_the_table_took_too_long_to_fail_then_sts_is_not_asked(seconds: int, lends: bool) -> None:
    stage, queue = burning()
    put = queue.put

    def slow(entry: Entry) -> None:
        stage.pass_time(timedelta(seconds=seconds) if entry.opens else timedelta())
        put(entry)

    queue.put = slow  # type: ignore[method-assign]
    assert timedelta(seconds=12) == outage.PATIENCE
    if lends:
        assert broken(stage)
    else:
        assert "STS was not asked" in refused(lambda: broken(stage))
        assert told(queue)[-1] == "session.failed"
        assert stage.lender.plans == []


def test_given_the_access_ended_while_sts_lent_it_then_it_is_not_handed_out() -> None:
    stage, queue = burning()
    lend = stage.lender.lend

    def slow(plan):
        stage.pass_time(61 * SECOND)
        return lend(plan)

    stage.lender.lend = slow  # type: ignore[method-assign]
    with pytest.raises(Refusal, match="ended while the session was made"):
        broken(stage, wish=replace(FIRE, duration=60 * SECOND))
    assert told(queue)[-1] == "session.failed"


# Once for each person and outage.


def test_a_second_emergency_in_the_same_outage_is_refused_naming_the_first_and_another_persons_is_not() -> None:
    stage, queue = burning()
    first = broken(stage)
    assert first.request_id in refused(lambda: broken(stage))
    assert broken(stage, replace(CAROL, id="cora@example.com"))
    assert len(queue.entries) == 4


def test_the_next_may_be_opened_once_a_write_of_this_process_has_succeeded() -> None:
    stage, _ = burning()
    broken(stage)
    refused(lambda: broken(stage))
    stage.requests.off = False
    stage.asked(ALICE, an_ask("sandbox-admin"))
    stage.requests.off = True
    assert broken(stage)
    refused(lambda: broken(stage))


def test_reading_the_table_is_no_sign_that_it_can_be_written_to() -> None:
    stage, _ = burning()
    broken(stage)
    stage.requests.off = False
    stage.requests.everything(after=None, limit=1)
    stage.requests.off = True
    refused(lambda: broken(stage))


def test_of_many_at_once_one_is_lent() -> None:
    stage, queue = burning()
    world, barrier = stage.world, Barrier(8)

    def one(_: int) -> bool:
        barrier.wait()
        try:
            return isinstance(lending.ask_and_lend(world, CAROL, FIRE, None), Credentials)
        except Unavailable:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(8))) == [False] * 7 + [True]
    assert len(stage.lender.lent) == 1
    assert len(queue.entries) == 2


# Afterwards.


def test_given_the_table_is_back_then_the_drain_restores_one_unbroken_history_and_all_goes_on_from_there() -> None:
    stage, queue = burning()
    lent = broken(stage, key=KEY)
    stage.pass_time(10 * timedelta(minutes=1))
    stage.requests.off = False
    assert stage.requests.get(lent.request_id) is None
    done = [drained.outcome for drained in draining.drain(stage.world)]
    assert done == [draining.Outcome.WRITTEN] * 2
    assert queue.messages == []
    assert stage.types(lent.request_id) == [
        "request.submitted",
        "break_glass.opened",
        "session.issuing",
        "session.issued",
    ]
    [session] = stage.sessions(lent.request_id)
    assert session.access_key_id == lent.access_key_id
    again = broken(stage, key=KEY)
    assert again.request_id == lent.request_id, "the key is bound to it"
    assert len(stage.history(lent.request_id)) == 6
