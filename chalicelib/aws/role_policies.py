"""The inline policies of one role, read and written by its account's revoker within a given time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from chalicelib.core.policy_grammar import minified

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient

LONGEST_CALL = 2.5
"""Seconds: what the client's patience allows a call."""

FAILURES = (ClientError, BotoCoreError, ResponseParserError)
FULL, GONE = "LimitExceeded", "NoSuchEntity"


class OutOfTime(Exception):
    """A call was not begun, since it could have lasted longer than there is time."""


def code_of(error: Exception) -> str:
    """AWS's own code; `no-answer` where it gave none."""
    return (
        str(error.response.get("Error", {}).get("Code", "Unknown")) if isinstance(error, ClientError) else "no-answer"
    )


def maybe_done(error: Exception) -> bool:
    """Whether what was asked may have been done all the same: AWS did not say no."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(error, OutOfTime)


class RolePolicies:
    """One role's. Every method is one call or a few; each raises FAILURES, and OutOfTime once no call fits any more.

    until: when everything has to be over, on the clock of `clock` (seconds).
    """

    def __init__(self, iam: IAMClient, role_name: str, *, until: float, clock: Callable[[], float]) -> None:
        self._iam = iam
        self._role_name = role_name
        self._until = until
        self._clock = clock

    def put(self, name: str, document: str) -> bool:
        """Write a policy, over one of the same name. False where the role has no room for it.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html.
        """
        self._in_time()
        try:
            self._iam.put_role_policy(RoleName=self._role_name, PolicyName=name, PolicyDocument=document)
        except ClientError as error:
            if code_of(error) != FULL:
                raise
            return False
        return True

    def delete(self, name: str) -> None:
        """Remove a policy; fine where there is none, or no such role.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html.
        """
        self._in_time()
        try:
            self._iam.delete_role_policy(RoleName=self._role_name, PolicyName=name)
        except ClientError as error:
            if code_of(error) != GONE:
                raise

    def names(self) -> tuple[str, ...]:
        """All of them; none where there is no such role.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRolePolicies.html.
        """
        found: list[str] = []
        marker: str | None = None
        while True:
            self._in_time()
            try:
                page = self._iam.list_role_policies(RoleName=self._role_name, **_from(marker))
            except ClientError as error:
                if code_of(error) != GONE:
                    raise
                return ()
            found += page["PolicyNames"]
            marker = page.get("Marker") if page["IsTruncated"] else None
            if marker is None:
                return tuple(found)

    def room(self, names: Iterable[str]) -> int:
        """How many characters the named policies take, without white space; nothing where one is gone.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html.
        """
        return sum(map(self._length, names))

    def _length(self, name: str) -> int:
        self._in_time()
        try:
            answer = self._iam.get_role_policy(RoleName=self._role_name, PolicyName=name)
        except ClientError as error:
            if code_of(error) != GONE:
                raise
            return 0
        return len(minified(answer["PolicyDocument"]))  # which botocore has parsed

    def _in_time(self) -> None:
        if self._clock() + LONGEST_CALL > self._until:
            raise OutOfTime


def _from(marker: str | None) -> Any:
    return {} if marker is None else {"Marker": marker}
