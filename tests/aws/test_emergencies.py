"""Emergencies that wait for their review: the rules that the table and its fake both keep."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from chalicelib.aws.table import Table
from chalicelib.broker.ports import QuotaFull, Requests, ReviewIsOverdue, Stale
from chalicelib.core.catalogue import Who
from chalicelib.core.ledger import EventType
from chalicelib.core.life import Status
from chalicelib.core.request import Change, Request, Review, Verdict
from tests.builders import HOUR, NOW, SECOND, a_request
from tests.fakes import FakeRequests


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Requests:
    made: Requests = FakeRequests() if request.param == "memory" else request.getfixturevalue("table")
    return made


def an_emergency(within: timedelta = 24 * HOUR, at=NOW, **changed) -> Change:
    request = a_request(
        status=Status.APPROVED,
        stages=(),
        break_glass=True,
        reviewers=(Who(groups=frozenset({"security"})),),
        review_by=at + within,
        **changed,
    )
    return Change(None, request).then(
        EventType.BREAK_GLASS_OPENED, at=at, actor=request.requester.id, details={"severity": "critical"}
    )


def opened(store: Requests, within: timedelta = 24 * HOUR, at=NOW, max_open: int = 100, **changed) -> Request:
    change = an_emergency(within, at, **changed)
    store.submit(change, claim=None, max_open=max_open, now=at)
    return change.after


def reviewed(store: Requests, request: Request) -> None:
    review = Review(verdict=Verdict.JUSTIFIED, by="dave@example.com", at=NOW, comment="seen")
    change = Change(request, request).then(
        EventType.BREAK_GLASS_REVIEWED, at=NOW, actor=review.by, details={}, review=review
    )
    store.commit(change)


def escalated(request: Request, at=NOW) -> Change:
    return Change(request, request).then(
        EventType.BREAK_GLASS_OPENED,
        at=at,
        actor=request.requester.id,
        details={},
        status=Status.APPROVED,
        break_glass=True,
        review_by=at + 24 * HOUR,
    )


def test_an_emergency_comes_back_as_it_was_stored(store: Requests) -> None:
    request = opened(store)
    assert store.get(request.id) == request


def test_an_overdue_one_bars_the_next_to_the_second_and_is_named(store: Requests) -> None:
    first = opened(store, within=HOUR)
    opened(store, at=NOW + HOUR - SECOND)
    with pytest.raises(ReviewIsOverdue) as refusal:
        opened(store, at=NOW + HOUR)
    assert refusal.value.request_id == first.id


def test_nobody_elses_is_barred_and_nothing_that_is_no_emergency(store: Requests) -> None:
    opened(store, within=HOUR)
    assert opened(store, at=NOW + HOUR, requester="bob@example.com")
    ordinary = Change(None, a_request()).then(EventType.SUBMITTED, at=NOW + 2 * HOUR, actor="x", details={})
    store.submit(ordinary, claim=None, max_open=100, now=NOW + 2 * HOUR)


@pytest.mark.parametrize("order", [*permutations([1, 2, 3])])
def test_the_first_that_is_due_counts_in_whatever_order_they_were_opened_and_reviewed(
    store: Requests, order: tuple[int, ...]
) -> None:
    waiting = {hours: opened(store, within=hours * HOUR) for hours in order}
    for hours in order:
        first = min(waiting)
        with pytest.raises(ReviewIsOverdue) as refusal:
            opened(store, at=NOW + first * HOUR)
        assert refusal.value.request_id == waiting[first].id
        reviewed(store, waiting.pop(hours))
    assert opened(store, at=NOW + 24 * HOUR)


def test_a_review_is_stored_once(store: Requests) -> None:
    request = opened(store)
    reviewed(store, request)
    with pytest.raises(Stale):
        reviewed(store, request)
    found = store.get(request.id)
    assert found is not None
    assert found.review is not None


def test_becoming_an_emergency_is_barred_like_opening_one(store: Requests) -> None:
    first = opened(store, within=HOUR)
    pending = Change(None, a_request()).then(EventType.SUBMITTED, at=NOW, actor="x", details={})
    store.submit(pending, claim=None, max_open=100, now=NOW)
    with pytest.raises(ReviewIsOverdue) as refusal:
        store.commit(escalated(pending.after, at=NOW + HOUR))
    assert refusal.value.request_id == first.id
    assert store.get(pending.after.id) == pending.after
    reviewed(store, first)
    store.commit(escalated(pending.after, at=NOW + HOUR))


def test_the_quota_of_open_requests_counts_emergencies_too_and_time_frees_it(store: Requests) -> None:
    use_by = NOW + HOUR
    for _ in range(2):
        opened(store, max_open=2, use_by=use_by)
    with pytest.raises(QuotaFull):
        opened(store, max_open=2)
    assert opened(store, max_open=2, at=use_by)


def test_given_quota_and_review_both_in_the_way_then_the_review_is_told(store: Requests) -> None:
    for _ in range(2):
        opened(store, within=HOUR, max_open=2)
    with pytest.raises((ReviewIsOverdue, QuotaFull)):
        opened(store, at=NOW + HOUR, max_open=2)


def test_a_transition_of_an_emergency_does_not_open_it_again(store: Requests) -> None:
    request = opened(store, within=HOUR)
    used = Change(request, request).then(EventType.CANCELLED, at=NOW + 2 * HOUR, actor="x", details={})
    store.commit(replace(used))


def test_given_the_last_one_is_reviewed_between_two_tries_then_the_next_is_opened_all_the_same(table: Table) -> None:
    waiting = opened(table, within=2 * HOUR)
    tries: list[str] = []

    def between(**_: object) -> None:
        tries.append("try")
        if len(tries) == 2:  # the first try met a later deadline; the second is about to be sent
            reviewed(table, waiting)

    table.client.meta.events.register("before-call.dynamodb.TransactWriteItems", between)
    assert opened(table, within=HOUR)
    assert len(tries) > 2
