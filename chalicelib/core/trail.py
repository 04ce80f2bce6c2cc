"""One CloudTrail record as a fact: a session issued, a session refused, a session used, or nothing of the kind.

A fact holds join keys and what an account of a session tells. Session tokens, parameters and messages stay behind.
Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from chalicelib.core.trail_fields import (
    Fields,
    corrected,
    denied_role,
    error_code,
    expiration,
    inner,
    instant,
    short,
    tags,
    text,
    texts,
)

FLOWS: Final = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"})
"""The calls that begin a role's session. With SAML none is Daypass's."""

_STS = "sts.amazonaws.com"
_SESSION = "AssumedRole"
_MAJOR = "1."


class Unreadable(Exception):
    """A record that is set aside. Its text says why, in words that are the same for all records of its kind."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who called STS. kind: `userIdentity.type`. name: an ARN, or what there is where a service or account calls."""

    kind: str | None
    name: str | None
    account_id: str | None
    access_key_id: str | None


class Use(NamedTuple):
    """A call by a role's session. A tuple, since one is made for nearly every event, and it is made the quickest.

    access_key_id: None where CloudTrail leaves it out. principal_id: role id and session name, `AROA…:name`.
    begun_at: when the session was issued, to the second. role_arn: with its path. action: CloudTrail's service and
    event name, `s3:GetObject`; IAM may call it otherwise. corrects: the eventID that this record is an addendum to.
    """

    event_id: str
    at: datetime
    access_key_id: str | None
    principal_id: str | None
    begun_at: datetime | None
    role_arn: str | None
    source_identity: str | None
    action: str
    error_code: str | None
    read_only: bool | None
    region: str | None
    address: str | None
    corrects: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """Credentials of a role that STS lent, as one account's trail tells it: of two accounts each has its own event.

    request_id: STS's RequestId, the same in both; calls by AWS's services may share one. assumed_role_id: `AROA…:name`;
    older records lack it. tags: with those that came down a role chain. account_id: whose trail it is in. by: the same
    call as a use of the caller's session.
    """

    event_id: str
    at: datetime
    request_id: str | None
    role_arn: str
    session_name: str | None
    source_identity: str | None
    tags: Mapping[str, str]
    access_key_id: str
    assumed_role_id: str | None
    expires_at: datetime | None
    caller: Caller
    address: str | None
    account_id: str | None
    by: Use | None
    corrects: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """An attempt that STS refused. AssumeRole's has no parameters: only request_id joins it to a session of ours.

    role_arn: from the parameters, which a web identity's keeps, else from AWS's message, where that names it.
    """

    event_id: str
    at: datetime
    request_id: str | None
    role_arn: str | None
    error_code: str
    caller: Caller
    address: str | None
    by: Use | None
    corrects: str | None


@dataclass(frozen=True, slots=True)
class Unrelated:
    """An event of nobody's session."""

    event_id: str


Fact = Issuance | Denial | Use | Unrelated


def read(record: object) -> Fact:
    """The fact in a record as JSON gives it, whatever it is. Raises Unreadable.

    Of eventVersion the major number must be 1; a greater minor one only means more fields.
    """
    if not isinstance(record, dict):
        raise Unreadable("no JSON object")
    version, event_id = record.get("eventVersion"), short(record, "eventID")
    if not isinstance(version, str) or event_id is None:
        raise Unreadable("no eventVersion or eventID")
    if not version.startswith(_MAJOR):
        raise Unreadable("an unknown eventVersion: 1.x is known")
    if record.get("eventSource") == _STS and short(record, "eventName") in FLOWS:
        return _assumption(record, event_id, inner(record, "userIdentity"))
    identity = record.get("userIdentity")
    if isinstance(identity, dict) and identity.get("type") == _SESSION:
        return _use(record, event_id, identity)
    return Unrelated(event_id)


def _use(record: Fields, event_id: str, identity: Fields) -> Use:
    context = inner(identity, "sessionContext")
    attributes, issuer = inner(context, "attributes"), inner(context, "sessionIssuer")
    at, begun_at, key, principal, role, source, service, name, region, address = texts(
        record.get("eventTime"),
        attributes.get("creationDate"),
        identity.get("accessKeyId"),
        identity.get("principalId"),
        issuer.get("arn"),
        context.get("sourceIdentity") or attributes.get("sourceIdentity"),
        record.get("eventSource"),
        record.get("eventName"),
        record.get("awsRegion"),
        record.get("sourceIPAddress"),
    )
    read_only = record.get("readOnly")
    return Use(  # in the order of its fields: naming them would take as long as all the rest of this
        event_id,
        _at(at),
        key,
        principal,
        instant(begun_at),
        role,
        source,
        _action(service, name),
        error_code(record) if "errorCode" in record else None,
        read_only if type(read_only) is bool else None,
        region,
        address,
        corrected(record) if "addendum" in record else None,
    )


def _assumption(record: Fields, event_id: str, identity: Fields) -> Issuance | Denial:
    asked, lent = inner(record, "requestParameters"), inner(record, "responseElements")
    role_arn, error = text(asked, "roleArn"), error_code(record)
    told: dict[str, Any] = {
        "event_id": event_id,
        "at": _at(short(record, "eventTime")),
        "request_id": short(record, "requestID"),
        "caller": caller_of(identity),
        "address": text(record, "sourceIPAddress"),
        "by": _use(record, event_id, identity) if identity.get("type") == _SESSION else None,
        "corrects": corrected(record),
    }
    if error is not None:
        return Denial(**told, role_arn=role_arn or denied_role(record), error_code=error)
    credentials = inner(lent, "credentials")
    access_key_id = short(credentials, "accessKeyId")
    if role_arn is None or access_key_id is None:
        raise Unreadable("an AssumeRole with neither an error nor a role and its access key")
    return Issuance(
        **told,
        role_arn=role_arn,
        session_name=short(asked, "roleSessionName"),
        source_identity=short(asked, "sourceIdentity") or short(lent, "sourceIdentity"),
        tags=dict(tags(asked)),
        access_key_id=access_key_id,
        assumed_role_id=text(inner(lent, "assumedRoleUser"), "assumedRoleId"),
        expires_at=expiration(credentials.get("expiration")),
        account_id=short(record, "recipientAccountId"),
    )


def caller_of(identity: Fields) -> Caller:
    names = (text(identity, name) for name in ("arn", "invokedBy", "principalId", "userName"))
    return Caller(
        kind=short(identity, "type"),
        name=next(filter(None, names), None),
        account_id=short(identity, "accountId"),
        access_key_id=short(identity, "accessKeyId"),
    )


@lru_cache(maxsize=1024)
def _action(source: str | None, name: str | None) -> str:
    return f"{(source or '?').partition('.')[0]}:{name or '?'}"


def _at(text: str | None) -> datetime:
    at = instant(text)
    if at is None:
        raise Unreadable("no eventTime")
    return at
