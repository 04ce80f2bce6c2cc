"""What CloudTrail's files told of sessions, in the table: `broker.ports.Trail`.

kind       pk                           sk                        holds
lent       trail#<role>#<session name>  lent                      the session on the record (`items.LentItem`)
note       trail#<role>#<session name>  note#<file>#<key>         what one file told of one key; `until` is the TTL
suspicion  trail#<role>#<session name>  suspicion#<key>           a session that no request explained; `until` too

Without a key, the second at which the session was issued stands in its place.

access             how
put                BatchWriteItem, 25 notes at a time; nothing is read before it is written
told               one Query, forwards
lent               one BatchGetItem for a hundred places
suspect            one TransactWriteItems
suspicions,        index by_due, in partitions of their own: `suspect#<n>`, `unseen#<n>`
  unseen
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar

from pynamodb.attributes import BooleanAttribute, TTLAttribute, UnicodeAttribute

from chalicelib.aws.answering import answering
from chalicelib.aws.items import SHARDS, Item, LentItem, Text, place_key, unseen_shard
from chalicelib.aws.plain import plain, read
from chalicelib.aws.table import Table
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.core.activity import Lent, Suspicion, Told
from chalicelib.core.noting import Note, Place
from chalicelib.core.request import Session
from chalicelib.core.times import stamp

KEPT: Final = timedelta(days=400)
"""After a call, for how long its note is kept. CloudTrail's own files are the archive."""

LOOKED_BACK: Final = timedelta(days=7)
"""What is overdue for longer is not looked for any more."""

MOST_DUE: Final = 50

# Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html and …_BatchGetItem.html
_MOST_PUT, _MOST_GOT = 25, 100

T = TypeVar("T", bound=Item)


class NoteItem(Item):
    kind = UnicodeAttribute(default_for_new="note")
    role_arn = UnicodeAttribute()
    session_name = UnicodeAttribute()
    file = UnicodeAttribute()
    access_key_id = UnicodeAttribute(null=True)
    begun_at = UnicodeAttribute(null=True)
    made = Text()
    deeds = Text()
    more = Text()
    onward = Text()
    until = TTLAttribute()

    @classmethod
    def of(cls, note: Note) -> Self:
        times = [*(deed.at for deed in note.deeds), *(made.at for made in note.made)]
        signer = note.access_key_id or (stamp(note.begun_at) if note.begun_at else "-")
        return cls.with_values(
            place_key(note.role_arn, note.session_name),
            f"note#{note.file}#{signer}",
            until=max(times) + KEPT,
            **plain(note),
        )

    def read(self) -> Note:
        note: Note = read(Note, self.attribute_values)
        return note


class SuspicionItem(Item):
    kind = UnicodeAttribute(default_for_new="suspicion")
    role_arn = UnicodeAttribute()
    session_name = UnicodeAttribute()
    access_key_id = UnicodeAttribute(null=True)
    begun_at = UnicodeAttribute(null=True)
    shard = UnicodeAttribute(null=True)
    due = UnicodeAttribute(null=True)
    cleared = BooleanAttribute(null=True)
    until = TTLAttribute()

    @classmethod
    def of(cls, suspicion: Suspicion, **due: Any) -> Self:
        signer = suspicion.access_key_id or (stamp(suspicion.begun_at) if suspicion.begun_at else "-")
        pk = place_key(suspicion.role_arn, suspicion.session_name)
        return cls.with_values(pk, f"suspicion#{signer}", **plain(suspicion), **due)

    def read(self) -> Suspicion:
        suspicion: Suspicion = read(Suspicion, self.attribute_values)
        return suspicion


class TrailNotes:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._notes = table.model(NoteItem)
        self._lent = table.model(LentItem)
        self._suspicions = table.model(SuspicionItem)

    def put(self, notes: Sequence[Note]) -> None:
        for some in _portions([self._notes.of(note) for note in notes], _MOST_PUT):
            self._table.put(some)

    def told(self, place: Place, *, most: int) -> Told:
        # `lent` comes before `note#`, and that before `suspicion#`.
        found = self._table.items(place_key(place.role_arn, place.session_name), "lent", "note$", most=most + 2)
        lent = [_lent(self._lent.from_raw_data(item)) for item in found if item["kind"]["S"] == "lent"]
        notes = [self._notes.from_raw_data(item).read() for item in found if item["kind"]["S"] == "note"]
        return Told(lent=lent[0] if lent else None, notes=tuple(notes[:most]), whole=len(notes) <= most)

    @answering()
    def lent(self, places: Iterable[Place]) -> Mapping[Place, Lent]:
        keys = sorted((place_key(place.role_arn, place.session_name), "lent") for place in set(places))
        items = (item for some in _portions(keys, _MOST_GOT) for item in self._table.read(some))
        found = [_lent(self._lent.from_raw_data(item)) for item in items]
        return {lent.place: lent for lent in found}

    @answering()
    def suspect(self, suspicion: Suspicion, *, due: datetime) -> None:
        number = SHARDS[zlib.crc32(suspicion.session_name.encode()) % len(SHARDS)]
        item = self._suspicions.of(
            suspicion,
            shard=_suspect_shard(number),
            due=f"{stamp(due)}#{suspicion.session_name}",
            until=due + KEPT,
        )
        try:
            self._table.transact([Write(item, Item.pk.does_not_exist() | SuspicionItem.cleared.exists())])
        except Cancelled:  # it waits to be judged, or was
            return

    @answering()
    def suspicions(self, *, now: datetime) -> Sequence[Suspicion]:
        return [item.read() for item in self._due(self._suspicions, _suspect_shard, now)]

    @answering()
    def judged(self, suspicion: Suspicion, *, bypass: bool) -> None:
        item = self._suspicions.of(suspicion)
        cleared = () if bypass else (SuspicionItem.cleared.set(True),)
        actions = (SuspicionItem.due.remove(), SuspicionItem.shard.remove(), *cleared)
        self._table.transact([Write(item, Item.pk.exists(), actions)])

    @answering()
    def unseen(self, *, now: datetime) -> Sequence[Lent]:
        return [_lent(item) for item in self._due(self._lent, unseen_shard, now)]

    @answering()
    def settled(self, lent: Lent) -> None:
        item = self._lent.with_values(place_key(lent.role_arn, lent.session.session_name), "lent")
        gone = (LentItem.due.remove(), LentItem.shard.remove())
        self._table.transact([Write(item, Item.pk.exists(), gone)])

    def _due(self, kind: type[T], shard: Any, now: datetime) -> list[T]:
        within = kind.due.between(stamp(now - LOOKED_BACK), f"{stamp(now)}$")  # type: ignore[attr-defined]
        found = [
            item for number in SHARDS for item in kind.query(shard(number), within, index_name="by_due", limit=MOST_DUE)
        ]
        return sorted(found, key=lambda item: str(item.due))[:MOST_DUE]  # type: ignore[attr-defined]


def _lent(item: LentItem) -> Lent:
    session: Session = item.read()
    return Lent(request_id=item.request_id, role_arn=item.role_arn, session=session)


def _suspect_shard(number: str) -> str:
    return f"suspect#{number}"


def _portions(of: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(of), size):
        yield of[begin : begin + size]
