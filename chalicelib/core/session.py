"""The session plan: what STS is asked for, within its limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core import principal as people
from chalicelib.core.catalogue import Role
from chalicelib.core.limits import fits_tag_value
from chalicelib.core.policy import caller_policy, scope_policy, with_wall
from chalicelib.core.refusals import FieldError, Invalid
from chalicelib.core.request import Request, ScopeChoice
from chalicelib.core.times import spoken

SHORTEST = timedelta(seconds=900)
"""STS lends for no less. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html."""

LONGEST_CHAINED = timedelta(seconds=3600)
"""A role assumed with role credentials, as Lambda's always are, ends after an hour.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining.
"""

REQUEST_TAG = "daypass:request"
TICKET_TAG = "daypass:ticket"
BREAK_GLASS_TAG = "daypass:break-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """One AssumeRole call, within STS's limits.

    duration: 900 to 3600 s. tags: the session tags; transitive: the keys that follow a role chain.
    policy: minified JSON, at most 2048 characters, wall included.
    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """

    role_arn: str
    session_name: str
    source_identity: str
    tags: Mapping[str, str]
    transitive: tuple[str, ...]
    external_id: str | None
    duration: timedelta
    policy: str


def plan(request: Request, role: Role, *, session_id: str, ends_at: datetime, now: datetime) -> SessionPlan:
    """What STS is asked for on behalf of a request whose access ends at `ends_at`.

    STS may lend for longer than what remains (900 s at least): the policy's wall, not the expiry, ends the access.
    """
    tags = {REQUEST_TAG: request.id}
    if request.break_glass:
        tags[BREAK_GLASS_TAG] = "true"
    if request.ticket is not None and fits_tag_value(request.ticket):
        tags[TICKET_TAG] = request.ticket
    return SessionPlan(
        role_arn=role.arn,
        session_name=people.session_name(session_id, request.requester.id),
        source_identity=people.source_identity(request.requester.id),
        tags=tags,
        transitive=tuple(sorted(tags)) if role.chaining else (),
        external_id=role.external_id,
        duration=_duration(ends_at - now, role.max_session),
        policy=with_wall(request.session_policy, ends_at=ends_at, chaining=role.chaining),
    )


def _duration(remaining: timedelta, max_session: timedelta) -> timedelta:
    longest = min(remaining, max_session, LONGEST_CHAINED)
    return max(timedelta(seconds=math.ceil(longest.total_seconds())), SHORTEST)


def permissions(role: Role, scope: ScopeChoice | None, session_policy: str | None) -> str | None:
    """The policy text that a session of the role is narrowed to, minified; None for all that the role may do.

    Raises Invalid where scope and policy are both given, the role insists on a scope, there is no such scope, a
    parameter does not fit, or the policy is none or is too long once the wall is added.
    """
    if scope is not None and session_policy is not None:
        raise _invalid("session_policy", "either a scope or a session policy, not both")
    if role.require_scope and scope is None:
        raise _invalid("scope", f"{role.name} is lent only with one of its scopes: {', '.join(sorted(role.scopes))}")
    if scope is not None:
        if scope.name not in role.scopes:
            known = ", ".join(sorted(role.scopes)) or "none"
            raise _invalid("scope.name", f"{role.name} has no scope {scope.name!r}; it has: {known}")
        return scope_policy(role.scopes[scope.name], scope.parameters)
    return None if session_policy is None else caller_policy(session_policy)


def as_asked(role: Role, request: Request) -> bool:
    """Whether the role and the request's scope still are what its approvers saw (docs/decisions/0009)."""
    if role.arn != request.role_arn:
        return False
    own = None if request.scope else request.session_policy
    try:
        return permissions(role, request.scope, own) == request.session_policy
    except Invalid:
        return False


def long_enough(role: Role, duration: timedelta) -> None:
    """Raises Invalid where the role's sessions prove who they are elsewhere, which no wall can end, and so outlive it.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html (no permission can deny it).
    """
    if role.identity_use and duration < SHORTEST:
        shortest = spoken(SHORTEST)
        raise _invalid("duration_seconds", f"{role.name} is used to log in elsewhere: ask for {shortest} at least")


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}.", (FieldError(field, message),))
