"""A stage with an outbox: what is committed comes out as the records of a stream, and is handed to Slack in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from chalicelib.aws.items import EventItem
from chalicelib.aws.stream import committed
from chalicelib.broker.seeing import as_shown
from chalicelib.core.catalogue import Catalogue, Notify
from chalicelib.core.ledger import Event
from chalicelib.core.request import Request
from chalicelib.outbox.batch import Handled, Record, handle
from chalicelib.outbox.ports import Message
from chalicelib.outbox.posting import LEASE, Desk, post, told
from chalicelib.slack.messages import rendered
from tests.outbox.fakes import FakeDeadLetters, FakeMessages
from tests.slack.workspace import FakeSlack, Said, Workspace
from tests.stage import Stage, with_rules

CHANNEL = "C0SREAPPROVE"
SRE = "sre administer payments"


def a_record(chain: str, event: Event, number: int = 1) -> dict[str, Any]:
    """What Lambda is given for a new line of a history, or of a chain of a day."""
    image = EventItem.of(chain, event).serialize()
    return {
        "eventID": f"{number:032x}",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/daypass/stream/2031-03-05T12:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_930_000_000,
            "Keys": {name: image[name] for name in ("pk", "sk")},
            "NewImage": image,
            "SequenceNumber": f"{number:021d}",
            "SizeBytes": 512,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


@dataclass
class Newsroom:
    """users: Slack's ids of principals. untold: what Slack would not tell, by place and Slack's word."""

    stage: Stage = field(default_factory=Stage)
    workspace: Workspace = field(default_factory=Workspace)
    messages: FakeMessages = field(default_factory=FakeMessages)
    dead: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    users: dict[str, str] = field(default_factory=dict)
    untold: list[tuple[str, str]] = field(default_factory=list)

    def desk(self, **changed: Any) -> Desk:
        self.workspace.clock = max(self.workspace.clock, self.stage.now.timestamp())
        ports: dict[str, Any] = {
            "requests": self.stage.requests,
            "catalogue": lambda: self.stage.catalogue,
            "now": lambda: self.stage.now,
            "messages": self.messages,
            "slack": FakeSlack(self.workspace),
            "people": lambda ids: {id: self.users[id] for id in ids if id in self.users},
            "not_told": self._not_told,
        }
        return Desk(**{**ports, **changed})

    def _not_told(self, message: Message, code: str) -> None:
        self.untold.append((message.place, code))

    def stream(self) -> list[dict[str, Any]]:
        """Every line that was ever committed, in the order of the commits."""
        events: Mapping[tuple[str, int], Event] = self.stage.requests._events
        return [a_record(id, event, number) for number, ((id, _), event) in enumerate(events.items(), start=1)]

    def handed(self, records: Sequence[Record], **changed: Any) -> Handled:
        """One batch, handed over once."""
        sinks = {"slack": partial(post, desk=self.desk(**changed))}
        return handle(records, read=committed, sinks=sinks, dead=self.dead)

    def fed(self, records: Sequence[Record], tries: int = 10) -> None:
        """A batch as Lambda feeds it: what failed and all after it once more, later, until nothing fails."""
        for _ in range(tries):
            failed = self.handed(records).failed
            if failed is None:
                return
            numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
            records = records[numbers.index(failed) :]
            self.stage.pass_time(LEASE + timedelta(seconds=1))
        raise AssertionError("it never came to an end")

    def catch_up(self) -> None:
        self.fed(self.stream())

    def message(self, request: Request, channel: str = CHANNEL) -> Said:
        """The one message about a request in a channel."""
        [said] = [each for each in self.workspace.messages(channel) if about(each) == request.id]
        return said

    def assert_all_is_told(self) -> None:
        """One message for every request that its rule tells of, showing the request as it is now."""
        heard = [about(each) for each in self.workspace.messages(CHANNEL)]
        requests = [request for request in self.stage.requests._requests.values() if request.rule == SRE]
        assert sorted(heard) == sorted(request.id for request in requests)
        for request in requests:
            [message] = [each for each in self.messages.of(request.id) if each.channel == CHANNEL]
            assert (message.taken_at, message.unsure_since) == (None, None)
            expected = rendered(told(self.desk(), as_shown(self.stage.catalogue, request, self.stage.now), message))
            assert self.message(request).blocks == expected.blocks


def about(said: Said) -> str:
    return str(said.metadata["event_payload"]["id"]) if said.metadata else ""


def telling(notify: Notify) -> Catalogue:
    """The example's catalogue with another `notify` at the rule of payments-admin."""
    return with_rules((SRE, {"notify": notify}))
