"""Puts the readers of CloudTrail's files together, each piece at its first use; only entry points import this.

What it needs is imported where it runs: a request's path never pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.core.refusals import Unavailable
from chalicelib.log import log
from chalicelib.metrics import Metric, count
from chalicelib.wiring import day_chains, environment, now, table, trail

if TYPE_CHECKING:
    from chalicelib.aws.notifications import Buckets, Delivered
    from chalicelib.core.ledger import Detail


def take(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Note the log files that the queue's messages tell of. Returns what Lambda reads: which messages come again."""
    failed: list[str] = []
    for message in messages:
        try:
            _take(str(message["body"]))
        except Exception as error:  # whatever it is: this message comes again, the others must not
            failed.append(str(message["messageId"]))
            log.error("trail_file_failed", extra={"message_id": failed[-1], "why": _why(error)})
    return {"batchItemFailures": [{"itemIdentifier": id} for id in failed]}


def _take(body: str) -> None:
    from chalicelib.aws.notifications import NoNotification, delivered

    try:
        files = list(delivered(body))
    except NoNotification as why:  # it never will be one
        log.error("trail_message_set_aside", extra={"why": str(why)})
        count(Metric.TRAIL_FILE_SET_ASIDE)
        return
    for file in files:
        _note(file)


def _note(file: Delivered) -> None:
    from chalicelib.aws.trail_files import SetAside, read
    from chalicelib.broker import balancing

    try:
        log_file = read(_buckets().found(file))
    except SetAside as why:
        log.error("trail_file_set_aside", extra={"key": file.key, "why": str(why)})
        count(Metric.TRAIL_FILE_SET_ASIDE)
        return
    noted = balancing.take(trail(), log_file.digest.hex(), log_file.records, now())
    told = {"key": file.key, "events": noted.events, "notes": len(noted.notes)}
    if noted.set_aside:
        log.warning("trail_file_noted", extra={**told, "set_aside": dict(noted.set_aside)})
    else:
        log.info("trail_file_noted", extra=told)


def balance() -> None:
    """One run that judges what the two books do not have in common, told in one line; and a line for each finding."""
    from chalicelib.broker import balancing

    if not environment().trail:
        return
    balanced = balancing.balance(trail(), day_chains(), now=now(), found=_found, missed=_missed)
    for error in balanced.failures:
        log.error("balancing_failed", extra={"why": _why(error)})
    told = {"bypasses": balanced.bypasses, "unseen": balanced.unseen, "explained": balanced.explained}
    log.info("balanced", extra={**told, "failed": len(balanced.failures)})


def _found(told: Mapping[str, Detail]) -> None:
    log.error("bypass_found", extra=dict(told))
    count(Metric.BYPASS_FOUND)


def _missed(told: Mapping[str, Detail]) -> None:
    log.error("session_unseen", extra=dict(told))
    count(Metric.SESSION_UNSEEN)


def _why(error: Exception) -> str:
    """Ours in full; of others the kind, since their words may hold what they were given."""
    return error.detail if isinstance(error, Unavailable) else type(error).__name__


@cache
def _buckets() -> Buckets:
    from chalicelib.aws.notifications import Buckets

    return Buckets(table().session, environment().region)
