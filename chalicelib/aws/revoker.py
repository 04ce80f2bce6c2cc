"""IAM of the target accounts, where each account's revoker role writes what cuts a request's sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from chalicelib.aws.clients import hurried_iam_client, hurried_sts_client
from chalicelib.broker.ports import CannotDeny
from chalicelib.core import limits
from chalicelib.core.policy_grammar import VERSION, minified
from chalicelib.core.revocation import policy, policy_name
from chalicelib.log import log

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_sts.client import STSClient
    from mypy_boto3_sts.type_defs import CredentialsTypeDef

    MakeIam = Callable[[Session, str, CredentialsTypeDef], IAMClient]

REVOKER = "daypass-revoker/DaypassRevoker"
"""The revoker role of every target account: outside /daypass/, so that no catalogue can lend it."""

_SHORTEST = 900
_NO_ANSWER = "no-answer"
_GONE = "NoSuchEntity"
_SAID: Mapping[str, str] = {
    "AccessDenied": "check that {revoker} exists, trusts the broker and may write inline policies on {role}",
    "LimitExceeded": "the inline policies of {role} fill the 10,240 characters that IAM takes; remove some",
    _GONE: "there is no {role} any more",
}


class IamRevoker:
    """`ports.Revoker`: two calls each, of at most 2.5 s, as the revoker of the account that the role is in.

    The revoker's own credentials are narrowed to one action on one role, used once and forgotten.
    """

    def __init__(self, session: Session, region: str, *, iam: MakeIam = hurried_iam_client) -> None:
        self._session = session
        self._region = region
        self._iam = iam

    @cached_property
    def _sts(self) -> STSClient:
        return hurried_sts_client(self._session, self._region)

    def deny(self, role_arn: str, request_id: str) -> None:
        """Put the request's deny on the role: under its own name, so that doing it twice changes nothing.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html.
        """
        with _told(role_arn, request_id):
            self._acting("iam:PutRolePolicy", role_arn, request_id).put_role_policy(
                RoleName=_name(role_arn), PolicyName=policy_name(request_id), PolicyDocument=policy(request_id)
            )

    def allow_again(self, role_arn: str, request_id: str) -> None:
        """Take the request's deny off the role; fine where there is none, or no such role.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html.
        """
        with _told(role_arn, request_id, fine=_GONE):
            self._acting("iam:DeleteRolePolicy", role_arn, request_id).delete_role_policy(
                RoleName=_name(role_arn), PolicyName=policy_name(request_id)
            )

    def _acting(self, action: str, role_arn: str, request_id: str) -> IAMClient:
        only = {"Effect": "Allow", "Action": action, "Resource": limits.role_arn(role_arn)}
        given = self._sts.assume_role(
            RoleArn=limits.role_arn(_revoker(role_arn)),
            RoleSessionName=limits.session_name(policy_name(request_id)),
            DurationSeconds=_SHORTEST,
            Policy=limits.policy(minified({"Version": VERSION, "Statement": [only]})),
        )
        return self._iam(self._session, self._region, given["Credentials"])


@contextmanager
def _told(role_arn: str, request_id: str, *, fine: str | None = None) -> Iterator[None]:
    """AWS's no or silence as CannotDeny, and as a line in the log for an alarm to count. fine: a code that is no no."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        if code != fine:
            raise _cannot(role_arn, request_id, code) from None  # its text may hold the revoker's token
    except ParamValidationError:
        raise
    except (BotoCoreError, ResponseParserError):
        raise _cannot(role_arn, request_id, _NO_ANSWER) from None


def _cannot(role_arn: str, request_id: str, code: str) -> CannotDeny:
    log.error("deny_not_settled", extra={"request_id": request_id, "role_arn": role_arn, "code": code})
    advice = _SAID.get(code, "whether it was done is not known")
    return CannotDeny(f"{code}: {advice.format(revoker=_revoker(role_arn), role=role_arn)}.", code)


def _revoker(role_arn: str) -> str:
    partition, account = role_arn.split(":")[1], role_arn.split(":")[4]
    return f"arn:{partition}:iam::{account}:role/{REVOKER}"


def _name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]
