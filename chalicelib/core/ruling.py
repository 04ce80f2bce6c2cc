"""The ruling on an ask: what the catalogue's rules make of it, before anything is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.core import approvals
from chalicelib.core.catalogue import Catalogue, Role, Rule
from chalicelib.core.principal import Principal
from chalicelib.core.request import StageProgress
from chalicelib.core.rules import Emergency, Terms, decide, emergency


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """An ask that the rules admit, and the name of the deciding one.

    emergency: where it is one; then there are no stages. ordinary: else the rule, as it is for the ask.
    """

    role: Role
    rule: str
    stages: tuple[StageProgress, ...]
    max_duration: timedelta
    ordinary: Rule | None = None
    emergency: Emergency | None = None

    @property
    def would(self) -> str:
        if self.emergency:
            return "break-glass"
        return "needs-approval" if self.stages else "auto-approved"


def ruling(
    catalogue: Catalogue,
    principal: Principal,
    terms: Terms,
    *,
    break_glass: bool,
    among: Callable[[Sequence[Rule]], Sequence[Rule]] = lambda rules: rules,
) -> Ruling:
    """What becomes of the ask. Raises NotEligible, TooLong, and Invalid where a ticket is missing.

    among: those of the rules that admit it which may decide, one at least.
    """
    if break_glass:
        way = emergency(catalogue, principal, terms)
        return Ruling(role=way.role, rule=way.rule, stages=(), max_duration=way.max_duration, emergency=way)
    decision = decide(catalogue, principal, terms)
    rule = approvals.nearest(among(decision.rules), ())
    return Ruling(
        role=decision.role,
        rule=rule.name,
        stages=approvals.progress(rule, ()),
        max_duration=max(each.max_duration for each in decision.rules),
        ordinary=rule,
    )
