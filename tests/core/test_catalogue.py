"""The frozen catalogue: patterns, sets of principals, and the index that finds the rules for an ask."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Account, Catalogue, Role, Rule, Who
from chalicelib.core.patterns import glob, literal_prefix
from chalicelib.core.principal import Kind, Principal

ALICE = Principal(
    id="alice@example.com",
    kind=Kind.HUMAN,
    groups=frozenset({"engineering"}),
    issuer="people",
    mfa=True,
    authenticated_at=datetime(2026, 11, 23, tzinfo=UTC),
)

# Patterns


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("payments-*", "payments-admin", True),
        ("payments-*", "payments-", True),
        ("payments-?", "payments-", False),
        ("*", "", True),
        ("*", "a/b", False),
        ("*", "a:b", False),
        ("?", "/", False),
        ("?", ":", False),
        ("*/*", "a/b", True),
        ("ci/repo:*", "ci/repo:main", True),
        ("ci/repo:*", "ci/repo:main:x", False),
        ("a.c", "abc", False),
        ("a.c", "a.c", True),
        ("[ab]", "a", False),
        ("a*", "A", False),
        ("a", "a\n", False),
    ],
)
def test_a_pattern_matches_what_it_says_and_crosses_neither_slash_nor_colon(pattern, text, matches):
    assert bool(glob(pattern).fullmatch(text)) is matches


@given(text=st.text(max_size=12))
def test_a_pattern_without_wildcards_matches_itself_alone(text):
    plain = text.replace("*", "").replace("?", "")
    assert glob(plain).fullmatch(plain)
    assert not glob(plain).fullmatch(plain + "x")


@given(pattern=st.text("ab*?/:", max_size=8), text=st.text("ab/:", max_size=10))
def test_wildcards_never_add_a_slash_or_a_colon(pattern, text):
    if glob(pattern).fullmatch(text):
        assert [c for c in text if c in "/:"] == [c for c in pattern if c in "/:"]
        assert text.startswith(literal_prefix(pattern))


# Sets of principals


def test_given_no_condition_when_asked_then_nobody_is_included():
    assert not Who().includes(ALICE)


@pytest.mark.parametrize(
    ("who", "included"),
    [
        (Who(groups=frozenset({"sre", "engineering"})), True),
        (Who(groups=frozenset({"sre"})), False),
        (Who(ids=("bob@*", "alice@*")), True),
        (Who(ids=("alice",)), False),
        (Who(kind=Kind.WORKLOAD), False),
        (Who(issuer="people"), True),
        (Who(groups=frozenset({"engineering"}), kind=Kind.HUMAN, issuer="people", ids=("*@example.com",)), True),
        (Who(groups=frozenset({"engineering"}), issuer="cluster"), False),
    ],
)
def test_all_conditions_that_are_given_must_hold(who, included):
    assert who.includes(ALICE) is included
    assert (who.lacks(ALICE) is None) is included


# The index

GROUPS = st.sampled_from(["sre", "leads", "engineering"])
IDS = st.text("ab@/:", min_size=1, max_size=4)
ROLES = st.text("ab-@", min_size=1, max_size=4)
WHOS = st.builds(
    Who,
    groups=st.frozensets(GROUPS, max_size=2),
    ids=st.lists(st.text("ab@/:*?", min_size=1, max_size=4), max_size=2).map(tuple),
    kind=st.none() | st.sampled_from(Kind),
    issuer=st.none() | st.sampled_from(["people", "iam"]),
)
RULES = st.lists(
    st.builds(
        Rule,
        name=st.text("xyz", max_size=3),
        who=WHOS,
        roles=st.lists(st.text("ab-@*?", min_size=1, max_size=4), min_size=1, max_size=2).map(tuple),
    ),
    max_size=8,
).map(tuple)
PRINCIPALS = st.builds(
    Principal,
    id=IDS,
    kind=st.sampled_from(Kind),
    groups=st.frozensets(GROUPS),
    issuer=st.sampled_from(["people", "iam"]),
    mfa=st.booleans(),
    authenticated_at=st.just(ALICE.authenticated_at),
)


@given(rules=RULES, principal=PRINCIPALS, role=ROLES)
def test_the_index_finds_exactly_what_a_linear_scan_finds_in_the_same_order(rules, principal, role):
    scanned = [rule for rule in rules if rule.covers(role) and rule.who.includes(principal)]
    found = Catalogue(digest="", rules=rules).rules_for(principal, role)
    assert [id(rule) for rule in found] == [id(rule) for rule in scanned]


@given(rules=RULES, role=ROLES)
def test_every_rule_about_a_role_is_found_whoever_it_is_for(rules, role):
    assert Catalogue(digest="", rules=rules).rules_about(role) == tuple(rule for rule in rules if rule.covers(role))


# What is lent


def test_given_a_role_with_a_path_when_asked_by_bare_name_then_the_catalogue_knows_that_it_lends_it():
    role = Role(name="admin", account=Account("payments", "111122223333"), role_name="daypass/Admin")
    catalogue = Catalogue(digest="", roles={"admin": role})
    assert role.arn == "arn:aws:iam::111122223333:role/daypass/Admin"
    assert catalogue.lends("111122223333", "Admin")
    assert not catalogue.lends("111122223333", "Other")
    assert not catalogue.lends("999999999999", "Admin")
