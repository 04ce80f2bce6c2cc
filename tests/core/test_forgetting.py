"""What may be forgotten: only what is over, settled and reviewed, and that for long enough."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.broker import deciding, emergency, ending, revoking, sweeping
from chalicelib.core.forgetting import LEAST, forgettable
from chalicelib.core.request import Request, Verdict
from tests.builders import HOUR, SECOND
from tests.people import BOB, CAROL, DAVE
from tests.stage import Stage, an_ask

FIRE = an_ask(reason="payments are down for everybody", break_glass=True)


def forgotten(stage: Stage, request: Request) -> bool:
    return forgettable(stage.request(request.id), now=stage.now, retain=LEAST)


def swept(stage: Stage, length: timedelta) -> None:
    """Time passes, and the sweeper runs."""
    stage.pass_time(length)
    sweeping.sweep(stage.world)


def test_what_was_refused_is_kept_for_as_long_as_it_says() -> None:
    stage = Stage()
    request = stage.asked()
    deciding.deny(stage.world, BOB, request.id, comment="no")
    over = stage.request(request.id).answer_by - stage.now
    stage.pass_time(LEAST + over - SECOND)
    assert not forgotten(stage, request)
    stage.pass_time(SECOND)
    assert forgotten(stage, request)


@pytest.mark.parametrize("state", ["pending", "ready", "active", "scheduled"])
def test_what_is_open_is_never_forgotten(state: str) -> None:
    stage = Stage()
    starts_at = stage.now + 30 * 24 * HOUR if state == "scheduled" else None
    request = stage.asked(wish=an_ask(starts_at=starts_at))
    if state != "pending":
        deciding.approve(stage.world, BOB, request.id, comment=None, duration=None)
    if state == "active":
        stage.lent(request)
    assert stage.request(request.id).state(stage.now) == state
    assert not forgettable(stage.request(request.id), now=stage.now, retain=timedelta(0))


def test_what_expired_or_ended_waits_for_its_announcement() -> None:
    stage = Stage()
    unanswered, used = stage.asked(), stage.approved()
    stage.lent(used)
    stage.pass_time(LEAST + 24 * HOUR)
    assert not forgotten(stage, unanswered)
    assert not forgotten(stage, used)
    sweeping.sweep(stage.world)
    stage.pass_time(LEAST)
    assert forgotten(stage, unanswered)
    assert forgotten(stage, used)


def test_an_emergency_stays_until_it_is_reviewed_and_then_for_as_long_as_everything() -> None:
    stage = Stage()
    fire = stage.asked(wish=FIRE)
    stage.lent(fire)
    swept(stage, 10 * LEAST)
    assert not forgotten(stage, fire)
    emergency.review(stage.world, DAVE, fire.id, verdict=Verdict.JUSTIFIED, comment="late, but seen")
    assert not forgotten(stage, fire)
    stage.pass_time(LEAST)
    assert forgotten(stage, fire)


def test_what_was_revoked_stays_until_its_denies_are_settled() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lent(request)
    revoking.revoke(stage.world, BOB, request.id, comment="enough")
    stage.pass_time(2 * LEAST)
    assert not forgotten(stage, request)
    sweeping.sweep(stage.world)
    assert stage.request(request.id).due_at() is None
    assert not forgotten(stage, request)
    stage.pass_time(LEAST)
    assert forgotten(stage, request)


def test_what_was_given_back_or_cancelled_goes() -> None:
    stage = Stage()
    returned, cancelled = stage.approved(), stage.asked()
    stage.lent(returned)
    ending.give_back(stage.world, CAROL, returned.id)
    ending.cancel(stage.world, CAROL, cancelled.id)
    stage.pass_time(LEAST)
    assert not forgotten(stage, returned)  # its session lives for an hour
    stage.pass_time(9 * HOUR)
    assert forgotten(stage, returned)
    assert forgotten(stage, cancelled)
