"""Deciding: which rules let a principal have a role, and why the others do not.

Deny beats allow; the order of rules does not matter; every allowing rule that admits an ask is a way in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.core import extension
from chalicelib.core.catalogue import BreakGlass, Catalogue, Effect, Role, Rule, Who
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import CatalogueStale, FieldError, Invalid, NotEligible, Refusal, TooLong
from chalicelib.core.request import Link
from chalicelib.core.times import spoken, stamp

FROZEN = "The catalogue is frozen: nothing is approved or lent until `freeze` is taken out of it."
IN_DOUBT = "Until it is seen again nothing is approved or lent but in an emergency; the log says why it is not."


@dataclass(frozen=True, slots=True)
class Terms:
    """What of an ask the rules judge. duration: None where only the way in is in question, as at an issuance.

    link: of an extension.
    """

    role: str
    duration: timedelta | None
    ticket: str | None
    link: Link | None = None


class Objection(StrEnum):
    """Why a rule that includes the principal and covers the role does not admit the ask."""

    MFA = "mfa"
    TICKET = "ticket"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Decision:
    """The role, and the allowing rules that admit the ask, one at least; of an extension as they are for that."""

    role: Role
    rules: tuple[Rule, ...]


def decide(catalogue: Catalogue, principal: Principal, terms: Terms) -> Decision:
    """The ways in that the catalogue gives the principal.

    Raises NotEligible (the same for an unknown role, a forbidden one and a denied one; also where a second factor is
    missing, or no rule extends so far), Invalid (a ticket is missing or of the wrong form) and TooLong (naming the
    longest that is allowed).
    """
    role, allowing = _allowing(catalogue, principal, terms.role)
    rules = extension.extending(allowing, terms.link)
    if terms.link and not rules:
        raise extension.refused(allowing, terms.link)
    objections = {rule.name: objection(rule, principal, terms) for rule in rules}
    admitting = tuple(rule for rule in rules if objections[rule.name] is None)
    if not admitting:
        raise _nearest(rules, objections, terms)
    return Decision(role, admitting)


def _allowing(catalogue: Catalogue, principal: Principal, role_name: str) -> tuple[Role, tuple[Rule, ...]]:
    role = catalogue.roles.get(role_name)
    rules = catalogue.rules_for(principal, role_name) if role else ()
    if role is None or not rules or any(rule.effect is Effect.DENY for rule in rules):
        raise not_eligible(role_name)
    return role, rules


@dataclass(frozen=True, slots=True)
class Emergency:
    """How the glass may be broken: the deciding rule, and who reviews it afterwards and until when."""

    role: Role
    rule: str
    max_duration: timedelta
    reviewers: tuple[Who, ...]
    review_within: timedelta


def emergency(catalogue: Catalogue, principal: Principal, terms: Terms) -> Emergency:
    """The way in for an emergency: of several the longest decides (of equals the first by name); all reviewers count.

    Deny rules hold, by the groups that the principal comes with: nobody asks a directory in an emergency. Approvals and
    the rule's own ticket and `who` do not. Raises what `decide` raises.
    """
    ways = glasses(catalogue, principal, terms.role)
    if not ways:
        raise not_eligible(terms.role)
    rule, glass = ways[0]
    if glass.require_mfa and not principal.mfa:
        raise NotEligible(f"Breaking the glass by rule {rule.name!r} needs a second factor: sign in with one.")
    if glass.require_ticket and terms.ticket is None:
        message = f"rule {rule.name!r} asks for a ticket, also in an emergency"
        raise Invalid(f"ticket: {message}.", (FieldError("ticket", message),))
    if terms.duration is not None and terms.duration > glass.max_duration:
        asked, allowed = spoken(terms.duration), spoken(glass.max_duration)
        raise TooLong(f"{asked} asked, {allowed} in an emergency allowed by rule {rule.name!r}.")
    reviewers = tuple(dict.fromkeys(each.reviewers for _, each in ways))
    return Emergency(catalogue.roles[terms.role], rule.name, glass.max_duration, reviewers, glass.review_within)


def glasses(catalogue: Catalogue, principal: Principal, role_name: str) -> tuple[tuple[Rule, BreakGlass], ...]:
    """The rules by which the principal may break the glass for the role, the deciding one first; none where denied."""
    rules = catalogue.rules_for(principal, role_name)
    if principal.kind is not Kind.HUMAN or role_name not in catalogue.roles:
        return ()
    if any(rule.effect is Effect.DENY for rule in rules):
        return ()
    found = [(rule, rule.break_glass) for rule in catalogue.emergencies_for(principal, role_name) if rule.break_glass]
    return tuple(sorted(found, key=lambda way: (-way[1].max_duration, way[0].name)))


def not_eligible(role_name: str) -> NotEligible:
    return NotEligible(
        f"You may not request {role_name!r}: either there is no such role or no rule gives it to you. "
        "GET /v1/roles lists those you may request."
    )


def refuse_where_halted(catalogue: Catalogue) -> None:
    """Raises NotEligible where the catalogue is frozen, CatalogueStale where it may not be today's any more.

    Asked before anything is approved or lent, but for emergencies.
    """
    if catalogue.frozen:
        raise NotEligible(f"{FROZEN} You may ask.")
    if doubt := in_doubt(catalogue):
        raise CatalogueStale(doubt)


def in_doubt(catalogue: Catalogue) -> str | None:
    """Why the catalogue may not be today's any more, and what that means; None where it is today's."""
    return catalogue.doubt and f"{catalogue.doubt} {IN_DOUBT}"


def ways_in(catalogue: Catalogue, principal: Principal, role_name: str) -> tuple[Rule, ...]:
    """The allowing rules that include the principal and cover the role, whatever they ask for; none where denied."""
    try:
        return _allowing(catalogue, principal, role_name)[1]
    except NotEligible:
        return ()


def lending_first(rules: Sequence[Rule], at: datetime) -> list[Rule]:
    """Those of the rules that lend first from that instant on: at once, where any does.

    A rule that is closed must not stand in for one that lends, only because it asks for fewer approvals.
    """
    begins = {rule.name: lends_from(rule, at) for rule in rules}
    first = min(begins.values())
    return [rule for rule in rules if begins[rule.name] == first]


def lends_from(rule: Rule, at: datetime) -> datetime:
    """The first instant from `at` on at which the rule's hours let it lend."""
    return at if rule.hours is None or rule.hours.closing(at) else rule.hours.opening(at)


def objection(rule: Rule, principal: Principal, terms: Terms) -> Objection | None:
    """The first thing of the ask that the rule does not accept, given that it is for the principal and the role."""
    return next(objections(rule, principal, terms), None)


def objections(rule: Rule, principal: Principal, terms: Terms) -> Iterator[Objection]:
    """Everything of the ask that the rule does not accept."""
    if rule.require_mfa and not principal.mfa:
        yield Objection.MFA
    if rule.ticket is not None and not ticket_fits(rule.ticket, terms.ticket):
        yield Objection.TICKET
    if terms.duration is not None and terms.duration > rule.max_duration:
        yield Objection.DURATION


def ticket_fits(pattern: str, ticket: str | None) -> bool:
    return ticket is not None and re.fullmatch(pattern, ticket, re.ASCII) is not None


def _nearest(rules: Iterable[Rule], objections: dict[str, Objection | None], terms: Terms) -> Refusal:
    """The refusal that the caller can mend with the least: a shorter duration, then a ticket, then a second factor."""
    longest_first = sorted(rules, key=lambda rule: (-rule.max_duration, rule.name))
    by_objection = {objections[rule.name]: rule for rule in reversed(longest_first)}
    if rule := by_objection.get(Objection.DURATION):
        assert terms.duration is not None
        more = " for this extension" if terms.link else ""
        return TooLong(
            f"{spoken(terms.duration)} asked, {spoken(rule.max_duration)} allowed{more} by rule {rule.name!r}."
        )
    if rule := by_objection.get(Objection.TICKET):
        message = f"rule {rule.name!r} asks for a ticket of the form {rule.ticket}"
        return Invalid(f"A ticket is missing or of the wrong form: {message}.", (FieldError("ticket", message),))
    rule = by_objection[Objection.MFA]
    return NotEligible(f"Rule {rule.name!r} asks for a second factor: sign in with one and ask again.")


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule and what became of it: whether it admits the ask (or denies it), and why in words."""

    rule: Rule
    matches: bool
    why: str


def explain(catalogue: Catalogue, principal: Principal, terms: Terms, at: datetime) -> tuple[Considered, ...]:
    """What every rule that covers the role says to the ask, in the file's order. For operators: it shows all rules.

    at: when the access would be used; hours are told as they are then.
    """
    return tuple(
        considered(rule, principal, terms, at, frozen=catalogue.frozen) for rule in catalogue.rules_about(terms.role)
    )


def considered(rule: Rule, principal: Principal, terms: Terms, at: datetime, *, frozen: bool) -> Considered:
    """What one rule that covers the role says to the ask. at, frozen: as for `explain`."""
    if not rule.concerns(principal):
        lacking = " and ".join(rule.who.lacking(principal)) or "is for nobody"
        return Considered(rule, False, f"{rule.name!r} is not for this caller: it {lacking}.")
    if rule.effect is Effect.DENY:
        return Considered(rule, True, f"{rule.name!r} denies this, whatever other rules allow.")
    if terms.link:
        if hindrance := extension.hindrance(rule, terms.link):
            return Considered(rule, False, hindrance)
        [rule] = extension.extending([rule], terms.link)
    found = tuple(objections(rule, principal, terms))
    if found:
        return Considered(rule, False, " ".join(_objected(rule, each, terms) for each in found))
    return Considered(rule, True, " ".join([_admitted(rule), *_guards(rule, at), *([FROZEN] if frozen else [])]))


def _guards(rule: Rule, at: datetime) -> Iterator[str]:
    """What bounds the lending of a rule that admits an ask, beside its own length."""
    if rule.max_per_day is not None:
        yield f"It lends {spoken(rule.max_per_day)} a day (UTC) of the same role at most."
    if rule.hours is not None:
        closing = rule.hours.closing(at)
        when = f"until {stamp(closing)}" if closing else f"next from {stamp(rule.hours.opening(at))}"
        yield f"It lends in its hours only, {rule.hours}: {when}."


def _objected(rule: Rule, found: Objection, terms: Terms) -> str:
    match found:
        case Objection.MFA:
            return f"{rule.name!r} asks for a second factor."
        case Objection.TICKET:
            return f"{rule.name!r} asks for a ticket of the form {rule.ticket}."
        case Objection.DURATION:
            assert terms.duration is not None
            return f"{rule.name!r} allows {spoken(rule.max_duration)}, {spoken(terms.duration)} asked."


def _admitted(rule: Rule) -> str:
    due = sum(stage.count for stage in rule.stages)
    approvals = f"after {due} approval{'s' if due > 1 else ''}" if due else "without an approval"
    return f"{rule.name!r} admits this {approvals}, up to {spoken(rule.max_duration)}."
