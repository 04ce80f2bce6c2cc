"""Extending: more of the same is asked for, and the request that it extends says so in the same transaction.

base ◄── extends ── extension        request.extended on the one, request.submitted on the other: both or neither
     ── extended_by ──►
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from chalicelib.broker import asking
from chalicelib.broker.asking import Asked, DryRun
from chalicelib.broker.claiming import IdempotencyKey, made_before
from chalicelib.broker.deciding import TRIES
from chalicelib.broker.ports import DayIsUsed, Stale, World
from chalicelib.broker.seeing import found
from chalicelib.core import extension
from chalicelib.core.ledger import EventType
from chalicelib.core.life import OPEN
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import AlreadyExtended, ChangedMeanwhile, Refusal, Unavailable
from chalicelib.core.request import Ask, Change, Request


def extend(world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None) -> Asked:
    """Put an extension of one's own request on the record, judged anew whenever its base was changed meanwhile.

    Raises NotFound, NotYours, NotActive, AlreadyExtended, ChangedMeanwhile and what `asking.ask` raises.
    """
    used_up: list[DayIsUsed] = []
    for _ in range(TRIES):
        now = world.now()
        try:
            base, whole = _base(world, principal, wish, now)
            change = asking.opening(world, principal, whole, now, used_up, base)
        except Unavailable:  # an outage is no answer to look behind
            raise
        except Refusal:
            # What was done by the same key before may be the very reason of the refusal.
            if key and (before := made_before(world, principal, wish, key, now)):
                return Asked(before, replayed=True)
            raise
        try:
            return asking.record(world, principal, wish, key, change, now, _extended(base, change.after, now))
        except Stale:
            continue
        except DayIsUsed as used:
            used_up.append(used)
    raise ChangedMeanwhile("The request kept changing while this was tried; nothing was recorded. Try again.")


def dry_run(world: World, principal: Principal, wish: Ask) -> DryRun:
    """What `extend` would do, recording nothing."""
    base, whole = _base(world, principal, wish, world.now())
    return asking.dry_run(world, principal, whole, base)


def _base(world: World, principal: Principal, wish: Ask, now: datetime) -> tuple[Request, Ask]:
    """The request that the ask extends, and the ask with all that it takes from it."""
    assert wish.extends is not None
    base = found(world, principal, wish.extends)
    if refusal := extension.may_extend(base, principal, now):
        raise refusal
    by = next(later(world, base), None)
    if by is not None and (state := by.state(now)) in OPEN:
        instead = "extend that one while it is ready or active"
        raise AlreadyExtended(f"Request {base.id} is extended by {by.id} already, which is {state}: {instead}.")
    return base, extension.completed(wish, base)


def _extended(base: Request, by: Request, now: datetime) -> Change:
    """What happens to the base: it knows its extension, and where that begins at its end, its window stays."""
    stays: dict[str, Any] = {"starts_at": base.window.starts_at} if base.window else {}
    return Change(base, base).then(
        EventType.EXTENDED,
        at=now,
        actor=base.requester.id,
        details={"extension": by.id},
        extended_by=by.id,
        **stays,
    )


def later(world: World, request: Request) -> Iterator[Request]:
    """The links of a chain after the request, the next one first, as they are on the record now."""
    while request.extended_by is not None:
        link = world.requests.get(request.extended_by)
        assert link is not None, "requests are never deleted while they can change"
        if link.link is None:  # it was made an emergency, and belongs to no chain any more
            return
        yield link
        request = link
