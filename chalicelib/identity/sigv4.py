"""The IAM door: a request that API Gateway found signed becomes a principal.

API Gateway verified the signature and filled in `requestContext.identity`. Where it did not (Chalice's local server, a
route without `AWS_IAM`), the identity is empty and the door is shut.
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import Unauthenticated
from chalicelib.identity.passes import refuse_pass

ISSUER = "iam"
PREFIX = "/iam/v1/"

_NAME = r"[A-Za-z0-9_+=,.@-]{1,64}"
_SESSION = re.compile(rf"arn:([a-z-]+):sts::([0-9]{{12}}):assumed-role/({_NAME})/{_NAME}", re.ASCII)
_USER = re.compile(rf"arn:([a-z-]+):iam::([0-9]{{12}}):user/(?:[!-~]{{1,510}}/)?({_NAME})", re.ASCII)


def verify(
    context: Mapping[str, Any],
    *,
    catalogue: Catalogue,
    api_id: str,
    stage: str,
    organization_id: str,
    now: datetime,
    partition: str = "aws",
) -> Principal:
    """Who signed a request, from its `requestContext`: a role or an IAM user, always a workload.

    The name of a role's session is its holder's choice and counts for nothing. authenticated_at is `now`: every request
    is signed anew. Raises Unauthenticated, PassAsksForPass.
    """
    _check_ours(context, api_id, stage)
    identity = context.get("identity")
    if not isinstance(identity, Mapping) or not isinstance(identity.get("userArn"), str):
        raise Unauthenticated("API Gateway names nobody who signed this request.")
    if not organization_id or identity.get("principalOrgId") != organization_id:
        raise Unauthenticated("The account that signed this request is not of this organization.")
    principal_id, account = _named(identity["userArn"], partition)
    if identity.get("accountId") != account:
        raise Unauthenticated("API Gateway names an account and a role or user of another.")
    refuse_pass(principal_id, catalogue)
    return Principal(
        id=principal_id, kind=Kind.WORKLOAD, groups=frozenset(), issuer=ISSUER, mfa=False, authenticated_at=now
    )


def _check_ours(context: Mapping[str, Any], api_id: str, stage: str) -> None:
    """That the request came by this door of our own API's stage (the console's test has `test-invoke-stage`)."""
    path = context.get("resourcePath")
    ours = bool(api_id and stage) and (context.get("apiId"), context.get("stage")) == (api_id, stage)
    if not ours or not isinstance(path, str) or not path.startswith(PREFIX):
        raise Unauthenticated("This request did not come through the IAM door of Daypass.")


def _named(arn: str, partition: str) -> tuple[str, str]:
    """The principal's id and its account. Root and federated users have none."""
    session, user = _SESSION.fullmatch(arn), _USER.fullmatch(arn)
    match = session or user
    if match is None or match[1] != partition:
        raise Unauthenticated("Only roles and IAM users may ask here: no root user and no federated one.")
    kind = "role" if session else "user"
    return f"arn:{partition}:iam::{match[2]}:{kind}/{match[3]}", match[2]
