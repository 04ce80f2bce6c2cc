"""What was done with a session: the notes of all files, summed up when they are read.

A note is written once for a file, whatever came before it; so the sum is the same in whatever order files come, and
however often. A call that two files tell counts once where both list it (`noting.MOST_DEEDS`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chalicelib.core.known import A_CALL, CLOCKS
from chalicelib.core.noting import Deed, Made, Note, Onward, Place, counted
from chalicelib.core.request import Session
from chalicelib.core.times import stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A session on the record, found by its place."""

    request_id: str
    role_arn: str
    session: Session

    @property
    def place(self) -> Place:
        return Place(self.role_arn, self.session.session_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that is known of a place. lent: the session of that name on the record. whole: False where notes are left."""

    lent: Lent | None
    notes: tuple[Note, ...]
    whole: bool = True


NOTHING: Final = Told(lent=None, notes=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Doings:
    """What a session's notes come to. seen_in: the accounts whose trails told of its AssumeRole.

    denied: how many calls of each action were. unlisted: how many of the events are counted only.
    whole: False where not all notes were read.
    """

    seen_in: frozenset[str]
    issued_at: datetime | None
    first_use: datetime | None
    last_use: datetime | None
    events: int
    unlisted: int
    actions: Mapping[str, int]
    denied: Mapping[str, int]
    errors: Mapping[str, int]
    regions: Mapping[str, int]
    addresses: Mapping[str, int]
    whole: bool = True

    @property
    def services(self) -> Sequence[str]:
        return sorted({action.partition(":")[0] for action in self.actions if ":" in action})


def of_session(session: Session, notes: Sequence[Note]) -> tuple[Note, ...]:
    """Those of its place's notes that are the session's own.

    By its key; and, since a name is given once, by the time of it where the key is missing or was seen issued to
    nobody: a service that acts for a session, and the console, sign with keys of their own.
    """
    issued = {note.access_key_id for note in notes if note.made}
    if session.access_key_id is None and len(issued) == 1:
        issued = set()  # STS's answer is not on the record: the one session of that name and time is it
    return tuple(
        note
        for note in notes
        if (note.access_key_id is not None and note.access_key_id == session.access_key_id)
        or (note.access_key_id not in issued and _in_time(session, note.issued_at))
    )


def _in_time(session: Session, at: datetime | None) -> bool:
    until = session.expires_at or session.begun_at + A_CALL
    return at is not None and session.begun_at - CLOCKS <= at <= until + CLOCKS


def of_onward(onward: Onward, notes: Sequence[Note]) -> tuple[Note, ...]:
    """Those of its place's notes that are of a session which another one went on to."""
    issued = {note.access_key_id for note in notes if note.made}
    return tuple(
        note
        for note in notes
        if note.access_key_id == onward.access_key_id
        or (note.access_key_id not in issued and note.issued_at == onward.at)
    )


def onward_of(notes: Iterable[Note]) -> tuple[Onward, ...]:
    """The sessions that these went on to, the first first; each once, though two accounts may tell of it."""
    by_key = {each.access_key_id: each for note in notes for each in sorted(note.onward, reverse=True)}
    return tuple(sorted(by_key.values(), key=lambda each: (each.at, each.access_key_id)))


def listed(notes: Iterable[Note]) -> tuple[tuple[Deed, str | None], ...]:
    """The calls that are listed, each once, oldest first, each with the key that signed it."""
    by_id: dict[str, tuple[Deed, str | None]] = {}
    for note in sorted(notes, key=lambda each: each.file):
        for deed in note.deeds:
            known = by_id.get(deed.id)
            if known is None or (deed.repaired and not known[0].repaired):
                by_id[deed.id] = deed, note.access_key_id
    return tuple(sorted(by_id.values(), key=lambda each: (each[0].at, each[0].id)))


def doings(notes: Sequence[Note], *, whole: bool = True) -> Doings:
    told, more = [deed for deed, _ in listed(notes)], [note.more for note in notes]
    times = [*(deed.at for deed in told), *(at for each in more for at in (each.first, each.last) if at)]
    unlisted = sum(each.events for each in more)
    return Doings(
        seen_in=frozenset(made.account_id for made in _made(notes) if made.account_id),
        issued_at=min((made.at for made in _made(notes)), default=None),
        first_use=min(times, default=None),
        last_use=max(times, default=None),
        events=len(told) + unlisted,
        unlisted=unlisted,
        actions=_sum(Counter(deed.action for deed in told), (each.actions for each in more)),
        denied=_sum(Counter(deed.action for deed in told if deed.denied), (each.denied for each in more)),
        errors=_sum(Counter(deed.error for deed in told if deed.error), (each.errors for each in more)),
        regions=_sum(Counter(deed.region for deed in told if deed.region), (each.regions for each in more)),
        addresses=_sum(Counter(deed.address for deed in told if deed.address), (each.addresses for each in more)),
        whole=whole,
    )


def _made(notes: Iterable[Note]) -> tuple[Made, ...]:
    return tuple(made for note in notes for made in note.made)


def _sum(listed: Counter[str], others: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    total = Counter(listed)
    for each in others:
        total.update(each)
    return counted(total)


# Whose it is.


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A session of a managed role that no request explained when a file told of it.

    access_key_id: None where its calls are told without one; begun_at tells it apart then.
    """

    role_arn: str
    session_name: str
    access_key_id: str | None
    begun_at: datetime | None

    @property
    def place(self) -> Place:
        return Place(self.role_arn, self.session_name)

    @property
    def name(self) -> str:
        """The same for the same session, and no other."""
        signer = self.access_key_id or (stamp(self.begun_at) if self.begun_at else "-")
        return f"{self.role_arn}#{self.session_name}#{signer}"

    def is_of(self, note: Note) -> bool:
        if self.access_key_id is not None:
            return note.access_key_id == self.access_key_id
        return note.access_key_id is None and note.begun_at == self.begun_at


def suspicion(note: Note) -> Suspicion:
    return Suspicion(
        role_arn=note.role_arn,
        session_name=note.session_name,
        access_key_id=note.access_key_id,
        begun_at=None if note.access_key_id else note.begun_at,
    )


def lent_to(told: Told, notes: Sequence[Note]) -> bool:
    """Whether these notes of a place are of the session that is on the record for it."""
    if told.lent is None:
        return False
    own = of_session(told.lent.session, told.notes)
    return bool(notes) and all(note in own for note in notes)


def another_tells(suspected: Suspicion, notes: Sequence[Note]) -> bool:
    """Whether calls without an AssumeRole of their own are of a session that another key's notes tell of.

    Then that one is judged, and this is none beside it.
    """
    own = [note for note in notes if suspected.is_of(note)]
    if any(note.made for note in own):
        return False
    at = {note.issued_at for note in own} - {None}
    others = (note for note in notes if not suspected.is_of(note))
    return any(
        note.issued_at in at and (note.made or (suspected.access_key_id is None and note.access_key_id is not None))
        for note in others
    )


# In words.

_MOST_SERVICES = _MOST_ADDRESSES = 5


def in_words(sessions: Sequence[Doings]) -> str:
    """What was done with all of these sessions: one sentence or a few, for people who judge it."""
    used = [each for each in sessions if each.events]
    if not used:
        return "Nothing was done with it, as far as CloudTrail has told." if sessions else "No session was lent."
    first = min(each.first_use for each in used if each.first_use)
    last = max(each.last_use for each in used if each.last_use)
    events = sum(each.events for each in used)
    denials, errors = (sum(sum(names.values()) for names in all_of) for all_of in _denials_and_errors(used))
    failed = f" {errors} failed, {denials} of them for want of permission." if errors else " None failed."
    unused = len(sessions) - len(used)
    never = f" {unused} of {len(sessions)} sessions {'was' if unused == 1 else 'were'} never used." if unused else ""
    addresses = _names(Counter[str](), (each.addresses for each in used), _MOST_ADDRESSES)
    return (
        f"{events} call{'' if events == 1 else 's'} from {stamp(first)} to {stamp(last)}: {_services(used)}."
        f"{failed}{f' From {addresses}.' if addresses else ''}{never}"
    )


def _denials_and_errors(used: Sequence[Doings]) -> tuple[list[Mapping[str, int]], list[Mapping[str, int]]]:
    return [each.denied for each in used], [each.errors for each in used]


def _services(used: Sequence[Doings]) -> str:
    total = Counter[str]()
    for each in used:
        for action, times in each.actions.items():
            total[action.partition(":")[0]] += times
    return _names(total, (), _MOST_SERVICES, times=True)


def _names(total: Counter[str], others: Iterable[Mapping[str, int]], most: int, *, times: bool = False) -> str:
    for each in others:
        total.update(each)
    frequent = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    told = [f"{name} {count}" if times else name for name, count in frequent[:most]]
    more = [f"{len(frequent) - most} more"] if len(frequent) > most else []
    return ", ".join([*told, *more])
