"""Erasing: the free texts of a request that is over go, with the salt that their commitments were made with.

The history keeps the commitments, which say nothing any more, and so still holds (docs/decisions/0004).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.core.ledger import EventType
from chalicelib.core.life import OPEN
from chalicelib.core.refusals import NotOver
from chalicelib.core.request import Approval, Change, Request

ERASED = "(erased)"
"""What stands where a text was."""


def hindrance(request: Request, now: datetime) -> NotOver | None:
    """Why its texts may not be erased yet; None where somebody needs them no more."""
    state = request.state(now)
    if state in OPEN:
        return NotOver(f"The request is {state}: its texts can be erased once it is over.")
    if request.break_glass and request.review is None:
        return NotOver("Nobody has reviewed this emergency: its texts can be erased once somebody has.")
    if request.lent_until and now < request.lent_until:
        return NotOver("Sessions of the request still live, and may be revoked: its texts can be erased after them.")
    return None


def erased(request: Request, by: str, now: datetime) -> Change:
    """The request without what people wrote: reason, comments, why it was made an emergency, what its review said."""
    texts: dict[str, Any] = {
        "reason": ERASED,
        "decision_comment": request.decision_comment and ERASED,
        "escalated_because": request.escalated_because and ERASED,
        "approvals": _silent(request.approvals),
        "review": replace(request.review, comment=ERASED) if request.review else None,
        "link": replace(request.link, approvals=_silent(request.link.approvals)) if request.link else None,
        "salt": "",
        "erased_at": now,
    }
    return Change(request, request).then(EventType.ERASED, at=now, actor=by, details={}, **texts)


def _silent(approvals: tuple[Approval, ...]) -> tuple[Approval, ...]:
    return tuple(replace(each, comment=each.comment and ERASED) for each in approvals)
