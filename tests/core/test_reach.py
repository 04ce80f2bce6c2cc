"""Reach: whoever could get into a role is on its list, and nobody else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Catalogue, Stage, Who
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.reach import How, Way, ways
from chalicelib.core.rules import Terms
from chalicelib.core.verdict import verdict
from tests.core.test_rules import NOON, ROLES, a_catalogue, a_deny, a_person, an_allow, of
from tests.core.test_verdict import GLASS, LENT, callers, rule_lists


def would(catalogue: Catalogue, caller: Principal, role: str, how: How) -> bool:
    """Whether explain lets the caller in that way, with all that a rule may ask for."""
    terms = Terms(role, None, "INC-1")
    told = verdict(catalogue, caller, terms, NOON, break_glass=how is How.BREAK_GLASS)
    return told.would in LENT


def listed(found: tuple[Way, ...], caller: Principal, *hows: How) -> bool:
    return any(way.admits(caller) for way in found if way.how in hows)


@given(rule_lists, callers, st.sampled_from([*ROLES, "nothing-such"]))
def test_who_is_listed_is_who_would_get_in(rules, caller, role) -> None:
    catalogue, caller = a_catalogue(*rules), replace(caller, mfa=True)
    found = ways(catalogue, role)
    assert listed(found, caller, How.AUTO, How.APPROVAL) == would(catalogue, caller, role, How.AUTO)
    assert listed(found, caller, How.BREAK_GLASS) == would(catalogue, caller, role, How.BREAK_GLASS)


@given(rule_lists, callers, st.sampled_from([*ROLES]))
def test_a_way_is_what_its_rule_does(rules, caller, role) -> None:
    """Alone with its denies, a rule lets in by the way that the list names."""
    for way in ways(a_catalogue(*rules), role):
        alone = a_catalogue(way.rule, *way.denies)
        told = verdict(alone, replace(caller, mfa=True), Terms(role, None, "INC-1"), NOON)
        if way.how is not How.BREAK_GLASS:
            named = {"auto-approved": How.AUTO, "needs-approval": How.APPROVAL}.get(told.would)
            assert named is (way.how if way.admits(caller) else None)


@given(rule_lists, st.sampled_from([*ROLES]))
def test_no_way_is_listed_that_is_denied_to_everybody_by_name(rules, role) -> None:
    for way in ways(a_catalogue(*rules), role):
        assert not any(deny.who == way.who for deny in way.denies)


def test_a_way_says_how_and_by_whom_and_whom_a_deny_stops() -> None:
    leads = (Stage(1, of("leads")),)
    catalogue = a_catalogue(
        an_allow("sre", stages=leads, break_glass=GLASS),
        an_allow("robots", who=Who(kind=Kind.WORKLOAD)),
        a_deny(Who(groups=frozenset({"contractors"}), kind=Kind.HUMAN), "no contractors"),
        a_deny(of("sre"), "elsewhere", roles=("data-*",)),
    )
    told = [(way.rule.name, way.how, [deny.name for deny in way.denies]) for way in ways(catalogue, "payments-admin")]
    assert told == [
        ("sre", How.APPROVAL, ["no contractors"]),
        ("sre", How.BREAK_GLASS, ["no contractors"]),
        ("robots", How.AUTO, []),
    ]


@pytest.mark.parametrize("groups", [{"sre"}, {"sre", "dbas"}])
def test_a_way_on_which_a_deny_stops_everybody_is_none(groups: set[str]) -> None:
    catalogue = a_catalogue(an_allow(), a_deny(Who(groups=frozenset(groups))))
    assert ways(catalogue, "payments-admin") == ()
    assert not ways(a_catalogue(an_allow()), "data-export")


def test_only_people_are_listed_for_breaking_the_glass() -> None:
    [_, way] = ways(a_catalogue(an_allow(break_glass=GLASS)), "payments-admin")
    robot = replace(a_person("oncall"), kind=Kind.WORKLOAD)
    assert way.admits(a_person("oncall"))
    assert not way.admits(robot)
    robots = replace(GLASS, who=Who(kind=Kind.WORKLOAD))
    assert len(ways(a_catalogue(an_allow(break_glass=robots)), "payments-admin")) == 1


def test_whoever_may_be_in_a_denied_group_that_did_not_answer_is_stopped() -> None:
    [way] = ways(a_catalogue(an_allow(), a_deny(of("oncall@hook"))), "payments-admin")
    assert way.admits(a_person("sre"))
    assert not way.admits(replace(a_person("sre"), unknown=frozenset({"oncall@hook"})))
