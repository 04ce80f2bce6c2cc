"""Draining: what went on the record in the emergency queue comes into the table, once and in its order.

    in the table already, by its hash ──────────────────────────────┐
    follows what is there ──► written ──────────────────────────────┤
    tells of a session that began there, but others came between    ├──► deleted from the queue
              └──► written after them ──────────────────────────────┤
    forged, unreadable, or fits nowhere ──► set aside, with an alarm┘

A message is deleted once its content is durable, and not before. Whoever dies in between leaves it to the next run,
which finds in the table how far this one came: the queue's own deduplication is not relied on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from chalicelib.broker.ports import EmergencyQueue, Entry, NotGenuine, Sealed, Stale, World
from chalicelib.core.catalogue import Quotas
from chalicelib.core.ledger import EventType, Head
from chalicelib.core.quotas import one_emergency
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Change, Request, Session, SessionStatus
from chalicelib.core.times import read_stamp

WITHIN = timedelta(seconds=5)
"""After so long a run begins no further message: the sweeper has its own work to do."""

SETTLES = timedelta(minutes=1)
"""How old a beginning is when it comes into the table: the call that made it is over by then. So nobody can end a
request whose first session is just being made, and its outcome is in the queue or nowhere."""

TRIES = 3

Known = tuple[Request, tuple[Session, ...]]
"""What the table holds of a request, as `Requests.story` tells it."""


class Outcome(StrEnum):
    """What became of one message. UNSETTLED and FAILED: it stays in the queue for a later run."""

    WRITTEN = "written"
    KNOWN = "known"
    SET_ASIDE = "set-aside"
    UNSETTLED = "unsettled"
    FAILED = "failed"


IN_THE_TABLE = frozenset({Outcome.WRITTEN, Outcome.KNOWN})


@dataclass(frozen=True, slots=True)
class Drained:
    """One message. error: what went wrong where it failed."""

    message: Sealed
    outcome: Outcome
    error: Exception | None = None


def drain(world: World) -> Iterator[Drained]:
    """Empty the emergency queue, each message as it is done. Raises Unavailable where the queue or table is out.

    May run twice, late, or many times at once. A message that cannot be settled holds back the later ones of its
    request, and no others.
    """
    if world.queue is None:
        return
    begun = world.now()
    held: set[str] = set()
    while messages := world.queue.receive():
        for message in messages:
            if world.now() - begun >= WITHIN:
                return
            if message.request_id in held:
                continue
            drained = _drained(world, world.queue, message)
            if drained.outcome in (Outcome.UNSETTLED, Outcome.FAILED):
                held.add(message.request_id)
            yield drained


def _drained(world: World, queue: EmergencyQueue, message: Sealed) -> Drained:
    try:
        outcome = _settled(world, queue, message)
        if outcome is not Outcome.UNSETTLED:
            queue.delete(message)
    except Unavailable:
        raise
    except Exception as error:  # one message that cannot be settled must not hold back all others
        return Drained(message, Outcome.FAILED, error)
    return Drained(message, outcome)


def _settled(world: World, queue: EmergencyQueue, message: Sealed) -> Outcome:
    """Make the message's content durable outside the queue."""
    try:
        entry = queue.unsealed(message)
    except NotGenuine as flaw:
        world.requests.set_aside(message, str(flaw))
        return Outcome.SET_ASIDE
    if entry.opens and world.now() < read_stamp(entry.events[0].at) + SETTLES:
        return Outcome.UNSETTLED
    for _ in range(TRIES):
        known = world.requests.story(entry.request.id)
        if _is_there(world, entry, known):
            return Outcome.KNOWN
        change = _change(entry, known)
        if change is None:
            world.requests.set_aside(message, "it does not follow from the history that the table holds")
            return Outcome.SET_ASIDE
        try:
            _store(world, entry, change)
        except Stale:
            continue
        return Outcome.WRITTEN
    return Outcome.UNSETTLED


def _is_there(world: World, entry: Entry, known: Known | None) -> bool:
    """By the hashes of its events; or by the session, where its outcome was written after what others did."""
    if known and not entry.opens and entry.session in known[1]:
        return True
    found = world.requests.events(entry.request.id, after=entry.events[0].seq - 1, limit=len(entry.events)).items
    return [event.hash for event in found] == [event.hash for event in entry.events]


def _change(entry: Entry, known: Known | None) -> Change | None:
    """What brings the entry into the table as it is now; None where nothing does."""
    first = entry.events[0]
    if known is None:
        return _opening(entry) if entry.opens else None
    request, sessions = known
    if request.head == Head(first.seq - 1, first.prev_hash):
        return Change(request, entry.request, entry.events, entry.session)
    session = entry.session
    if session and not entry.opens and any(_awaits(each, session) for each in sessions):
        return _afterwards(request, entry)
    return None


def _opening(entry: Entry) -> Change:
    """The emergency as it happened: it counts on its day, whether that had room for it or not."""
    opened_at = read_stamp(entry.events[0].at)
    counted = one_emergency(entry.request.requester.id, Quotas(), opened_at).as_happened()
    return Change(None, entry.request, entry.events, entry.session, counted)


def _awaits(begun: Session, outcome: Session) -> bool:
    return begun.id == outcome.id and begun.status is SessionStatus.ISSUING


def _afterwards(request: Request, entry: Entry) -> Change:
    """The outcome of a session after what others did to the request meanwhile, which they may where the table took its
    beginning after all: what was lent belongs into the history. `queued_hash`: of the event as the queue had it.
    """
    change = Change(request, request)
    for event in entry.events:
        change = change.then(
            EventType(event.type),
            at=read_stamp(event.at),
            actor=event.actor,
            details={**event.details, "queued_hash": event.hash},
            session=entry.session,
        )
    return change


def _store(world: World, entry: Entry, change: Change) -> None:
    if change.before is None:
        world.requests.restore(change, claim=entry.claim, now=world.now())
    else:
        world.requests.commit(change)
