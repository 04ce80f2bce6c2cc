"""EventBridge's patterns, as far as Daypass's templates use them. An operator that is not known raises ValueError.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MISSING = object()


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    return all(_field(name, wanted, event) for name, wanted in pattern.items())


def _field(name: str, wanted: Any, event: Any) -> bool:
    if name == "$or":
        return any(matches(each, event) for each in wanted)
    if isinstance(event, list):  # of objects: any of them
        return any(_field(name, wanted, each) for each in event)
    found = event.get(name, _MISSING) if isinstance(event, Mapping) else _MISSING
    if isinstance(wanted, Mapping):
        return matches(wanted, found)
    values = found if isinstance(found, list) else [found]
    return any(_one(operator, value) for operator in wanted for value in values)


def _one(operator: Any, value: Any) -> bool:
    match operator:
        case {"prefix": start}:
            return isinstance(value, str) and value.startswith(start)
        case {"suffix": end}:
            return isinstance(value, str) and value.endswith(end)
        case {"anything-but": other}:
            return value is not _MISSING and value != other
        case {"exists": wanted}:
            return (value is not _MISSING) is wanted
        case str():
            return bool(value == operator)
    raise ValueError(f"an operator that these tests do not know: {operator}")
