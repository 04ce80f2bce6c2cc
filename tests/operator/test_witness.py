"""Witnesses of a difference between sets of people: they are in it, and where none is found nobody is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Catalogue, Who
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.vouching import Directory, Issuer
from daypass.operator.witness import UNKNOWN, People
from tests.builders import NOW

OKTA = frozenset({"a.io", "b.io"})
TELL_GROUPS = {"okta", "ci"}
CATALOGUE = Catalogue(
    digest="0",
    issuers=(
        Issuer(name="okta", url="https://o", audience="d", kind=Kind.HUMAN, domains=OKTA, groups="groups"),
        Issuer(name="other", url="https://p", audience="d", kind=Kind.HUMAN, domains=frozenset({"c.io"})),
        Issuer(name="ci", url="https://c", audience="d", kind=Kind.WORKLOAD, subjects=("*",), groups="groups"),
    ),
)
EVERYBODY = People(CATALOGUE)

PATTERNS = [
    "*", "?*", "a@a.io", "*@a.io", "*@?.io", "a*", "*a*", "??@a.io", "a?@b.io", "*b@*", "ci/*", "ci/a", "ci/a:*",
    "ci/a:?", "arn:aws:iam::*:role/*", "arn:aws:iam::1:role/a", "arn:aws:iam::*:user/?",
]  # fmt: skip
GROUPS = st.frozensets(st.sampled_from("gh"), max_size=2)
IDS = st.lists(st.sampled_from(PATTERNS), max_size=2, unique=True).map(tuple)
WHO = st.builds(
    Who,
    groups=GROUPS,
    ids=IDS,
    kind=st.sampled_from([None, None, *Kind]),
    issuer=st.sampled_from([None, None, "okta", "other", "ci", "iam"]),
)

_LOCAL = st.text("abx", max_size=3)
_HUMAN = st.tuples(_LOCAL.filter(bool), st.sampled_from([("okta", "a.io"), ("okta", "b.io"), ("other", "c.io")]))
_SUBJECT = st.text("ab:/", max_size=4)
_ROLE = st.tuples(
    st.sampled_from(["1", "23"]), st.sampled_from(["role", "user"]), st.text("ab", min_size=1, max_size=2)
)
IDENTITY = st.one_of(
    _HUMAN.map(lambda given: (Kind.HUMAN, given[1][0], f"{given[0]}@{given[1][1]}")),
    _SUBJECT.map(lambda subject: (Kind.WORKLOAD, "ci", f"ci/{subject}")),
    _ROLE.map(lambda role: (Kind.WORKLOAD, "iam", f"arn:aws:iam::{role[0]}:{role[1]}/{role[2]}")),
)


def a_principal(identity: tuple[Kind, str, str], groups: frozenset[str], mfa: bool = True) -> Principal:
    kind, issuer, id = identity
    groups = groups if issuer in TELL_GROUPS else frozenset()
    return Principal(id=id, kind=kind, groups=groups, issuer=issuer, mfa=mfa, authenticated_at=NOW)


PRINCIPAL = st.builds(a_principal, IDENTITY, st.frozensets(st.sampled_from("ghi")), st.booleans())


@given(inside=st.lists(WHO, min_size=1, max_size=2), outside=st.lists(WHO, max_size=3), principal=PRINCIPAL)
def test_a_witness_is_in_all_of_the_sets_and_in_none_of_the_others_and_where_there_is_none_nobody_is(
    inside: list[Who], outside: list[Who], principal: Principal
) -> None:
    witness = EVERYBODY.somebody(inside, outside)
    if witness is not None:
        assert witness.id != UNKNOWN
        assert all(who.includes(witness) for who in inside)
        assert not any(who.includes(witness) for who in outside)
    elif all(who.includes(principal) for who in inside):
        assert any(who.includes(principal) for who in outside)


@given(WHO)
def test_a_set_is_within_itself_and_within_all_that_is_larger(who: Who) -> None:
    assert EVERYBODY.within(who, who)
    if who.groups:
        assert EVERYBODY.within(who, Who(groups=who.groups))
        assert EVERYBODY.within(who, Who(groups=who.groups | {"more"}, ids=who.ids, kind=who.kind, issuer=who.issuer))
    if who.ids:
        assert EVERYBODY.within(who, Who(ids=(*who.ids, "zoe@a.io"), groups=who.groups))


@pytest.mark.parametrize(
    ("smaller", "larger", "is_within"),
    [
        (Who(ids=("*@a.io", "*@b.io")), Who(issuer="okta"), True),
        (Who(issuer="okta"), Who(ids=("*@a.io", "*@b.io")), True),
        (Who(issuer="okta"), Who(ids=("*@a.io",)), False),
        (Who(kind=Kind.HUMAN), Who(ids=("*",)), True),
        (Who(ids=("*",)), Who(kind=Kind.HUMAN), True),
        (Who(ids=("ci/*",)), Who(issuer="ci"), True),
        (Who(issuer="ci"), Who(ids=("ci/*",)), False),  # the subject may hold a / or :
        (Who(ids=("a?@a.io",)), Who(ids=("a*@a.io",)), True),
        (Who(ids=("a*@a.io",)), Who(ids=("a?@a.io",)), False),
        (Who(groups=frozenset("g")), Who(groups=frozenset("gh")), True),
        (Who(groups=frozenset("gh")), Who(groups=frozenset("g")), False),
        (Who(groups=frozenset("g"), kind=Kind.HUMAN), Who(groups=frozenset("g")), True),
        (Who(ids=("nobody@elsewhere.io",)), Who(ids=("a@a.io",)), True),  # whom no issuer vouches for
    ],
)
def test_sets_are_compared_by_whom_they_mean(smaller: Who, larger: Who, is_within: bool) -> None:
    assert EVERYBODY.within(smaller, larger) is is_within


def test_nobody_is_in_a_group_of_whom_nothing_tells_any() -> None:
    by_iam = Who(groups=frozenset({"g", "g@hook"}), issuer="iam")
    assert EVERYBODY.somebody([by_iam]) is None
    hook = replace(CATALOGUE, directories={"hook": Directory(name="hook", function="arn")})
    assert (witness := People(hook).somebody([by_iam])) is not None
    assert witness.groups == {"g@hook"}


def test_only_people_are_looked_for_where_only_people_may() -> None:
    everybody, robots = Who(ids=("*", "ci/*")), Who(kind=Kind.WORKLOAD)
    assert EVERYBODY.somebody([everybody, robots]) is not None
    assert EVERYBODY.somebody([everybody, robots], human=True) is None


def test_given_a_search_that_takes_too_long_then_somebody_is_taken_to_be_there() -> None:
    wide = [Who(ids=(f"*{letter}*{letter}*{letter}*{letter}*",)) for letter in "abcdefghijk"]
    witness = EVERYBODY.somebody(wide, [Who(ids=("*",))])
    assert witness is not None
    assert witness.id == UNKNOWN
