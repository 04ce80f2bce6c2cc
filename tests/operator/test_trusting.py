"""`daypass trust`: who may assume a role, and apart from that what may be done."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Account, Role, Scope
from chalicelib.core.policy import scope_policy
from chalicelib.core.policy_grammar import minified
from chalicelib.core.principal import session_name
from chalicelib.core.provider import Provider
from daypass.local.embedded_aws import HUB_ACCOUNT
from daypass.operator.trust_documents import (
    LONGEST_TRUST,
    Hub,
    broker_trust,
    chained_trust,
    cutting,
    provider_trust,
    role_permissions,
)
from tests.builders import NOW, an_id
from tests.iam import allowed, trusts

ROOT = Path(__file__).resolve().parents[2]
HUB_OPTIONS = ["--hub-account", HUB_ACCOUNT, "--local"]
BROKER = f"arn:aws:iam::{HUB_ACCOUNT}:role/daypass-prod-api_handler"
HUB = Hub(account=HUB_ACCOUNT, broker=BROKER, organization="o-a1b2c3d4e5")
ROLE = Role(
    name="payments-admin",
    account=Account("payments-prod", "222222222222"),
    role_name="daypass/Admin",
    external_id="e-123",
    chaining=("arn:aws:iam::333333333333:role/cdk-*",),
)
LENDING = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
HUB_ROOT = f"arn:aws:iam::{HUB_ACCOUNT}:root"


def a_call(**changed: str | None) -> dict[str, str]:
    """The condition keys of the broker's AssumeRole; None leaves one out."""
    keys: dict[str, str | None] = {
        "aws:PrincipalArn": BROKER,
        "aws:PrincipalOrgID": "o-a1b2c3d4e5",
        "sts:ExternalId": "e-123",
        "sts:RoleSessionName": session_name(an_id(), "carol@example.com"),
        "sts:SourceIdentity": "carol@example.com",
    }
    keys.update({name.replace("_", ":"): value for name, value in changed.items()})
    return {name: value for name, value in keys.items() if value is not None}


class TestBrokerTrust:
    policy = broker_trust(ROLE, HUB).policy

    def test_the_broker_gets_in(self) -> None:
        assert trusts(self.policy, LENDING, HUB_ROOT, a_call())

    @pytest.mark.parametrize(
        "changed",
        [
            {"aws_PrincipalArn": f"arn:aws:iam::{HUB_ACCOUNT}:role/Somebody"},
            {"aws_PrincipalArn": None},
            {"aws_PrincipalOrgID": "o-elsewhere00"},
            {"sts_ExternalId": "e-124"},
            {"sts_ExternalId": None},
            {"sts_RoleSessionName": "carol"},
            {"sts_RoleSessionName": f"{an_id()}"},
            {"sts_SourceIdentity": None},
        ],
        ids=str,
    )
    def test_nothing_else_does(self, changed) -> None:
        assert not trusts(self.policy, LENDING, HUB_ROOT, a_call(**changed))

    def test_no_other_account_does(self) -> None:
        assert not trusts(self.policy, LENDING, "arn:aws:iam::222222222222:root", a_call())

    def test_no_other_role_may_say_for_whom(self) -> None:
        other = a_call(aws_PrincipalArn=f"arn:aws:iam::{HUB_ACCOUNT}:role/Somebody")
        for action in LENDING:
            assert not trusts(self.policy, [action], HUB_ROOT, other)

    def test_without_an_organization_and_an_external_id_they_are_not_asked_for(self) -> None:
        policy = broker_trust(replace(ROLE, external_id=None), replace(HUB, organization=None)).policy
        assert trusts(policy, LENDING, HUB_ROOT, a_call(sts_ExternalId=None, aws_PrincipalOrgID=None))
        assert "sts:ExternalId" not in minified(policy)

    def test_it_is_short_enough_at_its_longest(self) -> None:
        role = replace(ROLE, external_id="e" * 512, role_name=f"daypass/{'r' * 64}", partition="aws-us-gov")
        hub = replace(HUB, broker=f"arn:aws-us-gov:iam::{HUB_ACCOUNT}:role/{'p' * 200}/{'b' * 64}")
        assert len(minified(broker_trust(role, hub).policy)) <= LONGEST_TRUST


def test_a_provider_is_trusted_as_the_docs_say() -> None:
    page = (ROOT / "docs/oidc-provider.md").read_text("utf-8")
    [shown] = [
        json.loads(block)
        for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)
        if "AssumeRoleWithWebIdentity" in block
    ]
    said: Any = provider_trust(ROLE, Provider("https://id.example.com/daypass", ())).policy
    [statement] = said["Statement"]
    assert {**statement, "Sid": "x"} == {**shown["Statement"][0], "Sid": "x"}


def test_what_it_goes_on_to_lets_only_sessions_of_daypass_in() -> None:
    policy = chained_trust(ROLE).policy
    account = "arn:aws:iam::222222222222:root"
    session = {"aws:PrincipalArn": ROLE.arn, "aws:PrincipalTag/daypass:request": an_id()}
    assert trusts(policy, LENDING, account, session)
    assert not trusts(policy, LENDING, account, {"aws:PrincipalArn": ROLE.arn})
    assert not trusts(policy, LENDING, account, {**session, "aws:PrincipalArn": f"{ROLE.arn}2"})


def test_the_scp_denies_everything_to_the_sessions_of_the_requests_and_to_nobody_else() -> None:
    [statement] = [each.statement for each in cutting([an_id(), an_id()]).statements]
    assert statement["Effect"] == "Deny"
    assert (statement["Action"], statement["Resource"]) == ("*", "*")
    condition: Any = statement["Condition"]
    assert list(condition) == ["StringEquals"]
    assert len(condition["StringEquals"]["aws:PrincipalTag/daypass:request"]) == 2


ACTIONS = ("s3:GetObject", "s3:PutObject", "sts:AssumeRole", "ec2:StartInstances")
statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "Action": st.sampled_from(["s3:*", "*", ["s3:GetObject"], ["ec2:StartInstances"]]),
        "Resource": st.sampled_from(["*", "arn:aws:s3:::${bucket}/*", ["arn:aws:s3:::${bucket}/in/*"]]),
    },
    optional={"Condition": st.just({"StringEquals": {"aws:ResourceTag/bucket": "${bucket}"}})},
)


@given(st.lists(statements, min_size=1, max_size=3), st.sampled_from(ACTIONS), st.sampled_from(["ledger", "data"]))
def test_a_role_allows_what_its_scopes_can_allow(written, action, bucket) -> None:
    policy = {"Version": "2012-10-17", "Statement": written}
    scope = Scope(name="one-bucket", policy=policy, parameters={"bucket": "[a-z]+"})
    resource = f"arn:aws:s3:::{bucket}/in/file"
    document = role_permissions(replace(ROLE, scopes={"one-bucket": scope}))
    if allowed(scope_policy(scope, {"bucket": bucket}), action, resource, NOW):
        assert document
        assert allowed(minified(document.policy), action, resource, NOW)


def test_every_statement_has_a_name_of_its_own_and_a_reason() -> None:
    scope = Scope(name="a", policy={"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}, parameters={})
    role = replace(ROLE, scopes={"a": scope, "b": replace(scope, name="b")})
    permissions = role_permissions(role)
    assert permissions
    for document in (broker_trust(role, HUB), permissions, chained_trust(role)):
        sids = [str(each.statement["Sid"]) for each in document.statements]
        assert len(set(sids)) == len(sids)
        assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)
        assert all(each.why.endswith(".") for each in document.statements)


@pytest.fixture
def trust(run, catalogue):
    def trust(*words: str, changes=()) -> tuple[int, str, str]:
        code, out, err = run("trust", catalogue(*changes), *words, *HUB_OPTIONS)
        return code, out, err

    return trust


CHAINING = (
    'role_name = "daypass/PaymentsAdmin"',
    'role_name = "daypass/PaymentsAdmin"\nchaining = ["arn:aws:iam::*:role/cdk-*"]',
)


def kinds(out: str) -> list[str]:
    return [document["kind"] for document in json.loads(out)["documents"]]


def test_who_may_assume_and_what_may_be_done_are_told_apart_with_reasons(trust):
    code, out, err = trust("data-export", "--broker-role", BROKER, "--organization", "o-a1b2c3d4e5")
    assert (code, err) == (0, "")
    assert re.findall(r"^(Who may assume|What may be done): (.*)$", out, re.MULTILINE) == [
        ("Who may assume", "the trust policy of arn:aws:iam::333333333333:role/daypass/DataExport"),
        ("What may be done", f"what {BROKER} may do, in the hub account"),
        ("What may be done", "what arn:aws:iam::333333333333:role/daypass/DataExport may do"),
    ]
    assert (
        "  TheBrokerAssumes: Only the broker's role, also where it was deployed anew, as long as its account is" in out
    )
    policies = [json.loads(block) for block in re.findall(r"^\{.*?^\}", out, re.DOTALL | re.MULTILINE)]
    assert policies[0]["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] == "local-example-data"


def test_programs_are_told_the_same(trust):
    _, out, _ = trust("payments-admin", "--broker-role", BROKER, "--json", changes=[CHAINING])
    told = json.loads(out)
    assert told["role_arn"] == "arn:aws:iam::222222222222:role/daypass/PaymentsAdmin"
    assert kinds(out) == ["trust", "permissions", "permissions", "trust", "scp"]
    assert set(told["documents"][0]["explained"]) == {"TheBrokerAssumes", "TheBrokerTellsOfWhom"}
    assert "THE REQUEST'S ID" in json.dumps(told["documents"][-1]["policy"])


def test_what_goes_on_is_cut_by_an_scp_for_the_requests_that_are_named(trust):
    id = an_id()
    _, out, _ = trust("payments-admin", "--broker-role", BROKER, "--request", id, "--json", changes=[CHAINING])
    assert f'"{id}"' in out


def test_where_the_catalogue_does_not_know_what_may_be_done_it_says_so(trust):
    _, out, _ = trust("deploy", "--broker-role", BROKER)
    assert out.endswith("a session gets all of it, until its wall. Scopes would narrow it.\n")


def test_a_role_lent_by_the_provider_needs_no_broker_role(trust):
    old = 'role_name = "daypass/PaymentsRead"\nexternal_id = "local-example-payments"'
    code, out, _ = trust("payments-read", "--json", changes=[(old, 'role_name = "daypass/PaymentsRead"\nvia = "oidc"')])
    assert (code, kinds(out)) == (0, ["trust"])
    assert "daypass:role:arn:aws:iam::222222222222:role/daypass/PaymentsRead" in out


def test_a_service_account_is_trusted_by_audience_and_subject_without_a_broker(trust):
    words = ["--service-account", "ci:deployer", "--cluster", "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC"]
    code, out, _ = trust("deploy", *words, "--json")
    [document] = json.loads(out)["documents"]
    [statement] = document["policy"]["Statement"]
    assert code == 0
    assert statement["Principal"]["Federated"].startswith("arn:aws:iam::222222222222:oidc-provider/oidc.eks.")
    assert statement["Condition"] == {
        "StringEquals": {
            "oidc.eks.eu-west-1.amazonaws.com/id/ABC:aud": "sts.amazonaws.com",
            "oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub": "system:serviceaccount:ci:deployer",
        }
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing-such"], "There is no role 'nothing-such'"),
        (["deploy"], "--broker-role (or DAYPASS_BROKER_ROLE) is missing"),
        (["deploy", "--broker-role", "arn:aws:iam::999999999999:role/x"], "is no role of the hub account 123456789012"),
        (["deploy", "--broker-role", f"arn:aws:sts::{HUB_ACCOUNT}:assumed-role/x/y"], "is no role of the hub account"),
        (["deploy", "--broker-role", BROKER, "--organization", "*"], "is no organization's id"),
        (["deploy", "--service-account", "ci:deployer"], "belong together"),
        (["deploy", "--service-account", "ci:*", "--cluster", "https://c.example"], "without a wildcard"),
        (["deploy", "--service-account", "ci:a", "--cluster", "http://c.example"], "write its https URL"),
    ],
)
def test_what_was_typed_wrong_is_one_sentence(trust, monkeypatch, words, said):
    monkeypatch.delenv("DAYPASS_BROKER_ROLE", raising=False)
    code, out, err = trust(*words)
    assert (code, out) == (1, "")
    assert said in err


def test_no_ending_of_an_id_gets_into_an_scp(trust):
    code, _, err = trust("payments-admin", "--broker-role", BROKER, "--request", "4XK2Q9ZD", changes=[CHAINING])
    assert (code, "an ending of it is not enough" in err) == (1, True)
