"""The Slack door: a user whom Slack vouches for, and who confirmed once who they are, becomes a principal.

Slack proves no second factor and tells no groups.
"""

from __future__ import annotations

from datetime import datetime

from chalicelib.core.binding import GROUPS_LAST, Binding, SlackProfile, SlackUser
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Kind, Principal


def not_bound(binding: Binding | None, catalogue: Catalogue, now: datetime) -> str | None:
    """Why the binding makes nobody a principal now; None where it does. What helps is to confirm a new code."""
    if binding is None:
        return "Daypass does not know yet who you are in Slack."
    if binding.ended_at is not None:
        return "You ended your binding, or have bound another Slack user of this team since."
    if not _speaks_for(binding, catalogue):
        return f"The issuer {binding.issuer} by which you confirmed who you are does not speak for you any more."
    if now >= binding.confirmed_at + GROUPS_LAST:
        return "Your groups were confirmed more than 24 hours ago."
    return None


def principal(binding: Binding) -> Principal:
    """Who a bound user is. authenticated_at: when a sign-in confirmed the binding."""
    return Principal(
        id=binding.principal_id,
        kind=binding.kind,
        groups=binding.groups,
        issuer=binding.issuer,
        mfa=False,
        authenticated_at=binding.confirmed_at,
    )


def not_them(profile: SlackProfile, user: SlackUser) -> str | None:
    """Why Slack's own word on the user keeps them out, bound or not; None where it does not."""
    if profile.deactivated:
        return "Your Slack user is deactivated."
    if profile.bot:
        return "Bots and apps have no access to Daypass in Slack."
    if profile.stranger or user.team not in profile.teams:
        return "You are of another Slack team: ask in your own."
    if profile.guest:
        return "Guests of this Slack team have no access to Daypass in Slack."
    if profile.email is None:
        return "Slack does not tell Daypass your e-mail address: the app lacks the scope users:read.email."
    return None


def not_any_more(binding: Binding, profile: SlackProfile) -> str | None:
    """Why the user is not, or not for certain, the one who was bound. What helps is to confirm a new code."""
    if profile.email != binding.email:
        return "Your e-mail address in Slack is another one than when you confirmed who you are."
    return None


def _speaks_for(binding: Binding, catalogue: Catalogue) -> bool:
    domain = binding.principal_id.rpartition("@")[2]
    return any(
        issuer.name == binding.issuer and issuer.kind is Kind.HUMAN and domain in issuer.domains
        for issuer in catalogue.issuers
    )
