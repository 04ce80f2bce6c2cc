"""Puts Daypass together, each piece at its first use and once for each container; only entry points import this."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from chalice.app import Chalice
from ulid import ULID

from chalicelib import settings
from chalicelib.aws.clients import sts_client
from chalicelib.aws.revoker import IamRevoker
from chalicelib.aws.signing import KmsSigner
from chalicelib.aws.sts import StsLender
from chalicelib.aws.table import Table
from chalicelib.broker.ports import Directories, World
from chalicelib.catalogue_source import CatalogueSource
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import Unauthenticated, Unavailable
from chalicelib.identity import bearer, sigv4
from chalicelib.identity.fetch import fetch
from chalicelib.identity.keys import Keys
from chalicelib.log import log
from chalicelib.metrics import Metric, count
from chalicelib.telling import ToldTable
from chalicelib.web.gate import Gate
from chalicelib.web.routes import Inside, View

if TYPE_CHECKING:
    from chalicelib.aws.bindings import Bindings as StoredBindings
    from chalicelib.aws.bus import DeadLetterQueue, EventBus, Topic
    from chalicelib.aws.messages import MessagesTable
    from chalicelib.aws.queue import SqsQueue
    from chalicelib.aws.secrets import Secrets
    from chalicelib.broker.draining import Drained
    from chalicelib.core.request import Request
    from chalicelib.outbox.batch import Sink
    from chalicelib.outbox.ports import Message
    from chalicelib.outbox.posting import Desk
    from chalicelib.slack.door import Door
    from chalicelib.slack.posting import Slack


@cache
def _settings() -> settings.Settings:
    return settings.read()


@cache
def _catalogue() -> CatalogueSource:
    ours = _settings()

    def parse(text: str) -> Catalogue:
        return read_catalogue(text, hub_account=ours.hub_account, partition=ours.partition, local=ours.local)

    return CatalogueSource(Path(ours.catalogue), parse)


def catalogue() -> Catalogue:
    return _catalogue()()


@cache
def _table() -> ToldTable:
    ours = _settings()
    return ToldTable(ours.table, region=ours.region)


@cache
def world() -> World:
    """One botocore session for everything of AWS."""
    ours, table = _settings(), _table()
    lender = StsLender(sts_client(table.session, ours.region), KmsSigner(table.session).sign)
    return World(
        catalogue=catalogue,
        requests=table,
        bindings=_bindings,
        lender=lender,
        revoker=IamRevoker(table.session, ours.region),
        directories=_directories,
        now=_now,
        new_id=lambda: str(ULID()),
        new_salt=lambda: token_hex(16),
        queue=_queue(table),
    )


def _queue(table: Table) -> SqsQueue | None:
    url, key = _settings().emergency_queue, _settings().emergency_key
    if url is None or key is None:
        return None
    from chalicelib.aws.queue import SqsQueue

    return SqsQueue(table.session, _settings().region, url=url, key=key)


@cache
def _directories() -> Directories:
    from chalicelib.aws.directories import AwsDirectories, hurried

    return AwsDirectories(hurried(_table().session, _settings().region))


@cache
def _bindings() -> StoredBindings:
    from chalicelib.aws.bindings import Bindings as Stored

    return Stored(_table())


@cache
def gate() -> Gate:
    keys = Keys(fetch)
    door = _settings().iam_door

    def from_bearer(token: str) -> Principal:
        return bearer.verify(token, catalogue=catalogue(), keys=keys, now=datetime.now(UTC))

    def from_iam(context: Mapping[str, Any]) -> Principal:
        assert door is not None
        return sigv4.verify(
            context,
            catalogue=catalogue(),
            api_id=door.api_id,
            stage=door.stage,
            organization_id=door.organization_id,
            partition=_settings().partition,
            now=_now(),
        )

    return Gate(bearer=from_bearer, iam=from_iam if door else None)


def slack(app: Chalice) -> View:
    """The Slack door's view: what it needs is imported and made when somebody knocks."""

    @cache
    def door() -> Door:
        return _slack_door(app)

    return lambda request, fields: door().answer(request, fields)


@cache
def _secrets() -> Secrets:
    from chalicelib.aws.secrets import Secrets

    return Secrets(_table().session)


def _slack_door(app: Chalice) -> Door:
    from chalicelib.slack.door import Door, Handle

    ours = _settings().slack_door
    if ours is None:
        raise Unauthenticated("The Slack door is shut here: it needs the app's signing secret and bot token.")
    secrets = _secrets()
    signing_secret, bot_token = ours.signing_secret.get_secret_value(), ours.bot_token.get_secret_value()

    @cache
    def listening() -> Handle:
        from chalicelib.slack.calls import SlackCalls
        from chalicelib.slack.listening import listening
        from chalicelib.slack.visit import Office

        calls = SlackCalls(lambda: secrets.get(bot_token), ours.api, time.monotonic)
        return listening(Office(world, calls, time.time), app)

    return Door(
        secret=lambda: secrets.get(signing_secret),
        changed_secret=lambda: secrets.changed(signing_secret),
        clock=time.time,
        listening=listening,
    )


def sweep() -> None:
    """One run of the sweeper, told in one line; and a line for each request that could not be announced.

    What the emergency queue holds comes first: it may be due for an announcement itself.
    """
    from chalicelib.broker import sweeping

    _drain()
    swept = sweeping.sweep(world())
    for request_id, error in swept.failures.items():
        log.error("announcement_failed", extra={"id": request_id}, exc_info=error)
        count(Metric.ANNOUNCEMENT_FAILED)
    counts = {outcome.value: swept.outcomes[outcome] for outcome in sweeping.Outcome}
    log.info("swept", extra={**counts, "finished": swept.finished})


def _drain() -> None:
    """Empty the emergency queue, each message told in a line. Where it or the table is out, the next run goes on."""
    from chalicelib.broker import draining

    try:
        for drained in draining.drain(world()):
            _tell(drained, in_the_table=drained.outcome in draining.IN_THE_TABLE)
    except Unavailable as unavailable:
        log.error("draining_stopped", extra={"detail": unavailable.detail})


def _tell(drained: Drained, *, in_the_table: bool) -> None:
    told = {"request_id": drained.message.request_id, "message_id": drained.message.id, "outcome": drained.outcome}
    if in_the_table:
        log.warning("emergency_drained", extra=told)
    elif drained.error:
        log.error("draining_failed", extra=told, exc_info=drained.error)


# The outbox. What it needs is imported where it runs: a request's path never pays for it.

Records = Sequence[Mapping[str, Any]]


def announce(records: Records) -> dict[str, Any]:
    """Put what the stream's records tell of on the bus, and emergencies on the topic. Returns what Lambda reads."""
    from chalicelib.outbox import announcing, paging

    sinks: dict[str, Sink] = {}
    if bus := _bus():
        sinks["bus"] = partial(announcing.announce, bus=bus, find=_find, now=_now())
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


def remind() -> None:
    """One run of the reminders, told in one line."""
    from chalicelib.outbox import reminding

    if slack := web_slack():
        reminded = reminding.remind(_desk(slack))
        log.info("reminded", extra={"posted": reminded.posted, "failed": reminded.failed})


@cache
def web_slack() -> Slack | None:
    """Slack's Web API; None where no bot token is set."""
    from chalicelib.slack.posting import WebApi

    ours = _settings()
    if ours.slack_bot_token is None:
        return None
    arn, secrets = ours.slack_bot_token.get_secret_value(), _secrets()
    return WebApi(lambda: (secrets.changed(arn) or secrets.get(arn)).value, ours.slack_api)


def _handled(done: str, records: Records, sinks: Mapping[str, Sink]) -> dict[str, Any]:
    """One line in the log for a batch that told something, and one for each letter that was put aside."""
    from chalicelib.aws.stream import committed
    from chalicelib.outbox.batch import handle

    if not sinks:
        return {"batchItemFailures": []}
    handled = handle(records, read=committed, sinks=sinks, dead=_dead_letters())
    for letter, error in handled.buried:
        log.error("announcement_buried", extra=dict(letter), exc_info=error)
    if handled.announced or handled.failed:
        log.info(done, extra={"lines": handled.announced, "failed": handled.failed, "why": handled.why})
    return handled.response()


def _desk(slack: Slack) -> Desk:
    from chalicelib.outbox.posting import Desk

    return Desk(
        requests=world().requests,
        catalogue=catalogue,
        now=_now,
        messages=_messages(),
        slack=slack,
        people=_bindings().users_of,
        not_told=_not_told,
    )


def _not_told(message: Message, code: str) -> None:
    log.warning("slack_not_told", extra={"error": code, "place": message.place, "id": message.request_id})


@cache
def _bus() -> EventBus | None:
    from chalicelib.aws.bus import EventBus

    bus = _settings().event_bus
    return EventBus(_table().session, _settings().region, bus) if bus else None


@cache
def _topic() -> Topic | None:
    from chalicelib.aws.bus import Topic

    topic = _settings().break_glass_topic
    return Topic(_table().session, _settings().region, topic) if topic else None


@cache
def _dead_letters() -> DeadLetterQueue | None:
    from chalicelib.aws.bus import DeadLetterQueue

    url = _settings().dead_letters
    return DeadLetterQueue(_table().session, _settings().region, url) if url else None


def _find(request_id: str) -> Request | None:
    return world().requests.get(request_id)


@cache
def _messages() -> MessagesTable:
    from chalicelib.aws.messages import MessagesTable

    return MessagesTable(_table())


def _now() -> datetime:
    """Whole seconds: what windows are made of."""
    return datetime.now(UTC).replace(microsecond=0)


INSIDE = Inside(world=world, gate=gate, catalogue=catalogue)
