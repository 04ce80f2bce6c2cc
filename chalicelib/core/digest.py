"""Digests: what the ledger held of a day, in a few lines that are signed and name the digest before them.

    {"kind": "daypass.digest", "schema": 1, "day": "2026-11-24", "before": {"day": "2026-11-23", "sha256": "…"},
     "days": {"2026-11-24": {"events": 5, "sha256": "…", "heads": {"01M8…": {"seq": 5, "hash": "…"}}}}}

The first one names none before it and tells of no day: the record of digests begins after its day. A later one tells of
its own day, and again of earlier days to which events came late. What is told again may only be more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from chalicelib.core.ledger import Detail, Head, canonical

FOLDER: Final = "digests/"
_KIND, _SCHEMA = "daypass.digest", 1


class Unreadable(Exception):
    """A file that is no digest as Daypass writes them; `str` of it says why, and holds nothing of the file's."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A day's events: how many, the hash over all of them, and the last one of each chain on that day, by chain."""

    events: int
    sha256: str
    heads: Mapping[str, Head]

    def as_json(self) -> dict[str, Detail]:
        heads: dict[str, Detail] = {chain: {"seq": head.seq, "hash": head.hash} for chain, head in self.heads.items()}
        return {"events": self.events, "sha256": self.sha256, "heads": heads}


class Book:
    """Which events there are, of whatever source, by day, chain and seq. Holds some 300 bytes for each."""

    def __init__(self) -> None:
        self._days: defaultdict[str, dict[tuple[str, int], str]] = defaultdict(dict)

    def take(self, day: str, chain: str, seq: int, hash: str) -> None:
        self._days[day][chain, seq] = hash

    @property
    def days(self) -> list[str]:
        return sorted(self._days)

    def of(self, day: str) -> Mapping[tuple[str, int], str]:
        """The hashes of a day's events."""
        return self._days.get(day, {})

    def statement(self, day: str) -> Statement:
        events = sorted(self.of(day).items())
        told: list[Detail] = [[chain, seq, hash] for (chain, seq), hash in events]
        heads = {chain: Head(seq, hash) for (chain, seq), hash in events}
        return Statement(len(events), _sha256(canonical(told)), heads)


@dataclass(frozen=True, slots=True)
class Before:
    day: date
    sha256: str


@dataclass(frozen=True, slots=True)
class Digest:
    """before: None for the first one. days: the statements that it makes, by day as in 2026-11-24."""

    day: date
    before: Before | None
    days: Mapping[str, Statement]

    @property
    def text(self) -> str:
        """What is signed, and hashed by the digest after this one: its form after RFC 8785."""
        told: dict[str, Detail] = {
            "kind": _KIND,
            "schema": _SCHEMA,
            "day": self.day.isoformat(),
            "days": {day: statement.as_json() for day, statement in self.days.items()},
        }
        if self.before:
            told["before"] = {"day": self.before.day.isoformat(), "sha256": self.before.sha256}
        return canonical(told)

    def followed(self, days: Mapping[str, Statement]) -> Digest:
        """The digest of the day after."""
        return Digest(self.day + timedelta(days=1), Before(self.day, _sha256(self.text)), days)


@dataclass(frozen=True, slots=True)
class Signed:
    """A digest with its signature: DER of ECDSA on P-256 with SHA-256, over the digest's text as UTF-8."""

    digest: Digest
    signature: bytes

    @property
    def document(self) -> bytes:
        """One file for both, so that there is never one without the other."""
        signature = base64.b64encode(self.signature).decode()
        return f'{{"digest":{self.digest.text},"signature":"{signature}"}}'.encode()


def name(day: date) -> str:
    return f"{FOLDER}{day.isoformat()}.json"


def read(document: bytes) -> Signed:
    """The digest that is in a file, whoever signed it. Raises Unreadable for all but the very bytes of `document`."""
    try:
        told = json.loads(document)
        digest = told["digest"]
        before = digest.get("before")
        signed = Signed(
            Digest(
                date.fromisoformat(digest["day"]),
                Before(date.fromisoformat(before["day"]), before["sha256"]) if before else None,
                {day: _statement(each) for day, each in digest["days"].items()},
            ),
            base64.b64decode(told["signature"], validate=True),
        )
        whole = signed.document == document
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as wrong:
        raise Unreadable("is no digest as Daypass writes them") from wrong
    if not whole:
        raise Unreadable("is no digest as Daypass writes them")
    return signed


def _statement(told: Mapping[str, Any]) -> Statement:
    heads = {chain: Head(head["seq"], head["hash"]) for chain, head in told["heads"].items()}
    return Statement(told["events"], told["sha256"], heads)


def days_after(first: date, last: date) -> Iterator[date]:
    """Every day after the first one, up to the last."""
    for number in range((last - first).days):
        yield first + timedelta(days=number + 1)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
