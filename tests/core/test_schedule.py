"""A start that was asked for: at its edges, to the second."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.life import Expired, State, Status, Window, state
from chalicelib.core.refusals import Invalid
from chalicelib.core.schedule import FURTHEST, answer_by, window_asked, window_cut
from chalicelib.core.times import read_instant, stamp
from tests.builders import HOUR, NOW, SECOND

MONTH = int(FURTHEST.total_seconds())
starts = st.integers(0, MONTH).map(lambda seconds: NOW + seconds * SECOND)
lengths = st.integers(60, 12 * 3600).map(lambda seconds: timedelta(seconds=seconds))
moments = st.integers(-3600, MONTH + 24 * 3600).map(lambda seconds: NOW + seconds * SECOND)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def test_without_a_start_there_is_no_window_yet() -> None:
    assert window_asked(None, HOUR, NOW) is None
    assert window_cut(None, HOUR, NOW) is None
    assert answer_by(NOW, None) == NOW


@pytest.mark.parametrize("ahead", [timedelta(0), SECOND, FURTHEST - SECOND, FURTHEST])
def test_a_start_from_now_to_thirty_days_ahead_is_a_window(ahead: timedelta) -> None:
    assert window_asked(NOW + ahead, HOUR, NOW) == Window(NOW + ahead, NOW + ahead + HOUR)


@pytest.mark.parametrize(
    ("starts_at", "why"),
    [
        (NOW - SECOND, "past"),
        (datetime(1, 1, 1, tzinfo=UTC), "past"),
        (NOW + FURTHEST + SECOND, "30 days"),
        (datetime.max.replace(tzinfo=UTC), "30 days"),
    ],
)
def test_a_second_outside_is_refused_by_the_fields_name_and_tells_the_time_here(starts_at: datetime, why: str) -> None:
    with pytest.raises(Invalid, match=why) as refusal:
        window_asked(starts_at, HOUR, NOW)
    assert [error.field for error in refusal.value.errors] == ["starts_at"]
    assert stamp(NOW) in refusal.value.detail


@given(starts_at=starts, asked=lengths, cut=lengths, now=moments)
def test_a_cut_moves_the_end_and_never_the_start_and_never_into_the_past(starts_at, asked, cut, now) -> None:
    window = Window(starts_at, starts_at + asked)
    if now >= starts_at + cut:
        with pytest.raises(Invalid) as refusal:
            window_cut(window, cut, now)
        assert [error.field for error in refusal.value.errors] == ["duration_seconds"]
    else:
        assert window_cut(window, cut, now) == Window(starts_at, starts_at + cut)


@given(starts_at=starts, length=lengths, now=moments)
def test_the_three_clocks_never_mix(starts_at, length, now) -> None:
    """Whenever one looks: an answer counts until its own end, and approved it is before, inside or after the window."""
    window = Window(starts_at, starts_at + length)
    answer = answer_by(NOW + 8 * HOUR, window)
    assert answer <= window.ends_at

    def at(status: Status) -> tuple[State, Expired | None]:
        return state(status, answer_by=answer, use_by=None, window=window, now=now)

    pending = (State.PENDING, None) if now < answer else (State.EXPIRED, Expired.UNANSWERED)
    assert at(Status.PENDING) == pending
    inside = State.SCHEDULED if now < starts_at else State.ACTIVE if now < window.ends_at else State.ENDED
    assert at(Status.APPROVED) == (inside, None)
    assert at(Status.USED) == (State.ENDED if now >= window.ends_at else State.ACTIVE, None)


@given(starts_at=starts, length=lengths, now=moments, skew=st.integers(-5, 5))
def test_clocks_that_differ_by_seconds_differ_about_the_state_for_those_seconds_only(
    starts_at, length, now, skew
) -> None:
    window = Window(starts_at, starts_at + length)
    off = skew * SECOND

    def at(now: datetime) -> State:
        return state(Status.APPROVED, answer_by=NOW, use_by=None, window=window, now=now)[0]

    edges = (window.starts_at, window.ends_at)
    if all(abs(now - edge) > abs(off) for edge in edges):
        assert at(now) is at(now + off)


@given(instant=starts, zone=offsets)
def test_an_instant_is_the_same_in_every_zone(instant: datetime, zone: timezone) -> None:
    assert read_instant(instant.astimezone(zone).isoformat()) == instant
    assert read_instant(stamp(instant)).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2031-03-05T14:00:00Z", "2031-03-05T14:00:00Z"),
        ("2031-03-05T14:00:00.000Z", "2031-03-05T14:00:00Z"),
        ("2031-03-05T14:00:00-00:00", "2031-03-05T14:00:00Z"),
        ("2031-03-05T14:00:00+05:45", "2031-03-05T08:15:00Z"),
        ("2031-03-30T02:30:00+01:00", "2031-03-30T01:30:00Z"),  # no clock in Berlin shows it, but it says its zone
        ("2032-02-29T23:59:59Z", "2032-02-29T23:59:59Z"),
    ],
)
def test_an_instant_is_read_as_rfc_3339_writes_it(text: str, means: str) -> None:
    assert stamp(read_instant(text)) == means


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "1930000000",
        "2031-03-05",
        "2031-03-05T14:00:00",  # no zone
        "2031-03-05T14:00Z",
        "2031-03-05 14:00:00Z",
        "2031-03-05T14:00:00.5Z",
        "2031-03-05T14:00:60Z",
        "2031-06-30T23:59:60Z",  # a leap second
        "2031-03-05T14:60:00Z",
        "2031-03-05T24:00:00Z",
        "2031-02-29T14:00:00Z",
        "2031-13-01T14:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2031-03-05T14:00:00+24:00",
        "2031-03-05T14:00:00+01:60",
        "2031-03-05T14:00:00Z\n",
        "٢٠٣١-03-05T14:00:00Z",
    ],
)
def test_what_is_no_instant_in_whole_seconds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write an instant|no such instant"):
        read_instant(text)
