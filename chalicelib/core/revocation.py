"""Revocation: who may take access away, what cuts its live sessions, and what is to be done about that when.

due ──► written ──► (what it cuts is over) ──► removed
 └── failed: due again in a minute              └── failed: due again, less and less often
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.core import approvals
from chalicelib.core.catalogue import Catalogue, Rule
from chalicelib.core.denies import AHEAD, NEEDED, Cut, Standing
from chalicelib.core.principal import Kind, Principal, source_identity
from chalicelib.core.refusals import MayNotApprove, Refusal
from chalicelib.core.request import Covers, Deny, Request, Revocation

LATE = timedelta(minutes=1)
"""What an issuance may take, and clocks may differ: a deny is removed this much after the end of what it denies."""

AGAIN = timedelta(minutes=1)
"""After what failed, the soonest next attempt; how often anybody looks is the sweeper's."""


class Step(StrEnum):
    """What can be due at a role."""

    WRITE = "write"
    REMOVE = "remove"


def may_revoke(request: Request, catalogue: Catalogue, rules: Sequence[Rule], principal: Principal) -> Refusal | None:
    """Why the principal may not take the access away; None for who may approve or review it, who did, and auditors.

    rules: those that admit the request today; of an extension also as they were for what it goes on from.
    """
    if principal.kind is not Kind.HUMAN:
        return MayNotApprove("Only people revoke requests; you are signed in as a workload.")
    if catalogue.auditors.includes(principal) or any(principal.id == approval.by for approval in request.yeses):
        return None
    if principal.id == request.requester.id:
        return MayNotApprove("This is your own request: return it instead.")
    if any(who.includes(principal) for who in request.reviewers):
        return None
    if approvals.may_decide(request, rules, principal):
        return MayNotApprove("No rule asks you to decide on this request, so you cannot revoke it either.")
    return None


def over_at(request: Request) -> datetime | None:
    """From when on no session of the request can do anything, at the latest; None where none was ever begun.

    A request that was lent from before this was put down (`lent_until`) is over at its window's end, by the wall.
    """
    if request.window is None or request.sessions_begun == 0:
        return None
    return (request.lent_until or request.window.ends_at) + LATE


def lives(request: Request, now: datetime) -> bool:
    """Whether a session of the request may be alive: also one that was begun and whose outcome nobody knows."""
    over = over_at(request)
    return over is not None and now < over


def begun(request: Request, catalogue: Catalogue, now: datetime) -> Revocation:
    """The revocation of a request that ends now, with nothing done about it yet.

    not_covered follows today's catalogue: what its role's sessions were allowed to chain into.
    """
    if not lives(request, now):
        return Revocation(stopped_at=now)
    role = catalogue.roles.get(request.role)
    chaining = role.chaining if role and role.arn == request.role_arn else ()
    return Revocation(stopped_at=now, denies=(Deny(role_arn=request.role_arn, due_at=now),), not_covered=chaining)


def due(request: Request, now: datetime) -> Iterator[tuple[Step, Deny]]:
    """What has to be done now, at which role. Nothing is written any more once the sessions are over."""
    for deny in request.revocation.denies if request.revocation else ():
        if deny.due_at is not None and deny.due_at <= now:
            yield (Step.WRITE if deny.written_at is None and lives(request, now) else Step.REMOVE), deny


def unwritten(request: Request, now: datetime) -> tuple[tuple[Step, Deny], ...]:
    """The denies of sessions that may live, of which nobody knows that they are written: due or not yet due again."""
    known = request.revocation.denies if request.revocation and lives(request, now) else ()
    return tuple((Step.WRITE, deny) for deny in known if deny.written_at is None)


def cut(request: Request, deny: Deny) -> Cut:
    """What the deny is to cut: always the same, however often it is tried."""
    assert request.revocation is not None, "a deny belongs to a revocation"
    return Cut(
        role_arn=deny.role_arn,
        request_id=request.id,
        source_identity=source_identity(request.requester.id),
        before=request.revocation.stopped_at + AHEAD,
    )


def written(request: Request, deny: Deny, by: Standing, now: datetime) -> Revocation:
    """The revocation after the deny was written. A wide one is needed as long as anything that it cuts."""
    needless_at = over_at(request) if by.before is None else by.before + NEEDED
    return _with(request, deny, written_at=now, covers=by.covers, error=None, due_at=needless_at)


def removed(request: Request, deny: Deny, now: datetime) -> Revocation:
    return _with(request, deny, removed_at=now, error=None, due_at=None)


def failed(request: Request, deny: Deny, step: Step, error: str, now: datetime) -> Revocation:
    """The revocation after the step failed. A deny is tried again soon; its removal less and less often."""
    over = over_at(request) if deny.covers is Covers.REQUEST else cut(request, deny).before + NEEDED
    assert over is not None, "a deny is due only where sessions were begun"
    again = now + AGAIN if step is Step.WRITE else now + max(AGAIN, now - over)
    return _with(request, deny, error=error, due_at=again)


def _with(request: Request, deny: Deny, **changed: object) -> Revocation:
    assert request.revocation is not None, "a deny belongs to a revocation"
    known = request.revocation
    after = replace(deny, **changed)  # type: ignore[arg-type]
    return replace(known, denies=tuple(after if each == deny else each for each in known.denies))
