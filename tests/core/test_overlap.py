"""Sets of principals: nobody is in two that are apart, and everybody of one within another is in that too."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Who
from chalicelib.core.overlap import apart, within
from chalicelib.core.principal import Kind
from tests.builders import a_principal

IDS = ("carol@example.com", "cara@example.com", "carol@other.example", "ci/deploy", "ci/test", "arn:aws:iam::1:role/a")
PATTERNS = (
    "*",
    "car*",
    "*@example.com",
    "carol@*",
    "c?r*@example.com",
    "ci/*",
    "ci/de*",
    "arn:aws:iam::*:role/*",
    *IDS,
)
GROUPS = ("sre", "leads", "contractors")

whos = st.builds(
    Who,
    groups=st.frozensets(st.sampled_from(GROUPS), max_size=2),
    ids=st.lists(st.sampled_from(PATTERNS), max_size=2).map(tuple),
    kind=st.none() | st.sampled_from(Kind),
    issuer=st.none() | st.sampled_from(["okta", "ci"]),
)
people = st.builds(
    a_principal,
    id=st.sampled_from(IDS),
    groups=st.frozensets(st.sampled_from(GROUPS)),
    kind=st.sampled_from(Kind),
    issuer=st.sampled_from(["okta", "ci"]),
)


@given(whos, whos, people)
def test_nobody_is_in_two_sets_that_are_apart(one, other, person) -> None:
    if apart(one, other):
        assert not (one.includes(person) and other.includes(person))
    assert apart(one, other) == apart(other, one)


@given(whos, whos, people)
@example(Who(ids=("carol@example.com",)), Who(ids=("*",)), a_principal("carol@example.com"))
def test_everybody_of_a_set_within_another_is_in_that_too(one, other, person) -> None:
    if within(one, other) and one.includes(person):
        assert other.includes(person)


@given(whos)
def test_a_set_is_within_itself_and_apart_from_itself_only_where_it_is_nobody(who) -> None:
    assert within(who, who)
    assert apart(who, who) == who.is_empty()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Who(kind=Kind.HUMAN), Who(kind=Kind.WORKLOAD, groups=frozenset({"sre"}))),
        (Who(issuer="okta"), Who(issuer="ci")),
        (Who(ids=("carol@*",)), Who(ids=("eve@*", "dave@*"))),
        (Who(ids=("*@example.com",)), Who(ids=("*@other.example",))),
        (Who(ids=("carol@example.com",)), Who(ids=("e*",))),
        (Who(groups=frozenset({"sre"})), Who()),
    ],
)
def test_what_is_certainly_apart_is_told(one: Who, other: Who) -> None:
    assert apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Who(groups=frozenset({"sre"})), Who(groups=frozenset({"contractors"}))),
        (Who(groups=frozenset({"sre"})), Who(ids=("carol@*",))),
        (Who(ids=("car*",)), Who(ids=("*@example.com",))),
    ],
)
def test_who_may_be_in_both_is_not_called_apart(one: Who, other: Who) -> None:
    assert not apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Who(groups=frozenset({"sre"}), kind=Kind.HUMAN), Who(groups=frozenset({"sre", "leads"}))),
        (Who(ids=("carol@example.com",), issuer="okta"), Who(ids=("carol@*",))),
        (Who(ids=("ci/*",)), Who(ids=("ci/*", "x"))),
        (Who(), Who(kind=Kind.HUMAN)),
    ],
)
def test_what_is_certainly_within_is_told(one: Who, other: Who) -> None:
    assert within(one, other)
    assert not within(other, one)
