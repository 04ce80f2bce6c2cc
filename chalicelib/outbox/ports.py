"""What the outbox needs of the world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chalicelib.core.ledger import Event, named
from chalicelib.core.request import Request


@dataclass(frozen=True, slots=True)
class Committed:
    """A new line of a chain, as the table's stream tells of it. chain: as of `ledger.Recorded`."""

    chain: str
    event: Event
    sequence_number: str

    @property
    def request_id(self) -> str | None:
        """None for what belongs to no request."""
        return self.chain if named(self.chain) == "request_id" else None

    @property
    def id(self) -> str:
        """What consumers know a repetition by: the same for the same line, however often it is announced."""
        return f"{self.chain}/{self.event.seq}"


class Unreadable(Exception):
    """A record of the stream that is not what Daypass writes: no repetition makes it better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event for the bus. detail: JSON. at: the event's own time."""

    detail_type: str
    detail: str
    at: datetime
    resources: tuple[str, ...] = ()


class NotTaken(Exception):
    """The first `taken` of what was handed over arrived, and the one after them did not: it is to be tried again."""

    def __init__(self, taken: int, why: str) -> None:
        super().__init__(why)
        self.taken = taken


class Bus(Protocol):
    def put(self, entries: Sequence[Entry]) -> None:
        """Hand the entries over, in order. Raises NotTaken; entries after the first missing one may have arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A message that wakes somebody up. subject: at most 100 printable ASCII characters. attributes: for filters."""

    subject: str
    text: str
    attributes: Mapping[str, str]


class Pager(Protocol):
    @property
    def place(self) -> str:
        """Its name among the places where a request is told."""

    def publish(self, page: Page) -> None:
        """Raises Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is known of a request's message at one place: a channel, a person or a topic.

    place: the channel as the catalogue writes it, a Slack user's id, or the ARN of a topic.
    version: that of the request which it was last made to show; 0 where it shows none yet.
    shows: the SHA-256 of what it says, in hex: what would not change it is not sent.
    channel, ts: Slack's own names for it, once it is known to be there.
    for_requester: it tells the requester how to go on, and asks nobody for an answer.
    loud: everybody at the place was called to an emergency. reminded: those who may approve were reminded.
    taken_at: when somebody began to bring it up to date, and nobody else does so for a while from then on.
    unsure_since: the first attempt to post it whose outcome is not on record.
    revision: goes up with every write, so that of two who know the same one only one writes; 0: not stored yet.
    """

    request_id: str
    place: str
    version: int = 0
    shows: str | None = None
    channel: str | None = None
    ts: str | None = None
    for_requester: bool = False
    loud: bool = False
    reminded: bool = False
    taken_at: datetime | None = None
    unsure_since: datetime | None = None
    revision: int = 0


class Messages(Protocol):
    """What the table remembers of messages. Raises Unavailable where it does not answer."""

    def of(self, request_id: str) -> tuple[Message, ...]:
        """All messages of a request, as they are now."""

    def put(self, message: Message) -> Message:
        """Store it over the revision that it carries, and return it with its new one. Raises Stale."""


class DeadLetters(Protocol):
    def bury(self, letter: Mapping[str, object]) -> None:
        """Put aside what no repetition makes better, for people to look at. Raises Unavailable."""


Find = Callable[[str], Request | None]
"""A request as it is now, by its id; None where it is erased."""

People = Callable[[Collection[str]], Mapping[str, str]]
"""The Slack user ids of principals, by the principals' ids; without those that are not known in Slack."""
