"""Ending: the requester takes a request back, or gives the access back before its time."""

from __future__ import annotations

from datetime import datetime

from chalicelib.broker import revoking
from chalicelib.broker.deciding import transition
from chalicelib.broker.ports import World
from chalicelib.core import revocation
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.ledger import EventType
from chalicelib.core.life import Move, State, moved
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import NotActive, NotCancellable, NotYours
from chalicelib.core.request import Change, Request, Revocation

CANCELLABLE = frozenset({State.PENDING, State.READY, State.SCHEDULED})


def cancel(world: World, principal: Principal, request_id: str) -> Request:
    """Take back what has not begun yet, for good. Raises NotFound, NotYours, NotCancellable and ChangedMeanwhile."""

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        _own(request, principal)
        state = request.state(now)
        if state is State.ACTIVE:
            raise NotCancellable("The access has begun already: return it instead.")
        if state not in CANCELLABLE:
            raise NotCancellable(f"The request is {state} already: there is nothing left to cancel.")
        return _ended(request, EventType.CANCELLED, Move.CANCEL, principal, now)

    return transition(world, principal, request_id, step)


def give_back(world: World, principal: Principal, request_id: str, *, cut: bool = False) -> Request:
    """End the access: no new session starts. Raises NotFound, NotYours, NotActive and ChangedMeanwhile.

    cut: end the sessions that were lent too, as a revocation does; without it they live until their wall.
    """

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        _own(request, principal)
        state = request.state(now)
        if state is not State.ACTIVE:
            hint = "cancel it instead" if state in CANCELLABLE else "there is nothing left to return"
            raise NotActive(f"The request is {state}: {hint}.")
        begun = revocation.begun(request, catalogue, now) if cut else None
        return _ended(request, EventType.RETURNED, Move.RETURN, principal, now, begun)

    returned = transition(world, principal, request_id, step)
    return revoking.cut(world, returned) if cut else returned


def _own(request: Request, principal: Principal) -> None:
    if request.requester.id != principal.id:
        raise NotYours("Only the person who asked may do this.")


def _ended(
    request: Request, kind: EventType, move: Move, principal: Principal, now: datetime, cut: Revocation | None = None
) -> Change:
    status, details = moved(request.status, move), {"cut": "yes"} if cut else {}
    return Change(request, request).then(
        kind, at=now, actor=principal.id, details=details, status=status, revocation=cut
    )
