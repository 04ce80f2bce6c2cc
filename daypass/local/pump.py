"""The stream pump: reads the table's stream of the embedded AWS and feeds its readers, as Lambda does on AWS.

Each reader has its own place in the stream, so that one that fails holds up no other. What a reader could not do it is
given again, with all that follows; after TRIES times in a row the record is passed over, which Lambda would send to the
queue for dead letters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT

PAUSE_SECONDS = 0.3
TRIES = 100
BATCH = 25

Record = dict[str, Any]
Reader = Callable[[Sequence[Record]], Mapping[str, Any]]
"""Takes records, and answers as Lambda's handlers do: from which one on they are to be given again."""


@contextmanager
def pumping(aws: str, readers: Mapping[str, Reader], failed: Callable[[str, str], None]) -> Iterator[None]:
    """Feed the readers what is written from now on, until the end of the block.

    failed: hears of a reader that raised, and of a record that was passed over.
    """
    stopping = threading.Event()
    session: Any = boto3.Session(region_name=example.REGION)
    streams = session.client("dynamodbstreams", **example.root(HUB_ACCOUNT, aws))
    # Their places in the stream are taken here, not in the threads: nothing is missed that comes after this line.
    threads = [
        threading.Thread(target=_Pump(name, reader, _Tail(streams), failed).run, args=(stopping,), daemon=True)
        for name, reader in readers.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(timeout=5)


class _Tail:
    """The end of the table's stream. The embedded AWS has one shard for a table, which never ends."""

    def __init__(self, streams: Any) -> None:
        self._streams = streams
        [stream] = streams.list_streams(TableName=example.TABLE)["Streams"]
        self._arn = stream["StreamArn"]
        [shard] = streams.describe_stream(StreamArn=self._arn)["StreamDescription"]["Shards"]
        self._shard = shard["ShardId"]
        self._iterator = self._from("LATEST")

    def _from(self, kind: str, **where: str) -> str:
        answer = self._streams.get_shard_iterator(
            StreamArn=self._arn, ShardId=self._shard, ShardIteratorType=kind, **where
        )
        return str(answer["ShardIterator"])

    def records(self) -> list[Record]:
        """What has come since the last call, as Lambda is given it."""
        answer = self._streams.get_records(ShardIterator=self._iterator, Limit=BATCH)
        self._iterator = answer["NextShardIterator"]
        return [_as_lambda_has_it(record, self._arn) for record in answer["Records"]]


def _as_lambda_has_it(record: Record, arn: str) -> Record:
    change = record["dynamodb"]
    created = change.get("ApproximateCreationDateTime")
    stamp = created.timestamp() if isinstance(created, datetime) else created
    return {**record, "eventSourceARN": arn, "dynamodb": {**change, "ApproximateCreationDateTime": stamp}}


class _Pump:
    def __init__(self, name: str, reader: Reader, tail: _Tail, failed: Callable[[str, str], None]) -> None:
        self._name, self._reader, self._tail, self._failed = name, reader, tail, failed
        self._waiting: list[Record] = []
        self._tries = 0

    def run(self, stopping: threading.Event) -> None:
        while not stopping.wait(PAUSE_SECONDS):
            try:
                self.turn()
            except (BotoCoreError, ClientError):
                continue  # the embedded AWS is busy, or ends a moment before we do

    def turn(self) -> None:
        """Give the reader what waits, or else what is new."""
        self._waiting = self._waiting or self._tail.records()
        if self._waiting:
            self._waiting = self._left(self._answer())

    def _answer(self) -> Mapping[str, Any]:
        try:
            return self._reader(self._waiting)
        except Exception as error:
            self._failed(self._name, f"{type(error).__name__}: {error}")
            return {"batchItemFailures": [{"itemIdentifier": ""}]}

    def _left(self, answer: Mapping[str, Any]) -> list[Record]:
        """What has to be given again. As with Lambda, what is not recognized means all of it."""
        failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
        if not failed:
            self._tries = 0
            return []
        numbers = [record["dynamodb"]["SequenceNumber"] for record in self._waiting]
        first = numbers.index(failed[0]) if failed[0] in numbers else 0
        self._tries = 1 if first else self._tries + 1
        if self._tries >= TRIES:
            self._tries = 0
            self._failed(self._name, f"gave up on {numbers[first]}")
            first += 1
        return self._waiting[first:]
