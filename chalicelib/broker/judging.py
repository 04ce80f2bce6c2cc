"""Judging again: by what a request may be used today, and how long.

Asked at every issuance: what was approved once is lent only while today's catalogue and groups let it be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chalicelib.broker.seeing import admitting_now
from chalicelib.core import approvals
from chalicelib.core.catalogue import Catalogue, Role, Rule
from chalicelib.core.life import Window
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import Invalid, NotActive, NotEligible
from chalicelib.core.request import Request
from chalicelib.core.rules import Terms, emergency, refuse_where_frozen
from chalicelib.core.session import as_asked, long_enough
from chalicelib.core.times import stamp


@dataclass(frozen=True, slots=True)
class Way:
    """The role that is lent, the rule that lets it be today, the window, and where the session's wall stands in it."""

    role: Role
    rule: str
    window: Window
    ends_at: datetime


def way_in(catalogue: Catalogue, request: Request, principal: Principal, now: datetime) -> Way:
    """By what the request may be used today. Raises NotEligible, and NotActive outside a rule's hours or limits."""
    way = (_emergency if request.break_glass else _ordinary)(catalogue, request, principal, now)
    if not as_asked(way.role, request):
        raise NotEligible("The role or its scope was changed since this was asked for: ask again.")
    if now >= way.ends_at:
        raise NotActive(f"Rule {way.rule!r} allows less than it did: this access ended at {stamp(way.ends_at)}.")
    _outlived_by_nothing(way)
    return way


def _outlived_by_nothing(way: Way) -> None:
    """Raises NotEligible where today's limits leave less than a role needs whose sessions log in elsewhere."""
    try:
        long_enough(way.role, way.ends_at - way.window.starts_at)
    except Invalid as refusal:
        raise NotEligible(f"Today's rule leaves too little: {refusal.detail}") from None


def _emergency(catalogue: Catalogue, request: Request, principal: Principal, now: datetime) -> Way:
    """Neither hours nor a freeze stand in an emergency's way."""
    found = emergency(catalogue, principal, Terms(request.role, None, request.ticket))
    window = request.window or Window(now, now + min(request.duration, found.max_duration))
    return Way(found.role, found.rule, window, min(window.ends_at, window.starts_at + found.max_duration))


def _ordinary(catalogue: Catalogue, request: Request, principal: Principal, now: datetime) -> Way:
    """By the rules that admit the request today and are filled by its approvals."""
    refuse_where_frozen(catalogue)
    rules = admitting_now(catalogue, request, principal)
    filled = [rule for rule in rules if approvals.lacking(rule, request.approvals) == 0]
    if not filled:
        raise NotEligible("By today's catalogue and your groups nothing lets you use this request any more.")
    rule = _longest(filled, request, now)
    return Way(catalogue.roles[request.role], rule.name, _window(rule, request, now), _ends_at(rule, request, now))


def _longest(rules: list[Rule], request: Request, now: datetime) -> Rule:
    """Of the rules that lend at this hour, the one under which the access ends last. Raises NotActive: none does."""
    lending = [rule for rule in rules if rule.hours is None or rule.hours.closing(now)]
    if not lending:
        rule = max(rules, key=lambda rule: (rule.max_duration, rule.name))
        raise NotActive(f"Rule {rule.name!r} lends in its hours only: {rule.hours}.")
    return max(lending, key=lambda rule: (_ends_at(rule, request, now), rule.max_duration, rule.name))


def _window(rule: Rule, request: Request, now: datetime) -> Window:
    return request.window or Window(now, now + min(request.duration, rule.max_duration))


def _ends_at(rule: Rule, request: Request, now: datetime) -> datetime:
    """Where a session under the rule meets its wall: at the window's end, or before it where its hours end today."""
    window = _window(rule, request, now)
    latest = min(window.ends_at, window.starts_at + rule.max_duration)
    closing = rule.hours.closing(now) if rule.hours else None
    return min(latest, closing) if closing else latest
