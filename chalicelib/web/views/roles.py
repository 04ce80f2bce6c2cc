"""Roles and their terms, as answers tell them."""

from __future__ import annotations

from typing import Any, Literal

from chalicelib.broker.asking import DryRun
from chalicelib.broker.seeing import Requestable
from chalicelib.core.catalogue import BreakGlass, Extensions, Rule
from chalicelib.web.views.out import Out, StageView


class ExtensionsView(Out):
    """How often in a row a request can be extended, and after which approvals ([]: at once)."""

    max: int
    stages: list[StageView]

    @classmethod
    def of(cls, extensions: Extensions) -> ExtensionsView:
        return cls(max=extensions.max, stages=StageView.unfilled(extensions.stages))


class TermsView(Out):
    """One rule's terms for a role: how long, after which approvals ([]: at once), in which hours (left out: always).

    max_per_day_seconds: how long you may hold the role by this rule in a day of UTC's; left out: days are not counted.
    """

    rule: str
    max_duration_seconds: int
    stages: list[StageView]
    mfa: bool
    ticket: str | None = None
    hours: str | None = None
    extensions: ExtensionsView | None = None
    max_per_day_seconds: int | None = None

    @classmethod
    def of(cls, rule: Rule) -> TermsView:
        optional: dict[str, Any] = {
            "ticket": rule.ticket,
            "hours": str(rule.hours) if rule.hours else None,
            "extensions": ExtensionsView.of(rule.extensions) if rule.extensions else None,
            "max_per_day_seconds": int(rule.max_per_day.total_seconds()) if rule.max_per_day else None,
        }
        return cls(
            rule=rule.name,
            max_duration_seconds=int(rule.max_duration.total_seconds()),
            stages=StageView.unfilled(rule.stages),
            mfa=rule.require_mfa,
            **{name: value for name, value in optional.items() if value is not None},
        )


class BreakGlassView(Out):
    """The terms of an emergency: at once, reviewed by somebody else within `review_within_seconds`."""

    max_duration_seconds: int
    review_within_seconds: int
    mfa: bool
    ticket: bool


class ScopeView(Out):
    """A scope and the regular expression that each of its parameters must match in full."""

    name: str
    parameters: dict[str, str]


class RoleView(Out):
    role: str
    account: str
    account_id: str
    role_arn: str
    require_scope: bool
    scopes: list[ScopeView]
    terms: list[TermsView]
    break_glass: BreakGlassView | None = None

    @classmethod
    def of(cls, item: Requestable) -> RoleView:
        role = item.role
        return cls(
            role=role.name,
            account=role.account.name,
            account_id=role.account.id,
            role_arn=role.arn,
            require_scope=role.require_scope,
            scopes=[ScopeView(name=s.name, parameters=dict(s.parameters)) for s in role.scopes.values()],
            terms=[TermsView.of(rule) for rule in item.rules],
            **({"break_glass": _glass(item.glass)} if item.glass else {}),
        )


def _glass(glass: BreakGlass) -> BreakGlassView:
    return BreakGlassView(
        max_duration_seconds=int(glass.max_duration.total_seconds()),
        review_within_seconds=int(glass.review_within.total_seconds()),
        mfa=glass.require_mfa,
        ticket=glass.require_ticket,
    )


class RoleList(Out):
    items: list[RoleView]
    next_cursor: str | None


class DryRunView(Out):
    would: Literal["auto-approved", "needs-approval", "break-glass", "not-eligible"]
    rule: str | None
    stages: list[StageView]
    max_duration_seconds: int | None
    session_policy: str | None
    why: list[str]

    @classmethod
    def of(cls, dry: DryRun) -> DryRunView:
        return cls(
            would=dry.would,  # type: ignore[arg-type]
            rule=dry.rule,
            stages=[StageView.of(stage) for stage in dry.stages],
            max_duration_seconds=int(dry.max_duration.total_seconds()) if dry.max_duration is not None else None,
            session_policy=dry.session_policy,
            why=list(dry.why),
        )
