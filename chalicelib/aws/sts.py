"""STS, which lends the sessions: to the role that the broker is, or for a token that the broker signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chalicelib.aws.sts_answers import CHECK, heard, lent
from chalicelib.aws.web_identity import with_token
from chalicelib.broker.ports import Lent
from chalicelib.core import limits
from chalicelib.core.session import SessionPlan

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef

    from chalicelib.aws.signing import Sign

_CHECK: Mapping[str, str] = {
    **CHECK,
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
}


class StsLender:
    """`ports.Lender` on a client that `clients.sts_client` made; only for plans with a token anything is signed."""

    def __init__(self, client: STSClient, sign: Sign) -> None:
        self._client = client
        self._sign = sign

    def lend(self, plan: SessionPlan) -> Lent:
        """Exchange a plan for credentials. expiration is STS's own, not our clock plus the duration.

        Raises StsRefused where AWS said no and NothingLent where KMS did not answer (no session exists), Unavailable
        where STS did not (one may exist), and ValueError for a plan beyond STS's limits, before anybody is asked.
        """
        if plan.token is None:
            return _as_the_role_we_are(self._client, plan)
        return with_token(self._client, self._sign, plan, plan.token)


def _as_the_role_we_are(client: STSClient, plan: SessionPlan) -> Lent:
    """Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html."""
    call = _call(plan)
    with heard(_CHECK, unsaid=plan.external_id, role=plan.role_arn):
        return lent(client.assume_role(**call), client.meta.region_name)


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
