"""The verdict: what operators are told of an ask is what the ask would meet, with every rule's word on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import BreakGlass, Catalogue, Effect, Rule, Scope, Stage, Who
from chalicelib.core.hours import DAYS, Hours
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import Refusal
from chalicelib.core.request import ScopeChoice
from chalicelib.core.rules import decide, emergency, glasses, lends_from
from chalicelib.core.verdict import verdict
from tests.core.test_rules import (
    HOUR,
    NOON,
    ROLES,
    a_catalogue,
    a_deny,
    a_person,
    allows,
    an_allow,
    asking,
    asks,
    denies,
    of,
    people,
    whos,
)

GLASS = BreakGlass(who=of("oncall"), max_duration=HOUR, reviewers=of("security"), review_within=24 * HOUR)
T = TypeVar("T")
LENT = ("auto-approved", "needs-approval", "break-glass")


AT_NIGHT = Hours(days=frozenset(DAYS), opens=HOUR, closes=2 * HOUR, zone=ZoneInfo("UTC"))

stages = st.sampled_from([(), (Stage(1, of("leads")),), (Stage(1, of("leads")), Stage(2, of("security")))])
hours = st.sampled_from([None, AT_NIGHT])
glass = st.none() | st.builds(
    lambda who, hours, mfa, ticket: replace(
        GLASS, who=who, max_duration=hours * HOUR, require_mfa=mfa, require_ticket=ticket
    ),
    whos,
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
richer = st.builds(
    lambda rule, stages, hours, glass: replace(
        rule,
        name=f"{rule.name}{len(stages)}{hours}{glass}",
        stages=stages,
        hours=hours,
        break_glass=glass,
    ),
    allows,
    stages,
    hours,
    glass,
)
# Alone, generated rules let hardly anybody in: one of two lists has a rule for all people.
for_people = richer.map(
    lambda rule: replace(
        rule,
        name="people",
        who=Who(kind=Kind.HUMAN),
        roles=("*",),
        require_mfa=False,
        ticket=None,
        max_duration=4 * HOUR,
    )
)
rule_lists = st.tuples(
    st.lists(richer, max_size=4, unique_by=lambda rule: rule.name),
    st.lists(for_people, max_size=1),
    st.lists(denies, max_size=1),
).map(lambda parts: [rule for part in parts for rule in part])
callers = st.builds(lambda person, kind: replace(person, kind=kind), people, st.sampled_from(Kind))


def outcome(judge: Callable[[], T]) -> T | Refusal:
    try:
        return judge()
    except Refusal as refusal:
        return refusal


def frozen(catalogue: Catalogue) -> Catalogue:
    return replace(catalogue, frozen=True)


@given(rule_lists, callers, asks, st.booleans())
def test_the_verdict_is_what_deciding_says(rules, caller, terms, cold) -> None:
    catalogue = frozen(a_catalogue(*rules)) if cold else a_catalogue(*rules)
    told = verdict(catalogue, caller, terms, NOON)
    admitting = {each.rule.name for each in told.considered if each.matches and each.rule.effect is Effect.ALLOW}
    decision = outcome(lambda: decide(catalogue, caller, terms))
    if isinstance(decision, Refusal):
        assert (told.would, told.ruling, told.lends_from) == (decision.slug, None, None)
        return
    assert told.would in LENT
    assert told.ruling
    assert {rule.name for rule in decision.rules} == admitting
    assert told.ruling.rule in admitting
    assert (told.would == "needs-approval") == bool(told.ruling.stages)
    first = min(lends_from(rule, NOON) for rule in decision.rules)
    assert told.lends_from == (None if cold else first)


@given(rule_lists, callers, asks)
def test_in_an_emergency_it_is_what_the_emergency_says(rules, caller, terms) -> None:
    catalogue = frozen(a_catalogue(*rules))
    told = verdict(catalogue, caller, terms, NOON, break_glass=True)
    if not any(each.matches and each.rule.effect is Effect.DENY for each in told.considered) and terms.role in ROLES:
        opening = {each.rule.name for each in told.considered if each.matches}
        assert opening == {rule.name for rule, _ in glasses(catalogue, caller, terms.role)}
    way = outcome(lambda: emergency(catalogue, caller, terms))
    if isinstance(way, Refusal):
        assert (told.would, told.ruling) == (way.slug, None)
        return
    assert told.ruling
    assert (told.would, told.ruling.rule, told.lends_from) == ("break-glass", way.rule, NOON)


@given(rule_lists, callers, asks, st.booleans())
def test_every_rule_that_covers_the_role_is_told_of_and_says_why(rules, caller, terms, burning) -> None:
    told = verdict(a_catalogue(*rules), caller, terms, NOON, break_glass=burning)
    assert [each.rule for each in told.considered] == [rule for rule in rules if rule.covers(terms.role)]
    assert all(repr(each.rule.name) in each.why for each in told.considered)


def test_a_deny_is_named_though_the_caller_would_not_hear_of_it() -> None:
    told = verdict(a_catalogue(an_allow(), a_deny(of("contractors"))), a_person("sre", "contractors"), asking(), NOON)
    assert (told.would, told.why) == ("not-eligible", "'never' denies this, whatever other rules allow.")
    told = verdict(a_catalogue(an_allow()), a_person("dbas"), asking(), NOON)
    assert (told.would, told.why) == ("not-eligible", "No rule gives it to this caller.")


def test_a_rule_that_is_closed_does_not_stand_in_for_one_that_lends() -> None:
    closed, asking_more = an_allow("closed", hours=AT_NIGHT), an_allow("open", stages=(Stage(1, of("leads")),))
    told = verdict(a_catalogue(closed, asking_more), a_person("sre"), asking(), NOON)
    assert told.ruling
    assert (told.would, told.ruling.rule, told.lends_from) == ("needs-approval", "open", NOON)
    told = verdict(a_catalogue(closed), a_person("sre"), asking(), NOON)
    assert (told.would, told.lends_from) == ("auto-approved", NOON + 13 * HOUR)
    told = verdict(replace(a_catalogue(asking_more), frozen=True), a_person("sre"), asking(), NOON)
    assert (told.would, told.lends_from) == ("needs-approval", None)


def test_a_rule_says_all_that_it_misses() -> None:
    strict = an_allow(require_mfa=True, ticket="INC-[0-9]+", max_duration=HOUR)
    [considered] = verdict(a_catalogue(strict), a_person("sre", mfa=False), asking(duration=2 * HOUR), NOON).considered
    assert considered.why == (
        "'sre' asks for a second factor. 'sre' asks for a ticket of the form INC-[0-9]+. 'sre' allows 1 h, 2 h asked."
    )
    narrow = an_allow(who=Who(groups=frozenset({"sre"}), kind=Kind.WORKLOAD, issuer="ci"))
    [considered] = verdict(a_catalogue(narrow), a_person("dbas"), asking(), NOON).considered
    assert considered.why == (
        "'sre' is not for this caller: it needs a group of sre and is for a workload and needs the issuer ci."
    )


def test_without_a_duration_only_the_way_in_is_judged() -> None:
    told = verdict(a_catalogue(an_allow(max_duration=HOUR)), a_person("sre"), asking(duration=None), NOON)
    assert told.would == "auto-approved"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (an_allow(), "'sre' lets nobody break the glass."),
        (
            an_allow(break_glass=GLASS),
            "'sre' does not let this caller break the glass: it needs a group of oncall.",
        ),
        (
            an_allow(break_glass=replace(GLASS, who=of("sre"), require_ticket=True)),
            "'sre' lets this caller break the glass with a second factor and a ticket, up to 1 h.",
        ),
        (
            an_allow(break_glass=replace(GLASS, who=of("sre"), require_mfa=False)),
            "'sre' lets this caller break the glass, up to 1 h.",
        ),
        (a_deny(of("sre")), "'never' denies this, whatever other rules allow."),
    ],
)
def test_in_an_emergency_rules_speak_of_the_glass(rule: Rule, why: str) -> None:
    [considered] = verdict(a_catalogue(rule), a_person("sre"), asking(), NOON, break_glass=True).considered
    assert considered.why == why


def test_a_workload_never_breaks_the_glass() -> None:
    robot = replace(a_person("oncall"), kind=Kind.WORKLOAD)
    told = verdict(a_catalogue(an_allow(break_glass=GLASS)), robot, asking(), NOON, break_glass=True)
    assert told.would == "not-eligible"
    assert "it is for people alone" in told.considered[0].why


class TestScopes:
    scope = Scope(
        name="one-bucket",
        policy={
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::${bucket}/*"}],
        },
        parameters={"bucket": "[a-z-]{3,63}"},
    )
    role = replace(ROLES["payments-admin"], require_scope=True, scopes={"one-bucket": scope}, identity_use=True)
    catalogue = Catalogue(digest="d", roles={"payments-admin": role}, rules=(an_allow(),))

    def told(self, scope: ScopeChoice | None, duration: timedelta = HOUR):
        return verdict(self.catalogue, a_person("sre"), asking(duration=duration), NOON, scope=scope)

    def test_a_scope_narrows_the_session(self) -> None:
        told = self.told(ScopeChoice("one-bucket", {"bucket": "ledger"}))
        assert told.would == "auto-approved"
        assert "arn:aws:s3:::ledger/*" in (told.session_policy or "")

    @pytest.mark.parametrize("scope", [ScopeChoice("other", {}), ScopeChoice("one-bucket", {"bucket": "*"})])
    def test_one_that_does_not_fit_is_a_mistake(self, scope) -> None:
        assert self.told(scope).would == "invalid"

    def test_who_may_choose_one_later_is_let_in(self) -> None:
        told = self.told(None)
        assert (told.would, told.session_policy) == ("auto-approved", None)

    def test_a_window_too_short_for_the_role_is_a_mistake(self) -> None:
        assert self.told(None, timedelta(minutes=10)).would == "invalid"
