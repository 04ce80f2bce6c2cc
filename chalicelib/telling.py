"""Telling: what was committed is told at once to those who watch, as metrics and as lines of the log.

Only what is on the record is told, and at most once: where the table's answer got lost, its stream still has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from chalicelib.aws.table import Table
from chalicelib.broker.ports import Claim
from chalicelib.core.ledger import Event, EventType
from chalicelib.core.life import Status
from chalicelib.core.request import Change, Request
from chalicelib.core.revocation import Step
from chalicelib.core.times import read_stamp
from chalicelib.log import log
from chalicelib.metrics import Metric, count, measure

_COUNTED: Mapping[str, Metric] = {
    EventType.BREAK_GLASS_OPENED: Metric.BREAK_GLASS_OPENED,
    EventType.DENY_WRITTEN: Metric.DENY_WRITTEN,
    EventType.SESSION_ISSUED: Metric.SESSIONS_ISSUED,
}
_TIMED: Mapping[str, tuple[Metric, Callable[[Request], bool]]] = {
    EventType.APPROVED: (Metric.TIME_TO_APPROVE, lambda request: request.status is Status.APPROVED),
    EventType.SESSION_ISSUED: (Metric.TIME_TO_CREDENTIALS, lambda request: request.sessions_begun == 1),
}
_LOGGED: Mapping[str, tuple[Callable[..., None], str]] = {
    EventType.BREAK_GLASS_OPENED: (log.critical, "break_glass_opened"),
    EventType.BREAK_GLASS_REVIEWED: (log.info, "break_glass_reviewed"),
    EventType.REVOKED: (log.info, "access_revoked"),
}


class ToldTable(Table):
    """The table, which tells what it has stored."""

    def submit(self, change: Change, *further: Change, claim: Claim | None, max_open: int, now: datetime) -> None:
        super().submit(change, *further, claim=claim, max_open=max_open, now=now)
        tell(change, *further)

    def commit(self, change: Change, *further: Change) -> None:
        super().commit(change, *further)
        tell(change, *further)

    def restore(self, change: Change, *, claim: Claim | None, now: datetime) -> None:
        super().restore(change, claim=claim, now=now)
        tell(change)


def tell(*changes: Change) -> None:
    """Tell of every event of changes that were stored. Texts that people wrote are not among it."""
    for after, event in ((change.after, event) for change in changes for event in change.events):
        if event.type in _COUNTED:
            count(_COUNTED[event.type])
        elif event.type == EventType.DENY_FAILED and event.details["step"] == Step.WRITE:
            count(Metric.DENY_NOT_WRITTEN)
        if event.type in _TIMED:
            metric, done = _TIMED[event.type]
            if done(after):
                measure(metric, read_stamp(event.at) - after.created_at)
        if event.type in _LOGGED:
            say, name = _LOGGED[event.type]
            say(name, extra=_fields(after, event))


def _fields(request: Request, event: Event) -> dict[str, str]:
    review = {"verdict": request.review.verdict.value} if request.review else {}
    return {
        "id": request.id,
        "principal": event.actor,
        "requester": request.requester.id,
        "role": request.role,
        "account": request.account,
        **review,
    }
