"""Chains as a state machine: whatever the order of asks, yeses, uses, ends and catalogues, they hold together.

One person asks; a lead and an auditor decide and take away; the catalogue's terms of extending change under them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.broker import deciding, emergency, ending, revoking
from chalicelib.core.catalogue import Catalogue, Extensions, Rule, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.life import OPEN, State, Status
from chalicelib.core.refusals import Refusal
from chalicelib.core.request import Request
from chalicelib.core.times import read_stamp
from tests.builders import HOUR, SECOND
from tests.people import BOB, CAROL, DAVE
from tests.stage import CATALOGUE, Stage, an_ask, with_rules

RULE = "sre administer payments"
LEADS = (RuleStage(1, Who(groups=frozenset({"sre-leads"}))),)
MINUTE = timedelta(minutes=1)
lengths = st.sampled_from([30, 60, 90]).map(lambda minutes: minutes * MINUTE)
which = st.sampled_from([0, 0, 0, 1, 2])  # of all that was asked for, counted from the newest
CATALOGUES = [
    CATALOGUE,
    with_rules((RULE, {"extensions": Extensions(max=3, stages=LEADS)})),
    with_rules((RULE, {"extensions": Extensions(max=1, stages=LEADS), "max_duration": HOUR})),
    with_rules((RULE, {"extensions": Extensions(max=2, stages=()), "max_duration": 90 * MINUTE})),
]


def the_rule(catalogue: Catalogue) -> Rule:
    return next(rule for rule in catalogue.rules if rule.name == RULE)


def most(catalogue: Catalogue) -> timedelta:
    """How long a chain may be, all in all."""
    rule = the_rule(catalogue)
    return rule.max_duration * (1 + (rule.extensions.max if rule.extensions else 0))


class Chains(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()

    @initialize(length=lengths, starts_in=st.sampled_from([None, None, None, HOUR]))
    def ask(self, length: timedelta, starts_in: timedelta | None) -> None:
        starts_at = self.stage.now + starts_in if starts_in else None
        self.stage.approved(wish=an_ask(duration=length, starts_at=starts_at))

    @rule(length=st.none() | lengths, which=which)
    def extend(self, length: timedelta | None, which: int) -> None:
        base = self.request(which)
        with suppress(Refusal):
            extension = self.stage.extended(base, duration=length or base.duration)
            assert base.state(self.stage.now) in (State.READY, State.ACTIVE)
            assert the_rule(self.stage.catalogue).extensions
            if extension.window is not None:
                assert extension.window.ends_at <= self.root_begins(extension) + most(self.stage.catalogue)

    @rule(which=which, shorter=st.none() | lengths)
    def approve(self, which: int, shorter: timedelta | None) -> None:
        with suppress(Refusal):
            deciding.approve(self.stage.world, BOB, self.request(which).id, comment=None, duration=shorter)

    @rule(refused=st.sampled_from([False, False, True]))
    def use_all_that_can_be(self, refused: bool) -> None:
        for request in self.everything():
            before = len(self.stage.lender.plans)
            if refused:
                self.stage.lender.refuse_next()
            with suppress(Refusal):
                self.stage.lent(request)
            self.stage.lender.forget_what_was_told()
            if len(self.stage.lender.plans) > before:
                self.the_last_session_is_within_its_chain(request.id)

    def the_last_session_is_within_its_chain(self, id: str) -> None:
        begun = [event for event in self.stage.history(id) if event.type == "session.issuing"][-1]
        at, ends_at = read_stamp(begun.at), read_stamp(str(begun.details["ends_at"]))
        request = self.stage.request(id)
        if request.link is None:
            return
        base = self.stage.request(request.link.base)
        assert base.window is not None
        assert base.window.ends_at <= at < ends_at <= base.window.ends_at + request.duration
        assert ends_at <= self.root_begins(request) + most(self.stage.catalogue)
        assert base.status in (Status.APPROVED, Status.USED)

    @rule(which=which, how=st.sampled_from(["cancel", "return", "cut", "revoke", "deny", "escalate"]))
    def end(self, which: int, how: str) -> None:
        world, id = self.stage.world, self.request(which).id
        with suppress(Refusal):
            match how:
                case "cancel":
                    ending.cancel(world, CAROL, id)
                case "return" | "cut":
                    ending.give_back(world, CAROL, id, cut=how == "cut")
                case "revoke":
                    revoking.revoke(world, DAVE, id, comment="no more")
                case "deny":
                    deciding.deny(world, BOB, id, comment="no")
                case "escalate":
                    emergency.escalate(world, CAROL, id, reason="nobody answers and it burns")

    @rule(minutes=st.sampled_from([1, 30, 60, 300]))
    def pass_time(self, minutes: int) -> None:
        self.stage.pass_time(minutes * MINUTE)

    @rule(off=st.sampled_from([-SECOND, timedelta(0), SECOND]))
    def wait_for_the_next_edge_and_use_what_can_be(self, off: timedelta) -> None:
        windows = [request.window for request in self.everything() if request.window]
        edges = [edge for window in windows for edge in (window.starts_at, window.ends_at) if edge > self.stage.now]
        self.stage.now = max(self.stage.now, min(edges, default=self.stage.now) + off)
        self.use_all_that_can_be(refused=False)

    @rule(catalogue=st.sampled_from(CATALOGUES))
    def change_the_catalogue(self, catalogue: Catalogue) -> None:
        self.stage.catalogue = catalogue

    @invariant()
    def every_window_begins_where_the_one_before_it_ends(self) -> None:
        for chain in self.chains():
            for base, link in pairwise(chain):
                assert link.link is not None
                assert (link.link.base, link.link.number) == (base.id, base.link.number + 1 if base.link else 1)
                assert link.link.approvals == chain[0].approvals
                if link.window is not None:
                    assert base.window is not None
                    assert link.window.starts_at == base.window.ends_at
                    assert link.link.before == link.window.starts_at - self.root_begins(link)

    @invariant()
    def what_was_taken_or_given_back_takes_every_later_link_with_it(self) -> None:
        for chain in self.chains():
            states = [link.state(self.stage.now) for link in chain]
            for number, state in enumerate(states):
                if state in (State.CANCELLED, State.RETURNED, State.REVOKED):
                    assert OPEN.isdisjoint(states[number:])

    @invariant()
    def of_a_chain_one_link_is_active_at_most(self) -> None:
        for chain in self.chains():
            assert [link.state(self.stage.now) for link in chain].count(State.ACTIVE) <= 1

    @invariant()
    def a_link_can_be_used_until_the_last_that_it_could_end(self) -> None:
        for chain in self.chains():
            for link in chain[1:]:
                if link.window is not None and link.use_by is not None:
                    assert link.window.ends_at <= link.use_by

    @invariant()
    def every_history_holds(self) -> None:
        for request in self.everything():
            self.stage.history(request.id)

    def chains(self) -> Iterator[list[Request]]:
        """Every chain as it is told from its first link on."""
        for request in self.everything():
            if request.link is None:
                chain = [request]
                while (id := chain[-1].extended_by) is not None and self.stage.request(id).link is not None:
                    chain.append(self.stage.request(id))
                yield chain

    def root_begins(self, request: Request) -> datetime:
        while request.link is not None:
            request = self.stage.request(request.link.base)
        assert request.window is not None
        return request.window.starts_at

    def request(self, which: int) -> Request:
        newest = self.everything()
        return newest[min(which, len(newest) - 1)]

    def everything(self) -> tuple[Request, ...]:
        return self.stage.requests.everything(after=None, limit=10_000).items


Chains.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestChains = Chains.TestCase
