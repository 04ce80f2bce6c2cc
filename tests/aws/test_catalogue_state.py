"""What all instances know of the catalogue, in a real table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from chalicelib.aws.catalogue_state import CatalogueState
from chalicelib.aws.clients import fallback_client
from chalicelib.aws.day_chains import DayChains
from chalicelib.aws.items import SHARDS
from chalicelib.aws.table import Table
from chalicelib.broker.ports import Stale
from chalicelib.core.believing import LastGood, Version
from chalicelib.core.ledger import beginning, first_break
from chalicelib.core.refusals import Unavailable
from tests.builders import NOW

FIRST = LastGood(
    version=Version(serial=7, digest="a" * 64, location="s3://cat/c.toml", version_id="v1"),
    seen_at=NOW,
)
SECOND = replace(FIRST, version=replace(FIRST.version, serial=8, digest="b" * 64, version_id="v2"))
LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def state(table: Table) -> CatalogueState:
    return CatalogueState(table, DayChains(table, sleep=lambda seconds: None), table.client)


def test_before_the_first_there_is_none_then_it_is_what_was_put_down(state: CatalogueState) -> None:
    assert state.read() is None
    state.believe(None, FIRST)
    assert state.read() == FIRST
    state.believe(FIRST, SECOND)
    assert state.read() == SECOND


def test_every_newer_version_is_an_event_of_its_day(state: CatalogueState, table: Table) -> None:
    state.believe(None, FIRST)
    state.believe(FIRST, SECOND)
    told = [each.event for each in table.day(NOW.date(), after=None, limit=9).items]
    assert {event.type for event in told} == {"catalogue.changed"}
    by_serial = {event.details["serial"]: event for event in told}
    assert by_serial[7].details == {
        "serial": 7, "digest": "a" * 64, "location": "s3://cat/c.toml", "version_id": "v1",
    }  # fmt: skip
    assert by_serial[8].details["before"] == {"serial": 7, "digest": "a" * 64}
    assert {event.actor for event in told} == {"daypass"}
    for recorded in table.day(NOW.date(), after=None, limit=9).items:
        if recorded.event.seq == 1:
            assert first_break(beginning(recorded.chain), [recorded.event]) is None


@pytest.mark.parametrize("before", [None, SECOND, replace(FIRST, version=replace(FIRST.version, digest="c" * 64))])
def test_given_others_were_faster_then_nothing_is_put_down(
    state: CatalogueState, table: Table, before: LastGood | None
) -> None:
    state.believe(None, FIRST)
    with pytest.raises(Stale):
        state.believe(before, replace(SECOND, version=replace(SECOND.version, serial=9)))
    assert state.read() == FIRST
    assert len(table.day(NOW.date(), after=None, limit=9).items) == 1


def test_of_many_who_find_the_same_newer_version_one_puts_it_down(connect: Callable[..., Table], table: Table) -> None:
    together = Barrier(6)

    def find(_: int) -> bool:
        mine = connect(table._name)
        state = CatalogueState(mine, DayChains(mine, pick=lambda among: SHARDS[0], sleep=lambda _: None), mine.client)
        together.wait()
        try:
            state.believe(None, FIRST)
        except Stale:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(find, range(6))) == 1
    assert len(table.day(NOW.date(), after=None, limit=9).items) == 1


def test_when_it_was_seen_is_put_down_without_an_event_and_only_over_what_was_known(
    state: CatalogueState, table: Table
) -> None:
    state.believe(None, FIRST)
    moved = replace(FIRST.version, version_id="v9")
    state.seen(FIRST, moved, LATER)
    seen = replace(FIRST, version=moved, seen_at=LATER)
    assert state.read() == seen
    state.seen(FIRST, FIRST.version, NOW + timedelta(hours=9))
    assert state.read() == seen, "somebody else had put it down already"
    state.believe(seen, SECOND)
    state.seen(seen, FIRST.version, LATER)
    assert state.read() == SECOND
    assert len(table.day(NOW.date(), after=None, limit=9).items) == 2


def test_given_a_function_that_may_only_read_then_it_leaves_the_writing_to_others(
    state: CatalogueState, table: Table
) -> None:
    refused = (
        400,
        {"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not authorized to PutItem"},
    )

    def no(request: Any, **_: Any) -> Any:
        status, body = refused
        return AWSResponse(request.url, status, HTTPHeaders(), _Body(json.dumps(body).encode()))

    table.client.meta.events.register("before-send.*.TransactWriteItems", no)
    with pytest.raises(Unavailable, match="another one will"):
        state.believe(None, FIRST)
    with pytest.raises(Unavailable, match="another one will"):
        state.seen(FIRST, FIRST.version, LATER)
    assert state.read() is None


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


def test_given_the_table_does_not_answer_then_that_is_said_after_one_try(table: Table) -> None:
    session = botocore.session.Session()
    session.set_credentials("123456789012", "test")
    quick: Any = fallback_client(session, "dynamodb", "us-east-1")
    tries: list[str] = []

    def no_answer(request: Any, **_: Any) -> None:
        tries.append(request.url)
        raise ReadTimeoutError(endpoint_url=request.url)

    quick.meta.events.register("before-send.*.*", no_answer)
    with pytest.raises(Unavailable, match="DynamoDB did not answer"):
        CatalogueState(table, DayChains(table), quick).read()
    assert len(tries) == 1
