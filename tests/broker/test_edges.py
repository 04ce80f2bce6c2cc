"""Arithmetic at the edges: fractions of a second, clocks that differ, days on which clocks are set, ends of years."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.hours import DAYS, Hours
from chalicelib.core.life import State, Window
from chalicelib.core.refusals import Invalid, NotActive
from chalicelib.core.times import read_stamp
from tests.broker.test_lending import wall
from tests.builders import HOUR, NOW, SECOND
from tests.iam import allowed
from tests.people import ALICE
from tests.stage import Stage, an_ask, with_rules

A_MICROSECOND = timedelta(microseconds=1)
fractions = st.integers(0, 999_999).map(lambda count: count * A_MICROSECOND)
offsets = st.integers(-2_000_000, 2_000_000).map(lambda count: count * A_MICROSECOND)


def seen(instant: datetime) -> datetime:
    """What Daypass's clock shows at an instant: whole seconds, up to one behind (tests/test_wiring.py)."""
    return instant.replace(microsecond=0)


@given(opens=fractions, length=st.integers(60, 8 * 3600), off=offsets)
def test_a_clock_that_cuts_fractions_off_never_lets_a_session_outlive_its_length_nor_costs_it_a_second(
    opens: timedelta, length: int, off: timedelta
) -> None:
    """Asked for within two seconds of the end: it is refused, or walled where the window ends."""
    opened = NOW + opens
    stage = Stage(now=seen(opened))
    request = stage.asked(ALICE, an_ask("sandbox-admin", length * SECOND))
    stage.lent(request, ALICE)
    end = stage.request(request.id).window.ends_at  # type: ignore[union-attr]
    assert opened + length * SECOND - SECOND < end <= opened + length * SECOND
    asked = end + off
    stage.now = seen(asked)
    if asked >= end:
        with pytest.raises(NotActive, match="ended at"):
            stage.lent(request, ALICE)
    else:
        assert stage.lent(request, ALICE).expiration == end == read_stamp(wall(stage))
    for plan in stage.lender.plans:
        assert allowed(plan.policy, "s3:GetObject", "*", end - A_MICROSECOND)
        assert not allowed(plan.policy, "s3:GetObject", "*", end)


def test_with_four_tenths_of_a_second_left_a_session_is_lent_that_ends_with_them() -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin", 60 * SECOND))
    stage.lent(request, ALICE)
    stage.now = seen(NOW + timedelta(seconds=59.6))
    assert stage.lent(request, ALICE).expiration == NOW + 60 * SECOND
    assert wall(stage) == "2031-03-05T12:01:00Z"
    assert stage.lender.plans[-1].duration == 900 * SECOND  # STS lends for no less; the wall ends it


def test_and_where_those_pass_while_sts_makes_it_it_is_not_handed_out() -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin", 60 * SECOND))
    stage.lent(request, ALICE)
    stage.now = seen(NOW + timedelta(seconds=59.6))
    lend = stage.lender.lend

    def slowly(plan):
        stage.now = seen(NOW + timedelta(seconds=60.1))
        return lend(plan)

    stage.lender.lend = slowly  # type: ignore[method-assign]
    with pytest.raises(NotActive, match="2031-03-05T12:01:00Z"):
        stage.lent(request, ALICE)


@pytest.mark.parametrize("ahead", [timedelta(0), 59 * SECOND, 60 * SECOND, -HOUR])
def test_a_token_whose_issuers_clock_is_another_one_moves_no_window(ahead: timedelta) -> None:
    stage = Stage()
    who = replace(ALICE, authenticated_at=NOW + ahead)
    request = stage.asked(who, an_ask("sandbox-admin"))
    assert stage.lent(request, who).expiration == NOW + HOUR
    assert stage.request(request.id).window == Window(NOW, NOW + HOUR)


@pytest.mark.parametrize("behind", [SECOND, 90 * SECOND, HOUR])
def test_a_start_by_a_callers_clock_that_is_behind_is_refused_and_tells_the_time_here(behind: timedelta) -> None:
    with pytest.raises(Invalid, match="it is 2031-03-05T12:00:00Z here: leave it out"):
        Stage().asked(ALICE, an_ask("sandbox-admin", starts_at=NOW - behind))


@pytest.mark.parametrize("ahead", [SECOND, 90 * SECOND, HOUR])
def test_and_by_one_that_is_ahead_it_begins_that_much_later_and_no_earlier(ahead: timedelta) -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin", starts_at=NOW + ahead))
    stage.now = NOW + ahead - SECOND
    with pytest.raises(NotActive, match="begins at"):
        stage.lent(request, ALICE)
    stage.now = NOW + ahead
    assert stage.lent(request, ALICE).expiration == NOW + ahead + HOUR


@pytest.mark.parametrize("starts_at", ["2032-03-05T12:00:00", "2041-03-05T12:00:00", "9999-12-31T23:59:59"])
@pytest.mark.parametrize("zone", [None, "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_start_years_ahead_is_refused_also_by_rules_with_hours(starts_at: str, zone: str | None) -> None:
    hours = zone and Hours(days=frozenset(DAYS), opens=HOUR, closes=2 * HOUR, zone=ZoneInfo(zone))
    stage = Stage(catalogue=with_rules(("engineers administer the sandbox", {"hours": hours})))
    with pytest.raises(Invalid, match="more than 30 days ahead"):
        stage.asked(ALICE, an_ask("sandbox-admin", starts_at=datetime.fromisoformat(starts_at).replace(tzinfo=UTC)))


@pytest.mark.parametrize(
    "begins",
    [
        "2031-12-31T20:00:00",  # over a year's end
        "2032-02-28T20:00:00",  # into a leap day
        "2032-02-29T20:00:00",
        "2031-04-30T20:00:00",
        "2031-03-29T22:00:00",  # over the hour that Europe's clocks leave out
        "2031-10-25T22:00:00",  # over the one that they show twice
        "2031-03-09T05:00:00",  # America's
        "2031-11-02T04:00:00",
    ],
)
@pytest.mark.parametrize("scheduled", [False, True])
def test_a_window_is_as_long_as_it_was_asked_for_wherever_it_lies(begins: str, scheduled: bool) -> None:
    begin = datetime.fromisoformat(begins).replace(tzinfo=UTC)
    stage = Stage(now=begin - HOUR if scheduled else begin)
    request = stage.asked(ALICE, an_ask("sandbox-admin", 8 * HOUR, starts_at=begin if scheduled else None))
    stage.now = begin
    stage.lent(request, ALICE)
    assert stage.request(request.id).window == Window(begin, begin + 8 * HOUR)
    stage.now = begin + 8 * HOUR - SECOND
    assert stage.lent(request, ALICE).expiration == begin + 8 * HOUR
    stage.now = begin + 8 * HOUR
    assert stage.request(request.id).state(stage.now) is State.ENDED


def test_a_clock_that_is_set_back_lends_no_longer() -> None:
    """Of two instances one may be behind: what the first one opened is what the second lends."""
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin"))
    stage.lent(request, ALICE)
    stage.now = NOW - 5 * SECOND
    assert stage.lent(request, ALICE).expiration <= NOW + HOUR
    assert wall(stage) == "2031-03-05T13:00:00Z"
    stage.now = NOW + HOUR
    with pytest.raises(NotActive):
        stage.lent(request, ALICE)
