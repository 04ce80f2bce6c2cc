"""Lending: a session is put on the record, lent by STS, and handed out only once that is on the record too.

request ──► session.issuing ──► STS ──► session.issued ──► credentials
                                 │            └── ended meanwhile, or not recorded: no credentials
                                 └── refused: session.failed, a window just opened shuts again
                                 └── no answer: session.failed, the window stays open
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.broker.asking import IdempotencyKey, opening, record
from chalicelib.broker.judging import way_in
from chalicelib.broker.knowing import about, known
from chalicelib.broker.ports import Lent, Secret, Stale, World
from chalicelib.broker.seeing import visible
from chalicelib.core.ledger import Detail, EventType
from chalicelib.core.life import Expired, Move, State, Status, moved
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import (
    FieldError,
    Invalid,
    NotActive,
    NotYours,
    StsRefused,
    TooManySessions,
    Unavailable,
)
from chalicelib.core.request import Ask, Change, Request, Session, SessionStatus
from chalicelib.core.session import SessionPlan, plan
from chalicelib.core.times import stamp

TRIES = 40
"""Issuances of one request try again on conflict. More than ten a minute are refused, so forty tries are enough."""

PATIENCE = timedelta(seconds=10)
"""From the call's beginning to asking STS: with STS's own 11 s and a last write all ends within API Gateway's 29 s."""

A_MINUTE = timedelta(minutes=1)
MOST_A_MINUTE = 10
MOST_IN_ALL = 500


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
    """A session on the record that STS has not been asked for yet."""

    change: Change
    session: Session
    plan: SessionPlan
    ends_at: datetime
    asked_at: datetime


def lend(world: World, principal: Principal, request_id: str) -> Credentials:
    """A new session of one's own request, inside its window; the first one opens the window.

    Raises NotFound, NotYours, NotActive, NotEligible (judged by today's catalogue and groups), TooManySessions,
    StsRefused and Unavailable. Whatever is raised, no credentials are out.
    """
    asked_at = world.now()
    request = visible(world, principal, world.requests.get(request_id), request_id)
    for _ in range(TRIES):
        begun = _begin(world, principal, Change(request, request), asked_at)
        try:
            world.requests.commit(begun.change)
        except Stale:
            request = _again(world, request_id)
            continue
        return _finish(world, begun)
    raise Unavailable("Too many sessions of this request were begun at the same time. Nothing was lent.")


def ask_and_lend(world: World, principal: Principal, wish: Ask, key: IdempotencyKey | None) -> Credentials | Request:
    """Ask and, where no approval is due, receive in one call; else the pending request.

    With the same key again: the same request, then a new session of it. Raises what `ask` and `lend` raise, and Invalid
    where a start is asked for.
    """
    if wish.starts_at is not None:
        message = "nothing could be lent before then: ask with POST /requests, and fetch once it has begun"
        raise Invalid(f"starts_at: {message}.", (FieldError("starts_at", message),))
    now = world.now()
    change = opening(world, principal, wish, now)
    if change.after.status is Status.PENDING:
        asked = record(world, principal, wish, key, change, now)
        if not asked.replayed:
            return asked.request
    else:
        begun = _begin(world, principal, change, now)
        asked = record(world, principal, wish, key, begun.change, now)
        if not asked.replayed:
            return _finish(world, begun)
    if asked.request.state(now) is State.PENDING:
        return asked.request
    return lend(world, principal, asked.request.id)


def _again(world: World, request_id: str) -> Request:
    request = world.requests.get(request_id)
    assert request is not None, "requests are never deleted while they can change"
    return request


def _begin(world: World, principal: Principal, change: Change, asked_at: datetime) -> _Begun:
    """The transition that puts a new session on the record, not stored yet, and what STS will be asked for."""
    now = world.now()
    request = change.after
    _usable(request, principal, now)
    _sparing(request, now)
    caller = principal if request.break_glass else known(world, principal, about(request))
    way = way_in(world.catalogue(), request, caller, now)
    window, ends_at = way.window, way.ends_at
    session_id = world.new_id()
    planned = plan(request, way.role, session_id=session_id, ends_at=ends_at, now=now)
    session = Session(id=session_id, session_name=planned.session_name, begun_at=now)
    details: dict[str, Detail] = {
        "session": session_id,
        "session_name": planned.session_name,
        "source_identity": planned.source_identity,
        "role_arn": planned.role_arn,
        "duration_seconds": int(planned.duration.total_seconds()),
        "ends_at": stamp(ends_at),
        "rule": way.rule,
    }
    issuing = change.then(
        EventType.SESSION_ISSUING,
        at=now,
        actor=principal.id,
        details=details,
        session=session,
        status=request.status if request.status is Status.USED else moved(request.status, Move.USE),
        window=window,
        sessions_begun=request.sessions_begun + 1,
        last_begun=(*request.last_begun, now)[-MOST_A_MINUTE:],
    )
    return _Begun(issuing, session, planned, ends_at, asked_at)


def _usable(request: Request, principal: Principal, now: datetime) -> None:
    if request.requester.id != principal.id:
        raise NotYours("Only the person who asked receives the credentials.")
    state = request.state(now)
    if state in (State.READY, State.ACTIVE):
        return
    if state is State.PENDING:
        raise NotActive("Nobody has approved this request yet.")
    if state is State.SCHEDULED and request.window is not None:
        raise NotActive(f"This access begins at {stamp(request.window.starts_at)}.")
    if request.expired_because(now) is Expired.UNUSED:
        raise NotActive("The approval was not used in time and has lapsed. Ask again.")
    raise NotActive(f"The request is {state}: it gives no access any more. Ask again.")


def _sparing(request: Request, now: datetime) -> None:
    if request.sessions_begun >= MOST_IN_ALL:
        raise TooManySessions(f"{MOST_IN_ALL} sessions were begun for this request; ask again for more.", None)
    oldest = request.last_begun[0] if len(request.last_begun) == MOST_A_MINUTE else None
    if oldest is not None and now < oldest + A_MINUTE:
        wait = oldest + A_MINUTE - now
        raise TooManySessions(f"{MOST_A_MINUTE} sessions were begun within a minute: wait, or use one of those.", wait)


def _finish(world: World, begun: _Begun) -> Credentials:
    if world.now() - begun.asked_at > PATIENCE:
        _failed(world, begun, {"code": "too-late"}, certain=True)
        raise Unavailable("The table took too long: STS was not asked. Nothing was lent; try again.")
    try:
        lent = world.lender.lend(begun.plan)
    except StsRefused as refusal:
        _failed(world, begun, {"code": refusal.code}, certain=True)
        raise
    except Unavailable:
        _failed(world, begun, {"code": "no-answer"}, certain=False)
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
        "sts_request_id": lent.request_id,
        "sts_region": lent.region,
    }
    opened = begun.change.after

    def issued(request: Request) -> Change:
        if request.status is not Status.USED or request.window != opened.window:
            raise NotActive(f"The request was {request.status} while the session was made: it is not handed out.")
        if now >= begun.ends_at:
            raise NotActive("The access ended while the session was made: it is not handed out.")
        return Change(request, request).then(
            EventType.SESSION_ISSUED, at=now, actor=request.requester.id, details=details, session=session
        )

    try:
        _append(world, opened, issued)
    except NotActive:
        _failed(world, begun, {"code": "ended-meanwhile", "access_key_id": lent.access_key_id}, certain=False)
        raise


def _failed(world: World, begun: _Begun, details: dict[str, Detail], *, certain: bool) -> None:
    """Say on the record that no credentials went out; where that cannot be said, the silence will read the same.

    certain: STS made no session. If this was the only one ever begun, the request is unused again and the window that
    it opened shuts; a window that was asked for stays as it is.
    """
    now = world.now()
    session = replace(begun.session, status=SessionStatus.FAILED)

    def failed(request: Request) -> Change:
        shuts = certain and request.status is Status.USED and request.sessions_begun == 1
        window = request.window if request.starts_at else None
        unused = {"status": moved(request.status, Move.UNUSE), "window": window, "sessions_begun": 0} if shuts else {}
        return Change(request, request).then(
            EventType.SESSION_FAILED,
            at=now,
            actor=request.requester.id,
            details={"session": session.id, **details},
            session=session,
            **unused,
        )

    with contextlib.suppress(Unavailable):
        _append(world, begun.change.after, failed)


def _append(world: World, request: Request, event: Callable[[Request], Change]) -> None:
    """Store one more event of a session, on whatever the record has become; others' events are no reason to give up."""
    for _ in range(TRIES):
        try:
            return world.requests.commit(event(request))
        except Stale:
            request = _again(world, request.id)
    raise Unavailable("Too many things happened to this request at once.")
