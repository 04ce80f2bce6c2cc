"""Ending: taking back what was not used, giving back what is."""

import pytest

from chalicelib.broker import deciding, ending
from chalicelib.core.life import State
from chalicelib.core.refusals import NotActive, NotCancellable, NotFound, NotPending, NotYours
from tests.builders import HOUR, NOW
from tests.people import ALICE, BOB, CAROL, FRANK
from tests.stage import Stage, an_ask


def test_a_pending_request_can_be_cancelled_and_that_is_final() -> None:
    stage = Stage()
    request = ending.cancel(stage.world, CAROL, stage.asked().id)
    assert request.state(NOW) is State.CANCELLED
    with pytest.raises(NotPending):
        deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    with pytest.raises(NotCancellable):
        ending.cancel(stage.world, CAROL, request.id)


def test_an_approved_request_that_is_unused_can_be_cancelled_and_lends_nothing_then() -> None:
    stage = Stage()
    request = ending.cancel(stage.world, CAROL, stage.approved().id)
    with pytest.raises(NotActive):
        stage.lent(request)
    assert stage.lender.plans == []


def test_what_is_in_use_is_returned_not_cancelled() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lent(request)
    with pytest.raises(NotCancellable, match="return"):
        ending.cancel(stage.world, CAROL, request.id)
    assert ending.give_back(stage.world, CAROL, request.id).state(NOW) is State.RETURNED
    with pytest.raises(NotActive):
        stage.lent(request)


def test_what_is_unused_cannot_be_returned() -> None:
    stage = Stage()
    with pytest.raises(NotActive, match="cancel"):
        ending.give_back(stage.world, CAROL, stage.approved().id)


def test_what_has_ended_can_be_neither_returned_nor_cancelled() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lent(request)
    stage.pass_time(HOUR)
    with pytest.raises(NotActive, match="ended"):
        ending.give_back(stage.world, CAROL, request.id)
    with pytest.raises(NotCancellable):
        ending.cancel(stage.world, CAROL, request.id)


def test_what_has_expired_cannot_be_cancelled() -> None:
    stage = Stage()
    request = stage.asked()
    stage.pass_time(8 * HOUR)
    with pytest.raises(NotCancellable, match="expired"):
        ending.cancel(stage.world, CAROL, request.id)


def test_only_the_requester_ends_a_request_and_strangers_do_not_see_it() -> None:
    stage = Stage()
    request = stage.asked()
    for end in (ending.cancel, ending.give_back):
        with pytest.raises(NotYours):
            end(stage.world, BOB, request.id)
        with pytest.raises(NotFound):
            end(stage.world, ALICE, request.id)


def test_a_cancelled_request_makes_room_in_the_quota() -> None:
    stage = Stage()
    for _ in range(25):
        request = stage.asked(ALICE, an_ask("sandbox-admin"))
        ending.cancel(stage.world, ALICE, request.id)
