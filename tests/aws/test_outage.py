"""Telling an outage of the table from everything else, and what the table does once it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from pynamodb.exceptions import PynamoDBException

from chalicelib.aws.table import Table
from chalicelib.broker.ports import AlreadyClaimed, QuotaFull, Requests, ReviewIsOverdue, Sealed, Stale
from chalicelib.core.ledger import beginning, first_break
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Change, Request
from tests.aws.test_emergencies import an_emergency, opened, reviewed
from tests.aws.test_table import CONDITION, CONFLICT, THROTTLED, Answers, cancelled, error
from tests.builders import HOUR, NOW, a_change, a_claim, a_session, a_submission
from tests.fakes import Effect, FakeRequests

URL = "http://table"


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Requests:
    made: Requests = FakeRequests() if request.param == "memory" else request.getfixturevalue("table")
    return made


@pytest.fixture
def answers(table: Table) -> Answers:
    return Answers(table)


def submit(store: Requests, change: Change | None = None) -> Request:
    change = change or a_submission()
    store.submit(change, claim=None, max_open=100, now=NOW)
    return change.after


def refused(act: Callable[[], object]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        act()
    return caught.value


def writes(store: Requests, request: Request) -> list[Callable[[], object]]:
    message = Sealed(id="m-1", request_id=request.id, sent_at=NOW, text="{}", mac=b"", receipt="r-1")
    return [
        lambda: submit(store),
        lambda: store.commit(a_change(request)),
        lambda: store.restore(an_emergency(), claim=None, now=NOW),
        lambda: store.set_aside(message, "of a test"),
    ]


def told(answer: Any) -> str:
    return type(answer).__name__ if isinstance(answer, Exception) else f"{answer[0].status_code} {answer[1]['Error']}"


# What is an outage: a write met no table, none in time, or one that failed by itself.


@pytest.mark.parametrize(
    "answer",
    [
        error("InternalServerError", status=500),
        error("ServiceUnavailable", status=503),
        error("SomethingNew", status=502),
        EndpointConnectionError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        ProxyConnectionError(proxy_url=URL),
        SSLError(endpoint_url=URL, error=OSError("no")),
    ],
    ids=told,
)
def test_a_write_that_met_no_table_says_outage_and_a_read_does_not(table: Table, answers: Answers, answer: Any) -> None:
    request = submit(table)
    for act in writes(table, request):
        answers.give(answer)
        assert refused(act).outage is not None
    for read in (
        lambda: table.get(request.id),
        lambda: table.story(request.id),
        lambda: table.events(request.id, after=0, limit=1),
        lambda: table.everything(after=None, limit=1),
        lambda: table.due(now=NOW, after=None, limit=1),
    ):
        answers.give(answer)
        assert refused(read).outage is None


@pytest.mark.parametrize(
    "answer",
    [
        error("ThrottlingException"),
        error("ThrottlingException", status=503),
        error("ProvisionedThroughputExceededException"),
        error("RequestLimitExceeded"),
        error("TransactionInProgressException"),
        cancelled("None", THROTTLED, "None"),
        cancelled("None", "ProvisionedThroughputExceeded", CONDITION),
        HTTPClientError(error="what botocore knows nothing of"),
    ],
    ids=told,
)
def test_a_table_that_cannot_keep_up_is_unavailable_and_no_outage(table: Table, answers: Answers, answer: Any) -> None:
    answers.give(answer)
    assert refused(lambda: submit(table)).outage is None


def test_conflicts_without_end_are_no_outage(connect: Callable[..., Table], table: Table) -> None:
    patient = connect(table._name, sleep=lambda seconds: None)
    Answers(patient).give(*[cancelled(CONFLICT, "None", "None")] * 99)
    assert refused(lambda: submit(patient)).outage is None


@pytest.mark.parametrize(
    "answer",
    [
        error("ValidationException"),
        error("AccessDeniedException"),
        error("ResourceNotFoundException"),
        error("UnrecognizedClientException"),
        cancelled("ValidationError", "None", "None"),
        NoCredentialsError(),
    ],
    ids=told,
)
def test_a_mistake_of_ours_and_a_denial_are_neither(table: Table, answers: Answers, answer: Any) -> None:
    answers.give(answer)
    with pytest.raises(PynamoDBException):
        submit(table)


def test_given_conditions_do_not_hold_then_that_is_what_is_told(table: Table) -> None:
    request = submit(table)
    with pytest.raises(Stale):
        submit(table, a_submission(replace(request, version=0, head_hash="")))


def test_given_the_table_fails_while_room_is_made_then_it_is_a_read_that_failed(table: Table, answers: Answers) -> None:
    table.submit(a_submission(), claim=None, max_open=1, now=NOW)
    answers.give(None, error("InternalServerError", status=500))
    assert refused(lambda: table.submit(a_submission(), claim=None, max_open=1, now=NOW)).outage is None


def test_given_a_conflict_and_then_silence_then_it_is_an_outage(connect: Callable[..., Table], table: Table) -> None:
    patient = connect(table._name, sleep=lambda seconds: None)
    Answers(patient).give(cancelled(CONFLICT, "None", "None"), ReadTimeoutError(endpoint_url=URL))
    assert refused(lambda: submit(patient)).outage is not None


class Wire:
    """Below botocore's retries: each attempt to send meets the next of the answers; after them AWS is asked again."""

    def __init__(self, table: Table, *answers: Any) -> None:
        self.attempts = 0
        self._answers: Iterator[Any] = iter(answers)
        table.client.meta.events.register("before-send.dynamodb", self._answer)

    def _answer(self, request: Any, **_: Any) -> Any:
        self.attempts += 1
        answer = next(self._answers, None)
        if isinstance(answer, Exception):
            raise answer
        return answer and AWSResponse(URL, answer, HTTPHeaders(), SimpleNamespace(stream=lambda **_: [b"{}"]))


@pytest.mark.parametrize("answer", [500, 503, ConnectTimeoutError(endpoint_url=URL)], ids=str)
def test_only_after_its_retries_an_outage_is_one(table: Table, answer: Any) -> None:
    wire = Wire(table, answer)
    assert submit(table), "the second attempt was answered"
    assert wire.attempts == 2
    wire = Wire(table, answer, answer)
    assert refused(lambda: submit(table)).outage is not None
    assert wire.attempts == 2


def test_given_nobody_listens_then_it_is_an_outage(connect: Callable[..., Table]) -> None:
    assert refused(lambda: submit(connect("daypass", host="http://127.0.0.1:1"))).outage is not None


# Which outage it is.


def test_it_is_the_same_outage_until_a_write_succeeds_whatever_is_read_or_refused_meanwhile(store: Requests) -> None:
    request = submit(store)

    def outage() -> int | None:
        if isinstance(store, FakeRequests):
            store.fail_next(Effect.BEFORE)
        else:
            Answers(store).give(ReadTimeoutError(endpoint_url=URL))  # type: ignore[arg-type]
        return refused(lambda: submit(store)).outage

    first = outage()
    store.get(request.id)
    with pytest.raises(Stale):
        store.commit(a_change(replace(request, version=9)))
    assert outage() == first is not None
    for written in writes(store, request):
        written()
        assert outage() not in (first, None)
        first = outage()


# What has happened is stored, and counts.


def events(store: Requests, id: str) -> list[str]:
    found = store.events(id, after=0, limit=10).items
    assert first_break(beginning(id), found) is None
    return [event.type for event in found]


def test_an_emergency_that_has_happened_comes_back_as_it_was(store: Requests) -> None:
    change, session = an_emergency(), a_session()
    store.restore(replace(change, session=session), claim=None, now=NOW)
    assert store.story(change.after.id) == (change.after, (session,))
    assert store.events(change.after.id, after=0, limit=10).items == change.events


def test_it_is_restored_once(store: Requests) -> None:
    change = an_emergency()
    for again in (False, True):
        if again:
            with pytest.raises(Stale):
                store.restore(change, claim=a_claim(), now=NOW)
        else:
            store.restore(change, claim=a_claim(), now=NOW)
    assert events(store, change.after.id) == ["break_glass.opened"]


def test_neither_a_full_quota_nor_an_overdue_review_stands_in_its_way_and_it_counts_in_both(store: Requests) -> None:
    first = opened(store, within=HOUR, max_open=1)
    late = an_emergency(within=2 * HOUR, at=NOW + HOUR)
    store.restore(late, claim=None, now=NOW + 3 * HOUR)
    with pytest.raises(QuotaFull):
        store.submit(a_submission(), claim=None, max_open=2, now=NOW)
    for waiting in (first, late.after):
        with pytest.raises(ReviewIsOverdue) as refusal:
            opened(store, at=NOW + 3 * HOUR)
        assert refusal.value.request_id == waiting.id
        reviewed(store, waiting)
    assert opened(store, at=NOW + 3 * HOUR)


@pytest.mark.parametrize("order", [*permutations([1, 2, 3])])
def test_the_first_that_is_due_counts_in_whatever_order_they_were_restored(
    store: Requests, order: tuple[int, ...]
) -> None:
    waiting = {hours: an_emergency(within=hours * HOUR) for hours in order}
    for change in waiting.values():
        store.restore(change, claim=None, now=NOW + 9 * HOUR)
    for hours in sorted(order):
        with pytest.raises(ReviewIsOverdue) as refusal:
            opened(store, at=NOW + hours * HOUR)
        assert refusal.value.request_id == waiting[hours].after.id
        reviewed(store, waiting[hours].after)


def test_its_key_is_bound_from_then_on_until_the_claims_end(store: Requests) -> None:
    change, claim = an_emergency(), a_claim()
    store.restore(change, claim=claim, now=NOW)
    with pytest.raises(AlreadyClaimed) as told:
        store.submit(a_submission(), claim=claim, max_open=9, now=NOW)
    assert (told.value.request_id, told.value.body_hash) == (change.after.id, claim.body_hash)
    store.submit(a_submission(), claim=claim, max_open=9, now=claim.until)


@pytest.mark.parametrize("overdue", [False, True])
def test_a_key_that_another_request_used_meanwhile_stays_with_that_one(store: Requests, overdue: bool) -> None:
    if overdue:
        opened(store, within=HOUR)
    first, second = a_submission(requester="zoe@example.com"), an_emergency(at=NOW + 2 * HOUR)
    store.submit(first, claim=a_claim(), max_open=9, now=NOW)
    store.restore(second, claim=a_claim(), now=NOW)
    assert events(store, second.after.id) == ["break_glass.opened"]
    with pytest.raises(AlreadyClaimed, match=first.after.id):
        store.submit(a_submission(), claim=a_claim(), max_open=9, now=NOW)


# What is not believed is kept.


def test_what_is_set_aside_is_in_the_table_once_and_an_alarm_in_the_log_each_time(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    message = Sealed(id="m-1", request_id="01K", sent_at=NOW, text='{"a":"böse"}', mac=b"\x00mac", receipt="r")
    with caplog.at_level(logging.INFO, logger="daypass"):
        for receipt in ("r", "s"):
            table.set_aside(replace(message, receipt=receipt), "nobody knows who sent it")
    found = table.client.query(
        TableName=table._name,
        KeyConditionExpression="pk = :aside",
        ExpressionAttributeValues={":aside": {"S": "aside"}},
    )["Items"]
    assert found == [
        {
            "pk": {"S": "aside"},
            "sk": {"S": "2031-03-05T12:00:00Z#m-1"},
            "kind": {"S": "aside"},
            "schema": {"N": "1"},
            "request_id": {"S": "01K"},
            "sent_at": {"S": "2031-03-05T12:00:00Z"},
            "because": {"S": "nobody knows who sent it"},
            "text": {"S": '{"a":"böse"}'},
            "mac": {"B": b"\x00mac"},
        }
    ]
    alarms = [record for record in caplog.records if record.message == "emergency_set_aside"]
    assert [(each.levelname, vars(each)["key"]) for each in alarms] == [("ERROR", "aside 2031-03-05T12:00:00Z#m-1")] * 2


def test_of_a_message_as_long_as_none_of_ours_an_items_worth_is_kept(table: Table) -> None:
    message = Sealed(id="m-1", request_id="01K", sent_at=NOW, text="ü" * 500_000, mac=b"", receipt="r")
    table.set_aside(message, "too long")
    [item] = table.client.scan(TableName=table._name)["Items"]
    assert item["text"]["S"] == "ü" * 131_072
    assert "mac" not in item


def test_what_is_set_aside_is_in_no_list(store: Requests) -> None:
    store.set_aside(Sealed(id="m", request_id="01K", sent_at=NOW, text="{}", mac=b"", receipt="r"), "of a test")
    assert store.everything(after=None, limit=9).items == ()
    assert store.due(now=NOW + timedelta(days=9), after=None, limit=9).items == ()
