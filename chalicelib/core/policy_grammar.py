"""The grammar of session policies that Daypass hands to STS: what it reads, and every fault of what it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from chalicelib.core.refusals import FieldError, Invalid

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
VERSION = "2012-10-17"
_DEEPEST = 6  # policy, statements, statement, condition, operator, values
_STATEMENT_KEYS = ("Effect", "Sid", "Action", "NotAction", "Resource", "NotResource", "Condition")
_SID = re.compile(r"[A-Za-z0-9]*")
_ACTION = re.compile(r"\*(:\*)?|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_RESOURCE = re.compile(r"\*|arn:[\x20-\xff]+")
_ONE_OF_EACH = (
    ("Action", "NotAction", _ACTION, "an action such as s3:GetObject, or *"),
    ("Resource", "NotResource", _RESOURCE, "an ARN or *"),
)

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
_OPERATOR = re.compile(
    r"(For(AllValues|AnyValue):)?"
    r"((String(Not)?(Equals(IgnoreCase)?|Like)"
    r"|(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)"
    r"|Arn(Not)?(Equals|Like)|(Not)?IpAddress|Bool|BinaryEquals)(IfExists)?|Null)"
)
_CONDITION_KEY = re.compile(r"[A-Za-z0-9._-]+:[\x20-\x7e\xa0-\xff]+")
# The characters of a session policy: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
_TEXT = re.compile(r"[\t\n\r\x20-\xff]*")

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_MISTAKES_TOLD = 20


def read_policy(text: str, path: str) -> dict[str, object]:
    """A session policy from its JSON text; a key given twice is an error, and so is all that `faults` names.

    path: what the text is called in the errors. Raises Invalid with the first twenty of them.
    """
    try:
        document: dict[str, object] = parsed(text)
    except ValueError as error:
        raise Invalid(f"{path} is not JSON.", (FieldError(path, f"is not the JSON of a policy: {error}"),)) from None
    if errors := tuple(islice(faults(document, path), _MISTAKES_TOLD)):
        raise Invalid(f"{path} is not a session policy that Daypass hands on.", errors)
    return document


def minified(document: object) -> str:
    """JSON without white space, in ASCII: what could pass for something else (U+202E) stands there as its escape."""
    return json.dumps(document, separators=(",", ":"))


def parsed(text: str) -> Any:
    """The JSON of what should be a policy.

    Raises ValueError for what is no JSON, is nested deeper than any policy, or has a key twice in one object.
    """
    depth = 0
    for token in _BRACKETS.findall(text):
        depth += (token in "[{") - (token in "]}")
        if depth > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
    # A policy holds no numbers; read as floats they cannot be too long for Python's integers.
    return json.loads(text, object_pairs_hook=_no_key_twice, parse_int=float, parse_constant=_no_constant)


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"it has the key {key!r:.80} twice in one object")
        members[key] = value
    return members


def _no_constant(name: str) -> object:
    raise ValueError(f"JSON knows no {name}")


def faults(document: object, path: str) -> Iterator[FieldError]:
    """All that keeps a parsed document from being a session policy which Daypass hands to STS, each with its path.

    Stricter than AWS in this: elements and operators are spelt as AWS's pages spell them, a condition's values are
    strings, and a statement holds only Effect, Sid, Action, NotAction, Resource, NotResource and Condition.
    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
    """
    if not isinstance(document, dict):
        yield FieldError(path, "must be a JSON object")
        return
    yield from _unknown_keys(document, ("Version", "Statement"), path)
    if document.get("Version") != VERSION:
        yield FieldError(f"{path}.Version", f'must be "{VERSION}"')
    match document.get("Statement"):
        case dict() as statement:
            yield from _statement_faults(statement, f"{path}.Statement")
        case [_, *_] as statements:
            yield from _statements_faults(statements, f"{path}.Statement")
        case _:
            yield FieldError(f"{path}.Statement", "must be a statement or a list of at least one")


def _unknown_keys(part: dict[str, object], known: tuple[str, ...], path: str) -> Iterator[FieldError]:
    for key in part:
        if key not in known:
            yield FieldError(path, f"may not hold {key!r:.80}, only {', '.join(known)}")


def _statements_faults(statements: list[object], path: str) -> Iterator[FieldError]:
    sids: set[str] = set()
    for number, statement in enumerate(statements):
        yield from _statement_faults(statement, f"{path}[{number}]")
        sid = statement.get("Sid") if isinstance(statement, dict) else None
        if isinstance(sid, str) and sid:
            if sid in sids:
                yield FieldError(f"{path}[{number}].Sid", "is the Sid of an earlier statement")
            sids.add(sid)


def _statement_faults(statement: object, path: str) -> Iterator[FieldError]:
    if not isinstance(statement, dict):
        yield FieldError(path, "must be a JSON object")
        return
    yield from _unknown_keys(statement, _STATEMENT_KEYS, path)
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield FieldError(f"{path}.Effect", 'must be "Allow" or "Deny"')
    if "Sid" in statement:
        yield from _string_faults(statement["Sid"], f"{path}.Sid", _SID, "letters and digits")
    for element, inverse, valid, expected in _ONE_OF_EACH:
        given = [key for key in (element, inverse) if key in statement]
        if len(given) != 1:
            yield FieldError(path, f"must hold exactly one of {element} and {inverse}")
        for key in given:
            yield from _values_faults(statement[key], f"{path}.{key}", valid, expected)
    if "Condition" in statement:
        yield from _condition_faults(statement["Condition"], f"{path}.Condition")


def _condition_faults(condition: object, path: str) -> Iterator[FieldError]:
    if not (isinstance(condition, dict) and condition):
        yield FieldError(path, "must be a JSON object that names an operator")
        return
    for operator, keys in condition.items():
        if not _OPERATOR.fullmatch(operator):
            yield FieldError(path, f"{operator!r:.80} is not an operator that IAM knows")
        elif not (isinstance(keys, dict) and keys):
            yield FieldError(f"{path}.{operator}", "must be a JSON object that names a key")
        else:
            yield from _condition_keys_faults(keys, f"{path}.{operator}")


def _condition_keys_faults(keys: dict[str, object], path: str) -> Iterator[FieldError]:
    for key, values in keys.items():
        if _CONDITION_KEY.fullmatch(key):
            yield from _values_faults(values, f"{path}.{key}", _TEXT, "a string of characters up to U+00FF")
        else:
            yield FieldError(path, f"{key!r:.80} is not a condition key such as aws:SourceIp")


def _values_faults(values: object, path: str, valid: re.Pattern[str], expected: str) -> Iterator[FieldError]:
    match values:
        case [_, *_]:
            for number, value in enumerate(values):
                yield from _string_faults(value, f"{path}[{number}]", valid, expected)
        case []:
            yield FieldError(path, "must not be empty")
        case _:
            yield from _string_faults(values, path, valid, expected)


def _string_faults(value: object, path: str, valid: re.Pattern[str], expected: str) -> Iterator[FieldError]:
    if not (isinstance(value, str) and valid.fullmatch(value)):
        yield FieldError(path, f"must be {expected}")
