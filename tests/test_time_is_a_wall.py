"""Time is a wall: over thousands of stories, no session that was ever planned lets anything through once it is over.

When it has to be over is worked out here, from what happened; policies are judged by the evaluator in `tests/iam.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.broker import asking, deciding, emergency, ending, lending, revoking
from chalicelib.broker.ports import Lent
from chalicelib.core.catalogue import Catalogue, Rule
from chalicelib.core.hours import DAYS, Hours
from chalicelib.core.refusals import NotFound, Refusal, StsRefused
from chalicelib.core.request import Ask, Change
from chalicelib.core.session import SessionPlan
from tests.builders import HOUR, NOW, SECOND
from tests.fakes import Effect
from tests.iam import allowed
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import CATALOGUE, Stage, an_ask, with_role, with_rules

SANDBOX, PAYMENTS = "engineers administer the sandbox", "sre administer payments"
ASKS = {"sandbox-admin": (ALICE, SANDBOX), "payments-admin": (CAROL, PAYMENTS)}
GLASS = next(rule.break_glass for rule in CATALOGUE.rules if rule.break_glass)
OBJECT, ANY_ROLE = "arn:aws:s3:::files/report", "arn:aws:iam::222222222222:role/Other"
TRIED = (
    ("s3:GetObject", OBJECT),
    ("ec2:RunInstances", "*"),
    ("iam:CreateUser", ANY_ROLE),
    ("sts:AssumeRole", ANY_ROLE),
    ("sts:AssumeRole", "arn:aws:iam::222222222222:role/cdk-deploy"),
    ("sts:GetWebIdentityToken", "*"),
    ("sts:AssumeRoot", "*"),
    ("signin:CreateOAuth2Token", "*"),
)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


POLICIES = (  # each lets a session read OBJECT
    None,
    policy({"Effect": "Allow", "Action": "*", "Resource": "*"}),
    policy({"Effect": "Allow", "NotAction": "s3:DeleteObject", "NotResource": "arn:aws:s3:::other"}),
    policy(
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}
    ),
    policy(
        {"Effect": "Allow", "Action": ["s3:Get*", "sts:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"},
    ),
)


def office(opens: int, closes: int, days: tuple[str, ...] = DAYS, zone: str = "Europe/Berlin") -> Hours:
    return Hours(days=frozenset(days), opens=opens * HOUR, closes=closes * HOUR, zone=ZoneInfo(zone))


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


CATALOGUES = (  # of each role one rule, under one name
    CATALOGUE,
    with_rules((SANDBOX, {"max_duration": minutes(20)}), (PAYMENTS, {"max_duration": minutes(7)})),
    with_rules((SANDBOX, {"max_duration": 12 * HOUR}), (PAYMENTS, {"max_duration": 12 * HOUR})),
    with_rules((SANDBOX, {"hours": office(8, 18, DAYS[:5])}), (PAYMENTS, {"hours": office(0, 24, ("wed", "sun"))})),
    with_rules((SANDBOX, {"hours": office(1, 4, zone="America/Havana"), "max_duration": 12 * HOUR})),
    with_rules((SANDBOX, {"max_duration": 2 * HOUR, "max_per_day": 3 * HOUR}), (PAYMENTS, {"max_duration": HOUR})),
    with_rules(
        (SANDBOX, {"max_duration": 4 * HOUR, "max_per_day": 4 * HOUR, "hours": office(9, 17)}),
        (PAYMENTS, {"break_glass": replace(GLASS, max_duration=minutes(3)) if GLASS else None}),
    ),
    with_role("sandbox-admin", max_session=minutes(30), chaining=("arn:aws:iam::*:role/cdk-*",)),
    replace(CATALOGUE, frozen=True),
)

lengths = st.sampled_from([60, 61, 599, 900, 901, 3600, 2 * 3600, 4 * 3600]).map(lambda seconds: seconds * SECOND)
pauses = st.sampled_from([0, 1, 2, 29, 60, 600, 899, 3599, 3600, 5 * 3600, 24 * 3600]) | st.integers(0, 4 * 3600)
asked_ahead = st.none() | st.sampled_from([0, 1, 60, 3600, 20 * 3600, 30 * 24 * 3600])
# An ordinary day; one on which Berlin's clock is set, from its midnight in UTC on; two minutes before another one's.
beginnings = st.sampled_from([NOW, NOW.replace(day=30, hour=0), NOW.replace(month=10, day=25, hour=22, minute=58)])


@dataclass
class Planned:
    """One session as STS was asked for it: in which second, and in which its access has to be over."""

    plan: SessionPlan
    at: datetime
    over: datetime


@dataclass
class Story:
    """A story as it goes, and what follows from it about windows: none of that is read off a request or a policy."""

    stage: Stage
    planned: list[Planned] = field(default_factory=list)
    wishes: dict[str, Ask] = field(default_factory=dict)  # as cut, or escalated, since
    begins: dict[str, datetime] = field(default_factory=dict)  # as asked for, or with the first session
    lengths: dict[str, timedelta] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lend, self._submit = self.stage.lender.lend, self.stage.requests.submit
        self.stage.lender.lend, self.stage.requests.submit = self.lend, self.submit  # type: ignore[method-assign]

    # What follows.

    def submit(self, change: Change, *further: Change, **how: Any) -> None:
        self._submit(change, *further, **how)
        id, wish = change.after.id, self._wish
        self.wishes[id] = wish
        if wish.starts_at:
            self.begins[id], self.lengths[id] = wish.starts_at, wish.duration

    def lend(self, plan: SessionPlan) -> Lent:
        id, now = plan.tags["daypass:request"], self.stage.now
        if id not in self.begins:
            self.begins[id], self.lengths[id] = now, min(self.wishes[id].duration, self.limit(id))
        self.begun[id] += 1
        self.planned.append(Planned(plan, now, self.over(id)))
        try:
            return self._lend(plan)
        except StsRefused:
            self.shut(id)
            raise

    def shut(self, id: str) -> None:
        """STS made no session: where it would have been the only one, the window that it opened was none."""
        if self.begun[id] == 1:
            self.begun[id] = 0
            if self.wishes[id].starts_at is None:
                del self.begins[id]

    def over(self, id: str) -> datetime:
        latest = self.begins[id] + min(self.lengths[id], self.limit(id))
        hours = self.rule(id).hours
        if hours is None or self.wishes[id].break_glass:
            return latest
        closing = hours.closing(self.stage.now)
        assert closing, "nothing is lent outside of its hours"
        return min(latest, closing)

    def limit(self, id: str) -> timedelta:
        rule = self.rule(id)
        return rule.break_glass.max_duration if rule.break_glass and self.wishes[id].break_glass else rule.max_duration

    def rule(self, id: str) -> Rule:
        """Of each role there is one."""
        name = ASKS[self.wishes[id].role][1]
        return next(rule for rule in self.stage.catalogue.rules if rule.name == name)

    # What may happen.

    def ask(self, role: str, length: timedelta, ahead: int | None, own: str | None) -> None:
        starts_at = None if ahead is None else self.stage.now + ahead * SECOND
        self._wish = an_ask(role, length, session_policy=own, starts_at=starts_at)
        asking.ask(self.stage.world, ASKS[role][0], self._wish, None)

    def ask_and_lend(self, role: str, length: timedelta, own: str | None, burns: bool) -> None:
        self._wish = an_ask(role, length, session_policy=own, break_glass=burns, reason="it burns, everywhere and now")
        lending.ask_and_lend(self.stage.world, ASKS[role][0], self._wish, None)

    def approve(self, which: int, length: timedelta | None) -> None:
        id = self.one(which)
        wish = self.wishes[id]
        deciding.approve(self.stage.world, FRANK, id, comment=None, duration=length)
        self.wishes[id] = replace(wish, duration=length or wish.duration)
        if wish.starts_at:
            self.lengths[id] = length or wish.duration

    def escalate(self, which: int) -> None:
        id = self.one(which)
        emergency.escalate(self.stage.world, CAROL, id, reason="nobody answers and it burns")
        self.wishes[id] = replace(self.wishes[id], break_glass=True, starts_at=None)
        self.begins.pop(id, None)

    def use(self, which: int, times: int, apart: int, fate: str) -> None:
        id = self.one(which)
        for _ in range(times):
            self.tell_sts(fate)
            with suppress(Refusal):
                lending.lend(self.stage.world, ASKS[self.wishes[id].role][0], id)
            self.stage.pass_time(apart * SECOND)
        self.stage.lender.forget_what_was_told()

    def tell_sts(self, fate: str) -> None:
        if fate == "refuse":
            self.stage.lender.refuse_next()
        elif fate != "lend":
            self.stage.lender.time_out_next(Effect(fate))

    def end(self, which: int, how: str) -> None:
        id = self.one(which)
        if how == "revoke":
            revoking.revoke(self.stage.world, DAVE, id, comment="no more")
        else:
            ends = ending.cancel if how == "cancel" else ending.give_back
            ends(self.stage.world, ASKS[self.wishes[id].role][0], id)

    def pass_time(self, seconds: int) -> None:
        self.stage.pass_time(seconds * SECOND)

    def change_the_catalogue(self, catalogue: Catalogue) -> None:
        self.stage.catalogue = catalogue

    def one(self, which: int) -> str:
        """One of the requests there are, the later ones sooner. Raises NotFound where there is none."""
        ids = list(self.wishes)
        if not ids:
            raise NotFound("Nothing that was asked for was recorded.")
        return ids[-1 - which % len(ids)]


roles, own_policies = st.sampled_from(sorted(ASKS)), st.sampled_from(POLICIES)
which = st.integers(0, 3)
fates = st.sampled_from(["lend", "lend", "lend", "refuse", *(effect.value for effect in Effect)])
steps = st.one_of(
    st.tuples(st.just("ask"), roles, lengths, asked_ahead, own_policies),
    st.tuples(st.just("ask_and_lend"), roles, lengths, own_policies, st.booleans()),
    st.tuples(st.just("approve"), which, st.none() | lengths),
    st.tuples(st.just("escalate"), which),
    st.tuples(st.just("use"), which, st.integers(1, 4), pauses, fates),
    st.tuples(st.just("use"), which, st.integers(1, 2), st.integers(0, 1800), st.just("lend")),
    st.tuples(st.just("end"), which, st.sampled_from(["cancel", "return", "revoke"])),
    st.tuples(st.just("pass_time"), pauses),
    st.tuples(st.just("change_the_catalogue"), st.sampled_from(CATALOGUES)),
)
# Asked for and answered, waited for and used: what most stories begin with, so that they are about something.
firsts = st.builds(
    lambda role, length, ahead, own, cut, waited, fate: [
        ("ask", role, length, ahead, own),
        ("approve", 0, cut),
        ("pass_time", (ahead or 0) + waited),
        ("use", 0, 1, 0, fate),
    ],
    *(roles, lengths, asked_ahead, own_policies, st.none() | lengths, st.integers(0, 1800), fates),
)


@settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
@given(now=beginnings, catalogue=st.sampled_from(CATALOGUES[:-1]), first=firsts, rest=st.lists(steps, max_size=8))
def test_whatever_happens_every_session_works_until_its_end_to_the_second_and_at_and_after_it_no_action_passes(
    now: datetime, catalogue: Catalogue, first: list[tuple[Any, ...]], rest: list[tuple[Any, ...]]
) -> None:
    story = Story(Stage(now=now, catalogue=catalogue))
    for act, *how in [*first, *rest]:
        with suppress(Refusal):
            getattr(story, act)(*how)
    for planned in story.planned:
        assert planned.at < planned.over
        for action, resource in TRIED:
            for later in (timedelta(0), SECOND, HOUR, timedelta(days=366)):
                assert not allowed(planned.plan.policy, action, resource, planned.over + later)
        for before in (SECOND, planned.over - planned.at):
            assert allowed(planned.plan.policy, *TRIED[0], planned.over - before)
    assert +story.stage.requests.used == story.stage.told()
