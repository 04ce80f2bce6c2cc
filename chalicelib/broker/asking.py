"""Asking: an ask is judged, and becomes a request on the record or a refusal that leaves none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.broker import emergency
from chalicelib.broker.knowing import known
from chalicelib.broker.ports import About, AlreadyClaimed, Claim, QuotaFull, ReviewIsOverdue, World
from chalicelib.core import approvals
from chalicelib.core.catalogue import Catalogue, Role
from chalicelib.core.ledger import Detail, EventType, canonical, commitment
from chalicelib.core.life import ANSWER_WITHIN, USE_WITHIN, Status, Window
from chalicelib.core.policy import with_wall
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import IdempotencyKeyReused, NotEligible, TooManyOpen, Unavailable
from chalicelib.core.request import Ask, Change, Request, StageProgress
from chalicelib.core.rules import Emergency, Terms, decide, explain
from chalicelib.core.rules import emergency as break_glass
from chalicelib.core.schedule import answer_by, window_asked
from chalicelib.core.session import long_enough, permissions
from chalicelib.core.times import spoken, stamp

MAX_OPEN = 20
KEY_LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The caller's key, and the address it was sent to: the same key at another address is another key."""

    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that an ask became; replayed: it was there already, from an earlier use of the same key."""

    request: Request
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What an ask would become: `auto-approved`, `needs-approval`, `break-glass`, or `not-eligible` and no more."""

    would: str
    rule: str | None
    stages: tuple[StageProgress, ...]
    max_duration: timedelta | None
    session_policy: str | None
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """An ask that the catalogue admits. emergency: where it is one; then there are no stages."""

    role: Role
    rule: str
    stages: tuple[StageProgress, ...]
    max_duration: timedelta
    permissions: str | None
    window: Window | None = None
    emergency: Emergency | None = None

    @property
    def would(self) -> str:
        if self.emergency:
            return "break-glass"
        return "needs-approval" if self.stages else "auto-approved"


def ask(world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None) -> Asked:
    """Put a request on the record: approved at once where a rule wants no approval, else pending.

    Raises what judging raises, TooManyOpen, IdempotencyKeyReused and Unavailable; then nothing was recorded (with
    Unavailable it may have been: the same key finds out).
    """
    now = world.now()
    return record(world, principal, wish, key, opening(world, principal, wish, now), now)


def dry_run(world: World, principal: Principal, wish: Ask) -> DryRun:
    """What `ask` would do, recording nothing. A caller who is not eligible learns no more than the 403 would tell."""
    catalogue = world.catalogue()
    principal = _known(world, principal, wish)
    try:
        judged = _judge(catalogue, principal, wish, world.now())
    except NotEligible as refusal:
        return DryRun(
            would="not-eligible", rule=None, stages=(), max_duration=None, session_policy=None, why=(refusal.detail,)
        )
    return DryRun(
        would=judged.would,
        rule=judged.rule,
        stages=judged.stages,
        max_duration=judged.max_duration,
        session_policy=judged.permissions,
        why=_why(catalogue, principal, wish, judged),
    )


def _why(catalogue: Catalogue, principal: Principal, wish: Ask, judged: _Judged) -> tuple[str, ...]:
    if judged.emergency:
        return (
            f"{judged.rule!r} lets you break the glass up to {spoken(judged.max_duration)}; it is reviewed afterwards.",
        )
    told = explain(catalogue, principal, _terms(wish))
    return tuple(considered.why for considered in told if considered.rule.who.includes(principal))


def opening(world: World, principal: Principal, wish: Ask, now: datetime) -> Change:
    """The first transition of a new request, not stored yet. Raises NotEligible, TooLong and Invalid."""
    catalogue = world.catalogue()
    principal = _known(world, principal, wish)
    judged = _judge(catalogue, principal, wish, now)
    approved = not judged.stages
    request = Request(
        id=world.new_id(),
        status=Status.APPROVED if approved else Status.PENDING,
        requester=principal,
        role=judged.role.name,
        account=judged.role.account.name,
        account_id=judged.role.account.id,
        role_arn=judged.role.arn,
        duration=wish.duration,
        reason=wish.reason,
        ticket=wish.ticket,
        scope=wish.scope,
        session_policy=judged.permissions,
        rule=judged.rule,
        stages=judged.stages,
        created_at=now,
        answer_by=answer_by(now + ANSWER_WITHIN, judged.window),
        use_by=now + USE_WITHIN if approved and judged.window is None else None,
        starts_at=wish.starts_at,
        window=judged.window,
        catalogue_digest=catalogue.digest,
        salt=world.new_salt(),
    )
    submitted = Change(None, request).then(
        EventType.SUBMITTED, at=now, actor=principal.id, details=_submitted(request, approved)
    )
    return emergency.opened(submitted, judged.emergency, now) if judged.emergency else submitted


def record(
    world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None, change: Change, now: datetime
) -> Asked:
    """Store a new request, or find the one that the same key and body made before."""
    claim = _claim(principal, wish, key, now) if key else None
    try:
        world.requests.submit(change, claim=claim, max_open=MAX_OPEN, now=now)
    except QuotaFull:
        raise TooManyOpen(
            f"You have {MAX_OPEN} open requests: cancel or return some (GET /v1/requests?mine=true lists them)."
        ) from None
    except ReviewIsOverdue as error:
        raise emergency.overdue(error) from None
    except AlreadyClaimed as claimed:
        return Asked(_replayed(world, claim, claimed), replayed=True)
    return Asked(change.after, replayed=False)


def _known(world: World, principal: Principal, wish: Ask) -> Principal:
    """The asker with the groups that directories tell; in an emergency nothing waits for one."""
    role = world.catalogue().roles.get(wish.role)
    if wish.break_glass or role is None:
        return principal
    about = About(role=role.name, account_id=role.account.id, duration=wish.duration, ticket=wish.ticket)
    return known(world, principal, about)


def _judge(catalogue: Catalogue, principal: Principal, wish: Ask, now: datetime) -> _Judged:
    if wish.break_glass:
        emergency.explained(wish.reason)
        emergency.begins_now(wish.starts_at)
        way = break_glass(catalogue, principal, _terms(wish))
        return _Judged(
            role=way.role,
            rule=way.rule,
            stages=(),
            max_duration=way.max_duration,
            permissions=_narrowed(way.role, wish, now),
            emergency=way,
        )
    decision = decide(catalogue, principal, _terms(wish))
    rule = approvals.nearest(decision.rules, ())
    return _Judged(
        role=decision.role,
        rule=rule.name,
        stages=approvals.progress(rule, ()),
        max_duration=max(each.max_duration for each in decision.rules),
        permissions=_narrowed(decision.role, wish, now),
        window=window_asked(wish.starts_at, wish.duration, now),
    )


def _narrowed(role: Role, wish: Ask, now: datetime) -> str | None:
    """The permissions asked for, once it is clear that STS will take them with the wall."""
    long_enough(role, wish.duration)
    narrowed = permissions(role, wish.scope, wish.session_policy)
    with_wall(narrowed, ends_at=now, chaining=role.chaining)
    return narrowed


def _terms(wish: Ask) -> Terms:
    return Terms(wish.role, wish.duration, wish.ticket)


def _submitted(request: Request, approved: bool) -> dict[str, Detail]:
    details: dict[str, Detail] = {
        "role": request.role,
        "role_arn": request.role_arn,
        "duration_seconds": int(request.duration.total_seconds()),
        "reason_sha256": commitment(request.reason, request.salt),
        "catalogue_digest": request.catalogue_digest,
        "issuer": request.requester.issuer,
    }
    if request.starts_at is not None:
        details["starts_at"] = stamp(request.starts_at)
    if request.ticket is not None:
        details["ticket"] = request.ticket
    if request.scope is not None:
        details["scope"] = {"name": request.scope.name, "parameters": dict(request.scope.parameters)}
    if request.session_policy is not None:
        details["session_policy_sha256"] = hashlib.sha256(request.session_policy.encode()).hexdigest()
    if approved:
        details["rule"] = request.rule
    return details


def _claim(principal: Principal, wish: Ask, key: IdempotencyKey, now: datetime) -> Claim:
    return Claim(
        principal_id=principal.id,
        route=key.route,
        key=key.key,
        body_hash=_body_hash(wish),
        until=now + KEY_LASTS,
    )


def _body_hash(wish: Ask) -> str:
    scope: Detail = [wish.scope.name, dict(wish.scope.parameters)] if wish.scope else ""
    parts: Detail = [
        wish.role,
        int(wish.duration.total_seconds()),
        wish.reason,
        wish.ticket or "",
        scope,
        wish.session_policy or "",
        "break-glass" if wish.break_glass else "",
        stamp(wish.starts_at) if wish.starts_at else "",
    ]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def _replayed(world: World, claim: Claim | None, claimed: AlreadyClaimed) -> Request:
    assert claim is not None
    if claimed.body_hash != claim.body_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was sent with another body in the last 24 hours: use a new key for a new request."
        )
    request = world.requests.get(claimed.request_id)
    if request is None:
        raise Unavailable("The request that this Idempotency-Key made cannot be read just now.")
    return request
