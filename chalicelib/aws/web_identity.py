"""AssumeRoleWithWebIdentity: STS lends for a token that Daypass signed a moment ago, and that only STS ever sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chalicelib.aws.sts_answers import CHECK, heard, lent
from chalicelib.broker.ports import Lent
from chalicelib.core import limits
from chalicelib.core.session import SessionPlan
from chalicelib.core.token import AUDIENCE, Token, subject

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleWithWebIdentityRequestTypeDef

    from chalicelib.aws.signing import Sign

_PUBLISHED = (
    "Check that {provider} exists with the audience " + AUDIENCE + ", and that the documents under {issuer} are "
    "published, reachable from the internet and hold the key {kid} (`daypass issuer publish`)."
)
_CHECK: Mapping[str, str] = {
    **CHECK,
    "AccessDenied": (
        "AWS did not let Daypass's token assume {role}. Check that the role exists; that its trust policy names "
        "{provider} as federated principal, allows sts:AssumeRoleWithWebIdentity, sts:TagSession and "
        "sts:SetSourceIdentity, and asks for the aud " + AUDIENCE + " and the sub {subject}; and that no SCP or RCP "
        "denies them."
    ),
    "ValidationError": (
        "AWS found the call for {role} wrong. Check that the role's maximum session duration is no shorter than the "
        "catalogue's max_session."
    ),
    "InvalidIdentityToken": "AWS could not verify Daypass's token for {role}. " + _PUBLISHED,
    "IDPRejectedClaim": "AWS did not believe what Daypass's token for {role} claims. " + _PUBLISHED,
    "ExpiredTokenException": (
        "By AWS's clock Daypass's token for {role} is over, although it is good for a minute. Check the broker's clock."
    ),
}
"""What to check, by STS's error code.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html (Errors).
"""


def with_token(client: STSClient, sign: Sign, plan: SessionPlan, token: Token) -> Lent:
    """Have the token signed and exchange it. The call itself bears no signature: the token is all there is to steal.

    Raises what `KmsSigner.sign` and `heard` raise, and ValueError for a plan beyond STS's limits, before KMS is asked.
    """
    call = _call(plan)
    signature = sign(token.key.arn, token.unsigned())
    call["WebIdentityToken"] = limits.web_identity_token(token.signed(signature.bytes))
    signed = {"kms_request_id": signature.request_id}
    with heard(_CHECK, unsaid=call["WebIdentityToken"], role=plan.role_arn, calls=signed, **_names(plan, token)):
        answer = client.assume_role_with_web_identity(**call)
        return lent(answer, client.meta.region_name, kms_request_id=signature.request_id)


def _call(plan: SessionPlan) -> AssumeRoleWithWebIdentityRequestTypeDef:
    # Neither goes with the call: they are claims of the token.
    limits.source_identity(plan.source_identity)
    limits.transitive(plan.transitive, of=limits.tags(plan.tags))
    return {
        "RoleArn": limits.role_arn(plan.role_arn),
        "RoleSessionName": limits.session_name(plan.session_name),
        "DurationSeconds": int(limits.duration(plan.duration).total_seconds()),
        "Policy": limits.policy(plan.policy),
        "WebIdentityToken": "",
    }


def _names(plan: SessionPlan, token: Token) -> Mapping[str, str]:
    partition, account = plan.role_arn.split(":")[1], plan.role_arn.split(":")[4]
    return {
        "provider": f"arn:{partition}:iam::{account}:oidc-provider/{token.issuer.partition('://')[2]}",
        "issuer": token.issuer,
        "kid": token.key.kid,
        "subject": subject(plan.role_arn),
    }
