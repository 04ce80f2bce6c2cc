"""Sweeping: what time has done by itself is said on the record, once.

It decides nothing: a request has expired or ended by arithmetic on now, whether or not this ever runs. Denies that
could not be written are tried again here, and those whose sessions are over are removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.broker.ports import Stale, World
from chalicelib.broker.revoking import BROKER, settle
from chalicelib.core.ledger import Detail, EventType
from chalicelib.core.life import State
from chalicelib.core.request import Change, Request
from chalicelib.core.times import stamp

SETTLES = timedelta(minutes=1)
"""How long after its end a clock is announced: by then no slower clock calls the request open, and no session begun in
its last second still waits for STS, so that the history reads in the order in which it happened."""

MOST = 500
"""Requests of one run. What is left over is still due at the next one, longest overdue first."""

WITHIN = timedelta(seconds=15)
"""After so long a run begins nothing more: a call to a table that is down takes 9 s, and Lambda ends a run after 29."""

PAGE = 50
TRIES = 3


class Outcome(StrEnum):
    """What became of one request that the list called due. NOTHING: its record says otherwise than the list."""

    EXPIRED = "expired"
    ENDED = "ended"
    SETTLED = "settled"
    NOTHING = "nothing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Swept:
    """One run. failures: by request id what went wrong; those are due again. finished: no more was due."""

    outcomes: Counter[Outcome]
    failures: dict[str, Exception]
    finished: bool


def sweep(world: World) -> Swept:
    """Announce what has expired or ended, at most MOST requests. Raises Unavailable where the list cannot be read.

    May run twice, late, or many times at once: each clock's end is announced once, under the version of the record.
    """
    begun = world.now()
    outcomes: Counter[Outcome] = Counter()
    failures: dict[str, Exception] = {}
    for request_id in _due(world, begun - SETTLES):
        if outcomes.total() == MOST or world.now() - begun >= WITHIN:
            return Swept(outcomes, failures, finished=False)
        try:
            outcome = _announce(world, request_id)
        except Exception as error:  # one request that cannot be announced must not silence all others
            outcome, failures[request_id] = Outcome.FAILED, error
        outcomes[outcome] += 1
    return Swept(outcomes, failures, finished=True)


def _due(world: World, by: datetime) -> Iterator[str]:
    after: str | None = None
    while True:
        page = world.requests.due(now=by, after=after, limit=PAGE)
        yield from (request.id for request in page.items)
        after = page.next
        if after is None:
            return


def _announce(world: World, request_id: str) -> Outcome:
    """Judged by the record: the list that named the request may be behind it. What was cut is settled instead."""
    for _ in range(TRIES):
        request = world.requests.get(request_id)
        if request and request.revocation:
            return Outcome.SETTLED if settle(world, request, world.now()) != request else Outcome.NOTHING
        announced = announcement(request, world.now()) if request else None
        if announced is None:
            return Outcome.NOTHING
        outcome, change = announced
        try:
            world.requests.commit(change)
        except Stale:
            continue
        return outcome
    return Outcome.NOTHING  # somebody is at it; if it is still due then, the next run says so


def announcement(request: Request, now: datetime) -> tuple[Outcome, Change] | None:
    """What is to be said of a request whose clock has run out by now; None where none has, or it was said already."""
    due = request.due_at()
    if due is None or now < due + SETTLES:
        return None
    because = request.expired_because(now)
    details: dict[str, Detail]
    if because:
        outcome, kind, details = Outcome.EXPIRED, EventType.EXPIRED, {"because": because, "expired_at": stamp(due)}
    else:
        assert request.state(now) is State.ENDED
        outcome, kind, details = Outcome.ENDED, EventType.ENDED, {"ended_at": stamp(due)}
    return outcome, Change(request, request).then(kind, at=now, actor=BROKER, details=details, announced=due)
