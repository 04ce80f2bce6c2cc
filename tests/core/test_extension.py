"""Extensions: what a rule is for one, and where in its chain one begins and ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Catalogue, Extensions, Rule, Stage, Who
from chalicelib.core.extension import completed, extending, hindrance, link_after, may_extend, opened, use_by
from chalicelib.core.life import State, Status, Window
from chalicelib.core.refusals import Invalid, NotActive, NotEligible, NotYours, TooLong
from chalicelib.core.request import Approval, Ask, Link, Request, ScopeChoice
from chalicelib.core.rules import Terms, decide, explain
from tests.builders import HOUR, NOW, SECOND, a_principal, a_request
from tests.stage import CATALOGUE

LEADS = Who(groups=frozenset({"sre-leads"}))
SECURITY = Who(groups=frozenset({"security"}))
YES = Approval(by="bob@example.com", at=NOW, comment=None, qualifies=frozenset({LEADS.key}))
SRE = a_principal("carol@example.com", groups=frozenset({"sre"}))
lengths = st.integers(60, 12 * 3600).map(lambda seconds: timedelta(seconds=seconds))


def a_rule(**changed: Any) -> Rule:
    rule = Rule(
        name="sre",
        who=Who(groups=frozenset({"sre"})),
        roles=("payments-*",),
        max_duration=4 * HOUR,
        stages=(Stage(1, LEADS),),
        extensions=Extensions(max=2, stages=()),
    )
    return replace(rule, **changed)


def a_link(**changed: Any) -> Link:
    link = Link(base="01K", number=1, before=HOUR, base_duration=HOUR, approvals=(YES,))
    return replace(link, **changed)


def ready(**changed: Any) -> Request:
    known = {"status": Status.APPROVED, "use_by": NOW + 8 * HOUR, "approvals": (YES,), "requester": SRE} | changed
    return a_request(**known)


def active(**changed: Any) -> Request:
    return ready(**{"status": Status.USED, "window": Window(NOW, NOW + HOUR)} | changed)


def wish(**changed: Any) -> Ask:
    return replace(Ask(role="", duration=HOUR, reason="it takes longer", extends="01K"), **changed)


def why(*rules: Rule, link: Link, duration: timedelta = HOUR) -> str:
    catalogue = Catalogue(digest="d", roles=CATALOGUE.roles, rules=rules)
    with pytest.raises((NotEligible, TooLong)) as refusal:
        decide(catalogue, SRE, Terms("payments-admin", duration, None, link))
    return refusal.value.detail


# What a rule is for an extension.


def test_where_nothing_is_extended_a_rule_is_as_it_is() -> None:
    assert extending([a_rule(), a_rule(extensions=None)], None) == (a_rule(), a_rule(extensions=None))


def test_a_rule_that_wants_no_approval_extends_for_as_long_as_the_base_was_approved_and_no_longer() -> None:
    [rule] = extending([a_rule()], a_link())
    assert (rule.stages, rule.max_duration) == ((), HOUR)


def test_a_rule_that_wants_approvals_extends_for_as_long_as_it_lends() -> None:
    [rule] = extending([a_rule(extensions=Extensions(max=2, stages=(Stage(1, SECURITY),)))], a_link())
    assert (rule.stages, rule.max_duration) == ((Stage(1, SECURITY),), 4 * HOUR)


@pytest.mark.parametrize(
    ("changed", "link", "words"),
    [
        ({"extensions": None}, {}, "'sre' extends nothing."),
        ({}, {"number": 3}, "'sre' allows 2 extensions in a row, and this would be number 3."),
        ({"extensions": Extensions(max=1, stages=())}, {"number": 2}, "allows 1 extension, and this would be number 2"),
        ({}, {"approvals": ()}, "'sre' asks for more approvals than the request had"),
        ({"stages": (Stage(2, LEADS),)}, {}, "asks for more approvals"),
        ({}, {"before": 12 * HOUR}, "'sre' lets it last 12 h with all its extensions"),
    ],
)
def test_a_rule_that_does_not_extend_so_far_says_why(changed: dict[str, Any], link: dict[str, Any], words: str) -> None:
    rule, place = a_rule(**changed), a_link(**link)
    assert extending([rule], place) == ()
    assert words in (hindrance(rule, place) or "")
    assert words in why(rule, link=place)
    catalogue = Catalogue(digest="d", roles=CATALOGUE.roles, rules=(rule,))
    [considered] = explain(catalogue, SRE, Terms("payments-admin", HOUR, None, place), NOW)
    assert (considered.matches, words in considered.why) == (False, True)


def test_asking_for_more_than_is_left_is_refused_and_the_limit_is_named() -> None:
    assert why(a_rule(), link=a_link(), duration=2 * HOUR) == "2 h asked, 1 h allowed for this extension by rule 'sre'."
    close = a_link(before=12 * HOUR - timedelta(minutes=30))
    assert "1 h asked, 30 min allowed" in why(a_rule(), link=close)


def test_of_two_rules_the_one_that_extends_admits() -> None:
    other = a_rule(name="other", extensions=None)
    catalogue = Catalogue(digest="d", roles=CATALOGUE.roles, rules=(other, a_rule()))
    decision = decide(catalogue, SRE, Terms("payments-admin", HOUR, None, a_link()))
    assert [rule.name for rule in decision.rules] == ["sre"]
    assert [told.matches for told in explain(catalogue, SRE, Terms("payments-admin", HOUR, None, a_link()), NOW)] == [
        False,
        True,
    ]


@given(
    most=st.integers(1, 10),
    number=st.integers(1, 12),
    longest=lengths,
    before=lengths,
    base_duration=lengths,
    staged=st.booleans(),
    approved=st.booleans(),
)
def test_no_rule_ever_extends_beyond_its_limits(most, number, longest, before, base_duration, staged, approved) -> None:
    extensions = Extensions(max=most, stages=(Stage(1, SECURITY),) if staged else ())
    rule = a_rule(max_duration=longest, extensions=extensions)
    link = a_link(number=number, before=before, base_duration=base_duration, approvals=(YES,) if approved else ())
    for extended in extending([rule], link):
        assert (number <= most, approved) == (True, True)
        assert timedelta(0) < extended.max_duration <= longest
        assert before + extended.max_duration <= longest * (1 + most)
        assert staged or extended.max_duration <= base_duration
        assert replace(extended, stages=rule.stages, max_duration=longest) == rule
    assert (extending([rule], link) == ()) == (hindrance(rule, link) is not None)


# What can be extended, and what an extension takes over.


def test_what_is_ready_or_active_can_be_extended_by_who_asked_for_it() -> None:
    assert may_extend(ready(), SRE, NOW) is None
    assert may_extend(active(), SRE, NOW + HOUR - SECOND) is None
    assert isinstance(may_extend(active(), a_principal("bob@example.com"), NOW), NotYours)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (a_request(requester=SRE), "Nobody has approved"),
        (ready(status=Status.APPROVED, window=Window(NOW + HOUR, NOW + 2 * HOUR)), "begins at 2031-03-05T13:00:00Z"),
        (ready(use_by=NOW), "is expired"),
        (active(window=Window(NOW - HOUR, NOW)), "is ended"),
        *(
            (active(status=over), f"is {over}")
            for over in (Status.DENIED, Status.CANCELLED, Status.RETURNED, Status.REVOKED)
        ),
    ],
)
def test_nothing_else_can(base: Request, words: str) -> None:
    refusal = may_extend(base, SRE, NOW)
    assert isinstance(refusal, NotActive)
    assert words in refusal.detail


@pytest.mark.parametrize("base", [ready(break_glass=True), active(break_glass=True)])
def test_an_emergency_is_never_extended(base: Request) -> None:
    assert isinstance(may_extend(base, SRE, NOW), NotEligible)


def test_role_scope_policy_ticket_and_start_are_the_bases() -> None:
    scope = ScopeChoice("one-bucket", {"bucket": "data-files"})
    narrowed = active(scope=scope, session_policy="{}", ticket="OPS-1")
    whole = completed(wish(), narrowed)
    assert (whole.role, whole.scope, whole.session_policy) == (narrowed.role, scope, None)
    assert (whole.ticket, whole.starts_at) == ("OPS-1", NOW + HOUR)
    own = completed(wish(role="payments-admin", ticket="OPS-2"), ready(session_policy="{}", ticket="OPS-1"))
    assert (own.scope, own.session_policy, own.ticket, own.starts_at) == (None, "{}", "OPS-2", None)


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"role": "payments-read"}, ["role"]),
        ({"scope": ScopeChoice("one-bucket", {})}, ["scope"]),
        ({"session_policy": "{}"}, ["session_policy"]),
        ({"starts_at": NOW}, ["starts_at"]),
        ({"break_glass": True}, ["break_glass"]),
        (
            {
                "role": "deploy",
                "scope": ScopeChoice("s", {}),
                "session_policy": "",
                "starts_at": NOW,
                "break_glass": True,
            },
            ["role", "scope", "session_policy", "starts_at", "break_glass"],
        ),
    ],
)
def test_what_is_sent_although_the_base_says_it_is_refused_by_name(changed: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(Invalid) as refusal:
        completed(wish(**changed), ready(session_policy="{}"))
    assert [error.field for error in refusal.value.errors] == fields


# Where it begins and ends.


@given(durations=st.lists(lengths, min_size=2, max_size=6), opens_after=st.integers(0, 8 * 3600 - 1))
def test_links_asked_for_before_anything_was_opened_follow_each_other_without_a_hole_and_within_their_use_by(
    durations, opens_after
) -> None:
    chain = [ready(duration=durations[0])]
    for duration in durations[1:]:
        base = chain[-1]
        latest = use_by(base, duration)
        chain.append(ready(duration=duration, use_by=latest, link=link_after(base), approvals=()))
    opens = NOW + timedelta(seconds=opens_after)
    for number, link in enumerate(chain):
        window = opened(link, chain[number - 1], opens).window if number else Window(opens, opens + link.duration)
        chain[number] = replace(link, status=Status.USED, window=window)
    for number, (base, link) in enumerate(pairwise(chain), start=1):
        assert base.window is not None
        assert link.window is not None
        assert link.link is not None
        assert link.use_by is not None
        assert link.window == Window(base.window.ends_at, base.window.ends_at + link.duration)
        assert link.window.ends_at <= link.use_by
        assert (link.link.number, link.link.approvals) == (number, (YES,))
        assert link.link.before == link.window.starts_at - opens


def test_what_is_before_a_link_is_the_most_that_can_be_until_its_base_is_opened_and_then_what_it_is() -> None:
    base = ready(duration=2 * HOUR)
    extension = ready(link=link_after(base), duration=HOUR)
    assert extension.link is not None
    assert extension.link.before == 2 * HOUR
    after = opened(extension, replace(base, status=Status.USED, window=Window(NOW, NOW + HOUR)), NOW)
    assert after.link is not None
    assert (after.link.before, after.window) == (HOUR, Window(NOW + HOUR, NOW + 2 * HOUR))


@pytest.mark.parametrize(
    ("base", "words"),
    [(ready(), "use that one first"), (ready(use_by=NOW), "is expired and was not used: there is nothing to go on")],
)
def test_nothing_goes_on_from_what_is_not_open(base: Request, words: str) -> None:
    with pytest.raises(NotActive, match=words):
        opened(ready(link=link_after(base)), base, NOW)


def test_what_goes_on_from_an_open_window_waits_for_no_first_use() -> None:
    assert use_by(active(), HOUR) is None
    assert use_by(ready(duration=2 * HOUR), HOUR) == NOW + 11 * HOUR
    assert ready().state(NOW) is State.READY
