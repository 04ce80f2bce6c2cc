"""Quotas: what a person may take out of a day, by whichever way in has room."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.broker import asking, deciding, emergency, ending, lending, revoking, seeing
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import Catalogue, Quotas, Rule, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.hours import DAYS, Hours
from chalicelib.core.life import State, Status
from chalicelib.core.refusals import (
    NotActive,
    QuotaUsed,
    Refusal,
    StsRefused,
    TooLong,
    TooManyOpen,
    Unavailable,
)
from chalicelib.core.request import Request, Verdict
from tests.broker.test_faults import Turned
from tests.broker.test_lending import wall
from tests.builders import HOUR, NOW, SECOND
from tests.fakes import Effect
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK
from tests.stage import CATALOGUE, Stage, an_ask, with_rules
from tests.turns import Turns

RULE = "engineers administer the sandbox"
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MIDNIGHT = NOW + 12 * HOUR
KEY = IdempotencyKey("POST /requests", "k-1")
SANDBOX = next(rule for rule in CATALOGUE.rules if rule.name == RULE)
FIRE = an_ask(reason="payments are down for everybody", break_glass=True)


def four_hours_a_day(*more: Rule, **changed: Any) -> Catalogue:
    """The sandbox for 2 h at once, 4 h a day; and whatever rules besides."""
    catalogue = with_rules((RULE, {"max_duration": 2 * HOUR, "max_per_day": 4 * HOUR, **changed}))
    return replace(catalogue, rules=(*catalogue.rules, *more))


def also(name: str, **changed: Any) -> Rule:
    """One more way into the sandbox, that counts no days."""
    return replace(SANDBOX, name=name, max_duration=2 * HOUR, **changed)


APPROVED = also("with approval", stages=(RuleStage(1, Who(groups=frozenset({"sre-leads"}))),))


def an_hour(length: timedelta = HOUR, **changed: Any):
    return an_ask("sandbox-admin", length, **changed)


def used(stage: Stage, day: datetime = NOW, rule: str = RULE) -> int:
    return stage.requests.used[ALICE.id, day.date(), "sandbox-admin", rule]


def held(stage: Stage, length: timedelta = HOUR) -> Request:
    """A request whose window is open."""
    request = stage.asked(ALICE, an_hour(length))
    stage.lent(request, ALICE)
    return stage.request(request.id)


def in_one_call(stage: Stage, length: timedelta = HOUR) -> Credentials | Request:
    return lending.ask_and_lend(stage.world, ALICE, an_hour(length), None)


# What is counted.


def test_the_window_is_taken_out_of_the_day_when_it_opens_and_not_when_it_is_asked_for() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    request = stage.asked(ALICE, an_hour(2 * HOUR))
    assert (used(stage), request.charged) == (0, ())
    stage.lent(request, ALICE)
    assert (used(stage), stage.request(request.id).charged) == (7200, (RULE,))
    issuing = stage.history(request.id)[1]
    assert (issuing.details["charged_seconds"], issuing.details["rule"]) == (7200, RULE)


def test_later_sessions_of_the_same_window_take_nothing_more() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    request = held(stage, 2 * HOUR)
    for _ in range(3):
        stage.pass_time(30 * MINUTE)
        stage.lent(request, ALICE)
    assert used(stage) == 7200
    assert ["charged_seconds" in event.details for event in stage.history(request.id)].count(True) == 1


def test_asking_and_receiving_in_one_call_takes_it_too() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    assert isinstance(in_one_call(stage, 2 * HOUR), Credentials)
    assert used(stage) == 7200


def test_a_second_too_much_is_refused_with_what_was_asked_what_is_left_the_rule_and_what_to_do() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    held(stage, 2 * HOUR)
    held(stage, HOUR)
    ready = stage.asked(ALICE, an_hour(HOUR))
    held(stage, 30 * MINUTE)
    told = (
        r"1 h asked, 30 min left on 2031-03-05 \(UTC\) of 4 h a day without approval by rule 'engineers administer the "
        r"sandbox', 3 h 30 min used: ask for less, or from 2031-03-06T00:00:00Z on\."
    )
    for act in (
        lambda: stage.lent(ready, ALICE),
        lambda: stage.asked(ALICE, an_hour(HOUR)),
        lambda: in_one_call(stage, HOUR),
    ):
        before = stage.requests.everything(after=None, limit=50).items
        with pytest.raises(QuotaUsed, match=told):
            act()
        assert stage.requests.everything(after=None, limit=50).items == before
    assert held(stage, 30 * MINUTE)
    assert used(stage) == 4 * 3600


def test_at_midnight_in_utc_the_whole_day_is_there_again_and_a_window_counts_where_it_opened() -> None:
    stage = Stage(catalogue=four_hours_a_day(), now=MIDNIGHT - SECOND)
    for _ in range(2):
        request = held(stage, 2 * HOUR)
    with pytest.raises(QuotaUsed):
        held(stage)
    stage.now = MIDNIGHT
    stage.lent(request, ALICE)  # it goes on over midnight, and was counted yesterday
    assert (used(stage), used(stage, MIDNIGHT)) == (4 * 3600, 0)
    held(stage, 2 * HOUR)
    assert used(stage, MIDNIGHT) == 7200


@pytest.mark.parametrize("day", ["2031-12-31", "2032-02-28", "2031-04-30", "2031-03-30", "2031-10-26"])
def test_days_are_as_long_at_the_ends_of_years_and_months_and_where_clocks_are_set(day: str) -> None:
    begins = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    stage = Stage(catalogue=four_hours_a_day(), now=begins)
    held(stage, 2 * HOUR)
    stage.now = begins + DAY - SECOND
    held(stage, 2 * HOUR)
    with pytest.raises(QuotaUsed, match=(begins + DAY).strftime("%Y-%m-%dT00:00:00Z")):
        held(stage)
    stage.now = begins + DAY
    assert held(stage)


def test_giving_back_and_being_revoked_leave_the_time_used() -> None:
    """Sessions that were lent live on into their wall."""
    stage = Stage(catalogue=four_hours_a_day())
    ending.give_back(stage.world, ALICE, held(stage, 2 * HOUR).id)
    revoking.revoke(stage.world, DAVE, held(stage, 2 * HOUR).id, comment="no more")
    with pytest.raises(QuotaUsed):
        held(stage)


def test_each_person_and_each_role_has_a_day_of_its_own() -> None:
    everything = four_hours_a_day(roles=("sandbox-admin", "payments-read"))
    stage = Stage(catalogue=replace(everything, rules=tuple(r for r in everything.rules if "read" not in r.name)))
    for _ in range(2):
        held(stage, 2 * HOUR)
    other = replace(ALICE, id="zoe@example.com")
    stage.lent(stage.asked(other, an_hour(2 * HOUR)), other)
    stage.lent(stage.asked(ALICE, an_ask("payments-read", 2 * HOUR)), ALICE)


def test_an_approvers_cut_is_what_counts_and_what_is_approved_counts_not_at_all() -> None:
    stage = Stage(catalogue=four_hours_a_day(APPROVED))
    for _ in range(2):
        held(stage, 2 * HOUR)
    request = stage.asked(ALICE, an_hour(2 * HOUR))
    deciding.approve(stage.world, FRANK, request.id, comment=None, duration=HOUR)
    stage.lent(request, ALICE)
    assert (used(stage), stage.request(request.id).charged) == (4 * 3600, ())


def test_an_emergency_takes_nothing_out_of_a_rules_day() -> None:
    glass = next(rule.break_glass for rule in CATALOGUE.rules if rule.break_glass)
    stage = Stage(catalogue=with_rules(("sre administer payments", {"stages": (), "max_per_day": 4 * HOUR})))
    assert glass is not None
    assert isinstance(lending.ask_and_lend(stage.world, CAROL, FIRE, None), Credentials)
    assert stage.requests.used == {(CAROL.id, NOW.date(), None, None): 1}


# A start that was asked for.


def test_a_scheduled_window_is_taken_out_of_the_day_of_its_first_use_for_what_is_left_of_it() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    request = stage.asked(ALICE, an_hour(2 * HOUR, starts_at=MIDNIGHT - HOUR))
    assert used(stage) == 0
    stage.now = MIDNIGHT + 30 * MINUTE
    stage.lent(request, ALICE)
    assert (used(stage), used(stage, MIDNIGHT)) == (0, 1800)


def test_a_scheduled_window_wants_room_in_the_day_on_which_it_begins() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    for _ in range(2):
        held(stage, 2 * HOUR)
    with pytest.raises(QuotaUsed):
        stage.asked(ALICE, an_hour(starts_at=MIDNIGHT - SECOND))
    assert stage.asked(ALICE, an_hour(starts_at=MIDNIGHT)).state(NOW) is State.SCHEDULED


# Giving back what was never had.


@pytest.mark.parametrize("starts_at", [None, NOW])
def test_given_sts_refuses_the_first_use_then_what_it_took_is_given_back_once(starts_at: datetime | None) -> None:
    stage = Stage(catalogue=four_hours_a_day())
    request = stage.asked(ALICE, an_hour(2 * HOUR, starts_at=starts_at))
    for _ in range(3):
        stage.lender.refuse_next()
        with pytest.raises(StsRefused):
            stage.lent(request, ALICE)
        assert (used(stage), stage.request(request.id).charged) == (0, ())
    assert stage.history(request.id)[-1].details["given_back_seconds"] == 7200
    stage.lent(request, ALICE)
    assert used(stage) == 7200


def test_given_the_table_took_too_long_then_it_is_given_back_too() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    request = stage.asked(ALICE, an_hour())
    stage.requests.meanwhile(lambda: stage.pass_time(lending.PATIENCE + SECOND))
    with pytest.raises(Unavailable):
        stage.lent(request, ALICE)
    assert used(stage) == 0


def test_given_it_fails_after_midnight_then_it_is_given_back_to_the_day_that_it_was_taken_from() -> None:
    stage = Stage(catalogue=four_hours_a_day(), now=MIDNIGHT - SECOND)
    request = stage.asked(ALICE, an_hour())
    lend = stage.lender.lend

    def at_midnight(plan):
        stage.now = MIDNIGHT
        return lend(plan)

    stage.lender.lend = at_midnight  # type: ignore[method-assign]
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(request, ALICE)
    assert (used(stage), used(stage, MIDNIGHT)) == (0, 0)


@pytest.mark.parametrize("effect", list(Effect))
def test_given_sts_does_not_answer_then_the_window_stays_open_and_taken(effect: Effect) -> None:
    stage = Stage(catalogue=four_hours_a_day())
    request = stage.asked(ALICE, an_hour(2 * HOUR))
    stage.lender.time_out_next(effect)
    with pytest.raises(Unavailable):
        stage.lent(request, ALICE)
    assert used(stage) == 7200
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(request, ALICE)
    assert used(stage) == 7200
    stage.lent(request, ALICE)
    assert used(stage) == 7200


def test_given_sts_refuses_an_emergency_then_it_was_opened_all_the_same() -> None:
    stage = Stage()
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        lending.ask_and_lend(stage.world, CAROL, FIRE, None)
    assert stage.requests.used.total() == 1
    [request] = stage.requests.everything(after=None, limit=9).items
    stage.lent(request)
    assert stage.requests.used.total() == 1


# By whichever way in has room.


def test_a_way_in_that_counts_no_days_wins_where_it_lends_as_long() -> None:
    stage = Stage(catalogue=four_hours_a_day(also("a free one"), also("z free one")))
    request = held(stage, 2 * HOUR)
    assert (used(stage), request.rule) == (0, "a free one")
    assert stage.history(request.id)[1].details["rule"] == "z free one"


def test_one_that_lends_longer_is_used_up_first_and_then_the_other_takes_over_in_the_same_call() -> None:
    stage = Stage(catalogue=four_hours_a_day(replace(also("short but free"), max_duration=HOUR)))
    for _ in range(2):
        held(stage, 2 * HOUR)
    request = held(stage, HOUR)
    assert (used(stage), request.charged) == (4 * 3600, ())
    assert stage.history(request.id)[1].details["rule"] == "short but free"
    assert isinstance(in_one_call(stage, HOUR), Credentials)


def test_of_several_that_count_days_each_is_used_up_before_anything_is_refused() -> None:
    others = [replace(also(f"{n} h"), max_duration=2 * HOUR, max_per_day=n * HOUR) for n in (2, 3)]
    stage = Stage(catalogue=four_hours_a_day(*others))
    for _ in range(4):
        held(stage, 2 * HOUR)
    assert [used(stage, rule=rule) for rule in (RULE, "2 h", "3 h")] == [4 * 3600, 7200, 7200]
    with pytest.raises(QuotaUsed, match=r"1 h left on 2031-03-05 .* by rule '3 h'"):
        held(stage, 2 * HOUR)
    assert held(stage, HOUR)
    with pytest.raises(QuotaUsed):
        in_one_call(stage, HOUR)


def test_where_a_day_is_used_up_what_needs_an_approval_waits_for_it() -> None:
    """Adding a rule that lends so much a day never takes away what another lends after an approval."""
    stage = Stage(catalogue=four_hours_a_day(APPROVED))
    for _ in range(2):
        held(stage, 2 * HOUR)
    asked, in_one = stage.asked(ALICE, an_hour()), in_one_call(stage)
    assert isinstance(in_one, Request)
    for request in (asked, in_one):
        assert (request.state(NOW), request.rule) == (State.PENDING, "with approval")
        shown, _ = seeing.story(stage.world, FRANK, request.id)
        assert seeing.current(stage.world, shown).stages == request.stages
        approved = deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
        assert (approved.status, approved.rule) == (Status.APPROVED, "with approval")
        stage.lent(request, ALICE)
        assert stage.history(request.id)[-2].details["rule"] == "with approval"
    assert used(stage) == 4 * 3600


def test_a_rule_with_room_never_stands_in_for_the_approvals_that_a_request_waits_for() -> None:
    two = replace(APPROVED, stages=(RuleStage(2, Who(groups=frozenset({"sre-leads"}))),))
    stage = Stage(catalogue=four_hours_a_day(two))
    for _ in range(2):
        held(stage, 2 * HOUR)
    request = stage.asked(ALICE, an_hour())
    stage.now = MIDNIGHT - 5 * HOUR
    after = deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert (after.state(stage.now), after.rule) == (State.PENDING, "with approval")
    stage.now = MIDNIGHT
    assert held(stage), "and the new day gives it at once to whoever asks anew"


def test_where_hours_are_over_what_needs_an_approval_waits_for_it_also_once_they_begin_again() -> None:
    office = Hours(days=frozenset(DAYS), opens=13 * HOUR, closes=18 * HOUR, zone=ZoneInfo("UTC"))
    two = replace(APPROVED, stages=(RuleStage(2, Who(groups=frozenset({"sre-leads"}))),))
    stage = Stage(catalogue=four_hours_a_day(two, hours=office, max_per_day=None))
    assert asking.dry_run(stage.world, ALICE, an_hour()).would == "needs-approval"
    assert asking.dry_run(stage.world, ALICE, an_hour(starts_at=NOW + HOUR)).would == "auto-approved"
    request = stage.asked(ALICE, an_hour())
    assert request.state(NOW) is State.PENDING
    stage.pass_time(HOUR)
    assert seeing.current(stage.world, stage.request(request.id)).rule == "with approval"
    after = deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert after.state(stage.now) is State.PENDING
    assert isinstance(in_one_call(stage), Credentials)


def test_of_two_that_ask_for_approvals_one_that_is_closed_does_not_stand_in_for_one_that_lends() -> None:
    leads = Who(groups=frozenset({"sre-leads"}))
    office = Hours(days=frozenset(DAYS), opens=13 * HOUR, closes=18 * HOUR, zone=ZoneInfo("UTC"))
    day, night = (
        also("one by day", hours=office, stages=(RuleStage(1, leads),)),
        also("two", stages=(RuleStage(2, leads),)),
    )
    stage = Stage(catalogue=replace(CATALOGUE, rules=(day, night)))
    request = stage.asked(ALICE, an_hour())
    first = deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert (first.state(NOW), first.rule) == (State.PENDING, "two")
    second = deciding.approve(stage.world, BOB, request.id, comment=None, duration=None)
    assert (second.state(NOW), second.rule) == (State.READY, "two")
    assert stage.lent(request, ALICE)
    by_day = stage.asked(ALICE, an_hour(starts_at=NOW + HOUR))
    assert deciding.approve(stage.world, FRANK, by_day.id, comment=None, duration=None).rule == "one by day"


def test_a_ready_request_whose_day_was_used_up_since_is_asked_for_anew_and_waits_then() -> None:
    stage = Stage(catalogue=four_hours_a_day(APPROVED))
    ready = stage.asked(ALICE, an_hour())
    assert ready.state(NOW) is State.READY
    for _ in range(2):
        held(stage, 2 * HOUR)
    with pytest.raises(QuotaUsed):
        stage.lent(ready, ALICE)
    assert stage.asked(ALICE, an_hour()).state(NOW) is State.PENDING


def test_a_window_opened_by_one_rule_is_taken_out_of_anothers_day_once_that_lends_it_on() -> None:
    office = Hours(days=frozenset(DAYS), opens=timedelta(0), closes=13 * HOUR, zone=ZoneInfo("UTC"))
    stage = Stage(catalogue=four_hours_a_day(also("in the morning", hours=office), max_duration=HOUR))
    request = held(stage, 2 * HOUR)
    stage.catalogue = four_hours_a_day(also("in the morning", hours=office))
    assert (used(stage), wall(stage)) == (0, "2031-03-05T13:00:00Z")
    stage.now = NOW + HOUR + 15 * MINUTE
    for _ in range(2):
        stage.lent(request, ALICE)
        assert (used(stage), wall(stage)) == (45 * 60, "2031-03-05T14:00:00Z")


def test_a_request_that_its_rule_was_charged_for_goes_on_though_the_day_is_used_up() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    first = held(stage, 2 * HOUR)
    held(stage, 2 * HOUR)
    stage.catalogue = four_hours_a_day(max_per_day=2 * HOUR)
    stage.pass_time(HOUR)
    assert stage.lent(first, ALICE).expiration == NOW + 2 * HOUR


def test_a_rule_that_counts_days_only_by_now_counts_what_is_left_of_a_window() -> None:
    stage = Stage(catalogue=four_hours_a_day(max_per_day=None))
    request = held(stage, 2 * HOUR)
    stage.catalogue = four_hours_a_day()
    stage.pass_time(HOUR)
    stage.lent(request, ALICE)
    assert used(stage) == 3600


def test_hours_are_told_where_no_rule_lends_now_and_the_day_where_those_that_do_are_used_up() -> None:
    office = Hours(days=frozenset(DAYS), opens=14 * HOUR, closes=18 * HOUR, zone=ZoneInfo("UTC"))
    stage = Stage(catalogue=four_hours_a_day(hours=office))
    with pytest.raises(NotActive, match="next from 2031-03-05T14:00:00Z"):
        held(stage)
    stage.pass_time(2 * HOUR)
    for _ in range(2):
        held(stage, 2 * HOUR)
    with pytest.raises(QuotaUsed):
        held(stage)


def test_an_ask_longer_than_its_rule_is_too_long_before_any_day_is_looked_at() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    with pytest.raises(TooLong, match="3 h asked, 2 h allowed by rule"):
        stage.asked(ALICE, an_hour(3 * HOUR))


def test_the_same_key_finds_its_request_though_the_day_is_used_up_by_now() -> None:
    stage = Stage(catalogue=four_hours_a_day())
    first = asking.ask(stage.world, ALICE, an_hour(2 * HOUR), KEY)
    for _ in range(2):
        held(stage, 2 * HOUR)
    assert asking.ask(stage.world, ALICE, an_hour(2 * HOUR), KEY).request == first.request


def test_a_dry_run_tells_how_much_there_is_a_day_and_looks_at_none() -> None:
    stage = Stage(catalogue=four_hours_a_day(APPROVED))
    for _ in range(2):
        held(stage, 2 * HOUR)
    dry = asking.dry_run(stage.world, ALICE, an_hour())
    assert dry.would == "auto-approved"
    assert any("It lends 4 h a day (UTC) of the same role at most." in why for why in dry.why)


limits = st.none() | st.integers(2, 6).map(lambda hours: hours * HOUR)
ways = st.lists(
    st.builds(
        lambda hours, per_day, closes, staged: {
            "max_duration": hours * HOUR,
            "max_per_day": None if staged or per_day is None else max(per_day, hours * HOUR),
            "hours": closes
            and Hours(days=frozenset(DAYS), opens=timedelta(0), closes=closes * HOUR, zone=ZoneInfo("UTC")),
            "stages": APPROVED.stages if staged else (),
        },
        st.integers(3, 4),  # as long as is asked for, at least: each admits the ask
        limits,
        st.sampled_from([None, 12, 13, 24]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(ways=ways, extra=ways, taken=st.lists(st.integers(0, 6 * 3600), min_size=8, max_size=8), asked=st.integers(1, 3))
def test_adding_a_rule_never_takes_away_what_was_to_be_had_whatever_is_used_of_the_day(
    ways: list[Any], extra: list[Any], taken: list[int], asked: int
) -> None:
    """At once rather than after an approval or at another hour, and that rather than not at all."""

    def outcome(terms: list[Any]) -> int:
        rules = tuple(replace(SANDBOX, name=f"{n}", **each) for n, each in enumerate(terms))
        stage = Stage(catalogue=replace(CATALOGUE, rules=rules))
        for n, each in enumerate(taken):
            stage.requests.used[ALICE.id, NOW.date(), "sandbox-admin", f"{n}"] = each
        with suppress(Refusal):
            return 2 if isinstance(in_one_call(stage, asked * HOUR), Credentials) else 1
        with suppress(Refusal):
            return 1 if stage.asked(ALICE, an_hour(asked * HOUR)) else 0  # no rule lends at this hour
        return 0

    assert outcome(ways) <= outcome([*ways, *extra])


# So many emergencies a day.


def with_quotas(**changed: int) -> Catalogue:
    return replace(CATALOGUE, quotas=Quotas(**changed))


def broken(stage: Stage) -> str:
    """An emergency, reviewed at once, so that only the day counts."""
    lent = lending.ask_and_lend(stage.world, CAROL, FIRE, None)
    assert isinstance(lent, Credentials)
    emergency.review(stage.world, DAVE, lent.request_id, verdict=Verdict.JUSTIFIED, comment="seen")
    return lent.request_id


def test_as_many_emergencies_a_day_as_the_catalogue_says_and_no_more_until_midnight() -> None:
    stage = Stage(catalogue=with_quotas(break_glass_per_day=2))
    for _ in range(2):
        broken(stage)
    told = (
        r"2 emergencies opened on 2031-03-05 \(UTC\), 2 a day allowed by `break_glass_per_day` of the catalogue's "
        r"quotas: the next may be opened from 2031-03-06T00:00:00Z on\."
    )
    before = stage.requests.everything(after=None, limit=50).items
    for act in (lambda: broken(stage), lambda: stage.asked(CAROL, FIRE)):
        with pytest.raises(QuotaUsed, match=told):
            act()
    assert stage.requests.everything(after=None, limit=50).items == before
    stage.now = MIDNIGHT - SECOND
    with pytest.raises(QuotaUsed):
        broken(stage)
    stage.now = MIDNIGHT
    assert broken(stage)


def test_escalating_counts_as_opening_one_and_is_refused_the_same_way() -> None:
    stage = Stage(catalogue=with_quotas(break_glass_per_day=1))
    first, second = stage.asked(), stage.asked()
    emergency.escalate(stage.world, CAROL, first.id, reason="nobody answers and it burns")
    with pytest.raises(QuotaUsed):
        emergency.escalate(stage.world, CAROL, second.id, reason="nobody answers and it burns")
    assert stage.request(second.id) == second
    with pytest.raises(QuotaUsed):
        broken(stage)


def test_five_a_day_where_the_catalogue_says_nothing_and_ordinary_asks_count_not_at_all() -> None:
    stage = Stage()
    for _ in range(6):
        stage.asked()
    for _ in range(5):
        broken(stage)
    with pytest.raises(QuotaUsed):
        broken(stage)
    assert stage.approved()


def test_sessions_of_an_emergency_count_once() -> None:
    stage = Stage()
    id = broken(stage)
    for _ in range(5):
        stage.lent(stage.request(id))
    assert stage.requests.used.total() == 1


def test_a_limit_that_is_lowered_holds_at_once_and_one_that_is_raised_lets_in_at_once() -> None:
    stage = Stage()
    for _ in range(3):
        broken(stage)
    stage.catalogue = with_quotas(break_glass_per_day=2)
    with pytest.raises(QuotaUsed, match=r"3 emergencies opened on 2031-03-05 .* 2 a day allowed"):
        broken(stage)
    stage.catalogue = with_quotas(break_glass_per_day=4)
    assert broken(stage)


def test_an_emergency_that_is_asked_for_twice_with_one_key_counts_once() -> None:
    stage = Stage(catalogue=with_quotas(break_glass_per_day=1))
    key = IdempotencyKey("POST /credentials", "k-1")
    stage.requests.fail_next(Effect.AFTER)
    with pytest.raises(Unavailable):
        lending.ask_and_lend(stage.world, CAROL, FIRE, key)
    assert isinstance(lending.ask_and_lend(stage.world, CAROL, FIRE, key), Credentials)
    assert stage.requests.used.total() == 1


# So many open requests.


def test_as_many_open_requests_as_the_catalogue_says_today() -> None:
    stage = Stage(catalogue=with_quotas(open_requests=2))
    for _ in range(2):
        stage.asked()
    with pytest.raises(TooManyOpen, match=r"2 requests of yours are open, 2 allowed by `open_requests`"):
        stage.asked()
    stage.catalogue = with_quotas(open_requests=3)
    stage.asked()
    stage.catalogue = with_quotas(open_requests=1)
    with pytest.raises(TooManyOpen, match=r"3 requests of yours are open, 1 allowed by `open_requests`"):
        stage.asked()


# Every order in which two first uses can reach the world, of two requests for one window's worth of a day.

ORDERS = sorted(set(itertools.permutations("AAAABBBB")))


@pytest.mark.parametrize("refused", [None, "A", "B", "AB"])
@pytest.mark.parametrize("order", ORDERS, ids="".join)
def test_two_first_uses_in_any_order_never_hold_more_than_the_day_allows(
    order: tuple[str, ...], refused: str | None
) -> None:
    stage = Stage(catalogue=four_hours_a_day(max_per_day=2 * HOUR))
    ids = {side: stage.asked(ALICE, an_hour(2 * HOUR)).id for side in "AB"}
    turns, lend = Turns(order), stage.lender.lend
    names = {ids[side] for side in refused or ""}

    def refusing(plan):
        if plan.tags["daypass:request"] in names:
            raise StsRefused("no", "AccessDenied")
        return lend(plan)

    stage.lender.lend = refusing  # type: ignore[method-assign]

    def use(side: str) -> str:
        try:
            lending.lend(Turned(stage, turns, side).world, ALICE, ids[side])
            return "lent"
        except Refusal as refusal:
            return refusal.slug
        finally:
            turns.over(side)

    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip("AB", pool.map(use, "AB"), strict=True))
    open_windows = [request for id in ids.values() if (request := stage.request(id)).window]
    assert used(stage) == 7200 * len(open_windows) <= 7200
    assert +stage.requests.used == stage.told()
    assert Counter(outcomes.values())["lent"] == len(open_windows)
    if refused is None:
        assert sorted(outcomes.values()) == ["lent", "quota-used"]


@pytest.mark.parametrize("escalating", [False, True], ids=["two opened", "one escalated"])
@pytest.mark.parametrize("order", sorted(set(itertools.permutations("AAABBB"))), ids="".join)
def test_of_two_emergencies_in_any_order_one_is_opened_where_one_a_day_may_be(
    order: tuple[str, ...], escalating: bool
) -> None:
    stage = Stage(catalogue=with_quotas(break_glass_per_day=1))
    pending, turns = stage.asked(), Turns(order)

    def burn(side: str) -> str:
        world = Turned(stage, turns, side).world
        try:
            if escalating and side == "B":
                emergency.escalate(world, CAROL, pending.id, reason=FIRE.reason)
            else:
                lending.ask_and_lend(world, CAROL, FIRE, None)
            return "opened"
        except Refusal as refusal:
            return refusal.slug
        finally:
            turns.over(side)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(burn, "AB")) == ["opened", "quota-used"]
    assert (
        sum(stage.types(r.id).count("break_glass.opened") for r in stage.requests.everything(after=None, limit=9).items)
        == 1
    )
    assert +stage.requests.used == stage.told()
