"""The life of requests as a state machine: several people ask, decide, use and end, while time and catalogue change.

The machine keeps a simple model of its own beside the broker: what has happened, in the order it happened.
"""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from chalicelib.broker import (
    asking,
    deciding,
    emergency,
    ending,
    erasing,
    extending,
    lending,
    revoking,
    seeing,
    sweeping,
)
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core import revocation
from chalicelib.core.catalogue import Extensions, Quotas, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.life import MOVES, OPEN, State, Status, Window
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import Refusal
from chalicelib.core.replaying import SESSIONS_SHOWN, unexplained
from chalicelib.core.request import Covers, Request, ScopeChoice, Verdict
from chalicelib.core.times import read_stamp
from chalicelib.web.views.requests import RequestView
from tests.builders import HOUR
from tests.fakes import Effect
from tests.people import PEOPLE, now_in
from tests.stage import CATALOGUE, Stage, an_ask, more_of, via_oidc, with_rules

SANDBOX = "engineers administer the sandbox"
ROLES = [*CATALOGUE.roles, "nothing-such"]
ONE_MORE = Extensions(max=1, stages=(RuleStage(1, Who(groups=frozenset({"sre-leads"}))),))
CATALOGUES = [
    CATALOGUE,
    with_rules(("sre administer payments", {"max_duration": timedelta(minutes=30)})),
    with_rules(("sre administer payments", {"roles": ("nothing-such",)})),
    with_rules(("sre administer payments", {"extensions": ONE_MORE})),
    replace(CATALOGUE, frozen=True),
    replace(CATALOGUE, quotas=Quotas(open_requests=2, break_glass_per_day=1)),
    with_rules((SANDBOX, {"max_duration": HOUR, "max_per_day": HOUR})),
    with_rules((SANDBOX, {"max_duration": HOUR, "max_per_day": 2 * HOUR})),
    with_rules(("contractors never administer payments", {"roles": ("*",)})),
    via_oidc("sandbox-admin"),
    via_oidc("payments-admin"),
]
people = st.sampled_from(PEOPLE)
starts = st.none() | st.sampled_from([0, 1, 3600, 30 * 24 * 3600]).map(lambda seconds: timedelta(seconds=seconds))
lengths = st.sampled_from([60, 600, 900, 3600, 3 * 3600]).map(lambda seconds: timedelta(seconds=seconds))


class Stories(RuleBasedStateMachine):
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.seen: dict[str, list[Status]] = defaultdict(list)
        self.handed_out: list[Credentials] = []
        self.yes: dict[str, list[Principal]] = defaultdict(list)
        self.final: dict[str, Status] = {}

    @rule(
        target=requests,
        who=people,
        role=st.sampled_from(ROLES),
        length=lengths,
        starts=starts,
        key=st.sampled_from(["a", None]),
    )
    def ask(self, who: Principal, role: str, length: timedelta, starts: timedelta | None, key: str | None):
        scope = ScopeChoice("one-bucket", {"bucket": "data-files"}) if role == "data-export" else None
        idempotency = IdempotencyKey("POST /requests", key) if key else None
        try:
            starts_at = None if starts is None else self.stage.now + starts
            asked = asking.ask(
                self.stage.world, who, an_ask(role, length, scope=scope, starts_at=starts_at), idempotency
            )
        except Refusal:
            return multiple()
        assert asked.request.requester.id == who.id
        return asked.request.id

    @rule(target=requests, who=people, role=st.sampled_from(ROLES), length=lengths)
    def ask_and_lend(self, who: Principal, role: str, length: timedelta):
        try:
            outcome = lending.ask_and_lend(self.stage.world, who, an_ask(role, length), None)
        except Refusal:
            return multiple()
        if isinstance(outcome, Request):
            return outcome.id
        self.handed_out.append(outcome)
        return outcome.request_id

    @rule(target=requests, id=requests, who=people, length=lengths, key=st.sampled_from(["a", None]))
    def extend(self, id: str, who: Principal, length: timedelta, key: str | None):
        base = self.stage.request(id)
        idempotency = IdempotencyKey("POST /requests", key) if key else None
        try:
            asked = extending.extend(self.stage.world, who, more_of(base, length), idempotency)
        except Refusal:
            return multiple()
        assert asked.replayed or base.state(self.stage.now) in (State.READY, State.ACTIVE)
        assert asked.request.requester.id == who.id == base.requester.id
        return asked.request.id

    @rule(id=requests, who=people, shorter=st.none() | lengths)
    def approve(self, id: str, who: Principal, shorter: timedelta | None) -> None:
        before = self.stage.request(id)
        with suppress(Refusal):
            after = deciding.approve(self.stage.world, who, id, comment=None, duration=shorter)
            self.yes[id].append(who)
            assert after.duration <= before.duration

    @rule(id=requests, who=people)
    def deny(self, id: str, who: Principal) -> None:
        with suppress(Refusal):
            deciding.deny(self.stage.world, who, id, comment="no")
            assert who.id != self.stage.request(id).requester.id
            assert who.kind is Kind.HUMAN

    @rule(target=requests, who=people, length=lengths)
    def break_the_glass(self, who: Principal, length: timedelta):
        fire = an_ask("payments-admin", length, reason="payments are down for everybody", break_glass=True)
        try:
            outcome = lending.ask_and_lend(self.stage.world, who, fire, None)
        except Refusal:
            return multiple()
        assert isinstance(outcome, Credentials)
        self.handed_out.append(outcome)
        return outcome.request_id

    @rule(id=requests, who=people)
    def escalate(self, id: str, who: Principal) -> None:
        with suppress(Refusal):
            emergency.escalate(self.stage.world, who, id, reason="nobody answers and it burns")
            assert who.id == self.stage.request(id).requester.id

    @rule(id=requests, who=people, verdict=st.sampled_from(Verdict))
    def review(self, id: str, who: Principal, verdict: Verdict) -> None:
        before = self.stage.request(id)
        with suppress(Refusal):
            emergency.review(self.stage.world, who, id, verdict=verdict, comment="seen")
            assert before.break_glass
            assert before.review is None
            assert who.id != before.requester.id

    @rule(id=requests, who=people, fate=st.sampled_from(["lent", "refused", "unsigned", "lost", "unanswered"]))
    def lend(self, id: str, who: Principal, fate: str) -> None:
        if fate == "refused":
            self.stage.lender.refuse_next()
        elif fate == "unsigned":
            self.stage.lender.lend_nothing_next()
        elif fate != "lent":
            self.stage.lender.time_out_next(Effect.BEFORE if fate == "lost" else Effect.AFTER)
        planned = len(self.stage.lender.plans)
        state = self.stage.request(id).state(self.stage.now)
        with suppress(Refusal):
            lent = lending.lend(self.stage.world, who, id)
            assert fate == "lent"
            self.handed_out.append(lent)
        if len(self.stage.lender.plans) > planned:
            assert who.id == self.stage.request(id).requester.id
            assert state in (State.READY, State.ACTIVE)
        self.stage.lender.forget_what_was_told()

    @rule(id=requests, who=st.sampled_from([who for who in PEOPLE if who.kind is Kind.HUMAN]))
    def lend_to_who_changed_groups(self, id: str, who: Principal) -> None:
        with suppress(Refusal):
            lending.lend(self.stage.world, now_in(who, "contractors"), id)
            raise AssertionError("nothing in any catalogue lends to contractors who are nothing else")

    @rule(
        id=requests,
        who=people,
        fate=st.sampled_from(["written", "refused", "unanswered"]),
        covers=st.sampled_from(Covers),
    )
    def revoke(self, id: str, who: Principal, fate: str, covers: Covers) -> None:
        self.stage.revoker.covers = covers
        if fate != "written":
            self.stage.revoker.fail_next("no-answer", Effect.AFTER if fate == "unanswered" else Effect.BEFORE)
        with suppress(Refusal):
            revoking.revoke(self.stage.world, who, id, comment="no more")
            assert who.kind is Kind.HUMAN
        self.stage.revoker.forget_what_was_told()

    @rule(id=requests)
    def settle(self, id: str) -> None:
        revoking.settle(self.stage.world, self.stage.request(id), self.stage.now)

    @rule(id=consumes(requests), who=people, end=st.sampled_from([ending.cancel, ending.give_back]))
    def end(self, id: str, who: Principal, end) -> None:
        with suppress(Refusal):
            end(self.stage.world, who, id)
            assert who.id == self.stage.request(id).requester.id

    @rule(id=requests, who=people)
    def erase(self, id: str, who: Principal) -> None:
        with suppress(Refusal):
            erasing.erase(self.stage.world, who, id)

    @rule(length=st.sampled_from([1, 59, 600, 1800, 3600, 4 * 3600, 30 * 24 * 3600]))
    def pass_time(self, length: int) -> None:
        self.stage.pass_time(timedelta(seconds=length))

    @rule()
    def sweep(self) -> None:
        before = {request.id: request.state(self.stage.now) for request in self.everything()}
        assert sweeping.sweep(self.stage.world).failures == {}
        assert {request.id: request.state(self.stage.now) for request in self.everything()} == before

    @rule(catalogue=st.sampled_from(CATALOGUES))
    def change_the_catalogue(self, catalogue) -> None:
        self.stage.catalogue = catalogue

    @invariant()
    def every_history_holds_and_every_move_is_in_the_table(self) -> None:
        for request in self.everything():
            self.stage.history(request.id)
            seen = self.seen[request.id]
            if not seen or seen[-1] is not request.status:
                seen.append(request.status)
            steps = pairwise(seen)
            allowed = {(before, after) for (before, _), after in MOVES.items()}
            # Two moves may happen between two looks: asked and lent in one call, used and shut again.
            assert all(step in allowed or self.in_two(step, allowed) for step in steps)

    @invariant()
    def every_request_says_what_its_history_explains_and_nothing_else(self) -> None:
        for request in self.everything():
            sessions = self.stage.sessions(request.id)[-SESSIONS_SHOWN:]
            view = RequestView.of(request, self.stage.now, sessions)
            shown = view.model_dump(mode="json", by_alias=True, exclude_unset=True)
            history = [event.as_json() for event in self.stage.history(request.id)]
            assert unexplained(shown, history) == []

    @staticmethod
    def in_two(step: tuple[Status, Status], allowed: set[tuple[Status, Status]]) -> bool:
        before, after = step
        return any((before, between) in allowed and (between, after) in allowed for between in Status)

    @invariant()
    def nobody_uses_what_neither_approvals_nor_an_emergency_gave(self) -> None:
        for request in self.everything():
            if request.status is Status.USED and request.stages:
                assert request.approvals

    @invariant()
    def a_deny_stands_where_the_record_says_so_until_its_sessions_are_over(self) -> None:
        for request in self.everything():
            standing = {role_arn for role_arn, id in self.stage.revoker.denied if id == request.id}
            for deny in request.revocation.denies if request.revocation else ():
                said = deny.written_at is not None and deny.removed_at is None
                assert not said or deny.role_arn in standing
                assert deny.removed_at is None or deny.role_arn not in standing
                assert deny.removed_at is None or not revocation.lives(request, self.stage.now)
            assert not standing or request.revocation

    @invariant()
    def what_is_final_stays_final(self) -> None:
        for request in self.everything():
            if request.id in self.final:
                assert request.status is self.final[request.id]
            elif request.status in (Status.DENIED, Status.CANCELLED, Status.RETURNED, Status.REVOKED):
                self.final[request.id] = request.status

    @invariant()
    def nobody_said_yes_to_themselves_or_twice(self) -> None:
        for request in self.everything():
            by = [approval.by for approval in request.approvals]
            assert len(by) == len(set(by))
            assert request.requester.id not in by
            assert all(who.kind is Kind.HUMAN for who in self.yes[request.id])

    @invariant()
    def nothing_was_handed_out_that_is_not_on_the_record(self) -> None:
        for lent in self.handed_out:
            issued = [
                event.details["access_key_id"]
                for event in self.stage.history(lent.request_id)
                if event.type == "session.issued"
            ]
            assert lent.access_key_id in issued

    @invariant()
    def every_day_counts_what_the_histories_tell_and_never_more_than_there_ever_is_of_it(self) -> None:
        assert +self.stage.requests.used == self.stage.told()
        for (*_, by_rule), taken in self.stage.requests.used.items():
            assert taken <= (7200 if by_rule else Quotas().break_glass_per_day)

    @invariant()
    def every_session_ends_with_its_window_or_before(self) -> None:
        for request in self.everything():
            for event in self.stage.history(request.id):
                if event.type == "session.issuing":
                    ends_at = read_stamp(str(event.details["ends_at"]))
                    assert (request.starts_at or read_stamp(event.at)) <= read_stamp(event.at) < ends_at
                    assert ends_at <= read_stamp(event.at) + request.duration
        for plan in self.stage.lender.plans:
            denies = [s for s in json.loads(plan.policy)["Statement"] if s["Effect"] == "Deny"]
            assert any("aws:CurrentTime" in str(deny) for deny in denies)

    @invariant()
    def no_session_outlives_what_the_request_says_of_its_last_one(self) -> None:
        for request in self.everything():
            for event in self.stage.history(request.id):
                if event.type == "session.issuing" and request.sessions_begun:
                    lasts = timedelta(seconds=int(str(event.details["duration_seconds"])))
                    over = min(read_stamp(event.at) + lasts, read_stamp(str(event.details["ends_at"])))
                    assert request.lent_until is not None
                    assert over <= request.lent_until

    @invariant()
    def a_window_that_was_asked_for_begins_as_asked_and_ends_as_approved(self) -> None:
        for request in self.everything():
            if request.starts_at is not None and request.extended_by is None:
                assert request.window == Window(request.starts_at, request.starts_at + request.duration)
                assert (request.use_by, request.answer_by <= request.window.ends_at) == (None, True)

    @invariant()
    def an_extension_goes_on_where_its_base_ends_and_ends_with_it(self) -> None:
        for request in self.everything():
            link = request.link
            base = self.stage.request(link.base) if link else None
            if base is None or base.extended_by != request.id:
                continue
            if request.window is not None:
                assert base.window is not None
                assert request.window.starts_at == base.window.ends_at
            if base.status in (Status.CANCELLED, Status.RETURNED, Status.REVOKED):
                assert (
                    request.status not in (Status.PENDING, Status.APPROVED) or request.state(self.stage.now) not in OPEN
                )

    @invariant()
    def what_time_did_is_announced_once_and_nothing_happens_after_it(self) -> None:
        for request in self.everything():
            types = [kind for kind in self.stage.types(request.id) if kind != "texts.erased"]  # which may come later
            told = [kind for kind in types if kind in ("request.expired", "request.ended")]
            assert told in ([], [f"request.{request.state(self.stage.now)}"])
            assert told in ([], types[-1:])

    @invariant()
    def what_one_sees_is_what_the_list_shows(self) -> None:
        for who in PEOPLE[:3]:
            page = seeing.listed(self.stage.world, who, seeing.Filters(), after=None, limit=10_000)
            shown = {request.id for request in page.items}
            visible = {r.id for r in self.everything() if seeing.may_see(self.stage.catalogue, r, who)}
            assert shown == visible

    def everything(self) -> tuple[Request, ...]:
        return self.stage.requests.everything(after=None, limit=10_000).items


Stories.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStories = Stories.TestCase
