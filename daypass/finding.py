"""Which request is meant, by its id, its ending or its role; and why it gives nothing where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from daypass import showing
from daypass.saying import DENIED, Stop

if TYPE_CHECKING:
    from daypass.client import Client, Json

_USABLE: Final = ("active", "ready", "scheduled", "pending")  # the most usable first


def use(client: Client, what: str, use: Callable[[str], Json]) -> Json:
    """The answer to a use of the request that `what` names. Says why where it gives nothing now."""
    from daypass.client import DaypassError

    request_id = named(client, what)
    try:
        return use(request_id)
    except DaypassError as error:
        if error.slug != "not-active":
            raise
        known = client.request(request_id)
        if known.get("state") in ("ready", "active"):  # then the reason is not in its state
            raise
        raise why_not(known) from None


def found_or_asked(client: Client, what: str, ask: Callable[[str], Json] | None) -> Json:
    """The request that is meant. ask: makes one for a role, where there is none that is or may become of use."""
    try:
        request = client.request(named(client, what))
    except Stop as nothing:
        if not what:
            raise
        if ask is None:
            raise Stop(f"{nothing} With --reason this asks for it.") from None
        return ask(what)
    if ask is not None and request.get("state") not in _USABLE:
        return ask(str(request.get("role")))
    return request


def named(client: Client, what: str) -> str:
    """The id that is meant: of the most usable of your requests for a role of that name, else of one that ends so."""
    if not what:
        raise Stop("Name a request, or a role that you were given: what was given is empty.")
    if len(what) == 26 and what.isalnum():
        return what.upper()
    best: Json | None = None
    for known in client.requests(mine=True, role=what):
        # The list begins with the newest; of a chain the oldest comes first.
        if (
            best is None
            or _how_soon(known) < _how_soon(best)
            or (known.get("extends") and _how_soon(known) == _how_soon(best))
        ):
            best = known
        if known.get("state") == "active":
            break
    if best is None and what.isalnum():
        return client.find(what, mine=True)
    if best is None:
        raise Stop(f"You have no request for a role {showing.plain(what)}: daypass request {showing.plain(what)} …")
    # A list may be a moment behind the record: what it calls pending may be approved by now, so the record is asked.
    return str(best.get("id"))


def _how_soon(known: Json) -> tuple[int, bool]:
    """How soon a request may be used: what goes on from another one comes after that."""
    state = known.get("state")
    return _USABLE.index(state) if state in _USABLE else len(_USABLE), bool(known.get("extends"))


def why_not(known: Json) -> Stop:
    """Why a request gives nothing now, from what it says of itself."""
    state, role = showing.plain(known.get("state")), showing.plain(known.get("role"))
    ending = str(known.get("id", ""))[-showing.ENDING :]
    anew = f"Ask again: daypass request {role} …"
    if by := known.get("extended_by"):
        anew = f"It was extended: daypass credentials {showing.plain(by)[-showing.ENDING :]}"
    match state:
        case "pending":
            waits = showing.stages(known.get("stages", []), missing=True)
            return Stop(f"Request {ending} for {role} still waits for {waits or 'an answer'}.")
        case "scheduled":
            return Stop(f"Request {ending} for {role} begins at {showing.plain(known.get('starts_at'))}.")
        case "denied":
            by, said = showing.plain(known.get("decided_by")), showing.quoted(known.get("decision_comment"))
            return Stop(f"Request {ending} for {role} was denied by {by}: {said}", DENIED)
        case "revoked":
            return Stop(f"Request {ending} for {role} was revoked.", DENIED)
        case _:
            return Stop(f"Request {ending} for {role} is {state}. {anew}")
