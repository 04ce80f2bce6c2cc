"""An exported ledger held against what its forger could not write to: signed digests, and the copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from chalicelib.core import digest
from chalicelib.core.digest import Book, Digest, Signed, Statement
from chalicelib.core.verifying import Break


@dataclass(frozen=True, slots=True)
class Digests:
    """What a row of digests tells. statements: by day, each later one after those before it.

    first, last: the days of the first and the last digest; None where there is none. broken: where the row does not
    hold, each named by its file. whole: whether it goes back to the very first digest there was.
    """

    statements: Mapping[str, list[Statement]]
    first: date | None
    last: date | None
    whole: bool
    broken: list[Break]

    @property
    def told_again(self) -> list[str]:
        """The days to which events came late."""
        return sorted(day for day, several in self.statements.items() if len(several) > 1)


def read_digests(files: Mapping[str, bytes], signed: Callable[[Signed], bool]) -> Digests:
    """files: by name, `digests/2026-11-24.json`. signed: whether a digest bears its key's signature.

    What a digest that is not signed tells is not believed, and the row is broken there.
    """
    statements: defaultdict[str, list[Statement]] = defaultdict(list)
    broken: list[Break] = []
    row: list[Digest] = []
    for name in sorted(files):
        try:
            read = digest.read(files[name])
        except digest.Unreadable as unreadable:
            broken.append(Break(name, 0, str(unreadable)))
            continue
        if digest.name(read.digest.day) != name:
            broken.append(Break(name, 0, f"is the digest of {read.digest.day}, under another name"))
        elif not signed(read):
            broken.append(Break(name, 0, "is not signed with this key"))
        else:
            broken += _joint(row[-1] if row else None, read.digest)
            row.append(read.digest)
            for day, statement in read.digest.days.items():
                statements[day].append(statement)
    whole = bool(row) and row[0].before is None
    return Digests(statements, row[0].day if row else None, row[-1].day if row else None, whole, broken)


def _joint(before: Digest | None, after: Digest) -> Iterator[Break]:
    """Where a digest does not follow from the one before it."""
    if before is None:
        return
    place, expected = digest.name(after.day), before.followed({}).before
    if after.day != before.day + timedelta(days=1):
        missing = before.day + timedelta(days=1)
        until = "" if missing == after.day - timedelta(days=1) else f", as are all until {place}"
        yield Break(digest.name(missing), 0, f"is missing{until}")
    elif after.before != expected:
        named = "names none before it" if after.before is None else "does not follow from the digest before it"
        yield Break(place, 0, named)


Within = Callable[[str], bool]
"""Whether a day, as in 2026-11-24, is one that the export is of."""


def against_digests(book: Book, digests: Digests, within: Within, chain: str | None = None) -> list[Break]:
    """Where the export does not hold what the digests tell of these days, by request and seq.

    chain: where the export is of this chain alone.
    """
    found: set[Break] = set()
    for day in filter(within, digests.statements):
        statements, events = digests.statements[day], book.of(day)
        for statement in statements:
            found.update(_not_reached(events, statement, day, chain))
        found.update(_beyond(events, statements[-1], day))
        if chain is None and not found and book.statement(day) != statements[-1]:
            told = statements[-1].events
            found.add(Break(day, 0, f"is not as it was: {len(events)} events are here, its digest tells of {told}"))
    return sorted(found)


def _not_reached(
    events: Mapping[tuple[str, int], str], statement: Statement, day: str, only: str | None
) -> Iterator[Break]:
    for chain, head in statement.heads.items():
        if only is not None and chain != only:
            continue
        here = events.get((chain, head.seq))
        if here is None:
            yield Break(chain, head.seq, f"is missing: the digests tell of it on {day}")
        elif here != head.hash:
            yield Break(chain, head.seq, f"is another event than the digests tell of on {day}")


def _beyond(events: Mapping[tuple[str, int], str], statement: Statement, day: str) -> Iterator[Break]:
    """Events after the last one of their chain that the digests tell of on that day."""
    for chain, seq in events:
        head = statement.heads.get(chain)
        if head is None or seq > head.seq:
            yield Break(chain, seq, f"is in no digest of {day}")


def untold(book: Book, digests: Digests, within: Within) -> list[str]:
    """The days of the export of which no digest tells."""
    return [day for day in book.days if within(day) and day not in digests.statements]


def against_copy(book: Book, copy: Book, within: Within) -> list[Break]:
    """Where the export and the copy do not tell the same of these days, by request and seq."""
    return sorted(each for day in filter(within, {*book.days, *copy.days}) for each in _unlike(book, copy, day))


def _unlike(book: Book, copy: Book, day: str) -> Iterator[Break]:
    here, there = book.of(day), copy.of(day)
    for chain, seq in here.keys() | there.keys():
        mine, other = here.get((chain, seq)), there.get((chain, seq))
        if other is None:
            yield Break(chain, seq, f"is not in the copy of {day}")
        elif mine is None:
            yield Break(chain, seq, f"is missing: the copy has it on {day}")
        elif mine != other:
            yield Break(chain, seq, f"is another event than the copy has on {day}")
