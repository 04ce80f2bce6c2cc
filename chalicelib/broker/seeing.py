"""Seeing: what of the record a principal may look at, and how much of it at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from chalicelib.broker.knowing import about, known
from chalicelib.broker.ports import Page, World
from chalicelib.core import approvals
from chalicelib.core.catalogue import BreakGlass, Catalogue, Role, Rule
from chalicelib.core.extension import extending
from chalicelib.core.ledger import Event, Recorded
from chalicelib.core.life import State, Status
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import NotEligible, NotFound
from chalicelib.core.request import Approval, Request, Session
from chalicelib.core.rules import Terms, glasses, lending_first, objection, ways_in


def admitting_today(catalogue: Catalogue, request: Request) -> tuple[Rule, ...]:
    """The rules whose approvals let the request's requester, as known when asking, have it by today's catalogue.

    One that asks for none, but lends in its hours or so much a day only, is none of them: what waits for approvals
    waits because no such rule lent at that time.
    """
    terms = Terms(request.role, request.duration, request.ticket)
    rules = _admitting(catalogue, request, request.requester, terms)
    return tuple(rule for rule in rules if rule.stages or not (rule.hours or rule.max_per_day))


def admitting_now(catalogue: Catalogue, request: Request, requester: Principal) -> tuple[Rule, ...]:
    """The rules that let the requester, as signed in now, use what was granted; their limits only shorten it."""
    return _admitting(catalogue, request, requester, Terms(request.role, None, request.ticket))


def having_a_say(catalogue: Catalogue, request: Request) -> tuple[Rule, ...]:
    """The rules whose approvers may see a request and take it away: today's, of an extension also its chain's."""
    ordinary = admitting_today(catalogue, replace(request, link=None)) if request.link else ()
    return (*admitting_today(catalogue, request), *ordinary)


def _admitting(catalogue: Catalogue, request: Request, requester: Principal, terms: Terms) -> tuple[Rule, ...]:
    role = catalogue.roles.get(request.role)
    if role is None or role.arn != request.role_arn:
        return ()
    rules = extending(ways_in(catalogue, requester, request.role), request.link)
    return tuple(rule for rule in rules if objection(rule, requester, terms) is None)


def may_see(catalogue: Catalogue, request: Request, principal: Principal) -> bool:
    """The requester, those who decided or reviewed, those whom a rule asks to, and auditors may."""
    if principal.id == request.requester.id or catalogue.auditors.includes(principal):
        return True
    if any(who.includes(principal) for who in request.reviewers) or (
        request.review and principal.id == request.review.by
    ):
        return True
    if principal.id == request.decided_by or any(principal.id == approval.by for approval in request.yeses):
        return True
    return approvals.may_decide(request, having_a_say(catalogue, request), principal) is None


def found(world: World, principal: Principal, request_id: str) -> Request:
    """The request. Raises NotFound where there is none, and in the same words where the principal may not see it."""
    return visible(world, principal, world.requests.get(request_id), request_id)


def _may_see(world: World, request: Request, principal: Principal) -> bool:
    if principal.id == request.requester.id:
        return True  # and no directory is asked, which an emergency could have to wait for
    return may_see(world.catalogue(), request, known(world, principal, about(request)))


def visible(world: World, principal: Principal, request: Request | None, request_id: str) -> Request:
    if request is None or not _may_see(world, request, principal):
        raise NotFound(f"There is no request {request_id!r}, or you may not see it.")
    return request


def story(world: World, principal: Principal, request_id: str) -> tuple[Request, tuple[Session, ...]]:
    """The request and its last 50 sessions. Raises NotFound."""
    known = world.requests.story(request_id)
    request = visible(world, principal, known[0] if known else None, request_id)
    return request, known[1] if known else ()


def history(world: World, principal: Principal, request_id: str, *, after: int, limit: int) -> Page[Event]:
    """The request's events, oldest first. Raises NotFound."""
    found(world, principal, request_id)
    return world.requests.events(request_id, after=after, limit=limit)


def day(world: World, principal: Principal, day: date, *, after: str | None, limit: int) -> Page[Recorded]:
    """Everybody's events of a day of UTC's, oldest first. Raises NotEligible for all but auditors."""
    if not world.catalogue().auditors.includes(known(world, principal)):
        raise NotEligible("Only auditors read everybody's events: [auditors] in the catalogue says who they are.")
    return world.requests.day(day, after=after, limit=limit)


def current(world: World, request: Request) -> Request:
    return as_shown(world.catalogue(), request, world.now())


def as_shown(catalogue: Catalogue, request: Request, now: datetime) -> Request:
    """The request as it is shown: while it waits, with the rule that lacks the fewest approvals today."""
    if request.status is not Status.PENDING:
        return request
    rules = admitting_today(catalogue, request)
    if not rules:
        return request
    rule = nearest(rules, request, request.approvals, now)
    return replace(request, rule=rule.name, stages=approvals.progress(rule, request.approvals))


def nearest(rules: Sequence[Rule], request: Request, given: Sequence[Approval], now: datetime) -> Rule:
    """The rule that lacks the fewest of these approvals, among those that lend first once the request could be used."""
    begins = max(now, request.window.starts_at) if request.window else now
    return approvals.nearest(lending_first(rules, begins), given)


MOST_LOOKED_AT = 100
ULID_LENGTH, ULID_TIME = 26, 10
"""Source: https://github.com/ulid/spec: 48 bits of time in milliseconds are the first ten characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What of a list is wanted. mine: asked by the caller; to_approve: waiting for the caller's yes or no."""

    mine: bool = False
    to_approve: bool = False
    state: State | None = None
    role: str | None = None
    requester: str | None = None


def listed(world: World, principal: Principal, filters: Filters, *, after: str | None, limit: int) -> Page[Request]:
    """The requests that the principal may see and asked for; a page may be empty and still have a next position.

    Newest first; what waits for an answer: the next to lapse first.
    """
    now = world.now()
    catalogue = world.catalogue()
    principal = known(world, principal)
    source = _source(world, principal, filters)

    def wanted(request: Request) -> bool:
        return (
            (filters.state is None or request.state(now) is filters.state)
            and (filters.role is None or request.role == filters.role)
            and (filters.requester is None or request.requester.id == filters.requester)
            and (not filters.to_approve or _waits_for(catalogue, request, principal, request.state(now)))
            and may_see(catalogue, request, principal)
        )

    found: list[Request] = []
    looked_at = 0
    while True:
        page = source(after, limit)
        looked_at += len(page.items)
        found += [request for request in page.items if wanted(request)]
        after = page.next
        if after is None or found or looked_at >= MOST_LOOKED_AT:
            break
    # A position is the last request that was looked at, which must not tell of one that may not be seen.
    if after is not None and not (page.items and wanted(page.items[-1])):
        after = coarse(after)
    return Page(tuple(current(world, request) for request in found), after)


def coarse(position: str) -> str:
    """A position that names no request: where those of the same instant begin (they may be looked at once more)."""
    instant, _, request_id = position.rpartition("#")
    return f"{instant}#" if instant else f"{request_id[:ULID_TIME]}{'Z' * (ULID_LENGTH - ULID_TIME)}"


def _source(world: World, principal: Principal, filters: Filters) -> Callable[[str | None, int], Page[Request]]:
    requester = principal.id if filters.mine else filters.requester
    if requester is not None:
        return lambda after, limit: world.requests.by_requester(requester, after=after, limit=limit)
    if filters.to_approve or filters.state is State.PENDING:
        return lambda after, limit: world.requests.waiting(now=world.now(), after=after, limit=limit)
    return lambda after, limit: world.requests.everything(after=after, limit=limit)


def _waits_for(catalogue: Catalogue, request: Request, principal: Principal, state: State) -> bool:
    rules = admitting_today(catalogue, request)
    if state is not State.PENDING or approvals.may_decide(request, rules, principal) is not None:
        return False
    keys = approvals.qualifies(rules, principal)
    yes = Approval(by=principal.id, at=request.created_at, comment=None, qualifies=keys, mfa=principal.mfa)
    already = any(approval.by == principal.id for approval in request.approvals)
    return not already and approvals.may_approve(request, rules, yes) is None


@dataclass(frozen=True, slots=True)
class Requestable:
    """A role that a principal may request, the rules that let them, and the terms of an emergency."""

    role: Role
    rules: tuple[Rule, ...]
    glass: BreakGlass | None


def requestable(world: World, principal: Principal, *, q: str, after: str | None, limit: int) -> Page[Requestable]:
    """The roles that the principal may request, by name; q: a part of the name or of the account's."""
    catalogue = world.catalogue()
    principal = known(world, principal)
    names = sorted(
        name
        for name, role in catalogue.roles.items()
        if (after is None or name > after) and (q in name or q in role.account.name or q in role.account.id)
    )
    items: list[Requestable] = []
    for name in names:
        item = _on_terms(catalogue, principal, name)
        if item is None:
            continue
        if len(items) == limit:
            return Page(tuple(items), items[-1].role.name)
        items.append(item)
    return Page(tuple(items), None)


def on_terms(world: World, principal: Principal, role: str) -> Requestable | None:
    """The role of that name, where the principal may request it."""
    return _on_terms(world.catalogue(), known(world, principal), role)


def _on_terms(catalogue: Catalogue, principal: Principal, name: str) -> Requestable | None:
    rules = ways_in(catalogue, principal, name)
    emergencies = glasses(catalogue, principal, name)
    if not rules and not emergencies:
        return None
    return Requestable(catalogue.roles[name], rules, emergencies[0][1] if emergencies else None)
