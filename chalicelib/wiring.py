"""Puts Daypass together, each piece at its first use and once for each container; only entry points import this."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
from chalicelib.aws.sts import StsLender
from chalicelib.aws.table import Table
from chalicelib.broker import sweeping
from chalicelib.broker.ports import Bindings, World
from chalicelib.broker.sweeping import Outcome
from chalicelib.catalogue_source import CatalogueSource
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import Unauthenticated
from chalicelib.identity import bearer, sigv4
from chalicelib.identity.fetch import fetch
from chalicelib.identity.keys import Keys
from chalicelib.log import log
from chalicelib.web.gate import Gate
from chalicelib.web.routes import Inside, View

if TYPE_CHECKING:
    from chalicelib.slack.door import Door


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
def _table() -> Table:
    ours = _settings()
    return Table(ours.table, region=ours.region)


@cache
def world() -> World:
    """One botocore session for the table, for STS and for the revoker."""
    ours, table = _settings(), _table()
    lender = StsLender(sts_client(table.session, ours.region))
    return World(
        catalogue=catalogue,
        requests=table,
        bindings=_bindings,
        lender=lender,
        revoker=IamRevoker(table.session, ours.region),
        now=_now,
        new_id=lambda: str(ULID()),
        new_salt=lambda: token_hex(16),
    )


@cache
def _bindings() -> Bindings:
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


def _slack_door(app: Chalice) -> Door:
    from chalicelib.aws.secrets import Secrets
    from chalicelib.slack.door import Door, Handle

    ours = _settings().slack_door
    if ours is None:
        raise Unauthenticated("The Slack door is shut here: it needs the app's signing secret and bot token.")
    secrets = Secrets(_table().session)
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
    """One run of the sweeper, told in one line; and a line for each request that could not be announced."""
    swept = sweeping.sweep(world())
    for request_id, error in swept.failures.items():
        log.error("announcement_failed", extra={"id": request_id}, exc_info=error)
    counts = {outcome.value: swept.outcomes[outcome] for outcome in Outcome}
    log.info("swept", extra={**counts, "finished": swept.finished})


def _now() -> datetime:
    """Whole seconds: what windows are made of."""
    return datetime.now(UTC).replace(microsecond=0)


INSIDE = Inside(world=world, gate=gate, catalogue=catalogue)
