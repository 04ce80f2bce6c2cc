"""Revocation: who may take access away, what cuts its live sessions, and what is to be done about that when.

due ──► written ──► (the sessions are over) ──► removed
 └── failed: due again in a minute               └── failed: due again, less and less often
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.core import approvals
from chalicelib.core.catalogue import Catalogue, Rule
from chalicelib.core.policy_grammar import VERSION, minified
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import MayNotApprove, Refusal
from chalicelib.core.request import Deny, Request, Revocation
from chalicelib.core.session import LONGEST_CHAINED, REQUEST_TAG

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

    Whatever STS lends ends after an hour, and at the window's end by its wall.
    """
    if request.window is None or request.sessions_begun == 0:
        return None
    return min(request.window.ends_at, max(request.last_begun) + LONGEST_CHAINED) + LATE


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


def done(request: Request, deny: Deny, step: Step, now: datetime) -> Revocation:
    """The revocation after the step succeeded."""
    if step is Step.WRITE:
        return _with(request, deny, written_at=now, error=None, due_at=over_at(request))
    return _with(request, deny, removed_at=now, error=None, due_at=None)


def failed(request: Request, deny: Deny, step: Step, error: str, now: datetime) -> Revocation:
    """The revocation after the step failed. A deny is tried again soon; its removal less and less often."""
    over = over_at(request)
    assert over is not None, "a deny is due only where sessions were begun"
    again = now + AGAIN if step is Step.WRITE else now + max(AGAIN, now - over)
    return _with(request, deny, error=error, due_at=again)


def _with(request: Request, deny: Deny, **changed: object) -> Revocation:
    assert request.revocation is not None, "a deny belongs to a revocation"
    known = request.revocation
    after = replace(deny, **changed)  # type: ignore[arg-type]
    return replace(known, denies=tuple(after if each == deny else each for each in known.denies))


def policy_name(request_id: str) -> str:
    """The name of the inline policy at the role: one for each request, so that no two revocations can meet."""
    return f"daypass-deny-{request_id}"


def policy(request_id: str) -> str:
    """The inline policy that cuts every session of the request, and of no other: sessions carry its id as their tag.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html (aws:PrincipalTag).
    """
    ours = {"StringEquals": {f"aws:PrincipalTag/{REQUEST_TAG}": request_id}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": ours}
    return minified({"Version": VERSION, "Statement": [deny]})
