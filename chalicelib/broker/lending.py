"""Lending: a session is put on the record, lent by STS, and handed out only once that is on the record too.

request ──► session.issuing ──► STS ──► session.issued ──► credentials      (via oidc: KMS signs first)
                                 │            └── ended meanwhile, or not recorded: no credentials
                                 └── refused: session.failed, a window just opened shuts again
                                 └── no answer: session.failed, the window stays open

The record is the table; for a new emergency that the table is too far down to take, it is a queue (`outage.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.broker import extending, outage
from chalicelib.broker.asking import Asked, IdempotencyKey, claim_of, opening_or_before, record
from chalicelib.broker.judging import MOST_A_MINUTE, usable, way_in
from chalicelib.broker.knowing import about, known
from chalicelib.broker.ports import DayIsUsed, Lent, NothingLent, Secret, Stale, World
from chalicelib.broker.seeing import visible
from chalicelib.core import extension
from chalicelib.core.ledger import Detail, EventType
from chalicelib.core.life import Move, State, Status, moved
from chalicelib.core.principal import Principal
from chalicelib.core.quotas import Charge
from chalicelib.core.refusals import (
    FieldError,
    Invalid,
    NotActive,
    StsRefused,
    Unavailable,
)
from chalicelib.core.request import Ask, Change, Request, Session, SessionStatus
from chalicelib.core.session import NO_ANSWER, SessionPlan, plan, told
from chalicelib.core.times import stamp

TRIES = 40
"""Issuances of one request try again on conflict. More than ten a minute are refused, so forty tries are enough."""

PATIENCE = timedelta(seconds=10)
"""From the call's beginning to asking STS. With STS's own 13 s that leaves 5 for a last write before API Gateway gives
up (29 s): where the table needs longer, the session is on the record and nobody has received it."""

SIGNING = timedelta(seconds=3)
"""Of that patience, what KMS may take for a token's signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the requester receives, once. expiration: the earlier of STS's own and the window's end (aware, UTC)."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expiration: datetime
    account_id: str
    assumed_role_arn: str
    assumed_role_id: str
    source_identity: str
    request_id: str
    session_name: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """A session on the record that STS has not been asked for yet.

    commit: puts down what becomes of it. patience: how long after asked_at STS may be asked.
    """

    change: Change
    session: Session
    plan: SessionPlan
    ends_at: datetime
    asked_at: datetime
    commit: Callable[[Change], None]
    patience: timedelta = PATIENCE


def lend(world: World, principal: Principal, request_id: str) -> Credentials:
    """A new session of one's own request, inside its window; the first one opens the window.

    Raises NotFound, NotYours, NotActive, NotEligible (judged by today's catalogue and groups), QuotaUsed,
    TooManySessions, StsRefused and Unavailable. Whatever is raised, no credentials are out.
    """
    asked_at = world.now()
    request = visible(world, principal, world.requests.get(request_id), request_id)
    used_up: list[DayIsUsed] = []
    for _ in range(TRIES):
        begun = _begin(world, principal, Change(request, request), asked_at, used_up)
        try:
            world.requests.commit(begun.change)
        except Stale:
            request = _again(world, request_id)
            continue
        except DayIsUsed as used:
            used_up.append(used)
            continue
        return _finish(world, begun)
    raise Unavailable("Too many sessions of this request were begun at the same time. Nothing was lent.")


def ask_and_lend(world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None) -> Credentials | Request:
    """Ask and, where no approval is due, receive in one call; else the pending request.

    With the same key again: the same request, then a new session of it. Raises what `ask` and `lend` raise, and Invalid
    where a start is asked for. An extension begins later: it is the request until then, whether approved or not.
    """
    if wish.starts_at is not None:
        message = "nothing could be lent before then: ask with POST /requests, and fetch once it has begun"
        raise Invalid(f"starts_at: {message}.", (FieldError("starts_at", message),))
    now = world.now()
    if wish.extends is not None:
        return _extend_and_lend(world, principal, wish, key, now)
    used_up: list[DayIsUsed] = []
    while True:
        try:
            return _ask_and_lend(world, principal, wish, key, now, used_up)
        except DayIsUsed as used:
            used_up.append(used)


def _ask_and_lend(
    world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None, now: datetime, used_up: list[DayIsUsed]
) -> Credentials | Request:
    """By another way in than those that are used up. Raises DayIsUsed where the one it chose is, too."""
    change = opening_or_before(world, principal, wish, key, now, used_up)
    if isinstance(change, Asked):
        asked = change
    elif change.after.status is Status.PENDING:
        asked = record(world, principal, wish, key, change, now)
        if not asked.replayed:
            return asked.request
    else:
        begun = _begin(world, principal, change, now, used_up)
        try:
            asked = record(world, principal, wish, key, begun.change, now)
        except Unavailable as unavailable:
            commit = outage.record(world, begun.change, claim_of(principal, wish, key, now), unavailable)
            return _finish(world, replace(begun, commit=commit, patience=outage.PATIENCE))
        if not asked.replayed:
            return _finish(world, begun)
    if asked.request.state(now) is State.PENDING:
        return asked.request
    return lend(world, principal, asked.request.id)


def _extend_and_lend(
    world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None, now: datetime
) -> Credentials | Request:
    asked = extending.extend(world, principal, wish, key)
    if not asked.replayed or asked.request.state(now) in (State.PENDING, State.SCHEDULED):
        return asked.request
    return lend(world, principal, asked.request.id)


def _again(world: World, request_id: str) -> Request:
    request = world.requests.get(request_id)
    assert request is not None, "requests are never deleted while they can change"
    return request


def _begin(world: World, principal: Principal, change: Change, asked_at: datetime, used_up: list[DayIsUsed]) -> _Begun:
    """The transition that puts a new session on the record, not stored yet, and what STS will be asked for."""
    now = world.now()
    request = change.after
    usable(request, principal, now)
    if request.link and request.window is None:
        request = extension.opened(request, _again(world, request.link.base), now)
        change = replace(change, after=request)
    catalogue = world.catalogue()
    caller = principal if request.break_glass else known(world, principal, about(request))
    way = way_in(catalogue, request, caller, now, used_up)
    window, ends_at = way.window, way.ends_at
    session_id = world.new_id()
    planned = plan(request, way.role, catalogue.provider, session_id=session_id, ends_at=ends_at, now=now)
    session = Session(id=session_id, session_name=planned.session_name, begun_at=now)
    over_at = min(ends_at, now + planned.duration)
    details = {"session": session_id, **told(planned), "ends_at": stamp(ends_at), "rule": way.rule}
    if way.charge:
        details["charged_seconds"] = way.charge.takes
    # An ask only wanted room, and the way in may be another one by now. What breaking the glass takes, it takes.
    charge = change.charge if request.break_glass else way.charge
    issuing = replace(change, charge=charge).then(
        EventType.SESSION_ISSUING,
        at=now,
        actor=principal.id,
        details=details,
        session=session,
        status=request.status if request.status is Status.USED else moved(request.status, Move.USE),
        window=window,
        sessions_begun=request.sessions_begun + 1,
        last_begun=(*request.last_begun, now)[-MOST_A_MINUTE:],
        charged=(*request.charged, way.rule) if way.charge else request.charged,
        lent_until=max(request.lent_until or over_at, over_at),
    )
    return _Begun(issuing, session, planned, ends_at, asked_at, world.requests.commit)


def _finish(world: World, begun: _Begun) -> Credentials:
    if world.now() - begun.asked_at > (begun.patience - SIGNING if begun.plan.token else begun.patience):
        _failed(world, begun, {"code": "too-late"}, certain=True)
        raise Unavailable("The record took too long: STS was not asked. Nothing was lent; try again.")
    try:
        lent = world.lender.lend(begun.plan)
    except StsRefused as refusal:
        _failed(world, begun, {"code": refusal.code, **refusal.calls}, certain=True)
        raise
    except NothingLent as silence:
        _failed(world, begun, {"code": silence.code, **silence.calls}, certain=True)
        raise Unavailable(str(silence)) from None
    except Unavailable as silence:
        _failed(world, begun, {"code": NO_ANSWER, **silence.calls}, certain=False)
        raise
    _issued(world, begun, lent)
    return Credentials(
        access_key_id=lent.access_key_id,
        secret_access_key=lent.secret_access_key,
        session_token=lent.session_token,
        expiration=min(lent.expiration, begun.ends_at),
        account_id=begun.change.after.account_id,
        assumed_role_arn=lent.assumed_role_arn,
        assumed_role_id=lent.assumed_role_id,
        source_identity=begun.plan.source_identity,
        request_id=begun.change.after.id,
        session_name=begun.session.session_name,
    )


def _issued(world: World, begun: _Begun, lent: Lent) -> None:
    """Put the session on the record. Raises NotActive where the request ended meanwhile, Unavailable on an outage."""
    now = world.now()
    session = replace(
        begun.session,
        status=SessionStatus.ISSUED,
        access_key_id=lent.access_key_id,
        assumed_role_id=lent.assumed_role_id,
        issued_at=now,
        expires_at=min(lent.expiration, begun.ends_at),
        sts_request_id=lent.request_id,
        sts_region=lent.region,
    )
    details: dict[str, Detail] = {
        "session": session.id,
        "access_key_id": lent.access_key_id,
        "assumed_role_id": lent.assumed_role_id,
        "expiration": stamp(lent.expiration),
        "sts_region": lent.region,
        **lent.calls,
    }
    opened = begun.change.after

    def issued(request: Request) -> Change:
        if request.status is not Status.USED or request.window != opened.window:
            raise NotActive(f"The request was {request.status} while the session was made: it is not handed out.")
        if now >= begun.ends_at:
            raise NotActive(f"It ended while the session was made, at {stamp(begun.ends_at)}: it is not handed out.")
        return Change(request, request).then(
            EventType.SESSION_ISSUED, at=now, actor=request.requester.id, details=details, session=session
        )

    try:
        _append(world, begun, issued)
    except NotActive:
        kept: dict[str, Detail] = {"access_key_id": lent.access_key_id, **lent.calls}
        _failed(world, begun, {"code": "ended-meanwhile", **kept}, certain=False)
        raise


def _failed(world: World, begun: _Begun, details: dict[str, Detail], *, certain: bool) -> None:
    """Say on the record that no credentials went out; where that cannot be said, the silence will read the same.

    certain: STS made no session. If this was the only one ever begun, the request is unused again, what it took out of
    a rule's day is given back, and the window that it opened shuts; a window that was asked for, or on which an
    extension counts, stays as it is.
    """
    now = world.now()
    session = replace(begun.session, status=SessionStatus.FAILED)

    def failed(request: Request) -> Change:
        shuts = certain and request.status is Status.USED and request.sessions_begun == 1
        window = request.window if request.starts_at else None
        unused: dict[str, Any] = {}
        back = None
        if shuts:
            status = moved(request.status, Move.UNUSE)
            unused = {"status": status, "window": window, "sessions_begun": 0, "charged": (), "lent_until": None}
            back = _given_back(begun)
        told: dict[str, Detail] = {"given_back_seconds": -back.takes} if back else {}
        return Change(request, request, charge=back).then(
            EventType.SESSION_FAILED,
            at=now,
            actor=request.requester.id,
            details={"session": session.id, **details, **told},
            session=session,
            **unused,
        )

    with contextlib.suppress(Unavailable):
        _append(world, begun, failed)


def _given_back(begun: _Begun) -> Charge | None:
    """What the session took out of a rule's day. That the glass was broken stays counted."""
    charge = begun.change.charge
    return charge.given_back() if charge and not begun.change.after.break_glass else None


def _append(world: World, begun: _Begun, event: Callable[[Request], Change]) -> None:
    """Store one more event of a session, on whatever the record has become; others' events are no reason to give up."""
    request = begun.change.after
    for _ in range(TRIES):
        try:
            return begun.commit(event(request))
        except Stale:
            request = _again(world, request.id)
    raise Unavailable("Too many things happened to this request at once.")
