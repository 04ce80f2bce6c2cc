"""Which statements of a role's trust policy could have let a caller in: by whom they name, whatever their conditions.

CloudTrail tells who called, but neither what the policy was at that time nor whether its conditions held.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chalicelib.core.trail import Caller

_ACTIONS: Final[Mapping[str | None, str]] = {
    "WebIdentityUser": "sts:AssumeRoleWithWebIdentity",
    "SAMLUser": "sts:AssumeRoleWithSAML",
}
_ACCOUNT = re.compile(r"(?:arn:[a-z-]+:iam::)?([0-9]{12})(?::root)?", re.ASCII)
_SESSION = re.compile(r"(arn:[a-z-]+):sts::([0-9]{12}):assumed-role/([^/]+)/.+", re.ASCII)
_LONGEST_SID = 64


def could_admit(policy: object, caller: Caller) -> list[str]:
    """The statements, by Sid or by number from 1 on, with a word on those that have conditions."""
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    several = statements if isinstance(statements, list) else [statements]
    return [
        _called(number, each)
        for number, each in enumerate(several, start=1)
        if isinstance(each, dict) and each.get("Effect") == "Allow" and _allows(each, caller) and _names(each, caller)
    ]


def _called(number: int, statement: Mapping[str, Any]) -> str:
    sid = statement.get("Sid")
    name = sid[:_LONGEST_SID] if isinstance(sid, str) and sid else f"statement {number}"
    return f"{name}, if its conditions held" if statement.get("Condition") else name


def _allows(statement: Mapping[str, Any], caller: Caller) -> bool:
    action = _ACTIONS.get(caller.kind, "sts:AssumeRole").lower()
    if "NotAction" in statement:
        return not any(_like(each, action) for each in _texts(statement["NotAction"]))
    return any(_like(each, action) for each in _texts(statement.get("Action")))


def _like(pattern: str, action: str) -> bool:
    """Actions are compared whatever their case."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern.lower())
    return re.fullmatch("".join(parts), action) is not None


def _names(statement: Mapping[str, Any], caller: Caller) -> bool:
    principal = statement.get("Principal")
    if "NotPrincipal" in statement or principal == "*":
        return True
    if not isinstance(principal, dict):
        return False
    saml = caller.kind == "SAMLUser" and any(":saml-provider/" in each for each in _texts(principal.get("Federated")))
    named = (*_texts(principal.get("Federated")), *_texts(principal.get("Service")))
    return (
        saml
        or any(_is(each, caller) for each in named)
        or any(_is_aws(each, caller) for each in _texts(principal.get("AWS")))
    )


def _is(value: str, caller: Caller) -> bool:
    """A web identity's principalId begins with its provider, one that only its account knows with its unique id."""
    return caller.name is not None and (caller.name == value or caller.name.startswith(f"{value}:"))


def _is_aws(value: str, caller: Caller) -> bool:
    if value == "*" or _is(value, caller):
        return True
    if caller.account_id is None:
        return False
    if account := _ACCOUNT.fullmatch(value):
        return account[1] == caller.account_id
    if caller.kind == "AWSAccount":  # the role's account is not told more of a caller from elsewhere
        return value.split(":")[4:5] == [caller.account_id]
    session = _SESSION.fullmatch(caller.name or "")
    return session is not None and _is_role(value, *session.groups())


def _is_role(value: str, partition: str, account: str, role: str) -> bool:
    """A session's ARN leaves out the path of its role."""
    return value.startswith(f"{partition}:iam::{account}:role/") and value.rpartition("/")[2] == role


def _texts(value: object) -> Iterator[str]:
    yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))
