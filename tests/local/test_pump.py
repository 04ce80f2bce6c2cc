"""The stream pump: what is written is given to every reader, in order, and again from where one failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from chalicelib.aws.stream import committed
from chalicelib.aws.table import Table, create
from daypass.local import example, pump
from daypass.local.embedded_aws import EmbeddedAws
from daypass.local.pump import PAUSE_SECONDS, TRIES, Record, pumping
from tests.builders import NOW, a_change, a_submission


@pytest.fixture(scope="module")
def table(embedded_aws: EmbeddedAws) -> Table:
    made = Table(
        example.TABLE,
        region=example.REGION,
        host=embedded_aws.url,
        access_key_id="123456789012",
        secret_access_key="test",
    )
    create(made)
    return made


class Reader:
    """Notes the lines it is given; answers as it is told, then that all is well."""

    def __init__(self, *answers: Callable[[Sequence[Record]], Mapping[str, Any]]) -> None:
        self.answers = iter(answers)
        self.batches: list[list[str]] = []
        self._changed = threading.Condition()

    def __call__(self, records: Sequence[Record]) -> Mapping[str, Any]:
        with self._changed:
            self.batches.append([line.id for record in records if (line := committed(record))])
            self._changed.notify_all()
        answer = next(self.answers, None)
        return answer(records) if answer else {"batchItemFailures": []}

    def wait_for(self, id: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(id in batch for batch in self.batches), timeout=20)

    @property
    def ids(self) -> list[str]:
        return [id for batch in self.batches for id in batch]


def write(table: Table) -> str:
    """A request with two lines of history. Returns its id."""
    change = a_submission()
    table.submit(change, claim=None, max_open=100, now=NOW)
    table.commit(a_change(change.after))
    return change.after.id


@pytest.fixture
def failed() -> list[tuple[str, str]]:
    return []


def test_every_reader_is_given_every_line_in_order(embedded_aws: EmbeddedAws, table: Table) -> None:
    one, other = Reader(), Reader()
    before = write(table)
    with pumping(embedded_aws.url, {"one": one, "other": other}, lambda *_: None):
        ids = [write(table) for _ in range(3)]
        for reader in (one, other):
            reader.wait_for(f"{ids[-1]}/2")
    for reader in (one, other):
        assert reader.ids == [f"{id}/{seq}" for id in ids for seq in (1, 2)]
        assert before not in str(reader.batches)


def test_a_reader_that_raises_is_told_and_given_all_again(
    embedded_aws: EmbeddedAws, table: Table, failed: list[tuple[str, str]]
) -> None:
    def raises(records: Sequence[Record]) -> Mapping[str, Any]:
        raise RuntimeError("a bug")

    reader = Reader(raises)
    with pumping(embedded_aws.url, {"post": reader}, lambda *why: failed.append(why)):
        id = write(table)
        reader.wait_for(f"{id}/2")
    assert failed == [("post", "RuntimeError: a bug")]


def a_pump(reader: Reader, batches: Iterator[list[Record]], failed: list[tuple[str, str]]) -> pump._Pump:
    class Tail:
        def records(self) -> list[Record]:
            return next(batches, [])

    return pump._Pump("post", reader, Tail(), lambda *why: failed.append(why))  # type: ignore[arg-type]


def numbered(count: int) -> list[Record]:
    return [{"dynamodb": {"SequenceNumber": str(number)}, "eventName": "MODIFY"} for number in range(count)]


def test_from_where_a_reader_failed_it_is_given_all_again_and_then_what_is_new(failed: list[tuple[str, str]]) -> None:
    first, second = numbered(4)[:3], numbered(4)[3:]
    given: list[list[str]] = []

    def fails_at_1_once(batch: Sequence[Record]) -> Mapping[str, Any]:
        given.append([record["dynamodb"]["SequenceNumber"] for record in batch])
        return {"batchItemFailures": [{"itemIdentifier": "1"}] if len(given) == 1 else []}

    pumped = a_pump(Reader(*[fails_at_1_once] * 3), iter([first, second]), failed)
    for _ in range(3):
        pumped.turn()
    assert given == [["0", "1", "2"], ["1", "2"], ["3"]]
    assert failed == []


def test_what_never_succeeds_is_passed_over_in_the_end(failed: list[tuple[str, str]]) -> None:
    given: list[list[str]] = []

    def fails_at_1(batch: Sequence[Record]) -> Mapping[str, Any]:
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        given.append(numbers)
        return {"batchItemFailures": [{"itemIdentifier": "1"}] if "1" in numbers else []}

    reader = Reader(*[fails_at_1] * (TRIES + 2))
    pumped = a_pump(reader, iter([numbered(3)]), failed)
    for _ in range(TRIES + 2):
        pumped.turn()
    assert failed == [("post", "gave up on 1")]
    assert given == [["0", "1", "2"], *[["1", "2"]] * (TRIES - 1), ["2"]]


def test_it_is_no_busy_loop() -> None:
    assert PAUSE_SECONDS >= 0.3
