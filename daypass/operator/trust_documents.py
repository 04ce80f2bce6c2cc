"""The policies that a role of the catalogue needs around it: who may assume it, and apart from that what it may do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.core.catalogue import Role, Scope
from chalicelib.core.policy import filled_in
from chalicelib.core.policy_grammar import VERSION
from chalicelib.core.provider import Provider
from chalicelib.core.session import REQUEST_TAG
from chalicelib.core.token import AUDIENCE, subject

LONGEST_TRUST = 2048
"""Characters of a trust policy without white space, before AWS is asked for more.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html.
"""

TELLS_OF_WHOM = ("sts:TagSession", "sts:SetSourceIdentity")
"""Both are asked of the caller's permissions and of the role's trust, where accounts or chains are crossed.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html.
"""

_SESSION_NAME = f"{'?' * 26}-*"  # a ULID and who it is

Statement = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Explained:
    statement: Statement
    why: str


@dataclass(frozen=True, slots=True)
class Document:
    """kind: `trust` (who may assume), `permissions` (what may be done) or `scp`. title: whose it is."""

    kind: str
    title: str
    statements: tuple[Explained, ...]

    @property
    def policy(self) -> Mapping[str, object]:
        return {"Version": VERSION, "Statement": [each.statement for each in self.statements]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """broker: the ARN of the broker's role. organization: the id of the organization that it has to be of, if any."""

    account: str
    broker: str
    organization: str | None = None


def broker_trust(role: Role, hub: Hub) -> Document:
    """For `via = "role"`. An account's root and its role's ARN: a role that is made anew stays trusted, by its name."""
    principal = {"AWS": f"arn:{role.partition}:iam::{hub.account}:root"}
    organization = {"aws:PrincipalOrgID": hub.organization} if hub.organization else {}
    broker = {"ArnEquals": {"aws:PrincipalArn": hub.broker}}
    same = {**broker, **({"StringEquals": organization} if organization else {})}
    equal = {**organization, **({"sts:ExternalId": role.external_id} if role.external_id else {})}
    assumed = {
        **broker,
        **({"StringEquals": equal} if equal else {}),
        "StringLike": {"sts:RoleSessionName": _SESSION_NAME},
        "Null": {"sts:SourceIdentity": "false"},
    }
    told = (
        "Only the broker's role, also where it was deployed anew"
        + (f", as long as its account is of {hub.organization}" if hub.organization else "")
        + (", with the external id of the catalogue" if role.external_id else "")
        + "; with a session name as Daypass makes it, which joins CloudTrail's events to a request; and never without "
        "a source identity, which also keeps out the console's Switch Role."
    )
    return Document(
        "trust",
        f"the trust policy of {role.arn}",
        (
            Explained(
                _trusted("TheBrokerAssumes", "sts:AssumeRole", principal, assumed),
                told,
            ),
            Explained(
                _trusted("TheBrokerTellsOfWhom", TELLS_OF_WHOM, principal, same),
                "It may say for whom and for which request; without either permission the whole call is refused.",
            ),
        ),
    )


def broker_permissions(role: Role, hub: Hub) -> Document:
    return Document(
        "permissions",
        f"what {hub.broker} may do, in the hub account",
        (
            Explained(
                _permitted("LendTheRole", ("sts:AssumeRole", *TELLS_OF_WHOM), role.arn),
                "Across accounts both sides have to say yes. The package's policy does, of all roles under /daypass/.",
            ),
        ),
    )


def provider_trust(role: Role, provider: Provider) -> Document:
    """For `via = "oidc"`: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html."""
    name = provider.issuer.removeprefix("https://").removeprefix("http://")
    only = {f"{name}:aud": AUDIENCE, f"{name}:sub": subject(role.arn)}
    return Document(
        "trust",
        f"the trust policy of {role.arn}",
        (
            Explained(
                _trusted(
                    "DaypassVouches",
                    ("sts:AssumeRoleWithWebIdentity", *TELLS_OF_WHOM),
                    _federated(role, name),
                    {"StringEquals": only},
                ),
                "Only with a token that Daypass signed for this very role; only the broker ever holds one. Tags and "
                "source identity are claims of it. Never by aud alone: then a token for any role would do.",
            ),
        ),
    )


def service_account_trust(role: Role, cluster: str, subject_claim: str) -> Document:
    """For a workload that assumes a role by itself.

    Source: https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html.
    """
    name = cluster.removeprefix("https://")
    only = {f"{name}:aud": AUDIENCE, f"{name}:sub": subject_claim}
    return Document(
        "trust",
        f"the trust policy of a role of its own for {subject_claim}, in account {role.account.id}",
        (
            Explained(
                _trusted(
                    "TheServiceAccountAssumes",
                    "sts:AssumeRoleWithWebIdentity",
                    _federated(role, name),
                    {"StringEquals": only},
                ),
                "For what always needs the role and asks nobody: the cluster's token, for STS and of this one service "
                f"account. Not at {role.role_name}: it would be a way past every rule, and without an end.",
            ),
        ),
    )


def role_permissions(role: Role) -> Document | None:
    """What the role has to allow for its scopes, and for going on to other roles; None where the file tells neither."""
    widest = [(name, each) for name, scope in sorted(role.scopes.items()) for each in _at_its_widest(scope)]
    scoped = tuple(
        Explained(
            {"Sid": f"Scope{number}", **statement},
            f"What its scope {name} may ask for: a session gets what both this and the scope allow.",
        )
        for number, (name, statement) in enumerate(widest, start=1)
    )
    onward = (
        Explained(
            _permitted("GoOn", ("sts:AssumeRole", *TELLS_OF_WHOM), list(role.chaining)),
            "The catalogue's `chaining` leaves these out of the session's deny; this allows them.",
        ),
    )
    statements = (*scoped, *(onward if role.chaining else ()))
    return Document("permissions", f"what {role.arn} may do", statements) if statements else None


def _at_its_widest(scope: Scope) -> Iterator[Statement]:
    """All that a scope can allow, whatever its parameters are and whatever its conditions and denies take back."""
    written: Any = scope.policy["Statement"]
    for statement in written if isinstance(written, list) else [written]:
        if statement["Effect"] == "Allow":
            widest = {"Resource": statement.get("Resource", "*")}  # all but some is not more than all
            filled = json.loads(filled_in(widest, dict.fromkeys(scope.parameters, "*")))
            acts = {name: statement[name] for name in ("Action", "NotAction") if name in statement}
            yield {"Effect": "Allow", **acts, **filled}


def chained_trust(role: Role) -> Document:
    """What the roles of `chaining` have to say."""
    principal = {"AWS": f"arn:{role.partition}:iam::{role.account.id}:root"}
    condition = {"ArnEquals": {"aws:PrincipalArn": role.arn}, "Null": {f"aws:PrincipalTag/{REQUEST_TAG}": "false"}}
    return Document(
        "trust",
        f"the trust policy of what it goes on to: {', '.join(role.chaining)}",
        (
            Explained(
                _trusted("ADaypassSessionGoesOn", ("sts:AssumeRole", *TELLS_OF_WHOM), principal, condition),
                "Only sessions that Daypass lent, told by their tag. Tags and source identity go on with them, and the "
                "wall does not: what is lent there lasts up to an hour by itself, and `revoke` does not reach it.",
            ),
        ),
    )


def cutting(requests: Sequence[str]) -> Document:
    """The service control policy that cuts requests' sessions wherever they went on to.

    Source: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html.
    """
    return Document(
        "scp",
        "a service control policy, at the root or the unit that holds the accounts, in the emergency that it is for",
        (
            Explained(
                {
                    "Sid": "CutWhatWentOn",
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"StringEquals": {f"aws:PrincipalTag/{REQUEST_TAG}": list(requests)}},
                },
                "The request's tag follows its sessions through every role that they go on to. It reaches no role of "
                "the organization's management account. Take it away when the last of those sessions has ended.",
            ),
        ),
    )


def _trusted(sid: str, action: str | Sequence[str], principal: object, condition: object) -> Statement:
    acts = action if isinstance(action, str) else list(action)
    return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": acts, "Condition": condition}


def _permitted(sid: str, actions: Sequence[str], resource: object) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}


def _federated(role: Role, provider: str) -> Mapping[str, str]:
    return {"Federated": f"arn:{role.partition}:iam::{role.account.id}:oidc-provider/{provider}"}
