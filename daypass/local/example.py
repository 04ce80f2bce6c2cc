"""The local example: four accounts in the embedded AWS, as the example's catalogue names them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypedDict

import boto3
from botocore.exceptions import ClientError

from daypass.local import trust
from daypass.local.embedded_aws import HUB_ACCOUNT
from daypass.local.trust import REVOKER_PATH, REVOKER_ROLE

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
TABLE = "daypass"
QUEUE = "daypass-emergencies.fifo"
KEY_ALIAS = "alias/daypass-emergencies"
BROKER_ROLE = "daypass-broker"
BROKER_ARN = f"arn:aws:iam::{HUB_ACCOUNT}:role/{BROKER_ROLE}"
EVENT_BUS = "default"
BREAK_GLASS_TOPIC = f"arn:aws:sns:{REGION}:{HUB_ACCOUNT}:daypass-break-glass"
DEAD_LETTERS = f"arn:aws:sqs:{REGION}:{HUB_ACCOUNT}:daypass-dead-letters"
ROOT_SECRET = "test"
"""ministack takes any account id as the access key id of that account's root, whatever the secret."""

_POLICY_NAME = "daypass"
_TEMPLATE_URL = "http://127.0.0.1:8000"
_TEMPLATE_KEY = f"arn:aws:kms:{REGION}:{HUB_ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
_KEY_ALIAS = "alias/daypass-provider-local"
_LONGEST_SESSION = timedelta(hours=1)

_READ_S3 = ["s3:GetObject", "s3:ListBucket", "s3:ListAllMyBuckets", "s3:GetBucketLocation"]
PERMISSIONS: Mapping[str, list[str]] = {
    "sandbox-admin": ["s3:*", "dynamodb:*", "sqs:*", "sns:*", "lambda:*", "logs:*"],
    "payments-read": [*_READ_S3, "dynamodb:GetItem", "dynamodb:Query", "dynamodb:ListTables", "sqs:ListQueues"],
    "payments-admin": ["s3:*", "dynamodb:*", "sqs:*", "sns:*"],
    "deploy": ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "lambda:UpdateFunctionCode"],
    "data-export": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
}
"""What each role of the catalogue may do in its account."""

BUCKETS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sandbox": ("sandbox-files", {"hello.txt": "Hello from the sandbox.\n"}),
    "payments-prod": (
        "payments-files",
        {"2026/october.csv": "id,amount\n1,10.00\n2,25.50\n", "readme.txt": "Payments, by month.\n"},
    ),
    "data-prod": ("data-files", {"customers.csv": "id,name\n1,Ada\n2,Grace\n"}),
}
"""The bucket of each account, with its files."""


@dataclass(frozen=True, slots=True)
class TargetRole:
    name: str
    account: str
    account_id: str
    role_name: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Emergencies:
    """What the broker falls back on while its table is out. queue: a URL; key: an ARN."""

    queue: str
    key: str


def catalogue(api: str, provider_key: str = _TEMPLATE_KEY) -> str:
    """The example's catalogue in TOML, with its issuers under the URL of the local API.

    provider_key: the ARN of the key that its provider signs with; there is none where it is left out.
    """
    template = files("daypass.local").joinpath("example_catalogue.toml").read_text(encoding="utf-8")
    return template.replace(_TEMPLATE_URL, api).replace(_TEMPLATE_KEY, provider_key)


def target_roles() -> tuple[TargetRole, ...]:
    """The catalogue's roles: what is seeded cannot drift from what is asked for."""
    document = tomllib.loads(catalogue(_TEMPLATE_URL))
    return tuple(
        TargetRole(
            name, role["account"], document["accounts"][role["account"]]["id"], role["role_name"], role["external_id"]
        )
        for name, role in document["roles"].items()
    )


def seed(aws: str) -> Emergencies:
    """Put the example's roles, buckets and emergency queue into the embedded AWS. What is there is brought up to date.

    aws: its URL. Files of a bucket that exists are left as they are.
    """
    session = boto3.Session(region_name=REGION)  # one for all clients: each session reads botocore's data anew
    hub = session.client("iam", **root(HUB_ACCOUNT, aws))
    emergencies = _put_emergencies(session, aws)
    permissions = broker_permissions(emergencies.key)
    _put_role(hub, BROKER_ROLE, path="/", trust=[_broker_trust()], permissions=permissions)
    session.client("sns", **root(HUB_ACCOUNT, aws)).create_topic(Name=BREAK_GLASS_TOPIC.rpartition(":")[2])
    session.client("sqs", **root(HUB_ACCOUNT, aws)).create_queue(QueueName=DEAD_LETTERS.rpartition(":")[2])
    organization = organization_of_the_hub(aws)
    for account, account_id in {role.account: role.account_id for role in target_roles()}.items():
        target = session.client("iam", **root(account_id, aws))
        _put_boundary(target, account_id)
        trusted, permissions = [trust.revoker_trust(BROKER_ARN, organization)], trust.revoker_permissions(account_id)
        _put_role(target, REVOKER_ROLE, path=REVOKER_PATH, trust=trusted, permissions=permissions)
        _put_bucket(session.client("s3", **root(account_id, aws)), *BUCKETS[account])
    for role in target_roles():
        path, _, name = f"/{role.role_name}".rpartition("/")
        target = session.client("iam", **root(role.account_id, aws))
        trusted = trust.role_trust(BROKER_ARN, organization, role.external_id)
        allowed = [{"Effect": "Allow", "Action": PERMISSIONS[role.name], "Resource": "*"}]
        _put_role(target, name, path=f"{path}/", trust=trusted, permissions=allowed)
        target.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=trust.boundary_arn(role.account_id))
    return emergencies


def organization_of_the_hub(aws: str) -> str:
    make: Any = boto3.client  # the stubs of Organizations are not installed
    client = make("organizations", region_name=REGION, **root(HUB_ACCOUNT, aws))
    return str(client.describe_organization()["Organization"]["Id"])


def provider_key(aws: str) -> str:
    """The ARN of the key that the example's provider signs with: in the hub's KMS, made where it is not there yet."""
    kms = kms_of_the_hub(aws)
    try:
        key = kms.describe_key(KeyId=_KEY_ALIAS)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        kms.create_alias(AliasName=_KEY_ALIAS, TargetKeyId=key["KeyId"])
    return str(key["Arn"])


def kms_of_the_hub(aws: str) -> Any:
    make: Any = boto3.client  # the stubs of KMS are not installed
    return make("kms", region_name=REGION, **root(HUB_ACCOUNT, aws))


def dead_letters(aws: str) -> str:
    """The URL of the queue for what can never be announced."""
    return f"{aws}/{HUB_ACCOUNT}/{DEAD_LETTERS.rpartition(':')[2]}"


def broker_permissions(emergency_key: str) -> list[dict[str, Any]]:
    """What the broker may do, and nothing else: lend what is under /daypass/, revoke, sign, use table and queue, tell.

    emergency_key: its ARN. On AWS the outbox has roles of its own (infra/outbox.json); here one process is both.
    """
    table = f"arn:aws:dynamodb:{REGION}:{HUB_ACCOUNT}:table/{TABLE}"
    actions = ["BatchGetItem", "ConditionCheckItem", "GetItem", "PutItem", "Query", "UpdateItem"]
    return [
        {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Resource": "arn:aws:iam::*:role/daypass/*",
        },
        {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole"],
            "Resource": f"arn:aws:iam::*:role{REVOKER_PATH}{REVOKER_ROLE}",
        },
        # On AWS: only keys under the provider's alias. ministack 1.5.33 never fills in kms:ResourceAliases.
        {
            "Effect": "Allow",
            "Action": ["kms:Sign"],
            "Resource": f"arn:aws:kms:{REGION}:{HUB_ACCOUNT}:key/*",
        },
        {
            "Effect": "Allow",
            "Action": [f"dynamodb:{action}" for action in actions],
            "Resource": [table, f"{table}/index/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:SendMessage"],
            "Resource": f"arn:aws:sqs:{REGION}:{HUB_ACCOUNT}:{QUEUE}",
        },
        {
            "Effect": "Allow",
            "Action": ["kms:GenerateMac", "kms:VerifyMac"],
            "Resource": emergency_key,
        },
        {
            "Effect": "Allow",
            "Action": ["events:PutEvents"],
            "Resource": f"arn:aws:events:{REGION}:{HUB_ACCOUNT}:event-bus/{EVENT_BUS}",
        },
        {"Effect": "Allow", "Action": ["sns:Publish"], "Resource": BREAK_GLASS_TOPIC},
        {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": DEAD_LETTERS},
    ]


def _broker_trust() -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB_ACCOUNT}:root"}, "Action": "sts:AssumeRole"}


class Root(TypedDict):
    endpoint_url: str
    aws_access_key_id: str
    aws_secret_access_key: str


def root(account_id: str, aws: str) -> Root:
    """What makes a client of an account of the embedded AWS its root."""
    return {"endpoint_url": aws, "aws_access_key_id": account_id, "aws_secret_access_key": ROOT_SECRET}


def _put_role(
    iam: IAMClient, name: str, *, path: str, trust: list[dict[str, Any]], permissions: list[dict[str, Any]]
) -> None:
    policy = _policy(*trust)
    try:
        iam.create_role(
            RoleName=name,
            Path=path,
            AssumeRolePolicyDocument=policy,
            MaxSessionDuration=int(_LONGEST_SESSION.total_seconds()),
        )
    except iam.exceptions.EntityAlreadyExistsException:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=policy)
    iam.put_role_policy(RoleName=name, PolicyName=_POLICY_NAME, PolicyDocument=_policy(*permissions))


def _put_boundary(iam: IAMClient, account_id: str) -> None:
    arn, policy = trust.boundary_arn(account_id), _policy(*trust.boundary(account_id))
    try:
        iam.create_policy(Path=REVOKER_PATH, PolicyName=trust.BOUNDARY, PolicyDocument=policy)
    except iam.exceptions.EntityAlreadyExistsException:
        known = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        if iam.get_policy_version(PolicyArn=arn, VersionId=known)["PolicyVersion"]["Document"] != json.loads(policy):
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy, SetAsDefault=True)


def _put_emergencies(session: boto3.Session, aws: str) -> Emergencies:
    sqs, kms = session.client("sqs", **root(HUB_ACCOUNT, aws)), session.client("kms", **root(HUB_ACCOUNT, aws))
    queue = sqs.create_queue(QueueName=QUEUE, Attributes={"FifoQueue": "true", "MessageRetentionPeriod": "1209600"})
    try:
        key = kms.describe_key(KeyId=KEY_ALIAS)
    except kms.exceptions.NotFoundException:
        key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
        kms.create_alias(AliasName=KEY_ALIAS, TargetKeyId=key["KeyMetadata"]["KeyId"])
    return Emergencies(queue["QueueUrl"], key["KeyMetadata"]["Arn"])


def _put_bucket(s3: S3Client, name: str, contents: Mapping[str, str]) -> None:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as missing:
        if missing.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NOT_FOUND:
            raise
        s3.create_bucket(Bucket=name)
        for key, text in contents.items():
            s3.put_object(Bucket=name, Key=key, Body=text.encode())


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
