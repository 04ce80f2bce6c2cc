"""Approvals: who may give one, and when they are enough.

An approval counts towards every rule that admits the request. Within a rule its stages are open side by side, and one
person counts in one stage only: stages are filled by a maximum matching of people to places, so that no order of clicks
can leave a request waiting that another order would have let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core.catalogue import Rule
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import MayNotApprove, Refusal
from chalicelib.core.request import Approval, Request, StageProgress


def progress(rule: Rule, approvals: Sequence[Approval]) -> tuple[StageProgress, ...]:
    """The stages of a rule with the people who fill them."""
    seats = _seated(rule, approvals)
    return tuple(
        StageProgress(stage.count, stage.who, tuple(approvals[giver].by for giver in sorted(seats[number])))
        for number, stage in enumerate(rule.stages)
    )


def lacking(rule: Rule, approvals: Sequence[Approval]) -> int:
    """How many approvals a rule still waits for."""
    seated = sum(len(givers) for givers in _seated(rule, approvals))
    return sum(stage.count for stage in rule.stages) - seated


def nearest(rules: Sequence[Rule], approvals: Sequence[Approval]) -> Rule:
    """The rule that lacks the fewest approvals; of equals that with the fewest stages, then the first by name.

    Of rules that ask for none, one that counts no days comes first.
    """
    return min(rules, key=lambda rule: (lacking(rule, approvals), len(rule.stages), bool(rule.max_per_day), rule.name))


def qualifies(rules: Sequence[Rule], principal: Principal) -> frozenset[str]:
    """The keys of all stages of these rules that the principal could fill."""
    return frozenset(stage.who.key for rule in rules for stage in rule.stages if stage.who.includes(principal))


def may_decide(request: Request, rules: Sequence[Rule], principal: Principal) -> Refusal | None:
    """Why the principal may not say yes or no to the request; None if nothing stands against it.

    rules: those that admit the request today.
    """
    if principal.id == request.requester.id:
        return MayNotApprove("This is your own request: somebody else has to decide on it.")
    if principal.kind is not Kind.HUMAN:
        return MayNotApprove("Only people decide on requests; you are signed in as a workload.")
    if not qualifies(rules, principal):
        return MayNotApprove("No rule asks you to decide on this request.")
    return None


def may_approve(request: Request, rules: Sequence[Rule], approval: Approval) -> Refusal | None:
    """Why one more approval would change nothing; None where it fills a place in some rule, or completes one.

    A rule may be full already: where the catalogue changed, or the approval shortens the ask to what the rule allows.
    """
    if _counts_in(request, rules, approval):
        return None
    if rule := lacks_mfa(request, rules, approval):
        return MayNotApprove(
            f"Rule {rule.name!r} asks for a second factor, also of those who approve: sign in with one and approve "
            "again."
        )
    names = ", ".join(sorted(repr(rule.name) for rule in rules))
    return MayNotApprove(
        f"The stages that you could approve, of rule {names}, are filled already; others have to approve the rest."
    )


def lacks_mfa(request: Request, rules: Sequence[Rule], approval: Approval) -> Rule | None:
    """The rule in which the approval would count if its giver had proved a second factor; None where it counts."""
    if approval.mfa or _counts_in(request, rules, approval):
        return None
    return _counts_in(request, rules, replace(approval, mfa=True))


def _counts_in(request: Request, rules: Sequence[Rule], approval: Approval) -> Rule | None:
    """The first rule in which one more approval fills a place, or which is full with it."""
    after = (*request.approvals, approval)
    counts = (rule for rule in rules if lacking(rule, after) in (0, lacking(rule, request.approvals) - 1))
    return next(counts, None)


def _seated(rule: Rule, approvals: Sequence[Approval]) -> list[list[int]]:
    """For each stage the approvals (by position) that fill it, as many as can be seated at once (Kuhn's algorithm).

    Where the rule asks for a second factor, those without one fill no place.
    """
    seats: list[list[int]] = [[] for _ in rule.stages]

    def seat(giver: int, tried: set[int]) -> bool:
        for number, stage in enumerate(rule.stages):
            if number in tried or stage.who.key not in approvals[giver].qualifies:
                continue
            tried.add(number)
            if len(seats[number]) < stage.count:
                seats[number].append(giver)
                return True
            for seated in seats[number]:
                if seat(seated, tried):
                    seats[number].remove(seated)
                    seats[number].append(giver)
                    return True
        return False

    for giver, approval in enumerate(approvals):
        if approval.mfa or not rule.require_mfa:
            seat(giver, set())
    return seats
