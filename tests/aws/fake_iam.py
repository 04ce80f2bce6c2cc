"""One role's inline policies in memory, with the quota that the embedded AWS does not have; and a revoker over it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib.aws.revoker import IamRevoker
from chalicelib.core import denies
from chalicelib.core.denies import Cut
from chalicelib.core.request import Covers

LIMIT = 10_240


def says(code: str, status: int = 400, message: str = "…") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "…")


def silence() -> ReadTimeoutError:
    return ReadTimeoutError(endpoint_url="https://iam.amazonaws.com")


@dataclass
class FakeIam:
    """botocore's client of IAM, as far as a revoker uses it: policies are documents by name, minified.

    page: how many names a page of the list has. calls: what was asked, in order.
    """

    policies: dict[str, str] = field(default_factory=dict)
    page: int = 100
    calls: list[str] = field(default_factory=list)

    def put_role_policy(self, RoleName: str, PolicyName: str, PolicyDocument: str) -> dict[str, Any]:
        self.calls.append(f"put {PolicyName}")
        after = {**self.policies, PolicyName: PolicyDocument}
        if sum(map(len, after.values())) > LIMIT:
            raise says("LimitExceeded", 409)
        self.policies = after
        return {}

    def delete_role_policy(self, RoleName: str, PolicyName: str) -> dict[str, Any]:
        self.calls.append(f"delete {PolicyName}")
        if PolicyName not in self.policies:
            raise says("NoSuchEntity", 404)
        self.policies = {name: text for name, text in self.policies.items() if name != PolicyName}
        return {}

    def list_role_policies(self, RoleName: str, Marker: str = "0") -> dict[str, Any]:
        self.calls.append("list")
        names = sorted(self.policies)
        end = int(Marker) + self.page
        more: dict[str, Any] = {"IsTruncated": True, "Marker": str(end)} if end < len(names) else {"IsTruncated": False}
        return {"PolicyNames": names[int(Marker) : end], **more}

    def get_role_policy(self, RoleName: str, PolicyName: str) -> dict[str, Any]:
        self.calls.append(f"get {PolicyName}")
        if PolicyName not in self.policies:
            raise says("NoSuchEntity", 404)
        return {"PolicyDocument": json.loads(self.policies[PolicyName])}  # botocore parses it

    def hold(self, cut: Cut, covers: Covers) -> None:
        """A deny that stands there already."""
        self.policies[denies.named(cut, covers).name] = denies.document(cut, covers)

    def fill(self, characters: int, name: str = "permissions") -> None:
        """A policy of somebody else, of such a length that the role holds so many characters in all."""
        room = characters - sum(map(len, self.policies.values()))
        self.policies[name] = '"' + "x" * (room - 2) + '"'


class FakeSts:
    """Hands out the revoker's credentials. policies: how each of them was narrowed."""

    def __init__(self) -> None:
        self.policies: list[str] = []

    def assume_role(self, **asked: Any) -> dict[str, Any]:
        self.policies.append(asked["Policy"])
        return {"Credentials": {}}


def a_revoker(iam: Any, *, clock: Callable[[], float] = lambda: 0.0) -> IamRevoker:
    """A revoker whose IAM is this one. clock: seconds; stands still unless told."""
    revoker = IamRevoker(None, "eu-central-1", iam=lambda *_: iam, clock=clock)  # type: ignore[arg-type]
    revoker.__dict__["_sts"] = FakeSts()
    return revoker
