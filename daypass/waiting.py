"""Waiting for the answer to a request: visibly, politely, and so that whoever stops waiting loses nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from daypass import showing
from daypass.client import DaypassError
from daypass.finding import why_not
from daypass.saying import INTERRUPTED, TIMED_OUT, Stop, note

if TYPE_CHECKING:
    from daypass.client import Client, Json

FIRST_SECONDS: Final = 2.0
SLOWER_BY: Final = 1.3
LONGEST_SECONDS: Final = 20.0
_PASSING: Final = frozenset({"throttled", "unavailable", "slow", "unreachable"})


class TimedOut(Exception):
    """Nobody answered for as long as somebody wanted to wait. The request stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What waiting needs of the world. show: hears of what is waited for, again and again, in one line."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    show: Callable[[str], None]


def granted(client: Client, request: Json, patience: timedelta | None = None) -> Json:
    """The request, once it may be used or will; what it waits for is shown meanwhile. Raises Stop where that ends."""
    ending = str(request.get("id", ""))[-showing.ENDING :]
    stands = f"Request {ending} stands: daypass show {ending} tells how it is, daypass cancel {ending} takes it back."
    try:
        with _Shown() as show:
            clock = Clock(now=lambda: datetime.now(UTC), sleep=time.sleep, show=show)
            request = answered(client, request, clock, patience)
    except TimedOut:
        raise Stop(f"Nobody answered in time. {stands}", TIMED_OUT) from None
    except KeyboardInterrupt:
        raise Stop(f"Nobody waits any more. {stands}", INTERRUPTED) from None
    if request.get("state") in ("ready", "active", "scheduled"):
        return request
    if request.get("expired_because") == "unanswered":
        raise Stop(f"Nobody answered request {ending} in time. Ask again.", TIMED_OUT)
    raise why_not(request)


class _Shown:
    """One line on standard error: on a terminal always the newest, elsewhere each that says something new."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said = ""

    def __enter__(self) -> Callable[[str], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._said:
            sys.stderr.write("\r\x1b[K")

    def _show(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text} Ctrl-C leaves it standing.")
            sys.stderr.flush()
        elif text.partition(", for ")[0] != self._said:
            note(text)
        self._said = text.partition(", for ")[0]


def answered(client: Client, request: Json, clock: Clock, patience: timedelta | None = None) -> Json:
    """The request once it waits no more, whatever became of it; asked for ever more seldom, and as the server wishes.

    patience: how long to wait at most; None: as long as an answer may come. An outage is waited out as an answer is.
    Raises TimedOut, and DaypassError for what waiting does not better.
    """
    until = clock.now() + patience if patience is not None else None
    pause, trouble = FIRST_SECONDS, ""
    while request.get("state") == "pending":
        clock.show(line(request, clock.now()) + trouble)
        if until is not None and clock.now() >= until:
            raise TimedOut
        clock.sleep(pause if until is None else min(pause, max(0.0, (until - clock.now()).total_seconds())))
        pause = min(pause * SLOWER_BY, LONGEST_SECONDS)
        try:
            request, trouble = client.request(str(request["id"])), ""
        except DaypassError as error:
            if error.slug not in _PASSING:
                raise
            trouble = f" ({showing.plain(error.detail)})"
            pause = max(pause, error.retry_after or 0.0)
    return request


def line(request: Json, now: datetime) -> str:
    """`Waiting for 1 of groups sre-leads, for 2 min; 7 h 58 min remain.`"""
    waits = showing.stages(request.get("stages", []), missing=True) or "an answer"
    since, until = _instant(request.get("created_at")), _instant(request.get("answer_by"))
    for_so_long = f", for {_minutes(now - since)}" if since else ""
    remain = f"; {_minutes(until - now)} remain" if until else ""
    return f"Waiting for {waits}{for_so_long}{remain}."


def _minutes(length: timedelta) -> str:
    """Whole minutes: what is shown shall not flicker."""
    seconds = max(0, int(length.total_seconds()))
    return showing.length(seconds - seconds % 60) if seconds >= 60 else "less than a minute"


def _instant(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
