"""A log file as notes: what it tells of each session that may be Daypass's, or was come to from one that is.

Which records are noted is told by the record alone, so that files may come in any order: those of roles under
`/daypass/`, and those with a source identity, which a session keeps when it assumes another role. Whose a session is,
is found when the notes are read. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chalicelib.core.reckoning import under_daypass
from chalicelib.core.session import REQUEST_TAG
from chalicelib.core.trail import Denial, Fact, Issuance, Unreadable, Unrelated, Use, read

MOST_DEEDS: Final = 100
"""Calls of one key that a file's note lists. Further ones are counted, those first that only read and did not fail."""

MOST_NAMES: Final = 100
"""Different actions, errors, regions and addresses that are told of what is counted only. Others count as OTHERS."""

MOST_ONWARD: Final = 100
"""Sessions that one key went on to, in one file, and that are followed."""

OTHERS: Final = "…"

_LONGEST = 128
_LONGEST_ROLE = 640  # an ARN of 20 characters, a path of 512 and a name of 64


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A session's name at a role. Daypass gives no name twice; others do, so a key tells more."""

    role_arn: str
    session_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One call. id: its eventID; an addendum has the one that it repairs, and its word counts (`repaired`)."""

    id: str
    at: datetime
    action: str
    error: str | None = None
    read_only: bool | None = None
    region: str | None = None
    address: str | None = None
    repaired: bool = False

    @property
    def denied(self) -> bool:
        return denied(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The AssumeRole that made a session, as one account's trail tells it. by: the session that called, and its key.

    claims: the request that its tags name, believed or not.
    """

    id: str
    at: datetime
    account_id: str | None = None
    caller_kind: str | None = None
    caller: str | None = None
    caller_account: str | None = None
    caller_key: str | None = None
    by: Place | None = None
    address: str | None = None
    expires_at: datetime | None = None
    claims: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Onward:
    """A session that a session went on to."""

    role_arn: str
    session_name: str
    access_key_id: str
    at: datetime

    @property
    def place(self) -> Place:
        return Place(self.role_arn, self.session_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Calls that are counted and not listed. denied: how many of each action were."""

    events: int = 0
    first: datetime | None = None
    last: datetime | None = None
    actions: Mapping[str, int] = field(default_factory=dict)
    denied: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    regions: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What one log file tells of one key of a session, or of the session's calls that are told without a key.

    file: the digest of its content, in hex. begun_at: the second at which the session was issued, as its calls tell.
    """

    role_arn: str
    session_name: str
    file: str
    access_key_id: str | None = None
    begun_at: datetime | None = None
    made: tuple[Made, ...] = ()
    deeds: tuple[Deed, ...] = ()
    more: Tally = field(default_factory=Tally)
    onward: tuple[Onward, ...] = ()

    @property
    def place(self) -> Place:
        return Place(self.role_arn, self.session_name)

    @property
    def issued_at(self) -> datetime | None:
        """When its AssumeRole was; else what its calls say."""
        return min((made.at for made in self.made), default=self.begun_at)


@dataclass(frozen=True, slots=True)
class Noted:
    """A file's notes. set_aside: why records were, and how many for each reason. events: all records that were read."""

    notes: tuple[Note, ...]
    events: int
    set_aside: Mapping[str, int]


@dataclass(slots=True)
class _Sheet:
    """What is collected of one key; by ids, so that a file which tells twice is read as if it told once."""

    uses: dict[str, Deed] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    onward: set[Onward] = field(default_factory=set)
    begun: set[datetime] = field(default_factory=set)


_Signer = tuple[Place, str | None, datetime | None]


def note(file: str, records: Iterable[object]) -> Noted:
    """The notes of a log file, whatever is in it; the same for the same file always. file: its digest, in hex."""
    sheets: dict[_Signer, _Sheet] = {}
    set_aside: Counter[str] = Counter()
    events = 0
    for record in records:
        try:
            fact = read(record)
        except Unreadable as why:
            set_aside[str(why)] += 1
            continue
        events += 1
        try:
            _put(sheets, fact)
        except Unreadable as why:
            set_aside[str(why)] += 1
    notes = (_note(file, signer, sheet) for signer, sheet in sheets.items())
    return Noted(tuple(sorted(notes, key=_order)), events, set_aside)


def denied(error: str | None) -> bool:
    """Whether an error code says that AWS did not let the caller: services word it in several ways."""
    return error is not None and ("AccessDenied" in error or "Unauthorized" in error or "NotAuthorized" in error)


def _put(sheets: dict[_Signer, _Sheet], fact: Fact) -> None:
    if isinstance(fact, Unrelated):
        return
    if isinstance(fact, Use):
        _used(sheets, fact)
        return
    caller = _used(sheets, fact.by) if fact.by else None
    if isinstance(fact, Denial):
        return
    inherited = fact.by.source_identity if fact.by else None
    if not (under_daypass(fact.role_arn) or fact.source_identity or inherited):
        return
    place = _place(fact.role_arn, fact.session_name)
    sheet = sheets.setdefault((place, fact.access_key_id, None), _Sheet())
    sheet.made[fact.event_id] = _made(fact)
    if caller:
        caller.onward.add(Onward(place.role_arn, place.session_name, fact.access_key_id, fact.at))


def _used(sheets: dict[_Signer, _Sheet], use: Use) -> _Sheet | None:
    if use.role_arn is None or not (under_daypass(use.role_arn) or use.source_identity):
        return None
    place = _place(use.role_arn, _name(use.principal_id))
    key = use.access_key_id
    if key is not None and not (len(key) <= _LONGEST and key.isascii()):
        raise Unreadable("a session's call without a usable access key")
    sheet = sheets.setdefault((place, key, None if key else use.begun_at), _Sheet())
    if use.begun_at:
        sheet.begun.add(use.begun_at)
    deed = _deed(use)
    known = sheet.uses.get(deed.id)
    if known is None or (deed.repaired and not known.repaired):
        sheet.uses[deed.id] = deed
    return sheet


def _place(role_arn: str, session_name: str | None) -> Place:
    if session_name is None or len(role_arn) > _LONGEST_ROLE or len(session_name) > _LONGEST:
        raise Unreadable("a session without a usable role and name")
    place = Place(role_arn, session_name)
    if not (role_arn.isascii() and session_name.isascii()):
        raise Unreadable("a session without a usable role and name")
    return place


def _name(principal_id: str | None) -> str | None:
    return (principal_id or "").partition(":")[2] or None


def _deed(use: Use) -> Deed:
    return Deed(
        id=_id(use.corrects or use.event_id),
        at=use.at,
        action=_cut(use.action) or "?",
        error=_cut(use.error_code),
        read_only=use.read_only,
        region=_cut(use.region),
        address=_cut(use.address),
        repaired=use.corrects is not None,
    )


def _made(fact: Issuance) -> Made:
    by = fact.by
    caller = _place(by.role_arn, name) if by and by.role_arn and (name := _name(by.principal_id)) else None
    return Made(
        id=_id(fact.event_id),
        at=fact.at,
        account_id=_cut(fact.account_id),
        caller_kind=_cut(fact.caller.kind),
        caller=_cut(fact.caller.name, _LONGEST_ROLE),
        caller_account=_cut(fact.caller.account_id),
        caller_key=_cut(fact.caller.access_key_id),
        by=caller,
        address=_cut(fact.address),
        expires_at=fact.expires_at,
        claims=_cut(fact.tags.get(REQUEST_TAG)),
    )


def _id(event_id: str) -> str:
    return event_id.encode("ascii", "replace").decode()


def _cut(text: str | None, longest: int = _LONGEST) -> str | None:
    """As UTF-8 can hold it: JSON can name half a character."""
    return text[:longest].encode(errors="replace").decode() if text else None


def _note(file: str, signer: _Signer, sheet: _Sheet) -> Note:
    place, key, begun_at = signer
    telling = sorted(sheet.uses.values(), key=_telling)
    kept = sorted(telling[:MOST_DEEDS], key=_when)
    return Note(
        role_arn=place.role_arn,
        session_name=place.session_name,
        file=file,
        access_key_id=key,
        begun_at=begun_at or min(sheet.begun, default=None),
        made=tuple(made for _, made in sorted(sheet.made.items())[:8]),  # two accounts, and addenda
        deeds=tuple(kept),
        more=tally(telling[MOST_DEEDS:]),
        onward=tuple(sorted(sheet.onward)[:MOST_ONWARD]),
    )


def tally(deeds: Sequence[Deed]) -> Tally:
    """What deeds come to, with the most frequent names."""
    return Tally(
        events=len(deeds),
        first=min((deed.at for deed in deeds), default=None),
        last=max((deed.at for deed in deeds), default=None),
        actions=counted(Counter(deed.action for deed in deeds)),
        denied=counted(Counter(deed.action for deed in deeds if deed.denied)),
        errors=counted(Counter(deed.error for deed in deeds if deed.error)),
        regions=counted(Counter(deed.region for deed in deeds if deed.region)),
        addresses=counted(Counter(deed.address for deed in deeds if deed.address)),
    )


def counted(names: Mapping[str, int]) -> Mapping[str, int]:
    """The most frequent names, in the order of the alphabet; the rest together as OTHERS."""
    frequent = sorted(names.items(), key=lambda each: (each[0] == OTHERS, -each[1], each[0]))
    rest = sum(times for _, times in frequent[MOST_NAMES:])
    told = dict(sorted(frequent[:MOST_NAMES]))
    return {**told, OTHERS: told.get(OTHERS, 0) + rest} if rest else told


def _telling(deed: Deed) -> tuple[bool, datetime, str]:
    """What failed, or changed something, is listed before what only read."""
    return deed.error is None and deed.read_only is True, deed.at, deed.id


def _when(deed: Deed) -> tuple[datetime, str]:
    return deed.at, deed.id


def _order(note: Note) -> tuple[Place, str, str]:
    return note.place, note.access_key_id or "", str(note.begun_at)
