"""Deciding, as the catalogue grows; and reading a large catalogue."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from benchmarks.tables import Row
from chalicelib.core.catalogue import Account, Catalogue, Role, Rule, Stage, Who
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.rules import Terms, decide

MATCHING = 5
SIZES = (10, 1_000, 10_000)
ROUNDS = 15
TIMES = 400
LOADS = 7

CALLER = Principal(
    id="alice@example.com",
    kind=Kind.HUMAN,
    groups=frozenset({"engineering", "team-7", "everybody"}),
    issuer="okta",
    mfa=True,
    authenticated_at=datetime(2026, 11, 23, tzinfo=UTC),
)
TERMS = Terms("payments-admin", timedelta(hours=1), None)


def rows() -> list[Row]:
    return [*deciding(), *loading()]


def deciding() -> list[Row]:
    """The same five rules match among ten and among ten thousand. Sizes take turns: all see the same machine."""
    made = {size: catalogue_of(size) for size in SIZES}
    for catalogue in made.values():
        assert len(decide(catalogue, CALLER, TERMS).rules) == MATCHING  # and the index is built
    seen: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size, catalogue in made.items():
            seen[size].append(_microseconds(lambda one=catalogue: decide(one, CALLER, TERMS)))  # type: ignore[misc]
    medians = {size: median(times) for size, times in seen.items()}
    return [
        *(Row(f"decide, {size:,} rules of which {MATCHING} match", value, "µs") for size, value in medians.items()),
        Row("the slowest beside 10 rules", max(medians.values()) / medians[SIZES[0]], "x", 2),
    ]


def _microseconds(call: Callable[[], object]) -> float:
    begun = time.process_time_ns()
    for _ in range(TIMES):
        call()
    return (time.process_time_ns() - begun) / TIMES / 1e3


def catalogue_of(size: int) -> Catalogue:
    """Rules of which five match. Of the others a third is for the caller, a third for the role, a third for neither."""
    account = Account("payments-prod", "222222222222")
    role = Role(name="payments-admin", account=account, role_name="daypass/Admin")
    leads = (Stage(1, Who(groups=frozenset({"leads"}))),)
    rules = [
        Rule(
            name=f"match {number}",
            who=Who(groups=frozenset({"engineering"})),
            roles=("payments-*",),
            max_duration=timedelta(hours=1 + number),
            stages=leads,
        )
        for number in range(MATCHING)
    ]
    for number in range(size - MATCHING):
        mine, same = number % 3 == 0, number % 3 == 1
        rules.append(
            Rule(
                name=f"other {number}",
                who=Who(groups=frozenset({"everybody" if mine else f"team-{number + 100}"})),
                roles=("payments-*",) if same else (f"other-{number}-*",),
                max_duration=timedelta(hours=4),
                stages=leads,
            )
        )
    return Catalogue(digest="0" * 64, accounts={account.name: account}, roles={role.name: role}, rules=tuple(rules))


def loading() -> list[Row]:
    text = large_catalogue()
    seen = []
    for _ in range(LOADS):
        gc.collect()
        begun = time.process_time()  # nothing in it waits: on a quiet machine it is the wall's time
        catalogue = read_catalogue(text, hub_account="123456789012")
        seen.append(1e3 * (time.process_time() - begun))
    assert (len(catalogue.roles), len(catalogue.rules)) == (1_500, 200)
    return [
        Row("a catalogue of 1,500 roles and 200 rules: the first reading", seen[0], "ms"),
        Row(f"the same, median of {LOADS}", median(seen), "ms", 200),
        Row("its size", len(text) / 1024, "KiB"),
    ]


def large_catalogue() -> str:
    """50 accounts with 30 roles each, every tenth with a scope; 200 rules, a quarter with break-glass, some denying."""
    parts = [_ISSUER]
    for account in range(50):
        parts.append(f'[accounts.acc-{account}]\nid = "{200000000000 + account}"\n')
        for role in range(30):
            parts.append(_ROLE.format(account=account, role=role))
            if role % 10 == 0:
                parts.append(_SCOPE.format(account=account, role=role))
    for rule in range(200):
        account = rule % 50
        if rule % 20 == 19:
            parts.append(_DENY.format(rule=rule, account=account))
            continue
        parts.append(_RULE.format(rule=rule, account=account))
        if rule % 4 == 0:
            parts.append(_BREAK_GLASS)
    parts.append('[auditors]\ngroups = ["security"]\n')
    return "\n".join(parts)


_ISSUER = """
[[issuers]]
name = "okta"
url = "https://example.okta.com"
audience = "daypass"
client_id = "0oa1"
kind = "human"
principal = "email"
groups = "groups"
domains = ["example.com"]
"""
_ROLE = """
[roles.acc-{account}-role-{role}]
account = "acc-{account}"
role_name = "daypass/Role{role}"
external_id = "external-{account}-{role}"
max_session = "1h"
"""
_SCOPE = """
[roles.acc-{account}-role-{role}.scopes.one-bucket]
parameters = {{ bucket = "[a-z0-9.-]{{3,63}}" }}
policy = '{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],\
"Resource":["arn:aws:s3:::${{bucket}}","arn:aws:s3:::${{bucket}}/*"]}}]}}'
"""
_RULE = """
[[rules]]
name = "rule {rule}"
who = {{ groups = ["team-{rule}", "sre"] }}
roles = ["acc-{account}-role-*"]
max_duration = "4h"
approvals = [{{ count = 1, from = {{ groups = ["leads-{rule}"] }} }}]
require = {{ mfa = true, ticket = "[A-Z]+-[0-9]+" }}
"""
_BREAK_GLASS = (
    'break_glass = { who = { groups = ["oncall"] }, max_duration = "1h", reviewers = { groups = ["security"] }, '
    'review_within = "24h" }\n'
)
_DENY = """
[[rules]]
name = "rule {rule}"
effect = "deny"
who = {{ groups = ["contractors-{rule}"] }}
roles = ["acc-{account}-role-*"]
"""
