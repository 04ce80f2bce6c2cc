"""Whom the example's target accounts let in, and what bounds their roles: infra/target-account.yaml, in Python.

A test holds each statement to the template's, so that what is tried on one machine is what is deployed.
"""

from __future__ import annotations

from typing import Any

REVOKER_PATH, REVOKER_ROLE, BOUNDARY = "/daypass-revoker/", "DaypassRevoker", "DaypassBoundary"
_ULID = "?" * 26
_LOOKING = ["iam:Get*", "iam:List*"]
_BINDING = ["iam:CreateRole", "iam:CreateUser", "iam:PutRolePermissionsBoundary", "iam:PutUserPermissionsBoundary"]
_UNBINDING = ["iam:DeleteRolePermissionsBoundary", "iam:DeleteUserPermissionsBoundary"]


def boundary_arn(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:policy{REVOKER_PATH}{BOUNDARY}"


def role_trust(broker: str, organization: str, external_id: str) -> list[dict[str, Any]]:
    """broker: the ARN of its role. organization: its id."""
    only, ours = {"aws:PrincipalArn": broker}, {"aws:PrincipalOrgID": organization}
    return [
        {
            "Sid": "TheBrokerAssumes",
            "Effect": "Allow",
            "Principal": _root_of(broker),
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnEquals": only,
                "StringEquals": {**ours, "sts:ExternalId": external_id},
                "StringLike": {"sts:RoleSessionName": f"{_ULID}-*"},
                "Null": {"sts:SourceIdentity": "false"},
            },
        },
        {
            "Sid": "TheBrokerTellsOfWhom",
            "Effect": "Allow",
            "Principal": _root_of(broker),
            "Action": ["sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {"ArnEquals": only, "StringEquals": ours},
        },
    ]


def revoker_trust(broker: str, organization: str) -> dict[str, Any]:
    # No external id: the broker acts for nobody else in that account, so there is no deputy to confuse.
    return {
        "Sid": "TheBrokerRevokes",
        "Effect": "Allow",
        "Principal": _root_of(broker),
        "Action": "sts:AssumeRole",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": broker},
            "StringEquals": {"aws:PrincipalOrgID": organization},
            "StringLike": {"sts:RoleSessionName": f"daypass-deny-{_ULID}"},
        },
    }


def revoker_permissions(account_id: str) -> list[dict[str, Any]]:
    """What an account's revoker may do: write inline policies on what Daypass lends there, and never on itself.

    IAM cannot limit what stands in such a policy: whoever is the revoker has every Daypass role of the account, up to
    the boundary.
    """
    lent = f"arn:aws:iam::{account_id}:role/daypass/*"
    return [
        {
            "Sid": "WriteDeniesOnWhatIsLentAndBound",
            "Effect": "Allow",
            "Action": ["iam:DeleteRolePolicy", "iam:PutRolePolicy"],
            "Resource": lent,
            "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary_arn(account_id)}},
        },
        {
            "Sid": "SeeHowFullItIs",
            "Effect": "Allow",
            "Action": ["iam:GetRolePolicy", "iam:ListRolePolicies"],
            "Resource": lent,
        },
        {
            "Sid": "NothingOnItselfTheBoundaryOrTheProvider",
            "Effect": "Deny",
            "Action": "*",
            "Resource": [f"arn:aws:iam::{account_id}:{kind}{REVOKER_PATH}*" for kind in ("role", "policy")],
        },
    ]


def boundary(account_id: str) -> list[dict[str, Any]]:
    """The most that a role can do which Daypass lends in this account."""
    unless_bound = {"StringNotEquals": {"iam:PermissionsBoundary": boundary_arn(account_id)}}
    return [
        {"Sid": "WhateverItsOwnPoliciesAllow", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {
            "Sid": "ButNothingThatChangesWhatDaypassStandsOn",
            "Effect": "Deny",
            "NotAction": _LOOKING,
            "Resource": [
                f"arn:aws:iam::{account_id}:role/daypass*",
                f"arn:aws:iam::{account_id}:policy{REVOKER_PATH}*",
            ],
        },
        {
            "Sid": "WhatIsMadeIsBoundToo",
            "Effect": "Deny",
            "Action": _BINDING,
            "Resource": "*",
            "Condition": unless_bound,
        },
        {"Sid": "AndStaysBound", "Effect": "Deny", "Action": _UNBINDING, "Resource": "*"},
    ]


def _root_of(role_arn: str) -> dict[str, str]:
    # The hub's root and a condition, not the role itself: that would be kept by its id, and a new one let in nowhere.
    return {"AWS": f"{role_arn.rpartition(':')[0]}:root"}
