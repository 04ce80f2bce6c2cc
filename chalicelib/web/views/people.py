"""Who is asked, and by whom: health, issuers, principals and Slack users, as answers tell them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from chalicelib.broker.binding import Bound
from chalicelib.core.binding import GROUPS_LAST, SlackUser
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.vouching import Issuer
from chalicelib.web.views.out import Instant, Out


class HealthView(Out):
    """catalogue_doubt: why nothing is approved or lent but in an emergency, where that is so."""

    status: Literal["ok"] = "ok"
    version: str
    catalogue_digest: str | None = None
    catalogue_serial: int | None = None
    catalogue_doubt: str | None = None


class LoginIssuer(Out):
    """Who signs people in. redirect_port: the one port of 127.0.0.1 that it sends a browser back to; else any is."""

    name: str
    url: str
    client_id: str | None
    audience: str
    scopes: list[str]
    redirect_port: int | None = None

    @classmethod
    def of(cls, issuer: Issuer) -> LoginIssuer:
        told = {} if issuer.redirect_port is None else {"redirect_port": issuer.redirect_port}
        return cls(
            name=issuer.name,
            url=issuer.url,
            client_id=issuer.client_id,
            audience=issuer.audience,
            scopes=list(issuer.scopes),
            **told,
        )


class LoginView(Out):
    issuers: list[LoginIssuer]


class PrincipalView(Out):
    id: str
    kind: Kind
    groups: list[str]
    issuer: str
    mfa: bool
    authenticated_at: Instant

    @classmethod
    def of(cls, principal: Principal) -> PrincipalView:
        return cls(
            id=principal.id,
            kind=principal.kind,
            groups=sorted(principal.groups),
            issuer=principal.issuer,
            mfa=principal.mfa,
            authenticated_at=principal.authenticated_at,
        )


class SlackBindingView(Out):
    """Which Slack user acts as you from now on. replaced: the user of the same team who does no more.

    until: from then on it has to be confirmed again, since Slack tells no groups.
    """

    team: str
    user: str
    email: str
    principal: str
    groups: list[str]
    confirmed_at: Instant
    until: Instant
    replaced: str | None = None

    @classmethod
    def of(cls, bound: Bound) -> SlackBindingView:
        binding = bound.binding
        return cls(
            team=binding.user.team,
            user=binding.user.id,
            email=binding.email,
            principal=binding.principal_id,
            groups=sorted(binding.groups),
            confirmed_at=binding.confirmed_at,
            until=binding.confirmed_at + GROUPS_LAST,
            **({"replaced": bound.replaced.id} if bound.replaced else {}),
        )


class SlackUserView(Out):
    team: str
    user: str


class UnboundView(Out):
    """ended: the Slack users who were you, and are nobody to Daypass from now on."""

    ended: list[SlackUserView]

    @classmethod
    def of(cls, users: Iterable[SlackUser]) -> UnboundView:
        return cls(ended=[SlackUserView(team=user.team, user=user.id) for user in users])
