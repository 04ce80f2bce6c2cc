"""The IAM door: who API Gateway says has signed, and when it says nothing of use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Account, Catalogue, Role
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import PassAsksForPass, Refusal, Unauthenticated
from chalicelib.identity.sigv4 import verify
from tests.identity.tokens import NOW

ROLE = Role(name="payments-admin", account=Account("payments-prod", "222222222222"), role_name="daypass/team/Admin")
CATALOGUE = Catalogue(digest="0" * 64, roles={ROLE.name: ROLE})
ARN = "arn:aws:sts::111111111111:assumed-role/Builder/alice@example.com"


def context(arn: Any = ARN, *, identity: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """As API Gateway's REST APIs send it to Lambda with AWS_IAM."""
    account = arn.split(":")[4] if isinstance(arn, str) and arn.count(":") >= 5 else "111111111111"
    who = {
        "accountId": account,
        "caller": "AROAEXAMPLEEXAMPLE:alice@example.com",
        "userArn": arn,
        "user": "AROAEXAMPLEEXAMPLE:alice@example.com",
        "accessKey": "ASIAEXAMPLEEXAMPLE",
        "principalOrgId": "o-exampleorgid",
        "sourceIp": "192.0.2.1",
        "cognitoIdentityId": None,
        **(identity or {}),
    }
    return {
        "apiId": "abc123",
        "stage": "api",
        "resourcePath": "/iam/v1/requests/{request_id}",
        "identity": who,
        **changes,
    }


def who(context: dict[str, Any], **changes: Any) -> Principal:
    ours: dict[str, Any] = {"api_id": "abc123", "stage": "api", "organization_id": "o-exampleorgid"}
    return verify(context, catalogue=CATALOGUE, now=NOW, **{**ours, **changes})


def test_a_role_without_its_path_and_without_its_session():
    assert who(context()) == Principal(
        id="arn:aws:iam::111111111111:role/Builder",
        kind=Kind.WORKLOAD,
        groups=frozenset(),
        issuer="iam",
        mfa=False,
        authenticated_at=NOW,
    )


def test_the_session_name_is_its_holders_choice_and_changes_nothing():
    other = "arn:aws:sts::111111111111:assumed-role/Builder/root"
    assert who(context(other)) == who(context())


@pytest.mark.parametrize("user", ["deployer", "team/ci/deployer"])
def test_an_iam_user_is_known_without_its_path(user):
    arn = f"arn:aws:iam::111111111111:user/{user}"
    assert who(context(arn)).id == "arn:aws:iam::111111111111:user/deployer"


def test_the_partition_is_ours():
    arn = "arn:aws-cn:sts::111111111111:assumed-role/Builder/s1"
    assert who(context(arn), partition="aws-cn").id == "arn:aws-cn:iam::111111111111:role/Builder"
    with pytest.raises(Unauthenticated):
        who(context(arn))


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111111111111:root",
        "arn:aws:sts::111111111111:federated-user/alice",
        "arn:aws:sts::111111111111:self",
        "arn:aws:iam::111111111111:role/Builder",
        "arn:aws:sts::111111111111:assumed-role/Builder",
        "arn:aws:sts::111111111111:assumed-role/Builder/",
        "arn:aws:sts::111111111111:assumed-role/Builder/a/b",
        "arn:aws:sts::111111111111:assumed-role/Builder/s1\n",
        "arn:aws:sts::111111111111:assumed-role/Bui\u0131der/s1",
        "arn:aws:sts::\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661:assumed-role/Builder/s1",
        "arn:aws:sts::1111:assumed-role/Builder/s1",
        "arn:aws:iam::111111111111:user/",
        "AROAEXAMPLEEXAMPLE:alice",
        "anonymous",
        "",
        None,
        7,
        ["arn:aws:sts::111111111111:assumed-role/Builder/s1"],
    ],
)
def test_nobody_else_asks_here(arn):
    with pytest.raises(Unauthenticated):
        who(context(arn))


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": {}},
        {"identity": None},
        {"identity": {"sourceIp": "127.0.0.1"}},  # Chalice's local server
        {"identity": "arn:aws:sts::111111111111:assumed-role/Builder/s1"},
        {"apiId": "other"},
        {"apiId": None},
        {"stage": "test-invoke-stage"},  # the console's test button
        {"stage": None},
        {"resourcePath": "/v1/requests"},
        {"resourcePath": "/v1/iam/v1/requests"},
        {"resourcePath": None},
    ],
)
def test_where_api_gateway_did_not_verify_the_door_is_shut(changes):
    with pytest.raises(Unauthenticated):
        who({**context(), **changes})


def test_an_empty_context():
    with pytest.raises(Unauthenticated):
        who({})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"api_id": ""}, {"apiId": ""}),
        ({"stage": ""}, {"stage": ""}),
        ({"organization_id": ""}, {"identity": {"principalOrgId": ""}}),
    ],
)
def test_where_we_do_not_know_ourselves_the_door_is_shut(ours, theirs):
    with pytest.raises(Unauthenticated):
        who(context(**theirs), **ours)


@pytest.mark.parametrize("organization", ["o-other", "", None, ["o-exampleorgid"]])
def test_another_organization(organization):
    with pytest.raises(Unauthenticated, match="organization"):
        who(context(identity={"principalOrgId": organization}))


@pytest.mark.parametrize("account", ["222222222222", None, 111111111111])
def test_an_account_that_is_not_the_arns(account):
    with pytest.raises(Unauthenticated, match="account"):
        who(context(identity={"accountId": account}))


def test_a_pass_never_asks_for_a_pass():
    with pytest.raises(PassAsksForPass):
        who(context("arn:aws:sts::222222222222:assumed-role/Admin/01HZZZ-alice@example.com"))
    assert who(context("arn:aws:sts::111111111111:assumed-role/Admin/s1")).id.endswith(":role/Admin")


@given(st.text() | st.from_regex(r"arn:aws:(sts|iam)::[0-9]{12}:(assumed-role|user)/.*", fullmatch=True))
def test_any_arn_is_refused_or_names_a_principal_without_a_session(arn):
    try:
        principal = who(context(arn, identity={"accountId": arn[13:25]}))
    except Refusal:
        return
    assert principal.id.startswith(("arn:aws:iam::" + arn[13:25] + ":role/", "arn:aws:iam::" + arn[13:25] + ":user/"))
