"""Approvals: stages by matching, one person in one place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.approvals import lacking, lacks_mfa, may_approve, nearest, progress
from chalicelib.core.catalogue import Rule, Stage, Who
from chalicelib.core.principal import Kind
from chalicelib.core.request import Approval
from tests.builders import a_request

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEADS, SECURITY, OWNERS = (Who(groups=frozenset({name})) for name in ("leads", "security", "owners"))


def a_rule(*stages: Stage, name: str = "rule") -> Rule:
    return Rule(name=name, who=Who(kind=None), roles=("r",), max_duration=timedelta(hours=1), stages=stages)


def yes(by: str, *whos: Who) -> Approval:
    return Approval(by=by, at=NOON, comment=None, qualifies=frozenset(who.key for who in whos))


def test_a_rule_without_stages_lacks_nothing() -> None:
    assert lacking(a_rule(), ()) == 0


def test_one_person_counts_in_one_stage_only() -> None:
    both = a_rule(Stage(1, LEADS), Stage(1, SECURITY))
    assert lacking(both, (yes("bob", LEADS, SECURITY),)) == 1


def test_two_people_of_whom_one_could_fill_both_stages_fill_both_whoever_clicks_first() -> None:
    both = a_rule(Stage(1, LEADS), Stage(1, SECURITY))
    for order in permutations([yes("bob", LEADS, SECURITY), yes("ann", LEADS)]):
        assert lacking(both, order) == 0
        assert [stage.approved_by for stage in progress(both, order)] == [("ann",), ("bob",)]


def test_two_stages_of_the_same_people_want_different_people() -> None:
    twice = a_rule(Stage(1, LEADS), Stage(1, LEADS))
    assert lacking(twice, (yes("ann", LEADS),)) == 1
    assert lacking(twice, (yes("ann", LEADS), yes("bob", LEADS))) == 0


def test_an_approval_for_a_stage_that_was_since_given_to_others_counts_no_more() -> None:
    assert lacking(a_rule(Stage(1, SECURITY)), (yes("ann", LEADS),)) == 1


def test_an_approval_without_a_second_factor_counts_only_where_none_is_asked_for() -> None:
    careful, lax = replace(a_rule(Stage(1, LEADS)), require_mfa=True), a_rule(Stage(1, LEADS))
    without = replace(yes("ann", LEADS), mfa=False)
    assert [lacking(rule, (without,)) for rule in (careful, lax)] == [1, 0]
    assert progress(careful, (without, yes("bob", LEADS)))[0].approved_by == ("bob",)


def test_who_lacks_only_a_second_factor_hears_of_it_and_nobody_else_does() -> None:
    careful, request = replace(a_rule(Stage(1, LEADS)), require_mfa=True), a_request()
    without = replace(yes("ann", LEADS), mfa=False)
    refusal = may_approve(request, (careful,), without)
    assert refusal is not None
    assert "Rule 'rule' asks for a second factor" in refusal.detail
    assert lacks_mfa(request, (careful,), without) is careful
    assert may_approve(request, (careful,), yes("ann", LEADS)) is None
    assert lacks_mfa(request, (careful,), yes("ann", LEADS)) is None
    elsewhere = replace(yes("ann", OWNERS), mfa=False)
    assert lacks_mfa(request, (careful,), elsewhere) is None
    assert "second factor" not in str(may_approve(request, (careful,), elsewhere))
    assert lacks_mfa(request, (a_rule(Stage(1, LEADS)),), without) is None


def test_the_nearest_rule_lacks_fewest_then_has_fewest_stages_then_comes_first_by_name() -> None:
    two = a_rule(Stage(1, LEADS), Stage(1, SECURITY), name="a")
    one = a_rule(Stage(1, OWNERS), name="z")
    assert nearest((two, one), ()) is one
    assert nearest((two, one), (yes("ann", LEADS),)) is one
    assert nearest((two, one), (yes("ann", LEADS), yes("bob", SECURITY))) is two
    same = a_rule(Stage(1, OWNERS), name="b")
    assert nearest((one, same), ()) is same


@st.composite
def cases(draw):
    whos = [LEADS, SECURITY, OWNERS]
    stages = draw(st.lists(st.builds(Stage, st.integers(1, 2), st.sampled_from(whos)), max_size=3))
    people = draw(st.lists(st.lists(st.sampled_from(whos), unique=True), max_size=5))
    return a_rule(*stages), tuple(yes(f"p{number}", *able) for number, able in enumerate(people))


def brute_force(rule: Rule, approvals) -> int:
    """The most places that can be filled, by trying every seating."""
    places = [stage.who.key for stage in rule.stages for _ in range(stage.count)]

    def best(people, free) -> int:
        if not people:
            return 0
        first, *rest = people
        seated = [
            1 + best(rest, [*free[:n], *free[n + 1 :]]) for n, place in enumerate(free) if place in first.qualifies
        ]
        return max([best(rest, free), *seated])

    return best(list(approvals), places)


@given(cases())
def test_as_many_places_are_filled_as_can_be(case) -> None:
    rule, approvals = case
    total = sum(stage.count for stage in rule.stages)
    assert lacking(rule, approvals) == total - brute_force(rule, approvals)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_clicks_does_not_matter(case, random) -> None:
    rule, approvals = case
    shuffled = list(approvals)
    random.shuffle(shuffled)
    assert lacking(rule, shuffled) == lacking(rule, approvals)


@given(cases())
def test_nobody_sits_twice_and_nobody_sits_where_they_may_not(case) -> None:
    rule, approvals = case
    able = {approval.by: approval.qualifies for approval in approvals}
    seated = [(name, stage) for stage in progress(rule, approvals) for name in stage.approved_by]
    assert len({name for name, _ in seated}) == len(seated)
    assert all(stage.who.key in able[name] for name, stage in seated)
    assert all(len(stage.approved_by) <= stage.count for stage in progress(rule, approvals))


def test_different_conditions_never_have_the_same_key() -> None:
    alike = [
        Who(groups=frozenset({"a,b"})),
        Who(groups=frozenset({"a", "b"})),
        Who(groups=frozenset({"x;kind=human"})),
        Who(groups=frozenset({"x"}), kind=Kind.HUMAN),
        Who(ids=("a,b",)),
        Who(ids=("a", "b")),
    ]
    assert len({who.key for who in alike}) == len(alike)


@pytest.mark.parametrize("who", [Who(), Who(groups=frozenset())])
def test_an_empty_who_is_nobody(who: Who) -> None:
    assert who.is_empty()
