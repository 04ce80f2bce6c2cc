"""Daypass as an OIDC provider: by what name target accounts trust it, and which of its keys signs when."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Via(StrEnum):
    """How a role's sessions are lent.

    ROLE: AssumeRole, as the broker's own role. OIDC: AssumeRoleWithWebIdentity, by a token that Daypass signs.
    """

    ROLE = "role"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """An RSA key in the hub account's KMS, which signs nothing else, and the instant from which it signs."""

    arn: str
    signs_from: datetime

    @property
    def kid(self) -> str:
        """Its name in tokens and among the published keys: always the same, and no account can be read out of it."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.arn.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Provider:
    """issuer: an https URL of a name of one's own, the tokens' `iss`. keys: one at least, each from its own instant."""

    issuer: str
    keys: tuple[ProviderKey, ...]

    def signing(self, now: datetime) -> ProviderKey | None:
        """The key that signs at `now`, the last whose time has come; None before the first one's."""
        begun = [key for key in self.keys if key.signs_from <= now]
        return max(begun, key=lambda key: key.signs_from, default=None)
