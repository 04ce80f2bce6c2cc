"""Who acts, and what AWS is told of them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

_SOURCE_IDENTITY = re.compile(r"[A-Za-z0-9_+,.@-]{2,64}", re.ASCII)
_NOT_IN_SOURCE_IDENTITY = re.compile(r"[^A-Za-z0-9_+,.@-]", re.ASCII)
_NOT_IN_SESSION_NAME = re.compile(r"[^A-Za-z0-9_+=,.@-]", re.ASCII)
_ULID_LENGTH = 26
_SESSION_NAME_LENGTH = 64


class Kind(StrEnum):
    HUMAN = "human"
    WORKLOAD = "workload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller.

    id: an e-mail address in lower case (human), `{issuer}/{sub}` or an IAM ARN (workload).
    issuer: the catalogue's name of the issuer, `iam` at the IAM door.
    mfa: whether this sign-in proved a second factor; authenticated_at: when it was made (aware, UTC).
    unknown: the groups of directories that did not answer: they let nobody in, and keep out whom they would keep out.
    """

    id: str
    kind: Kind
    groups: frozenset[str]
    issuer: str
    mfa: bool
    authenticated_at: datetime
    unknown: frozenset[str] = frozenset()

    @property
    def at_worst(self) -> Principal:
        """The principal as if it were in every group that is not known of it."""
        return replace(self, groups=self.groups | self.unknown, unknown=frozenset()) if self.unknown else self


def source_identity(principal_id: str) -> str:
    """The STS SourceIdentity of a principal: 2-64 characters of `[A-Za-z0-9_+=,.@-]`.

    The id itself where it fits and holds no `=`; else its first 20 characters with every other one replaced by `-`,
    then `=`, then the 43 characters of the base64url SHA-256 of the id: two principals never share one.
    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (SourceIdentity).
    """
    if _SOURCE_IDENTITY.fullmatch(principal_id):
        return principal_id
    readable = _NOT_IN_SOURCE_IDENTITY.sub("-", principal_id[:20])
    digest = base64.urlsafe_b64encode(hashlib.sha256(principal_id.encode()).digest()).decode().rstrip("=")
    return f"{readable}={digest}"


def session_name(session_id: str, principal_id: str) -> str:
    """The STS RoleSessionName: `{session id}-{principal slug}`, at most 64 characters, unique since the id (a ULID) is.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (RoleSessionName: 2-64).
    """
    slug = _NOT_IN_SESSION_NAME.sub("-", principal_id)
    return f"{session_id}-{slug[: _SESSION_NAME_LENGTH - _ULID_LENGTH - 1]}"
