"""Judging again: by what a request may be used today, and how long.

Asked at every issuance: what was approved once is lent only while today's catalogue and groups let it be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.broker.ports import DayIsUsed
from chalicelib.broker.seeing import admitting_now
from chalicelib.core import approvals
from chalicelib.core.catalogue import Catalogue, Role, Rule
from chalicelib.core.extension import onward
from chalicelib.core.life import Expired, State, Window
from chalicelib.core.principal import Principal
from chalicelib.core.quotas import Charge, held
from chalicelib.core.refusals import Invalid, NotActive, NotEligible, NotYours, Refusal, TooManySessions
from chalicelib.core.request import Request
from chalicelib.core.rules import Terms, decide, emergency, lending_first, lends_from, refuse_where_halted
from chalicelib.core.session import as_asked, long_enough
from chalicelib.core.times import spoken, stamp

A_MINUTE = timedelta(minutes=1)
MOST_A_MINUTE = 10
MOST_IN_ALL = 500
"""Sessions of one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The role that is lent, the rule that lets it be today and how long, the window, and the session's wall in it.

    charge: what the window takes out of the requester's day, where the rule counts days and did not count it yet.
    """

    role: Role
    rule: str
    max_duration: timedelta
    window: Window
    ends_at: datetime
    charge: Charge | None = None


def way_in(
    catalogue: Catalogue, request: Request, principal: Principal, now: datetime, used_up: Sequence[DayIsUsed] = ()
) -> Way:
    """By what the request may be used today, other than by what is used up.

    Raises NotYours, NotEligible, CatalogueStale, NotActive (outside the window, a rule's hours or its limits too),
    QuotaUsed and TooManySessions.
    """
    usable(request, principal, now)
    _sparing(request, now)
    if request.break_glass:
        way = _emergency(catalogue, request, principal, now)
    else:
        way = _ordinary(catalogue, request, principal, now, used_up)
    if not as_asked(way.role, request):
        chosen = f" or its scope {request.scope.name!r}" if request.scope else ""
        raise NotEligible(f"The role {request.role!r}{chosen} was changed since this was asked for: ask again.")
    if now >= way.ends_at:
        raise NotActive(
            f"Rule {way.rule!r} allows less than it did, {spoken(way.max_duration)}: "
            f"this access ended at {stamp(way.ends_at)}."
        )
    _outlived_by_nothing(way)
    return way


def usable(request: Request, principal: Principal, now: datetime) -> None:
    """Raises NotYours or NotActive where the principal cannot have a session of the request now, whatever rules say."""
    if request.requester.id != principal.id:
        raise NotYours("Only the person who asked receives the credentials.")
    state = request.state(now)
    if state in (State.READY, State.ACTIVE):
        return
    if state is State.PENDING:
        due = sum(stage.count - len(stage.approved_by) for stage in request.stages)
        raise NotActive(f"This request is not approved yet: rule {request.rule!r} asks for {due} more.")
    if state is State.SCHEDULED and request.window is not None:
        raise NotActive(f"This access begins at {stamp(request.window.starts_at)}.")
    if state is State.ENDED and request.window is not None:
        raise NotActive(f"This access ended at {stamp(request.window.ends_at)}. Ask again.{onward(request)}")
    if request.expired_because(now) is Expired.UNUSED and request.use_by is not None:
        raise NotActive(f"The approval was not used by {stamp(request.use_by)} and has lapsed. Ask again.")
    raise NotActive(f"The request is {state}: it gives no access any more. Ask again.{onward(request)}")


def _sparing(request: Request, now: datetime) -> None:
    if request.sessions_begun >= MOST_IN_ALL:
        raise TooManySessions(
            f"{MOST_IN_ALL} sessions were begun for this request, as many as there may be: ask again for more.", None
        )
    oldest = request.last_begun[0] if len(request.last_begun) == MOST_A_MINUTE else None
    if oldest is not None and now < oldest + A_MINUTE:
        wait = oldest + A_MINUTE - now
        raise TooManySessions(
            f"{MOST_A_MINUTE} sessions were begun within a minute, as many as there may be: "
            f"wait {spoken(wait)}, or use one of those.",
            wait,
        )


def with_room(rules: Sequence[Rule], used_up: Sequence[DayIsUsed]) -> list[Rule]:
    """The rules that are not used up. Raises QuotaUsed where all are: by the one of which most is left."""
    closed = {used.charge.rule for used in used_up}
    found = [rule for rule in rules if rule.name not in closed]
    if not found:
        raise max(used_up, key=lambda used: (used.charge.limit - used.used, used.charge.rule)).refusal()
    return found


def _outlived_by_nothing(way: Way) -> None:
    """Raises NotEligible where today's limits leave less than a role needs whose sessions log in elsewhere."""
    try:
        long_enough(way.role, way.ends_at - way.window.starts_at)
    except Invalid as refusal:
        raise NotEligible(f"Rule {way.rule!r} leaves too little today: {refusal.detail}") from None


def _emergency(catalogue: Catalogue, request: Request, principal: Principal, now: datetime) -> Way:
    """Neither hours nor a freeze stand in an emergency's way, and it takes nothing out of a rule's day."""
    found = emergency(catalogue, principal, Terms(request.role, None, request.ticket))
    window = request.window or Window(now, now + min(request.duration, found.max_duration))
    return Way(
        role=found.role,
        rule=found.rule,
        max_duration=found.max_duration,
        window=window,
        ends_at=min(window.ends_at, window.starts_at + found.max_duration),
    )


def _ordinary(
    catalogue: Catalogue, request: Request, principal: Principal, now: datetime, used_up: Sequence[DayIsUsed]
) -> Way:
    """By the rules that admit the request today and are filled by its approvals."""
    refuse_where_halted(catalogue)
    rules = admitting_now(catalogue, request, principal)
    filled = [rule for rule in rules if approvals.lacking(rule, request.approvals) == 0]
    if not filled:
        raise _no_way(catalogue, request, principal, rules)
    rule = _longest(filled, request, now, used_up)
    return Way(
        role=catalogue.roles[request.role],
        rule=rule.name,
        max_duration=rule.max_duration,
        window=_window(rule, request, now),
        ends_at=_ends_at(rule, request, now),
        charge=_charge(rule, request, now),
    )


def _no_way(catalogue: Catalogue, request: Request, principal: Principal, rules: Sequence[Rule]) -> NotEligible:
    """Why no rule lets the request be used, of which these admit it but lack approvals."""
    if rules:
        rule = approvals.nearest(rules, request.approvals)
        due = approvals.lacking(rule, request.approvals)
        wanted = f"{due} approval{'s' if due > 1 else ''}"
        return NotEligible(f"Rule {rule.name!r} asks for {wanted} by now that this request was not given: ask again.")
    try:
        decide(catalogue, principal, Terms(request.role, None, request.ticket, request.link))
    except Refusal as refusal:
        return NotEligible(f"By today's catalogue and your groups nothing lets you use this request: {refusal.detail}")
    return NotEligible(f"The role {request.role!r} was changed since this was asked for: ask again.")


def _longest(rules: Sequence[Rule], request: Request, now: datetime, used_up: Sequence[DayIsUsed]) -> Rule:
    """Of the rules that lend at this hour and have room, the one under which the access ends last.

    Of equals one that takes nothing out of a day. Raises NotActive: none lends now; QuotaUsed: none has room.
    """
    lending = lending_first(rules, now)
    if (opening := lends_from(lending[0], now)) > now:
        raise _closed(min(lending, key=lambda rule: rule.name), opening, request)
    still_used_up = [used for used in used_up if used.charge.rule not in request.charged]
    return max(
        with_room(lending, still_used_up),
        key=lambda rule: (
            _ends_at(rule, request, now),
            rule.max_per_day is None or rule.name in request.charged,
            rule.max_duration,
            rule.name,
        ),
    )


def _closed(rule: Rule, opening: datetime, request: Request) -> NotActive:
    over = request.window.ends_at if request.window else request.use_by
    too_late = " That is too late for this request: ask again." if over and over <= opening else ""
    return NotActive(f"Rule {rule.name!r} lends in its hours only, {rule.hours}: next from {stamp(opening)}.{too_late}")


def _charge(rule: Rule, request: Request, now: datetime) -> Charge | None:
    """What is left of the window under the rule, out of the day of its first session by the rule."""
    if rule.name in request.charged:
        return None
    window = _window(rule, request, now)
    left = _latest(rule, window) - max(now, window.starts_at)
    return held(request.requester.id, rule, request.role, left, now)


def _window(rule: Rule, request: Request, now: datetime) -> Window:
    return request.window or Window(now, now + min(request.duration, rule.max_duration))


def _latest(rule: Rule, window: Window) -> datetime:
    return min(window.ends_at, window.starts_at + rule.max_duration)


def _ends_at(rule: Rule, request: Request, now: datetime) -> datetime:
    """Where a session under the rule meets its wall: at the window's end, or before it where its hours end today."""
    latest = _latest(rule, _window(rule, request, now))
    closing = rule.hours.closing(now) if rule.hours else None
    return min(latest, closing) if closing else latest
