"""Requests, as answers tell them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from chalicelib.core.life import Expired, State
from chalicelib.core.request import (
    Approval,
    Covers,
    Deny,
    Request,
    Review,
    Revocation,
    Session,
    SessionStatus,
    Verdict,
)
from chalicelib.web.bodies import ScopeBody
from chalicelib.web.views.out import Instant, Out, StageView


class ApprovalView(Out):
    """One yes. mfa: false where no second factor was proved; then it counts only where the rule asks for none."""

    by: str
    at: Instant
    comment: str | None
    mfa: bool = True

    @classmethod
    def of(cls, approval: Approval) -> ApprovalView:
        without = {} if approval.mfa else {"mfa": False}
        return cls(by=approval.by, at=approval.at, comment=approval.comment, **without)


class SessionView(Out):
    """One session that was handed out."""

    id: str
    session_name: str
    access_key_id: str | None = None
    issued_at: Instant
    expires_at: Instant


class ReviewView(Out):
    verdict: Verdict
    by: str
    at: Instant
    comment: str

    @classmethod
    def of(cls, review: Review) -> ReviewView:
        return cls(verdict=review.verdict, by=review.by, at=review.at, comment=review.comment)


class DenyView(Out):
    """The deny at one role: when AWS took it, or why it could not be written; neither while that is not known."""

    role_arn: str
    written_at: Instant | None = None
    covers: Covers | None = Field(
        default=None,
        description="Whose sessions at the role it cuts, once written: the request's; or, where the role's inline "
        "policies are nearly full, all that the person, or everybody, had been lent there by then.",
    )
    error: str | None = None
    removed_at: Instant | None = Field(default=None, description="When it was taken away: its sessions were over.")

    @classmethod
    def of(cls, deny: Deny) -> DenyView:
        told = {
            "written_at": deny.written_at,
            "covers": deny.covers if deny.written_at else None,
            "error": deny.error,
            "removed_at": deny.removed_at,
        }
        return cls(role_arn=deny.role_arn, **{name: value for name, value in told.items() if value})  # type: ignore[arg-type]


class RevocationView(Out):
    """How live sessions are cut. AWS takes up to minutes to apply a deny everywhere once it is written.

    not_covered: roles that the sessions may have gone on to, which no deny reaches.
    """

    stopped_at: Instant
    denies: list[DenyView]
    not_covered: list[str]

    @classmethod
    def of(cls, revocation: Revocation) -> RevocationView:
        return cls(
            stopped_at=revocation.stopped_at,
            denies=[DenyView.of(deny) for deny in revocation.denies],
            not_covered=list(revocation.not_covered),
        )


class RequestSummary(Out):
    """A request as lists show it: without policy and sessions."""

    id: str
    state: State
    expired_because: Expired | None = None
    requester: str
    role: str
    account_id: str
    account: str
    role_arn: str
    duration_seconds: int
    reason: str
    ticket: str | None
    scope: ScopeBody | None
    break_glass: bool
    rule: str
    stages: list[StageView]
    approvals: list[ApprovalView]
    decided_by: str | None = None
    decision_comment: str | None = None
    created_at: Instant
    answer_by: Instant
    use_by: Instant | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    review_by: Instant | None = None
    escalated_because: str | None = None
    review: ReviewView | None = None
    extends: str | None = Field(default=None, description="The request that it goes on from.")
    extended_by: str | None = Field(default=None, description="The newest request that goes on from it.")
    erased_at: Instant | None = Field(default=None, description="When reason and comments were erased.")
    catalogue_digest: str
    version: int

    @classmethod
    def of(cls, request: Request, now: datetime) -> RequestSummary:
        return cls(**_summary(request, now))


class RequestView(RequestSummary):
    session_policy: str | None
    sessions: list[SessionView]
    revocation: RevocationView | None = None

    @classmethod
    def of(cls, request: Request, now: datetime, sessions: tuple[Session, ...] = ()) -> RequestView:
        issued = [session for session in sessions if session.status is SessionStatus.ISSUED]
        cut: dict[str, Any] = {"revocation": RevocationView.of(request.revocation)} if request.revocation else {}
        return cls(
            **_summary(request, now),
            session_policy=request.session_policy,
            sessions=[
                SessionView(
                    id=session.id,
                    session_name=session.session_name,
                    access_key_id=session.access_key_id,
                    issued_at=session.issued_at,  # type: ignore[arg-type]
                    expires_at=session.expires_at,  # type: ignore[arg-type]
                )
                for session in issued
            ],
            **cut,
        )


def _summary(request: Request, now: datetime) -> dict[str, Any]:
    optional = {
        "expired_because": request.expired_because(now),
        "decided_by": request.decided_by,
        "decision_comment": request.decision_comment,
        "use_by": request.use_by,
        "starts_at": request.window.starts_at if request.window else None,
        "ends_at": request.window.ends_at if request.window else None,
        "review_by": request.review_by,
        "escalated_because": request.escalated_because,
        "review": ReviewView.of(request.review) if request.review else None,
        "extends": request.link.base if request.link else None,
        "extended_by": request.extended_by,
        "erased_at": request.erased_at,
    }
    return {
        "id": request.id,
        "state": request.state(now),
        "requester": request.requester.id,
        "role": request.role,
        "account_id": request.account_id,
        "account": request.account,
        "role_arn": request.role_arn,
        "duration_seconds": int(request.duration.total_seconds()),
        "reason": request.reason,
        "ticket": request.ticket,
        "scope": ScopeBody(name=request.scope.name, parameters=dict(request.scope.parameters))
        if request.scope
        else None,
        "break_glass": request.break_glass,
        "rule": request.rule,
        "stages": [StageView.of(stage) for stage in request.stages],
        "approvals": [ApprovalView.of(approval) for approval in request.approvals],
        "created_at": request.created_at,
        "answer_by": request.answer_by,
        "catalogue_digest": request.catalogue_digest,
        "version": request.version,
        **{name: value for name, value in optional.items() if value is not None},
    }


class RequestList(Out):
    items: list[RequestSummary]
    next_cursor: str | None
