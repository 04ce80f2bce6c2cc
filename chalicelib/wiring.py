"""Puts Daypass together, each piece at its first use and once for each container; only entry points import this."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from chalice.app import Chalice
from ulid import ULID

from chalicelib import settings
from chalicelib.aws.clients import sts_client
from chalicelib.aws.revoker import IamRevoker
from chalicelib.aws.signin import AwsConsole
from chalicelib.aws.signing import KmsSigner
from chalicelib.aws.sts import StsLender
from chalicelib.aws.table import Table
from chalicelib.broker.ports import Directories, Trail, World
from chalicelib.catalogue_source import CatalogueSource
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.console import site
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
    from chalicelib.aws.day_chains import DayChains as StoredChains
    from chalicelib.aws.queue import SqsQueue
    from chalicelib.aws.secrets import Secrets
    from chalicelib.broker.draining import Drained
    from chalicelib.signed_catalogue import SignedCatalogue
    from chalicelib.slack.door import Door


@cache
def environment() -> settings.Settings:
    return settings.read()


@cache
def _catalogue() -> CatalogueSource | SignedCatalogue:
    ours = environment()

    def parse(text: str) -> Catalogue:
        return read_catalogue(text, hub_account=ours.hub_account, partition=ours.partition, local=ours.local)

    if ours.catalogue.startswith(settings.S3):
        return _signed_catalogue(parse)
    return CatalogueSource(Path(ours.catalogue), parse)


def _signed_catalogue(parse: Callable[[str], Catalogue]) -> SignedCatalogue:
    from chalicelib.aws.catalogue_bucket import CatalogueBucket
    from chalicelib.aws.catalogue_state import CatalogueState
    from chalicelib.aws.clients import fallback_client
    from chalicelib.signed_catalogue import SignedCatalogue

    ours, stored = environment(), table()
    quick = fallback_client(stored.session, "dynamodb", ours.region)
    return SignedCatalogue(
        CatalogueBucket(stored.session, ours.region, ours.catalogue),
        CatalogueState(stored, day_chains(), quick),
        ours.catalogue_keys,
        parse,
        now,
        max_stale=ours.catalogue_max_stale,
    )


def catalogue() -> Catalogue:
    return _catalogue()()


def held_catalogue() -> Catalogue | None:
    """What is known of the catalogue without a call to AWS."""
    return _catalogue().held()


@cache
def table() -> ToldTable:
    ours = environment()
    return ToldTable(ours.table, region=ours.region)


@cache
def world() -> World:
    """One botocore session for everything of AWS."""
    ours, stored = environment(), table()
    lender = StsLender(sts_client(stored.session, ours.region), KmsSigner(stored.session).sign)
    return World(
        catalogue=catalogue,
        requests=stored,
        trail=trail,
        day_chains=day_chains,
        bindings=bindings,
        lender=lender,
        revoker=IamRevoker(stored.session, ours.region),
        directories=_directories,
        now=now,
        new_id=lambda: str(ULID()),
        new_salt=lambda: token_hex(16),
        console=_console(),
        queue=_queue(stored),
    )


def _console() -> AwsConsole | None:
    known = site(environment().partition, environment().region, environment().signin)
    return AwsConsole(known) if known else None


def _queue(stored: Table) -> SqsQueue | None:
    url, key = environment().emergency_queue, environment().emergency_key
    if url is None or key is None:
        return None
    from chalicelib.aws.queue import SqsQueue

    return SqsQueue(stored.session, environment().region, url=url, key=key)


@cache
def _directories() -> Directories:
    from chalicelib.aws.directories import AwsDirectories, hurried

    return AwsDirectories(hurried(table().session, environment().region))


@cache
def trail() -> Trail:
    from chalicelib.aws.trail_notes import TrailNotes

    return TrailNotes(table())


@cache
def day_chains() -> StoredChains:
    from chalicelib.aws.day_chains import DayChains as Stored

    return Stored(table())


@cache
def bindings() -> StoredBindings:
    from chalicelib.aws.bindings import Bindings as Stored

    return Stored(table())


@cache
def gate() -> Gate:
    keys = Keys(fetch)
    door = environment().iam_door

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
            partition=environment().partition,
            now=now(),
        )

    return Gate(bearer=from_bearer, iam=from_iam if door else None)


def slack(app: Chalice) -> View:
    """The Slack door's view: what it needs is imported and made when somebody knocks."""

    @cache
    def door() -> Door:
        return _slack_door(app)

    return lambda request, fields: door().answer(request, fields)


@cache
def secrets() -> Secrets:
    from chalicelib.aws.secrets import Secrets

    return Secrets(table().session)


def _slack_door(app: Chalice) -> Door:
    from chalicelib.slack.door import Door, Handle

    ours = environment().slack_door
    if ours is None:
        raise Unauthenticated("The Slack door is shut here: it needs the app's signing secret and bot token.")
    kept = secrets()
    signing_secret, bot_token = ours.signing_secret.get_secret_value(), ours.bot_token.get_secret_value()

    @cache
    def listening() -> Handle:
        from chalicelib.slack.calls import SlackCalls
        from chalicelib.slack.listening import listening
        from chalicelib.slack.visit import Office

        calls = SlackCalls(lambda: kept.get(bot_token), ours.api, time.monotonic)
        return listening(Office(world, calls, time.time), app)

    return Door(
        secret=lambda: kept.get(signing_secret),
        changed_secret=lambda: kept.changed(signing_secret),
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


def forget() -> None:
    """Let go what has been over for longer than the settings say, told in one line."""
    from chalicelib.aws.past import PastTable
    from chalicelib.broker import forgetting

    retain = environment().retain
    if retain is None:
        return
    run = forgetting.forget(PastTable(table()), now, retain=retain)
    for request_id, error in run.failures.items():
        log.error("forgetting_failed", extra={"id": request_id}, exc_info=error)
    log.info("forgotten", extra={"requests": len(run.requests), "failed": len(run.failures)})


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


def now() -> datetime:
    """Whole seconds: what windows are made of."""
    return datetime.now(UTC).replace(microsecond=0)


INSIDE = Inside(world=world, gate=gate, catalogue=catalogue, held=held_catalogue)
