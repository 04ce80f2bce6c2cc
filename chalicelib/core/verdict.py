"""The verdict on an ask, with all that led to it: for operators, who may see every rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.catalogue import Catalogue, Effect, Role, Rule
from chalicelib.core.policy import with_wall
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import Refusal
from chalicelib.core.request import ScopeChoice
from chalicelib.core.rules import Considered, Terms, considered, explain, lending_first, lends_from, not_eligible
from chalicelib.core.ruling import Ruling, ruling
from chalicelib.core.session import long_enough, permissions
from chalicelib.core.times import spoken


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What would become of an ask, and what every rule that covers the role says to it.

    would: a word of the dry run, or of the refusal; why: in a sentence. ruling: None where it is refused.
    session_policy: what the scope makes of it. lends_from: the first instant at which credentials could be had where
    nobody has to approve; None where it is refused, and while the catalogue is frozen but for emergencies.
    """

    would: str
    why: str
    considered: tuple[Considered, ...]
    ruling: Ruling | None = None
    session_policy: str | None = None
    lends_from: datetime | None = None


def verdict(
    catalogue: Catalogue,
    principal: Principal,
    terms: Terms,
    at: datetime,
    *,
    break_glass: bool = False,
    scope: ScopeChoice | None = None,
) -> Verdict:
    """What would become of the ask, were it made `at` that instant, whatever was asked for before it.

    A role that is lent with a scope only may be asked about without one: then what is left is to choose one.
    """
    looked_at = _in_an_emergency if break_glass else explain
    told = looked_at(catalogue, principal, terms, at)
    try:
        found = ruling(
            catalogue, principal, terms, break_glass=break_glass, among=lambda rules: lending_first(rules, at)
        )
        policy = _narrowed(found.role, terms, scope, at)
    except Refusal as refusal:
        return Verdict(would=refusal.slug, why=_why_not(refusal, terms, told), considered=told)
    return Verdict(
        would=found.would,
        why=f"Rule {found.rule!r} decides.",
        considered=told,
        ruling=found,
        session_policy=policy,
        lends_from=_lends_from(catalogue, found, at),
    )


def _why_not(refusal: Refusal, terms: Terms, told: tuple[Considered, ...]) -> str:
    """What the caller is not told: whether it is a deny, or that no rule is for them."""
    if denies := [each.why for each in told if each.matches and each.rule.effect is Effect.DENY]:
        return " ".join(denies)
    return "No rule gives it to this caller." if refusal.detail == not_eligible(terms.role).detail else refusal.detail


def _lends_from(catalogue: Catalogue, found: Ruling, at: datetime) -> datetime | None:
    if found.ordinary is None:
        return at
    return None if catalogue.frozen else lends_from(found.ordinary, at)


def _narrowed(role: Role, terms: Terms, scope: ScopeChoice | None, at: datetime) -> str | None:
    """Raises Invalid where the scope, or its length, is none that STS would take."""
    if terms.duration is not None:
        long_enough(role, terms.duration)
    if scope is None:
        return None
    narrowed = permissions(role, scope, None)
    with_wall(narrowed, ends_at=at, chaining=role.chaining)
    return narrowed


def _in_an_emergency(catalogue: Catalogue, principal: Principal, terms: Terms, at: datetime) -> tuple[Considered, ...]:
    """What every rule that covers the role says to breaking the glass, in the file's order."""
    return tuple(_glass(rule, principal, terms, at) for rule in catalogue.rules_about(terms.role))


def _glass(rule: Rule, principal: Principal, terms: Terms, at: datetime) -> Considered:
    if rule.effect is Effect.DENY:
        return considered(rule, principal, terms, at, frozen=False)
    glass = rule.break_glass
    if glass is None:
        return Considered(rule, False, f"{rule.name!r} lets nobody break the glass.")
    lacking = [*glass.who.lacking(principal), *([] if principal.kind is Kind.HUMAN else ["is for people alone"])]
    if lacking or glass.who.is_empty():
        why = " and ".join(lacking) or "is for nobody"
        return Considered(rule, False, f"{rule.name!r} does not let this caller break the glass: it {why}.")
    wanted = " and ".join([*["a second factor"] * glass.require_mfa, *["a ticket"] * glass.require_ticket])
    terms_of_it = f"{f' with {wanted}' if wanted else ''}, up to {spoken(glass.max_duration)}"
    return Considered(rule, True, f"{rule.name!r} lets this caller break the glass{terms_of_it}.")
