"""Charges: on which day they are counted, and what is said where the day is used up."""

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Quotas, Rule, Who
from chalicelib.core.quotas import Charge, held, one_emergency
from tests import builders
from tests.builders import HOUR, NOW

RULE = Rule(
    name="sre read", who=Who(groups=frozenset({"sre"})), roles=("read",), max_duration=2 * HOUR, max_per_day=4 * HOUR
)


def holding(length: timedelta = HOUR, at: datetime = NOW) -> Charge:
    charge = held("carol@example.com", RULE, "read", length, at)
    assert charge is not None
    return charge


def test_a_rule_that_counts_no_days_takes_nothing_out_of_them() -> None:
    assert held("carol@example.com", Rule(name="x", who=Who(), roles=()), "read", HOUR, NOW) is None


def test_holding_a_role_takes_its_seconds_and_an_emergency_takes_one() -> None:
    assert (holding().needs, holding().takes, holding().limit) == (3600, 3600, 4 * 3600)
    emergency = one_emergency("carol@example.com", Quotas(break_glass_per_day=3), NOW)
    assert (emergency.needs, emergency.takes, emergency.limit) == (1, 1, 3)


def test_only_asked_it_takes_nothing_and_given_back_it_needs_nothing() -> None:
    assert (holding().only_asked().needs, holding().only_asked().takes) == (3600, 0)
    assert (holding().given_back().needs, holding().given_back().takes) == (0, -3600)


@pytest.mark.parametrize(
    ("instant", "day", "over_at"),
    [
        ("2031-12-31T23:59:59+00:00", date(2031, 12, 31), "2032-01-01T00:00:00+00:00"),  # a year's end
        ("2032-01-01T00:00:00+00:00", date(2032, 1, 1), "2032-01-02T00:00:00+00:00"),
        ("2032-02-28T23:59:59+00:00", date(2032, 2, 28), "2032-02-29T00:00:00+00:00"),  # a leap year's
        ("2031-04-30T23:59:59+00:00", date(2031, 4, 30), "2031-05-01T00:00:00+00:00"),
        (
            "2031-03-30T01:30:00+02:00",
            date(2031, 3, 29),
            "2031-03-30T00:00:00+00:00",
        ),  # the day that Berlin's clock is set
        ("2031-03-05T23:30:00-08:00", date(2031, 3, 6), "2031-03-07T00:00:00+00:00"),
    ],
)
def test_the_day_is_utcs_and_is_over_at_its_midnight(instant: str, day: date, over_at: str) -> None:
    charge = holding(at=datetime.fromisoformat(instant))
    assert (charge.day, charge.over_at) == (day, datetime.fromisoformat(over_at))


@given(
    instant=builders.instants,
    offset=st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_every_instant_is_in_one_day_of_twenty_four_hours_in_whatever_zone_it_is_written(instant, offset) -> None:
    charge = holding(at=instant.astimezone(offset))
    assert charge.over_at - timedelta(days=1) <= instant < charge.over_at


def test_where_seconds_are_used_up_one_hears_what_was_asked_what_is_left_the_limit_its_rule_and_what_to_do() -> None:
    assert holding(2 * HOUR).refusal(3 * 3600).detail == (
        "2 h asked, 1 h left on 2031-03-05 (UTC) of 4 h a day without approval by rule 'sre read', 3 h used: "
        "ask for less, or from 2031-03-06T00:00:00Z on."
    )


def test_where_a_limit_was_lowered_below_what_is_used_nothing_is_left() -> None:
    assert "2 h asked, 0 s left on" in holding(2 * HOUR).refusal(9 * 3600).detail


def test_where_emergencies_are_used_up_one_hears_how_many_the_limit_and_when_the_next_may_be() -> None:
    assert one_emergency("carol@example.com", Quotas(), NOW).refusal(5).detail == (
        "5 emergencies opened on 2031-03-05 (UTC), 5 a day allowed by `break_glass_per_day` of the catalogue's quotas: "
        "the next may be opened from 2031-03-06T00:00:00Z on."
    )
