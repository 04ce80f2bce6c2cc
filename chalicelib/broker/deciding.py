"""Deciding: one person says yes or no; the last yes that a rule waits for makes a grant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.broker.knowing import about, known
from chalicelib.broker.ports import Stale, World
from chalicelib.broker.seeing import admitting_today, nearest, visible
from chalicelib.core import approvals
from chalicelib.core.catalogue import Catalogue, Rule
from chalicelib.core.ledger import Detail, EventType, commitment
from chalicelib.core.life import USE_WITHIN, Expired, Move, State, moved
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import (
    AlreadyApprovedByYou,
    ChangedMeanwhile,
    FieldError,
    Invalid,
    NotEligible,
    NotPending,
)
from chalicelib.core.request import Approval, Change, Request
from chalicelib.core.rules import refuse_where_halted
from chalicelib.core.schedule import answer_by, window_cut
from chalicelib.core.session import as_asked, long_enough
from chalicelib.core.times import spoken, stamp

TRIES = 10
"""How often a transition is tried again on the newer record before the caller hears that it changed too often."""

Transition = Callable[[Catalogue, Request, datetime], Change]
Transitions = Callable[[Catalogue, Request, datetime], Sequence[Change]]


def transition(world: World, principal: Principal, request_id: str, step: Transition) -> Request:
    """`transitions` of one request alone."""
    return transitions(world, principal, request_id, lambda *known: [step(*known)])[0]


def transitions(world: World, principal: Principal, request_id: str, steps: Transitions) -> Sequence[Request]:
    """Load, judge, store; and once more from the start whenever somebody else was faster.

    steps: the request's change, then those of others that are stored with it. Returns what they became.
    Raises NotFound, what `steps` raises, and ChangedMeanwhile when others kept winning. Who saw the request at the
    first look still gets the clear answer after losing a race that made it invisible to them.
    """
    request = visible(world, principal, world.requests.get(request_id), request_id)
    for _ in range(TRIES):
        changes = steps(world.catalogue(), request, world.now())
        try:
            world.requests.commit(*changes)
        except Stale:
            newer = world.requests.get(request_id)
            assert newer is not None, "requests are never deleted while they can change"
            request = newer
            continue
        return [change.after for change in changes]
    raise ChangedMeanwhile(
        "The request kept changing while this was tried; nothing was recorded. Look at it and try again."
    )


def approve(
    world: World, principal: Principal, request_id: str, *, comment: str | None, duration: timedelta | None
) -> Request:
    """Say yes, perhaps for a shorter time; it is approved once the stages of any one admitting rule are filled.

    Raises NotFound, MayNotApprove, AlreadyApprovedByYou, NotPending, ChangedMeanwhile, NotEligible (the catalogue is
    frozen), CatalogueStale, and Invalid: longer than asked, or so short that a window that was asked for would be over
    by now.
    """

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        if any(approval.by == principal.id for approval in request.approvals):
            raise AlreadyApprovedByYou("You have approved this request already; one person counts once.")
        shortened = _shortened(request, duration)
        decider = known(world, principal, about(request))
        rules = _decidable(catalogue, request, decider, now, shortened)
        refuse_where_halted(catalogue)
        keys = approvals.qualifies(rules, decider)
        yes = Approval(by=principal.id, at=now, comment=comment, qualifies=keys, mfa=principal.mfa)
        if refusal := approvals.may_approve(request, rules, yes):
            raise refusal
        role = catalogue.roles[request.role]
        long_enough(role, shortened)
        if not as_asked(role, request):
            raise NotEligible(f"The role {role.name!r} or its scope was changed since: it has to be asked for anew.")
        return _approved(request, rules, yes, shortened, now)

    return transition(world, principal, request_id, step)


def decidable(world: World, principal: Principal, request_id: str) -> Request:
    """The request, where the principal may say yes or no to it now: what a form is for.

    Raises NotFound, MayNotApprove and NotPending.
    """
    request = visible(world, principal, world.requests.get(request_id), request_id)
    decider = known(world, principal, about(request))
    _decidable(world.catalogue(), request, decider, world.now(), request.duration)
    return request


def deny(world: World, principal: Principal, request_id: str, *, comment: str) -> Request:
    """Say no, for good. Raises NotFound, MayNotApprove, NotPending and ChangedMeanwhile."""

    def step(catalogue: Catalogue, request: Request, now: datetime) -> Change:
        _decidable(catalogue, request, known(world, principal, about(request)), now, request.duration)
        return Change(request, request).then(
            EventType.DENIED,
            at=now,
            actor=principal.id,
            details={"comment_sha256": commitment(comment, request.salt)},
            status=moved(request.status, Move.DENY),
            decided_by=principal.id,
            decision_comment=comment,
        )

    return transition(world, principal, request_id, step)


def _decidable(
    catalogue: Catalogue, request: Request, principal: Principal, now: datetime, duration: timedelta
) -> tuple[Rule, ...]:
    """The rules that admit the request today for that duration, where the principal may decide on it now."""
    state = request.state(now)
    if state is State.PENDING or principal.id == request.requester.id:
        rules = admitting_today(catalogue, replace(request, duration=duration))
        if refusal := approvals.may_decide(request, rules, principal):
            raise refusal
        return rules
    if request.expired_because(now) is Expired.UNANSWERED:
        raise NotPending(
            f"Nobody answered this request by {stamp(request.answer_by)}: it has expired. The requester may ask again."
        )
    raise NotPending(f"The request is {state} already.")


def _shortened(request: Request, duration: timedelta | None) -> timedelta:
    if duration is None:
        return request.duration
    if duration > request.duration:
        message = f"{spoken(request.duration)} is what is left: an approval may shorten that, never lengthen it"
        raise Invalid(f"duration_seconds: {message}.", (FieldError("duration_seconds", message),))
    return duration


def _approved(request: Request, rules: tuple[Rule, ...], yes: Approval, duration: timedelta, now: datetime) -> Change:
    given = (*request.approvals, yes)
    rule = nearest(rules, request, given, now)
    enough = approvals.lacking(rule, given) == 0
    window = window_cut(request.window, duration, now)
    details: dict[str, Detail] = {"stages": [*sorted(yes.qualifies)], "enough": "yes" if enough else "no"}
    if not yes.mfa:
        details["mfa"] = "no"
    if yes.comment is not None:
        details["comment_sha256"] = commitment(yes.comment, request.salt)
    if duration != request.duration:
        details["duration_seconds"] = int(duration.total_seconds())
    changed: dict[str, Any] = {
        "approvals": given,
        "duration": duration,
        "window": window,
        "answer_by": answer_by(request.answer_by, window),
        "rule": rule.name,
        "stages": approvals.progress(rule, given),
    }
    if enough:
        details["rule"] = rule.name
        changed |= {
            "status": moved(request.status, Move.APPROVE),
            "use_by": None if window else request.use_by or now + USE_WITHIN,  # an extension's was settled at the ask
            "decided_by": yes.by,
            "decision_comment": yes.comment,
        }
    return Change(request, request).then(EventType.APPROVED, at=now, actor=yes.by, details=details, **changed)
