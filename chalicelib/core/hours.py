"""Hours: on which days, from when to when, by which clock on the wall a rule lends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AHEAD = 15  # days: each day of the week comes twice in them, for setting the clock can swallow short hours whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """`[opens, closes)` on each of the days. days: names of DAYS.

    opens, closes: what the zone's clock shows, as lengths since midnight; closes is later, and 24 h at most.
    On a day on which the clock is set, a time that it shows twice is the first of the two, and a time that it leaves
    out is where it would have been: hours are one interval on every day.
    """

    days: frozenset[str]
    opens: timedelta
    closes: timedelta
    zone: ZoneInfo

    def closing(self, now: datetime) -> datetime | None:
        """The end (UTC) of the hours that `now` is in; None outside of them."""
        today = now.astimezone(self.zone).date()
        closes = self._instant(today, self.closes)
        opened = DAYS[today.weekday()] in self.days and self._instant(today, self.opens) <= now
        return closes if opened and now < closes else None

    def opening(self, now: datetime) -> datetime:
        """The next instant (UTC) after `now` at which hours begin, also where `now` is in some."""
        today = now.astimezone(self.zone).date()
        begins = (self._instant(today + timedelta(days=ahead), self.opens) for ahead in range(_AHEAD))
        return next(instant for instant in begins if now < instant and self.closing(instant))

    def _instant(self, day: date, shown: timedelta) -> datetime:
        # Within one zone Python adds what the clock shows, not what passes.
        return (datetime.combine(day, time(), self.zone) + shown).astimezone(UTC)

    def __str__(self) -> str:
        """`mon,tue 08:00-18:00 Europe/Berlin`."""
        days = ",".join(day for day in DAYS if day in self.days)
        return f"{days} {_shown(self.opens)}-{_shown(self.closes)} {self.zone.key}"


def _shown(since_midnight: timedelta) -> str:
    hours, minutes = divmod(int(since_midnight.total_seconds()) // 60, 60)
    return f"{hours:02}:{minutes:02}"
