"""infra/target-account.yaml: made by CloudFormation on the embedded AWS, then tried from both sides.

What ministack's IAM knows of trust (and was taught: daypass/local/taught.py) is asked of it; what a boundary denies is
also asked of the tests' own copy of IAM's logic, for every action that IAM has.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from chalicelib.core.catalogue import Account, Role
from chalicelib.core.limits import session_name
from chalicelib.core.provider import Provider
from daypass.local import example, trust
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.operator.trust_documents import Hub, broker_trust, provider_trust
from tests.cloudformation import Stack, document
from tests.iam import allowed
from tests.infra.conftest import Deploy
from tests.local.accounts import as_root, as_session

TARGET = "444444444444"
BROKER = "daypass-tried-broker"
ROLE = f"arn:aws:iam::{TARGET}:role/daypass/Admin"
REVOKER = f"arn:aws:iam::{TARGET}:role/daypass-revoker/DaypassRevoker"
BOUNDARY = f"arn:aws:iam::{TARGET}:policy/daypass-revoker/DaypassBoundary"
REQUEST = "01K0000000000000000000000B"
GIVEN = {"HubAccount": HUB_ACCOUNT, "BrokerRole": BROKER, "RoleName": "Admin", "ExternalId": "one-of-our-own"}
ISSUER = "id.example.com/daypass"
NOW = datetime(2026, 12, 1, tzinfo=UTC)
ASK: dict[str, Any] = {
    "RoleArn": ROLE,
    "RoleSessionName": "01K0000000000000000000000A-alice",
    "SourceIdentity": "alice@example.com",
    "ExternalId": "one-of-our-own",
    "Tags": [{"Key": "daypass:request", "Value": REQUEST}],
}
EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


def resolved(**more: str) -> dict[str, Any]:
    return Stack("target-account.yaml", TARGET, **{"OrganizationId": "o-abcdefghij", **GIVEN, **more}).resources


@pytest.fixture(scope="module")
def account(embedded_aws: EmbeddedAws, deploy: Deploy, organization: str) -> EmbeddedAws:
    """The embedded AWS with the stack in the target account: one role, which may do everything."""
    outputs = deploy(
        "target-account.yaml", TARGET, "daypass", **GIVEN, OrganizationId=organization, Permissions=EVERYTHING
    )
    assert outputs == {"RoleArn": ROLE}
    # ministack's CloudFormation passes over a role's boundary; its IAM does not.
    iam = as_root("iam", embedded_aws.url, TARGET)
    iam.put_role_permissions_boundary(RoleName="Admin", PermissionsBoundary=BOUNDARY)
    return embedded_aws


def hub_role(aws: EmbeddedAws, name: str) -> Any:
    """STS as a role of the hub that may assume whatever lets it."""
    iam = as_root("iam", aws.url, HUB_ACCOUNT)
    trust = EVERYTHING.replace('"Resource": "*"', f'"Principal": {{"AWS": "arn:aws:iam::{HUB_ACCOUNT}:root"}}')
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=EVERYTHING)
    hub = as_root("sts", aws.url, HUB_ACCOUNT)
    given = hub.assume_role(RoleArn=f"arn:aws:iam::{HUB_ACCOUNT}:role/{name}", RoleSessionName="lambda")
    return as_session("sts", aws.url, given["Credentials"])


@pytest.fixture(scope="module")
def broker(account: EmbeddedAws) -> Any:
    return hub_role(account, BROKER)


@pytest.fixture(scope="module")
def stranger(account: EmbeddedAws) -> Any:
    return hub_role(account, f"{BROKER}-too")


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ASK.items() if key != name}


def test_the_broker_lends_the_role(account, broker):
    keys = broker.assume_role(**ASK)["Credentials"]
    arn = as_session("sts", account.url, keys).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{TARGET}:assumed-role/Admin/{ASK['RoleSessionName']}"


@pytest.mark.parametrize(
    "asked",
    [
        without("ExternalId"),
        {**ASK, "ExternalId": "somebody-elses"},
        without("SourceIdentity"),
        {**ASK, "RoleSessionName": "alice"},
        {**ASK, "RoleSessionName": f"daypass-deny-{REQUEST}"},
    ],
    ids=["no external id", "a wrong external id", "no source identity", "another name", "the revoker's name"],
)
def test_the_broker_does_not_get_in_otherwise(broker, asked):
    with pytest.raises(ClientError, match="AccessDenied"):
        broker.assume_role(**asked)


def test_nobody_else_gets_in_whatever_they_say(account, stranger):
    roots = [as_root("sts", account.url, each) for each in (HUB_ACCOUNT, "555555555555")]
    for somebody in (stranger, *roots):
        for ask in (ASK, {"RoleArn": REVOKER, "RoleSessionName": f"daypass-deny-{REQUEST}"}):
            with pytest.raises(ClientError, match="AccessDenied"):
                somebody.assume_role(**ask)


@pytest.mark.parametrize("action", ["sts:TagSession", "sts:SetSourceIdentity"])
def test_without_either_of_the_two_further_actions_the_broker_does_not_get_in(account, broker, action, organization):
    trust = resolved(OrganizationId=organization)["Role"]["AssumeRolePolicyDocument"]
    assumes, tells = trust["Statement"]
    assert action in tells["Action"]
    fewer = {**trust, "Statement": [assumes, {**tells, "Action": [each for each in tells["Action"] if each != action]}]}
    iam = as_root("iam", account.url, TARGET)
    iam.create_role(RoleName="Fewer", Path="/daypass/", AssumeRolePolicyDocument=json.dumps(fewer))
    try:
        with pytest.raises(ClientError, match="AccessDenied"):
            broker.assume_role(**{**ASK, "RoleArn": f"arn:aws:iam::{TARGET}:role/daypass/Fewer"})
    finally:
        iam.delete_role(RoleName="Fewer")


def test_another_organizations_broker_of_the_same_name_does_not_get_in(account, broker):
    trust = resolved(OrganizationId="o-another0org")["Role"]["AssumeRolePolicyDocument"]
    iam = as_root("iam", account.url, TARGET)
    iam.create_role(RoleName="Theirs", Path="/daypass/", AssumeRolePolicyDocument=json.dumps(trust))
    with pytest.raises(ClientError, match="AccessDenied"):
        broker.assume_role(**{**ASK, "RoleArn": f"arn:aws:iam::{TARGET}:role/daypass/Theirs"})


# Ending early.


@pytest.fixture(scope="module")
def revoker(account, broker) -> Any:
    """IAM of the target account, as its revoker with all that it may do."""
    given = broker.assume_role(RoleArn=REVOKER, RoleSessionName=f"daypass-deny-{REQUEST}")
    return as_session("iam", account.url, given["Credentials"])


def test_the_revoker_is_not_lent_under_a_name_of_a_session(broker):
    with pytest.raises(ClientError, match="AccessDenied"):
        broker.assume_role(RoleArn=REVOKER, RoleSessionName=ASK["RoleSessionName"])


def test_the_revoker_writes_reads_and_removes_policies_of_a_role_that_is_lent(revoker):
    revoker.put_role_policy(RoleName="Admin", PolicyName=f"daypass-deny-{REQUEST}", PolicyDocument=EVERYTHING)
    assert f"daypass-deny-{REQUEST}" in revoker.list_role_policies(RoleName="Admin")["PolicyNames"]
    revoker.get_role_policy(RoleName="Admin", PolicyName=f"daypass-deny-{REQUEST}")
    revoker.delete_role_policy(RoleName="Admin", PolicyName=f"daypass-deny-{REQUEST}")


def test_the_revoker_writes_nowhere_else(account, revoker):
    iam = as_root("iam", account.url, TARGET)
    trust = json.dumps(resolved()["Role"]["AssumeRolePolicyDocument"])
    iam.create_role(RoleName="Unbound", Path="/daypass/", AssumeRolePolicyDocument=trust)
    iam.create_role(RoleName="Elsewhere", AssumeRolePolicyDocument=trust, PermissionsBoundary=BOUNDARY)
    for role in ("Unbound", "Elsewhere", "DaypassRevoker"):
        with pytest.raises(ClientError, match="AccessDenied"):
            revoker.put_role_policy(RoleName=role, PolicyName="x", PolicyDocument=EVERYTHING)


def test_the_revoker_does_nothing_else(revoker):
    for attempt in (
        lambda: revoker.delete_role(RoleName="Admin"),
        lambda: revoker.update_assume_role_policy(RoleName="Admin", PolicyDocument=EVERYTHING),
        lambda: revoker.delete_role_permissions_boundary(RoleName="Admin"),
        lambda: revoker.attach_role_policy(RoleName="Admin", PolicyArn=BOUNDARY),
        lambda: revoker.create_policy_version(PolicyArn=BOUNDARY, PolicyDocument=EVERYTHING, SetAsDefault=True),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


def test_the_revoker_is_named_as_the_broker_names_it():
    from chalicelib.aws.revoker import REVOKER as named

    revoker = resolved()["Revoker"]
    assert f"{revoker['Path'].strip('/')}/{revoker['RoleName']}" == named
    assert session_name(f"daypass-deny-{REQUEST}")


# The boundary.


@pytest.fixture(scope="module")
def admin(account, broker) -> Any:
    """IAM of the target account, as a session of a role that may do everything, up to its boundary."""
    return as_session("iam", account.url, broker.assume_role(**ASK)["Credentials"])


def test_who_may_do_everything_still_changes_nothing_that_daypass_stands_on(admin):
    admin.create_group(GroupName="proof-that-this-is-an-administrator")
    for attempt in (
        lambda: admin.put_role_policy(RoleName="Admin", PolicyName="x", PolicyDocument=EVERYTHING),
        lambda: admin.delete_role_policy(RoleName="Admin", PolicyName="x"),
        lambda: admin.update_assume_role_policy(RoleName="Admin", PolicyDocument=EVERYTHING),
        lambda: admin.update_assume_role_policy(RoleName="DaypassRevoker", PolicyDocument=EVERYTHING),
        lambda: admin.delete_role_permissions_boundary(RoleName="Admin"),
        lambda: admin.create_policy_version(PolicyArn=BOUNDARY, PolicyDocument=EVERYTHING, SetAsDefault=True),
        lambda: admin.create_role(RoleName="AnotherAdmin", AssumeRolePolicyDocument=EVERYTHING),
        lambda: admin.create_user(UserName="mallory"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


OURS = [
    ROLE,
    f"arn:aws:iam::{TARGET}:role/daypass/deep/Role",
    REVOKER,
    BOUNDARY,
    f"arn:aws:iam::{TARGET}:oidc-provider/{ISSUER}",
]
THEIRS = [f"arn:aws:iam::{TARGET}:role/app/Worker", f"arn:aws:iam::{TARGET}:oidc-provider/other.example.com"]
ACTIONS = [f"iam:{name}" for name in botocore.session.get_session().get_service_model("iam").operation_names]
BINDING = {"CreateRole", "CreateUser", "PutRolePermissionsBoundary", "PutUserPermissionsBoundary"}


@pytest.mark.parametrize("resource", OURS)
def test_of_all_that_iam_can_do_the_boundary_leaves_only_looking(resource):
    boundary = json.dumps(resolved(Issuer=ISSUER)["Boundary"]["PolicyDocument"])
    left = {
        action for action in (*ACTIONS, "iam:PassRole", "sts:AssumeRole") if allowed(boundary, action, resource, NOW)
    }
    assert len(ACTIONS) > 150
    assert left == {action for action in ACTIONS if action.startswith(("iam:Get", "iam:List"))}


@pytest.mark.parametrize("resource", THEIRS)
def test_the_boundary_takes_nothing_else_away_but_making_what_it_does_not_bind(resource):
    boundary = json.dumps(resolved(Issuer=ISSUER)["Boundary"]["PolicyDocument"])
    kept = {action for action in ACTIONS if allowed(boundary, action, resource, NOW)}
    # Of a condition that it does not know the evaluator takes the worst, here that it does not deny.
    assert set(ACTIONS) - kept == {"iam:DeleteRolePermissionsBoundary", "iam:DeleteUserPermissionsBoundary"}
    conditions = {
        action.removeprefix("iam:"): statement["Condition"]
        for statement in json.loads(boundary)["Statement"]
        if "Condition" in statement
        for action in statement["Action"]
    }
    assert conditions.keys() == BINDING
    assert all(each == {"StringNotEquals": {"iam:PermissionsBoundary": BOUNDARY}} for each in conditions.values())


def test_what_lent_roles_make_may_be_left_unbound_where_somebody_says_so():
    boundary = json.dumps(resolved(NewPrincipals="free")["Boundary"]["PolicyDocument"])
    assert {action for action in ACTIONS if not allowed(boundary, action, THEIRS[0], NOW)} == set()
    assert not allowed(boundary, "iam:PutRolePolicy", ROLE, NOW)


# via = "oidc".


def test_a_vouched_role_trusts_the_provider_for_a_token_of_its_own_and_nothing_else():
    role = resolved(Via="oidc", Issuer=ISSUER)["Role"]
    [statement] = document(role["AssumeRolePolicyDocument"])["Statement"]
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{TARGET}:oidc-provider/{ISSUER}"}
    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
    assert statement["Condition"] == {
        "StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": f"daypass:role:{ROLE}"}
    }


def test_the_provider_is_made_with_the_accounts_parts_and_takes_tokens_for_sts_only():
    assert resolved(Issuer=ISSUER)["Provider"] == {"Url": f"https://{ISSUER}", "ClientIdList": ["sts.amazonaws.com"]}
    assert "Provider" not in resolved()
    assert resolved(Issuer=ISSUER, AccountParts="no").keys() == {"Role"}


# The local example.


def test_the_local_example_trusts_and_bounds_as_the_template_does():
    ours = resolved(BrokerRole="daypass-broker")
    trusted = trust.role_trust(example.BROKER_ARN, "o-abcdefghij", "one-of-our-own")
    revoker = ours["Revoker"]
    assert ours["Role"]["AssumeRolePolicyDocument"]["Statement"] == trusted
    assert revoker["AssumeRolePolicyDocument"]["Statement"] == [trust.revoker_trust(example.BROKER_ARN, "o-abcdefghij")]
    assert revoker["Policies"][0]["PolicyDocument"]["Statement"] == trust.revoker_permissions(TARGET)
    assert ours["Boundary"]["PolicyDocument"]["Statement"] == trust.boundary(TARGET)
    assert (revoker["Path"], revoker["RoleName"]) == (trust.REVOKER_PATH, trust.REVOKER_ROLE)
    assert f"policy{ours['Boundary']['Path']}{ours['Boundary']['ManagedPolicyName']}" in trust.boundary_arn(TARGET)


def test_it_trusts_as_daypass_trust_prints_it():
    role = Role(
        name="admin", account=Account("target", TARGET), role_name="daypass/Admin", external_id="one-of-our-own"
    )
    hub = Hub(account=HUB_ACCOUNT, broker=f"arn:aws:iam::{HUB_ACCOUNT}:role/{BROKER}", organization="o-abcdefghij")
    assert broker_trust(role, hub).policy == resolved()["Role"]["AssumeRolePolicyDocument"]
    vouched = document(resolved(Via="oidc", Issuer=ISSUER)["Role"]["AssumeRolePolicyDocument"])
    assert provider_trust(role, Provider(f"https://{ISSUER}", ())).policy == vouched


# More roles.


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ({"RoleName": "Admin"}, 'A role with via = "role" needs the ExternalId'),
        ({"RoleName": "Admin", "Via": "oidc"}, 'A role with via = "oidc" needs the Issuer'),
    ],
)
def test_a_role_without_what_its_trust_stands_on_is_not_made(embedded_aws, deploy, lacking, said):
    given = {"HubAccount": HUB_ACCOUNT, "OrganizationId": "o-abcdefghij", "AccountParts": "no", **lacking}
    with pytest.raises(ClientError, match=said):
        deploy("target-account.yaml", TARGET, f"daypass-{len(said)}", **given)


def test_a_further_role_is_a_stack_of_its_own_and_bound_by_the_same_boundary():
    assert resolved(AccountParts="no")["Role"]["PermissionsBoundary"] == BOUNDARY
    assert resolved(RoleName="").keys() == {"Boundary", "Revoker"}


def test_what_a_role_may_do_is_said_by_parameters():
    role = resolved(ManagedPolicies="arn:aws:iam::aws:policy/ReadOnlyAccess,arn:aws:iam::aws:policy/AWSSupportAccess")
    assert role["Role"]["ManagedPolicyArns"] == [
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "arn:aws:iam::aws:policy/AWSSupportAccess",
    ]
    assert "Policies" not in role["Role"]
    assert document(resolved(Permissions=EVERYTHING)["Role"]["Policies"][0]["PolicyDocument"])["Statement"]
