"""Every call to AWS fails once, in every way: what is on the record afterwards can be continued, or reads as failed.

Enumerated: the calls of each use case are counted in a run without faults; then it is run for each call and fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

import pytest

from chalicelib.broker import asking, deciding, emergency, ending, lending
from chalicelib.broker.asking import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import World
from chalicelib.core.life import OPEN
from chalicelib.core.refusals import (
    AlreadyApprovedByYou,
    AlreadyReviewed,
    NotActive,
    NotCancellable,
    NotPending,
    StsRefused,
    Unavailable,
)
from chalicelib.core.request import Verdict
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import Stage, an_ask

KEY = IdempotencyKey("POST /x", "k-1")


class Fault(Enum):
    """What may happen to a call."""

    REFUSED = "STS said no"
    BUG = "something raised what nobody expects"
    LOST = "the question never arrived"
    UNANSWERED = "it was done, the answer got lost"
    CRASH_BEFORE = "we died before it was done"
    CRASH_AFTER = "we died after it was done"


class Crash(BaseException):
    """The end of the process: nobody catches this."""


class Wire:
    """Between the broker and everything outside: counts calls, and lets the one that is told go wrong."""

    def __init__(self, stage: Stage, fails_at: int | None = None, fault: Fault | None = None) -> None:
        self.stage, self.fails_at, self.fault = stage, fails_at, fault
        self.calls = 0

    def through(self, port: Any) -> Any:
        wire = self

        class Proxy:
            def __getattr__(self, name: str) -> Callable[..., Any]:
                return lambda *args, **kwargs: wire.call(getattr(port, name), *args, **kwargs)

        return Proxy()

    def call(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls != self.fails_at:
            return act(*args, **kwargs)
        if self.fault is Fault.REFUSED:
            raise StsRefused("No.", "AccessDenied")
        if self.fault is Fault.BUG:
            raise RuntimeError("a bug")
        if self.fault in (Fault.UNANSWERED, Fault.CRASH_AFTER):
            act(*args, **kwargs)
        if self.fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            raise Crash
        raise Unavailable("The wire was cut.")

    @property
    def world(self) -> World:
        world = self.stage.world
        return replace(world, requests=self.through(world.requests), lender=self.through(world.lender))


def _ask(world: World, stage: Stage) -> object:
    return asking.ask(world, CAROL, an_ask(), KEY)


def _ask_and_lend(world: World, stage: Stage) -> object:
    return lending.ask_and_lend(world, ALICE, an_ask("sandbox-admin"), KEY)


def _approve(world: World, stage: Stage) -> object:
    return deciding.approve(world, FRANK, only(stage), comment=None, duration=None)


def _deny(world: World, stage: Stage) -> object:
    return deciding.deny(world, FRANK, only(stage), comment="no")


def _cancel(world: World, stage: Stage) -> object:
    return ending.cancel(world, CAROL, only(stage))


def _escalate(world: World, stage: Stage) -> object:
    return emergency.escalate(world, CAROL, only(stage), reason="nobody answers and it burns")


def _break_glass(world: World, stage: Stage) -> object:
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    return lending.ask_and_lend(world, CAROL, fire, KEY)


def _review(world: World, stage: Stage) -> object:
    return emergency.review(world, DAVE, only(stage), verdict=Verdict.JUSTIFIED, comment="I saw the pages")


def _return(world: World, stage: Stage) -> object:
    return ending.give_back(world, CAROL, only(stage))


def _lend(world: World, stage: Stage) -> object:
    return lending.lend(world, CAROL, only(stage))


def only(stage: Stage) -> str:
    [request] = stage.requests.everything(after=None, limit=10).items
    return request.id


def nothing(stage: Stage) -> None:
    pass


def pending(stage: Stage) -> None:
    stage.asked()


def approved(stage: Stage) -> None:
    stage.approved()


def burning(stage: Stage) -> None:
    _break_glass(stage.world, stage)


def used(stage: Stage) -> None:
    stage.lent(stage.approved())


USE_CASES = {
    "ask": (nothing, _ask, 1),
    "ask-and-lend": (nothing, _ask_and_lend, 3),
    "approve": (pending, _approve, 2),
    "deny": (pending, _deny, 2),
    "cancel": (approved, _cancel, 2),
    "return": (used, _return, 2),
    "break-glass": (nothing, _break_glass, 3),
    "escalate": (pending, _escalate, 2),
    "review": (burning, _review, 2),
    "first use": (approved, _lend, 4),
    "later use": (used, _lend, 4),
}
# The number of the call, from 0, that goes to STS and not to the table.
STS_CALL = {"ask-and-lend": 1, "break-glass": 1, "first use": 2, "later use": 2}
CASES = [
    pytest.param(name, number, fault, id=f"{name}: call {number + 1}, {fault.value}")
    for name, (_, _, calls) in USE_CASES.items()
    for number in range(calls)
    for fault in Fault
    if fault is not Fault.REFUSED or number == STS_CALL.get(name)
]


@pytest.mark.parametrize("name", USE_CASES)
def test_the_serial_calls_of_each_use_case_are_counted(name: str) -> None:
    before, act, calls = USE_CASES[name]
    stage = Stage()
    before(stage)
    wire = Wire(stage)
    act(wire.world, stage)
    assert wire.calls == calls


@pytest.mark.parametrize(("name", "number", "fault"), CASES)
def test_given_one_call_fails_then_nothing_is_handed_out_and_the_story_goes_on(
    name: str, number: int, fault: Fault
) -> None:
    before, act, _ = USE_CASES[name]
    stage = Stage()
    before(stage)
    issued_before = issued(stage)
    with pytest.raises((Unavailable, StsRefused, RuntimeError, Crash)):
        act(Wire(stage, number + 1, fault).world, stage)
    record_is_sound(stage)
    assert issued(stage) <= issued_before + (1 if fault in (Fault.UNANSWERED, Fault.CRASH_AFTER) else 0)
    goes_on(act, stage)
    record_is_sound(stage)


def goes_on(act: Callable[[World, Stage], object], stage: Stage) -> None:
    """The same call again does it, or is told that it is done already."""
    try:
        outcome = act(stage.world, stage)
    except (NotPending, AlreadyApprovedByYou, AlreadyReviewed, NotCancellable, NotActive):
        return
    if isinstance(outcome, Credentials):
        keys = {session.access_key_id for session in sessions(stage)}
        assert outcome.access_key_id in keys


def record_is_sound(stage: Stage) -> None:
    for request in stage.requests.everything(after=None, limit=10).items:
        stage.history(request.id)
        assert request.state(stage.now) in OPEN or request.status.value in request.state(stage.now)
    begun = {session.session_name for session in sessions(stage)}
    assert {plan.session_name for plan in stage.lender.plans} <= begun, "STS was asked for what is not on the record"


def sessions(stage: Stage) -> list[Any]:
    known = stage.requests.everything(after=None, limit=10).items
    return [session for request in known for session in (stage.requests.story(request.id) or ((), ()))[1]]


def issued(stage: Stage) -> int:
    return sum(session.access_key_id is not None for session in sessions(stage))
