"""The core's values as JSON knows them, and back.

Instants are stamps, lengths are whole seconds, sets are sorted lists. A None is left out, and what is left out is read
as the field's default: an optional field that is added later finds older items as they should be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from chalicelib.core.times import read_stamp, stamp


def plain(value: Any) -> Any:
    """A value of the core: dataclasses and what they hold."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind in _WRITTEN:
        return _WRITTEN[kind](value)
    if is_dataclass(value):
        return {name: plain(each) for name, each in members(value).items() if each is not None}
    return value.value if isinstance(value, StrEnum) else dict(value)


def members(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, as they are."""
    kind: type = type(value)
    return {name: getattr(value, name) for name in _names(kind)}


_AS_THEY_ARE = frozenset({str, int, bool, NoneType})
_WRITTEN: Mapping[type, Callable[[Any], Any]] = {
    datetime: stamp,
    timedelta: lambda length: int(length.total_seconds()),
    frozenset: sorted,
    tuple: lambda several: [plain(each) for each in several],
    list: lambda several: [plain(each) for each in several],
}


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


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
