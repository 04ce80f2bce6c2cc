"""infra/hub.yaml: made by CloudFormation on the embedded AWS, its policies held against what the code asks of AWS."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from chalicelib.aws.table import Table
from chalicelib.settings import read
from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests.cloudformation import ROOT, Stack, template
from tests.infra.conftest import Deploy
from tests.local.accounts import as_root, as_session

ADMINISTRATORS = f"arn:aws:iam::{HUB_ACCOUNT}:role/Administrators"
BROKER = f"arn:aws:iam::{HUB_ACCOUNT}:role/daypass-test-broker"
STATEFUL = {
    "AWS::DynamoDB::Table",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SecretsManager::Secret",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
}


def resolved(stage: str = "test", **more: str) -> dict[str, Any]:
    return Stack("hub.yaml", HUB_ACCOUNT, Stage=stage, Administrators=ADMINISTRATORS, **more).resources


def broker_statements(**more: str) -> list[dict[str, Any]]:
    [policy] = resolved(**more)["BrokerRole"]["Policies"]
    statements: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return statements


@pytest.fixture(scope="module")
def outputs(embedded_aws: EmbeddedAws, deploy: Deploy) -> dict[str, str]:
    return deploy("hub.yaml", HUB_ACCOUNT, "daypass-test", Stage="test", Administrators=ADMINISTRATORS)


@pytest.fixture(scope="module")
def broker(embedded_aws: EmbeddedAws, outputs: dict[str, str]) -> dict[str, Any]:
    """The keys that Lambda gets for the broker's function."""
    hub = as_root("sts", embedded_aws.url, HUB_ACCOUNT)
    keys: dict[str, Any] = hub.assume_role(RoleArn=outputs["BrokerRole"], RoleSessionName="daypass")["Credentials"]
    return keys


# What is kept.


def test_the_table_is_the_one_that_the_code_reads(embedded_aws, outputs, table: Table):
    dynamodb = as_root("dynamodb", embedded_aws.url, HUB_ACCOUNT)

    def shape(name: str) -> dict[str, Any]:
        told = dynamodb.describe_table(TableName=name)["Table"]
        indexes = {
            each["IndexName"]: (each["KeySchema"], each["Projection"]) for each in told["GlobalSecondaryIndexes"]
        }
        attributes = sorted((each["AttributeName"], each["AttributeType"]) for each in told["AttributeDefinitions"])
        billing = told.get("BillingModeSummary", {}).get("BillingMode")
        return {
            "keys": told["KeySchema"],
            "indexes": indexes,
            "attributes": attributes,
            "stream": told["StreamSpecification"],
            "billing": billing,
        }

    assert outputs["Table"] == "daypass-test"
    assert shape(outputs["Table"]) == shape(table._name)
    # ministack's CloudFormation does not switch TTL on.
    told = dynamodb.describe_time_to_live(TableName=table._name)["TimeToLiveDescription"]["AttributeName"]
    assert resolved()["Table"]["TimeToLiveSpecification"] == {"AttributeName": told, "Enabled": True}


def test_the_table_cannot_be_deleted_by_mistake_and_can_be_restored_to_any_second():
    made = resolved()["Table"]
    assert made["DeletionProtectionEnabled"] is True
    assert made["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert made["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}


def test_whatever_holds_state_outlives_the_stack():
    resources = template("hub.yaml")["Resources"]
    kept = {name for name, each in resources.items() if each.get("DeletionPolicy") == "Retain"}
    assert kept == {name for name, each in resources.items() if each.get("UpdateReplacePolicy") == "Retain"}
    assert {name for name, each in resources.items() if each["Type"] in STATEFUL} <= kept
    assert {"BrokerRole", "EventBus"} <= kept  # whose ARNs others wrote down


def test_nothing_stateless_is_in_the_hub_and_nothing_stateful_in_the_packages_template():
    hub = {each["Type"] for each in template("hub.yaml")["Resources"].values()}
    assert not {each for each in hub if each.startswith(("AWS::Lambda::", "AWS::Serverless::", "AWS::ApiGateway::"))}
    package = json.loads((ROOT / "infra" / "outbox.json").read_text())["Resources"]
    assert not {each["Type"] for each in package.values() if "Type" in each} & (STATEFUL - {"AWS::SQS::Queue"})


def test_nothing_of_the_ledger_can_be_deleted_before_its_time():
    bucket = resolved(Retention="10", RetentionMode="COMPLIANCE")["Ledger"]
    assert bucket["ObjectLockEnabled"] is True
    assert bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {"Mode": "COMPLIANCE", "Days": "10"}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_the_emergency_queue_keeps_what_it_holds_for_as_long_as_sqs_can():
    queue = resolved()["EmergencyQueue"]
    assert (queue["FifoQueue"], queue["MessageRetentionPeriod"]) == (True, 14 * 24 * 3600)
    assert "RedrivePolicy" not in queue


def test_the_secrets_come_without_a_value():
    secrets = {name: each for name, each in resolved().items() if name.startswith("Slack")}
    assert {each["Name"] for each in secrets.values()} == {
        "daypass/test/slack-signing-secret",
        "daypass/test/slack-bot-token",
    }
    assert not any({"SecretString", "GenerateSecretString"} & each.keys() for each in secrets.values())


def test_the_outputs_are_settings_as_the_code_takes_them(outputs):
    settings = read(
        {
            "AWS_REGION": example.REGION,
            "DAYPASS_HUB_ACCOUNT": HUB_ACCOUNT,
            "DAYPASS_CATALOGUE": "chalicelib/catalogue.toml",
            "DAYPASS_TABLE": outputs["Table"],
            "DAYPASS_EMERGENCY_QUEUE": outputs["EmergencyQueue"],
            "DAYPASS_EMERGENCY_KEY": outputs["EmergencyKey"],
            "DAYPASS_EVENT_BUS": outputs["EventBus"],
            "DAYPASS_BREAK_GLASS_TOPIC": outputs["BreakGlassTopic"],
            "DAYPASS_SLACK_SIGNING_SECRET": outputs["SlackSigningSecret"],
            "DAYPASS_SLACK_BOT_TOKEN": outputs["SlackBotToken"],
        }
    )
    assert settings.slack_door is not None


# Keys.

SIGNS = {"MessageType": "DIGEST", "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}


def keys_policy(name: str) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in resolved()[name]["KeyPolicy"]["Statement"]}


def powerful(aws: EmbeddedAws, name: str) -> dict[str, Any]:
    """A role of the hub that IAM allows everything."""
    iam, everything = as_root("iam", aws.url, HUB_ACCOUNT), {"Effect": "Allow", "Action": "*", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB_ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (trust, everything)]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=documents[0])
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=documents[1])
    arn = f"arn:aws:iam::{HUB_ACCOUNT}:role/{name}"
    hub = as_root("sts", aws.url, HUB_ACCOUNT)
    keys: dict[str, Any] = hub.assume_role(RoleArn=arn, RoleSessionName="somebody")["Credentials"]
    return keys


def test_nobody_signs_with_the_providers_key_whatever_iam_allows_them(embedded_aws, outputs):
    for name in ("Anybody", "Administrators"):
        kms = as_session("kms", embedded_aws.url, powerful(embedded_aws, name))
        with pytest.raises(ClientError, match="AccessDenied"):
            kms.sign(KeyId=outputs["ProviderKey"], Message=b"0" * 32, **SIGNS)
        with pytest.raises(ClientError, match="AccessDenied"):
            kms.generate_mac(KeyId=outputs["EmergencyKey"], MacAlgorithm="HMAC_SHA_256", Message=b"x")
    assert kms.get_public_key(KeyId=outputs["ProviderKey"])["KeySpec"] == "RSA_2048"  # as an administrator


def test_the_broker_seals_with_the_emergency_key_and_signs_no_digest(embedded_aws, outputs, broker):
    kms = as_session("kms", embedded_aws.url, broker)
    sealed = kms.generate_mac(KeyId=outputs["EmergencyKey"], MacAlgorithm="HMAC_SHA_256", Message=b"x")
    kms.verify_mac(KeyId=outputs["EmergencyKey"], MacAlgorithm="HMAC_SHA_256", Message=b"x", Mac=sealed["Mac"])
    with pytest.raises(ClientError, match="AccessDenied"):
        kms.sign(KeyId=outputs["DigestKey"], Message=b"0" * 32, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")


@pytest.mark.parametrize(
    ("key", "uses"),
    [
        ("ProviderKey", {"kms:Sign"}),
        ("DigestKey", {"kms:Sign", "kms:Verify"}),
        ("EmergencyKey", {"kms:GenerateMac", "kms:VerifyMac"}),
    ],
)
def test_a_key_is_used_for_one_thing_by_one_role_and_kept_by_people_who_cannot_use_it(key, uses):
    policy = keys_policy(key)
    allowed = [each for each in policy.values() if each["Effect"] == "Allow"]
    used, kept = sorted(allowed, key=lambda each: "kms:PutKeyPolicy" in each["Action"])
    acts = used["Action"]
    assert set([acts] if isinstance(acts, str) else acts) == uses
    assert not uses & set(kept["Action"])
    assert kept["Condition"] == {"ArnLike": {"aws:PrincipalArn": ADMINISTRATORS}}
    [denied] = [each for each in policy.values() if each["Effect"] == "Deny"]
    [who] = [each for operator, each in used["Condition"].items() if operator.startswith("Arn")]
    assert list(denied["Condition"].values()) == [who], "everybody but whom it is for"
    assert denied["Action"] in uses


def test_the_aliases_are_those_that_the_broker_asks_for():
    [signs] = [each for each in broker_statements() if "kms:Sign" in each["Action"]]
    assert signs["Condition"] == {
        "ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/daypass-provider-test*"},
        "StringEquals": {"kms:SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"},
    }
    assert resolved()["ProviderKeyAlias"]["AliasName"] == "alias/daypass-provider-test-1"


# The broker's role.

CALLS: dict[str, dict[str, set[str]]] = {
    # What botocore sends, by the module that has it sent, and what it has to be allowed for.
    "table.py": {
        "dynamodb": {"GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "ConditionCheckItem"},
    },
    "sts.py": {"sts": {"AssumeRole"}},
    "web_identity.py": {"sts": set()},  # AssumeRoleWithWebIdentity is not signed: nobody allows it but the trust
    "signing.py": {"kms": {"Sign"}},
    "queue.py": {"kms": {"GenerateMac", "VerifyMac"}, "sqs": {"SendMessage", "ReceiveMessage", "DeleteMessage"}},
    "secrets.py": {"secretsmanager": {"GetSecretValue"}, "ssm": {"GetParameter"}},
    "directories.py": {
        "identitystore": {"GetUserId", "GetGroupId", "IsMemberInGroups"},
        "lambda": {"InvokeFunction"},
    },
    "revoker.py": {"sts": {"AssumeRole"}},
}


@pytest.mark.parametrize(
    "outside",
    [
        "Admin",
        "daypass",
        "daypassed/Admin",
        "daypass-revoker/Other",
        "team/daypass/Admin",
        "OrganizationAccountAccessRole",
    ],
)
def test_the_broker_assumes_no_role_outside_of_daypass_even_where_its_trust_would_let_it(embedded_aws, broker, outside):
    account = "555555555555"
    path, _, name = f"/{outside}".rpartition("/")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    as_root("iam", embedded_aws.url, account).create_role(
        RoleName=name,
        Path=f"{path}/",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    sts = as_session("sts", embedded_aws.url, broker)
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{outside}", RoleSessionName="01K-alice")
    as_root("iam", embedded_aws.url, account).delete_role(RoleName=name)


def test_the_broker_may_tag_and_name_only_what_it_lends():
    assumes = {
        each["Resource"]: set(each["Action"]) for each in broker_statements() if "sts:AssumeRole" in each["Action"]
    }
    assert assumes == {
        "arn:aws:iam::*:role/daypass/*": {"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"},
        "arn:aws:iam::*:role/daypass-revoker/DaypassRevoker": {"sts:AssumeRole"},
    }


@cache
def attributes(module: Path) -> frozenset[str]:
    tree = ast.walk(ast.parse(module.read_text("utf-8")))
    return frozenset(node.attr for node in tree if isinstance(node, ast.Attribute))


@cache
def operations(service: str) -> dict[str, str]:
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def called(module: Path, service: str) -> set[str]:
    """The operations of a service that a module's code has a method's name of."""
    return {name for method, name in operations(service).items() if method in attributes(module)}


@pytest.mark.parametrize("name", [name for name in CALLS if name != "table.py"])
def test_the_list_of_calls_is_the_codes(name):
    module = ROOT / "chalicelib" / "aws" / name
    # Nobody signs the one; the other is the digest function's, which has a role of its own.
    not_the_brokers, of_invoke = {"AssumeRoleWithWebIdentity", "Verify"}, {"Invoke": "InvokeFunction"}
    for service, listed in CALLS[name].items():
        found = {of_invoke.get(each, each) for each in called(module, service)} - not_the_brokers
        assert found == listed, service


def test_no_other_module_of_the_broker_asks_aws_for_anything():
    """Those of the outbox have roles of their own, and the rest of chalicelib/aws talks to AWS through these."""
    outbox = {"bus.py"}
    operators = {"trail_lookup.py"}  # on an operator's machine
    role_policies = {"role_policies.py"}  # as the revoker: infra/target-account.yaml
    services = ("sts", "kms", "sqs", "secretsmanager", "ssm", "identitystore", "events", "sns", "iam", "cloudtrail")
    modules = sorted((ROOT / "chalicelib" / "aws").glob("*.py"))
    asking = {module.name for module in modules for service in services if called(module, service)}
    assert asking - outbox - operators - role_policies == CALLS.keys() - {"table.py"}


def test_the_broker_may_make_every_call_that_the_code_makes_and_no_other():
    listed = {f"{service}:{call}" for calls in CALLS.values() for service, each in calls.items() for call in each} | {
        "sts:TagSession",
        "sts:SetSourceIdentity",
    }  # of AssumeRole, with tags and a source identity
    by_hand = {"s3:GetObject", "s3:GetObjectVersion"}  # catalogue_bucket.py signs its request without a client
    directories = {"IdentityStore": "d-1234567890", "DirectoryFunctions": "arn:aws:lambda:us-east-1:1:function:hook"}
    lambdas = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
    allowed = {action for each in broker_statements(**directories) for action in each["Action"]}
    assert allowed == listed | lambdas | by_hand
    assert all("*" not in action for action in allowed)
    assert [each["Sid"] for each in broker_statements(**directories) if each["Resource"] == "*"] == ["Trace"]
