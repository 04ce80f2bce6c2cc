"""What `daypass catalogue diff` says beside the rules: of roles themselves, and of everybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.catalogue import Catalogue, Quotas, Scope, Who
from chalicelib.core.principal import Kind
from chalicelib.core.provider import Via
from chalicelib.core.vouching import Directory
from daypass.operator.difference import difference
from daypass.operator.surroundings import notices_of_all, notices_of_roles
from tests.stage import CATALOGUE, with_role

OPENS = {"+": "-", "-": "+", "~": "~"}
SCOPE = CATALOGUE.roles["data-export"].scopes["one-bucket"]

ROLES: dict[str, tuple[dict[str, Any], str]] = {
    "longer sessions": ({"max_session": timedelta(hours=2)}, "+"),
    "no scope": ({"require_scope": False}, "+"),
    "whole quarters of an hour": ({"identity_use": True}, "-"),
    "chaining": ({"chaining": ("arn:aws:iam::*:role/cdk-*",)}, "+"),
    "one scope more": ({"scopes": {"one-bucket": SCOPE, "another": replace(SCOPE, name="another")}}, "+"),
    "another policy": ({"scopes": {"one-bucket": Scope(name="one-bucket", policy={}, parameters={})}}, "~"),
    "via": ({"via": Via.OIDC}, "~"),
    "external id": ({"external_id": "a-secret-between-two"}, "~"),
    "another role": ({"role_name": "daypass/Another"}, "~"),
}


@pytest.mark.parametrize("name", ROLES)
def test_what_a_role_itself_becomes_is_said_and_the_opposite_the_other_way_round(name: str) -> None:
    changed, effect = ROLES[name]
    newer = with_role("data-export", **changed)
    [there] = notices_of_roles(CATALOGUE, newer)["data-export"]
    [back] = notices_of_roles(newer, CATALOGUE)["data-export"]
    assert (there.effect, back.effect) == (effect, OPENS[effect])
    assert "a-secret-between-two" not in there.says + back.says


def issuer(number: int, **changed: Any) -> Catalogue:
    issuers = list(CATALOGUE.issuers)
    issuers[number] = replace(issuers[number], **changed)
    return replace(CATALOGUE, issuers=tuple(issuers))


PEOPLE, ROBOTS = (
    next(n for n, each in enumerate(CATALOGUE.issuers) if each.kind == kind) for kind in ("human", "workload")
)
ALL: dict[str, tuple[Catalogue, str]] = {
    "freeze": (replace(CATALOGUE, frozen=True), "-"),
    "fewer open requests": (replace(CATALOGUE, quotas=Quotas(open_requests=3)), "-"),
    "more emergencies": (replace(CATALOGUE, quotas=Quotas(break_glass_per_day=9)), "+"),
    "more auditors": (replace(CATALOGUE, auditors=Who(groups=CATALOGUE.auditors.groups | {"sre"})), "+"),
    "no auditors": (replace(CATALOGUE, auditors=Who()), "-"),
    "a domain more": (issuer(PEOPLE, domains=CATALOGUE.issuers[PEOPLE].domains | {"example.org"}), "+"),
    "a subject less": (issuer(ROBOTS, subjects=CATALOGUE.issuers[ROBOTS].subjects[1:]), "-"),
    "another url": (issuer(PEOPLE, url="https://elsewhere.example.com"), "~"),
    "an issuer less": (replace(CATALOGUE, issuers=CATALOGUE.issuers[1:]), "-"),
    "a directory": (replace(CATALOGUE, directories={"idc": Directory(name="idc", identity_store="d-1")}), "~"),
}


@pytest.mark.parametrize("name", ALL)
def test_what_everybody_is_concerned_by_is_said_and_the_opposite_the_other_way_round(name: str) -> None:
    newer, effect = ALL[name]
    assert {notice.effect.value for notice in notices_of_all(CATALOGUE, newer)} == {effect}
    assert {notice.effect.value for notice in notices_of_all(newer, CATALOGUE)} == {OPENS[effect]}
    assert difference(CATALOGUE, newer)


def test_auditors_are_compared_by_whom_they_are() -> None:
    groups = CATALOGUE.auditors.groups
    people = replace(CATALOGUE, auditors=Who(groups=groups, ids=("*",)))
    same = replace(CATALOGUE, auditors=Who(groups=groups, kind=Kind.HUMAN))
    assert notices_of_all(people, same) == ()
    assert notices_of_all(CATALOGUE, people) == ()  # nothing tells groups of workloads
    fewer = replace(CATALOGUE, auditors=Who(groups=groups, ids=("d*",)))
    assert [notice.effect for notice in notices_of_all(CATALOGUE, fewer)] == ["-"]


def test_nothing_is_said_of_what_concerns_nobody() -> None:
    newer = replace(CATALOGUE, digest="0", serial=9, examples=(), doubt="It is not known.")
    assert notices_of_all(CATALOGUE, newer) == ()
    assert notices_of_roles(CATALOGUE, newer) == {}
    assert not difference(CATALOGUE, newer)
