"""Races, with threads against the embedded engine: one transition each, or one clear answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

from chalicelib.aws.emergencies import waiting
from chalicelib.broker import asking, deciding, emergency, ending, extending, lending, revoking, sweeping
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Catalogue, Quotas
from chalicelib.core.ledger import beginning, first_break
from chalicelib.core.life import Status
from chalicelib.core.refusals import Refusal
from chalicelib.core.request import Request, Verdict
from tests.builders import a_principal
from tests.hub import Hub
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import CATALOGUE, an_ask, more_of, with_rules

MINUTE = timedelta(minutes=1)
SANDBOX = "engineers administer the sandbox"


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """The outcomes of acts that all begin at the same moment: what they return, or the slug of their refusal."""
    start = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return act()
        except Refusal as refusal:
            return refusal.slug

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def history(hub: Hub, id: str) -> list[str]:
    events = hub.world.requests.events(id, after=0, limit=1000).items
    assert first_break(beginning(id), events) is None
    return [event.type for event in events]


def clock_at(hub: Hub, now: datetime) -> World:
    return replace(hub.world, now=lambda: now)


def with_catalogue(hub: Hub, catalogue: Catalogue) -> World:
    now = hub.world.now()  # one instant: midnight may not come between
    return replace(hub.world, catalogue=lambda: catalogue, now=lambda: now)


def hours_a_day(count: int) -> Catalogue:
    """The sandbox for an hour at a time, and so many of them a day."""
    return with_rules((SANDBOX, {"max_duration": timedelta(hours=1), "max_per_day": timedelta(hours=count)}))


def counters(hub: Hub) -> dict[str, int]:
    """What is used of all days, by quota."""
    items = hub.table.client.scan(TableName=hub.table._name)["Items"]
    return {item["sk"]["S"].split("#", 2)[2]: int(item["used"]["N"]) for item in items if item["kind"]["S"] == "day"}


def asked(hub: Hub) -> str:
    return asking.ask(hub.world, CAROL, an_ask(), None).request.id


def leads(count: int):
    return [a_principal(f"lead-{n}@example.com", groups=frozenset({"sre-leads"})) for n in range(count)]


def test_of_eight_approvers_at_the_same_instant_one_approves_and_seven_hear_that_it_is_done(hub: Hub) -> None:
    id = asked(hub)
    outcomes = at_once(
        *[lambda who=who: deciding.approve(hub.world, who, id, comment=None, duration=None).status for who in leads(8)]
    )
    assert Counter(outcomes) == {Status.APPROVED: 1, "not-pending": 7}
    assert history(hub, id) == ["request.submitted", "request.approved"]


def test_a_yes_and_a_no_and_a_cancellation_at_the_same_instant_give_one_of_them(hub: Hub) -> None:
    for _ in range(5):
        id = asked(hub)
        yes, no = leads(2)
        outcomes = at_once(
            lambda: deciding.approve(hub.world, yes, id, comment=None, duration=None).status,
            lambda: deciding.deny(hub.world, no, id, comment="no").status,
            lambda: ending.cancel(hub.world, CAROL, id).status,
        )
        told = history(hub, id)
        final = hub.world.requests.get(id)
        assert final is not None
        # A cancellation may come after a yes, which it takes back; nothing comes after a no or a cancellation.
        assert told[1:] in (
            ["request.approved"],
            ["request.denied"],
            ["request.cancelled"],
            ["request.approved", "request.cancelled"],
        )
        assert final.status.value == told[-1].removeprefix("request.")
        assert all(isinstance(outcome, Status) or outcome in ("not-pending", "not-cancellable") for outcome in outcomes)


def test_eight_first_uses_at_the_same_instant_open_one_window_and_all_get_credentials(hub: Hub) -> None:
    id = asked(hub)
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    outcomes = at_once(*[lambda: lending.lend(hub.world, CAROL, id)] * 8)
    assert all(isinstance(outcome, Credentials) for outcome in outcomes), outcomes
    assert len({outcome.access_key_id for outcome in outcomes}) == 8
    assert len({outcome.session_name for outcome in outcomes}) == 8
    request = hub.world.requests.get(id)
    assert request is not None
    assert request.window is not None
    assert request.sessions_begun == 8
    assert Counter(history(hub, id)) == {
        "request.submitted": 1,
        "request.approved": 1,
        "session.issuing": 8,
        "session.issued": 8,
    }


def test_a_return_racing_issuances_never_lets_credentials_out_after_it(hub: Hub) -> None:
    id = asked(hub)
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    lending.lend(hub.world, CAROL, id)
    outcomes = at_once(
        *[lambda: lending.lend(hub.world, CAROL, id)] * 4, lambda: ending.give_back(hub.world, CAROL, id).status
    )
    told = history(hub, id)
    assert outcomes[-1] is Status.RETURNED
    assert "session.issued" not in told[told.index("request.returned") :]
    issued = sum(isinstance(outcome, Credentials) for outcome in outcomes)
    assert told.count("session.issued") == 1 + issued


def test_a_revocation_racing_issuances_never_lets_credentials_out_after_it_and_denies_what_there_is(hub: Hub) -> None:
    id = asked(hub)
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    lending.lend(hub.world, CAROL, id)
    outcomes = at_once(
        *[lambda: lending.lend(hub.world, CAROL, id)] * 4,
        lambda: revoking.revoke(hub.world, FRANK, id, comment="no more").status,
    )
    told = history(hub, id)
    assert outcomes[-1] is Status.REVOKED
    assert "session.issued" not in told[told.index("request.revoked") :]
    assert told.count("session.issued") == 1 + sum(isinstance(outcome, Credentials) for outcome in outcomes)
    assert told.count("deny.written") == 1


def test_of_two_who_revoke_at_once_one_does_and_the_other_helps_or_hears_that_it_is_done(hub: Hub) -> None:
    id = asked(hub)
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    lending.lend(hub.world, CAROL, id)
    outcomes = at_once(*[lambda who=who: revoking.revoke(hub.world, who, id, comment="no").status for who in leads(2)])
    assert Counter(outcomes) in ({Status.REVOKED: 1, "not-active": 1}, {Status.REVOKED: 2})
    told = history(hub, id)
    assert (told.count("request.revoked"), told.count("deny.written")) == (1, 1)


def in_use(hub: Hub) -> Request:
    id = asked(hub)
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    lending.lend(hub.world, CAROL, id)
    request = hub.world.requests.get(id)
    assert request is not None
    return request


def test_of_eight_extensions_at_the_same_instant_one_is_made_and_seven_hear_of_it(hub: Hub) -> None:
    base = in_use(hub)
    outcomes = at_once(*[lambda: extending.extend(hub.world, CAROL, more_of(base), None).request.id] * 8)
    [made] = [outcome for outcome in outcomes if outcome != "already-extended"]
    assert Counter(outcomes) == {made: 1, "already-extended": 7}
    known = hub.world.requests.get(base.id)
    assert known is not None
    assert known.extended_by == made
    assert history(hub, base.id).count("request.extended") == 1


def test_the_same_key_sent_eight_times_at_once_extends_once(hub: Hub) -> None:
    base, key = in_use(hub), IdempotencyKey("POST /requests", "k-race")
    outcomes = at_once(*[lambda: extending.extend(hub.world, CAROL, more_of(base), key).request.id] * 8)
    assert len(set(outcomes)) == 1, outcomes
    assert history(hub, base.id).count("request.extended") == 1


def test_an_extension_that_is_asked_for_while_its_base_is_revoked_is_refused_or_revoked_with_it(hub: Hub) -> None:
    for _ in range(5):
        base = in_use(hub)
        revoked, made = at_once(
            partial(revoking.revoke, hub.world, FRANK, base.id, comment="no more"),
            partial(extending.extend, hub.world, CAROL, more_of(base), None),
        )
        assert revoked.status is Status.REVOKED
        if made != "not-active":
            extension = hub.world.requests.get(made.request.id)
            assert extension is not None
            assert extension.status is Status.REVOKED
            assert history(hub, extension.id) == ["request.submitted", "request.revoked"]


def test_the_same_key_sent_eight_times_at_once_makes_one_request(hub: Hub) -> None:
    key = IdempotencyKey("POST /credentials", "k-race")
    outcomes = at_once(*[lambda: lending.ask_and_lend(hub.world, ALICE, an_ask("sandbox-admin"), key)] * 8)
    assert all(isinstance(outcome, Credentials) for outcome in outcomes), outcomes
    assert len({outcome.request_id for outcome in outcomes}) == 1


def test_two_emergencies_and_a_review_at_once_leave_one_true_record_of_what_waits(hub: Hub) -> None:
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    first = lending.ask_and_lend(hub.world, CAROL, fire, None)
    assert isinstance(first, Credentials)
    outcomes = at_once(
        *[lambda: lending.ask_and_lend(hub.world, CAROL, fire, None)] * 3,
        lambda: emergency.review(
            hub.world, DAVE, first.request_id, verdict=Verdict.JUSTIFIED, comment="I saw the pages"
        ),
    )
    opened = {outcome.request_id for outcome in outcomes if isinstance(outcome, Credentials)}
    assert len(opened) == 3, outcomes
    unreviewed = {entry.partition("#")[2] for entry in waiting(hub.table._emergencies, CAROL.id)}
    assert unreviewed == opened


def test_of_eight_emergencies_at_once_as_many_are_opened_as_the_day_allows(hub: Hub) -> None:
    three = with_catalogue(hub, replace(CATALOGUE, quotas=Quotas(break_glass_per_day=3)))
    pending = [asked(hub) for _ in range(4)]
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    why = "nobody answers and it burns"
    outcomes = at_once(
        *[lambda: bool(lending.ask_and_lend(three, CAROL, fire, None))] * 4,
        *[lambda id=id: bool(emergency.escalate(three, CAROL, id, reason=why)) for id in pending],
    )
    assert Counter(outcomes) == {True: 3, "quota-used": 5}, outcomes
    assert counters(hub) == {"break-glass": 3}


def test_of_eight_openings_at_once_no_more_are_held_than_the_day_allows_and_what_failed_is_given_back(hub: Hub) -> None:
    three = with_catalogue(hub, hours_a_day(3))
    ready = [asking.ask(three, ALICE, an_ask("sandbox-admin"), None).request.id for _ in range(4)]
    outcomes = at_once(
        *[lambda: lending.ask_and_lend(three, ALICE, an_ask("sandbox-admin"), None)] * 4,
        *[lambda id=id: lending.lend(three, ALICE, id) for id in ready],
    )
    assert Counter(map(type, outcomes)) == {Credentials: 3, str: 5}, outcomes
    assert set(outcomes) >= {"quota-used"}
    assert counters(hub) == {f"sandbox-admin#{SANDBOX}": 3 * 3600}


def test_eight_sessions_of_one_window_at_once_are_counted_once(hub: Hub) -> None:
    one = with_catalogue(hub, hours_a_day(1))
    id = asking.ask(one, ALICE, an_ask("sandbox-admin"), None).request.id
    outcomes = at_once(*[lambda: lending.lend(one, ALICE, id)] * 8)
    assert all(isinstance(outcome, Credentials) for outcome in outcomes), outcomes
    assert counters(hub) == {f"sandbox-admin#{SANDBOX}": 3600}


def test_openings_at_once_on_both_sides_of_midnight_have_a_day_each(hub: Hub) -> None:
    two = with_catalogue(hub, hours_a_day(2))
    midnight = (hub.world.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    sides = [
        replace(clock_at(hub, now), catalogue=two.catalogue) for now in (midnight - timedelta(seconds=1), midnight)
    ]
    outcomes = at_once(
        *[lambda side=side: lending.ask_and_lend(side, ALICE, an_ask("sandbox-admin"), None) for side in sides * 4]
    )
    for side in (outcomes[::2], outcomes[1::2]):
        assert Counter(map(type, side)) == {Credentials: 2, str: 2}, outcomes


def test_eight_sweepers_at_the_same_instant_announce_each_end_once(hub: Hub) -> None:
    before = clock_at(hub, hub.world.now() - timedelta(days=1))
    unanswered = [asking.ask(before, CAROL, an_ask(), None).request.id for _ in range(6)]
    used = [asking.ask(before, ALICE, an_ask("sandbox-admin"), None).request.id for _ in range(3)]
    for id in used:
        lending.lend(before, ALICE, id)
    outcomes = at_once(*[lambda: sweeping.sweep(hub.world)] * 8)
    assert [swept.failures for swept in outcomes] == [{}] * 8
    assert sum(swept.outcomes["expired"] for swept in outcomes) == 6
    assert sum(swept.outcomes["ended"] for swept in outcomes) == 3
    for id in unanswered:
        assert history(hub, id) == ["request.submitted", "request.expired"]
    for id in used:
        assert history(hub, id) == ["request.submitted", "session.issuing", "session.issued", "request.ended"]
    assert sweeping.sweep(hub.world).outcomes == {}


def test_a_yes_in_the_last_second_and_a_sweeper_minutes_ahead_leave_one_unbroken_history(hub: Hub) -> None:
    for _ in range(5):
        id = asked(hub)
        due = hub.world.now() + timedelta(hours=8)
        early, late = clock_at(hub, due - MINUTE), clock_at(hub, due + 2 * MINUTE)
        yes, swept = at_once(
            partial(deciding.approve, early, FRANK, id, comment=None, duration=None), partial(sweeping.sweep, late)
        )
        # Whoever was first; what a clock minutes behind approves all the same is due again, at its new end.
        assert history(hub, id)[1:] in (["request.approved"], ["request.expired", "request.approved"])
        assert (yes.status, swept.failures) == (Status.APPROVED, {})


def test_the_quota_holds_when_requests_are_made_at_once(hub: Hub) -> None:
    for _ in range(CATALOGUE.quotas.open_requests - 2):
        asking.ask(hub.world, CAROL, an_ask(), None)
    outcomes = at_once(*[lambda: asking.ask(hub.world, CAROL, an_ask(), None).replayed] * 6)
    assert Counter(outcomes) == {False: 2, "too-many-open": 4}
