"""Hub and target account as their stacks make them, with Daypass itself between them: asked, lent, used, cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from chalicelib.aws.clients import sts_client
from chalicelib.aws.revoker import IamRevoker
from chalicelib.aws.signing import KmsSigner
from chalicelib.aws.sts import StsLender
from chalicelib.aws.table import Table
from chalicelib.broker import asking, deciding, lending, revoking
from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Account
from daypass.local import example, trust
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests.hub import a_hub
from tests.infra.conftest import Deploy
from tests.local.accounts import as_root, as_session
from tests.people import CAROL, FRANK
from tests.stage import an_ask, with_role

TARGET = "777777777777"
BUCKET = "together-files"
FILES = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
ROLE = {"account": Account("payments-prod", TARGET), "role_name": "daypass/Admin", "external_id": "one-of-our-own"}


@pytest.fixture
def world(seeded: EmbeddedAws, deploy: Deploy, organization: str, connect: Callable[..., Table], monkeypatch) -> World:
    administrators = f"arn:aws:iam::{HUB_ACCOUNT}:role/Administrators"
    hub = deploy("hub.yaml", HUB_ACCOUNT, "daypass-e2e", Stage="e2e", Administrators=administrators)
    deploy(
        "target-account.yaml",
        TARGET,
        "daypass",
        HubAccount=HUB_ACCOUNT,
        BrokerRole=hub["BrokerRole"].rpartition("/")[2],
        OrganizationId=organization,
        RoleName="Admin",
        ExternalId="one-of-our-own",
        Permissions=FILES,
    )
    iam = as_root("iam", seeded.url, TARGET)  # which ministack's CloudFormation passes over
    iam.put_role_permissions_boundary(RoleName="Admin", PermissionsBoundary=trust.boundary_arn(TARGET))
    as_root("s3", seeded.url, TARGET).create_bucket(Bucket=BUCKET)
    for service in ("STS", "IAM", "KMS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", seeded.url)
    session = session_of(seeded, hub["BrokerRole"])
    return replace(
        a_hub(seeded.url, connect(hub["Table"])).world,
        catalogue=lambda: with_role("payments-admin", **ROLE),
        lender=StsLender(sts_client(session, example.REGION), KmsSigner(session).sign),
        revoker=IamRevoker(session, example.REGION, clock=lambda: 0.0),
    )


def session_of(aws: EmbeddedAws, role: str) -> botocore.session.Session:
    """With the credentials that Lambda gives to a function of that role."""
    hub = as_root("sts", aws.url, HUB_ACCOUNT)
    given: Any = hub.assume_role(RoleArn=role, RoleSessionName="daypass-prod-api")["Credentials"]
    session = botocore.session.Session()
    session.set_credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    return session


def test_what_the_stacks_make_is_all_that_daypass_needs_to_lend_and_to_cut(world: World, seeded: EmbeddedAws):
    id = asking.ask(world, CAROL, an_ask(), None).request.id
    deciding.approve(world, FRANK, id, comment=None, duration=None)
    lent = lending.lend(world, CAROL, id)
    keys = {
        "AccessKeyId": lent.access_key_id,
        "SecretAccessKey": lent.secret_access_key.value,
        "SessionToken": lent.session_token.value,
    }
    files = as_session("s3", seeded.url, keys)
    files.put_object(Bucket=BUCKET, Key="a", Body=b"carol was here")
    revoking.revoke(world, FRANK, id, comment="no more")
    policies = as_root("iam", seeded.url, TARGET).list_role_policies(RoleName="Admin")["PolicyNames"]
    assert set(policies) == {f"daypass-deny-{id}", "permissions"}
    with pytest.raises(ClientError, match="AccessDenied"):
        files.get_object(Bucket=BUCKET, Key="a")
