"""Acting in the embedded AWS: as an account's root, as the broker, as a session."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from chalicelib.core.policy import with_wall
from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT

SANDBOX, PAYMENTS, DATA = "111111111111", "222222222222", "333333333333"
Keys = Mapping[str, Any]
_SESSION = boto3.Session(region_name=example.REGION)


def as_root(service: Any, aws: str, account_id: str) -> Any:
    return _SESSION.client(service, **example.root(account_id, aws))


def as_session(service: Any, aws: str, keys: Keys) -> Any:
    return _SESSION.client(
        service,
        endpoint_url=aws,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def broker(aws: str) -> Keys:
    answer = as_root("sts", aws, HUB_ACCOUNT).assume_role(RoleArn=example.BROKER_ARN, RoleSessionName="test-broker")
    keys: Keys = answer["Credentials"]
    return keys


def role(name: str) -> example.TargetRole:
    return next(role for role in example.target_roles() if role.name == name)


def lent(sts: Any, name: str, *, external_id: str | None = None, policy: str | None = None) -> Keys:
    """A session of the example's role, asked for as the broker asks. external_id: the right one unless told."""
    target = role(name)
    asked: dict[str, Any] = {"Policy": policy} if policy else {}
    if (given := target.external_id if external_id is None else external_id) != "":
        asked["ExternalId"] = given
    answer = sts.assume_role(
        RoleArn=f"arn:aws:iam::{target.account_id}:role/{target.role_name}",
        RoleSessionName="01K0000000000000000000000A-alice",
        SourceIdentity="alice@example.com",
        Tags=[{"Key": "daypass:request", "Value": "01K0000000000000000000000B"}],
        DurationSeconds=900,
        **asked,
    )
    keys: Keys = answer["Credentials"]
    return keys


def walled(*, ends_in: timedelta, allow: Mapping[str, Any] | None = None) -> str:
    """The session policy that the broker would send where access ends at now + ends_in. allow: a narrower pass."""
    narrower = None if allow is None else json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    ends_at = (datetime.now(UTC) + ends_in).replace(microsecond=0)
    return with_wall(narrower, ends_at=ends_at, chaining=())
