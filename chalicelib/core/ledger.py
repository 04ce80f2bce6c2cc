"""Chains of events, each carrying the hash of the one before it: the history of a request, or what belongs to none.

What belongs to no request is in the chains of its day, of which there are several: many write at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from chalicelib.core.times import stamp

# Strings and integers, and lists and objects of these: what JCS and json.dumps write alike.
Detail = str | int | list["Detail"] | Mapping[str, "Detail"]

_LARGEST = 2**53 - 1


class EventType(StrEnum):
    SUBMITTED = "request.submitted"
    APPROVED = "request.approved"
    DENIED = "request.denied"
    CANCELLED = "request.cancelled"
    RETURNED = "request.returned"
    REVOKED = "request.revoked"
    ESCALATED = "request.escalated"
    EXTENDED = "request.extended"
    ERASED = "texts.erased"
    EXPIRED = "request.expired"
    ENDED = "request.ended"
    SESSION_ISSUING = "session.issuing"
    SESSION_ISSUED = "session.issued"
    SESSION_FAILED = "session.failed"
    CONSOLE_OPENED = "console.opened"
    BREAK_GLASS_OPENED = "break_glass.opened"
    BREAK_GLASS_REVIEWED = "break_glass.reviewed"
    DENY_WRITTEN = "deny.written"
    DENY_FAILED = "deny.failed"
    DENY_REMOVED = "deny.removed"
    ACTIVITY_READ = "activity.read"
    BYPASS_FOUND = "bypass.found"
    SESSION_UNSEEN = "session.unseen"
    CATALOGUE_CHANGED = "catalogue.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a history. `at` is RFC 3339; both hashes are SHA-256 in lower-case hex."""

    seq: int
    type: str
    at: str
    actor: str
    details: Mapping[str, Detail]
    prev_hash: str
    hash: str

    def as_json(self) -> dict[str, Detail]:
        return {
            "seq": self.seq,
            "type": self.type,
            "at": self.at,
            "actor": self.actor,
            "details": self.details,
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }

    def computed_hash(self) -> str:
        event = self.as_json()
        del event["hash"]
        return _hash(self.prev_hash, event)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event, and the chain that it is a line of: a request's id or a chain of a day."""

    chain: str
    event: Event

    @property
    def position(self) -> str:
        """Where it stands among all events: by its second, then by chain and seq."""
        return f"{self.event.at}#{self.chain}#{self.event.seq:010d}"

    def as_json(self) -> dict[str, Any]:
        """The event as it leaves the table: beside its own members its chain, which the hash does not cover."""
        return {**self.event.as_json(), named(self.chain): self.chain}


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many events it holds and the hash of the last."""

    seq: int
    hash: str


def day_chain(day: date, shard: str) -> str:
    """The id of one of the chains of a day of UTC's: `day-2026-11-24-3`."""
    return f"day-{day.isoformat()}-{shard}"


def named(chain: str) -> str:
    """What a chain's id is called beside an event: `request_id`, or `chain` where it is one of a day's."""
    return "chain" if chain.startswith("day-") else "request_id"


def beginning(chain: str) -> Head:
    """The head of a chain that holds nothing yet."""
    return Head(0, hashlib.sha256(f"daypass:{chain}".encode()).hexdigest())


def next_event(head: Head, kind: EventType, at: datetime, actor: str, details: Mapping[str, Detail]) -> Event:
    """The event that follows `head`. Raises ValueError for details that JCS would not write as they are meant."""
    event: dict[str, Any] = {
        "seq": head.seq + 1,
        "type": kind.value,
        "at": stamp(at),
        "actor": actor,
        "details": details,
        "prev_hash": head.hash,
    }
    return Event(**event, hash=_hash(head.hash, event))


def _hash(prev_hash: str, event: Mapping[str, Detail]) -> str:
    """SHA-256 over the text `prev_hash` followed by the JCS text of the event without `hash`, both as UTF-8."""
    return hashlib.sha256((prev_hash + canonical(event)).encode()).hexdigest()


def first_break(head: Head, events: Iterable[Event]) -> int | None:
    """The seq at which a history, read from `head` on, no longer follows from what came before; None where all does."""
    for event in events:
        follows = event.seq == head.seq + 1 and event.prev_hash == head.hash
        if not follows or event.hash != event.computed_hash():
            return event.seq
        head = Head(event.seq, event.hash)
    return None


def canonical(value: Detail) -> str:
    """JSON in the form of RFC 8785 (JCS), for strings, integers within 2^53 and lists and objects of them.

    Raises ValueError for anything else, a key outside ASCII (JCS would sort it by UTF-16) or a lone surrogate.
    """
    _check(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _check(value: object) -> None:
    match value:
        case bool():
            raise ValueError("a history holds strings and integers only, no booleans")
        case int() if abs(value) <= _LARGEST:
            pass
        case str():
            value.encode()
        case list():
            for item in value:
                _check(item)
        case Mapping():
            for key, item in value.items():
                if not (isinstance(key, str) and key.isascii()):
                    raise ValueError(f"a key of a history's details is ASCII text, not {key!r}")
                _check(item)
        case _:
            raise ValueError(f"a history holds strings and integers only, not {type(value).__name__}")


def commitment(text: str, salt: str) -> str:
    """What the history holds of a free text: SHA-256 of salt and text, in hex.

    The text and the salt are kept beside the history, so that both can be erased and the chain still verifies.
    """
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()
