"""Instants and lengths as Daypass writes them: RFC 3339 in UTC with a `Z`, lengths as `90m` or `4h`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.0{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)
_LENGTH = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNIT = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def stamp(instant: datetime) -> str:
    """`2026-11-23T12:00:00Z`: RFC 3339, UTC, whole seconds (a fraction is cut off). `instant` must be aware."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a zone")
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def read_stamp(text: str) -> datetime:
    """The instant that `stamp` wrote. Raises ValueError for anything else."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def read_instant(text: str) -> datetime:
    """An instant as callers write it, in UTC: RFC 3339 with any zone, whole seconds. Raises ValueError, in words.

    A leap second (`:60`) is refused: no clock that Daypass or IAM compares with ever shows one.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError("write an instant in whole seconds and with its zone, as in 2026-11-23T12:00:00Z")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such instant") from None


def read_length(text: str) -> timedelta:
    """`30s`, `15m`, `4h`, `2d`. Raises ValueError for anything else."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a length: write a whole number and s, m, h or d, as in 90m or 4h")
    return int(match[1]) * _UNIT[match[2]]


def spoken(length: timedelta) -> str:
    """A length for people: `4 h`, `1 h 30 min`, `45 s`."""
    seconds = int(length.total_seconds())
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
