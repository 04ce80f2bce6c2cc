"""Digesting: once a day what the copy holds of the day before is signed, and the table is held against it.

A digest is made from the copy, not from the table: the copy says what was told first (docs/decisions/0032). What
somebody else wrote into the bucket is named and left out, and holds nothing up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from chalicelib.core import copied
from chalicelib.core.digest import FOLDER, Book, Digest, Signed, Statement, Unreadable, days_after, name, read
from chalicelib.core.ledger import Recorded
from chalicelib.outbox.ports import SigningKey, Stored, Vault

LATE = timedelta(days=16)
"""So long after its day an event may still come: the emergency queue keeps its messages for 14 days, SQS's longest."""

WITHIN = timedelta(minutes=10)
"""After so long a run begins no other day: Lambda ends it after 15 minutes, and the next one goes on."""

_AT_ONCE = 10  # connections that a client of botocore keeps

TableDay = Callable[[date], Iterable[Recorded]]


@dataclass(slots=True)
class Digested:
    """One run. made: the days whose digests it wrote. finished: no day before today is without one.

    changed: names in the copy that somebody wrote over or hid, or that do not hold what Daypass writes there.
    unlike: the events of which table and copy do not tell the same, as `<chain>/<seq>`.
    """

    made: list[date] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    unlike: list[str] = field(default_factory=list)
    finished: bool = True


def digest(vault: Vault, key: SigningKey, table: TableDay, clock: Callable[[], datetime]) -> Digested:
    """Make every digest that is due, the oldest first. May run twice, late, or many times at once.

    Raises Unavailable; what is made by then stays.
    """
    begun, run = clock(), Digested()
    yesterday = begun.date() - timedelta(days=1)
    known = list(_known(vault, key, yesterday, run)) or [_put(vault, Digest(yesterday, None, {}), key, run)]
    for day in days_after(known[-1].day, yesterday):
        if clock() - begun >= WITHIN:
            run.finished = False
            break
        events = _held(vault, _names(vault, day.isoformat(), run), run)
        run.unlike += _unlike(events.of(day.isoformat()), table(day))
        told = {earlier: each for one in known for earlier, each in one.days.items()}
        days = {**_late(vault, told, day, run), day.isoformat(): events.statement(day.isoformat())}
        known.append(_put(vault, known[-1].followed(days), key, run))
    return run


def _known(vault: Vault, key: SigningKey, yesterday: date, run: Digested) -> Iterator[Digest]:
    """The digests that may tell of days to which events still come, oldest first."""
    stored = [each for each in vault.stored(FOLDER) if each.name <= name(yesterday)]
    run.changed.update(each.name for each in stored if each.changes)
    for each in stored[-LATE.days - 1 :]:
        if known := _ours(vault, each, key, run):
            yield known


def _ours(vault: Vault, stored: Stored, key: SigningKey, run: Digested) -> Digest | None:
    """The digest under a name; None where somebody put something else there before."""
    try:
        there = read(vault.first(stored))
        if name(there.digest.day) == stored.name and key.signed(there.digest.text.encode(), there.signature):
            return there.digest
    except Unreadable:
        pass
    run.changed.add(stored.name)
    return None


def _put(vault: Vault, made: Digest, key: SigningKey, run: Digested) -> Digest:
    """The digest of its day: as it was just made, or as another run has made it by now."""
    place = name(made.day)
    if vault.add(place, Signed(made, key.sign(made.text.encode())).document):
        run.made.append(made.day)
        return made
    there = next(each for each in vault.stored(place) if each.name == place)
    return _ours(vault, there, key, run) or made


def _names(vault: Vault, day: str, run: Digested) -> list[Stored]:
    stored = list(vault.stored(copied.folder(day)))
    run.changed.update(each.name for each in stored if each.changes)
    return stored


def _held(vault: Vault, stored: list[Stored], run: Digested) -> Book:
    book = Book()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for each, text in zip(stored, pool.map(vault.first, stored), strict=True):
            try:
                recorded = copied.read(each.name, text)
            except ValueError:
                run.changed.add(each.name)
                continue
            event = recorded.event
            book.take(event.at[:10], recorded.chain, event.seq, event.hash)
    return book


def _late(vault: Vault, told: Mapping[str, Statement], day: date, run: Digested) -> dict[str, Statement]:
    """The earlier days of which the copy holds more by now than the digests tell."""
    more: dict[str, Statement] = {}
    for earlier, statement in told.items():
        if date.fromisoformat(earlier) < day - LATE:
            continue
        stored = _names(vault, earlier, run)
        if len(stored) > statement.events:
            now = _held(vault, stored, run).statement(earlier)
            more |= {earlier: now} if now.events > statement.events else {}
    return more


def _unlike(copy: Mapping[tuple[str, int], str], table: Iterable[Recorded]) -> list[str]:
    theirs = {(each.chain, each.event.seq): each.event.computed_hash() for each in table}
    return [
        f"{chain}/{seq}"
        for chain, seq in sorted(copy.keys() | theirs.keys())
        if copy.get((chain, seq)) != theirs.get((chain, seq))
    ]
