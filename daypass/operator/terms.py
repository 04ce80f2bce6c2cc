"""The terms of a rule in words, part by part, so that two rules' terms can be held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chalicelib.core.catalogue import BreakGlass, Extensions, Rule, Stage, Who
from chalicelib.core.times import spoken


def people(who: Who) -> str:
    """`group sre or sre-leads, workload, of issuer ci`; all that is said has to hold."""
    parts = [
        f"group {_or(sorted(who.groups))}" if who.groups else "",
        f"id {_or(who.ids)}" if who.ids else "",
        f"every {who.kind}" if who.kind and not (who.groups or who.ids) else f"a {who.kind}" if who.kind else "",
        f"of issuer {who.issuer}" if who.issuer else "",
    ]
    return ", ".join(filter(None, parts)) or "nobody"


def parts(rule: Rule) -> Mapping[str, str]:
    """What a rule asks for and lends, each part as a phrase; what makes no difference is empty."""
    return {
        "who": people(rule.who),
        "max_duration": f"up to {spoken(rule.max_duration)}",
        "approvals": _approvals(rule.stages),
        "mfa": "with a second factor" if rule.require_mfa else "",
        "ticket": f"with a ticket of the form {rule.ticket}" if rule.ticket else "",
        "hours": f"in its hours only, {rule.hours}" if rule.hours else "",
        "max_per_day": f"{spoken(rule.max_per_day)} a day at most" if rule.max_per_day else "",
        "extensions": _extensions(rule.extensions),
    }


def glass_parts(glass: BreakGlass) -> Mapping[str, str]:
    return {
        "who": people(glass.who),
        "max_duration": f"up to {spoken(glass.max_duration)}",
        "mfa": "with a second factor" if glass.require_mfa else "",
        "ticket": "with a ticket" if glass.require_ticket else "",
        "review": f"reviewed by {people(glass.reviewers)} within {spoken(glass.review_within)}",
    }


_WITHOUT = {
    "mfa": "without a second factor",
    "ticket": "without a ticket",
    "hours": "at any hour",
    "max_per_day": "any number of hours a day",
    "extensions": "never extended",
}


def told(terms: Mapping[str, str]) -> str:
    """All of the terms but for whom they are."""
    return ", ".join(phrase for part, phrase in terms.items() if phrase and part != "who")


def differences(terms: Mapping[str, str], others: Mapping[str, str]) -> Iterator[str]:
    """Part by part, what the terms are instead of the others."""
    for part, phrase in terms.items():
        if phrase != others[part]:
            yield f"{phrase or _WITHOUT[part]} instead of {others[part] or _WITHOUT[part]}"


def _approvals(stages: Sequence[Stage]) -> str:
    if not stages:
        return "without approval"
    return "after " + " and ".join(
        f"{stage.count} approval{'s' if stage.count > 1 else ''} of {people(stage.who)}" for stage in stages
    )


def _extensions(extensions: Extensions | None) -> str:
    if extensions is None:
        return ""
    times = f"{extensions.max} time{'s' if extensions.max > 1 else ''}"
    return f"extended up to {times} {_approvals(extensions.stages)}"


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)
