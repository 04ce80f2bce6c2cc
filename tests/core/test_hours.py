"""Hours, on ordinary days and on those on which clocks are set."""

import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.core.hours import DAYS, Hours

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
WEEK = frozenset(DAYS)

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # sets its clock at midnight
    "Asia/Beirut",  # to the day before
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two
    "America/Nuuk",  # leaves out the last hour of a day
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
# Two years by the minute: every zone's clock is set in them.
moments = st.integers(0, 2 * 366 * 24 * 60).map(lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + minutes * MINUTE)
times = st.integers(0, 24 * 60).map(lambda minutes: minutes * MINUTE)


def at(opens: int, closes: int, *, days=WEEK, zone=BERLIN, minutes: int = 0) -> Hours:
    hour = timedelta(hours=1)
    return Hours(days=frozenset(days), opens=opens * hour + minutes * MINUTE, closes=closes * hour, zone=zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "closing"),
    [
        ("2026-11-23T06:59:59", None),
        ("2026-11-23T07:00:00", "2026-11-23T17:00:00"),  # a Monday, 08:00 in Berlin
        ("2026-11-23T16:59:59", "2026-11-23T17:00:00"),
        ("2026-11-23T17:00:00", None),
        ("2026-07-06T05:59:59", None),
        ("2026-07-06T06:00:00", "2026-07-06T16:00:00"),  # summer time
        ("2026-11-22T12:00:00", None),  # a Sunday
    ],
)
def test_hours_are_what_the_zones_clock_shows_and_half_open(now: str, closing: str | None) -> None:
    hours = at(8, 18, days=DAYS[:5])
    assert hours.closing(utc(now)) == (utc(closing) if closing else None)


def test_the_day_is_the_zones_and_not_utcs() -> None:
    friday = at(8, 18, days=["fri"], zone=ZoneInfo("Pacific/Auckland"))
    assert friday.closing(utc("2026-11-26T20:00:00")) == utc("2026-11-27T05:00:00")
    assert friday.closing(utc("2026-11-27T20:00:00")) is None


def test_twenty_four_hundred_is_the_next_midnight() -> None:
    assert at(0, 24, days=["mon"]).closing(utc("2026-11-23T22:59:59")) == utc("2026-11-23T23:00:00")
    assert at(0, 24, days=["mon"]).closing(utc("2026-11-23T23:00:00")) is None


@pytest.mark.parametrize(
    ("day", "hours_long"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)]
)
def test_a_whole_day_is_as_long_as_the_day_is(day: str, hours_long: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=BERLIN).astimezone(UTC)
    assert at(0, 24).closing(midnight) == midnight + timedelta(hours=hours_long)


def test_a_time_that_the_clock_leaves_out_is_where_it_would_have_been() -> None:
    """29 March 2026, Berlin: after 01:59:59 comes 03:00:00."""
    opening = at(2, 18, minutes=30)
    assert opening.closing(utc("2026-03-29T01:29:59")) is None
    assert opening.closing(utc("2026-03-29T01:30:00")) == utc("2026-03-29T16:00:00")  # 03:30 there


def test_a_time_that_the_clock_shows_twice_is_the_first() -> None:
    """25 October 2026, Berlin: after 02:59:59 comes 02:00:00."""
    assert at(1, 3).closing(utc("2026-10-24T23:00:00")) == utc("2026-10-25T02:00:00")  # 02:00 to 03:00 comes twice
    ends_at_two = at(1, 2)
    assert ends_at_two.closing(utc("2026-10-24T23:59:59")) == utc("2026-10-25T00:00:00")
    assert ends_at_two.closing(utc("2026-10-25T01:00:00")) is None  # 02:00 for the second time


@given(now=moments, zone=zones, opens=times, closes=times, days=st.frozensets(st.sampled_from(DAYS), min_size=1))
def test_whatever_the_zone_and_day_hours_end_after_now_at_what_its_clock_shows(now, zone, opens, closes, days) -> None:
    hours = Hours(days=days, opens=opens, closes=closes, zone=zone)
    closing = hours.closing(now)
    if closing is None:
        return
    there = now.astimezone(zone)
    assert now < closing <= now + timedelta(hours=25)
    assert DAYS[there.weekday()] in days
    assert hours.closing(closing - SECOND) == closing
    assert hours.closing(closing) is None or (opens, closes) == (timedelta(0), timedelta(hours=24))  # one after another
    shown = (datetime.combine(there.date(), time()) + closes).replace(tzinfo=zone)
    if shown.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == shown.replace(tzinfo=None):  # not left out
        assert closing.astimezone(zone).replace(tzinfo=None) == shown.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-11-23T06:59:59", "2026-11-23T07:00:00"),  # a Monday, in a second
        ("2026-11-23T07:00:00", "2026-11-24T07:00:00"),  # it has begun: the next one
        ("2026-11-27T17:00:00", "2026-11-30T07:00:00"),  # over the weekend
        ("2026-12-31T17:00:00", "2027-01-01T07:00:00"),  # over the year's end
        ("2026-03-27T17:00:00", "2026-03-30T06:00:00"),  # into summer time
        ("2026-10-23T17:00:00", "2026-10-26T07:00:00"),  # out of it
    ],
)
def test_hours_open_next_when_the_zones_clock_shows_it(now: str, opening: str) -> None:
    assert at(8, 18, days=DAYS[:5]).opening(utc(now)) == utc(opening)


def test_hours_that_setting_the_clock_swallows_open_a_week_later() -> None:
    """29 March 2026, Berlin: from 02:30, which would be 03:30, to 03:00 there is no time at all."""
    early_on_sundays = at(2, 3, minutes=30, days=["sun"])
    assert early_on_sundays.opening(utc("2026-03-22T12:00:00")) == utc("2026-04-05T00:30:00")


@given(now=moments, zone=zones, opens=times, closes=times, days=st.frozensets(st.sampled_from(DAYS), min_size=1))
def test_whatever_the_zone_and_day_hours_open_after_now_and_never_in_between(now, zone, opens, closes, days) -> None:
    assume(opens < closes)
    hours = Hours(days=days, opens=opens, closes=closes, zone=zone)
    opening = hours.opening(now)
    assert now < opening <= now + timedelta(days=15)
    assert hours.closing(opening) is not None
    whole_days = (opens, closes) == (timedelta(0), timedelta(hours=24))
    assert hours.closing(opening - SECOND) is None or whole_days  # one after another
    if (closing := hours.closing(now)) is None:
        looked_at = {now + (opening - now) / 24 * part for part in range(24)} | {opening - SECOND}
        assert not any(map(hours.closing, looked_at))
        assert hours.opening(opening - SECOND) == opening
    else:
        assert opening >= closing


def test_zones_are_there_also_on_a_machine_that_brings_none_as_lambda_may() -> None:
    look = "from zoneinfo import ZoneInfo; ZoneInfo('Europe/Berlin')"
    subprocess.run([sys.executable, "-c", look], env={"PYTHONTZPATH": ""}, check=True)


@given(now=moments, opens=times, closes=times)
def test_in_utc_hours_are_plain_arithmetic(now, opens, closes) -> None:
    midnight = datetime.combine(now.date(), time(), UTC)
    inside = midnight + opens <= now < midnight + closes
    closing = Hours(days=WEEK, opens=opens, closes=closes, zone=ZoneInfo("UTC")).closing(now)
    assert closing == (midnight + closes if inside else None)
