"""EventBridge, SNS and SQS: where announcements go, and what could not be announced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from botocore.session import Session

from chalicelib.aws.clients import patient_client, unavailable_where_refused
from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.ports import Entry, NotTaken, Page

SOURCE = "daypass"

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html (Entries), and of a whole request
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
MOST_ENTRIES = 10
MOST_BYTES = 256 * 1024


class EventBus:
    """`outbox.ports.Bus` on EventBridge. bus: its name or ARN."""

    def __init__(self, session: Session, region: str, bus: str) -> None:
        self._session, self._region, self._bus = session, region, bus

    @cached_property
    def _client(self) -> Any:
        return patient_client(self._session, "events", self._region)

    def put(self, entries: Sequence[Entry]) -> None:
        taken = 0
        for some in _portions(entries):
            try:
                with unavailable_where_refused("EventBridge"):
                    answer = self._client.put_events(Entries=[self._raw(entry) for entry in some])
            except Unavailable as outage:
                raise NotTaken(taken, outage.detail) from outage
            for result in answer["Entries"]:
                if "ErrorCode" in result:
                    raise NotTaken(taken, f"EventBridge did not take an event: {result['ErrorCode']}.")
                taken += 1

    def _raw(self, entry: Entry) -> dict[str, Any]:
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": entry.detail_type,
            "Detail": entry.detail,
            "Time": entry.at,
            "Resources": list(entry.resources),
        }


def _portions(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """The entries in order, in as few requests as EventBridge takes."""
    begin, size = 0, 0
    for end, entry in enumerate(entries):
        more = _size(entry)
        if end > begin and (end - begin == MOST_ENTRIES or size + more > MOST_BYTES):
            yield entries[begin:end]
            begin, size = end, 0
        size += more
    if entries[begin:]:
        yield entries[begin:]


def _size(entry: Entry) -> int:
    """Bytes, as EventBridge counts them. Source: the user guide's page on calculating the size of an entry."""
    texts = (SOURCE, entry.detail_type, entry.detail, *entry.resources)
    return 14 + sum(len(text.encode()) for text in texts)


class Topic:
    """`outbox.ports.Pager` on SNS. place: the topic's ARN."""

    def __init__(self, session: Session, region: str, arn: str) -> None:
        self._session, self._region, self.place = session, region, arn

    @cached_property
    def _client(self) -> Any:
        return patient_client(self._session, "sns", self._region)

    def publish(self, page: Page) -> None:
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in page.attributes.items()}
        with unavailable_where_refused("SNS"):
            self._client.publish(
                TopicArn=self.place, Subject=page.subject, Message=page.text, MessageAttributes=attributes
            )


class DeadLetterQueue:
    """`outbox.ports.DeadLetters` on SQS. url: the queue's."""

    def __init__(self, session: Session, region: str, url: str) -> None:
        self._session, self._region, self._url = session, region, url

    @cached_property
    def _client(self) -> Any:
        return patient_client(self._session, "sqs", self._region)

    def bury(self, letter: Mapping[str, object]) -> None:
        with unavailable_where_refused("SQS"):
            self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(letter, sort_keys=True))
