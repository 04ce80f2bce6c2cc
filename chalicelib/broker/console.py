"""The console: a session like every other, whose keys stay here, and a link that signs its requester in.

session.issuing ──► STS ──► session.issued ──► sign-in ──► console.opened ──► the link
                                                  │            └── ended meanwhile, or not recorded: no link
                                                  └── refused, or no answer: no link; nobody has the session's keys
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.broker import lending
from chalicelib.broker.lending import TRIES, Credentials
from chalicelib.broker.ports import Console, Secret, Stale, World
from chalicelib.core.console import LINK, session_duration
from chalicelib.core.ledger import EventType
from chalicelib.core.life import Status
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import ConsoleRefused, NotActive, NotEligible, Unavailable
from chalicelib.core.request import Change, Request
from chalicelib.core.times import stamp

PATIENCE = timedelta(seconds=15)
"""From the call's beginning to asking sign-in. With its own 5 s that leaves 9 until API Gateway gives up (29 s), for
resolving names and a last write: where the table needs longer, the link is on the record and nobody has received it."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the requester receives, once. expires_at: when it signs in nobody any more (aware, UTC)."""

    url: Secret
    expires_at: datetime


def open_console(world: World, principal: Principal, request_id: str, *, destination: str | None) -> Link:
    """A new session of one's own request, as a link that signs in to the AWS console; the first one opens the window.

    destination: the page that it leads to. Raises NotEligible for workloads, Invalid for a destination outside the
    console, ConsoleRefused, Unavailable, and what `lending.lend` raises. Whatever is raised, no link is out.
    """
    asked_at = world.now()
    if principal.kind is Kind.WORKLOAD:
        raise NotEligible(
            "A link to the console signs in whoever follows it, so only people get one: fetch credentials."
        )
    console = _known(world)
    page = console.site.page(destination)
    lent = lending.lend(world, principal, request_id)
    now = world.now()
    if now - asked_at > PATIENCE:
        raise Unavailable("The session took too long: AWS's sign-in was not asked. Nobody has its keys; try again.")
    url = console.sign_in(lent, page, session_duration(lent.via, lent.expiration - now))
    link = Link(url, min(now + LINK, lent.expiration))
    _recorded(world, principal, lent, link)
    return link


def _known(world: World) -> Console:
    if world.console is None:
        raise ConsoleRefused("No console is known for the AWS partition that Daypass runs in: fetch credentials.")
    return world.console


def _recorded(world: World, principal: Principal, lent: Credentials, link: Link) -> None:
    """Put the link on the record. Raises NotActive where the request ended meanwhile, Unavailable on an outage."""
    for _ in range(TRIES):
        request = world.requests.get(lent.request_id)
        assert request is not None, "requests are never deleted while they can change"
        try:
            return world.requests.commit(_opened(request, principal, lent, link, world.now()))
        except Stale:
            continue
    raise Unavailable("Too many things happened to this request at once: the link is not handed out.")


def _opened(request: Request, principal: Principal, lent: Credentials, link: Link, now: datetime) -> Change:
    if request.status is not Status.USED:
        raise NotActive(f"The request was {request.status} while the link was made: it is not handed out.")
    if now >= lent.expiration:
        raise NotActive(f"It ended while the link was made, at {stamp(lent.expiration)}: it is not handed out.")
    details = {"session": lent.session_id, "link_expires_at": stamp(link.expires_at)}
    return Change(request, request).then(EventType.CONSOLE_OPENED, at=now, actor=principal.id, details=details)
