"""The token by which Daypass vouches for one session: what it says, and how it is written down.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp,
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html and RFC 7515.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.provider import ProviderKey

AUDIENCE = "sts.amazonaws.com"
LASTS = timedelta(seconds=60)
"""Longer than a call behind API Gateway can take from planning a session to its answer."""

TAGS = "https://aws.amazon.com/tags"
SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"


@dataclass(frozen=True, slots=True)
class Token:
    """A JWT that nobody has signed yet, and so no secret. key: the KMS key that is to sign it, by RS256."""

    issuer: str
    key: ProviderKey
    claims: Mapping[str, object]

    def unsigned(self) -> bytes:
        """What is signed: header and claims."""
        header = {"alg": "RS256", "kid": self.key.kid, "typ": "JWT"}
        return b".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, self.claims))

    def signed(self, signature: bytes) -> str:
        """The whole token: a secret, for whoever holds it may call STS without Daypass's session policy."""
        return b".".join([self.unsigned(), _encoded(signature)]).decode()


def subject(role_arn: str) -> str:
    """What the role's trust policy asks for as `sub`: a token for one role opens no other."""
    return f"daypass:role:{role_arn}"


def claims(
    *,
    issuer: str,
    role_arn: str,
    session_id: str,
    source_identity: str,
    tags: Mapping[str, str],
    transitive: tuple[str, ...],
    now: datetime,
) -> Mapping[str, object]:
    """What the token says: good for this role, for a minute from `now`, with AWS's own claims for what follows it."""
    issued_at = int(now.timestamp())
    return {
        "iss": issuer,
        "sub": subject(role_arn),
        "aud": AUDIENCE,
        "iat": issued_at,
        "exp": issued_at + int(LASTS.total_seconds()),
        "jti": session_id,
        SOURCE_IDENTITY: source_identity,
        TAGS: {
            "principal_tags": {key: [value] for key, value in tags.items()},
            "transitive_tag_keys": list(transitive),
        },
    }


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
