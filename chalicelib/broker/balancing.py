"""Balancing: CloudTrail's files are noted as they come, and what the two books do not have in common is told.

file ──► notes of its sessions ──► of a managed role, and on no record? ──► suspected ──► judged later ──► bypass
session.issued ──► is CloudTrail's AssumeRole of it noted half an hour later? ──► else it is told as unseen

Nothing is judged when it is noted: what explains a session may be in a file that comes later, or in the queue that an
emergency went to while the table was out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.broker.ports import DayChains, Trail
from chalicelib.broker.revoking import BROKER
from chalicelib.core.activity import Lent, Suspicion, Told, another_tells, doings, lent_to, of_session, suspicion
from chalicelib.core.ledger import Detail, EventType
from chalicelib.core.noting import Made, Note, Noted, Place, note
from chalicelib.core.reckoning import under_daypass
from chalicelib.core.times import stamp

JUDGED_AFTER = timedelta(minutes=15)
"""From a file that tells of a session to its being called a bypass. CloudTrail's files come within ten minutes of each
other (p. 100 of 2,900 events measured), and the sweeper empties the emergency queue every five."""

MOST_NOTES = 1_000
"""Of one place. Others than Daypass may give one name to many sessions."""

LONGEST_CHAIN = 10
"""Sessions from one to another, up to one that is on the record. AWS sets no bound; people use one or two."""


def take(trail: Trail, file: str, records: Iterable[object], now: datetime) -> Noted:
    """Note a log file, and suspect what no request explains. file: the digest of its content, in hex.

    May be done any number of times, in any order, by many at once. Raises Unavailable; then it is to be done again.
    """
    noted = note(file, records)
    trail.put(noted.notes)
    managed = [each for each in noted.notes if under_daypass(each.role_arn)]
    known: Mapping[Place, Lent] = trail.lent({each.place for each in managed}) if managed else {}
    for each in managed:
        here = tuple(other for other in managed if other.place == each.place)
        if not lent_to(Told(lent=known.get(each.place), notes=here), (each,)):
            trail.suspect(suspicion(each), due=now + JUDGED_AFTER)
    return noted


@dataclass(frozen=True, slots=True)
class Balanced:
    """One run. bypasses: how many were found. unseen: how many sessions CloudTrail did not tell of. explained: others.

    failures: what went wrong, once for each; all of it is due again.
    """

    bypasses: int
    unseen: int
    explained: int
    failures: tuple[Exception, ...]


Heard = Callable[[Mapping[str, Detail]], object]


def balance(trail: Trail, chains: DayChains, *, now: datetime, found: Heard, missed: Heard) -> Balanced:
    """Judge what is due. Each bypass and each unseen session is one event, once.

    found, missed: hear of it after that and before it is due no more: at least once. The lists only name what to look
    at; what decides is read anew, and consistently.
    """
    counts = {"bypasses": 0, "unseen": 0, "explained": 0}
    failures: list[Exception] = []
    for suspected in trail.suspicions(now=now):
        try:
            outcome = "explained" if explained(trail, suspected) else "bypasses"
            if outcome == "bypasses":
                told = evidence(suspected, trail.told(suspected.place, most=MOST_NOTES).notes)
                chains.append(EventType.BYPASS_FOUND, at=now, actor=BROKER, details=told, once=suspected.name)
                found(told)
            trail.judged(suspected, bypass=outcome == "bypasses")
        except Exception as error:  # one that cannot be judged must not silence all others
            failures.append(error)
        else:
            counts[outcome] += 1
    for lent in trail.unseen(now=now):
        try:
            outcome = "explained" if seen(trail, lent) else "unseen"
            if outcome == "unseen":
                told = about(lent)
                name = f"unseen#{lent.session.id}"
                chains.append(EventType.SESSION_UNSEEN, at=now, actor=BROKER, details=told, once=name)
                missed(told)
            trail.settled(lent)
        except Exception as error:
            failures.append(error)
        else:
            counts[outcome] += 1
    return Balanced(counts["bypasses"], counts["unseen"], counts["explained"], tuple(failures))


def seen(trail: Trail, lent: Lent) -> bool:
    """Whether CloudTrail told of the AssumeRole that made the session, in whichever account."""
    told = trail.told(lent.place, most=MOST_NOTES)
    return any(each.made for each in of_session(lent.session, told.notes))


def explained(trail: Trail, suspected: Suspicion) -> bool:
    """Whether it is a session of a request, or was come to from one; or only repeats what another suspicion says."""
    told = trail.told(suspected.place, most=MOST_NOTES)
    own = tuple(each for each in told.notes if suspected.is_of(each))
    if lent_to(told, own) or another_tells(suspected, told.notes):
        return True
    return _come_to(trail, own)


def _come_to(trail: Trail, notes: tuple[Note, ...]) -> bool:
    """Up the chain of callers, as their AssumeRoles tell it."""
    for _ in range(LONGEST_CHAIN):
        caller = next((made for each in notes for made in each.made if made.by and made.caller_key), None)
        if caller is None or caller.by is None:
            return False
        told = trail.told(caller.by, most=MOST_NOTES)
        notes = tuple(each for each in told.notes if each.access_key_id == caller.caller_key)
        if lent_to(told, notes):
            return True
    return False


def evidence(suspected: Suspicion, notes: Iterable[Note]) -> Mapping[str, Detail]:
    """Who, when, from where and with which key, as far as CloudTrail told."""
    own = [each for each in notes if suspected.is_of(each)]
    done, made = doings(own), _as_caller_told(own)
    told: dict[str, str | None] = {
        "role_arn": suspected.role_arn,
        "session_name": suspected.session_name,
        "access_key_id": suspected.access_key_id,
        "issued_at": _stamp(done.issued_at or suspected.begun_at),
        "first_use": _stamp(done.first_use),
        "by": made.caller if made else None,
        "by_kind": made.caller_kind if made else None,
        "by_account": made.caller_account if made else None,
        "by_key": made.caller_key if made else None,
        "address": (made.address if made else None) or next(iter(done.addresses), None),
        "claims": made.claims if made else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def about(lent: Lent) -> Mapping[str, Detail]:
    """A session that CloudTrail should have told of."""
    session = lent.session
    told = {
        "request_id": lent.request_id,
        "session": session.id,
        "session_name": session.session_name,
        "role_arn": lent.role_arn,
        "access_key_id": session.access_key_id,
        "issued_at": _stamp(session.issued_at),
    }
    return {name: value for name, value in told.items() if value is not None}


def _as_caller_told(notes: Iterable[Note]) -> Made | None:
    """The role's account is not told the caller's key; the caller's is."""
    made = sorted((made for each in notes for made in each.made), key=lambda each: (not each.caller_key, each.id))
    return made[0] if made else None


def _stamp(at: datetime | None) -> str | None:
    return stamp(at) if at else None
