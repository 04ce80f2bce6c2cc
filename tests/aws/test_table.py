"""The rules of `ports.Requests`, which the table and its fake both keep; then what only the table has to keep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import datetime, timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from pynamodb.exceptions import PynamoDBException

from chalicelib.aws import transaction
from chalicelib.aws.items import EventItem, NewerSchema, QuotaItem, RequestItem, SessionItem, shard
from chalicelib.aws.table import Table, create
from chalicelib.aws.transaction import PAUSES, Cancelled, Write
from chalicelib.broker.ports import AlreadyClaimed, Page, QuotaFull, Requests, Stale
from chalicelib.core.ledger import Event, EventType, Head, beginning, first_break, next_event
from chalicelib.core.life import Status, Window
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Change, Request, Session, SessionStatus
from tests import builders
from tests.builders import HOUR, NOW, SECOND, a_change, a_claim, a_request, a_session, a_submission, an_id
from tests.fakes import Effect, FakeRequests

T = TypeVar("T")

both = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Requests:
    made: Requests = FakeRequests() if request.param == "memory" else request.getfixturevalue("table")
    return made


def submitted(store: Requests, request: Request | None = None, **changed: Any) -> Request:
    change = a_submission(request, **changed)
    store.submit(change, claim=None, max_open=100, now=NOW)
    return change.after


def pages(one: Callable[[str | None], Page[T]]) -> list[tuple[T, ...]]:
    """All pages of a list, read on and on from the position that each gives."""
    page = one(None)
    read = [page.items]
    while page.next is not None:
        page = one(page.next)
        read.append(page.items)
    return read


def at_once(*calls: Callable[[], object]) -> list[Exception | None]:
    """Do all of them at the same moment; what each raised."""
    barrier = Barrier(len(calls))

    def outcome(call: Callable[[], object]) -> Exception | None:
        barrier.wait()
        try:
            call()
        except Exception as error:
            return error
        return None

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


# What was stored comes back.


@both
@given(request=builders.requests)
def test_any_request_comes_back_exactly_as_it_was_stored(store: Requests, request: Request) -> None:
    store.submit(Change(None, request), claim=None, max_open=100, now=NOW)
    assert store.get(request.id) == request


@both
@given(session=builders.sessions)
def test_any_session_comes_back_exactly_as_it_was_stored(store: Requests, session: Session) -> None:
    request = a_request(requester=an_id())
    store.submit(Change(None, request, session=session), claim=None, max_open=100, now=NOW)
    assert store.story(request.id) == (request, (session,))


@both
@given(details=builders.details)
def test_any_history_comes_back_unbroken(store: Requests, details: dict[str, Any]) -> None:
    request = a_request(requester=an_id())
    change = a_submission(request).then(EventType.APPROVED, at=NOW, actor="bob@example.com", details=details)
    store.submit(change, claim=None, max_open=100, now=NOW)
    events = store.events(request.id, after=0, limit=10).items
    assert events == change.events
    assert first_break(beginning(request.id), events) is None


def test_given_nothing_stored_then_there_is_no_request_no_story_and_no_history(store: Requests) -> None:
    assert store.get("nothing") is None
    assert store.story("nothing") is None
    assert store.events("nothing", after=0, limit=10) == Page((), None)


def test_given_a_transition_when_committed_then_request_event_and_session_are_all_there(store: Requests) -> None:
    request = submitted(store)
    session = a_session()
    change = a_change(request, EventType.SESSION_ISSUING, status=Status.APPROVED, session=session)
    store.commit(change)
    assert store.story(request.id) == (change.after, (session,))
    assert store.events(request.id, after=1, limit=10).items == change.events


def test_given_a_session_begun_when_its_outcome_is_committed_then_the_outcome_replaces_it(store: Requests) -> None:
    request, begun = submitted(store), a_session()
    issuing = a_change(request, EventType.SESSION_ISSUING, session=begun)
    store.commit(issuing)
    issued = replace(begun, status=SessionStatus.ISSUED, access_key_id="ASIA1", issued_at=NOW, expires_at=NOW + HOUR)
    store.commit(a_change(issuing.after, EventType.SESSION_ISSUED, session=issued))
    story = store.story(request.id)
    assert story is not None
    assert story[1] == (issued,)


def test_given_more_than_fifty_sessions_then_the_story_tells_the_last_fifty_oldest_first(store: Requests) -> None:
    request = submitted(store)
    sessions = [a_session() for _ in range(53)]
    for session in sessions:
        change = a_change(request, EventType.SESSION_ISSUING, session=session)
        store.commit(change)
        request = change.after
    assert store.story(request.id) == (request, tuple(sessions[3:]))


# One writer.


def test_given_a_change_of_an_older_version_when_committing_then_stale_and_nothing_is_stored(store: Requests) -> None:
    request = submitted(store)
    approved = a_change(request, status=Status.APPROVED)
    store.commit(approved)
    with pytest.raises(Stale):
        store.commit(a_change(request, EventType.DENIED, status=Status.DENIED, session=a_session()))
    assert store.story(request.id) == (approved.after, ())
    assert len(store.events(request.id, after=0, limit=10).items) == 2


def test_given_no_such_request_when_committing_then_stale(store: Requests) -> None:
    with pytest.raises(Stale):
        store.commit(a_change(a_submission().after))


def test_given_an_event_that_is_there_already_when_committing_then_stale_and_the_event_is_not_replaced(
    store: Requests,
) -> None:
    change = a_submission()
    store.submit(change, claim=None, max_open=1, now=NOW)
    forged = next_event(Head(0, "0" * 64), EventType.DENIED, NOW, "eve@example.com", {})
    with pytest.raises(Stale):
        store.commit(Change(change.after, replace(change.after, version=2), (forged,)))
    assert store.events(change.after.id, after=0, limit=10).items == change.events


def test_given_a_request_of_that_id_when_submitting_then_stale_and_the_first_one_stays(store: Requests) -> None:
    first = submitted(store)
    with pytest.raises(Stale):
        submitted(store, replace(first, version=0, head_hash="", reason="another"))
    assert store.get(first.id) == first


def test_given_a_new_request_when_committed_instead_of_submitted_then_it_is_refused_as_a_bug(store: Requests) -> None:
    with pytest.raises(ValueError, match="submitted"):
        store.commit(a_submission())


def test_given_two_who_decide_at_once_then_one_wins_and_the_other_is_told(store: Requests) -> None:
    request = submitted(store)
    approve = a_change(request, EventType.APPROVED, status=Status.APPROVED)
    deny = a_change(request, EventType.DENIED, status=Status.DENIED)
    outcomes = at_once(lambda: store.commit(approve), lambda: store.commit(deny))
    winner, (loser,) = outcomes.index(None), [error for error in outcomes if error]
    assert isinstance(loser, Stale)
    assert store.get(request.id) == (approve, deny)[winner].after
    assert len(store.events(request.id, after=0, limit=10).items) == 2


# Several requests in one transaction.


def test_given_a_transition_of_another_request_when_submitting_then_both_are_stored(store: Requests) -> None:
    base, new = submitted(store), a_submission()
    extended = a_change(base, EventType.EXTENDED, extended_by=new.after.id)
    store.submit(new, extended, claim=a_claim(), max_open=5, now=NOW)
    assert (store.get(base.id), store.get(new.after.id)) == (extended.after, new.after)
    assert store.events(base.id, after=1, limit=10).items == extended.events


def test_given_the_other_request_changed_when_submitting_then_stale_and_nothing_is_stored(store: Requests) -> None:
    base, new = submitted(store), a_submission()
    used = a_change(base)
    store.commit(used)
    with pytest.raises(Stale):
        store.submit(new, a_change(base, EventType.EXTENDED), claim=a_claim(), max_open=2, now=NOW)
    assert (store.get(base.id), store.get(new.after.id)) == (used.after, None)
    store.submit(new, a_change(used.after), claim=a_claim(), max_open=2, now=NOW)  # neither key nor place was taken


@pytest.mark.parametrize(("claimed", "told"), [(True, AlreadyClaimed), (False, Stale)])
def test_given_the_other_request_changed_too_when_there_are_obstacles_then_the_claim_is_told_first_and_the_quota_last(
    store: Requests, claimed: bool, told: type[Exception]
) -> None:
    base = submitted(store)
    store.commit(a_change(base))
    if claimed:
        store.submit(a_submission(requester="zoe@example.com"), claim=a_claim(), max_open=9, now=NOW)
    with pytest.raises(told):
        store.submit(a_submission(), a_change(base), claim=a_claim(), max_open=1, now=NOW)


def test_given_the_other_request_is_as_it_was_when_there_is_no_room_then_full_and_it_stays_so(store: Requests) -> None:
    base = submitted(store)
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), a_change(base), claim=None, max_open=1, now=NOW)
    assert store.get(base.id) == base


def test_given_places_that_time_has_freed_when_submitting_with_another_transition_then_both_are_stored(
    store: Requests,
) -> None:
    base = submitted(store, answer_by=NOW + HOUR)
    new, extended = a_submission(), a_change(base, EventType.EXTENDED)
    store.submit(new, extended, claim=None, max_open=1, now=NOW + HOUR)
    assert (store.get(base.id), store.get(new.after.id)) == (extended.after, new.after)


def test_given_transitions_of_several_requests_when_committing_then_all_are_stored(store: Requests) -> None:
    chain = [submitted(store) for _ in range(11)]  # the longest there is
    ended = [a_change(link, EventType.CANCELLED, status=Status.CANCELLED) for link in chain]
    store.commit(*ended)
    assert [store.get(link.id) for link in chain] == [change.after for change in ended]
    for change in ended:
        assert store.events(change.after.id, after=1, limit=10).items == change.events


@pytest.mark.parametrize("changed", range(3))
def test_given_any_of_them_changed_when_committing_then_stale_and_nothing_is_stored(
    store: Requests, changed: int
) -> None:
    chain = [submitted(store) for _ in range(3)]
    now = list(chain)
    other = a_change(chain[changed])
    store.commit(other)
    now[changed] = other.after
    with pytest.raises(Stale):
        store.commit(*[a_change(link, EventType.CANCELLED, status=Status.CANCELLED) for link in chain])
    assert [store.get(link.id) for link in chain] == now


def test_given_several_ended_at_once_then_none_of_them_takes_room(store: Requests) -> None:
    chain = [submitted(store) for _ in range(3)]
    first, *others = (a_change(link, EventType.RETURNED, status=Status.RETURNED) for link in chain[:2])
    store.commit(first, *others, a_change(chain[2]))
    store.submit(a_submission(), claim=None, max_open=2, now=NOW)
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), claim=None, max_open=2, now=NOW)


def test_given_two_new_requests_that_change_a_third_at_once_then_one_wins_and_nothing_is_left_of_the_other(
    store: Requests,
) -> None:
    base, first, second = submitted(store), a_submission(), a_submission()
    outcomes = at_once(
        *(
            lambda new=new: store.submit(new, a_change(base, extended_by=new.after.id), claim=None, max_open=9, now=NOW)
            for new in (first, second)
        )
    )
    assert Counter(map(type, outcomes)) == {type(None): 1, Stale: 1}
    winner, loser = (first, second) if outcomes[0] is None else (second, first)
    known = store.get(base.id)
    assert known is not None
    assert (known.extended_by, store.get(loser.after.id)) == (winner.after.id, None)


def test_given_a_new_request_among_the_others_then_it_is_refused_as_a_bug(store: Requests) -> None:
    request = submitted(store)
    with pytest.raises(ValueError, match="submitted"):
        store.commit(a_change(request), a_submission())
    with pytest.raises(ValueError, match="submitted"):
        store.submit(a_submission(), a_submission(), claim=None, max_open=9, now=NOW)
    assert store.get(request.id) == request


# One use of an Idempotency-Key.


def test_whether_a_key_was_used_can_be_asked_and_uses_it_not(store: Requests) -> None:
    claim = a_claim(until=NOW + HOUR, body_hash="one")
    store.claimed(claim, now=NOW)
    new = a_submission()
    store.submit(new, claim=claim, max_open=9, now=NOW)
    with pytest.raises(AlreadyClaimed) as told:
        store.claimed(a_claim(body_hash="two"), now=NOW + HOUR - SECOND)
    assert (told.value.request_id, told.value.body_hash) == (new.after.id, "one")
    store.claimed(a_claim(key="k-2"), now=NOW)
    store.claimed(claim, now=NOW + HOUR)


def test_given_a_key_used_before_when_submitting_then_told_which_request_and_body_and_nothing_is_stored(
    store: Requests,
) -> None:
    first, second = a_submission(), a_submission()
    store.submit(first, claim=a_claim(body_hash="one"), max_open=10, now=NOW)
    with pytest.raises(AlreadyClaimed) as told:
        store.submit(second, claim=a_claim(body_hash="two"), max_open=10, now=NOW)
    assert (told.value.request_id, told.value.body_hash) == (first.after.id, "one")
    assert store.get(second.after.id) is None


@pytest.mark.parametrize("changed", [{"principal_id": "bob@example.com"}, {"route": "POST /v1/x"}, {"key": "k-2"}])
def test_given_another_principal_route_or_key_when_submitting_then_it_is_another_claim(
    store: Requests, changed: dict[str, str]
) -> None:
    store.submit(a_submission(), claim=a_claim(), max_open=10, now=NOW)
    store.submit(a_submission(), claim=a_claim(**changed), max_open=10, now=NOW)


def test_given_parts_that_join_to_the_same_text_when_submitting_then_they_are_two_claims(store: Requests) -> None:
    store.submit(a_submission(), claim=a_claim(route="a", key="b c"), max_open=10, now=NOW)
    store.submit(a_submission(), claim=a_claim(route="a b", key="c"), max_open=10, now=NOW)


def test_a_claim_binds_until_its_end_and_no_longer(store: Requests) -> None:
    claim = a_claim(until=NOW + HOUR)
    store.submit(a_submission(), claim=claim, max_open=10, now=NOW)
    with pytest.raises(AlreadyClaimed):
        store.submit(a_submission(), claim=claim, max_open=10, now=NOW + HOUR - SECOND)
    third = a_submission()
    store.submit(third, claim=replace(claim, until=NOW + 9 * HOUR), max_open=10, now=NOW + HOUR)
    with pytest.raises(AlreadyClaimed, match=third.after.id):
        store.submit(a_submission(), claim=claim, max_open=10, now=NOW + 2 * HOUR)


def test_given_the_same_key_many_times_at_once_then_one_wins_and_the_others_are_told_of_it(store: Requests) -> None:
    changes = [a_submission() for _ in range(6)]
    outcomes = at_once(
        *(lambda change=change: store.submit(change, claim=a_claim(), max_open=10, now=NOW) for change in changes)
    )
    (winner,) = [change.after.id for change, error in zip(changes, outcomes, strict=True) if error is None]
    losers = [error for error in outcomes if error]
    assert [type(error) for error in losers] == [AlreadyClaimed] * 5
    assert {str(error) for error in losers} == {winner}
    assert [request.id for request in store.everything(after=None, limit=10).items] == [winner]


# So many open requests per person.


def test_given_as_many_open_as_may_be_when_submitting_then_full_and_nothing_is_stored(store: Requests) -> None:
    for _ in range(2):
        store.submit(a_submission(), claim=None, max_open=2, now=NOW)
    third = a_submission()
    with pytest.raises(QuotaFull):
        store.submit(third, claim=a_claim(), max_open=2, now=NOW)
    assert store.get(third.after.id) is None
    store.submit(third, claim=a_claim(), max_open=3, now=NOW)  # the claim was not stored either


def test_the_quota_is_each_persons_own(store: Requests) -> None:
    store.submit(a_submission(), claim=None, max_open=1, now=NOW)
    store.submit(a_submission(requester="bob@example.com"), claim=None, max_open=1, now=NOW)


@pytest.mark.parametrize("ending", [Status.DENIED, Status.CANCELLED, Status.RETURNED, Status.REVOKED])
def test_given_a_request_that_ended_then_it_takes_no_room(store: Requests, ending: Status) -> None:
    first = a_submission()
    store.submit(first, claim=None, max_open=1, now=NOW)
    ended = a_change(first.after, EventType.CANCELLED, status=ending)
    store.commit(ended)
    store.submit(a_submission(), claim=None, max_open=1, now=NOW)
    store.commit(a_change(ended.after))  # what happens to it later takes no room away from others either
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), claim=None, max_open=1, now=NOW)


def test_given_a_request_that_is_approved_or_used_then_it_still_takes_room(store: Requests) -> None:
    first = a_submission()
    store.submit(first, claim=None, max_open=1, now=NOW)
    approved = a_change(first.after, status=Status.APPROVED, use_by=NOW + HOUR)
    store.commit(approved)
    store.commit(a_change(approved.after, status=Status.USED, window=Window(NOW, NOW + HOUR)))
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), claim=None, max_open=1, now=NOW)


def test_given_requests_that_time_has_closed_when_there_is_no_room_then_they_make_room(store: Requests) -> None:
    for hours in (1, 2, 3):
        store.submit(a_submission(answer_by=NOW + hours * HOUR), claim=None, max_open=3, now=NOW)
    late = NOW + 2 * HOUR  # one was unanswered an hour ago, one is unanswered right now
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), claim=None, max_open=3, now=NOW + HOUR - SECOND)
    for _ in range(2):
        store.submit(a_submission(), claim=None, max_open=3, now=late)
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), claim=None, max_open=3, now=late)


def test_given_nothing_open_anymore_when_there_is_no_room_then_there_is(store: Requests) -> None:
    store.submit(a_submission(answer_by=NOW + HOUR), claim=None, max_open=1, now=NOW)
    store.submit(a_submission(), claim=None, max_open=1, now=NOW + HOUR)
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), claim=None, max_open=1, now=NOW + HOUR)


def test_given_one_free_place_and_many_who_want_it_then_one_gets_it(store: Requests) -> None:
    store.submit(a_submission(answer_by=NOW + HOUR), claim=None, max_open=1, now=NOW)
    later = NOW + HOUR  # the place must be made by whoever comes first
    outcomes = at_once(*[lambda: store.submit(a_submission(), claim=None, max_open=1, now=later)] * 5)
    assert Counter(map(type, outcomes)) == {type(None): 1, QuotaFull: 4}


# What stands in the way is told rightly, whatever else does too.


def _used_key(store: Requests) -> dict[str, Any]:
    store.submit(a_submission(requester="zoe@example.com"), claim=a_claim(), max_open=9, now=NOW)
    return {"claim": a_claim()}


def _same_id(store: Requests) -> dict[str, Any]:
    return {"id": submitted(store, requester="zoe@example.com").id}


def _no_room(store: Requests) -> dict[str, Any]:
    submitted(store)
    return {"max_open": 1}


@pytest.mark.parametrize(
    ("obstacles", "told"),
    [
        ((_used_key,), AlreadyClaimed),
        ((_same_id,), Stale),
        ((_no_room,), QuotaFull),
        ((_used_key, _same_id), AlreadyClaimed),
        ((_used_key, _no_room), AlreadyClaimed),
        ((_same_id, _no_room), Stale),
        ((_used_key, _same_id, _no_room), AlreadyClaimed),
    ],
)
def test_given_obstacles_when_submitting_then_the_claim_is_told_first_and_the_quota_last(
    store: Requests, obstacles: tuple[Callable[[Requests], dict[str, Any]], ...], told: type[Exception]
) -> None:
    how: dict[str, Any] = {"claim": None, "max_open": 9, "id": None}
    for obstacle in obstacles:
        how |= obstacle(store)
    with pytest.raises(told):
        store.submit(a_submission(id=how["id"]), claim=how["claim"], max_open=how["max_open"], now=NOW)


# Lists.


def test_a_persons_requests_are_theirs_only_newest_first(store: Requests) -> None:
    mine = [submitted(store) for _ in range(3)]
    submitted(store, requester="bob@example.com")
    assert store.by_requester("alice@example.com", after=None, limit=10) == Page(tuple(reversed(mine)), None)
    assert store.by_requester("nobody@example.com", after=None, limit=10) == Page((), None)


def test_everything_is_everybodys_newest_first_whatever_became_of_it(store: Requests) -> None:
    assert store.everything(after=None, limit=10) == Page((), None)
    stored = [submitted(store, requester=f"{n}@example.com") for n in range(9)]
    denied = a_change(stored[4], EventType.DENIED, status=Status.DENIED)
    store.commit(denied)
    stored[4] = denied.after
    assert store.everything(after=None, limit=10) == Page(tuple(reversed(stored)), None)
    assert len({shard(request.id) for request in stored}) > 1


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 8, 9])
def test_every_list_read_page_by_page_is_the_whole_list_in_order(store: Requests, limit: int) -> None:
    ends = [NOW + hours * HOUR for hours in (3, 1, 2, 2, 5, 1, 4, 3)]  # some at the same instant
    stored = [submitted(store, answer_by=end) for end in ends]
    newest = sorted(stored, key=lambda request: request.id, reverse=True)
    soonest = sorted(stored, key=lambda request: (request.answer_by, request.id))
    lists: list[tuple[Callable[[str | None], Page[Request]], list[Request]]] = [
        (lambda after: store.by_requester("alice@example.com", after=after, limit=limit), newest),
        (lambda after: store.everything(after=after, limit=limit), newest),
        (lambda after: store.waiting(now=NOW, after=after, limit=limit), soonest),
        (lambda after: store.due(now=NOW + 5 * HOUR, after=after, limit=limit), soonest),
    ]
    for one, expected in lists:
        read = pages(one)
        assert [request for page in read for request in page] == expected
        assert [len(page) for page in read[:-1]] == [limit] * (len(read) - 1)
        assert read[-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_a_history_read_page_by_page_is_the_whole_history_oldest_first(store: Requests, limit: int) -> None:
    change = a_submission()
    for number in range(11):
        change = change.then(EventType.APPROVED, at=NOW, actor="bob@example.com", details={"number": number})
    store.submit(change, claim=None, max_open=1, now=NOW)
    submitted(store)  # another history
    read = pages(lambda after: store.events(change.after.id, after=int(after or 0), limit=limit))
    assert [event for page in read for event in page] == list(change.events)
    assert store.events(change.after.id, after=12, limit=limit) == Page((), None)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 50])
def test_a_day_read_page_by_page_is_everybodys_events_of_it_oldest_first(store: Requests, limit: int) -> None:
    first = NOW + timedelta(days=400 + 2 * limit)  # days of its own: the table holds other tests' events too
    midnight = (first + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    expected = []
    for number in range(9):
        change = a_submission(created_at=first + number // 2 * SECOND, requester=an_id())
        for at in (midnight - SECOND, midnight):
            change = change.then(EventType.APPROVED, at=at, actor="bob@example.com", details={})
        store.submit(change, claim=None, max_open=1, now=NOW)
        expected += [(change.after.id, event) for event in change.events[:-1]]
    read = pages(lambda after: store.day(first.date(), after=after, limit=limit))
    told = [(recorded.chain, recorded.event) for page in read for recorded in page]
    assert told == sorted(expected, key=lambda pair: (pair[1].at, pair[0], pair[1].seq))
    assert [len(page) for page in read[:-1]] == [limit] * (len(read) - 1)
    assert len(store.day(midnight.date(), after=None, limit=50).items) == 9
    assert store.day(midnight.date() + timedelta(days=1), after=None, limit=50) == Page((), None)


def test_waiting_are_the_requests_whose_clock_runs_out_after_now_and_no_others(store: Requests) -> None:
    def at(status: Status, **changed: Any) -> Request:
        return submitted(store, status=status, **changed)

    pending = at(Status.PENDING, answer_by=NOW + 5 * HOUR)
    approved = at(Status.APPROVED, use_by=NOW + 4 * HOUR)
    scheduled = at(Status.APPROVED, window=Window(NOW + HOUR, NOW + 3 * HOUR))
    used = at(Status.USED, window=Window(NOW, NOW + 2 * HOUR))
    at(Status.APPROVED)  # has no clock
    at(Status.DENIED)
    at(Status.PENDING, answer_by=NOW - SECOND)
    at(Status.PENDING, answer_by=NOW)  # ran out this very second
    next_second = at(Status.PENDING, answer_by=NOW + SECOND)
    found = store.waiting(now=NOW, after=None, limit=10)
    assert found == Page((next_second, used, scheduled, approved, pending), None)


def test_given_a_list_of_the_waiting_when_reading_on_later_then_what_ran_out_meanwhile_is_not_in_it(
    store: Requests,
) -> None:
    first, _, third = [submitted(store, answer_by=NOW + hours * HOUR) for hours in (1, 2, 3)]
    page = store.waiting(now=NOW, after=None, limit=1)
    assert page.items == (first,)
    assert store.waiting(now=NOW + 2 * HOUR, after=page.next, limit=1) == Page((third,), None)


def test_given_a_request_that_ended_then_it_no_longer_waits(store: Requests) -> None:
    request = submitted(store)
    store.commit(a_change(request, EventType.DENIED, status=Status.DENIED))
    assert store.waiting(now=NOW, after=None, limit=10) == Page((), None)


def test_given_a_clock_that_changed_then_the_request_waits_for_the_new_one_only(store: Requests) -> None:
    request = submitted(store, answer_by=NOW + HOUR)
    change = a_change(request, status=Status.APPROVED, use_by=NOW + 9 * HOUR)
    store.commit(change)
    assert store.waiting(now=NOW + 2 * HOUR, after=None, limit=10) == Page((change.after,), None)


def test_due_are_the_requests_whose_clock_has_run_out_unannounced_and_no_others(store: Requests) -> None:
    def at(status: Status, **changed: Any) -> Request:
        return submitted(store, status=status, **changed)

    unanswered = at(Status.PENDING, answer_by=NOW)  # this very second
    unused = at(Status.APPROVED, use_by=NOW - HOUR)
    missed = at(Status.APPROVED, window=Window(NOW - 3 * HOUR, NOW - 2 * HOUR))
    ended = at(Status.USED, window=Window(NOW - HOUR, NOW - SECOND))
    at(Status.PENDING, answer_by=NOW + SECOND)
    at(Status.PENDING, answer_by=NOW - HOUR, announced=NOW - HOUR)
    at(Status.USED, window=Window(NOW - HOUR, NOW - SECOND), announced=NOW - SECOND)
    at(Status.RETURNED, window=Window(NOW - HOUR, NOW - SECOND))
    at(Status.DENIED)
    assert store.due(now=NOW, after=None, limit=10) == Page((missed, unused, ended, unanswered), None)
    assert store.due(now=NOW - 4 * HOUR, after=None, limit=10) == Page((), None)


def test_given_its_end_was_announced_then_a_request_is_due_no_more_and_waits_no_more(store: Requests) -> None:
    request = submitted(store, answer_by=NOW - HOUR)
    store.commit(a_change(request, EventType.EXPIRED, announced=NOW - HOUR))
    assert store.due(now=NOW, after=None, limit=10) == Page((), None)
    assert store.waiting(now=NOW - 2 * HOUR, after=None, limit=10) == Page((), None)


def test_given_a_clock_that_changed_after_one_was_announced_then_the_new_one_is_due(store: Requests) -> None:
    request = submitted(store, answer_by=NOW - HOUR)
    expired = a_change(request, EventType.EXPIRED, announced=NOW - HOUR)
    store.commit(expired)
    approved = a_change(expired.after, status=Status.APPROVED, use_by=NOW)
    store.commit(approved)
    assert store.due(now=NOW, after=None, limit=10) == Page((approved.after,), None)


def test_given_a_list_of_the_due_when_some_are_announced_while_it_is_read_then_none_is_passed_over(
    store: Requests,
) -> None:
    stored = [submitted(store, answer_by=NOW - hours * HOUR) for hours in (4, 3, 3, 2, 1)]
    read: list[Request] = []
    after = None
    while True:
        page = store.due(now=NOW, after=after, limit=2)
        for request in page.items:
            store.commit(a_change(request, EventType.EXPIRED, announced=request.answer_by))
        read += page.items
        after = page.next
        if after is None:
            break
    assert read == stored


def test_events_sessions_and_claims_are_in_no_list_of_requests(store: Requests) -> None:
    change = a_submission()
    store.submit(replace(change, session=a_session()), claim=a_claim(), max_open=1, now=NOW)
    only = Page((change.after,), None)
    assert store.by_requester("alice@example.com", after=None, limit=10) == only
    assert store.everything(after=None, limit=10) == only
    assert store.waiting(now=NOW, after=None, limit=10) == only


# The fake's own: it fails when told to.


@pytest.mark.parametrize(("effect", "stored"), [(Effect.BEFORE, False), (Effect.AFTER, True)])
def test_given_the_fake_is_told_to_fail_when_writing_then_unavailable_once_and_stored_or_not_as_told(
    effect: Effect, stored: bool
) -> None:
    fake = FakeRequests()
    request = submitted(fake)
    fake.fail_next(effect, after=1)
    first = a_change(request)
    fake.commit(first)
    second = a_change(first.after)
    with pytest.raises(Unavailable):
        fake.commit(second)
    assert (fake.get(request.id) == second.after) is stored
    fake.commit(a_change(second.after if stored else first.after))


def test_given_somebody_else_acts_meanwhile_when_committing_then_the_fake_lets_them_win() -> None:
    fake = FakeRequests()
    request = submitted(fake)
    fake.meanwhile(lambda: fake.commit(a_change(request, EventType.DENIED, status=Status.DENIED)))
    with pytest.raises(Stale):
        fake.commit(a_change(request))


# The table's own: calls to AWS.


@pytest.fixture
def calls(table: Table) -> list[str]:
    """The operations that went over the wire from now on, in order."""
    made: list[str] = []
    table.client.meta.events.register(
        "before-send.dynamodb", lambda event_name, **_: made.append(event_name.rpartition(".")[2])
    )
    return made


def test_every_method_makes_as_few_calls_as_can_be(table: Table, calls: list[str]) -> None:
    def made(act: Callable[[], object]) -> dict[str, int]:
        calls.clear()
        act()
        return Counter(calls)

    change = replace(a_submission(), session=a_session())
    request = change.after
    ending = a_change(request, EventType.CANCELLED, status=Status.CANCELLED, session=a_session())
    assert made(lambda: table.submit(change, claim=a_claim(), max_open=5, now=NOW)) == {"TransactWriteItems": 1}
    assert made(lambda: table.get(request.id)) == {"GetItem": 1}
    assert made(lambda: table.get("nothing")) == {"GetItem": 1}
    assert made(lambda: table.story(request.id)) == {"Query": 1}
    assert made(lambda: table.events(request.id, after=0, limit=10)) == {"Query": 1}
    assert made(lambda: table.commit(ending)) == {"TransactWriteItems": 1}
    several = submitted(table), submitted(table)
    assert made(lambda: table.commit(*map(a_change, several))) == {"TransactWriteItems": 1}
    assert made(lambda: table.claimed(a_claim(key="k-2"), now=NOW)) == {"GetItem": 1}
    assert made(lambda: table.by_requester("alice@example.com", after=None, limit=10)) == {"Query": 1}
    assert made(lambda: table.everything(after=None, limit=10)) == {"Query": 4}
    assert made(lambda: table.waiting(now=NOW, after=None, limit=10)) == {"Query": 4}
    assert made(lambda: table.due(now=NOW, after=None, limit=10)) == {"Query": 4}
    assert made(lambda: table.day(NOW.date(), after=None, limit=10)) == {"Query": 4}


def test_given_obstacles_when_writing_then_no_more_calls_than_it_takes_to_tell(table: Table, calls: list[str]) -> None:
    claim = a_claim()
    first = a_submission(answer_by=NOW + HOUR)
    table.submit(first, claim=claim, max_open=1, now=NOW)
    calls.clear()
    with pytest.raises(AlreadyClaimed):
        table.submit(a_submission(), claim=claim, max_open=1, now=NOW)
    assert calls == ["TransactWriteItems"]
    calls.clear()
    with pytest.raises(QuotaFull):
        table.submit(a_submission(), claim=None, max_open=1, now=NOW)
    assert calls == ["TransactWriteItems", "BatchGetItem"]
    calls.clear()
    table.submit(a_submission(), claim=None, max_open=1, now=NOW + HOUR)
    assert calls == ["TransactWriteItems", "BatchGetItem", "TransactWriteItems"]


# The table's own: what AWS answers.

CONDITION, CONFLICT, THROTTLED = "ConditionalCheckFailed", "TransactionConflict", "ThrottlingError"


class Answers:
    """Answers that come in place of AWS's, in order; after them AWS is asked again. Remembers what was asked."""

    def __init__(self, table: Table) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers: Iterator[Any] = iter(())
        table.client.meta.events.register("before-call.dynamodb", self._answer)

    def give(self, *answers: Any) -> None:
        self._answers = iter(answers)

    def _answer(self, params: dict[str, Any], **_: Any) -> Any:
        self.asked.append(json.loads(params["body"]))
        answer = next(self._answers, None)
        if isinstance(answer, Exception):
            raise answer
        return answer


def error(code: str, *, status: int = 400, reasons: list[dict[str, Any]] | None = None) -> Any:
    return SimpleNamespace(status_code=status, headers={}), {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": reasons or [],
    }


def cancelled(*codes: str) -> Any:
    return error("TransactionCanceledException", reasons=[{"Code": code} for code in codes])


@pytest.fixture
def answers(table: Table) -> Answers:
    return Answers(table)


def test_given_a_conflict_when_writing_then_the_same_transaction_is_tried_again_after_a_pause(
    table: Table, connect: Callable[..., Table]
) -> None:
    pauses: list[float] = []
    patient = connect(table._name, sleep=pauses.append)
    answers = Answers(patient)
    answers.give(cancelled(CONFLICT, "None", "None"), cancelled("None", "None", CONFLICT))
    request = submitted(patient)
    assert table.get(request.id) == request
    first, *others = answers.asked
    assert others == [first, first]
    assert first["ClientRequestToken"]
    assert [0 <= pause <= most for pause, most in zip(pauses, PAUSES, strict=False)] == [True, True]


def test_given_conflicts_without_end_when_writing_then_unavailable_after_three_seconds_at_most(
    table: Table, connect: Callable[..., Table]
) -> None:
    pauses: list[float] = []
    patient = connect(table._name, sleep=pauses.append)
    answers = Answers(patient)
    answers.give(*[cancelled(CONFLICT, "None", CONDITION)] * 99)
    with pytest.raises(Unavailable):
        submitted(patient)
    assert len(answers.asked) == 1 + len(PAUSES)
    assert len(pauses) == len(PAUSES)
    assert sum(pauses) <= sum(PAUSES) <= 3


def test_given_a_conflict_beside_a_failed_condition_then_only_the_next_try_tells_what_is_true(
    table: Table, answers: Answers
) -> None:
    answers.give(cancelled("None", CONFLICT, CONDITION))
    submitted(table)


def test_given_two_writes_then_each_has_a_token_of_its_own(table: Table, answers: Answers) -> None:
    request = submitted(table)
    table.commit(a_change(request))
    assert len({asked["ClientRequestToken"] for asked in answers.asked}) == 2


def test_given_reasons_in_another_order_than_the_writes_then_it_fails_loudly(table: Table, answers: Answers) -> None:
    request = submitted(table)
    item = {"pk": {"S": "principal#alice@example.com"}, "sk": {"S": "quota"}}
    answers.give(error("TransactionCanceledException", reasons=[{"Code": CONDITION, "Item": item}, {"Code": "None"}]))
    with pytest.raises(RuntimeError, match="principal#alice"):
        table.commit(a_change(request))


def test_given_an_update_before_a_put_when_the_put_stands_in_the_way_then_it_is_the_put_that_is_told(
    table: Table,
) -> None:
    request = a_submission().after
    update = table._quota(request, QuotaItem.open.add({request.id}))
    put = Write(table._requests.of(request), RequestItem.version == 5)  # not there: no old item tells which one it was
    with pytest.raises(Cancelled) as told:
        transaction.commit([update, put], table._connection.connection, lambda seconds: None)
    assert told.value.stored == {"request": None}


@pytest.mark.parametrize(
    "answer",
    [
        error("ProvisionedThroughputExceededException"),
        error("ThrottlingException"),
        error("RequestLimitExceeded"),
        error("InternalServerError", status=500),
        error("SomethingNew", status=503),
        ReadTimeoutError(endpoint_url="http://table"),
        ConnectTimeoutError(endpoint_url="http://table"),
    ],
    ids=lambda answer: type(answer).__name__ if isinstance(answer, Exception) else answer[1]["Error"]["Code"],
)
def test_given_a_table_that_does_not_answer_then_every_method_says_unavailable(
    table: Table, answers: Answers, answer: Any
) -> None:
    request = submitted(table)
    every: list[Callable[[], object]] = [
        lambda: table.get(request.id),
        lambda: table.story(request.id),
        lambda: table.events(request.id, after=0, limit=1),
        lambda: table.commit(a_change(request)),
        lambda: table.claimed(a_claim(), now=NOW),
        lambda: submitted(table),
        lambda: table.everything(after=None, limit=1),
        lambda: table.by_requester("alice@example.com", after=None, limit=1),
        lambda: table.waiting(now=NOW, after=None, limit=1),
        lambda: table.due(now=NOW, after=None, limit=1),
    ]
    for act in every:
        answers.give(answer)
        with pytest.raises(Unavailable):
            act()


def test_given_a_throttled_transaction_then_unavailable(table: Table, answers: Answers) -> None:
    answers.give(cancelled("None", THROTTLED, "None"))
    with pytest.raises(Unavailable):
        submitted(table)


def test_given_keys_left_unread_when_making_room_then_unavailable(table: Table, answers: Answers) -> None:
    table.submit(a_submission(), claim=None, max_open=1, now=NOW)
    unread: dict[str, Any] = {"Responses": {}, "UnprocessedKeys": {table._name: {"Keys": []}}}
    answers.give(None, (SimpleNamespace(status_code=200, headers={}), unread))
    with pytest.raises(Unavailable):
        table.submit(a_submission(), claim=None, max_open=1, now=NOW)


def test_given_a_person_whose_requests_keep_changing_when_making_room_then_unavailable_and_not_full(
    table: Table, answers: Answers
) -> None:
    quota = {"pk": {"S": "principal#alice@example.com"}, "sk": {"S": "quota"}, "schema": {"N": "1"}}
    changed: list[dict[str, Any]] = [{"Code": "None"}, {"Code": "None"}, {"Code": CONDITION, "Item": quota}]
    answers.give(*[error("TransactionCanceledException", reasons=changed)] * 99)
    with pytest.raises(Unavailable):
        submitted(table)
    assert len(answers.asked) == 3


@pytest.mark.parametrize(
    "answer",
    [
        error("ValidationException"),
        error("AccessDeniedException"),
        cancelled("ValidationError", "None", "None"),
        NoCredentialsError(),
    ],
    ids=["validation", "access", "item", "credentials"],
)
def test_given_an_answer_that_only_a_mistake_of_ours_explains_then_it_is_not_hidden(
    table: Table, answers: Answers, answer: Any
) -> None:
    answers.give(answer)
    with pytest.raises(PynamoDBException):
        submitted(table)


def test_given_nobody_listens_then_unavailable(connect: Callable[..., Table]) -> None:
    with pytest.raises(Unavailable):
        connect("daypass", host="http://127.0.0.1:1").get("anything")


def test_a_call_ends_long_before_api_gateway_gives_up(table: Table) -> None:
    config: Any = table.client.meta.config
    attempts = config.retries["total_max_attempts"]
    assert attempts * (config.connect_timeout + config.read_timeout) + 1 <= 9
    assert config.retries["mode"] == "standard"


# The table's own: its shape.


def raw(table: Table, pk: str, sk: str) -> dict[str, Any]:
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    found: dict[str, Any] = table.client.get_item(TableName=table._name, Key=key, ConsistentRead=True)["Item"]
    return found


@pytest.mark.parametrize(
    ("model", "value"),
    [(RequestItem, Request), (EventItem, Event), (SessionItem, Session)],
    ids=lambda each: each.__name__,
)
def test_every_field_has_a_column(model: type[Any], value: type[Any]) -> None:
    assert {field.name for field in fields(value)} <= set(model.get_attributes())


def test_every_item_says_what_it_is_and_in_which_schema(table: Table) -> None:
    change = replace(a_submission(), session=a_session())
    table.submit(change, claim=a_claim(), max_open=1, now=NOW)
    items = table.client.scan(TableName=table._name)["Items"]
    kinds = Counter(item["kind"]["S"] for item in items)
    assert kinds == {"request": 1, "event": 1, "session": 1, "claim": 1, "quota": 1}
    assert {item["schema"]["N"] for item in items} == {"1"}


def test_a_request_reads_well_in_the_console(table: Table) -> None:
    request = submitted(table, reason="Überweisung hängt", requester="jörg@example.com")
    item = raw(table, f"request#{request.id}", "request")
    assert item["reason"]["S"] == "Überweisung hängt"
    assert item["answer_by"]["S"] == "2031-03-06T12:00:00Z"
    assert item["duration"]["N"] == "3600"
    assert '"id":"jörg@example.com"' in item["requester"]["S"]
    assert "ticket" not in item


def test_given_an_item_from_before_a_field_was_there_then_the_field_has_its_default(table: Table) -> None:
    request = submitted(table)
    table.client.update_item(
        TableName=table._name,
        Key={"pk": {"S": f"request#{request.id}"}, "sk": {"S": "request"}},
        UpdateExpression="REMOVE sessions_begun, last_begun",
    )
    assert table.get(request.id) == request


def test_given_an_item_of_a_newer_schema_then_it_is_not_read(table: Table) -> None:
    request = submitted(table)
    table.client.update_item(
        TableName=table._name,
        Key={"pk": {"S": f"request#{request.id}"}, "sk": {"S": "request"}},
        UpdateExpression="SET #schema = :two",
        ExpressionAttributeNames={"#schema": "schema"},
        ExpressionAttributeValues={":two": {"N": "2"}},
    )
    for read in (
        lambda: table.get(request.id),
        lambda: table.story(request.id),
        lambda: table.everything(after=None, limit=1),
    ):
        with pytest.raises(NewerSchema, match=f"{request.id} request has schema 2"):
            read()


def test_a_claim_carries_its_end_as_ttl(table: Table) -> None:
    table.submit(a_submission(), claim=a_claim(until=NOW + timedelta(days=1)), max_open=1, now=NOW)
    ttl = table.client.describe_time_to_live(TableName=table._name)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
    (claim,) = [item for item in table.client.scan(TableName=table._name)["Items"] if item["kind"]["S"] == "claim"]
    assert datetime.fromtimestamp(int(claim["until"]["N"]), NOW.tzinfo) == NOW + timedelta(days=1)


def test_events_are_found_by_their_day(table: Table) -> None:
    change = a_submission()
    table.submit(change, claim=None, max_open=1, now=NOW)
    found = table.client.query(
        TableName=table._name,
        IndexName="by_day",
        KeyConditionExpression="day_shard = :day",
        ExpressionAttributeValues={":day": {"S": f"2031-03-05#{shard(change.after.id)}"}},
    )["Items"]
    assert [item["day_order"]["S"] for item in found] == [f"2031-03-05T12:00:00Z#{change.after.id}#0000000001"]


def test_the_table_is_created_as_it_is_deployed(table: Table) -> None:
    create(table)  # a second time changes nothing
    made = table.client.describe_table(TableName=table._name)["Table"]
    assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert made["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    indexes = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in made["GlobalSecondaryIndexes"]
    }
    assert indexes == {
        "by_requester": ["requester_id", "id"],
        "by_creation": ["shard", "id"],
        "by_due": ["shard", "due"],
        "by_day": ["day_shard", "day_order"],
    }
    assert {index["Projection"]["ProjectionType"] for index in made["GlobalSecondaryIndexes"]} == {"ALL"}


def test_two_tables_in_one_process_do_not_meet(table: Table, connect: Callable[..., Table]) -> None:
    other = connect(f"{table._name}-other")
    create(other)
    request = submitted(table)
    assert other.get(request.id) is None
    assert table.get(request.id) == request


def test_the_session_is_the_one_that_the_client_was_made_with(table: Table) -> None:
    credentials = table.session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "123456789012"
