"""Revoking: access is taken away on the record first, and then its live sessions are cut at the role they are of.

request.revoked ──► deny at the role ──► deny.written
      │                   └── refused, or no answer: deny.failed, and `settle` tries again
      └── from here on no session is lent, and none that is being lent is handed out
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from chalicelib.broker.deciding import transitions
from chalicelib.broker.extending import later
from chalicelib.broker.knowing import about, known
from chalicelib.broker.lending import TRIES
from chalicelib.broker.ports import CannotDeny, Stale, World
from chalicelib.broker.seeing import having_a_say
from chalicelib.core import revocation
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.denies import Standing
from chalicelib.core.extension import onward
from chalicelib.core.ledger import Detail, EventType, commitment
from chalicelib.core.life import Move, State, moved
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import NotActive, Unavailable
from chalicelib.core.request import Change, Covers, Deny, Request
from chalicelib.core.revocation import Step

BROKER = "daypass"
"""The actor of what nobody asked for by itself; no principal's id is like it."""

PROMPTLY = timedelta(seconds=2)
"""How soon the denies of later links have to be begun: one may take 5 s, and the caller waits for them."""

REVOCABLE = frozenset({State.READY, State.SCHEDULED, State.ACTIVE})


class _Unwritten(Exception):
    """The request is revoked already, and a deny of it is not known to be written: nothing new to record, but to do."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.id)
        self.request = request


def revoke(world: World, principal: Principal, request_id: str, *, comment: str) -> Request:
    """Take the access away, for good, with all that extends it, and cut the sessions that were lent.

    What was returned can be revoked too, while its sessions live and were not cut: who holds them did not stop there.
    Again, where a deny could not be written: it is tried again at once, and who revoked first stays on the record.
    Raises NotFound, MayNotApprove, NotActive and ChangedMeanwhile; all else is in the request's revocation.
    """

    def steps(catalogue: Catalogue, request: Request, now: datetime) -> list[Change]:
        rules = having_a_say(catalogue, request)
        if refusal := revocation.may_revoke(request, catalogue, rules, known(world, principal, about(request))):
            raise refusal
        if revocation.unwritten(request, now):
            raise _Unwritten(request)
        state = request.state(now)
        left_alive = state is State.RETURNED and request.revocation is None and revocation.lives(request, now)
        if state not in REVOCABLE and not left_alive:
            hint = "deny it instead" if state is State.PENDING else "there is nothing left to revoke"
            raise NotActive(f"The request is {state}: {hint}.{onward(request)}")
        begun = revocation.begun(request, catalogue, now)
        status = request.status if left_alive else moved(request.status, Move.REVOKE)
        revoked = _taken(request, EventType.REVOKED, principal, comment, now, status=status, revocation=begun)
        return [revoked, *_extensions_taken(world, catalogue, request, principal, comment, now)]

    try:
        ended: Sequence[Request] = transitions(world, principal, request_id, steps)
    except _Unwritten as revoked:
        ended = [revoked.request]
    return cut(world, ended)


def _extensions_taken(
    world: World, catalogue: Catalogue, request: Request, principal: Principal, comment: str, now: datetime
) -> Iterator[Change]:
    """The ends of the later links that are open: what was not approved yet is cancelled, the rest revoked."""
    for link in later(world, request):
        state = link.state(now)
        if state in REVOCABLE:
            kind, move, begun = EventType.REVOKED, Move.REVOKE, revocation.begun(link, catalogue, now)
        elif state is State.PENDING:
            kind, move, begun = EventType.CANCELLED, Move.CANCEL, None
        else:
            continue
        status = moved(link.status, move)
        yield _taken(link, kind, principal, comment, now, extended=request.id, status=status, revocation=begun)


def _taken(
    request: Request,
    kind: EventType,
    principal: Principal,
    comment: str,
    now: datetime,
    *,
    extended: str | None = None,
    **changed: Any,
) -> Change:
    """extended: the earlier link that was taken away and took this one with it."""
    details: dict[str, Detail] = {"comment_sha256": commitment(comment, request.salt)}
    if extended is not None:
        details["ended_with"] = extended
    changed |= {"decided_by": principal.id, "decision_comment": comment}
    return Change(request, request).then(kind, at=now, actor=principal.id, details=details, **changed)


def cut(world: World, ended: Sequence[Request]) -> Request:
    """Write at once what is not written of the revocations of requests that ended together. Returns the first of them.

    An outage is no refusal, and where the first takes long, the others wait for no caller: `settle` goes on.
    """
    begun = world.now()
    first, *others = ended
    first = _cut(world, first)
    for other in others:
        if world.now() - begun < PROMPTLY:
            _cut(world, other)
    return first


def _cut(world: World, request: Request) -> Request:
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
