"""Hours bound what is lent and its wall; a freeze, or doubt, stops approving and lending, and nothing else."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from chalicelib.broker import asking, deciding, emergency, ending, lending, revoking
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.hours import DAYS, Hours
from chalicelib.core.life import State, Window
from chalicelib.core.refusals import CatalogueStale, NotActive, NotEligible, Refusal
from chalicelib.core.request import Request
from tests.broker.test_lending import wall
from tests.builders import HOUR, NOW, SECOND
from tests.people import ALICE, CAROL, FRANK
from tests.stage import CATALOGUE, Stage, an_ask, with_rules

RULE = "engineers administer the sandbox"
FROZEN = replace(CATALOGUE, frozen=True)
DOUBTED = replace(CATALOGUE, doubt="It is not known whether this catalogue is the newest.")
HALTED = pytest.mark.parametrize(
    ("catalogue", "refusal", "says"),
    [(FROZEN, NotEligible, "^The catalogue is frozen: "), (DOUBTED, CatalogueStale, "^It is not known whether this ")],
    ids=["frozen", "in doubt"],
)
SANDBOX = an_ask("sandbox-admin", 8 * HOUR)
# NOW is a Wednesday, 13:00 in Berlin.
OFFICE = Hours(days=frozenset(DAYS[:5]), opens=8 * HOUR, closes=18 * HOUR, zone=ZoneInfo("Europe/Berlin"))
CLOSING = NOW + 5 * HOUR
OPENING = NOW + 19 * HOUR


def in_office_hours(*, also: Hours | None = OFFICE, **changed: object) -> Stage:
    return Stage(catalogue=with_rules((RULE, {"hours": also, **changed})))


def test_a_session_ends_with_todays_hours_where_its_window_does_not_end_before() -> None:
    stage = in_office_hours()
    request = stage.asked(ALICE, SANDBOX)
    stage.pass_time(4 * HOUR + HOUR / 2)
    assert stage.lent(request, ALICE).expiration == CLOSING
    assert wall(stage) == "2031-03-05T17:00:00Z"
    assert stage.request(request.id).window == Window(stage.now, stage.now + 8 * HOUR)


def test_a_session_ends_with_its_window_where_the_hours_go_on() -> None:
    stage = in_office_hours()
    request = stage.asked(ALICE, an_ask("sandbox-admin"))
    assert stage.lent(request, ALICE).expiration == NOW + HOUR
    assert wall(stage) == "2031-03-05T13:00:00Z"


def test_outside_of_its_hours_nothing_is_lent_and_the_refusal_names_them() -> None:
    stage = in_office_hours(max_duration=12 * HOUR)
    request = stage.asked(ALICE, an_ask("sandbox-admin", 12 * HOUR, starts_at=OPENING - 2 * HOUR))
    stage.now = OPENING - SECOND
    with pytest.raises(NotActive, match=r"mon,tue,wed,thu,fri 08:00-18:00 Europe/Berlin"):
        stage.lent(request, ALICE)
    assert stage.types(request.id) == ["request.submitted"]
    stage.now = OPENING
    assert stage.lent(request, ALICE)
    assert wall(stage) == "2031-03-06T17:00:00Z"


@pytest.mark.parametrize(("starts_in", "told"), [(17 * HOUR, True), (18 * HOUR, False)])
def test_and_where_the_access_is_over_before_they_open_next_that_is_said(starts_in: timedelta, told: bool) -> None:
    stage = in_office_hours()
    request = stage.asked(ALICE, an_ask("sandbox-admin", 2 * HOUR, starts_at=NOW + starts_in))
    stage.now = NOW + starts_in
    with pytest.raises(NotActive, match="next from 2031-03-06T07:00:00Z") as refusal:
        stage.lent(request, ALICE)
    assert ("too late for this request: ask again" in refusal.value.detail) is told


def test_a_dry_run_says_when_a_rule_lends_by_the_start_that_is_asked_for_or_by_now() -> None:
    stage = in_office_hours()
    for wish, when in [
        (SANDBOX, "until 2031-03-05T17:00:00Z."),
        (an_ask("sandbox-admin", starts_at=CLOSING), "next from 2031-03-06T07:00:00Z."),
        (an_ask("sandbox-admin", starts_at=OPENING), "until 2031-03-06T17:00:00Z."),
    ]:
        dry = asking.dry_run(stage.world, ALICE, wish)
        assert dry.would == "auto-approved"
        assert any(f"in its hours only, {OFFICE}: {when}" in why for why in dry.why)


@HALTED
def test_a_dry_run_says_that_the_catalogue_is_halted_but_to_those_whom_that_does_not_stop(
    catalogue: Catalogue, refusal: type[Refusal], says: str
) -> None:
    stage = Stage(catalogue=catalogue)
    for who, wish in ((ALICE, SANDBOX), (CAROL, an_ask())):
        whys = asking.dry_run(stage.world, who, wish).why
        assert says.removeprefix("^") in whys[-1]
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    [why] = asking.dry_run(stage.world, CAROL, fire).why
    assert "The catalogue" not in why
    assert "is not known" not in why
    assert "5 times a day (UTC) at most" in why


def test_at_the_closing_second_it_is_over_and_asking_stays_possible() -> None:
    stage = in_office_hours()
    request = stage.asked(ALICE, SANDBOX)
    stage.now = CLOSING - SECOND
    assert stage.lent(request, ALICE).expiration == CLOSING
    stage.now = CLOSING
    with pytest.raises(NotActive, match="hours"):
        stage.lent(request, ALICE)
    with pytest.raises(NotActive, match="hours"):
        lending.ask_and_lend(stage.world, ALICE, SANDBOX, None)
    assert stage.asked(ALICE, SANDBOX).state(stage.now) is State.READY


def test_another_way_in_without_hours_is_never_shortened_by_one_that_has_them() -> None:
    always = next(rule for rule in CATALOGUE.rules if rule.name == RULE)
    office = replace(always, name="z in office hours", max_duration=12 * HOUR, hours=OFFICE)
    stage = Stage(catalogue=replace(CATALOGUE, rules=(*CATALOGUE.rules, office)))
    request = stage.asked(ALICE, SANDBOX)
    stage.now = CLOSING - HOUR / 2
    assert stage.lent(request, ALICE).expiration == stage.now + HOUR
    assert wall(stage) == (stage.now + 8 * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
    stage.now = CLOSING + HOUR
    assert stage.lent(request, ALICE)


@pytest.mark.parametrize(
    ("day", "closes"), [("2031-03-30", "2031-03-30T16:00:00Z"), ("2031-10-26", "2031-10-26T17:00:00Z")]
)
def test_on_the_days_on_which_clocks_are_set_the_wall_stands_where_the_clock_shows_it(day: str, closes: str) -> None:
    stage = in_office_hours(also=replace(OFFICE, days=frozenset({"sun"})))
    stage.now = NOW.fromisoformat(f"{day}T12:00:00+00:00")
    stage.lent(stage.asked(ALICE, SANDBOX), ALICE)
    assert wall(stage) == closes


@HALTED
def test_given_a_halt_then_nothing_is_approved_and_nothing_lent_and_asking_stays_possible(
    catalogue: Catalogue, refusal: type[Refusal], says: str
) -> None:
    stage = Stage()
    used, ready, pending = stage.approved(), stage.approved(), stage.asked()
    stage.lent(used)
    stage.catalogue = catalogue

    def approve() -> Request:
        return deciding.approve(stage.world, FRANK, pending.id, comment=None, duration=None)

    for act in (
        lambda: stage.lent(used),
        lambda: stage.lent(ready),
        approve,
        lambda: lending.ask_and_lend(stage.world, ALICE, SANDBOX, None),
    ):
        before = stage.requests.everything(after=None, limit=50).items
        with pytest.raises(refusal, match=says):
            act()
        assert stage.requests.everything(after=None, limit=50).items == before
    assert stage.asked(CAROL).state(NOW) is State.PENDING
    stage.catalogue = CATALOGUE
    assert approve().state(NOW) is State.READY
    assert stage.lent(used)


@HALTED
def test_given_a_halt_then_the_glass_is_broken_and_its_sessions_go_on(
    catalogue: Catalogue, refusal: type[Refusal], says: str
) -> None:
    stage = Stage(catalogue=catalogue)
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    lent = lending.ask_and_lend(stage.world, CAROL, fire, None)
    assert isinstance(lent, Credentials)
    assert stage.lent(stage.request(lent.request_id))
    pending = stage.asked()
    escalated = emergency.escalate(stage.world, CAROL, pending.id, reason="payments are down for everybody")
    assert escalated.break_glass


@HALTED
def test_given_a_halt_then_saying_no_taking_back_taking_away_and_giving_back_stay_possible(
    catalogue: Catalogue, refusal: type[Refusal], says: str
) -> None:
    stage = Stage()
    used, ready, pending = stage.approved(), stage.approved(), stage.asked()
    revoked = stage.approved()
    stage.lent(used)
    stage.lent(revoked)
    stage.catalogue = catalogue
    assert revoking.revoke(stage.world, FRANK, revoked.id, comment="no more").state(NOW) is State.REVOKED
    assert deciding.deny(stage.world, FRANK, pending.id, comment="no").state(NOW) is State.DENIED
    assert ending.cancel(stage.world, CAROL, ready.id).state(NOW) is State.CANCELLED
    assert ending.give_back(stage.world, CAROL, used.id).state(NOW) is State.RETURNED


def test_a_freeze_keeps_what_no_approval_is_due_for_ready_and_does_not_stop_its_clock() -> None:
    stage = Stage(catalogue=FROZEN)
    request = stage.asked(ALICE, SANDBOX)
    assert request.state(NOW) is State.READY
    assert request.state(NOW + 8 * HOUR - timedelta(seconds=1)) is State.READY
    assert request.state(NOW + 8 * HOUR) is State.EXPIRED
