"""Every call to AWS fails once, in every way: what is on the record afterwards can be continued, or reads as failed.

Enumerated: the calls of each use case are counted in a run without faults; then it is run for each call and fault.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

import pytest

from chalicelib.broker import asking, console, deciding, emergency, ending, extending, lending, revoking
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.console import Link
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import CannotDeny, World
from chalicelib.core.catalogue import Extensions, Quotas, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.life import OPEN, State, Status
from chalicelib.core.refusals import (
    AlreadyApprovedByYou,
    AlreadyReviewed,
    ConsoleRefused,
    NotActive,
    NotCancellable,
    NotPending,
    Refusal,
    StsRefused,
    Unavailable,
)
from chalicelib.core.request import Request, Verdict
from chalicelib.core.revocation import AGAIN
from tests.builders import HOUR, SECOND
from tests.fakes import Effect, FakeLender
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import Stage, an_ask, more_of, with_rules
from tests.turns import Order, Turns, both, orders

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
            def __getattr__(self, name: str) -> Any:
                known = getattr(port, name)
                return (lambda *args, **kwargs: wire.call(known, *args, **kwargs)) if callable(known) else known

        return Proxy()

    def call(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls != self.fails_at:
            return act(*args, **kwargs)
        port = act.__self__  # type: ignore[attr-defined]
        if self.fault is Fault.REFUSED and port is self.stage.lender:
            raise StsRefused("No.", "AccessDenied")
        if self.fault is Fault.REFUSED and port is self.stage.console:
            raise ConsoleRefused("No.")
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
        ports = {name: self.through(getattr(world, name)) for name in ("requests", "lender", "revoker", "console")}
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


def _open_console(world: World, stage: Stage) -> object:
    return console.open_console(world, CAROL, only(stage), destination=None)


def _extend(world: World, stage: Stage) -> object:
    return extending.extend(world, CAROL, more_of(oldest(stage)), KEY)


def _cancel_all(world: World, stage: Stage) -> object:
    return ending.cancel(world, CAROL, oldest(stage).id)


def _revoke_all(world: World, stage: Stage) -> object:
    return revoking.revoke(world, FRANK, oldest(stage).id, comment="no more")


def _return_all(world: World, stage: Stage) -> object:
    return ending.give_back(world, CAROL, oldest(stage).id)


def _lend_newest(world: World, stage: Stage) -> object:
    return lending.lend(world, CAROL, newest(stage).id)


def newest(stage: Stage) -> Request:
    return stage.requests.everything(after=None, limit=1).items[0]


def oldest(stage: Stage) -> Request:
    return stage.requests.everything(after=None, limit=10).items[-1]


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


def extended(stage: Stage) -> None:
    stage.extended(stage.approved())


def used_and_extended(stage: Stage) -> None:
    used(stage)
    stage.extended(oldest(stage))


def extended_twice(stage: Stage) -> None:
    extended(stage)
    stage.extended(newest(stage))


def extended_used_and_over(stage: Stage) -> None:
    """What was extended unopened may be used now for the first time."""
    extended(stage)
    stage.lent(oldest(stage))
    stage.pass_time(HOUR)


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
    "first use, the console": (approved, _open_console, 7),
    "later use, the console": (used, _open_console, 7),
    "extend": (used, _extend, 2),
    "extend what is ready": (approved, _extend, 2),
    "cancel with extensions": (extended_twice, _cancel_all, 4),
    "revoke with extensions": (extended_twice, _revoke_all, 4),
    "return with an extension": (used_and_extended, _return_all, 3),
    "first use of an extension": (extended_used_and_over, _lend_newest, 5),
    "ask-and-lend, the day's only hour": (an_hour_a_day, _ask_and_lend, 3),
    "first use, the day's only hour": (an_hour_ready, _lend_to_alice, 4),
    "break-glass, the day's only one": (one_emergency_a_day, _break_glass, 3),
    "escalate, the day's only one": (pending_where_one_may_burn_a_day, _escalate, 2),
}
# The numbers of the calls, from 0, that go to STS or sign-in and not to the table.
REFUSABLE = {
    "ask-and-lend": (1,),
    "break-glass": (1,),
    "first use": (2,),
    "later use": (2,),
    "first use, the console": (2, 4),
    "later use, the console": (2, 4),
    "first use of an extension": (3,),
    "ask-and-lend, the day's only hour": (1,),
    "first use, the day's only hour": (2,),
    "break-glass, the day's only one": (1,),
}
CASES = [
    pytest.param(name, number, fault, id=f"{name}: call {number + 1}, {fault.value}")
    for name, (_, _, calls) in USE_CASES.items()
    for number in range(calls)
    for fault in Fault
    if fault is not Fault.REFUSED or number in REFUSABLE.get(name, ())
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
    told = handed_out if act is not _open_console else links_handed_out
    before_that = told(stage)
    with pytest.raises((Unavailable, StsRefused, ConsoleRefused, RuntimeError, Crash)):
        act(Wire(stage, number + 1, fault).world, stage)
    record_is_sound(stage)
    assert told(stage) <= before_that + (1 if fault in (Fault.UNANSWERED, Fault.CRASH_AFTER) else 0)
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
    if isinstance(outcome, Link):
        assert stage.history(only(stage))[-1].type == "console.opened"


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


class Turned(Wire):
    def __init__(self, stage: Stage, turns: Turns, side: str) -> None:
        super().__init__(stage)
        self._turns, self._side = turns, side

    def call(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._turns.turn(self._side):
            return act(*args, **kwargs)


def lent_or_refused(world: World, id: str) -> Credentials | Refusal:
    try:
        return lending.lend(world, CAROL, id)
    except (NotActive, StsRefused, Unavailable) as refusal:
        return refusal


FATES: dict[str, Callable[[FakeLender], object]] = {
    "lent": lambda lender: None,
    "refused": lambda lender: lender.refuse_next(),
    "lost": lambda lender: lender.time_out_next(Effect.BEFORE),
    "unanswered": lambda lender: lender.time_out_next(Effect.AFTER),
}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("before", [approved, used], ids=["first use", "later use"])
@pytest.mark.parametrize("order", orders(L=4, R=4), ids="".join)
def test_revoking_at_any_moment_of_an_issuance_hands_nothing_out_after_it_and_denies_whatever_was_lent(
    order: Order, before: Callable[[Stage], None], fate: str
) -> None:
    stage = Stage()
    before(stage)
    id, lent_before = only(stage), len(stage.lender.lent)
    FATES[fate](stage.lender)
    turns = Turns(order)
    outcome, revoked = both(
        turns,
        L=lambda: lent_or_refused(Turned(stage, turns, "L").world, id),
        R=lambda: revoking.revoke(Turned(stage, turns, "R").world, FRANK, id, comment="no more"),
    )
    told = stage.types(id)
    assert "session.issued" not in told[told.index("request.revoked") :]
    assert isinstance(outcome, Credentials) == (told.count("session.issued") == lent_before + 1)
    assert stage.request(id).status is revoked.status is Status.REVOKED
    assert bool(stage.lender.lent) <= bool(stage.revoker.denied), "a session may be alive that nothing denies"
    stage.lender.forget_what_was_told()
    with pytest.raises(NotActive):
        stage.lent(stage.request(id))


@pytest.mark.parametrize("order", orders(O=4, L=4), ids="".join)
def test_a_first_use_that_sts_refuses_while_another_is_lent_gives_no_second_window(order: Order) -> None:
    """O asks STS first or second, and is refused; L is lent. A second passes at each call: no two windows are alike."""
    stage = Stage()
    approved(stage)
    id = only(stage)
    lend = stage.lender.lend
    turns = Turns(order)

    class Side(Turned):
        def call(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            with self._turns.turn(self._side):
                stage.pass_time(SECOND)
                if self._side == "O" and act == lend:
                    raise StsRefused("No.", "AccessDenied")
                return act(*args, **kwargs)

    opener, other = both(
        turns,
        O=lambda: lent_or_refused(Side(stage, turns, "O").world, id),
        L=lambda: lent_or_refused(Side(stage, turns, "L").world, id),
    )
    assert isinstance(opener, StsRefused)
    assert isinstance(other, Credentials)
    window = stage.request(id).window
    assert window is not None
    assert other.expiration == window.ends_at
    stage.pass_time(10 * SECOND)
    assert stage.lent(stage.request(id)).expiration == window.ends_at


# A chain is ended while somebody adds to it, or says yes in it: every order in which their calls can reach the world.

AFTER_A_YES = with_rules(
    (
        "sre administer payments",
        {"extensions": Extensions(max=2, stages=(RuleStage(1, Who(groups=frozenset({"sre-leads"}))),))},
    )
)


def waiting_for_a_yes(stage: Stage) -> None:
    stage.catalogue = AFTER_A_YES
    used_and_extended(stage)


def _extend_newest(world: World, stage: Stage, newest: Request) -> object:
    return extending.extend(world, CAROL, more_of(newest), None)


def _approve_newest(world: World, stage: Stage, newest: Request) -> object:
    return deciding.approve(world, FRANK, newest.id, comment=None, duration=None)


ENDED_MEANWHILE = {
    "extend what is revoked": (used, _extend_newest, _revoke_all),
    "extend what is returned": (used, _extend_newest, _return_all),
    "extend what is cancelled": (approved, _extend_newest, _cancel_all),
    "extend what ends with its base": (extended, _extend_newest, _cancel_all),
    "approve what ends with its base": (waiting_for_a_yes, _approve_newest, _revoke_all),
}


@pytest.mark.parametrize("name", ENDED_MEANWHILE)
@pytest.mark.parametrize("order", orders(E=3, R=5), ids="".join)
def test_whatever_joins_a_chain_at_any_moment_of_its_end_ends_with_it(order: Order, name: str) -> None:
    before, join, end = ENDED_MEANWHILE[name]
    stage = Stage()
    before(stage)
    last, many, turns = newest(stage), number_of_requests(stage), Turns(order)

    def joined() -> Any:
        try:
            return join(Turned(stage, turns, "E").world, stage, last)
        except (NotActive, NotPending) as refusal:
            return refusal

    outcome, _ = both(turns, E=joined, R=lambda: end(Turned(stage, turns, "R").world, stage))
    states = {request.state(stage.now) for request in stage.requests.everything(after=None, limit=10).items}
    assert OPEN.isdisjoint(states)
    has_joined = number_of_requests(stage) > many or newest(stage).approvals != last.approvals
    assert has_joined == (not isinstance(outcome, Refusal))
    record_is_sound(stage)


def number_of_requests(stage: Stage) -> int:
    return len(stage.requests.everything(after=None, limit=10).items)


def record_is_sound(stage: Stage) -> None:
    for request in stage.requests.everything(after=None, limit=10).items:
        stage.history(request.id)
        assert request.state(stage.now) in (*OPEN, State.ENDED) or request.status.value in request.state(stage.now)
        base = stage.request(request.link.base) if request.link else None
        assert base is None or base.extended_by == request.id
        if base and base.status in (Status.CANCELLED, Status.RETURNED, Status.REVOKED):
            assert request.state(stage.now) not in OPEN
    assert +stage.requests.used == stage.told(), "a day counts what no history tells, or less"
    begun = {session.session_name for session in sessions(stage)}
    assert {plan.session_name for plan in stage.lender.plans} <= begun, "STS was asked for what is not on the record"


def sessions(stage: Stage) -> list[Any]:
    known = stage.requests.everything(after=None, limit=10).items
    return [session for request in known for session in (stage.requests.story(request.id) or ((), ()))[1]]


def handed_out(stage: Stage) -> int:
    """How many credentials may be out, by the record."""
    return sum(session.access_key_id is not None for session in sessions(stage))


def links_handed_out(stage: Stage) -> int:
    """A session whose link is not on the record is one that nobody has the keys of."""
    return sum(event.type == "console.opened" for event in stage.history(only(stage)))
