"""What people take out of their days: the rules that the table and its fake both keep; then what only the table has."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.aws.table import Table
from chalicelib.broker.ports import AlreadyClaimed, DayIsUsed, Requests, Stale
from chalicelib.core.ledger import EventType
from chalicelib.core.quotas import Charge
from chalicelib.core.refusals import Unavailable
from tests.builders import HOUR, NOW, a_change, a_claim, a_request, a_submission
from tests.fakes import Effect, FakeRequests


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Requests:
    made: Requests = FakeRequests() if request.param == "memory" else request.getfixturevalue("table")
    return made


def a_charge(amount: int = 1, limit: int = 5, **changed: Any) -> Charge:
    charge = Charge(principal_id="alice@example.com", day=NOW.date(), limit=limit, needs=amount, takes=amount)
    return replace(charge, **changed)


def seconds(amount: int = 3600, limit: int = 4 * 3600, **changed: Any) -> Charge:
    return a_charge(amount, limit, **{"rule": "sre read", "role": "read", **changed})


def submit(store: Requests, charge: Charge, **how: Any) -> None:
    given = {"claim": None, "max_open": 100, "now": NOW} | how
    store.submit(replace(a_submission(a_request(requester=charge.principal_id)), charge=charge), **given)


def used(store: Requests, charge: Charge) -> int:
    """What is used of the day, as a charge hears that needs more than there ever is."""
    with pytest.raises(DayIsUsed) as refusal:
        submit(store, replace(charge, needs=10**9, takes=0))
    return refusal.value.used


def test_a_day_takes_as_much_as_its_limit_and_not_one_more(store: Requests) -> None:
    for _ in range(5):
        submit(store, a_charge())
    with pytest.raises(DayIsUsed) as refusal:
        submit(store, a_charge())
    assert (refusal.value.charge, refusal.value.used) == (a_charge(), 5)


def test_where_the_day_is_used_up_nothing_is_stored(store: Requests) -> None:
    submit(store, a_charge(5))
    refused = replace(a_submission(), charge=a_charge())
    with pytest.raises(DayIsUsed):
        store.submit(refused, claim=a_claim(), max_open=100, now=NOW)
    assert store.get(refused.after.id) is None
    store.submit(replace(refused, charge=None), claim=a_claim(), max_open=100, now=NOW)  # nor was the claim
    with pytest.raises(DayIsUsed):
        store.commit(replace(a_change(refused.after), charge=a_charge()))
    assert store.get(refused.after.id) == refused.after


def test_a_transition_is_charged_like_a_new_request(store: Requests) -> None:
    submission = a_submission()
    store.submit(submission, claim=None, max_open=100, now=NOW)
    change = replace(a_change(submission.after), charge=seconds())
    store.commit(change)
    assert store.get(submission.after.id) == change.after
    assert used(store, seconds()) == 3600


@pytest.mark.parametrize(
    "other",
    [
        {"principal_id": "bob@example.com"},
        {"day": NOW.date() + timedelta(days=1)},
        {"role": "write"},
        {"rule": "sre write"},
        {"rule": None, "role": None},
        {"role": "read-sre", "rule": "read"},
    ],
    ids=str,
)
def test_each_person_day_role_and_rule_is_counted_for_itself_and_emergencies_too(
    store: Requests, other: dict[str, Any]
) -> None:
    submit(store, seconds(4 * 3600))
    submit(store, seconds(4 * 3600, **other))
    assert used(store, seconds()) == used(store, seconds(**other)) == 4 * 3600


def test_a_rules_name_may_hold_anything(store: Requests) -> None:
    for rule in ("a#b", "a", "b#a", "ä → \u2603", "x" * 100):
        submit(store, seconds(rule=rule, limit=3600))
    assert used(store, seconds(rule="a#b")) == used(store, seconds(rule="ä → \u2603")) == 3600


def test_asking_for_room_takes_none(store: Requests) -> None:
    for _ in range(3):
        submit(store, seconds(4 * 3600).only_asked())
    submit(store, seconds(3600))
    with pytest.raises(DayIsUsed):
        submit(store, seconds(4 * 3600).only_asked())
    assert used(store, seconds()) == 3600


def test_what_is_given_back_is_there_again_whatever_the_limit_is_by_then(store: Requests) -> None:
    submit(store, seconds(4 * 3600))
    submit(store, replace(seconds(3600).given_back(), limit=1))
    assert used(store, seconds()) == 3 * 3600
    submit(store, seconds(3600))


def test_a_limit_that_is_lowered_counts_what_is_used_already_and_one_that_is_raised_makes_room(store: Requests) -> None:
    submit(store, a_charge(5, limit=5))
    with pytest.raises(DayIsUsed) as refusal:
        submit(store, a_charge(limit=3))
    assert refusal.value.used == 5
    submit(store, a_charge(limit=6))


def test_more_than_there_is_in_a_day_is_refused_on_a_day_of_which_nothing_is_used(store: Requests) -> None:
    with pytest.raises(DayIsUsed) as refusal:
        submit(store, seconds(4 * 3600 + 1))
    assert refusal.value.used == 0


@pytest.mark.parametrize("takes", [(4, 2), (1, 5), (3, 3)])
def test_any_amounts_fit_that_together_do_not_exceed_the_limit(store: Requests, takes: tuple[int, int]) -> None:
    first, second = takes
    submit(store, a_charge(first, limit=5))
    with pytest.raises(DayIsUsed):
        submit(store, a_charge(second, limit=5))
    submit(store, a_charge(5 - first, limit=5))
    assert used(store, a_charge()) == 5


# What stands in the way is told rightly, whatever else does too.


def test_a_key_that_was_used_is_told_before_a_day_that_is(store: Requests) -> None:
    first = replace(a_submission(), charge=a_charge(5))
    store.submit(first, claim=a_claim(), max_open=100, now=NOW)
    with pytest.raises(AlreadyClaimed, match=first.after.id):
        submit(store, a_charge(), claim=a_claim())


def test_a_request_that_changed_meanwhile_is_told_before_a_day_that_is_used_up(store: Requests) -> None:
    submission = replace(a_submission(), charge=a_charge(5))
    store.submit(submission, claim=None, max_open=100, now=NOW)
    store.commit(a_change(submission.after))
    with pytest.raises(Stale):
        store.commit(replace(a_change(submission.after), charge=a_charge()))


def test_a_day_that_is_used_up_is_told_before_too_many_open_requests(store: Requests) -> None:
    submit(store, a_charge(5))
    with pytest.raises(DayIsUsed):
        submit(store, a_charge(), max_open=1)


def an_emergency(requester: str, review_by: datetime, at: datetime = NOW, charge: Charge | None = None) -> Any:
    request = a_request(requester=requester, break_glass=True, review_by=review_by)
    change = a_submission(request).then(EventType.BREAK_GLASS_OPENED, at=at, actor=requester, details={})
    return replace(change, charge=charge)


def test_a_day_that_is_used_up_is_told_whatever_else_waits_for_review(store: Requests) -> None:
    store.submit(an_emergency("alice@example.com", NOW + HOUR, charge=a_charge(5)), claim=None, max_open=9, now=NOW)
    for review_by in (NOW + HOUR / 2, NOW + 2 * HOUR):
        for at in (NOW, NOW + HOUR):  # not overdue, and overdue
            late = an_emergency("alice@example.com", review_by + (at - NOW), at, a_charge())
            with pytest.raises(DayIsUsed):
                store.submit(late, claim=None, max_open=9, now=at)


# Races and lost answers.


@pytest.mark.parametrize("takes", [1, 2])
def test_of_many_at_once_as_many_are_stored_as_there_is_room_for(store: Requests, takes: int) -> None:
    barrier = Barrier(6)

    def one(_: int) -> type[Exception] | None:
        barrier.wait()
        try:
            submit(store, a_charge(takes, limit=4))
        except DayIsUsed as error:
            return type(error)
        return None

    with ThreadPoolExecutor(6) as pool:
        outcomes = Counter(pool.map(one, range(6)))
    assert outcomes == {None: 4 // takes, DayIsUsed: 6 - 4 // takes}
    assert used(store, a_charge()) == 4


@pytest.mark.parametrize(("effect", "stored"), [(Effect.BEFORE, 0), (Effect.AFTER, 1)])
def test_the_fake_charges_what_it_stores_and_nothing_else(effect: Effect, stored: int) -> None:
    fake = FakeRequests()
    fake.fail_next(effect)
    with pytest.raises(Unavailable, match="told not to answer"):
        submit(fake, a_charge())
    assert fake.used.total() == stored


def test_a_transaction_whose_answer_is_lost_is_sent_again_and_not_charged_twice(table: Table) -> None:
    sent: list[object] = []

    def done_but_unanswered(request: Any, **_: Any) -> None:
        sent.append(request)
        if len(sent) == 1:
            table.client._endpoint.http_session.send(request)  # type: ignore[attr-defined]
            raise ReadTimeoutError(endpoint_url=request.url)

    table.client.meta.events.register("before-send.dynamodb.TransactWriteItems", done_but_unanswered)
    submit(table, a_charge())
    assert len(sent) == 2
    assert used(table, a_charge()) == 1


# The table's own.


@pytest.fixture
def calls(table: Table) -> list[str]:
    made: list[str] = []
    table.client.meta.events.register(
        "before-send.dynamodb", lambda event_name, **_: made.append(event_name.rpartition(".")[2])
    )
    return made


def test_charging_takes_no_call_of_its_own_and_refusing_none_either(table: Table, calls: list[str]) -> None:
    submit(table, a_charge(5))
    assert calls == ["TransactWriteItems"]
    calls.clear()
    with pytest.raises(DayIsUsed):
        submit(table, a_charge())
    assert calls == ["TransactWriteItems"]


def counters(table: Table) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = table.client.scan(TableName=table._name)["Items"]
    return [item for item in items if item["kind"]["S"] == "day"]


@pytest.mark.parametrize(
    ("charge", "key"),
    [(a_charge(), "day#2031-03-05#break-glass"), (seconds(), "day#2031-03-05#read#sre read")],
    ids=["emergencies", "seconds"],
)
def test_a_counter_reads_well_in_the_console_and_goes_away_a_day_after_its_own(
    table: Table, charge: Charge, key: str
) -> None:
    submit(table, charge)
    [item] = counters(table)
    assert (item["pk"]["S"], item["sk"]["S"]) == ("principal#alice@example.com", key)
    assert (item["used"]["N"], item["schema"]["N"]) == (str(charge.takes), "1")
    assert datetime.fromtimestamp(int(item["until"]["N"]), NOW.tzinfo) == datetime(2031, 3, 7, tzinfo=NOW.tzinfo)


def test_a_counter_that_is_gone_by_now_is_no_obstacle_to_giving_back(table: Table) -> None:
    submit(table, seconds(day=date(2031, 3, 1)).given_back())
    [item] = counters(table)
    assert item["used"]["N"] == "-3600"
