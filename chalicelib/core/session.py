"""The session plan: what STS is asked for, within its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


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
