"""Revoking: access is taken away on the record first, and then its live sessions are cut at the role they are of.

request.revoked ──► deny at the role ──► deny.written
      │                   └── refused, or no answer: deny.failed, and `settle` tries again
      └── from here on no session is lent, and none that is being lent is handed out
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime

from chalicelib.broker.deciding import transition
from chalicelib.broker.lending import TRIES
from chalicelib.broker.ports import CannotDeny, Stale, World
from chalicelib.broker.seeing import admitting_today
from chalicelib.core import revocation
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.denies import Standing
from chalicelib.core.ledger import Detail, EventType, commitment
from chalicelib.core.life import Move, State, moved
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import NotActive, Unavailable
from chalicelib.core.request import Change, Covers, Deny, Request
from chalicelib.core.revocation import Step

BROKER = "daypass"
"""The actor of what nobody asked for by itself; no principal's id is like it."""

REVOCABLE = frozenset({State.READY, State.SCHEDULED, State.ACTIVE})


class _Unwritten(Exception):
    """The request is revoked already, and a deny of it is not known to be written: nothing new to record, but to do."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.id)
        self.request = request


def revoke(world: World, principal: Principal, request_id: str, *, comment: str) -> Request:
    """Take the access away, for good, and cut the sessions that were lent.

    What was returned can be revoked too, while its sessions live and were not cut: who holds them did not stop there.
    Again, where a deny could not be written: it is tried again at once, and who revoked first stays on the record.
    Raises NotFound, MayNotApprove, NotActive and ChangedMeanwhile; all else is in the request's revocation.
    """

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        rules = admitting_today(catalogue, request)
        if refusal := revocation.may_revoke(request, catalogue, rules, principal):
            raise refusal
        if revocation.unwritten(request, now):
            raise _Unwritten(request)
        state = request.state(now)
        left_alive = state is State.RETURNED and request.revocation is None and revocation.lives(request, now)
        if state not in REVOCABLE and not left_alive:
            hint = "deny it instead" if state is State.PENDING else "there is nothing left to revoke"
            raise NotActive(f"The request is {state}: {hint}.")
        return Change(request, request).then(
            EventType.REVOKED,
            at=now,
            actor=principal.id,
            details={"comment_sha256": commitment(comment, request.salt)},
            status=request.status if left_alive else moved(request.status, Move.REVOKE),
            decided_by=principal.id,
            decision_comment=comment,
            revocation=revocation.begun(request, catalogue, now),
        )

    try:
        request = transition(world, principal, request_id, step)
    except _Unwritten as revoked:
        request = revoked.request
    return cut(world, request)


def cut(world: World, request: Request) -> Request:
    """Write at once what is not written of a revocation on the record. An outage is no refusal: `settle` goes on."""
    now = world.now()
    with contextlib.suppress(Unavailable):
        return _done(world, request, revocation.unwritten(request, now), now)
    return request


def settle(world: World, request: Request, now: datetime) -> Request:
    """Do what is due of the request's denies at `now`: write what is not written, remove what has become needless.

    Harmless to repeat, and to do in two places at once. Each outcome is an event. Raises Unavailable where one cannot
    be put on the record: what it says is then still due.
    """
    return _done(world, request, revocation.due(request, now), now)


def _done(world: World, request: Request, steps: Iterable[tuple[Step, Deny]], now: datetime) -> Request:
    for step, deny in steps:
        request = _put_down(world, request, step, deny, _attempt(world, request, step, deny, now))
    return request


def _attempt(world: World, request: Request, step: Step, deny: Deny, now: datetime) -> Standing | CannotDeny | None:
    """The deny that stands now, None where it was removed, or why not."""
    sessions = revocation.cut(request, deny)
    try:
        if step is Step.WRITE:
            return world.revoker.deny(sessions)
        # Of one that nobody knows to be written, nobody knows either how wide it became.
        world.revoker.allow_again(sessions, deny.covers if deny.written_at else Covers.ROLE, now)
    except CannotDeny as cannot:
        return cannot
    return None


def _put_down(world: World, request: Request, step: Step, deny: Deny, came: Standing | CannotDeny | None) -> Request:
    """What came of a step on the record, whatever else happened to it meanwhile; nothing where it is settled by now."""
    for _ in range(TRIES):
        if request.revocation is None or deny not in request.revocation.denies:
            return request
        change = _outcome(request, step, deny, came, world.now())
        try:
            world.requests.commit(change)
        except Stale:
            newer = world.requests.get(request.id)
            assert newer is not None, "requests are never deleted while they can change"
            request = newer
            continue
        return change.after
    raise Unavailable("Too many things happened to this request at once.")


def _outcome(request: Request, step: Step, deny: Deny, came: Standing | CannotDeny | None, now: datetime) -> Change:
    details: dict[str, Detail] = {"role_arn": deny.role_arn}
    match came:
        case Standing():
            kind, after = EventType.DENY_WRITTEN, revocation.written(request, deny, came, now)
            details |= {"policy": came.name, "covers": came.covers.value}
        case CannotDeny():
            kind, after = EventType.DENY_FAILED, revocation.failed(request, deny, step, str(came), now)
            details |= {"code": came.code, "step": step.value}
        case None:
            kind, after = EventType.DENY_REMOVED, revocation.removed(request, deny, now)
            details |= {"covers": deny.covers.value}
    return Change(request, request).then(kind, at=now, actor=BROKER, details=details, revocation=after)
