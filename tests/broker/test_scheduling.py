"""Starts that were asked for: the window is as asked, whenever the answer comes and whoever uses it first."""

from datetime import timedelta

import pytest

from chalicelib.broker import asking, deciding, ending, lending
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.core.life import Expired, State, Status, Window
from chalicelib.core.refusals import (
    IdempotencyKeyReused,
    Invalid,
    NotActive,
    NotCancellable,
    NotEligible,
    StsRefused,
    TooLong,
    TooManyOpen,
    Unavailable,
)
from chalicelib.core.request import Request, ScopeChoice
from tests.builders import HOUR, NOW, SECOND
from tests.fakes import Effect
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import Stage, an_ask, with_role, with_rules

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
START = NOW + 2 * HOUR
LATER = an_ask(duration=2 * HOUR, starts_at=START)
SANDBOX = an_ask("sandbox-admin", 2 * HOUR, starts_at=START)
KEY = IdempotencyKey("POST /requests", "k-1")


def approve(stage: Stage, request: Request, duration: timedelta | None = None) -> Request:
    return deciding.approve(stage.world, FRANK, request.id, comment=None, duration=duration)


def test_the_window_is_there_as_asked_before_anybody_answers_and_the_history_tells_its_start() -> None:
    stage = Stage()
    request = stage.asked(CAROL, LATER)
    assert (request.state(NOW), request.window) == (State.PENDING, Window(START, START + 2 * HOUR))
    [submitted] = stage.history(request.id)
    assert submitted.details["starts_at"] == "2031-03-05T14:00:00Z"


def test_a_history_of_an_ask_without_a_start_tells_none() -> None:
    stage = Stage()
    [submitted] = stage.history(stage.asked().id)
    assert "starts_at" not in submitted.details


@pytest.mark.parametrize(
    ("starts_in", "length", "answer_within"),
    [
        (timedelta(0), HOUR, HOUR),
        (2 * HOUR, 2 * HOUR, 4 * HOUR),
        (7 * HOUR, HOUR, 8 * HOUR),
        (7 * HOUR, HOUR + SECOND, 8 * HOUR),
        (30 * DAY, HOUR, 8 * HOUR),
    ],
)
def test_an_answer_counts_for_eight_hours_or_until_the_window_ends(starts_in, length, answer_within) -> None:
    stage = Stage()
    request = stage.asked(CAROL, an_ask(duration=length, starts_at=NOW + starts_in))
    assert request.answer_by == NOW + answer_within
    stage.pass_time(answer_within - SECOND)
    assert request.state(stage.now) is State.PENDING
    stage.pass_time(SECOND)
    assert request.expired_because(stage.now) is Expired.UNANSWERED


@pytest.mark.parametrize("answered_after", [timedelta(0), 2 * HOUR, 3 * HOUR, 4 * HOUR - SECOND])
def test_whenever_the_answer_comes_the_window_is_the_one_that_was_asked_for(answered_after) -> None:
    stage = Stage()
    request = stage.asked(CAROL, LATER)
    stage.pass_time(answered_after)
    approved = approve(stage, request)
    assert (approved.window, approved.use_by) == (Window(START, START + 2 * HOUR), None)
    assert approved.state(stage.now) is (State.SCHEDULED if stage.now < START else State.ACTIVE)


def test_use_within_does_not_apply_however_far_ahead_the_start_is() -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin", starts_at=NOW + 30 * DAY))
    assert (request.state(NOW), request.use_by) == (State.SCHEDULED, None)
    stage.pass_time(30 * DAY)
    assert stage.lent(request, ALICE).expiration == stage.now + HOUR


def test_before_the_start_nothing_is_lent_and_at_the_end_it_is_over_to_the_second() -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER))
    stage.now = START - SECOND
    with pytest.raises(NotActive, match="begins at 2031-03-05T14:00:00Z"):
        stage.lent(request)
    stage.now = START
    assert stage.lent(request).expiration == START + HOUR  # STS's hour
    stage.now = START + 2 * HOUR - SECOND
    assert stage.lent(request).expiration == START + 2 * HOUR
    stage.now = START + 2 * HOUR
    with pytest.raises(NotActive, match="ended"):
        stage.lent(request)


def test_a_first_use_in_the_middle_gets_what_is_left_of_the_window_and_not_all_of_it() -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER))
    stage.now = START + 90 * MINUTE
    assert request.state(stage.now) is State.ACTIVE
    assert stage.lent(request).expiration == START + 2 * HOUR
    assert stage.request(request.id).window == request.window


def test_a_window_that_nobody_used_has_ended_and_not_expired() -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER))
    assert request.state(START + 2 * HOUR) is State.ENDED
    assert request.expired_because(START + 2 * HOUR) is None


def test_an_approvers_cut_takes_from_the_windows_end() -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER), 30 * MINUTE)
    assert request.window == Window(START, START + 30 * MINUTE)


def test_a_cut_by_the_first_of_two_leaves_no_time_to_answer_after_the_windows_end() -> None:
    stage = Stage()
    scope = ScopeChoice("one-bucket", {"bucket": "data-files"})
    request = stage.asked(ALICE, an_ask("data-export", 2 * HOUR, scope=scope, starts_at=START))
    cut = approve(stage, request, HOUR)
    assert (cut.state(NOW), cut.window, cut.answer_by) == (State.PENDING, Window(START, START + HOUR), START + HOUR)
    stage.now = START + HOUR - SECOND
    approved = deciding.approve(stage.world, DAVE, request.id, comment=None, duration=None)
    assert approved.window == Window(START, START + HOUR)


def test_a_cut_that_would_leave_nothing_is_refused_and_nothing_is_recorded() -> None:
    stage = Stage()
    request = stage.asked(CAROL, LATER)
    stage.now = START + 30 * MINUTE
    with pytest.raises(Invalid, match="over by now"):
        approve(stage, request, 30 * MINUTE)
    assert stage.types(request.id) == ["request.submitted"]
    assert approve(stage, request, 30 * MINUTE + SECOND).state(stage.now) is State.ACTIVE


def test_what_is_scheduled_is_cancelled_and_what_has_begun_is_returned_used_or_not() -> None:
    stage = Stage()
    cancelled, returned = (approve(stage, stage.asked(CAROL, LATER)) for _ in range(2))
    with pytest.raises(NotActive, match="cancel"):
        ending.give_back(stage.world, CAROL, cancelled.id)
    assert ending.cancel(stage.world, CAROL, cancelled.id).state(stage.now) is State.CANCELLED
    stage.now = START
    with pytest.raises(NotCancellable, match="return"):
        ending.cancel(stage.world, CAROL, returned.id)
    assert ending.give_back(stage.world, CAROL, returned.id).state(stage.now) is State.RETURNED
    for request in (cancelled, returned):
        with pytest.raises(NotActive):
            stage.lent(request)


def test_given_sts_refuses_the_first_use_then_the_request_is_unused_again_and_its_window_stays() -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER))
    stage.now = START + HOUR
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(request)
    after = stage.request(request.id)
    assert (after.status, after.window, after.state(stage.now)) == (Status.APPROVED, request.window, State.ACTIVE)
    stage.pass_time(30 * MINUTE)
    assert stage.lent(request).expiration == START + 2 * HOUR


@pytest.mark.parametrize("effect", list(Effect))
def test_given_sts_does_not_answer_then_the_window_stays_too(effect) -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER))
    stage.now = START
    stage.lender.time_out_next(effect)
    with pytest.raises(Unavailable):
        stage.lent(request)
    assert stage.request(request.id).window == request.window


def test_what_a_clock_ahead_used_can_be_returned_by_a_clock_behind_and_not_cancelled() -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER))
    stage.now = START
    stage.lent(request)
    stage.now = START - SECOND
    with pytest.raises(NotCancellable):
        ending.cancel(stage.world, CAROL, request.id)
    assert ending.give_back(stage.world, CAROL, request.id).state(stage.now) is State.RETURNED


@pytest.mark.parametrize(
    ("who", "wish", "refusal"),
    [
        (ALICE, LATER, NotEligible),
        (CAROL, an_ask(duration=5 * HOUR, starts_at=START), TooLong),
        (ALICE, an_ask("sandbox-admin", 10 * MINUTE, starts_at=START), Invalid),
        (CAROL, an_ask(starts_at=NOW - SECOND), Invalid),
        (CAROL, an_ask(starts_at=NOW + 30 * DAY + SECOND), Invalid),
    ],
)
def test_rules_and_limits_are_judged_as_for_any_other_ask(who, wish, refusal) -> None:
    stage = Stage(catalogue=with_role("sandbox-admin", identity_use=True))
    with pytest.raises(refusal):
        stage.asked(who, wish)
    assert stage.requests.everything(after=None, limit=10).items == ()


def test_a_dry_run_judges_the_start_too() -> None:
    assert asking.dry_run(Stage().world, CAROL, LATER).would == "needs-approval"
    with pytest.raises(Invalid, match="past"):
        asking.dry_run(Stage().world, CAROL, an_ask(starts_at=NOW - SECOND))


def test_judged_again_at_the_start_by_the_catalogue_of_that_day() -> None:
    stage = Stage()
    request = approve(stage, stage.asked(CAROL, LATER))
    stage.now = START
    stage.catalogue = with_rules(("sre administer payments", {"max_duration": HOUR}))
    assert stage.lent(request).expiration == START + HOUR
    stage.catalogue = with_rules(("sre administer payments", {"roles": ("nothing",)}))
    with pytest.raises(NotEligible):
        stage.lent(request)


def test_what_is_scheduled_takes_room_among_the_open_requests() -> None:
    stage = Stage()
    for _ in range(20):
        stage.asked(ALICE, SANDBOX)
    with pytest.raises(TooManyOpen):
        stage.asked(ALICE, SANDBOX)
    stage.now = START + 2 * HOUR
    assert stage.asked(ALICE, an_ask("sandbox-admin"))


def test_the_start_is_part_of_what_an_idempotency_key_binds() -> None:
    stage = Stage()
    first = asking.ask(stage.world, CAROL, LATER, KEY)
    assert asking.ask(stage.world, CAROL, LATER, KEY).request == first.request
    for other in (an_ask(duration=2 * HOUR), an_ask(duration=2 * HOUR, starts_at=START + SECOND)):
        with pytest.raises(IdempotencyKeyReused):
            asking.ask(stage.world, CAROL, other, KEY)


def test_asking_and_receiving_in_one_call_knows_no_start() -> None:
    stage = Stage()
    with pytest.raises(Invalid, match="nothing could be lent before then") as refusal:
        lending.ask_and_lend(stage.world, ALICE, SANDBOX, None)
    assert [error.field for error in refusal.value.errors] == ["starts_at"]
    assert stage.requests.everything(after=None, limit=10).items == ()
