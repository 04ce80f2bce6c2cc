"""The fields of a CloudTrail record: what is missing, empty, misshapen or absurdly long is None."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

LONGEST_ID = 128
LONGEST_TEXT = 2048
"""An ARN's length; everything else that is kept is shorter."""

# What follows runs a dozen times for every event: JSON gives exactly str and dict, and `is` is quicker than isinstance.

Fields = Mapping[str, Any]

_NOTHING: Fields = {}
_MOST_TAGS = 50
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# As Java writes it: older records lack the comma before the time, newer runtimes put U+202F before AM and PM.
_EXPIRATION = re.compile(
    rf"({'|'.join(_MONTHS)}) ([0-9]{{1,2}}), ([0-9]{{4}}),? (1[0-2]|[1-9]):([0-9]{{2}}):([0-9]{{2}})[ \u202f](AM|PM)"
)
_DENIED_ROLE = re.compile(r"on resource: (arn:[a-z-]{1,20}:iam::[0-9]{12}:role/[!-~]{1,600})", re.ASCII)


def inner(of: Fields, name: str) -> Fields:
    """The object of that name; an empty one where there is none."""
    value = of.get(name)
    return value if type(value) is dict else _NOTHING


def short(of: Fields, name: str) -> str | None:
    """A name or an id, of 128 characters at most."""
    value = of.get(name)
    return value if type(value) is str and 0 < len(value) <= LONGEST_ID else None


def text(of: Fields, name: str) -> str | None:
    """An ARN or something like it, of 2,048 characters at most."""
    value = of.get(name)
    return value if type(value) is str and 0 < len(value) <= LONGEST_TEXT else None


def texts(*values: Any) -> Sequence[str | None]:
    """Each as `text` reads it, all in one call."""
    for value in values:
        if value is not None and not (type(value) is str and 0 < len(value) <= LONGEST_TEXT):
            return [each if type(each) is str and 0 < len(each) <= LONGEST_TEXT else None for each in values]
    return values


def error_code(record: Fields) -> str | None:
    """None only where there is none: one that is absurd is cut, since an error must never be taken for a success."""
    code = record.get("errorCode")
    if code is None or code == "":
        return None
    return code[:LONGEST_ID] if isinstance(code, str) else "?"


@lru_cache(maxsize=4096)
def instant(text: str | None) -> datetime | None:
    """ISO 8601 with its zone, in UTC. creationDate was once written without separators: `20131102T010628Z`."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is UTC else at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def expiration(value: object) -> datetime | None:
    """`Jul 10, 2023, 12:21:41 PM`, which is UTC without saying so."""
    match = _EXPIRATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    month, day, year, hour, minute, second = (_MONTHS.index(match[1]) + 1, *map(int, match.groups()[1:6]))
    try:
        return datetime(year, month, day, hour % 12 + 12 * (match[7] == "PM"), minute, second, tzinfo=UTC)
    except ValueError:
        return None


def tags(asked: Fields) -> Iterator[tuple[str, str]]:
    """What came down a role chain, what a web identity's token says, and the call's own session tags: 50 each."""
    for name in ("incomingTransitiveTags", "principalTags"):
        for key, value in list(inner(asked, name).items())[:_MOST_TAGS]:
            if _fits(key) and _fits(value):
                yield key, value
    given = asked.get("tags")
    for tag in given[:_MOST_TAGS] if isinstance(given, list) else []:
        if isinstance(tag, dict) and _fits(tag.get("key")) and _fits(tag.get("value")):
            yield tag["key"], tag["value"]


def _fits(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def denied_role(record: Fields) -> str | None:
    """The role at the end of AWS's message on a denial, `… on resource: arn:aws:iam::…:role/…`, where it names one."""
    message = record.get("errorMessage")
    match = _DENIED_ROLE.search(message[:LONGEST_TEXT]) if isinstance(message, str) else None
    return match[1] if match else None


def corrected(record: Fields) -> str | None:
    """The eventID that this record is an addendum to. One that only says why an event is late names none."""
    return short(inner(record, "addendum"), "originalEventID")
