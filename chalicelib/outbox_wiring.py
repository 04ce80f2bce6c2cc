"""Puts the outbox together, each piece at its first use; only entry points import this.

What it needs is imported where it runs: a request's path never pays for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from chalicelib.log import log
from chalicelib.metrics import Metric, count
from chalicelib.wiring import bindings, catalogue, environment, now, secrets, table, trail, world

if TYPE_CHECKING:
    from chalicelib.aws.bus import DeadLetterQueue, EventBus, Topic
    from chalicelib.aws.messages import MessagesTable
    from chalicelib.aws.safe import S3Safe
    from chalicelib.core.ledger import Recorded
    from chalicelib.core.request import Request
    from chalicelib.outbox.batch import Read, Sink
    from chalicelib.outbox.ports import Message
    from chalicelib.outbox.posting import Desk
    from chalicelib.slack.posting import Slack

Records = Sequence[Mapping[str, Any]]

_PAGE = 200
_NAMED = 20


def announce(records: Records) -> dict[str, Any]:
    """Put what the stream's records tell of on the bus, and emergencies on the topic. Returns what Lambda reads."""
    from chalicelib.outbox import announcing, paging

    sinks: dict[str, Sink] = {}
    if bus := _bus():
        sinks["bus"] = partial(announcing.announce, bus=bus, find=_find, now=now())
    if topic := _topic():
        sinks["topic"] = partial(paging.page, pager=topic, messages=_messages(), find=_find)
    return _handled("announced", records, sinks)


def post(records: Records, slack: Slack | None = None) -> dict[str, Any]:
    """Bring Slack up to date with what the stream's records tell of. Returns what Lambda reads.

    slack: instead of the one that the settings name.
    """
    from chalicelib.outbox import posting

    told = slack or web_slack()
    return _handled("posted", records, {"slack": partial(posting.post, desk=_desk(told))} if told else {})


def copy(records: Records) -> dict[str, Any]:
    """Write what the stream's records tell of into the copy of the ledger. Returns what Lambda reads."""
    from chalicelib.aws.stream import guarded
    from chalicelib.outbox import copying

    safe = _safe()
    return _handled("copied", records, {"copy": partial(copying.copy, safe=safe)} if safe else {}, guarded)


def digest() -> None:
    """Sign what the copy of the ledger holds of every day that is over, told in one line."""
    from chalicelib.outbox import digesting

    safe, key = _safe(), environment().digest_key
    if safe is None or key is None:
        return
    from chalicelib.aws.signing import DigestKey

    run = digesting.digest(safe, DigestKey(table().session, key), _day_of_the_table, now)
    for _ in run.made:
        count(Metric.LEDGER_DIGESTED)
    told = {"made": [day.isoformat() for day in run.made], "finished": run.finished}
    if run.changed or run.unlike:
        count(Metric.LEDGER_FORGED)
        found = {"changed": sorted(run.changed)[:_NAMED], "unlike": run.unlike[:_NAMED]}
        log.error("ledger_differs", extra={**told, **found, "count": len(run.changed) + len(run.unlike)})
    else:
        log.info("ledger_digested", extra=told)


def _day_of_the_table(day: date) -> Iterator[Recorded]:
    after: str | None = None
    while True:
        page = table().day(day, after=after, limit=_PAGE)
        yield from page.items
        after = page.next
        if after is None:
            return


def remind(slack: Slack | None = None) -> None:
    """One run of the reminders, told in one line. slack: instead of the one that the settings name."""
    from chalicelib.outbox import reminding

    if told := slack or web_slack():
        log.info("reminded", extra=asdict(reminding.remind(_desk(told))))


@cache
def web_slack() -> Slack | None:
    """Slack's Web API; None where no bot token is set."""
    from chalicelib.slack.posting import WebApi

    ours = environment()
    if ours.slack_bot_token is None:
        return None
    arn, kept = ours.slack_bot_token.get_secret_value(), secrets()
    return WebApi(lambda: (kept.changed(arn) or kept.get(arn)).value, ours.slack_api)


def _handled(done: str, records: Records, sinks: Mapping[str, Sink], read: Read | None = None) -> dict[str, Any]:
    """One line in the log for a batch that told something, and one for each letter that was put aside."""
    from chalicelib.aws.stream import committed
    from chalicelib.outbox.batch import handle
    from chalicelib.outbox.ports import Forged

    if not sinks:
        return {"batchItemFailures": []}
    handled = handle(records, read=read or committed, sinks=sinks, dead=_dead_letters())
    for letter, error in handled.buried:
        if isinstance(error, Forged):
            count(Metric.LEDGER_FORGED)
        log.error("announcement_buried", extra=dict(letter), exc_info=error)
    if handled.announced or handled.failed:
        log.info(done, extra={"lines": handled.announced, "failed": handled.failed, "why": handled.why})
    return handled.response()


def _desk(slack: Slack) -> Desk:
    from chalicelib.outbox.posting import Desk

    return Desk(
        requests=world().requests,
        catalogue=catalogue,
        now=now,
        messages=_messages(),
        slack=slack,
        people=bindings().users_of,
        not_told=_not_told,
        done=_done,
    )


def _done(request_id: str) -> str:
    from chalicelib.broker.looking import summary

    return summary(world().requests, trail(), request_id) if environment().trail else ""


def _not_told(message: Message, code: str) -> None:
    log.warning("slack_not_told", extra={"error": code, "place": message.place, "id": message.request_id})


@cache
def _bus() -> EventBus | None:
    from chalicelib.aws.bus import EventBus

    bus = environment().event_bus
    return EventBus(table().session, environment().region, bus) if bus else None


@cache
def _topic() -> Topic | None:
    from chalicelib.aws.bus import Topic

    topic = environment().break_glass_topic
    return Topic(table().session, environment().region, topic) if topic else None


@cache
def _dead_letters() -> DeadLetterQueue | None:
    from chalicelib.aws.bus import DeadLetterQueue

    url = environment().dead_letters
    return DeadLetterQueue(table().session, environment().region, url) if url else None


@cache
def _safe() -> S3Safe | None:
    from chalicelib.aws.safe import S3Safe

    place = environment().ledger_copy
    return S3Safe(table().session, environment().region, place) if place else None


def _find(request_id: str) -> Request | None:
    return world().requests.get(request_id)


@cache
def _messages() -> MessagesTable:
    from chalicelib.aws.messages import MessagesTable

    return MessagesTable(table())
