"""Emergencies: access now, approval never, review afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.broker.deciding import transition
from chalicelib.broker.knowing import about, known
from chalicelib.broker.ports import DayIsUsed, ReviewIsOverdue, World
from chalicelib.core.catalogue import Catalogue, Quotas
from chalicelib.core.ledger import Detail, EventType, commitment
from chalicelib.core.life import USE_WITHIN, Move, State, moved
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.quotas import one_emergency
from chalicelib.core.refusals import (
    AlreadyReviewed,
    FieldError,
    Invalid,
    MayNotReview,
    NotPending,
    NotYours,
    ReviewOverdue,
)
from chalicelib.core.request import Change, Request, Review, Verdict
from chalicelib.core.rules import Emergency, Terms, emergency
from chalicelib.core.times import stamp

SHORTEST_REASON = 20
"""Characters: an emergency is explained before it is granted, since nobody else is asked."""


def explained(reason: str) -> None:
    """Raises Invalid where the reason is too short for an emergency."""
    if len(reason.strip()) < SHORTEST_REASON:
        message = f"an emergency needs a reason of at least {SHORTEST_REASON} characters"
        raise Invalid(f"reason: {message}.", (FieldError("reason", message),))


def begins_now(starts_at: datetime | None) -> None:
    """Raises Invalid where an emergency is asked for later."""
    if starts_at is not None:
        message = "an emergency begins now: leave it out"
        raise Invalid(f"starts_at: {message}.", (FieldError("starts_at", message),))


def opened(change: Change, way: Emergency, quotas: Quotas, now: datetime) -> Change:
    """The same transition with the glass broken, which is taken out of the requester's day."""
    review_by = now + way.review_within
    broken = change.then(
        EventType.BREAK_GLASS_OPENED,
        at=now,
        actor=change.after.requester.id,
        details={"severity": "critical", "rule": way.rule, "review_by": stamp(review_by)},
        rule=way.rule,
        stages=(),
        break_glass=True,
        reviewers=way.reviewers,
        review_by=review_by,
        use_by=now + USE_WITHIN,
    )
    return replace(broken, charge=one_emergency(change.after.requester.id, quotas, now))


def overdue(error: ReviewIsOverdue) -> ReviewOverdue:
    return ReviewOverdue(
        f"Your emergency {error.request_id} was to be reviewed by {error.review_by} and was not: "
        "have it reviewed before you open another."
    )


def escalate(world: World, principal: Principal, request_id: str, *, reason: str) -> Request:
    """Make an emergency of one's own pending request: it waits no longer, and its trail stays.

    An extension leaves its chain by that: it begins at its first use, and goes on whatever becomes of its base.
    Raises NotFound, NotYours, NotPending, Invalid, ReviewOverdue, QuotaUsed, ChangedMeanwhile, and what breaking the
    glass raises.
    """
    explained(reason)

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        if request.requester.id != principal.id:
            raise NotYours("Only the person who asked can make an emergency of it.")
        if request.state(now) is not State.PENDING:
            raise NotPending(f"The request is {request.state(now)}: only a pending one can become an emergency.")
        way = emergency(catalogue, principal, Terms(request.role, request.duration, request.ticket))
        details: dict[str, Detail] = {"reason_sha256": commitment(reason, request.salt)}
        escalated = Change(request, request).then(
            EventType.ESCALATED,
            at=now,
            actor=principal.id,
            details=details,
            status=moved(request.status, Move.ESCALATE),
            escalated_because=reason,
            requester=principal,
            starts_at=None,
            window=None,
            link=None,
        )
        return opened(escalated, way, catalogue.quotas, now)

    try:
        return transition(world, principal, request_id, step)
    except ReviewIsOverdue as error:
        raise overdue(error) from None
    except DayIsUsed as error:
        raise error.refusal() from None


def review(world: World, principal: Principal, request_id: str, *, verdict: Verdict, comment: str) -> Request:
    """Say of somebody else's emergency whether it was justified: once, for good.

    Raises NotFound, MayNotReview, AlreadyReviewed and ChangedMeanwhile.
    """

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        if refusal := _may_not_review(request, known(world, principal, about(request))):
            raise refusal
        if request.review is not None:
            raise AlreadyReviewed(f"{request.review.by} found it {request.review.verdict} already.")
        found = Review(verdict=verdict, by=principal.id, at=now, comment=comment)
        return Change(request, request).then(
            EventType.BREAK_GLASS_REVIEWED,
            at=now,
            actor=principal.id,
            details={"verdict": verdict.value, "comment_sha256": commitment(comment, request.salt)},
            review=found,
        )

    return transition(world, principal, request_id, step)


def _may_not_review(request: Request, principal: Principal) -> MayNotReview | None:
    if not request.break_glass:
        return MayNotReview("This request was approved by others: only emergencies are reviewed.")
    if principal.id == request.requester.id:
        return MayNotReview("This was your own emergency: somebody else has to review it.")
    if principal.kind is not Kind.HUMAN:
        return MayNotReview("Only people review emergencies; you are signed in as a workload.")
    if not any(who.includes(principal) for who in request.reviewers):
        return MayNotReview("No rule asks you to review this emergency.")
    return None
