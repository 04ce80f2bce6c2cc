"""Session policies: what a pass may do until the wall at its end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from chalicelib.core.catalogue import Scope
from chalicelib.core.policy_grammar import VERSION, minified, read_policy
from chalicelib.core.refusals import FieldError, Invalid
from chalicelib.core.times import stamp

# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (Policy)
LONGEST = 2048

PARAMETER = re.compile(r"[a-z][a-z0-9_]*")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html: a key with its prefix, or *, ?, $
_AWS_VARIABLE = re.compile(r"[*?$]|[^${}:]+:[^${}]+")
_FILLED_IN = frozenset({"Resource", "NotResource", "Condition"})
_HARMLESS = re.compile(r"""[^*?${}\\"'\x00-\x1f\x7f-\U0010ffff]{0,256}""")

_ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_CLIMBS = ("sts:AssumeRoot", "sts:GetWebIdentityToken", "signin:AuthorizeOAuth2Access", "signin:CreateOAuth2Token")


def scope_policy(scope: Scope, parameters: Mapping[str, str]) -> str:
    """The permissions of a scope whose parameters are filled in, as minified JSON, without the wall.

    Raises Invalid for a parameter that is missing, unknown, no full match of its pattern, not printable ASCII, over 256
    characters long, or holds what could change the policy's meaning: a wildcard, `$`, a brace, a backslash, a quote.
    """
    if errors := tuple(_parameter_errors(scope, parameters)):
        raise Invalid(f"The scope {scope.name} cannot be filled in with these parameters.", errors)
    return filled_in(scope.policy, parameters)


def _parameter_errors(scope: Scope, parameters: Mapping[str, str]) -> Iterator[FieldError]:
    for name in sorted(scope.parameters.keys() | parameters.keys()):
        if problem := _parameter_problem(scope.parameters.get(name), parameters.get(name)):
            yield FieldError(f"scope.parameters.{name}", problem)


def _parameter_problem(pattern: str | None, value: str | None) -> str | None:
    if pattern is None:
        return "is not a parameter of this scope"
    if value is None:
        return "is missing"
    if not _HARMLESS.fullmatch(value):
        return "must be at most 256 printable ASCII characters without * ? $ { } \\ and quotes"
    return None if re.fullmatch(pattern, value, re.ASCII) else f"must match {pattern}"


def filled_in(policy: Mapping[str, object], values: Mapping[str, str]) -> str:
    """The policy, minified, with its `${name}` replaced in the string values of Resource, NotResource and Condition."""
    return minified(_filled_in(policy, values, within=False))


def _filled_in(part: object, values: Mapping[str, str], *, within: bool) -> object:
    match part:
        case str() if within:
            return _VARIABLE.sub(lambda variable: values.get(variable[1], variable[0]), part)
        case list():
            return [_filled_in(item, values, within=within) for item in part]
        case Mapping():
            return {key: _filled_in(item, values, within=within or key in _FILLED_IN) for key, item in part.items()}
        case _:
            return part


def caller_policy(text: str) -> str:
    """A caller's own session policy, checked and minified. Raises Invalid that names what is wrong and where."""
    return minified(read_policy(text, "session_policy"))


def with_wall(permissions: str | None, *, ends_at: datetime, chaining: tuple[str, ...]) -> str:
    """The session policy that STS gets: the permissions until `ends_at`, and nothing that climbs over that wall.

    permissions: what `scope_policy` or `caller_policy` made; None: all that the role may.
    chaining: the ARNs (with IAM's wildcards) of the roles that the session may assume further.
    Neither can weaken the Denies, since an explicit Deny wins. The length does not depend on `ends_at`.
    Raises Invalid where it is longer than the 2048 characters that STS takes.
    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (Policy) and
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    statements = json.loads(permissions)["Statement"] if permissions else _ALLOW_ALL
    if isinstance(statements, dict):
        statements = [statements]
    text = minified({"Version": VERSION, "Statement": [*statements, *_wall(ends_at, chaining)]})
    if len(text) > LONGEST:
        own = len(text) - len(permissions or "")
        problem = f"is {len(text)} characters long, {own} of them Daypass's own, and STS takes {LONGEST}"
        raise Invalid(f"The session policy {problem}.", (FieldError("session_policy", problem),))
    return text


def _wall(ends_at: datetime, chaining: tuple[str, ...]) -> Iterator[Mapping[str, object]]:
    # A Deny, not an Allow that ends: a bucket policy that names the session grants past a session policy's Allow.
    over = {"DateGreaterThanEquals": {"aws:CurrentTime": stamp(ends_at)}}
    yield {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": over}
    # What a session lends on would outlive it.
    if chaining:
        yield {"Effect": "Deny", "Action": "sts:AssumeRole", "NotResource": chaining}
        yield {"Effect": "Deny", "Action": _CLIMBS, "Resource": "*"}
    else:
        yield {"Effect": "Deny", "Action": ("sts:AssumeRole", *_CLIMBS), "Resource": "*"}


def variables(policy: Mapping[str, object]) -> frozenset[str]:
    """The names in all `${…}` of a policy, AWS's own included."""
    return frozenset(_VARIABLE.findall(minified(policy)))


def variable_faults(policy: Mapping[str, object], parameters: Mapping[str, str], path: str) -> Iterator[FieldError]:
    """Every `${…}` of a scope's policy that no parameter and no variable of AWS's can fill in, each with its path."""
    for place, text, within in _texts(policy, path, within=False):
        if "${" not in text:
            continue
        for name in _VARIABLE.findall(text):
            if problem := _variable_problem(name, parameters, within=within):
                yield FieldError(place, f"{f'${{{name}}}'!r:.80} {problem}")
        if "${" in _VARIABLE.sub("", text):
            yield FieldError(place, "opens a ${ that it does not close")


def _variable_problem(name: str, parameters: Mapping[str, str], *, within: bool) -> str | None:
    if not within:
        return "may stand only in the values of Resource, NotResource and Condition"
    if name in parameters or _AWS_VARIABLE.fullmatch(name):
        return None
    if PARAMETER.fullmatch(name):
        return "is not among the scope's parameters"
    return "is neither a parameter (lower-case letters, digits and _) nor a variable of AWS's"


def _texts(part: object, path: str, *, within: bool) -> Iterator[tuple[str, str, bool]]:
    """Every string of a policy, keys too: its path, itself, and whether parameters may stand in it."""
    match part:
        case str():
            yield path, part, within
        case list():
            for number, item in enumerate(part):
                yield from _texts(item, f"{path}[{number}]", within=within)
        case Mapping():
            for key, item in part.items():
                yield path, key, False
                name = key if key.isprintable() else repr(key)
                yield from _texts(item, f"{path}.{name}", within=within or key in _FILLED_IN)
