"""Ending: the requester takes a request back, or gives the access back before its time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chalicelib.broker import revoking
from chalicelib.broker.deciding import transitions
from chalicelib.broker.extending import later
from chalicelib.broker.ports import World
from chalicelib.core import revocation
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.extension import onward
from chalicelib.core.ledger import EventType
from chalicelib.core.life import Move, State, moved
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import NotActive, NotCancellable, NotYours
from chalicelib.core.request import Change, Request, Revocation

CANCELLABLE = frozenset({State.PENDING, State.READY, State.SCHEDULED})


def cancel(world: World, principal: Principal, request_id: str) -> Request:
    """Take back what has not begun yet, for good, with all that extends it.

    Raises NotFound, NotYours, NotCancellable and ChangedMeanwhile.
    """

    def steps(catalogue: Catalogue, request: Request, now: datetime) -> list[Change]:
        _own(request, principal)
        state = request.state(now)
        if state is State.ACTIVE:
            raise NotCancellable("The access has begun already: return it instead.")
        if state not in CANCELLABLE:
            raise NotCancellable(f"The request is {state} already: there is nothing left to cancel.")
        cancelled = _ended(request, EventType.CANCELLED, Move.CANCEL, principal, now)
        return [cancelled, *_extensions_ended(world, catalogue, request, principal, now, cut=False)]

    return transitions(world, principal, request_id, steps)[0]


def give_back(world: World, principal: Principal, request_id: str, *, cut: bool = False) -> Request:
    """End the access, and all that extends it: no new session starts.

    cut: end the sessions that were lent too, as a revocation does; without it they live until their wall.
    Raises NotFound, NotYours, NotActive and ChangedMeanwhile.
    """

    def steps(catalogue: Catalogue, request: Request, now: datetime) -> list[Change]:
        _own(request, principal)
        state = request.state(now)
        if state is not State.ACTIVE:
            hint = "cancel it instead" if state in CANCELLABLE else "there is nothing left to return"
            raise NotActive(f"The request is {state}: {hint}.{onward(request)}")
        begun = revocation.begun(request, catalogue, now) if cut else None
        returned = _ended(request, EventType.RETURNED, Move.RETURN, principal, now, begun)
        return [returned, *_extensions_ended(world, catalogue, request, principal, now, cut=cut)]

    return revoking.cut(world, transitions(world, principal, request_id, steps))


def _extensions_ended(
    world: World, catalogue: Catalogue, request: Request, principal: Principal, now: datetime, *, cut: bool
) -> Iterator[Change]:
    """The ends of the later links that are open: as the requester would end each of them."""
    for link in later(world, request):
        state = link.state(now)
        if state is State.ACTIVE:
            begun = revocation.begun(link, catalogue, now) if cut else None
            yield _ended(link, EventType.RETURNED, Move.RETURN, principal, now, begun, extended=request.id)
        elif state in CANCELLABLE:
            yield _ended(link, EventType.CANCELLED, Move.CANCEL, principal, now, extended=request.id)


def _own(request: Request, principal: Principal) -> None:
    if request.requester.id != principal.id:
        raise NotYours("Only the person who asked may do this.")


def _ended(
    request: Request,
    kind: EventType,
    move: Move,
    principal: Principal,
    now: datetime,
    cut: Revocation | None = None,
    *,
    extended: str | None = None,
) -> Change:
    """extended: the earlier link that ended and took this one with it."""
    status = moved(request.status, move)
    details = {**({"cut": "yes"} if cut else {}), **({"ended_with": extended} if extended else {})}
    return Change(request, request).then(
        kind, at=now, actor=principal.id, details=details, status=status, revocation=cut
    )
