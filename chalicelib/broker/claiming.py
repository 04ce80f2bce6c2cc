"""Claiming: an Idempotency-Key belongs to the ask that it first came with, so that asking twice is asking once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.broker.ports import AlreadyClaimed, Claim, World
from chalicelib.core.ledger import Detail, canonical
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import IdempotencyKeyReused, Unavailable
from chalicelib.core.request import Ask, Request
from chalicelib.core.times import stamp

KEY_LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The caller's key, and the address it was sent to: the same key at another address is another key."""

    route: str
    key: str


def claim_of(principal: Principal, wish: Ask, key: IdempotencyKey | None, now: datetime) -> Claim | None:
    """What binds the key to the ask; None without a key."""
    if key is None:
        return None
    return Claim(
        principal_id=principal.id,
        route=key.route,
        key=key.key,
        body_hash=_body_hash(wish),
        until=now + KEY_LASTS,
    )


def _body_hash(wish: Ask) -> str:
    # Pairs, not an object: nobody has looked at the names of parameters yet, and a history's keys are ASCII.
    pairs: Detail = [[name, value] for name, value in sorted(wish.scope.parameters.items())] if wish.scope else []
    scope: Detail = [wish.scope.name, pairs] if wish.scope else ""
    parts: Detail = [
        wish.role,
        int(wish.duration.total_seconds()),
        wish.reason,
        wish.ticket or "",
        scope,
        wish.session_policy or "",
        "break-glass" if wish.break_glass else "",
        stamp(wish.starts_at) if wish.starts_at else "",
        wish.extends or "",
    ]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def made_before(world: World, principal: Principal, wish: Ask, key: IdempotencyKey, now: datetime) -> Request | None:
    """What the same key and body made before; None where that was nothing. Raises IdempotencyKeyReused."""
    claim = claim_of(principal, wish, key, now)
    assert claim is not None, "there is a key"
    try:
        world.requests.claimed(claim, now=now)
    except AlreadyClaimed as claimed:
        return made_by(world, claim, claimed)
    return None


def made_by(world: World, claim: Claim | None, claimed: AlreadyClaimed) -> Request:
    """The request that the claim's key made. Raises IdempotencyKeyReused, and Unavailable where it cannot be read."""
    assert claim is not None
    if claimed.body_hash != claim.body_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was sent with another body in the last 24 hours: use a new key for a new request."
        )
    request = world.requests.get(claimed.request_id)
    if request is None:
        raise Unavailable("The request that this Idempotency-Key made cannot be read just now.")
    return request
