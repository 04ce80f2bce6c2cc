"""Erasing: an auditor takes what people wrote out of a request that is over, and the history says so."""

from __future__ import annotations

from datetime import datetime

from chalicelib.broker.deciding import transition
from chalicelib.broker.knowing import known
from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.erasing import erased, hindrance
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import NotEligible
from chalicelib.core.request import Change, Request


class _Already(Exception):
    def __init__(self, request: Request) -> None:
        super().__init__(request.id)
        self.request = request


def erase(world: World, principal: Principal, request_id: str) -> Request:
    """Erase the texts of a request, for good; again, it changes nothing.

    Raises NotFound, NotEligible for all but people who are auditors, NotOver and ChangedMeanwhile.
    """

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        if principal.kind is not Kind.HUMAN or not catalogue.auditors.includes(known(world, principal)):
            raise NotEligible("Only people who are auditors erase texts: [auditors] in the catalogue says who is.")
        if request.erased_at is not None:
            raise _Already(request)
        if refusal := hindrance(request, now):
            raise refusal
        return erased(request, principal.id, now)

    try:
        return transition(world, principal, request_id, step)
    except _Already as already:
        return already.request
