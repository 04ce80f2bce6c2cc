"""Every call to AWS fails once, in every way: what is on the record afterwards can be continued, or reads as failed.

Enumerated: the calls of each use case are counted in a run without faults; then it is run for each call and fault.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from typing import Any

import pytest

from chalicelib.broker import asking, deciding, emergency, ending, lending, revoking
from chalicelib.broker.asking import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import CannotDeny, World
from chalicelib.core.life import OPEN, Status
from chalicelib.core.quotas import Quotas
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
from chalicelib.core.revocation import AGAIN
from tests.builders import HOUR
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import Stage, an_ask, with_rules

KEY = IdempotencyKey("POST /x", "k-1")


class Fault(Enum):
    """What may happen to a call."""

    REFUSED = "AWS said no"
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
        port = act.__self__  # type: ignore[attr-defined]
        if self.fault is Fault.REFUSED and port is self.stage.lender:
            raise StsRefused("No.", "AccessDenied")
        if self.fault is Fault.REFUSED:
            raise CannotDeny("AccessDenied: no.", "AccessDenied")
        if self.fault is Fault.BUG:
            raise RuntimeError("a bug")
        if self.fault in (Fault.UNANSWERED, Fault.CRASH_AFTER):
            act(*args, **kwargs)
        if self.fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            raise Crash
        if port is self.stage.revoker:
            raise CannotDeny("no-answer: the wire was cut.", "no-answer")
        raise Unavailable("The wire was cut.")

    @property
    def world(self) -> World:
        world = self.stage.world
        ports = {name: self.through(getattr(world, name)) for name in ("requests", "lender", "revoker")}
        return replace(world, **ports)


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


def _lend_to_alice(world: World, stage: Stage) -> object:
    return lending.lend(world, ALICE, only(stage))


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


def an_hour_a_day(stage: Stage) -> None:
    """One hour of the sandbox a day, in windows of an hour: what is counted twice is refused."""
    a_day = {"max_duration": HOUR, "max_per_day": HOUR}
    stage.catalogue = with_rules(("engineers administer the sandbox", a_day))


def an_hour_ready(stage: Stage) -> None:
    an_hour_a_day(stage)
    stage.asked(ALICE, an_ask("sandbox-admin"))


def one_emergency_a_day(stage: Stage) -> None:
    stage.catalogue = replace(stage.catalogue, quotas=Quotas(break_glass_per_day=1))


def pending_where_one_may_burn_a_day(stage: Stage) -> None:
    one_emergency_a_day(stage)
    stage.asked()


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
    "ask-and-lend, the day's only hour": (an_hour_a_day, _ask_and_lend, 3),
    "first use, the day's only hour": (an_hour_ready, _lend_to_alice, 4),
    "break-glass, the day's only one": (one_emergency_a_day, _break_glass, 3),
    "escalate, the day's only one": (pending_where_one_may_burn_a_day, _escalate, 2),
}
# The number of the call, from 0, that goes to STS and not to the table.
STS_CALL = {
    "ask-and-lend": 1,
    "break-glass": 1,
    "first use": 2,
    "later use": 2,
    "ask-and-lend, the day's only hour": 1,
    "first use, the day's only hour": 2,
    "break-glass, the day's only one": 1,
}
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


# Revoking: 1 read, 2 request.revoked, 3 the deny, 4 its outcome. After the second the access is gone, come what may.

REVOKING = {
    "revoke": lambda world, stage: revoking.revoke(world, FRANK, only(stage), comment="no more"),
    "return and cut": lambda world, stage: ending.give_back(world, CAROL, only(stage), cut=True),
}
ON_THE_RECORD, DENY_CALL = 2, 3
DONE_ALL_THE_SAME = (Fault.UNANSWERED, Fault.CRASH_AFTER)


def faults(calls: int, *, refused_at: int) -> list[Any]:
    return [
        pytest.param(number, fault, id=f"call {number}, {fault.value}")
        for number in range(1, calls + 1)
        for fault in Fault
        if fault is not Fault.REFUSED or number == refused_at
    ]


@pytest.mark.parametrize("name", REVOKING)
def test_revoking_takes_four_serial_calls(name: str) -> None:
    stage = Stage()
    used(stage)
    wire = Wire(stage)
    REVOKING[name](wire.world, stage)
    assert wire.calls == 4


@pytest.mark.parametrize("name", REVOKING)
@pytest.mark.parametrize(("number", "fault"), faults(4, refused_at=DENY_CALL))
def test_given_one_call_of_revoking_fails_then_the_access_is_gone_or_can_be_taken_and_settling_denies_what_lives(
    name: str, number: int, fault: Fault
) -> None:
    stage = Stage()
    used(stage)
    told: Any = None
    with contextlib.suppress(Unavailable, RuntimeError, Crash):
        told = REVOKING[name](Wire(stage, number, fault).world, stage)
    record_is_sound(stage)
    gone = stage.request(only(stage)).status is not Status.USED
    assert gone == (number > ON_THE_RECORD or (number == ON_THE_RECORD and fault in DONE_ALL_THE_SAME))
    if told:
        assert gone
        # Nothing is told that is not so.
        said = [deny for deny in told.revocation.denies if deny.written_at]
        assert not said or stage.revoker.denied
    if not gone:
        REVOKING[name](stage.world, stage)
    stage.pass_time(AGAIN)
    request = revoking.settle(stage.world, stage.request(only(stage)), stage.now)
    assert stage.revoker.denied == {(request.role_arn, request.id)}
    assert stage.types(request.id).count("deny.written") == 1
    stage.pass_time(2 * HOUR)
    request = revoking.settle(stage.world, request, stage.now)
    assert (stage.revoker.denied, request.due_at()) == (set(), None)
    record_is_sound(stage)


@pytest.mark.parametrize(("number", "fault"), faults(2, refused_at=1))
def test_given_one_call_of_a_removal_fails_then_the_next_one_removes_it(number: int, fault: Fault) -> None:
    stage = Stage()
    used(stage)
    request = revoking.revoke(stage.world, FRANK, only(stage), comment="no more")
    stage.pass_time(2 * HOUR)
    with contextlib.suppress(Unavailable, RuntimeError, Crash):
        revoking.settle(Wire(stage, number, fault).world, request, stage.now)
    stage.pass_time(2 * HOUR)
    request = revoking.settle(stage.world, stage.request(request.id), stage.now)
    assert (stage.revoker.denied, request.due_at()) == (set(), None)
    assert stage.types(request.id).count("deny.removed") == 1


# Revoking while a session is being lent: every order in which their calls can reach the world.


class Turns:
    """Lets the calls of two sides through one at a time, in a given order; what goes beyond it goes in any."""

    def __init__(self, order: tuple[str, ...]) -> None:
        self._order = list(order)
        self._changed = threading.Condition()

    def take(self, side: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._order or self._order[0] == side, timeout=10)

    def done(self, side: str) -> None:
        with self._changed:
            if self._order and self._order[0] == side:
                self._order.pop(0)
            self._changed.notify_all()

    def over(self, side: str) -> None:
        """The side makes no more calls: its turns fall away."""
        with self._changed:
            self._order = [other for other in self._order if other != side]
            self._changed.notify_all()


class Turned(Wire):
    def __init__(self, stage: Stage, turns: Turns, side: str) -> None:
        super().__init__(stage)
        self._turns, self._side = turns, side

    def call(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._turns.take(self._side)
        try:
            return act(*args, **kwargs)
        finally:
            self._turns.done(self._side)


ORDERS = sorted(set(itertools.permutations("LLLLRRRR")))


@pytest.mark.parametrize("before", [approved, used], ids=["first use", "later use"])
@pytest.mark.parametrize("order", ORDERS, ids="".join)
def test_revoking_at_any_moment_of_an_issuance_hands_nothing_out_after_it_and_denies_whatever_was_lent(
    order: tuple[str, ...], before: Callable[[Stage], None]
) -> None:
    stage = Stage()
    before(stage)
    id, lent_before = only(stage), len(stage.lender.lent)
    turns = Turns(order)

    def lend() -> Any:
        try:
            return lending.lend(Turned(stage, turns, "L").world, CAROL, id)
        except NotActive as refusal:
            return refusal
        finally:
            turns.over("L")

    def revoke() -> Any:
        try:
            return revoking.revoke(Turned(stage, turns, "R").world, FRANK, id, comment="no more")
        finally:
            turns.over("R")

    with ThreadPoolExecutor(2) as pool:
        outcome, revoked = (each.result() for each in [pool.submit(lend), pool.submit(revoke)])
    told = stage.types(id)
    assert "session.issued" not in told[told.index("request.revoked") :]
    assert isinstance(outcome, Credentials) == (told.count("session.issued") == lent_before + 1)
    assert stage.request(id).status is revoked.status is Status.REVOKED
    assert bool(stage.lender.lent) <= bool(stage.revoker.denied), "a session may be alive that nothing denies"
    with pytest.raises(NotActive):
        stage.lent(stage.request(id))


def record_is_sound(stage: Stage) -> None:
    for request in stage.requests.everything(after=None, limit=10).items:
        stage.history(request.id)
        assert request.state(stage.now) in OPEN or request.status.value in request.state(stage.now)
    assert +stage.requests.used == stage.told(), "a day counts what no history tells, or less"
    begun = {session.session_name for session in sessions(stage)}
    assert {plan.session_name for plan in stage.lender.plans} <= begun, "STS was asked for what is not on the record"


def sessions(stage: Stage) -> list[Any]:
    known = stage.requests.everything(after=None, limit=10).items
    return [session for request in known for session in (stage.requests.story(request.id) or ((), ()))[1]]


def issued(stage: Stage) -> int:
    return sum(session.access_key_id is not None for session in sessions(stage))
