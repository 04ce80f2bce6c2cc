"""Puts Daypass together, each piece at its first use and once for each container; only entry points import this."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

from ulid import ULID

from chalicelib import settings
from chalicelib.aws.clients import sts_client
from chalicelib.aws.directories import AwsDirectories, hurried
from chalicelib.aws.revoker import IamRevoker
from chalicelib.aws.sts import StsLender
from chalicelib.aws.table import Table
from chalicelib.broker import sweeping
from chalicelib.broker.ports import World
from chalicelib.broker.sweeping import Outcome
from chalicelib.catalogue_source import CatalogueSource
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.principal import Principal
from chalicelib.identity import bearer, sigv4
from chalicelib.identity.fetch import fetch
from chalicelib.identity.keys import Keys
from chalicelib.log import log
from chalicelib.web.gate import Gate
from chalicelib.web.routes import Inside


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
def world() -> World:
    """One botocore session for the table, for STS and for the revoker."""
    ours = _settings()
    table = Table(ours.table, region=ours.region)
    lender = StsLender(sts_client(table.session, ours.region))
    return World(
        catalogue=catalogue,
        requests=table,
        lender=lender,
        revoker=IamRevoker(table.session, ours.region),
        directories=AwsDirectories(hurried(table.session, ours.region)),
        now=_now,
        new_id=lambda: str(ULID()),
        new_salt=lambda: token_hex(16),
    )


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
