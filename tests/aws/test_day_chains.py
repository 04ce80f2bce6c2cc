"""The rules of `ports.DayChains`, which the table and its fake both keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from chalicelib.aws.day_chains import DayChains as StoredChains
from chalicelib.aws.items import SHARDS
from chalicelib.aws.stream import committed
from chalicelib.aws.table import Table
from chalicelib.aws.transaction import PAUSES
from chalicelib.broker.ports import DayChains, Requests
from chalicelib.core.ledger import Event, EventType, Recorded, beginning, first_break
from chalicelib.core.refusals import Unavailable
from daypass.local.embedded_aws import EmbeddedAws
from tests.aws.test_stream import streamed
from tests.builders import NOW, SECOND, a_submission
from tests.fakes import FakeDayChains, FakeRequests

DAY = timedelta(days=1)
WRITERS, EACH = 6, 3

Pick = Callable[[Sequence[str]], str]
Made = Callable[[Pick], tuple[DayChains, Requests]]


def the_last(shards: Sequence[str]) -> str:
    return shards[-1]


@pytest.fixture(params=["memory", "dynamodb"])
def made(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        requests = FakeRequests()
        return lambda pick: (FakeDayChains(requests, pick), requests)
    table = request.getfixturevalue("table")
    return lambda pick: (StoredChains(table, pick=pick, sleep=lambda seconds: None), table)


def read(chains: DayChains, number: int = 1, **changed: Any) -> Recorded:
    told: dict[str, Any] = {"at": NOW, "actor": "dave@example.com", "details": {"request": "01K", "number": number}}
    return chains.append(EventType.ACTIVITY_READ, **{**told, **changed})


def by_chain(recorded: Sequence[Recorded]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for each in sorted(recorded, key=lambda each: each.event.seq):
        found[each.chain].append(each.event)
    return found


def test_what_belongs_to_no_request_goes_to_a_chain_of_its_day_each_event_after_the_one_before(made: Made) -> None:
    chains, _ = made(the_last)
    told = [read(chains, number) for number in range(4)]
    assert {each.chain for each in told} == {f"day-{NOW.date()}-3"}
    events = [each.event for each in told]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert first_break(beginning(f"day-{NOW.date()}-3"), events) is None
    first = events[0]
    assert (first.type, first.actor, first.details["number"]) == ("activity.read", "dave@example.com", 0)


def test_each_day_and_each_shard_begins_a_chain_of_its_own(made: Made) -> None:
    shards = iter(SHARDS)
    chains, _ = made(lambda among: next(shards))
    told = [read(chains), read(chains), read(chains, at=NOW + DAY)]
    assert [each.chain for each in told] == [f"day-{at.date()}-{n}" for n, at in enumerate((NOW, NOW, NOW + DAY))]
    assert [each.event.prev_hash for each in told] == [beginning(each.chain).hash for each in told]


def test_chains_of_a_day_are_listed_with_the_histories_in_order(made: Made) -> None:
    shards = iter([*SHARDS, "0"])
    chains, requests = made(lambda among: next(shards))
    at = NOW + 900 * DAY  # a day of its own
    submitted = a_submission(created_at=at)
    requests.submit(submitted, claim=None, max_open=5, now=NOW)
    told = [read(chains, number, at=at + number % 2 * SECOND) for number in range(5)]
    told.append(Recorded(submitted.after.id, submitted.events[0]))
    assert list(requests.day(at.date(), after=None, limit=10).items) == sorted(told, key=lambda each: each.position)
    first = requests.day(at.date(), after=None, limit=3)
    second = requests.day(at.date(), after=first.next, limit=3)
    assert [each.position for each in (*first.items, *second.items)] == sorted(each.position for each in told)


@pytest.mark.parametrize("pick", [the_last, None], ids=["one shard", "any shard"])
def test_given_many_writers_at_once_then_all_are_stored_and_no_chain_forks(made: Any, pick: Pick | None) -> None:
    turns = iter(list(SHARDS) * 1000)
    chains, requests = made(pick or (lambda among: next(turns)))
    ready = Barrier(WRITERS)

    def write(writer: int) -> list[Recorded]:
        ready.wait()
        return [patiently(chains, writer * 100 + number) for number in range(EACH)]

    with ThreadPoolExecutor(WRITERS) as pool:
        told = [each for done in pool.map(write, range(WRITERS)) for each in done]
    assert len({(each.chain, each.event.seq) for each in told}) == WRITERS * EACH
    assert all(first_break(beginning(chain), events) is None for chain, events in by_chain(told).items())
    listed = [each for each in requests.day(NOW.date(), after=None, limit=100).items if each.chain.startswith("day-")]
    assert by_chain(listed) == by_chain(told)


def patiently(chains: DayChains, number: int) -> Recorded:
    """Nobody gives way here, since nobody sleeps: who was overtaken for too often tries again."""
    while True:
        with suppress(Unavailable):
            return read(chains, number)


def test_given_somebody_who_is_faster_then_the_event_follows_theirs(table: Table) -> None:
    others = StoredChains(table, pick=the_last)
    overtaken: list[Recorded] = []

    class Overtaken(Table):
        def transact(self, writes: Any) -> None:
            if not overtaken:
                overtaken.append(read(others, 1))
            table.transact(writes)

    slower = StoredChains(as_this(table, Overtaken), pick=the_last, sleep=lambda seconds: None)
    assert read(slower, 2).event.prev_hash == overtaken[0].event.hash


def test_given_somebody_who_is_always_faster_then_it_gives_up_after_some_pauses(table: Table) -> None:
    others, pauses = StoredChains(table, pick=the_last), list[float]()

    class Overtaken(Table):
        def transact(self, writes: Any) -> None:
            read(others)
            table.transact(writes)

    slower = StoredChains(as_this(table, Overtaken), pick=the_last, sleep=pauses.append)
    with pytest.raises(Unavailable, match="nothing was stored"):
        read(slower, 99)
    assert all(0 <= pause <= most for pause, most in zip(pauses, PAUSES, strict=True))
    stored = [each.event.details["number"] for each in table.day(NOW.date(), after=None, limit=50).items]
    assert stored == [1] * (len(PAUSES) + 1)


def as_this(table: Table, kind: type[Table]) -> Table:
    """The same table, seen through another class."""
    seen = kind.__new__(kind)
    seen.__dict__.update(table.__dict__)
    return seen


def test_the_stream_tells_of_them_as_of_every_event(embedded_aws: EmbeddedAws, table: Table) -> None:
    told = read(StoredChains(table, pick=the_last))
    [record] = streamed(embedded_aws, table)
    line = committed(record)
    assert line is not None
    assert (line.chain, line.event, line.request_id) == (told.chain, told.event, None)
    assert line.id == f"day-{NOW.date()}-3/1"
