"""A start that was asked for: which ones may be, and the window that follows from it."""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.core.life import Window
from chalicelib.core.refusals import FieldError, Invalid
from chalicelib.core.times import stamp

FURTHEST = timedelta(days=30)
"""How far ahead a window may begin."""


def window_asked(starts_at: datetime | None, duration: timedelta, now: datetime) -> Window | None:
    """`[starts_at, starts_at + duration)`; None where no start was asked for and the first use opens the window.

    Raises Invalid for a start that is over, or further ahead than FURTHEST. Both refusals tell our own time: the
    caller's clock may be another one.
    """
    if starts_at is None:
        return None
    asked = f"{stamp(starts_at)} is"
    if starts_at < now:
        raise _invalid("starts_at", f"{asked} past, it is {stamp(now)} here: leave it out to begin at the first use")
    if starts_at > now + FURTHEST:
        raise _invalid("starts_at", f"{asked} more than {FURTHEST.days} days ahead, it is {stamp(now)} here")
    return Window(starts_at, starts_at + duration)


def window_cut(window: Window | None, duration: timedelta, now: datetime) -> Window | None:
    """The window that was asked for, as an approver's duration ends it. Raises Invalid where that is over by now."""
    if window is None:
        return None
    cut = Window(window.starts_at, window.starts_at + duration)
    if now >= cut.ends_at:
        raise _invalid("duration_seconds", f"this access begins at {stamp(window.starts_at)} and would be over by now")
    return cut


def answer_by(latest: datetime, window: Window | None, use_by: datetime | None = None) -> datetime:
    """Until when an answer counts: nobody answers for a window that is over, or for what could no longer be used."""
    return min(end for end in (latest, window.ends_at if window else None, use_by) if end is not None)


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}.", (FieldError(field, message),))
