"""Finding: the one request that somebody means by the ending of its id."""

from __future__ import annotations

from chalicelib.broker import seeing
from chalicelib.broker.ports import World
from chalicelib.broker.seeing import ULID_LENGTH, Filters
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import FieldError, Invalid, NotFound

SEARCHED = 200
_PAGE = 50


def by_ending(world: World, principal: Principal, ending: str, *, mine: bool = False) -> str:
    """The id of the one visible request that ends so, among the newest 200. mine: that the principal asked for.

    A whole id is taken at its word. Raises NotFound, and Invalid where several end so, or it is no ending of an id.
    """
    wanted = ending.upper()
    if not (wanted.isascii() and wanted.isalnum() and len(wanted) <= ULID_LENGTH):
        raise _unclear("an id, or its ending, is of letters and digits")
    if len(wanted) == ULID_LENGTH:
        return wanted
    found = [id for id in _newest(world, principal, mine) if id.endswith(wanted)]
    if not found:
        raise NotFound(f"No request that you may see ends in {wanted}; {SEARCHED} were looked at, the newest first.")
    if len(found) > 1:
        raise _unclear(f"{len(found)} requests end in {wanted}: write more of the id")
    return found[0]


def _newest(world: World, principal: Principal, mine: bool) -> list[str]:
    ids: list[str] = []
    after: str | None = None
    for _ in range(SEARCHED // _PAGE):
        page = seeing.listed(world, principal, Filters(mine=mine), after=after, limit=_PAGE)
        ids += [request.id for request in page.items]
        after = page.next
        if after is None:
            break
    return list(dict.fromkeys(ids))  # pages may overlap where a position names no request


def _unclear(message: str) -> Invalid:
    return Invalid(f"id: {message}.", (FieldError("id", message),))
