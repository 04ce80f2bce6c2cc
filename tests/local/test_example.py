"""The example's trust, as the embedded AWS enforces it: only the broker gets in, and only as far as it asked."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.catalogue_file.mistakes import CatalogueMistakes
from chalicelib.core.refusals import NotEligible
from chalicelib.core.rules import Terms, decide
from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests.cloudformation import Stack
from tests.local.accounts import DATA, PAYMENTS, SANDBOX, as_root, as_session, broker, lent, walled

ROOT = Path(__file__).resolve().parents[2]
HOUR = timedelta(hours=1)
DENY = "daypass-deny-01K0000000000000000000000B"
KEY = f"arn:aws:kms:us-east-1:{HUB_ACCOUNT}:key/k-1"
ROLES = [role.name for role in example.target_roles()]


@pytest.fixture(scope="module")
def sts(aws: EmbeddedAws):
    return as_session("sts", aws.url, broker(aws.url))


@pytest.fixture(scope="module")
def stranger(aws: EmbeddedAws):
    """Another role of the hub, which may do everything that the hub can allow."""
    iam = as_root("iam", aws.url, HUB_ACCOUNT)
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB_ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    for name, statement in (("trust", trust), ("allow", everything)):
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        if name == "trust":
            iam.create_role(RoleName="stranger", AssumeRolePolicyDocument=policy)
        else:
            iam.put_role_policy(RoleName="stranger", PolicyName="all", PolicyDocument=policy)
    hub = as_root("sts", aws.url, HUB_ACCOUNT)
    keys = hub.assume_role(RoleArn=f"arn:aws:iam::{HUB_ACCOUNT}:role/stranger", RoleSessionName="stranger")
    return as_session("sts", aws.url, keys["Credentials"])


@pytest.mark.parametrize("name", ROLES)
def test_the_broker_gets_in_with_the_external_id(aws, sts, name):
    arn = as_session("sts", aws.url, lent(sts, name)).get_caller_identity()["Arn"]
    target = next(role for role in example.target_roles() if role.name == name)
    assert arn.startswith(f"arn:aws:sts::{target.account_id}:assumed-role/{target.role_name.rpartition('/')[2]}/")


@pytest.mark.parametrize("external_id", ["", "local-example-wrong"])
@pytest.mark.parametrize("name", ROLES)
def test_the_broker_does_not_get_in_without_the_external_id(sts, name, external_id):
    with pytest.raises(ClientError, match="AccessDenied"):
        lent(sts, name, external_id=external_id)


@pytest.mark.parametrize("name", ROLES)
def test_nobody_else_gets_in(aws, stranger, name):
    roots = [as_root("sts", aws.url, account) for account in (HUB_ACCOUNT, SANDBOX, PAYMENTS, DATA)]
    for somebody in (stranger, *roots):
        with pytest.raises(ClientError, match="AccessDenied"):
            lent(somebody, name)


def test_the_broker_assumes_nothing_outside_daypass(sts, stranger):
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=f"arn:aws:iam::{HUB_ACCOUNT}:role/stranger", RoleSessionName="broker")


def deployed(stage: str = "prod"):
    """The statements of the hub's template for the broker."""
    administrators = f"arn:aws:iam::{HUB_ACCOUNT}:role/Administrators"
    hub = Stack("hub.yaml", HUB_ACCOUNT, Stage=stage, Administrators=administrators).resources
    return hub["BrokerRole"]["Policies"][0]["PolicyDocument"]["Statement"]


def test_the_broker_may_assume_what_a_deployed_one_may_and_may_tag_only_what_it_lends():
    def assumes(statements):
        found = [(s["Resource"], sorted(s["Action"])) for s in statements if "sts:AssumeRole" in s["Action"]]
        return sorted(found)

    assert assumes(deployed()) == assumes(example.broker_permissions(KEY))


def test_the_broker_has_the_powers_of_a_deployed_one_and_of_its_outbox():
    powers = {action for statement in deployed() for action in statement["Action"]}
    local = {action for statement in example.broker_permissions(KEY) for action in statement["Action"]}
    announcing = {"events:PutEvents", "sns:Publish", "sqs:SendMessage"}
    lending = {action for action in powers if action.startswith(("sts:", "dynamodb:", "sqs:", "kms:"))}
    assert local == lending | announcing
    assert all(action in (ROOT / "infra" / "outbox.json").read_text() for action in announcing)


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_deployed_broker_signs_with_the_keys_of_its_own_stage_only(stage):
    [signs] = [statement for statement in deployed(stage) if "kms:Sign" in statement["Action"]]
    assert signs["Action"] == ["kms:Sign"]
    assert signs["Condition"]["ForAnyValue:StringLike"] == {"kms:ResourceAliases": f"alias/daypass-provider-{stage}*"}


def test_the_broker_may_do_nothing_but_lend_and_remember(aws):
    keys = broker(aws.url)
    with pytest.raises(ClientError, match="AccessDenied"):
        as_session("iam", aws.url, keys).list_roles()
    with pytest.raises(ClientError, match="AccessDenied"):
        as_session("s3", aws.url, keys).list_buckets()
    with pytest.raises(ClientError, match="AccessDenied"):
        as_session("dynamodb", aws.url, keys).get_item(TableName="other", Key={"pk": {"S": "a"}})


@pytest.fixture
def revoker(aws, sts):
    """The IAM of payments-prod, as its revoker with all that it may do."""
    arn = f"arn:aws:iam::{PAYMENTS}:role/daypass-revoker/DaypassRevoker"
    return as_session("iam", aws.url, sts.assume_role(RoleArn=arn, RoleSessionName=DENY)["Credentials"])


def test_a_revoker_writes_inline_policies_on_what_daypass_lends_in_its_account_and_does_nothing_else(aws, revoker):
    allow = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    revoker.put_role_policy(RoleName="Deploy", PolicyName="x", PolicyDocument=allow)
    revoker.delete_role_policy(RoleName="Deploy", PolicyName="x")
    other = as_root("iam", aws.url, PAYMENTS)
    other.create_role(RoleName="Elsewhere", AssumeRolePolicyDocument=allow.replace("Resource", "Principal"))
    for role in ("DaypassRevoker", "Elsewhere"):
        with pytest.raises(ClientError, match="AccessDenied"):
            revoker.put_role_policy(RoleName=role, PolicyName="x", PolicyDocument=allow)
    with pytest.raises(ClientError, match="AccessDenied"):
        revoker.delete_role(RoleName="Deploy")


def test_nobody_but_the_broker_becomes_a_revoker(aws, sts, stranger):
    arn = f"arn:aws:iam::{PAYMENTS}:role/daypass-revoker/DaypassRevoker"
    lent_one = as_session("sts", aws.url, lent(sts, "payments-admin"))
    for somebody in (stranger, lent_one, as_root("sts", aws.url, HUB_ACCOUNT)):
        with pytest.raises(ClientError, match="AccessDenied"):
            somebody.assume_role(RoleArn=arn, RoleSessionName=DENY)


def test_a_session_reaches_its_own_account_and_no_other(aws, sts):
    s3 = as_session("s3", aws.url, lent(sts, "payments-read"))
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="payments-files")["Contents"]] == [
        "2026/october.csv",
        "readme.txt",
    ]
    for bucket in ("sandbox-files", "data-files"):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.list_objects_v2(Bucket=bucket)


def test_who_may_read_does_not_write(aws, sts):
    reader, admin = (as_session("s3", aws.url, lent(sts, name)) for name in ("payments-read", "payments-admin"))
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket="payments-files", Key="new.txt", Body=b"new")
    admin.put_object(Bucket="payments-files", Key="new.txt", Body=b"new")
    admin.delete_object(Bucket="payments-files", Key="new.txt")


def test_a_session_policy_narrows_the_session(aws, sts):
    only_one_bucket = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::payments-files/*"}
    policy = walled(ends_in=HOUR, allow=only_one_bucket)
    s3 = as_session("s3", aws.url, lent(sts, "payments-admin", policy=policy))
    assert s3.get_object(Bucket="payments-files", Key="readme.txt")["Body"].read() == b"Payments, by month.\n"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket="payments-files", Key="readme.txt", Body=b"")


def test_the_wall_lets_through_before_its_time(aws, sts):
    s3 = as_session("s3", aws.url, lent(sts, "payments-read", policy=walled(ends_in=HOUR)))
    assert s3.list_objects_v2(Bucket="payments-files")["KeyCount"] == 2


def test_the_wall_refuses_from_its_time_on(aws, sts):
    keys = lent(sts, "payments-read", policy=walled(ends_in=timedelta(seconds=-1)))
    with pytest.raises(ClientError, match="explicit deny"):
        as_session("s3", aws.url, keys).list_objects_v2(Bucket="payments-files")


def test_nobody_climbs_over_the_wall_by_assuming_another_role(aws, sts):
    keys = lent(sts, "payments-admin", policy=walled(ends_in=HOUR))
    with pytest.raises(ClientError, match="explicit deny"):
        lent(as_session("sts", aws.url, keys), "payments-read")


def test_seeding_again_leaves_files_and_other_policies_alone(aws):
    s3, iam = (as_root(service, aws.url, SANDBOX) for service in ("s3", "iam"))
    deny = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    s3.put_object(Bucket="sandbox-files", Key="hello.txt", Body=b"mine")
    iam.put_role_policy(RoleName="SandboxAdmin", PolicyName="daypass-deny-x", PolicyDocument=deny)
    try:
        example.seed(aws.url)
        assert s3.get_object(Bucket="sandbox-files", Key="hello.txt")["Body"].read() == b"mine"
        assert sorted(iam.list_role_policies(RoleName="SandboxAdmin")["PolicyNames"]) == ["daypass", "daypass-deny-x"]
    finally:
        iam.delete_role_policy(RoleName="SandboxAdmin", PolicyName="daypass-deny-x")


def test_every_role_of_the_catalogue_has_permissions_and_every_account_a_bucket():
    document = tomllib.loads(example.catalogue("http://127.0.0.1:4711"))
    assert set(document["roles"]) == set(example.PERMISSIONS)
    assert set(document["accounts"]) == set(example.BUCKETS)
    assert all(issuer["url"].startswith("http://127.0.0.1:4711/") for issuer in document["issuers"])


def _read(*, local: bool) -> Catalogue:
    return read_catalogue(example.catalogue("http://127.0.0.1:4711"), hub_account=HUB_ACCOUNT, local=local)


def test_a_deployed_stage_never_believes_the_local_issuers():
    with pytest.raises(CatalogueMistakes, match="must be https"):
        _read(local=False)


def test_the_catalogues_own_tests_hold():
    catalogue = _read(local=True)
    for test in catalogue.examples:
        terms = Terms(role=test.role, duration=test.duration, ticket=test.ticket)
        if test.expect == "not-eligible":
            with pytest.raises(NotEligible):
                decide(catalogue, test.who, terms)
        else:
            at_once = any(not rule.stages for rule in decide(catalogue, test.who, terms).rules)
            assert test.expect == ("auto-approved" if at_once else "needs-approval")
