"""The hours of a rule in the catalogue file: days, two times of the day and a zone."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from chalicelib.core.catalogue_file.mistakes import Say
from chalicelib.core.catalogue_file.shape import HoursShape
from chalicelib.core.hours import DAYS, Hours

_TIME = re.compile(r"(?P<hours>[01][0-9]|2[0-4]):(?P<minutes>[0-5][0-9])", re.ASCII)
_MIDNIGHT = timedelta(hours=24)


def read_hours(shape: HoursShape, place: str, say: Say) -> Hours | None:
    """None where something is wrong, all of which is said."""
    days = _days(shape.days, f"{place}.days", say)
    opens, closes = _time(shape.opens, f"{place}.from", say), _time(shape.closes, f"{place}.to", say)
    zone = _zone(shape.zone, f"{place}.zone", say)
    if opens is None or closes is None or zone is None or not days:
        return None
    if opens >= closes:
        say(f"{place}.to", "must be later than from: hours end on the day on which they begin, at 24:00 the latest")
    return Hours(days=days, opens=opens, closes=closes, zone=zone)


def _days(text: str, place: str, say: Say) -> frozenset[str]:
    """Days and ranges of them, which may go over the end of a week: `mon-fri`, `sat,sun`, `sun-thu`."""
    found: set[str] = set()
    for part in text.split(","):
        first, _, last = part.partition("-") if "-" in part else (part, "", part)
        if first not in DAYS or last not in DAYS:
            say(place, f'{text!r:.80} must name days, as in "mon-fri" or "sat,sun"')
            return frozenset()
        begin, length = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % len(DAYS) + 1
        found.update((DAYS * 2)[begin : begin + length])
    return frozenset(found)


def _time(text: str, place: str, say: Say) -> timedelta | None:
    match = _TIME.fullmatch(text)
    found = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"])) if match else None
    if found is None or found > _MIDNIGHT:
        say(place, f'{text!r:.80} must be a time of the day, as in "08:00"')
        return None
    return found


def _zone(name: str, place: str, say: Say) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone; no name of one; the name of a folder of zones
        say(place, f'there is no time zone {name!r:.80}: name one as in "Europe/Berlin"')
        return None
