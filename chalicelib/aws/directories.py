"""Directories: IAM Identity Center's identity store, and a Lambda function that tells any fact as a group.

    directory         asked                                                    within
    identity store    GetUserId, GetGroupId for each group, IsMemberInGroups   5.5 s; group ids are kept for an hour
    function          Invoke with who asks, for what, and which groups count   2.5 s

What was told is kept for a minute: a person who asks twice is looked up once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from chalicelib.aws.clients import hurried_client
from chalicelib.broker.ports import About
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import Unavailable
from chalicelib.core.vouching import Directory
from chalicelib.log import log

if TYPE_CHECKING:
    from botocore.session import Session

LASTS = 60.0
GROUP_IDS_LAST = 3600.0
PATIENCE = 3.0
"""Seconds. How long facts and ids of groups last; after how long no further call to an identity store is begun."""

MOST_KEPT = 10_000
_MOST_GROUPS = (
    100  # https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_IsMemberInGroups.html
)
_NO_SUCH = "ResourceNotFoundException"

Fact = tuple[str, str, About | None]
MakeClient = Callable[[str, str | None], Any]


class AwsDirectories:
    """`ports.Directories`. client: makes a client of a service, in a region or in our own."""

    def __init__(self, client: MakeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = cache(client)
        self._clock = clock
        self._told: dict[Fact, tuple[float, frozenset[str], frozenset[str]]] = {}
        self._group_ids: dict[tuple[str, str], tuple[float, str | None]] = {}

    def groups(
        self, directory: Directory, wanted: frozenset[str], principal: Principal, about: About | None
    ) -> frozenset[str]:
        # An identity store knows nothing of asks: one answer serves them all.
        fact = (directory.name, principal.id, about if directory.function else None)
        now = self._clock()
        until, asked, told = self._told.get(fact, (0.0, frozenset(), frozenset()))
        if now < until and asked >= wanted:
            return told & wanted
        with _told(directory):
            if directory.function:
                found = self._function(directory, wanted, principal, about)
            else:
                found = self._identity_store(directory, wanted, principal)
        if len(self._told) >= MOST_KEPT:
            self._told.clear()
        self._told[fact] = (now + LASTS, wanted, found)
        return found

    def _function(
        self, directory: Directory, wanted: frozenset[str], principal: Principal, about: About | None
    ) -> frozenset[str]:
        """Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""
        assert directory.function is not None
        answer = self._client("lambda", directory.function.split(":")[3]).invoke(
            FunctionName=directory.function, Payload=json.dumps(_question(directory, wanted, principal, about))
        )
        if "FunctionError" in answer:
            raise _Silent("function-error")
        return _answered(answer["Payload"].read(), directory) & wanted

    def _identity_store(self, directory: Directory, wanted: frozenset[str], principal: Principal) -> frozenset[str]:
        """Source: https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_Operations.html."""
        if principal.kind is not Kind.HUMAN:
            return frozenset()
        deadline = self._clock() + PATIENCE
        store = self._client("identitystore", None)
        of = {"IdentityStoreId": directory.identity_store}
        user = _found(lambda: store.get_user_id(**of, **_by("emails.value", principal.id))["UserId"])
        if user is None:
            return frozenset()
        ids = {self._group_id(store, of, directory, group, deadline): group for group in sorted(wanted)}
        members: set[str] = set()
        asked = [id for id in ids if id is not None]
        for first in range(0, len(asked), _MOST_GROUPS):
            self._in_time(deadline)
            some = asked[first : first + _MOST_GROUPS]
            answer = store.is_member_in_groups(**of, MemberId={"UserId": user}, GroupIds=some)
            members |= {each["GroupId"] for each in answer["Results"] if each.get("MembershipExists") is True}
        return frozenset(ids[id] for id in members if id in ids)

    def _group_id(
        self, store: Any, of: Mapping[str, Any], directory: Directory, group: str, deadline: float
    ) -> str | None:
        now = self._clock()
        until, id = self._group_ids.get((directory.name, group), (0.0, None))
        if now < until:
            return id
        self._in_time(deadline)
        name = group.removesuffix(f"@{directory.name}")
        id = _found(lambda: store.get_group_id(**of, **_by("displayName", name))["GroupId"])
        # A group that is not there may be made at any moment.
        self._group_ids[directory.name, group] = (now + (GROUP_IDS_LAST if id else LASTS), id)
        return id

    def _in_time(self, deadline: float) -> None:
        if self._clock() >= deadline:
            raise _Silent("too-slow")


class _Silent(Exception):
    """The directory did not tell; code: why, in a word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def _told(directory: Directory) -> Iterator[None]:
    """Whatever keeps a directory from telling, as Unavailable and as a line in the log: never what it said."""
    try:
        yield
    except ParamValidationError:
        raise
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
    except (BotoCoreError, ResponseParserError):
        code = "no-answer"
    except _Silent as silent:
        code = silent.code
    else:
        return
    log.error("directory_silent", extra={"directory": directory.name, "code": code})
    silent_now = f"The directory {directory.name!r} does not tell who is in which group right now ({code})."
    raise Unavailable(silent_now) from None


def _question(
    directory: Directory, wanted: frozenset[str], principal: Principal, about: About | None
) -> dict[str, object]:
    """What the function is told: the groups without the directory's name, as it is to answer them."""
    ask = about and {
        "role": about.role,
        "account_id": about.account_id,
        "duration_seconds": int(about.duration.total_seconds()),
        "ticket": about.ticket,
    }
    return {
        "schema": 1,
        "principal": {
            "id": principal.id,
            "kind": principal.kind.value,
            "issuer": principal.issuer,
            "mfa": principal.mfa,
        },
        "ask": ask,
        "groups": sorted(group.removesuffix(f"@{directory.name}") for group in wanted),
    }


def _answered(payload: bytes, directory: Directory) -> frozenset[str]:
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        raise _Silent("no-json") from None
    match answer:
        case {"groups": list(groups)} if all(isinstance(group, str) for group in groups):
            return frozenset(f"{group}@{directory.name}" for group in groups)
    raise _Silent("no-list-of-groups")


def _by(path: str, value: str) -> dict[str, Any]:
    return {"AlternateIdentifier": {"UniqueAttribute": {"AttributePath": path, "AttributeValue": value}}}


def _found(look: Callable[[], str]) -> str | None:
    try:
        return look()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == _NO_SUCH:
            return None
        raise


def hurried(session: Session, region: str) -> MakeClient:
    """Makes clients that give up after 2.5 s."""
    return lambda service, elsewhere: hurried_client(session, service, elsewhere or region)
