"""The people of the local example, signed in."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.core.principal import Kind, Principal
from daypass.local.people import EVERYBODY
from tests.builders import NOW


def signed_in(name: str) -> Principal:
    somebody = EVERYBODY[name]
    human = somebody.issuer == "people"
    return Principal(
        id=somebody.id,
        kind=Kind.HUMAN if human else Kind.WORKLOAD,
        groups=frozenset(somebody.groups),
        issuer="local-people" if human else "local-cluster",
        mfa=human,
        authenticated_at=NOW,
    )


def now_in(principal: Principal, *groups: str) -> Principal:
    """The same principal, whose groups have changed since."""
    return replace(principal, groups=frozenset(groups))


ALICE, BOB, CAROL, DAVE, EVE, FRANK = map(signed_in, ["alice", "bob", "carol", "dave", "eve", "frank"])
ROBOT = signed_in("robot")
PEOPLE = (ALICE, BOB, CAROL, DAVE, EVE, FRANK, ROBOT)
