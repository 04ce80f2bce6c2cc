"""Exported histories held against their own hashes: what was changed, is missing, or was put in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from chalicelib.core.ledger import Event, beginning, named
from chalicelib.core.times import stamp

_MEMBERS = {"type": str, "at": str, "actor": str, "details": dict, "prev_hash": str, "hash": str}
_BASE32 = {character: value for value, character in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_ULID_TIME = 10
_AT_MIDNIGHT = timedelta(minutes=1)
"""A request's id may be made a moment before its first event, and so on the day before."""


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """Where a chain does not hold. seq: of the event that does not fit or is not there; 0 where a line tells none.

    chain: a request's id, or a chain of a day.
    """

    chain: str
    seq: int
    why: str


class _Link(NamedTuple):
    seq: int
    prev_hash: str
    hash: str


class Chains:
    """The chains of an export, in whatever order its lines come. Holds some 350 bytes for each event."""

    def __init__(self) -> None:
        self.events = 0
        self.days: tuple[str, str] | None = None
        self._links: defaultdict[str, list[_Link]] = defaultdict(list)
        self._unlike: list[Break] = []

    @property
    def requests(self) -> int:
        """How many histories of requests there are."""
        return sum(named(chain) == "request_id" for chain in self._chains)

    @property
    def day_chains(self) -> int:
        return len(self._chains) - self.requests

    @property
    def _chains(self) -> set[str]:
        return self._links.keys() | {each.chain for each in self._unlike}

    def take(self, line: Mapping[str, Any]) -> None:
        """One event beside its chain's name. Raises KeyError where it has none."""
        self.events += 1
        chain = chain_of(line)
        if chain is None:
            raise KeyError("chain")
        line = {name: value for name, value in line.items() if name != named(chain)}
        seq = line.get("seq")
        whole = line.keys() == {*_MEMBERS, "seq"} and all(type(line[name]) is kind for name, kind in _MEMBERS.items())
        if not whole or type(seq) is not int or seq < 1:
            known = seq if type(seq) is int else 0
            self._unlike.append(Break(chain, known, "is not written as Daypass writes events"))
            return
        event = Event(**line)
        if not _holds(event):
            self._unlike.append(Break(chain, seq, "was changed: its hash is not the one of what it says"))
        day = event.at[:10]
        if _is_of_another_day(chain, day):
            self._unlike.append(Break(chain, seq, "is in a chain of another day"))
        self._links[chain].append(_Link(seq, event.prev_hash, event.hash))
        self.days = (min(day, self.days[0]), max(day, self.days[1])) if self.days else (day, day)

    def breaks(self) -> list[Break]:
        """Every place where a chain does not hold, by request and seq."""
        joints = (each for id, links in self._links.items() for each in self._joints(id, sorted(links)))
        return sorted([*self._unlike, *joints])

    def began_earlier(self) -> dict[str, int]:
        """The requests that may have begun before the first day, and the seq from which on their events are here."""
        first = {chain: min(links).seq for chain, links in self._links.items()}
        return {id: seq for id, seq in sorted(first.items()) if seq > 1 and not self._is_of_these_days(id)}

    def _joints(self, chain: str, links: list[_Link]) -> Iterator[Break]:
        """Where an event does not follow from the one before it."""
        before = _Link(0, "", beginning(chain).hash)
        if links[0].seq > 1 and not self._is_of_these_days(chain):
            before, links = links[0], links[1:]
        for link in links:
            if link.seq == before.seq:
                yield Break(chain, link.seq, "is there twice")
            elif link.seq > before.seq + 1:
                last = link.seq - 1
                missing = "is missing" if last == before.seq + 1 else f"to {last} are missing"
                yield Break(chain, before.seq + 1, missing)
            elif link.prev_hash != before.hash:
                after = f"seq {before.seq}" if before.seq else f"the beginning of {_whole(chain)}"
                yield Break(chain, link.seq, f"does not follow from {after}")
            before = link

    def _is_of_these_days(self, chain: str) -> bool:
        """Whether the request was made when the file had begun, so that its first event must be in it; a day's is."""
        made = _made_at(chain)
        return made is None or (self.days is not None and stamp(made - _AT_MIDNIGHT) >= self.days[0])


def chain_of(line: Mapping[str, Any]) -> str | None:
    """What an exported event says it is a line of, which its hash does not cover; None where it does not say."""
    for name in ("request_id", "chain"):
        if isinstance(told := line.get(name), str) and named(told) == name:
            return str(told)
    return None


def _whole(chain: str) -> str:
    return "a history of this request" if named(chain) == "request_id" else "this chain"


def _is_of_another_day(chain: str, day: str) -> bool:
    return named(chain) == "chain" and not chain.startswith(f"day-{day}-")


def _holds(event: Event) -> bool:
    try:
        return event.hash == event.computed_hash()
    except (ValueError, RecursionError):
        return False  # it holds what no history can


def _made_at(request_id: str) -> datetime | None:
    """When the id was made; None for what is no ULID. Source: https://github.com/ulid/spec."""
    milliseconds = 0
    for character in request_id[:_ULID_TIME]:
        if character not in _BASE32:
            return None
        milliseconds = milliseconds * 32 + _BASE32[character]
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
