"""CloudTrail records as its documentation writes them, files of them, and the real ones where they lie beside us."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

HUB, TARGET = "123456789012", "222222222222"
BROKER = f"arn:aws:iam::{HUB}:role/daypass-broker"
BROKER_KEY = "ASIABROKERBROKER0000"
ADMIN = f"arn:aws:iam::{TARGET}:role/daypass/Admin"
DEPLOY = f"arn:aws:iam::{TARGET}:role/cdk-deploy"
SIGNING_KEY = f"arn:aws:kms:us-east-1:{HUB}:key/0d5d9c2e-1f7a-4a53-9c0b-5a7f6c1e2d3b"
ISSUER = "id.example.com/daypass"
TOKEN = "CANARY-session-token//////////"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Json = dict[str, Any]

_ids = itertools.count(1)


def an_id(kind: str = "e") -> str:
    return f"{kind}{next(_ids):07d}-0000-4000-8000-000000000000"


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def role_id(role_arn: str) -> str:
    return "AROA" + "".join(c for c in role_arn.upper() if c.isalnum())[-17:]


def a_record(at: datetime = NOON, **changed: Any) -> Json:
    """An event of nobody's session."""
    return {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "arn": f"arn:aws:iam::{TARGET}:user/zoe",
            "accessKeyId": "AKIAZOE000000000000Z",
        },
        "eventTime": stamp(at),
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "aws-cli/2",
        "requestParameters": None,
        "responseElements": None,
        "requestID": an_id("r"),
        "eventID": an_id(),
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": TARGET,
        "eventCategory": "Management",
        **changed,
    }


def a_session(
    key: str | None, role_arn: str = ADMIN, name: str = "01K-carol", begun_at: datetime = NOON, **changed: Any
) -> Json:
    """userIdentity of a role's session. key: None where CloudTrail leaves it out."""
    account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    return {
        "type": "AssumedRole",
        "principalId": f"{role_id(role_arn)}:{name}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        "accountId": account,
        **({} if key is None else {"accessKeyId": key}),
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": role_id(role_arn),
                "arn": role_arn,
                "accountId": account,
                "userName": role,
            },
            "attributes": {"creationDate": stamp(begun_at), "mfaAuthenticated": "false"},
            "sourceIdentity": "carol@example.com",
        },
        **changed,
    }


BROKERS_OWN = a_session(BROKER_KEY, BROKER, "daypass-api", NOON - 10 * MINUTE)


def a_use(
    key: str | None,
    at: datetime = NOON + MINUTE,
    *,
    action: str = "s3:GetObject",
    session: Json | None = None,
    **changed: Any,
) -> Json:
    service, _, name = action.partition(":")
    identity = session or a_session(key)
    return a_record(at, userIdentity=identity, eventSource=f"{service}.amazonaws.com", eventName=name, **changed)


def an_issuance(
    key: str,
    role_arn: str = ADMIN,
    name: str = "01K-carol",
    at: datetime = NOON,
    *,
    by: Json | None = None,
    tags: dict[str, str] | None = None,
    asked: Json | None = None,
    **changed: Any,
) -> Json:
    """STS's own event of an AssumeRole, in the account of the caller; `pair` makes both."""
    role = role_arn.rpartition("/")[2]
    account = role_arn.split(":")[4]
    expires = at + timedelta(hours=1)
    told = {
        "userIdentity": by or BROKERS_OWN,
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "recipientAccountId": (by or BROKERS_OWN).get("accountId", account),
        "requestParameters": {
            "roleArn": role_arn,
            "roleSessionName": name,
            "sourceIdentity": "carol@example.com",
            "durationSeconds": 3600,
            "tags": [{"key": k, "value": v} for k, v in (tags or {}).items()],
            **(asked or {}),
        },
        "responseElements": {
            "credentials": {
                "accessKeyId": key,
                "sessionToken": TOKEN,
                "expiration": f"{expires:%b} {expires.day}, {expires.year}, {expires:%I:%M:%S %p}".replace(", 0", ", "),
            },
            "assumedRoleUser": {
                "assumedRoleId": f"{role_id(role_arn)}:{name}",
                "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
            },
            "sourceIdentity": "carol@example.com",
        },
    }
    return a_record(at, **{**told, **changed})


def a_pair(key: str, role_arn: str = ADMIN, name: str = "01K-carol", at: datetime = NOON, **changed: Any) -> list[Json]:
    """One AssumeRole across accounts: the caller's event, and the role's, which is told little of the caller."""
    hub = an_issuance(key, role_arn, name, at, sharedEventID=an_id("s"), **changed)
    caller = hub["userIdentity"]
    target = {
        **hub,
        "eventID": an_id(),
        "recipientAccountId": role_arn.split(":")[4],
        "userIdentity": {k: caller[k] for k in ("principalId", "accountId")} | {"type": "AWSAccount"},
    }
    return [hub, target]


def a_denial(at: datetime = NOON, *, by: Json | None = None, **changed: Any) -> Json:
    told = {
        "userIdentity": by or BROKERS_OWN,
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "errorCode": "AccessDenied",
        "errorMessage": "User: somebody is not authorized to perform: sts:AssumeRole",
        "recipientAccountId": HUB,
    }
    return a_record(at, **{**told, **changed})


def a_signing(request_id: str, at: datetime = NOON, *, by: Json | None = None, **changed: Any) -> Json:
    """kms:Sign, of which CloudTrail tells neither what was signed nor the signature.

    Source: https://docs.aws.amazon.com/kms/latest/developerguide/ct-sign.html.
    """
    told = {
        "userIdentity": by or BROKERS_OWN,
        "eventSource": "kms.amazonaws.com",
        "eventName": "Sign",
        "requestID": request_id,
        "requestParameters": {
            "messageType": "DIGEST",
            "keyId": SIGNING_KEY,
            "signingAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        },
        "resources": [{"accountId": HUB, "type": "AWS::KMS::Key", "ARN": SIGNING_KEY}],
        "recipientAccountId": HUB,
    }
    return a_record(at, **{**told, **changed})


def a_vouched(key: str, role_arn: str = ADMIN, name: str = "01K-carol", at: datetime = NOON, **changed: Any) -> Json:
    """AssumeRoleWithWebIdentity, which only the role's account is told of."""
    provider = f"arn:aws:iam::{role_arn.split(':')[4]}:oidc-provider/{ISSUER}"
    by = {
        "type": "WebIdentityUser",
        "principalId": f"{provider}:sts.amazonaws.com:daypass:role:{role_arn}",
        "userName": f"daypass:role:{role_arn}",
        "identityProvider": provider,
    }
    told = {"eventName": "AssumeRoleWithWebIdentity", "recipientAccountId": role_arn.split(":")[4]}
    return an_issuance(key, role_arn, name, at, by=by, **{**told, **changed})


def zipped(records: Sequence[object]) -> bytes:
    return gzip.compress(json.dumps({"Records": records}).encode(), mtime=0)


def file_name(minute: datetime = NOON, unique: str = "0000000000000000", account: str = TARGET) -> str:
    """As CloudTrail names it, with its folders."""
    day = f"AWSLogs/{account}/CloudTrail/us-east-1/{minute:%Y/%m/%d}"
    return f"{day}/{account}_CloudTrail_us-east-1_{minute:%Y%m%dT%H%MZ}_{unique}.json.gz"


def a_folder(at: Path, *files: Sequence[object]) -> Path:
    """Log files of these records, delivered a minute after one another."""
    for number, records in enumerate(files):
        path = at / file_name(NOON + number * MINUTE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zipped(records))
    return at


def real_files() -> Path:
    """Real log files, which lie beside the checkout or above. Skips where they are absent, but never in CI."""
    for parent in Path(__file__).resolve().parents[1].parents:
        if (found := parent / "shared" / "data" / "cloudtrail").is_dir():
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("../shared/data/cloudtrail is not beside the checkout")
    pytest.skip("../shared/data/cloudtrail is not beside the checkout")
