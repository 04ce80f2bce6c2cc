"""The gate: nobody gets past it unproven. Default deny, in the function itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chalicelib.core.principal import Principal
from chalicelib.core.refusals import Unauthenticated


class Door(StrEnum):
    """A way in, by the prefix of its addresses."""

    BEARER = "/v1"
    IAM = "/iam/v1"


@dataclass(frozen=True, slots=True)
class Gate:
    """Who proves whom. Both raise Unauthenticated, PassAsksForPass, GroupsOverage or Unavailable.

    bearer: a bearer token's principal. iam: that of an API Gateway request context; None: the IAM door is shut.
    """

    bearer: Callable[[str], Principal]
    iam: Callable[[Mapping[str, Any]], Principal] | None

    def principal(self, door: Door, headers: Mapping[str, str], context: Mapping[str, Any]) -> Principal:
        """The proven caller of a request that came through `door`; no header can choose the door."""
        match door:
            case Door.BEARER:
                return self.bearer(_bearer_token(headers.get("authorization")))
            case Door.IAM if self.iam is not None:
                return self.iam(context)
            case _:
                raise Unauthenticated(
                    "The IAM door is shut here: it needs API Gateway, its id, stage and organization."
                )


def _bearer_token(header: str | None) -> str:
    if header is None:
        raise Unauthenticated("There is no Authorization header: send `Authorization: Bearer <token>`.")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header holds no bearer token: send `Authorization: Bearer <token>`.")
    return token.strip()
