"""Who vouches for principals: issuers for who they are, directories for groups that no token tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.core.principal import Kind


class VerifiedBy(StrEnum):
    EMAIL_VERIFIED = "email_verified"
    ISSUER = "issuer"


@dataclass(frozen=True, slots=True, kw_only=True)
class MfaClaim:
    """The claim whose value, or one of whose values, tells of a second factor."""

    claim: str
    any_of: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An OIDC issuer whose tokens the bearer door believes.

    mfa: the claim to look at; "issuer" where it never signs anybody in without; None where it proves nothing.
    groups: the name of the claim; None where it has none.
    redirect_port: where the command's browser comes back to on 127.0.0.1; None where the issuer lets it be any.
    """

    name: str
    url: str
    audience: str
    kind: Kind
    client_id: str | None = None
    scopes: tuple[str, ...] = ("openid", "email", "groups")
    redirect_port: int | None = None
    principal: str = "email"
    groups: str | None = None
    domains: frozenset[str] = frozenset()
    verified_by: VerifiedBy = VerifiedBy.EMAIL_VERIFIED
    subjects: tuple[str, ...] = ()
    mfa: MfaClaim | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Tells groups of a principal that no token tells; rules write them `group@name`. It is one of the two.

    identity_store: the id of an IAM Identity Center's. function: the ARN of a Lambda function that is asked.
    """

    name: str
    identity_store: str | None = None
    function: str | None = None


def directory_of(group: str) -> str:
    """The directory that a group's name names after its last `@`; empty where it names none."""
    return group.rpartition("@")[2] if "@" in group else ""
