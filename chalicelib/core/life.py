"""The life of a request: the moves there are, and the state that follows from status and clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

ANSWER_WITHIN = timedelta(hours=8)
USE_WITHIN = timedelta(hours=8)


class Status(StrEnum):
    """What is stored. What is reported (`State`) follows from it and from now."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CANCELLED = "cancelled"
    USED = "used"
    RETURNED = "returned"
    REVOKED = "revoked"


class Move(StrEnum):
    APPROVE = "approve"
    ESCALATE = "escalate"  # one's own pending request becomes an emergency
    DENY = "deny"
    CANCEL = "cancel"
    USE = "use"
    UNUSE = "unuse"  # the first use failed for certain: a window that it opened shuts again
    RETURN = "return"
    REVOKE = "revoke"


MOVES: Mapping[tuple[Status, Move], Status] = MappingProxyType(
    {
        (Status.PENDING, Move.APPROVE): Status.APPROVED,
        (Status.PENDING, Move.ESCALATE): Status.APPROVED,
        (Status.PENDING, Move.DENY): Status.DENIED,
        (Status.PENDING, Move.CANCEL): Status.CANCELLED,
        (Status.APPROVED, Move.USE): Status.USED,
        (Status.APPROVED, Move.CANCEL): Status.CANCELLED,
        (Status.APPROVED, Move.RETURN): Status.RETURNED,  # inside a window that was asked for, before its first use
        (Status.APPROVED, Move.REVOKE): Status.REVOKED,
        (Status.USED, Move.UNUSE): Status.APPROVED,
        (Status.USED, Move.RETURN): Status.RETURNED,
        (Status.USED, Move.REVOKE): Status.REVOKED,
    }
)


class State(StrEnum):
    """What is reported."""

    PENDING = "pending"
    EXPIRED = "expired"
    DENIED = "denied"
    CANCELLED = "cancelled"
    READY = "ready"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"
    RETURNED = "returned"
    REVOKED = "revoked"


OPEN = frozenset({State.PENDING, State.READY, State.SCHEDULED, State.ACTIVE})


class Expired(StrEnum):
    UNANSWERED = "unanswered"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Window:
    """`[starts_at, ends_at)`, aware UTC, whole seconds: when a grant may be used."""

    starts_at: datetime
    ends_at: datetime


def state(
    status: Status, *, answer_by: datetime, use_by: datetime | None, window: Window | None, now: datetime
) -> tuple[State, Expired | None]:
    """The reported state at `now`, and why it expired where it did. At the very instant of a clock's end it is over."""
    match status:
        case Status.PENDING:
            return (State.PENDING, None) if now < answer_by else (State.EXPIRED, Expired.UNANSWERED)
        case Status.APPROVED if window is not None and now < window.starts_at:
            return State.SCHEDULED, None
        case Status.APPROVED if window is not None:
            return _begun(window, now)
        case Status.APPROVED:
            unused = use_by is not None and now >= use_by
            return (State.EXPIRED, Expired.UNUSED) if unused else (State.READY, None)
        case Status.USED if window is not None:
            # Also before its start: where it was used by a clock ahead of this one, it has begun.
            return _begun(window, now)
        case Status.USED:
            raise ValueError("a used request without a window")
        case _:
            return State(status.value), None


def _begun(window: Window, now: datetime) -> tuple[State, None]:
    return (State.ACTIVE if now < window.ends_at else State.ENDED), None


def moved(status: Status, move: Move) -> Status:
    """The status that a move leads to. Raises ValueError where the table has no such move."""
    try:
        return MOVES[status, move]
    except KeyError:
        raise ValueError(f"there is no move {move!r} from {status!r}") from None
