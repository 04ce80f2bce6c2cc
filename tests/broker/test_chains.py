"""Chains, whatever the order of asks, yeses, uses, ends and catalogues: what holds them together holds at each step.

One person asks; a lead and an auditor decide and take away; the catalogue's terms of extending change under them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

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
NOT_AT_ALL = timedelta(0)
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


@dataclass
class Chains:
    """The stage, what may happen on it, and what must hold after each step. which: counted from the newest request."""

    stage: Stage = field(default_factory=Stage)

    def extend(self, which: int, length: timedelta | None) -> None:
        base = self.request(which)
        with suppress(Refusal):
            extension = self.stage.extended(base, duration=length or base.duration)
            assert base.state(self.stage.now) in (State.READY, State.ACTIVE)
            assert the_rule(self.stage.catalogue).extensions
            if extension.window is not None:
                assert extension.window.ends_at <= self.root_begins(extension) + most(self.stage.catalogue)

    def approve(self, which: int, shorter: timedelta | None) -> None:
        with suppress(Refusal):
            deciding.approve(self.stage.world, BOB, self.request(which).id, comment=None, duration=shorter)

    def use_what_can_be(self) -> None:
        for request in self.everything():
            before = len(self.stage.lender.plans)
            with suppress(Refusal):
                self.stage.lent(request)
            if len(self.stage.lender.plans) > before:
                self.the_last_session_is_within_its_chain(request.id)

    def use_in_vain(self) -> None:
        for request in self.everything():
            self.stage.lender.refuse_next()
            with suppress(Refusal):
                self.stage.lent(request)
        self.stage.lender.forget_what_was_told()

    def extend_while_the_first_session_is_made_in_vain(self) -> None:
        lend = self.stage.lender.lend

        def extended_meanwhile(plan):
            self.stage.lender.lend = lend  # type: ignore[method-assign]
            self.extend(0, None)
            self.stage.lender.refuse_next()
            return lend(plan)

        self.stage.lender.lend = extended_meanwhile  # type: ignore[method-assign]
        self.use_what_can_be()
        self.stage.lender.lend = lend  # type: ignore[method-assign]

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

    def pass_time(self, minutes: int) -> None:
        self.stage.pass_time(minutes * MINUTE)

    def wait_for_the_next_edge(self, off: timedelta) -> None:
        """To the next begin or end of a window there is, or that follows from its base's; a second off, perhaps."""
        ends = {request.id: request.window for request in self.everything() if request.window}
        edges = [edge for window in ends.values() for edge in (window.starts_at, window.ends_at)]
        self.stage.now = max(
            self.stage.now, min([e for e in edges if e > self.stage.now], default=self.stage.now) + off
        )
        self.use_what_can_be()

    def change_the_catalogue(self, number: int) -> None:
        self.stage.catalogue = CATALOGUES[number]

    # What must hold.

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

    def holds(self) -> None:
        for request in self.everything():
            self.stage.history(request.id)
        for chain in self.chains():
            self.every_window_begins_where_the_one_before_it_ends(chain)
            states = [link.state(self.stage.now) for link in chain]
            assert states.count(State.ACTIVE) <= 1
            for number, state in enumerate(states):
                if state in (State.CANCELLED, State.RETURNED, State.REVOKED):
                    assert OPEN.isdisjoint(states[number:])

    def every_window_begins_where_the_one_before_it_ends(self, chain: list[Request]) -> None:
        for base, link in pairwise(chain):
            assert link.link is not None
            assert (link.link.base, link.link.number) == (base.id, base.link.number + 1 if base.link else 1)
            assert link.link.approvals == chain[0].approvals
            if link.window is not None:
                assert base.window is not None
                assert link.window.starts_at == base.window.ends_at
                assert link.link.before == link.window.starts_at - self.root_begins(link)
                assert link.use_by is None or link.window.ends_at <= link.use_by
            elif base.window is not None and base.status is not Status.APPROVED:
                assert link.use_by is not None
                assert base.window.ends_at + link.duration <= link.use_by

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


Step = Callable[[Chains], None]
which = st.sampled_from([0, 0, 0, 1, 2])
lengths = st.none() | st.sampled_from([30, 60, 90]).map(lambda minutes: minutes * MINUTE)


def step(act: Callable[..., None], *drawn: st.SearchStrategy) -> st.SearchStrategy[Step]:
    return st.tuples(*drawn).map(lambda arguments: lambda chains: act(chains, *arguments))


steps = st.one_of(
    # What goes on is likelier than what ends: Hypothesis takes equal strategies for one, so these are several.
    *(step(Chains.extend, which, lengths) for _ in range(4)),
    *(
        step(Chains.wait_for_the_next_edge, st.sampled_from([-SECOND, NOT_AT_ALL, NOT_AT_ALL, SECOND]))
        for _ in range(5)
    ),
    step(Chains.approve, which, lengths),
    step(Chains.use_what_can_be),
    step(Chains.use_in_vain),
    step(Chains.extend_while_the_first_session_is_made_in_vain),
    step(Chains.end, which, st.sampled_from(["cancel", "return", "cut", "revoke", "deny", "escalate"])),
    step(Chains.pass_time, st.sampled_from([1, 20, 60, 450])),
    step(Chains.change_the_catalogue, st.integers(0, len(CATALOGUES) - 1)),
)


@settings(max_examples=300, deadline=None)
@given(
    duration=st.sampled_from([30, 60, 90]),
    starts_in=st.sampled_from([None, None, None, HOUR]),
    story=st.lists(steps, min_size=5, max_size=30),
)
def test_whatever_happens_chains_hold_together(duration: int, starts_in: timedelta | None, story: list[Step]) -> None:
    chains = Chains()
    starts_at = chains.stage.now + starts_in if starts_in else None
    chains.stage.approved(wish=an_ask(duration=duration * MINUTE, starts_at=starts_at))
    for happens in story:
        happens(chains)
        chains.holds()
