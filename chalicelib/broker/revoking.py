"""Revoking: access is taken away on the record first, and then its live sessions are cut at the role they are of.

request.revoked ──► deny at the role ──► deny.written
      │                   └── refused, or no answer: deny.failed, and `settle` tries again
      └── from here on no session is lent, and none that is being lent is handed out
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime

from chalicelib.broker.deciding import transition
from chalicelib.broker.knowing import about, known
from chalicelib.broker.lending import TRIES
from chalicelib.broker.ports import CannotDeny, Stale, World
from chalicelib.broker.seeing import admitting_today
from chalicelib.core import revocation
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.ledger import Detail, EventType, commitment
from chalicelib.core.life import Move, State, moved
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import NotActive, Unavailable
from chalicelib.core.request import Change, Deny, Request
from chalicelib.core.revocation import Step

BROKER = "daypass"
"""The actor of what nobody asked for by itself; no principal's id is like it."""

REVOCABLE = frozenset({State.READY, State.SCHEDULED, State.ACTIVE})
_DONE: Mapping[Step, EventType] = {Step.WRITE: EventType.DENY_WRITTEN, Step.REMOVE: EventType.DENY_REMOVED}


def revoke(world: World, principal: Principal, request_id: str, *, comment: str) -> Request:
    """Take the access away, for good, and cut the sessions that were lent.

    What was returned can be revoked too, while its sessions live and were not cut: who holds them did not stop there.
    Raises NotFound, MayNotApprove, NotActive and ChangedMeanwhile; all else is in the request's revocation.
    """

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        rules = admitting_today(catalogue, request)
        if refusal := revocation.may_revoke(request, catalogue, rules, known(world, principal, about(request))):
            raise refusal
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

    return cut(world, transition(world, principal, request_id, step))


def cut(world: World, request: Request) -> Request:
    """Do at once what is due of a revocation that is on the record. An outage is no refusal: `settle` goes on."""
    with contextlib.suppress(Unavailable):
        return settle(world, request, world.now())
    return request


def settle(world: World, request: Request, now: datetime) -> Request:
    """Do what is due of the request's denies at `now`: write what is not written, remove what has become needless.

    Harmless to repeat, and to do in two places at once. Each outcome is an event. Raises Unavailable where one cannot
    be put on the record: what it says is then still due.
    """
    for step, deny in revocation.due(request, now):
        request = _put_down(world, request, step, deny, _attempt(world, request, step, deny))
    return request


def _attempt(world: World, request: Request, step: Step, deny: Deny) -> CannotDeny | None:
    act = world.revoker.deny if step is Step.WRITE else world.revoker.allow_again
    try:
        act(deny.role_arn, request.id)
    except CannotDeny as cannot:
        return cannot
    return None


def _put_down(world: World, request: Request, step: Step, deny: Deny, cannot: CannotDeny | None) -> Request:
    """The outcome on the record, whatever else happened to it meanwhile; nothing where somebody else settled it."""
    for _ in range(TRIES):
        if request.revocation is None or deny not in request.revocation.denies:
            return request
        change = _outcome(request, step, deny, cannot, world.now())
        try:
            world.requests.commit(change)
        except Stale:
            newer = world.requests.get(request.id)
            assert newer is not None, "requests are never deleted while they can change"
            request = newer
            continue
        return change.after
    raise Unavailable("Too many things happened to this request at once.")


def _outcome(request: Request, step: Step, deny: Deny, cannot: CannotDeny | None, now: datetime) -> Change:
    details: dict[str, Detail] = {"role_arn": deny.role_arn, "policy": revocation.policy_name(request.id)}
    if cannot is None:
        kind, after = _DONE[step], revocation.done(request, deny, step, now)
    else:
        kind, after = EventType.DENY_FAILED, revocation.failed(request, deny, step, str(cannot), now)
        details |= {"code": cannot.code, "step": step.value}
    return Change(request, request).then(kind, at=now, actor=BROKER, details=details, revocation=after)
