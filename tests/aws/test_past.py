"""Requests that are over, in the table: listed oldest first, and let go with everything that belongs to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ulid import ULID

from chalicelib.aws.messages import MessagesTable
from chalicelib.aws.past import PastTable
from chalicelib.aws.stream import guarded
from chalicelib.aws.table import Table
from chalicelib.broker.ports import Stale
from chalicelib.core.forgetting import LEAST
from chalicelib.core.ledger import EventType
from chalicelib.outbox.ports import Forged, Message
from daypass.local.embedded_aws import EmbeddedAws
from tests.aws.test_stream import streamed
from tests.builders import NOW, a_change, a_request, a_session, a_submission

DAY = timedelta(days=1)


def made(table: Table, *days_ago: int) -> list[str]:
    ids = [str(ULID.from_datetime(NOW - days * DAY)) for days in days_ago]
    for id in ids:
        table.submit(a_submission(a_request(id=id)), claim=None, max_open=100, now=NOW)
    return ids


def test_the_oldest_come_first_page_by_page_without_those_that_are_younger(table: Table) -> None:
    ids = made(table, 9, 7, 5, 3, 1, 0)
    past = PastTable(table)
    found, after = list[str](), None
    for _ in range(9):
        page = past.oldest(before=NOW - 2 * DAY, after=after, limit=2)
        found += [request.id for request in page.items]
        after = page.next
        if after is None:
            break
    assert found == sorted(ids[:4])
    assert past.oldest(before=NOW - 20 * DAY, after=None, limit=2).items == ()


def test_what_is_let_go_takes_all_of_its_items_along_and_is_no_longer_listed(
    embedded_aws: EmbeddedAws, table: Table
) -> None:
    [id, other] = made(table, 9, 8)
    for number in range(120):  # more items than one transaction takes
        request = table.get(id)
        assert request is not None
        kind = EventType.SESSION_ISSUED if number % 2 else EventType.SESSION_ISSUING
        table.commit(a_change(request, kind, session=a_session()))
    MessagesTable(table).put(Message(request_id=id, place="#sre"))
    past, until = PastTable(table), NOW + 2 * LEAST
    request = table.get(id)
    assert request is not None
    past.let_go(request, until)
    past.let_go(request, until)
    found = [item for item in table.client.scan(TableName=table._name)["Items"] if item["pk"]["S"] == f"request#{id}"]
    assert len(found) > 120
    assert {item["until"]["N"] for item in found} == {str(int(until.timestamp()))}
    assert [each.id for each in past.oldest(before=NOW, after=None, limit=9).items] == [other]
    assert table.get(id) == request
    assert len(table.events(id, after=0, limit=500).items) == request.version
    for record in streamed(embedded_aws, table):
        guarded(record)  # letting go is no forgery


def test_what_changed_meanwhile_is_not_let_go(table: Table) -> None:
    [id] = made(table, 9)
    request = table.get(id)
    assert request is not None
    table.commit(a_change(request, EventType.DENIED))
    with pytest.raises(Stale):
        PastTable(table).let_go(request, NOW)


def test_an_event_that_is_to_go_too_soon_or_changes_with_it_is_a_forgery(
    embedded_aws: EmbeddedAws, table: Table
) -> None:
    [id] = made(table, 9)
    request = table.get(id)
    assert request is not None
    PastTable(table).let_go(request, NOW + 2 * LEAST)
    [record] = [
        each for each in streamed(embedded_aws, table)
        if each["eventName"] == "MODIFY" and each["dynamodb"]["Keys"]["sk"]["S"].startswith("event#")
    ]  # fmt: skip
    assert guarded(record) is None
    soon = str(int((datetime.now(UTC) - DAY).timestamp()))
    change = record["dynamodb"]
    for forged in (
        {**change, "NewImage": {**change["NewImage"], "until": {"N": soon}}},
        {**change, "NewImage": {**change["NewImage"], "actor": {"S": "eve"}}},
        {**change, "NewImage": {**change["NewImage"], "until": {"S": "x"}}},
        {name: value for name, value in change.items() if name != "OldImage"},
    ):
        with pytest.raises(Forged):
            guarded({**record, "dynamodb": forged})
