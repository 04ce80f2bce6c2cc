"""Two books beside each other: the sessions that CloudTrail tells of, and the requests that Daypass knows them by.

AssumeRole, hub ──┐
AssumeRole, target┴─ access key ──► the session's sheet ◄── access key ── its later events
                     │                                  ◄── role id, name, instant ── those without a key
                     └─ caller's key ──► the session that it was come from, and so on up to a request
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from chalicelib.core.account import Account, Identity, Sheet
from chalicelib.core.known import Record
from chalicelib.core.recent import Recent
from chalicelib.core.reckoning import Managed, Reckoning
from chalicelib.core.signatures import Signatures
from chalicelib.core.trail import Denial, Fact, Issuance, Unreadable, Unrelated, Use, read

RECENT_EVENTS: Final = 2**14
MOST_DENIALS: Final = 1_000
"""Denied attempts that are kept one by one, beside those that the record knows; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Totals:
    """issued, denied: AssumeRole events. uses: later events that were signed with a key issued in what was read."""

    events: int
    duplicates: int
    issued: int
    denied: int
    distinct_keys: int
    uses: int
    keys_used: int
    before_their_issuance: int


class Books:
    """Takes facts in any order and any number of times, and gives an account of every session.

    Repeats are recognised in memory that grows with sessions and files, not with events: a file by its content, however
    long ago it was read; an event of another file among the last `recent` different ones. A repeat from further back
    counts once more in `events`, `actions` and their like. Who had which session, when it was used and for which
    request are the same however often they are told, and an AssumeRole that lent is counted once always.

    record: where given, it alone says whose a session is; else the tag `daypass:request` is believed.
    """

    def __init__(
        self, record: Record | None = None, *, keys: Collection[str] = (), recent: int = RECENT_EVENTS
    ) -> None:
        self._record = record
        self.signatures = Signatures(keys, record) if keys and record else None
        self._files: dict[bytes, int] = {}
        self._file = 0
        self._recent = Recent(recent)
        self._corrected = Recent(recent)
        self._by_key: dict[str, Sheet] = {}
        self._keyless: dict[tuple[Identity, str | None], Sheet] = {}
        self._denials: dict[str, Denial] = {}
        self._events = self._duplicates = self._issued = self._denied = self._addenda = 0

    def take_file(self, digest: bytes, records: Iterable[object]) -> Mapping[str, int]:
        """Take all records of a log file; none where one of the same content was taken before. digest: of its content.

        Returns why records were set aside, and how many for each reason.
        """
        if digest in self._files:
            self._duplicates += self._files[digest]
            return {}
        self._file += 1
        unreadable: Counter[str] = Counter()
        taken = 0
        for record in records:
            try:
                fact = read(record)
            except Unreadable as why:
                unreadable[str(why)] += 1
                continue
            taken += 1
            self.take(fact)
            if self.signatures and isinstance(record, dict):
                self.signatures.take(record)
        self._files[digest] = taken
        return unreadable

    def take(self, fact: Fact) -> None:
        if not self._recent.add(fact.event_id):
            self._duplicates += 1
            return
        self._events += 1
        if isinstance(fact, Unrelated):
            return
        # Addenda are rare: until there is one, nobody has to ask.
        first = self._first_telling(fact.event_id, fact.corrects) if fact.corrects or self._addenda else True
        if isinstance(fact, Use):
            self._used(fact, first)
            return
        if isinstance(fact, Issuance):
            self._lent(fact, first)
        else:
            self._refused(fact, first)
        if fact.by is not None:
            self._used(fact.by, first)

    def _first_telling(self, event_id: str, corrects: str | None) -> bool:
        """Whether the call is not told of yet: an event and its addenda are one call, in whichever order they come."""
        if corrects is None:
            return event_id not in self._corrected
        self._addenda += 1
        told_itself = corrects in self._recent
        return self._corrected.add(corrects) and not told_itself

    def _used(self, use: Use, first_telling: bool) -> None:
        if use.access_key_id is not None:
            sheet = self._by_key.get(use.access_key_id) or self._new_sheet(use.access_key_id)
        else:
            key = (use.principal_id, use.begun_at), use.role_arn
            sheet = self._keyless.get(key) or self._keyless.setdefault(key, Sheet(None))
        sheet.used(use, self._file, first_telling=first_telling)

    def _new_sheet(self, access_key_id: str) -> Sheet:
        sheet = self._by_key[access_key_id] = Sheet(access_key_id)
        return sheet

    def _lent(self, fact: Issuance, first_telling: bool) -> None:
        sheet = self._by_key.get(fact.access_key_id) or self._new_sheet(fact.access_key_id)
        if first_telling and fact.event_id not in sheet.issuances:
            self._issued += 1
        sheet.issued(fact, self._file)

    def _refused(self, fact: Denial, first_telling: bool) -> None:
        self._denied += first_telling
        if len(self._denials) < MOST_DENIALS or (self._record and self._record.by_call(fact.request_id)):
            self._denials[fact.event_id] = fact

    def totals(self) -> Totals:
        lent = [sheet for sheet in self._by_key.values() if sheet.issuances]
        return Totals(
            events=self._events,
            duplicates=self._duplicates,
            issued=self._issued,
            denied=self._denied,
            distinct_keys=len(lent),
            uses=sum(sheet.events for sheet in lent),
            keys_used=sum(sheet.events > 0 for sheet in lent),
            before_their_issuance=sum(sheet.early for sheet in lent),
        )

    def denials(self) -> Iterator[tuple[Denial, str | None]]:
        """The denied attempts that are kept, oldest first, each with the request that it was made for, where known."""
        for denial in sorted(self._denials.values(), key=lambda each: (each.at, each.event_id)):
            known = self._record.by_call(denial.request_id) if self._record else None
            yield denial, known.request_id if known else None

    def accounts(self, managed: Managed) -> list[Account]:
        """Every session of a managed role, or come to from one, or of a known request; oldest first.

        With a record also the sessions that it holds and that nothing was seen of: issued_at is None, events is 0.
        """
        keyless = [sheet for _, sheet in sorted(self._keyless.items(), key=lambda item: repr(item[0]))]
        return Reckoning(self._by_key, keyless, self._record, managed).accounts()
