"""STS's answers: a session, a no with what to check, or silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from chalicelib.aws.clients import answered
from chalicelib.broker.ports import Lent, NothingLent, Secret
from chalicelib.core.refusals import NO_CALLS, Calls, Refusal, StsRefused, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sts.type_defs import AssumeRoleResponseTypeDef, AssumeRoleWithWebIdentityResponseTypeDef

    Answer = AssumeRoleResponseTypeDef | AssumeRoleWithWebIdentityResponseTypeDef

_TOO_PACKED = (
    "Session policy and tags together are too large for AWS, which packs them into a space of its own. Ask with a "
    "shorter session policy, or a scope with one."
)
CHECK: Mapping[str, str] = {
    "MalformedPolicyDocument": "AWS cannot read the session policy. Check the policy or scope that was asked for.",
    "PackedPolicyTooLarge": _TOO_PACKED,
    "PackedPolicyTooLargeException": _TOO_PACKED,
    "RegionDisabledException": (
        "AWS STS is switched off in the broker's region for the account of {role}. Check the account's settings in IAM."
    ),
}
"""What to check, by STS's error code, whichever way it was asked."""

_TRANSIENT = frozenset(
    {"InternalError", "InternalFailure", "RequestLimitExceeded", "RequestTimeout", "ServiceUnavailable"}
)
_OWN_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_LONGEST_QUOTATION = 500
_PIECE = 16


@contextmanager
def heard(
    check: Mapping[str, str], *, unsaid: str | None, role: str, calls: Calls = NO_CALLS, **names: str
) -> Iterator[None]:
    """STS's no as StsRefused (no session exists), its silence as Unavailable (one may exist), all in our words.

    check: what to look at by error code, with the places of `names` in it: only with these codes AWS's own words are
    quoted, since SignatureDoesNotMatch's hold our credentials. unsaid: what no quotation holds, whole or in part.
    calls: those that came before; what is raised carries them, and STS's own where it answered.
    Raises NothingLent where STS could not ask whom it had to, and so made no session for certain.
    """
    try:
        yield
    except ClientError as error:
        asked = {**calls, **answered("sts_request_id", error.response)}
        # Not from the error, whose text may hold what no log should.
        raise _no(error, check, unsaid, {"role": role, **names}, asked) from None
    except _OWN_CREDENTIALS as error:
        raise Unavailable("The broker has no AWS credentials of its own right now.", calls=calls) from error
    except ParamValidationError:
        raise
    except (BotoCoreError, ResponseParserError):  # the latter's text holds the answer: it may hold the credentials
        raise Unavailable("AWS STS did not answer. Whether it made a session is not known.", calls=calls) from None


def lent(answer: Answer, region: str, *, kms_request_id: str | None = None) -> Lent:
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
        kms_request_id=kms_request_id,
    )


def _no(
    error: ClientError, check: Mapping[str, str], unsaid: str | None, names: Mapping[str, str], calls: Calls
) -> Refusal | NothingLent:
    """By the code on the wire: botocore's classes go by other names."""
    response: Mapping[str, Any] = error.response
    code = response.get("Error", {}).get("Code", "Unknown")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code.startswith(("Throttl", "TooManyRequests")):
        return Unavailable("AWS STS is asked too much at the moment.", calls=calls)
    if code in _TRANSIENT or status >= 500:
        return Unavailable(f"AWS STS failed ({code}). Whether it made a session is not known.", calls=calls)
    if code == "IDPCommunicationError":
        return NothingLent("AWS STS could not fetch Daypass's public keys: nothing was lent; try again.", code, calls)
    if advice := check.get(code):
        words = response["Error"].get("Message", "")
        return StsRefused(advice.format_map(names) + _quoted(words, unsaid), code, calls)
    if code.startswith("ExpiredToken"):
        return Unavailable("The broker's own AWS credentials have expired and are being renewed.", calls=calls)
    return StsRefused(f"AWS did not lend {names['role']}: {code}. Ask the people who run Daypass.", code, calls)


def _quoted(words: str, unsaid: str | None) -> str:
    """AWS's own words, where they hold nothing of what they should not: a ValidationError repeats what it dislikes."""
    if not words or any(piece in words for piece in _pieces(unsaid or "")):
        return ""
    return f" AWS said: {words[:_LONGEST_QUOTATION]}"


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces, so that also a part of it is found: any as long as two of them holds a whole one."""
    if text:
        yield text[:_PIECE]
    for start in range(_PIECE, len(text) - _PIECE + 1, _PIECE):
        yield text[start : start + _PIECE]
