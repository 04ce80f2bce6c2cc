"""STS, which lends the sessions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from chalicelib.broker.ports import Lent, Secret
from chalicelib.core import limits
from chalicelib.core.refusals import Refusal, StsRefused, Unavailable
from chalicelib.core.session import SessionPlan

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef, AssumeRoleResponseTypeDef

_TOO_PACKED = (
    "Session policy and tags together are too large for AWS, which packs them into a space of its own. Ask with a "
    "shorter session policy, or a scope with one."
)
_CHECK: Mapping[str, str] = {
    "AccessDenied": (
        "AWS did not let the broker assume {role}. Check that the role exists; that its trust policy names the broker "
        "as principal, allows sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity, and asks for the external id "
        "of the catalogue; that the broker's own policy allows the same three; and that no SCP or RCP denies them."
    ),
    "ValidationError": (
        "AWS found the call for {role} wrong. Check that the role's maximum session duration is no shorter than the "
        "catalogue's max_session; to a caller that is itself a role's session, as the broker is, AWS lends for an hour "
        "at most."
    ),
    "MalformedPolicyDocument": "AWS cannot read the session policy. Check the policy or scope that was asked for.",
    "PackedPolicyTooLarge": _TOO_PACKED,
    "PackedPolicyTooLargeException": _TOO_PACKED,
    "RegionDisabledException": (
        "AWS STS is switched off in the broker's region for the account of {role}. Check the account's settings in IAM."
    ),
}
"""What to check, by STS's error code. Only these come with AWS's own words: SignatureDoesNotMatch's hold our token."""

_TRANSIENT = frozenset(
    {"InternalError", "InternalFailure", "RequestLimitExceeded", "RequestTimeout", "ServiceUnavailable"}
)
_OWN_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_LONGEST_QUOTATION = 500


class StsLender:
    """AssumeRole on a client that `clients.sts_client` made."""

    def __init__(self, client: STSClient) -> None:
        self._client = client

    def lend(self, plan: SessionPlan) -> Lent:
        """Exchange a plan for credentials. expiration is STS's own, not our clock plus the duration.

        Raises StsRefused where STS said no (no session exists), Unavailable where it did not answer (one may exist),
        and ValueError for a plan beyond STS's limits, before STS is asked.
        Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html.
        """
        call = _call(plan)
        try:
            return _lent(self._client.assume_role(**call), self._client.meta.region_name)
        except ClientError as error:
            raise _refusal(error, plan) from None  # whose text may hold what no log should: see _CHECK
        except _OWN_CREDENTIALS as error:
            raise Unavailable("The broker has no AWS credentials of its own right now.") from error
        except ParamValidationError:
            raise
        except (BotoCoreError, ResponseParserError) as error:
            raise Unavailable("AWS STS did not answer. Whether it made a session is not known.") from error


def _call(plan: SessionPlan) -> AssumeRoleRequestTypeDef:
    tags = limits.tags(plan.tags)
    call: AssumeRoleRequestTypeDef = {
        "RoleArn": limits.role_arn(plan.role_arn),
        "RoleSessionName": limits.session_name(plan.session_name),
        "SourceIdentity": limits.source_identity(plan.source_identity),
        "DurationSeconds": int(limits.duration(plan.duration).total_seconds()),
        "Policy": limits.policy(plan.policy),
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    if plan.transitive:
        call["TransitiveTagKeys"] = list(limits.transitive(plan.transitive, of=tags))
    if plan.external_id is not None:
        call["ExternalId"] = limits.external_id(plan.external_id)
    return call


def _lent(answer: AssumeRoleResponseTypeDef, region: str) -> Lent:
    credentials, user = answer["Credentials"], answer["AssumedRoleUser"]
    return Lent(
        access_key_id=credentials["AccessKeyId"],
        secret_access_key=Secret(credentials["SecretAccessKey"]),
        session_token=Secret(credentials["SessionToken"]),
        expiration=credentials["Expiration"].astimezone(UTC),
        assumed_role_arn=user["Arn"],
        assumed_role_id=user["AssumedRoleId"],
        request_id=answer["ResponseMetadata"]["RequestId"],
        region=region,
    )


def _refusal(error: ClientError, plan: SessionPlan) -> Refusal:
    """STS's no, or its silence, by the code on the wire: botocore's classes go by other names."""
    response: Mapping[str, Any] = error.response
    code = response.get("Error", {}).get("Code", "Unknown")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code.startswith("ExpiredToken"):
        return Unavailable("The broker's own AWS credentials have expired and are being renewed.")
    if code.startswith("Throttl") or code.startswith("TooManyRequests"):
        return Unavailable("AWS STS is asked too much at the moment.")
    if code in _TRANSIENT or status >= 500:
        return Unavailable(f"AWS STS failed ({code}). Whether it made a session is not known.")
    advice = _CHECK.get(code)
    if advice is None:
        return StsRefused(f"AWS did not lend {plan.role_arn}: {code}. Ask the people who run Daypass.", code)
    return StsRefused(advice.format(role=plan.role_arn) + _quoted(response["Error"].get("Message", ""), plan), code)


def _quoted(message: str, plan: SessionPlan) -> str:
    """AWS's own words, where they do not hold the external id: a ValidationError repeats what it does not like."""
    if not message or (plan.external_id and plan.external_id in message):
        return ""
    return f" AWS said: {message[:_LONGEST_QUOTATION]}"
