"""Reach: who could have a role, by which rules, and whom the denies stop, as far as the catalogue's own words tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.core.catalogue import Catalogue, Effect, Rule, Who
from chalicelib.core.overlap import apart, within
from chalicelib.core.principal import Kind, Principal


class How(StrEnum):
    AUTO = "auto"
    APPROVAL = "approval"
    BREAK_GLASS = "break-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to a role: for whom the rule opens it, and the denies that stop some of them."""

    rule: Rule
    how: How
    who: Who
    denies: tuple[Rule, ...]

    def admits(self, principal: Principal) -> bool:
        """Whether the principal gets in by it, with a second factor, ticket and duration as the rule wants them."""
        return self.who.includes(principal) and not any(deny.concerns(principal) for deny in self.denies)


def ways(catalogue: Catalogue, role_name: str) -> tuple[Way, ...]:
    """All ways to the role, in the file's order; those on which denies stop everybody are none."""
    if role_name not in catalogue.roles:
        return ()
    about = catalogue.rules_about(role_name)
    denies = tuple(rule for rule in about if rule.effect is Effect.DENY)
    return tuple(
        Way(rule=rule, how=how, who=who, denies=tuple(deny for deny in denies if not apart(who, deny.who)))
        for rule in about
        for how, who in _opened(rule)
        if not any(within(who, deny.who) for deny in denies)
    )


def _opened(rule: Rule) -> Iterator[tuple[How, Who]]:
    """For whom a rule opens which ways. Only people break the glass."""
    if rule.effect is Effect.DENY:
        return
    if not rule.who.is_empty():
        yield How.APPROVAL if rule.stages else How.AUTO, rule.who
    glass = rule.break_glass
    if glass and not glass.who.is_empty() and glass.who.kind is not Kind.WORKLOAD:
        yield How.BREAK_GLASS, replace(glass.who, kind=Kind.HUMAN)
