"""IAM's deny logic, as much of it as Daypass's own statements use, written for the tests from AWS's documentation.

It takes the worst for granted: of the conditions it knows only Daypass's own, of the time; any other holds for an Allow
and does not for a Deny.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import translate
from typing import Any

from chalicelib.core.times import read_stamp


def allowed(policy: str, action: str, resource: str, now: datetime) -> bool:
    """Whether a session policy may let an action through: some Allow matches and no Deny does."""
    statements = json.loads(policy)["Statement"]
    matching = [
        s for s in (statements if isinstance(statements, list) else [statements]) if _matches(s, action, resource, now)
    ]
    effects = {statement["Effect"] for statement in matching}
    return effects == {"Allow"}


def cut(policies: Iterable[str], session: Mapping[str, str]) -> bool:
    """Whether a role's inline policies deny everything to a session, told by the condition keys that it carries.

    Raises ValueError for any statement that is not a Deny on everything under conditions that are understood.
    """
    statements = [statement for policy in policies for statement in json.loads(policy)["Statement"]]
    for statement in statements:
        if {**statement, "Condition": None} != {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": None}:
            raise ValueError(f"not a deny on everything: {statement}")
    # Every one is looked at: what is not understood shall not hide behind one that matches.
    cuts = [_all_hold(statement["Condition"], session) for statement in statements]
    return any(cuts)


def _all_hold(condition: Mapping[str, Mapping[str, str]], session: Mapping[str, str]) -> bool:
    """All operators and all their keys have to hold; one whose key the session does not carry does not.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.
    """
    if not condition or not all(condition.values()):
        raise ValueError("a deny without a condition")
    held = [
        _compared(operator, session.get(key), value)
        for operator, keys in condition.items()
        for key, value in keys.items()
    ]
    return all(held)


def _compared(operator: str, carried: str | None, value: str) -> bool:
    match operator:
        case "StringEquals":
            return carried == value
        case "DateLessThan":
            instant = read_stamp(value)
            return carried is not None and read_stamp(carried) < instant
        case _:
            raise ValueError(f"an operator that these tests do not know: {operator}")


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


def trusts(policy: Mapping[str, Any], actions: Iterable[str], principal: str, context: Mapping[str, str]) -> bool:
    """Whether a trust policy of Allows lets the principal do all of the actions, with these condition keys.

    principal: an account's root ARN or a provider's. Raises ValueError for operators that it does not understand.
    """
    return all(
        any(
            action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
            and principal in each["Principal"].values()
            and all(
                _trusted(operator, context.get(key), value)
                for operator, keys in each["Condition"].items()
                for key, value in keys.items()
            )
            for each in policy["Statement"]
        )
        for action in actions
    )


def _trusted(operator: str, carried: str | None, value: str) -> bool:
    match operator:
        case "StringEquals" | "ArnEquals":  # none of Daypass's ARNs here has a wildcard
            return carried == value
        case "StringLike":
            return carried is not None and re.fullmatch(translate(value), carried) is not None
        case "Null":
            return (carried is None) == (value == "true")
        case _:
            raise ValueError(f"an operator that these tests do not know: {operator}")
