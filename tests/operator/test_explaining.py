"""`daypass explain`, as it is typed."""

from __future__ import annotations

import json

import pytest

from daypass.local.embedded_aws import HUB_ACCOUNT

HUB = ["--hub-account", HUB_ACCOUNT, "--local"]
CAROL = ["--who", "carol@example.com", "--groups", "sre,oncall"]
EVE = ["--who", "eve@example.com", "--groups", "sre", "--groups", "contractors"]
ADMIN = ["--role", "payments-admin", "--duration", "1h"]
READING = 'max_duration = "4h"\napprovals = []'
IN_HOURS = f'{READING}\nhours = {{ days = "mon-fri", from = "08:00", to = "18:00", zone = "Europe/Berlin" }}'


@pytest.fixture
def explain(run, catalogue):
    def explain(*words: str, changes=()) -> tuple[int, str, str]:
        code, out, err = run("explain", catalogue(*changes), *HUB, *words)
        return code, out, err

    return explain


def test_who_would_get_in_is_told_after_what_and_by_which_rule(explain):
    code, out, err = explain(*CAROL, *ADMIN)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "carol@example.com asks for payments-admin, 1 h: needs-approval. Rule 'sre administer payments' decides.",
        "after  1 of groups sre-leads",
        "up to  4 h",
        "lends  once it is approved",
        "",
        "yes   'sre administer payments' admits this after 1 approval, up to 4 h.",
        "-     'contractors never administer payments' is not for this caller: it needs a group of contractors.",
        "Of the catalogue's rules 4 are about other roles.",
    ]


def test_who_is_denied_is_told_by_which_rule_and_that_another_would_have_let_them(explain):
    code, out, _ = explain(*EVE, *ADMIN)
    assert code == 3
    assert out.splitlines()[0].endswith(
        "not-eligible. 'contractors never administer payments' denies this, whatever other rules allow."
    )
    assert "yes   'sre administer payments' admits this" in out
    assert "DENY  'contractors never administer payments' denies this" in out


@pytest.mark.parametrize(
    ("words", "code", "would"),
    [
        ([*CAROL, "--role", "payments-read"], 0, "auto-approved"),
        ([*CAROL, *ADMIN, "--break-glass"], 0, "break-glass"),
        ([*CAROL, *ADMIN, "--break-glass", "--no-mfa"], 3, "not-eligible"),
        ([*CAROL, *ADMIN, "--no-mfa"], 3, "not-eligible"),
        ([*CAROL, "--role", "sandbox-admin"], 3, "not-eligible"),
        ([*CAROL, "--role", "payments-admin", "--duration", "5h"], 1, "too-long"),
        (["--who", "local-cluster/system:serviceaccount:ci:deployer", "--role", "deploy"], 0, "auto-approved"),
        (["--who", "Carol@Example.com", "--groups", "sre", "--role", "payments-read"], 0, "auto-approved"),
    ],
)
def test_the_exit_code_tells_programs_what_would_be(explain, words, code, would):
    assert explain(*words)[0] == code
    told = json.loads(explain(*words, "--json")[1])
    assert (told["would"], told["allowed"]) == (would, code == 0)


def test_programs_are_told_all_of_it(explain):
    told = json.loads(explain(*CAROL, *ADMIN, "--at", "2026-11-24T12:00:00Z", "--ticket", "INC-1", "--json")[1])
    assert len(told.pop("catalogue_digest")) == 64
    assert [(rule["rule"], rule["effect"], rule["matches"]) for rule in told.pop("rules")] == [
        ("sre administer payments", "allow", True),
        ("contractors never administer payments", "deny", False),
    ]
    assert told == {
        "allowed": True,
        "would": "needs-approval",
        "why": "Rule 'sre administer payments' decides.",
        "rule": "sre administer payments",
        "stages": [{"count": 1, "from": {"groups": ["sre-leads"]}}],
        "reviewers": [],
        "max_duration_seconds": 4 * 3600,
        "session_policy": None,
        "lends_from": "2026-11-24T12:00:00Z",
        "rules_about_other_roles": 4,
        "who": {
            "id": "carol@example.com",
            "kind": "human",
            "groups": ["oncall", "sre"],
            "issuer": "local-people",
            "mfa": True,
        },
        "asks": {
            "role": "payments-admin",
            "duration_seconds": 3600,
            "ticket": "INC-1",
            "at": "2026-11-24T12:00:00Z",
        },
    }


def test_an_emergency_is_told_with_who_reviews_it(explain):
    _, out, _ = explain(*CAROL, *ADMIN, "--break-glass")
    assert "lends   at once\nreview  by groups security\n" in out


@pytest.mark.parametrize(
    ("at", "lends", "told"),
    [
        ("2026-11-24T12:00:00Z", "at once", "Europe/Berlin: until 2026-11-24T17:00:00Z."),
        (
            "2026-11-24T21:00:00+01:00",
            "from 2026-11-25T07:00:00Z on, when the rule's hours begin",
            "Europe/Berlin: next from 2026-11-25T07:00:00Z.",
        ),
    ],
)
def test_hours_are_told_as_they_are_at_that_instant(explain, at, lends, told):
    changes = [(f'roles = ["payments-read"]\n{READING}', f'roles = ["payments-read"]\n{IN_HOURS}')]
    code, out, _ = explain(*CAROL, "--role", "payments-read", "--at", at, changes=changes)
    assert code == 0
    assert f"lends  {lends}\n" in out
    assert f"in its hours only, mon,tue,wed,thu,fri 08:00-18:00 {told}" in out


def test_a_frozen_catalogue_lets_ask_and_lends_nothing_but_for_an_emergency(explain):
    changes = [
        ("[accounts.sandbox]", "[accounts.sandbox]"),
        ("# The catalogue of", "freeze = true\n# The catalogue of"),
    ]
    code, out, _ = explain(*CAROL, *ADMIN, changes=changes)
    assert code == 0
    assert out.count("The catalogue is frozen: nothing is approved or lent until `freeze` is taken out of it.") == 2
    assert json.loads(explain(*CAROL, *ADMIN, "--json", changes=changes)[1])["lends_from"] is None
    assert "frozen" not in explain(*CAROL, *ADMIN, "--break-glass", changes=changes)[1]


class TestScopes:
    ALICE = ("--who", "alice@example.com", "--groups", "engineering", "--role", "data-export")

    def test_that_one_has_to_be_chosen_is_told(self, explain):
        assert "scope  one has to be chosen: one-bucket\n" in explain(*self.ALICE)[1]

    def test_the_policy_that_it_makes_is_told(self, explain):
        code, out, _ = explain(*self.ALICE, "--scope", "one-bucket", "--param", "bucket=data-files")
        assert code == 0
        assert '"arn:aws:s3:::data-files/*"' in out

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--scope", "two-buckets"], "data-export has no scope 'two-buckets'; it has: one-bucket"),
            (["--scope", "one-bucket", "--param", "bucket=*"], "bucket"),
        ],
    )
    def test_one_that_the_role_has_not_is_a_mistake(self, explain, words, said):
        code, out, _ = explain(*self.ALICE, *words)
        assert (code, said in out) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*CAROL, "--role", "nothing-such"], "There is no role 'nothing-such' in the catalogue."),
        ([*CAROL, "--role", "payments-read", "--duration", "1h30"], "'1h30' is not a length"),
        ([*CAROL, "--role", "payments-read", "--duration", "0s"], "nobody can ask for less than 1 min"),
        ([*CAROL, "--role", "payments-read", "--duration", ""], "'' is not a length"),
        (["--who", "", "--role", "payments-read"], "are texts that are not empty"),
        ([*CAROL, "--role", "payments-read", "--at", "noon"], "write an instant in whole seconds and with its zone"),
        ([*CAROL, "--role", "payments-read", "--param", "a=b"], "--param belongs to a scope"),
        ([*CAROL, "--role", "data-export", "--scope", "one-bucket", "--param", "a"], "--param 'a' has no value"),
        (["--who", "carol@elsewhere.example", "--role", "payments-read"], "--who: no issuer vouches for a human"),
        (["--role", "payments-read"], "Missing option '--who'"),
    ],
)
def test_what_was_typed_wrong_is_one_sentence(explain, words, said):
    code, out, err = explain(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_catalogue_with_a_mistake_explains_nothing(explain):
    code, out, err = explain(*CAROL, *ADMIN, changes=[('account = "sandbox"', 'account = "sandpit"')])
    assert (code, out) == (1, "")
    assert err == "daypass: roles.sandbox-admin.account: there is no account 'sandpit'\n"
