"""IAM of the target accounts, where each account's revoker role writes what cuts sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ParamValidationError

from chalicelib.aws.clients import hurried_iam_client, hurried_sts_client
from chalicelib.aws.role_policies import (
    FAILURES,
    FULL,
    GONE,
    LONGEST_CALL,
    OutOfTime,
    RolePolicies,
    code_of,
    maybe_done,
)
from chalicelib.broker.ports import CannotDeny
from chalicelib.core import denies, limits
from chalicelib.core.denies import Cut, Standing
from chalicelib.core.policy_grammar import VERSION, minified
from chalicelib.core.request import Covers
from chalicelib.log import log
from chalicelib.metrics import Metric, count

if TYPE_CHECKING:
    from datetime import datetime

    from botocore.session import Session
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_sts.client import STSClient
    from mypy_boto3_sts.type_defs import CredentialsTypeDef

    MakeIam = Callable[[Session, str, CredentialsTypeDef], IAMClient]

REVOKER = "daypass-revoker/DaypassRevoker"
"""The revoker role of every target account: outside /daypass/, so that no catalogue can lend it."""

WITHIN = 5.0
"""Seconds: what a revocation may take beyond its own record."""

_SHORTEST = 900
_MOST_OTHERS = 10
_NO_TIME = "no-time"
_WRITING = ("iam:DeleteRolePolicy", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:PutRolePolicy")
_REMOVING, _REMOVING_WIDE = ("iam:DeleteRolePolicy",), ("iam:DeleteRolePolicy", "iam:ListRolePolicies")
_SAID: Mapping[str, str] = {
    "AccessDenied": "check that {revoker} exists, trusts the broker and may write inline policies on {role}",
    FULL: "the inline policies of {role} fill the 10,240 characters that IAM takes; remove some",
    GONE: "there is no {role} any more",
    _NO_TIME: "IAM was too slow to do all of it at {role}",
}


class IamRevoker:
    """`ports.Revoker`: a few calls of at most 2.5 s, none begun that could end later than WITHIN.

    The revoker's own credentials are narrowed to what the step needs on one role, used for it and forgotten.
    """

    def __init__(
        self,
        session: Session,
        region: str,
        *,
        iam: MakeIam = hurried_iam_client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._region = region
        self._iam = iam
        self._clock = clock

    @cached_property
    def _sts(self) -> STSClient:
        return hurried_sts_client(self._session, self._region)

    def deny(self, cut: Cut) -> Standing:
        """Put the request's own deny on the role, then, where the role is nearly full, a wider one in its place.

        In this order: the narrow one holds as soon as it can, and what comes after it may fail or take too long.
        """
        own = denies.named(cut, Covers.REQUEST)
        with _told(cut):
            role = self._acting(_WRITING, cut)
            if role.put(own.name, denies.document(cut, Covers.REQUEST)):
                return _widened(role, cut)
            standing = _replaced(role, cut, Covers.ROLE, tuple(_ours(role.names())))
            if standing is None:
                raise _cannot(cut, FULL)
            return standing

    def allow_again(self, cut: Cut, covers: Covers, now: datetime) -> None:
        """Take the request's own deny off the role, and all wide ones that have become needless, whosever they are."""
        own = denies.named(cut, Covers.REQUEST).name
        with _told(cut):
            if covers is Covers.REQUEST:
                return self._acting(_REMOVING, cut).delete(own)
            role = self._acting(_REMOVING_WIDE, cut)
            for standing in _ours(role.names()):
                if standing.name == own or denies.needless(standing, now):
                    role.delete(standing.name)

    def _acting(self, actions: Sequence[str], cut: Cut) -> RolePolicies:
        begun = self._clock()
        arn = limits.role_arn(cut.role_arn)
        only = {"Effect": "Allow", "Action": actions, "Resource": arn}
        given = self._sts.assume_role(
            RoleArn=limits.role_arn(_revoker(arn)),
            RoleSessionName=limits.session_name(f"daypass-deny-{cut.request_id}"),
            DurationSeconds=_SHORTEST,
            Policy=limits.policy(minified({"Version": VERSION, "Statement": [only]})),
        )
        iam = self._iam(self._session, self._region, given["Credentials"])
        until = max(begun + WITHIN, self._clock() + LONGEST_CALL)  # what this is about is tried, however slow STS was
        return RolePolicies(iam, arn.rpartition("/")[2], until=until, clock=self._clock)


def _widened(role: RolePolicies, cut: Cut) -> Standing:
    """The deny that stands in the end, where the request's own does: that one still, unless the role is nearly full."""
    covers = Covers.REQUEST
    try:
        names = role.names()
        ours = tuple(_ours(names))
        others = [name for name in names if denies.read(name) is None]
        covers = denies.width(sum(map(denies.room, ours)) + role.room(others[:_MOST_OTHERS]))
        wide = _replaced(role, cut, covers, ours) if covers is not Covers.REQUEST else None
    except (*FAILURES, OutOfTime) as error:
        extra = {"request_id": cut.request_id, "role_arn": cut.role_arn, "code": _code(error)}
        log.warning("deny_not_widened", extra=extra)
        return denies.named(cut, covers if maybe_done(error) else Covers.REQUEST)
    return wide or denies.named(cut, Covers.REQUEST)


def _replaced(role: RolePolicies, cut: Cut, covers: Covers, ours: Sequence[Standing]) -> Standing | None:
    """A wide deny that stands in the place of those that it makes needless; None where the role has no room for it.

    Never written over another one, and others are removed only once it stands: so two who do this at once cannot undo
    each other's, and nothing is let through in between.
    """
    wide = denies.covering(cut, ours)
    if wide is None:
        wide = denies.named(cut, covers)
        if not role.put(wide.name, denies.document(cut, covers)):
            return None
    with suppress(*FAILURES, OutOfTime):  # what is left over is removed when its time comes
        for needless in (denies.named(cut, Covers.REQUEST), *denies.superseded(wide, ours)):
            role.delete(needless.name)
    return wide


def _ours(names: Iterable[str]) -> Iterator[Standing]:
    return (standing for standing in map(denies.read, names) if standing)


@contextmanager
def _told(cut: Cut) -> Iterator[None]:
    """AWS's no or silence as CannotDeny, told in the log too, and counted."""
    try:
        yield
    except ParamValidationError:
        raise
    except (*FAILURES, OutOfTime) as error:
        raise _cannot(cut, _code(error)) from None  # its text may hold the revoker's token


def _cannot(cut: Cut, code: str) -> CannotDeny:
    log.error("deny_not_settled", extra={"request_id": cut.request_id, "role_arn": cut.role_arn, "code": code})
    count(Metric.DENY_NOT_SETTLED)
    advice = _SAID.get(code, "whether it was done is not known")
    return CannotDeny(f"{code}: {advice.format(revoker=_revoker(cut.role_arn), role=cut.role_arn)}.", code)


def _code(error: Exception) -> str:
    return _NO_TIME if isinstance(error, OutOfTime) else code_of(error)


def _revoker(role_arn: str) -> str:
    partition, account = role_arn.split(":")[1], role_arn.split(":")[4]
    return f"arn:{partition}:iam::{account}:role/{REVOKER}"
