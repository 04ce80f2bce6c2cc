"""The table's stream, as the embedded AWS really tells it: new events are read from it, and nothing else is."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from hypothesis import given

from chalicelib.aws.messages import MessagesTable
from chalicelib.aws.stream import committed
from chalicelib.aws.table import Table
from chalicelib.core.ledger import EventType
from chalicelib.outbox.ports import Message, Unreadable
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION, root
from tests.builders import NOW, a_change, a_session, a_submission, details
from tests.outbox.newsroom import a_record


def streamed(aws: EmbeddedAws, table: Table) -> list[dict[str, Any]]:
    """Every record of a table's stream, as Lambda would be given them."""
    client = boto3.Session(region_name=REGION).client("dynamodbstreams", **root(HUB_ACCOUNT, aws.url))
    [stream] = client.list_streams(TableName=table._name)["Streams"]
    arn = stream["StreamArn"]
    [shard] = client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator: Any = client.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found: list[dict[str, Any]] = []
    while True:
        page: Any = client.get_records(ShardIterator=iterator)
        found += page["Records"]
        iterator = page.get("NextShardIterator")
        if not page["Records"]:
            return found


def test_what_was_committed_comes_out_line_by_line_in_order_and_nothing_else_does(
    embedded_aws: EmbeddedAws, table: Table
) -> None:
    submitted = a_submission()
    table.submit(submitted, claim=None, max_open=5, now=NOW)
    approved = a_change(submitted.after, EventType.APPROVED).then(
        EventType.SESSION_ISSUING, at=NOW, actor="carol@example.com", details={"session": "s", "duration_seconds": 3600}
    )
    table.commit(approved)
    table.commit(a_change(approved.after, EventType.SESSION_ISSUED, session=a_session()))
    MessagesTable(table).put(Message(request_id=submitted.after.id, place="#sre"))
    records = streamed(embedded_aws, table)
    lines = [line for record in records if (line := committed(record))]
    assert len(records) > len(lines) == 4
    assert {line.request_id for line in lines} == {submitted.after.id}
    assert [line.event for line in lines] == list(table.events(submitted.after.id, after=0, limit=9).items)
    assert [line.id for line in lines] == [f"{submitted.after.id}/{seq}" for seq in (1, 2, 3, 4)]
    assert [line.sequence_number for line in lines] == sorted(line.sequence_number for line in lines)


def test_the_record_that_tests_write_is_read_as_the_streams_own(embedded_aws: EmbeddedAws, table: Table) -> None:
    submitted = a_submission()
    table.submit(submitted, claim=None, max_open=5, now=NOW)
    [real] = [record for record in streamed(embedded_aws, table) if committed(record)]
    written = a_record(submitted.after.id, submitted.events[0])
    assert set(written) - set(real) == {"eventSourceARN"}  # GetRecords leaves it out, Lambda adds it
    assert set(written["dynamodb"]) == set(real["dynamodb"])
    assert written["dynamodb"]["NewImage"] == real["dynamodb"]["NewImage"]
    one, other = committed(written), committed(real)
    assert one is not None
    assert other is not None
    assert (one.request_id, one.event) == (other.request_id, other.event)


@given(details)
def test_every_event_survives(details: Any) -> None:
    change = a_submission().then(EventType.DENIED, at=NOW, actor="frank@example.com", details=details)
    line = committed(a_record(change.after.id, change.events[-1], 7))
    assert line is not None
    assert (line.request_id, line.event) == (change.after.id, change.events[-1])


def a_good() -> dict[str, Any]:
    change = a_submission()
    return a_record(change.after.id, change.events[0])


@pytest.mark.parametrize("name", ["MODIFY", "REMOVE"])
def test_only_what_is_new_is_told(name: str) -> None:
    assert committed({**a_good(), "eventName": name}) is None


@pytest.mark.parametrize("kind", ["request", "session", "claim", "quota", "message"])
def test_only_events_are_told(kind: str) -> None:
    record = a_good()
    record["dynamodb"]["NewImage"]["kind"] = {"S": kind}
    assert committed(record) is None


IMAGE = sorted(a_good()["dynamodb"]["NewImage"])


@pytest.mark.parametrize("lost", sorted(set(IMAGE) - {"kind", "sk", "day_shard", "day_order"}))
def test_an_event_that_lacks_something_is_unreadable(lost: str) -> None:
    record = a_good()
    del record["dynamodb"]["NewImage"][lost]
    with pytest.raises(Unreadable):
        committed(record)


@pytest.mark.parametrize("changed", ["seq", "type", "at", "actor", "details", "prev_hash", "hash"])
def test_an_event_that_was_changed_is_unreadable(changed: str) -> None:
    record = a_good()
    value = record["dynamodb"]["NewImage"][changed]
    [(kind, text)] = value.items()
    record["dynamodb"]["NewImage"][changed] = {
        kind: "2" if kind == "N" else '{"a":"b"}' if changed == "details" else f"{text}0"
    }
    with pytest.raises(Unreadable):
        committed(record)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"eventName": "INSERT"},
        {"eventName": "INSERT", "dynamodb": None},
        {"eventName": "INSERT", "dynamodb": {"NewImage": {"kind": {"S": "event"}}}},
        {"eventName": "INSERT", "dynamodb": {"NewImage": {"kind": {"S": "event"}, "schema": {"N": "99"}}}},
    ],
)
def test_what_is_no_record_is_unreadable(record: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        committed(record)
