"""The session plan: what STS is asked for, within its limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chalicelib.core import principal as people
from chalicelib.core import token as tokens
from chalicelib.core.catalogue import Role
from chalicelib.core.ledger import Detail
from chalicelib.core.limits import fits_tag_value
from chalicelib.core.policy import caller_policy, scope_policy, with_wall
from chalicelib.core.provider import Provider, Via
from chalicelib.core.refusals import FieldError, Invalid, Unavailable
from chalicelib.core.request import Request, ScopeChoice
from chalicelib.core.times import spoken, stamp
from chalicelib.core.token import Token

NO_ANSWER: Final = "no-answer"
"""The `code` of a `session.failed` where STS did not answer: it may have made the session."""

SHORTEST = timedelta(seconds=900)
"""STS lends for no less. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html."""

LONGEST_CHAINED = timedelta(seconds=3600)
"""A role assumed with role credentials, as Lambda's always are, ends after an hour.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining.
"""

LONGEST = timedelta(seconds=43200)
"""Without a chain, the role's own maximum decides, and IAM lets that be 12 h at most.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html (DurationSeconds).
"""

REQUEST_TAG = "daypass:request"
TICKET_TAG = "daypass:ticket"
BREAK_GLASS_TAG = "daypass:break-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """One call of STS, within its limits.

    token: what Daypass vouches with, of the same tags and source identity; None: it asks as the role that it is.
    duration: 900 to 3600 s, with a token to 43200 s. tags: the session tags; transitive: the keys that follow a chain.
    policy: minified JSON, at most 2048 characters, wall included.
    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html and
    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    """

    role_arn: str
    session_name: str
    source_identity: str
    tags: Mapping[str, str]
    transitive: tuple[str, ...]
    external_id: str | None
    duration: timedelta
    policy: str
    token: Token | None = None

    @property
    def via(self) -> Via:
        return Via.OIDC if self.token else Via.ROLE


def plan(
    request: Request, role: Role, provider: Provider | None, *, session_id: str, ends_at: datetime, now: datetime
) -> SessionPlan:
    """What STS is asked for on behalf of a request whose access ends at `ends_at`.

    STS may lend for longer than what remains (900 s at least): the policy's wall, not the expiry, ends the access.
    Raises Unavailable where the role is lent via oidc and no key of the provider signs yet.
    """
    tags = {REQUEST_TAG: request.id}
    if request.break_glass:
        tags[BREAK_GLASS_TAG] = "true"
    if request.ticket is not None and fits_tag_value(request.ticket):
        tags[TICKET_TAG] = request.ticket
    planned = SessionPlan(
        role_arn=role.arn,
        session_name=people.session_name(session_id, request.requester.id),
        source_identity=people.source_identity(request.requester.id),
        tags=tags,
        transitive=tuple(sorted(tags)) if role.chaining else (),
        external_id=role.external_id,
        duration=_duration(ends_at - now, role),
        policy=with_wall(request.session_policy, ends_at=ends_at, chaining=role.chaining),
    )
    if role.via is Via.ROLE:
        return planned
    assert provider is not None, "the catalogue file refuses via = oidc without a provider"
    return replace(planned, token=_token(planned, provider, session_id, now))


def _duration(remaining: timedelta, role: Role) -> timedelta:
    least = min(remaining, longest(role))
    return max(timedelta(seconds=math.ceil(least.total_seconds())), SHORTEST)


def longest(role: Role) -> timedelta:
    """The longest session that STS lends of the role, whatever remains of the window."""
    return min(role.max_session, LONGEST if role.via is Via.OIDC else LONGEST_CHAINED)


def _token(planned: SessionPlan, provider: Provider, session_id: str, now: datetime) -> Token:
    key = provider.signing(now)
    if key is None:
        first = min(each.signs_from for each in provider.keys)
        raise Unavailable(f"No key of Daypass's provider signs before {stamp(first)}: nothing was lent.", first - now)
    said = tokens.claims(
        issuer=provider.issuer,
        role_arn=planned.role_arn,
        session_id=session_id,
        source_identity=planned.source_identity,
        tags=planned.tags,
        transitive=planned.transitive,
        now=now,
    )
    return Token(provider.issuer, key, said)


def told(planned: SessionPlan) -> Mapping[str, Detail]:
    """What the history says of a plan: by it CloudTrail's event of the call is found, and with a token kms:Sign's."""
    details: dict[str, Detail] = {
        "session_name": planned.session_name,
        "source_identity": planned.source_identity,
        "role_arn": planned.role_arn,
        "duration_seconds": int(planned.duration.total_seconds()),
        "via": planned.via.value,
    }
    if planned.token:
        details |= {"issuer": planned.token.issuer, "kid": planned.token.key.kid}
    return details


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
