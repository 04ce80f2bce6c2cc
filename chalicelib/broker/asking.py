"""Asking: an ask is judged, and becomes a request on the record or a refusal that leaves none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.broker import emergency
from chalicelib.broker.claiming import IdempotencyKey, claim_of, made_before, made_by
from chalicelib.broker.judging import with_room
from chalicelib.broker.knowing import known
from chalicelib.broker.ports import About, AlreadyClaimed, DayIsUsed, QuotaFull, ReviewIsOverdue, World
from chalicelib.core import extension
from chalicelib.core.catalogue import Catalogue, Role
from chalicelib.core.ledger import Detail, EventType, commitment
from chalicelib.core.life import ANSWER_WITHIN, USE_WITHIN, Status, Window
from chalicelib.core.policy import with_wall
from chalicelib.core.principal import Principal
from chalicelib.core.quotas import Charge, held
from chalicelib.core.refusals import NotEligible, Refusal, TooManyOpen, Unavailable
from chalicelib.core.request import Ask, Change, Link, Request, StageProgress
from chalicelib.core.rules import Terms, explain, in_doubt, lending_first
from chalicelib.core.ruling import Ruling, ruling
from chalicelib.core.schedule import answer_by, window_asked
from chalicelib.core.session import as_asked, long_enough, permissions
from chalicelib.core.times import spoken, stamp


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
class _Judged(Ruling):
    """An ask that the catalogue admits, with the permissions and the window that it asks for.

    room: what has to be left of a day for it. link: of an extension.
    """

    permissions: str | None
    window: Window | None
    room: Charge | None
    link: Link | None


def ask(world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None) -> Asked:
    """Put a request on the record: approved at once where a rule wants no approval and has room that day, else pending.

    Raises what judging raises, TooManyOpen, QuotaUsed, IdempotencyKeyReused and Unavailable; then nothing was recorded
    (with Unavailable it may have been: the same key finds out).
    """
    now = world.now()
    used_up: list[DayIsUsed] = []
    while True:
        try:
            change = opening_or_before(world, principal, wish, key, now, used_up)
            return change if isinstance(change, Asked) else record(world, principal, wish, key, change, now)
        except DayIsUsed as used:
            used_up.append(used)


def dry_run(world: World, principal: Principal, wish: Ask, base: Request | None = None) -> DryRun:
    """What `ask` would do, recording nothing. A caller who is not eligible learns no more than the 403 would tell.

    base: as for `opening`.
    """
    catalogue = world.catalogue()
    principal = _known(world, principal, wish)
    try:
        now = world.now()
        judged = _judge(catalogue, principal, wish, now, (), base)
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
        why=_why(catalogue, principal, wish, judged, now),
    )


def _why(catalogue: Catalogue, principal: Principal, wish: Ask, judged: _Judged, now: datetime) -> tuple[str, ...]:
    if judged.emergency:
        a_day = catalogue.quotas.break_glass_per_day
        return (
            f"{judged.rule!r} lets you break the glass up to {spoken(judged.max_duration)}, {a_day} times a day (UTC) "
            "at most; it is reviewed afterwards.",
        )
    told = explain(catalogue, principal, _terms(wish, judged.link), wish.starts_at or now)
    whys = (considered.why for considered in told if considered.rule.who.includes(principal))
    return tuple(filter(None, (*whys, in_doubt(catalogue))))


def opening(
    world: World,
    principal: Principal,
    wish: Ask,
    now: datetime,
    used_up: Sequence[DayIsUsed] = (),
    base: Request | None = None,
) -> Change:
    """The first transition of a new request, not stored yet: by another way in than those that are used up.

    Where it is approved by a rule that counts days, it wants room in that day and takes none yet.
    base: the request that it extends; `wish` then says all that it takes from it (`extension.completed`).
    Raises NotEligible, TooLong, Invalid and QuotaUsed.
    """
    catalogue = world.catalogue()
    principal = _known(world, principal, wish)
    judged = _judge(catalogue, principal, wish, now, used_up, base)
    approved = not judged.stages
    use_by = extension.use_by(base, wish.duration) if base else None
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
        answer_by=answer_by(now + ANSWER_WITHIN, judged.window, use_by),
        use_by=use_by or (now + USE_WITHIN if approved and judged.window is None else None),
        starts_at=wish.starts_at,
        link=judged.link,
        window=judged.window,
        catalogue_digest=catalogue.digest,
        salt=world.new_salt(),
    )
    submitted = Change(None, request).then(
        EventType.SUBMITTED, at=now, actor=principal.id, details=_submitted(request, approved)
    )
    if judged.emergency:
        return emergency.opened(submitted, judged.emergency, catalogue.quotas, now)
    return replace(submitted, charge=judged.room)


def opening_or_before(
    world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None, now: datetime, used_up: list[DayIsUsed]
) -> Change | Asked:
    """`opening`; or, where a new request is refused by now, the one that the same key and body made before.

    A rule may have changed meanwhile, a start be past, a directory silent: what was answered once is answered again.
    """
    try:
        return opening(world, principal, wish, now, used_up)
    except Unavailable:  # an outage is no answer to look behind
        raise
    except Refusal:
        if key and (before := made_before(world, principal, wish, key, now)):
            return Asked(before, replayed=True)
        raise


def record(
    world: World,
    principal: Principal,
    wish: Ask,
    key: IdempotencyKey | None,
    change: Change,
    now: datetime,
    *further: Change,
) -> Asked:
    """Store a new request, or find the one that the same key and body made before. further: what is stored with it.

    Raises Stale where another one was changed meanwhile, and DayIsUsed where a rule's day is: there may be another way
    in, which there is not for an emergency.
    """
    claim = claim_of(principal, wish, key, now)
    max_open = world.catalogue().quotas.open_requests
    try:
        world.requests.submit(change, *further, claim=claim, max_open=max_open, now=now)
    except QuotaFull as error:
        raise TooManyOpen(
            f"{error.open} requests of yours are open, {max_open} allowed by `open_requests` of the catalogue's "
            "quotas: cancel or return some (GET /v1/requests?mine=true lists them)."
        ) from None
    except DayIsUsed as error:
        if change.after.break_glass:
            raise error.refusal() from None
        raise
    except ReviewIsOverdue as error:
        raise emergency.overdue(error) from None
    except AlreadyClaimed as claimed:
        return Asked(made_by(world, claim, claimed), replayed=True)
    return Asked(change.after, replayed=False)


def _known(world: World, principal: Principal, wish: Ask) -> Principal:
    """The asker with the groups that directories tell; in an emergency nothing waits for one."""
    role = world.catalogue().roles.get(wish.role)
    if wish.break_glass or role is None:
        return principal
    about = About(role=role.name, account_id=role.account.id, duration=wish.duration, ticket=wish.ticket)
    return known(world, principal, about)


def _judge(
    catalogue: Catalogue,
    principal: Principal,
    wish: Ask,
    now: datetime,
    used_up: Sequence[DayIsUsed],
    base: Request | None,
) -> _Judged:
    if wish.break_glass:
        emergency.explained(wish.reason)
        emergency.begins_now(wish.starts_at)
    link = extension.link_after(base) if base else None
    window = window_asked(wish.starts_at, wish.duration, now)
    at = window.starts_at if window else now
    found = ruling(
        catalogue,
        principal,
        _terms(wish, link),
        break_glass=wish.break_glass,
        among=lambda rules: lending_first(with_room(rules, used_up), at),
    )
    if base and not as_asked(found.role, base):
        raise NotEligible(f"The role or its scope was changed since {base.id} was asked for: it cannot be extended.")
    room = held(principal.id, found.ordinary, wish.role, wish.duration, at) if found.ordinary else None
    return _Judged(
        role=found.role,
        rule=found.rule,
        stages=found.stages,
        max_duration=found.max_duration,
        ordinary=found.ordinary,
        emergency=found.emergency,
        permissions=_narrowed(found.role, wish, now),
        window=window,
        room=room.only_asked() if room else None,
        link=link,
    )


def _narrowed(role: Role, wish: Ask, now: datetime) -> str | None:
    """The permissions asked for, once it is clear that STS will take them with the wall."""
    long_enough(role, wish.duration)
    narrowed = permissions(role, wish.scope, wish.session_policy)
    with_wall(narrowed, ends_at=now, chaining=role.chaining)
    return narrowed


def _terms(wish: Ask, link: Link | None) -> Terms:
    return Terms(wish.role, wish.duration, wish.ticket, link)


def _submitted(request: Request, approved: bool) -> dict[str, Detail]:
    details: dict[str, Detail] = {
        "role": request.role,
        "role_arn": request.role_arn,
        "duration_seconds": int(request.duration.total_seconds()),
        "reason_sha256": commitment(request.reason, request.salt),
        "catalogue_digest": request.catalogue_digest,
        "issuer": request.requester.issuer,
    }
    if request.link is not None:
        details["extends"] = request.link.base
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
