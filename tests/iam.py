"""IAM's deny logic, as much of it as Daypass's own statements use, written for the tests from AWS's documentation.

It takes the worst for granted: of the conditions it knows only Daypass's own, of the time; any other holds for an Allow
and does not for a Deny.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from fnmatch import translate
from typing import Any


def allowed(policy: str, action: str, resource: str, now: datetime) -> bool:
    """Whether a session policy may let an action through: some Allow matches and no Deny does."""
    statements = json.loads(policy)["Statement"]
    matching = [
        s for s in (statements if isinstance(statements, list) else [statements]) if _matches(s, action, resource, now)
    ]
    effects = {statement["Effect"] for statement in matching}
    return effects == {"Allow"}


def _matches(statement: dict[str, Any], action: str, resource: str, now: datetime) -> bool:
    acts = (
        _any(statement["Action"], action.lower(), str.lower)
        if "Action" in statement
        else not _any(statement["NotAction"], action.lower(), str.lower)
    )
    on = (
        _any(statement["Resource"], resource, str)
        if "Resource" in statement
        else not _any(statement["NotResource"], resource, str)
    )
    unknown_holds = statement["Effect"] == "Allow"
    return acts and on and _holds(statement.get("Condition", {}), now, unknown_holds)


def _any(patterns: str | list[str], value: str, fold: Any) -> bool:
    listed = [patterns] if isinstance(patterns, str) else patterns
    return any(re.fullmatch(translate(fold(pattern)), value) for pattern in listed)


def _holds(condition: dict[str, Any], now: datetime, unknown_holds: bool) -> bool:
    for operator, keys in condition.items():
        if operator != "DateGreaterThanEquals" or set(keys) != {"aws:CurrentTime"}:
            if not unknown_holds:
                return False
            continue
        instant = datetime.strptime(keys["aws:CurrentTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if now < instant:
            return False
    return True
