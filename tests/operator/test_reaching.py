"""`daypass who-can`, as it is typed."""

from __future__ import annotations

import json

import pytest

from daypass.local.embedded_aws import HUB_ACCOUNT

HUB = ["--hub-account", HUB_ACCOUNT, "--local"]


@pytest.fixture
def who_can(run, catalogue):
    def who_can(*words: str, changes=()) -> tuple[int, str, str]:
        code, out, err = run("who-can", catalogue(*changes), *words, *HUB)
        return code, out, err

    return who_can


def test_it_lists_how_they_get_in_through_whom_and_whom_a_deny_stops(who_can):
    code, out, err = who_can("payments-admin")
    assert (code, err) == (0, "")
    assert (
        out
        == """\
payments-admin in payments-prod (222222222222)
  groups sre
    how      after 1 of groups sre-leads, with a second factor, up to 4 h
    through  local-people
    rule     sre administer payments
    but not  groups contractors: contractors never administer payments
  groups oncall and kind human
    how      at once in an emergency, with a second factor, up to 1 h; reviewed by groups security within 24 h
    through  local-people
    rule     sre administer payments
    but not  groups contractors: contractors never administer payments
"""
    )


def test_a_pattern_lists_every_role_that_it_matches(who_can):
    _, out, _ = who_can("*")
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == [
        "data-export",
        "deploy",
        "payments-admin",
        "payments-read",
        "sandbox-admin",
    ]
    assert "data-export in data-prod (333333333333), with one of its scopes: one-bucket\n" in out
    assert "after 1 of groups sre-leads + 1 of groups security, up to 2 h" in out
    assert "  ids local-cluster/system:serviceaccount:ci:deployer and kind workload\n" in out
    assert "through  local-cluster\n" in out


def test_programs_are_told_the_same(who_can):
    told = json.loads(who_can("payments-*", "--json")[1])
    assert (told["frozen"], len(told["catalogue_digest"])) == (False, 64)
    assert [role["role"] for role in told["roles"]] == ["payments-admin", "payments-read"]
    assert told["roles"][0]["ways"][1] == {
        "who": {"groups": ["oncall"], "kind": "human"},
        "how": "break-glass",
        "rule": "sre administer payments",
        "stages": [],
        "reviewers": {"groups": ["security"]},
        "max_duration_seconds": 3600,
        "mfa": True,
        "ticket": False,
        "hours": None,
        "issuers": ["local-people"],
        "directories": [],
        "but_not": [{"who": {"groups": ["contractors"]}, "rule": "contractors never administer payments"}],
    }
    assert told["roles"][1]["ways"][0]["how"] == "auto"


def test_directories_tickets_and_hours_are_told(who_can):
    terms = "require = { mfa = true }\nextensions = { max = 2, approvals = [] }"
    hours = 'hours = { days = "mon", from = "08:00", to = "18:00", zone = "UTC" }'
    directory = f'[directories.hook]\nlambda = "arn:aws:lambda:eu-west-1:{HUB_ACCOUNT}:function:oncall"\n\n'
    changes = [
        ("[accounts.sandbox]", f"{directory}[accounts.sandbox]"),
        ('who = { groups = ["sre"] }', 'who = { groups = ["sre", "late@hook"] }'),
        (terms, f'require = {{ ticket = "INC-[0-9]+" }}\n{hours}'),
    ]
    code, out, err = who_can("payments-admin", changes=changes)
    assert (code, err) == (0, "")
    assert "with a ticket like INC-[0-9]+, up to 4 h, in mon 08:00-18:00 UTC\n" in out
    assert "through  local-people, local-cluster, iam, directory hook\n" in out


def test_where_nobody_could_it_says_so_and_the_exit_code_is_another(who_can):
    changes = [('roles = ["payments-admin"]\n\n[[rules]]', 'roles = ["payments-admin", "deploy"]\n\n[[rules]]')]
    changes.append(('who = { groups = ["contractors"] }', 'who = { kind = "workload" }'))
    code, out, _ = who_can("deploy", changes=changes)
    assert (code, out) == (3, "deploy in payments-prod (222222222222)\n  nobody\n")


def test_a_frozen_catalogue_says_so(who_can):
    changes = [("# The catalogue of", "freeze = true\n# The catalogue of")]
    assert who_can("deploy", changes=changes)[1].endswith("until `freeze` is taken out of it.\n")


def test_what_matches_no_role_is_a_mistake(who_can):
    code, out, err = who_can("prod-*")
    assert (code, out) == (1, "")
    assert err == "daypass: No role of the catalogue is called 'prod-*', and it matches none.\n"
