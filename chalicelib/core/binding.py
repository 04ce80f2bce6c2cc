"""Bindings: which principal acts where a Slack user does, since that person said so once with a sign-in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.principal import Kind

CODE_LASTS = timedelta(minutes=10)
GROUPS_LAST = timedelta(hours=24)
"""Slack tells no groups: they are those of the sign-in that confirmed the binding, and no older than this."""


@dataclass(frozen=True, slots=True)
class SlackUser:
    """A user of one Slack team, by the ids that Slack signs."""

    team: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackProfile:
    """What Slack says of a user now. email: in lower case; None where Slack does not tell it. teams: whose member."""

    email: str | None
    teams: frozenset[str]
    deactivated: bool = False
    bot: bool = False
    guest: bool = False
    stranger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A Slack user who is a principal. email: as Slack knew it when it was confirmed, in lower case.

    groups, issuer: of the sign-in that confirmed it. ended_at: when the principal ended it or bound
    another user of the team.
    """

    user: SlackUser
    email: str
    principal_id: str
    kind: Kind
    groups: frozenset[str]
    issuer: str
    confirmed_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A one-time code that a Slack user was given, without the code. used_by: the principal who confirmed with it."""

    user: SlackUser
    email: str
    until: datetime
    used_by: str | None = None


def digest(code: str) -> str:
    """What is kept of a code: its SHA-256 in hex. It has 128 random bits, so nobody finds it by trying."""
    return hashlib.sha256(code.encode()).hexdigest()
