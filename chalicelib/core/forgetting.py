"""Forgetting: when nothing can happen to a request any more, and how long ago that was."""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.core.life import OPEN
from chalicelib.core.request import Request

LEAST = timedelta(days=90)
"""The shortest time for which a finished request is kept: what digests and CloudTrail tell of it comes weeks later."""


def forgettable(request: Request, *, now: datetime, retain: timedelta) -> bool:
    """Whether the request has been over for so long that it may go.

    Never while it is open, while a clock of it is not announced or a deny not settled, or an emergency not reviewed.
    """
    finished = request.state(now) not in OPEN and request.due_at() is None
    reviewed = request.review is not None or not request.break_glass
    return finished and reviewed and _last(request) + retain <= now


def _last(request: Request) -> datetime:
    """The last instant that anything of it tells of."""
    instants = [request.created_at, request.answer_by, request.use_by, request.announced, request.lent_until]
    instants += [approval.at for approval in request.approvals]
    if request.window:
        instants.append(request.window.ends_at)
    if request.review:
        instants.append(request.review.at)
    if request.revocation:
        instants.append(request.revocation.stopped_at)
        instants += [deny.removed_at or deny.written_at for deny in request.revocation.denies]
    return max(instant for instant in instants if instant)
