"""A batch of the stream: what can wait holds up what follows it, what is hopeless holds up nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.stream import committed
from chalicelib.core.ledger import Event
from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.batch import Delivered, handle, one_by_one
from chalicelib.outbox.ports import Committed
from tests.builders import a_submission, an_id
from tests.outbox.fakes import FakeDeadLetters
from tests.outbox.newsroom import a_record


def an_event() -> Event:
    return a_submission().events[0]


def records(count: int) -> list[dict[str, Any]]:
    return [a_record(an_id(), an_event(), number) for number in range(1, count + 1)]


def bad(number: int) -> dict[str, Any]:
    record = a_record(an_id(), an_event(), number)
    record["dynamodb"]["NewImage"]["hash"] = {"S": "0" * 64}
    return record


def sequence(number: int) -> str:
    return f"{number:021d}"


class Sink:
    """Takes lines up to the one that it is told to fail at; hopeless: those it cannot take at all."""

    def __init__(self, fails_at: int | None = None, hopeless: tuple[int, ...] = ()) -> None:
        self.fails_at, self.hopeless, self.told = fails_at, hopeless, list[str]()

    def __call__(self, lines: Sequence[Committed]) -> Delivered:
        def tell(line: Committed) -> None:
            number = int(line.sequence_number)
            if number == self.fails_at:
                raise Unavailable("Not now.")
            if number in self.hopeless:
                raise KeyError(f"a bug at {number}")
            self.told.append(line.id)

        return one_by_one(lines, tell)


def test_a_batch_that_went_well_asks_lambda_for_nothing() -> None:
    sink, dead = Sink(), FakeDeadLetters()
    handled = handle(records(3), read=committed, sinks={"sink": sink}, dead=dead)
    assert handled.response() == {"batchItemFailures": []}
    assert (handled.announced, len(sink.told), dead.letters) == (3, 3, [])


def test_from_the_first_that_failed_on_all_is_tried_again_and_nothing_before_it() -> None:
    sink = Sink(fails_at=3)
    handled = handle(records(5), read=committed, sinks={"sink": sink}, dead=None)
    assert handled.response() == {"batchItemFailures": [{"itemIdentifier": sequence(3)}]}
    assert (handled.announced, len(sink.told), handled.why) == (2, 2, "Not now.")


def test_sinks_do_not_wait_for_each_other_and_the_slowest_decides() -> None:
    fast, slow, slower = Sink(), Sink(fails_at=4), Sink(fails_at=2)
    handled = handle(records(5), read=committed, sinks={"1": fast, "2": slow, "3": slower}, dead=None)
    assert (len(fast.told), len(slow.told), len(slower.told), handled.failed) == (5, 3, 1, sequence(2))


def test_what_cannot_be_read_is_buried_with_its_place_and_nothing_waits_for_it() -> None:
    sink, dead = Sink(), FakeDeadLetters()
    batch = [*records(2), bad(3), *(a_record(an_id(), an_event(), n) for n in (4, 5))]
    handled = handle(batch, read=committed, sinks={"sink": sink}, dead=dead)
    assert handled.failed is None
    assert len(sink.told) == 4
    [letter] = dead.letters
    assert letter == {
        "sink": "stream",
        "error": "Forged",
        "sequence_number": sequence(3),
        "keys": batch[2]["dynamodb"]["Keys"],
    }
    assert [kept for kept, _ in handled.buried] == dead.letters


def test_a_bug_at_one_line_is_buried_by_its_kind_alone() -> None:
    dead = FakeDeadLetters()
    handled = handle(records(3), read=committed, sinks={"sink": Sink(hopeless=(2,))}, dead=dead)
    assert handled.failed is None
    [letter] = dead.letters
    assert (letter["sink"], letter["error"], letter["sequence_number"]) == ("sink", "KeyError", sequence(2))
    assert "a bug" not in str(letter)


def test_what_comes_after_a_failure_is_not_buried_yet() -> None:
    dead = FakeDeadLetters()
    batch = [*records(2), bad(3)]
    handled = handle(batch, read=committed, sinks={"sink": Sink(fails_at=2)}, dead=dead)
    assert (handled.failed, dead.letters) == (sequence(2), [])


@pytest.mark.parametrize("dead", [None, FakeDeadLetters(down=True)], ids=["no queue", "queue down"])
def test_what_cannot_be_buried_is_tried_again(dead: FakeDeadLetters | None) -> None:
    batch = [*records(1), bad(2), a_record(an_id(), an_event(), 3)]
    handled = handle(batch, read=committed, sinks={"sink": Sink()}, dead=dead)
    assert (handled.failed, handled.announced) == (sequence(2), 1)


def test_a_record_of_no_shape_at_all_is_buried_too() -> None:
    dead = FakeDeadLetters()
    handled = handle([{}, *records(1)], read=committed, sinks={"sink": Sink()}, dead=dead)
    assert (handled.failed, handled.announced, len(dead.letters)) == (None, 1, 1)


def test_an_empty_batch_is_done() -> None:
    assert handle([], read=committed, sinks={"sink": Sink()}, dead=None).response() == {"batchItemFailures": []}


@given(
    st.lists(st.sampled_from(["good", "bad", "other"]), max_size=8),
    st.none() | st.integers(1, 8),
    st.frozensets(st.integers(1, 8), max_size=3),
)
def test_whatever_a_batch_holds_each_line_is_told_or_buried_or_tried_again(
    kinds: list[str], fails_at: int | None, hopeless: frozenset[int]
) -> None:
    batch = []
    for number, kind in enumerate(kinds, start=1):
        record = bad(number) if kind == "bad" else a_record(an_id(), an_event(), number)
        batch.append({**record, "eventName": "MODIFY"} if kind == "other" else record)
    sink, dead = Sink(fails_at, tuple(hopeless)), FakeDeadLetters()
    handled = handle(batch, read=committed, sinks={"sink": sink}, dead=dead)
    stop = int(handled.failed) if handled.failed else len(batch) + 1
    buried = {int(str(letter["sequence_number"])) for letter in dead.letters}
    good = {number for number, kind in enumerate(kinds, start=1) if kind == "good"}
    unreadable = {number for number, kind in enumerate(kinds, start=1) if kind == "bad"}
    assert buried == {n for n in unreadable | (good & hopeless - {fails_at}) if n < stop}
    assert len(sink.told) == len({n for n in good - hopeless if n < stop})
    assert stop == (fails_at if fails_at in good else len(batch) + 1)
