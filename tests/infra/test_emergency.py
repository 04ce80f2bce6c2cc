"""infra/emergency.yaml: a way in that needs nothing of Daypass, and that nobody uses unheard."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from daypass.local import trust
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests.cloudformation import ROOT, Stack
from tests.iam import allowed
from tests.infra.conftest import Deploy
from tests.infra.events import matches
from tests.local.accounts import as_root

EMERGENCIES, TARGET = "999999999999", "666666666666"
ROLE = f"arn:aws:iam::{TARGET}:role/daypass-emergency/DaypassEmergency"
GIVEN = {"EmergencyAccount": EMERGENCIES, "Notify": "oncall@example.com"}


def resolved(account: str, region: str = "us-east-1") -> dict[str, Any]:
    return Stack("emergency.yaml", account, region, **GIVEN).resources


def event(**detail: Any) -> dict[str, Any]:
    return {"source": "aws.sts", "detail-type": "AWS API Call via CloudTrail", "detail": detail}


def test_it_names_nothing_of_the_hub():
    text = (ROOT / "infra" / "emergency.yaml").read_text("utf-8")
    assert "HubAccount" not in text
    assert "BrokerRole" not in text
    assert HUB_ACCOUNT not in text


def test_only_people_with_a_second_factor_of_this_hour_are_let_in():
    [statement] = resolved(TARGET)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{EMERGENCIES}:root"}
    assert statement["Action"] == "sts:AssumeRole"
    assert statement["Condition"] == {
        "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{EMERGENCIES}:user/daypass-emergency/*"},
        "Bool": {"aws:MultiFactorAuthPresent": "true"},
        "NumericLessThan": {"aws:MultiFactorAuthAge": "3600"},
    }


def test_on_the_embedded_aws_nobody_without_one_is_let_in(embedded_aws: EmbeddedAws, deploy: Deploy):
    deploy("emergency.yaml", TARGET, "daypass-emergency", **GIVEN)
    iam = as_root("iam", embedded_aws.url, EMERGENCIES)
    iam.create_user(UserName="alice", Path="/daypass-emergency/")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="alice", PolicyName="all", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    import boto3

    alice = boto3.client(
        "sts",
        region_name="us-east-1",
        endpoint_url=embedded_aws.url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    for somebody in (
        alice,
        as_root("sts", embedded_aws.url, EMERGENCIES),
        as_root("sts", embedded_aws.url, HUB_ACCOUNT),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            somebody.assume_role(RoleArn=ROLE, RoleSessionName="drill")


def test_neither_the_broker_nor_what_it_lends_touches_the_role():
    now = datetime(2026, 12, 1, tzinfo=UTC)
    boundary = json.dumps({"Statement": trust.boundary(TARGET)})
    for action in ("iam:UpdateAssumeRolePolicy", "iam:DeleteRole", "iam:PutRolePolicy", "sts:AssumeRole"):
        assert not allowed(boundary, action, ROLE, now)
    administrators = f"arn:aws:iam::{HUB_ACCOUNT}:role/Administrators"
    hub = Stack("hub.yaml", HUB_ACCOUNT, Administrators=administrators).resources
    broker = json.dumps(hub["BrokerRole"]["Policies"][0]["PolicyDocument"])
    assert not allowed(broker, "sts:AssumeRole", ROLE, now)


def test_the_role_is_made_once_and_the_rules_in_every_region():
    assert "Role" in resolved(TARGET)
    assert "Role" not in resolved(TARGET, "eu-central-1")
    assert "RoleIsUsed" in resolved(TARGET, "eu-central-1")
    assert resolved(EMERGENCIES).keys() >= {"People", "PersonIsUsed", "RoleIsUsed"}
    assert "Role" not in resolved(EMERGENCIES)


@pytest.mark.parametrize(
    "used",
    [
        event(eventName="AssumeRole", requestParameters={"roleArn": ROLE}),
        event(eventName="AssumeRole", requestParameters={"roleArn": ROLE}, errorCode="AccessDenied"),
        event(eventName="RunInstances", userIdentity={"sessionContext": {"sessionIssuer": {"arn": ROLE}}}),
        event(
            eventName="PutRolePolicy",
            eventSource="iam.amazonaws.com",
            requestParameters={"roleName": "DaypassEmergency"},
        ),
    ],
    ids=["assumed", "in vain", "acts", "changed"],
)
def test_every_use_of_the_role_is_told(used):
    rule = resolved(TARGET)["RoleIsUsed"]
    assert matches(rule["EventPattern"], used)
    assert rule["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


def test_what_daypass_lends_is_not_told_as_one():
    lent = f"arn:aws:iam::{TARGET}:role/daypass/Admin"
    rule = resolved(TARGET)["RoleIsUsed"]["EventPattern"]
    assert not matches(rule, event(eventName="AssumeRole", requestParameters={"roleArn": lent}))
    acts = event(eventName="RunInstances", userIdentity={"sessionContext": {"sessionIssuer": {"arn": lent}}})
    assert not matches(rule, acts)


def test_every_sign_in_of_a_person_is_told_where_the_people_are():
    person = f"arn:aws:iam::{EMERGENCIES}:user/daypass-emergency/alice"
    rule = resolved(EMERGENCIES)["PersonIsUsed"]["EventPattern"]
    assert matches(rule, event(eventName="ConsoleLogin", userIdentity={"arn": person}))
    assert not matches(rule, event(eventName="ConsoleLogin", userIdentity={"arn": person.replace("-emergency", "")}))


def test_the_people_can_do_nothing_but_become_the_role():
    [policy] = resolved(EMERGENCIES)["People"]["Policies"]
    becomes, password = policy["PolicyDocument"]["Statement"]
    assert becomes["Action"] == "sts:AssumeRole"
    assert becomes["Resource"] == "arn:aws:iam::*:role/daypass-emergency/DaypassEmergency"
    assert becomes["Condition"] == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    assert password["Resource"].endswith(":user/daypass-emergency/${aws:username}")
