"""The core's values as JSON knows them, and back.

Instants are stamps, lengths are whole seconds, sets are sorted lists. A None is left out, and what is left out is read
as the field's default: an optional field that is added later finds older items as they should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from chalicelib.core.times import read_stamp, stamp


def plain(value: Any) -> Any:
    """A value of the core: dataclasses and what they hold."""
    match value:
        case datetime():
            return stamp(value)
        case timedelta():
            return int(value.total_seconds())
        case StrEnum():
            return value.value
        case frozenset():
            return sorted(value)
        case tuple():
            return [plain(each) for each in value]
        case Mapping():
            return dict(value)
        case _ if is_dataclass(value):
            pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
            return {name: plain(each) for name, each in pairs if each is not None}
        case _:
            return value


def read(kind: Any, value: Any) -> Any:
    """The value of type `kind` that `plain` wrote. Raises ValueError where one is missing that has no default."""
    if NoneType in get_args(kind):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
        return None if value is None else read(kind, value)
    if value is None:
        raise ValueError(f"nothing where {kind} belongs")
    if get_origin(kind) in (tuple, frozenset):
        return get_origin(kind)(read(get_args(kind)[0], each) for each in value)
    if kind is datetime:
        return read_stamp(value)
    if kind is timedelta:
        return timedelta(seconds=value)
    if isinstance(kind, type) and is_dataclass(kind):
        shape = _shape(kind)
        return kind(
            **{name: read(of, value.get(name)) for name, of, has_default in shape if name in value or not has_default}
        )
    return kind(value) if isinstance(kind, type) and issubclass(kind, StrEnum) else value


@cache
def _shape(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """Of each field of a dataclass: its name, its type and whether it has a default."""
    hints = get_type_hints(kind)
    return tuple(
        (field.name, hints[field.name], not (field.default is MISSING and field.default_factory is MISSING))
        for field in fields(kind)
    )
