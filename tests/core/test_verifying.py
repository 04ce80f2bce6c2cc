"""Forged ledgers, enumerated: what the chains alone show, and what they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from chalicelib.core.ledger import Event, EventType, Head, beginning, named, next_event
from chalicelib.core.verifying import Chains, chain_of
from tests.trails import NOON

ALICES, BOBS = "01M844DZG0AAAAAAAAAAAAAAAA", "01M844DZG0BBBBBBBBBBBBBBBB"  # made at noon, too
OF_THE_DAY = "day-2026-11-23-3"
KINDS = (EventType.SUBMITTED, EventType.APPROVED, EventType.SESSION_ISSUING, EventType.SESSION_ISSUED, EventType.ENDED)
Line = dict[str, Any]


def a_chain(chain: str, *, apart: timedelta = timedelta(hours=1)) -> list[Line]:
    head, lines = beginning(chain), []
    for number, kind in enumerate(KINDS):
        event = next_event(head, kind, NOON + number * apart, "carol", {"n": number, "of": [{"id": chain}]})
        lines.append({**event.as_json(), named(chain): chain})
        head = Head(event.seq, event.hash)
    return lines


def a_story() -> list[Line]:
    return sorted([*a_chain(ALICES), *a_chain(BOBS)], key=lambda line: (line["at"], line["request_id"]))


def rehashed(line: Line) -> Line:
    event = Event(**{name: value for name, value in line.items() if name not in ("request_id", "chain")})
    return {**line, "hash": event.computed_hash()}


def read(lines: list[Line]) -> Chains:
    chains = Chains()
    for line in lines:
        chains.take(line)
    return chains


CHANGES: list[Line] = [
    {"seq": 9}, {"seq": 0}, {"seq": "1"}, {"seq": True}, {"type": "request.denied"}, {"type": 1}, {"actor": "eve"},
    {"at": "2026-11-23T12:00:09Z"}, {"at": "1970-01-01T00:00:00Z"}, {"at": "9999"}, {"at": ""}, {"details": {}},
    {"details": {"n": 1.5}}, {"details": []}, {"details": {"n": "\ud800"}}, {"prev_hash": "0" * 64}, {"hash": "0" * 64},
    {"hash": None}, {"request_id": BOBS}, {"request_id": "01M844DZG0CCCCCCCCCCCCCCCC"}, {"request_id": "x"},
    {"more": 1},
]  # fmt: skip


def forged() -> Iterator[tuple[str, list[Line]]]:
    story = a_story()
    for place, line in enumerate(story):
        rest = [*story[:place], *story[place + 1 :]]
        last = line["seq"] == len(KINDS)
        for change in CHANGES:
            if not change.items() <= line.items():
                yield f"{place} {change}", [*rest, {**line, **change}]
        for change in ({"actor": "eve"}, {"details": {}}, {"prev_hash": "0" * 64}):
            if not last or "prev_hash" in change:
                yield f"{place} {change}, with its hash", [*rest, rehashed({**line, **change})]
        for name in sorted(set(line) - {"request_id"}):
            yield f"{place} without {name}", [*rest, {key: value for key, value in line.items() if key != name}]
        if not last:
            yield f"{place} deleted", rest
        yield f"{place} twice", [*story, line]
        yield f"{place} put in anew", [*story, rehashed({**line, "actor": "eve"})]
        for other in story[place + 1 :]:
            mine, theirs = line["seq"], other["seq"]
            if (line["request_id"], mine) != (other["request_id"], theirs):
                kept = [each for each in rest if each is not other]
                for again in (dict, rehashed):
                    taken = {name: line[name] for name in ("request_id", "seq", "prev_hash")}
                    given = {name: other[name] for name in ("request_id", "seq", "prev_hash")}
                    swapped = [again({**other, **taken}), again({**line, **given})]
                    if again is dict or not (last and theirs == len(KINDS)):
                        yield f"{place} swapped with {theirs}", [*kept, *swapped]


@pytest.mark.parametrize("lines", [pytest.param(lines, id=name) for name, lines in forged()])
def test_every_change_deletion_insertion_and_swap_of_single_events_is_caught(lines: list[Line]) -> None:
    assert read(lines).breaks()


def test_an_untouched_story_holds_in_whatever_order_its_lines_come() -> None:
    assert (read(a_story()).breaks(), read(a_story()).began_earlier()) == ([], {})
    assert all(not read(list(lines)).breaks() for lines in permutations(a_chain(ALICES)))


@pytest.mark.parametrize("kept", range(1, len(KINDS)))
def test_what_was_cut_off_at_the_end_or_rolled_back_is_not_caught_without_a_copy(kept: int) -> None:
    assert read(a_chain(ALICES)[:kept]).breaks() == []
    head, tail = Head(kept, a_chain(ALICES)[kept - 1]["hash"]), []
    for _ in range(3):
        event = next_event(head, EventType.DENIED, NOON, "eve", {})
        tail.append({**event.as_json(), "request_id": ALICES})
        head = Head(event.seq, event.hash)
    assert read([*a_chain(ALICES)[:kept], *tail]).breaks() == []
    whole = a_chain(ALICES)
    assert read([*whole[:-1], rehashed({**whole[-1], "actor": "eve"})]).breaks() == []
    assert read(a_chain(BOBS)).breaks() == []  # nor that all of another request is gone


@pytest.mark.parametrize("first", range(1, len(KINDS)))
def test_given_an_export_of_some_days_then_what_began_earlier_is_said_and_not_called_broken(first: int) -> None:
    lines = a_chain(ALICES, apart=timedelta(days=1))[first:]
    chains = read(lines)
    assert (chains.breaks(), chains.began_earlier()) == ([], {ALICES: first + 1})
    assert read([*lines, *a_chain(BOBS)]).breaks()[0].why.endswith("missing")  # the day on which it began is here


@pytest.mark.parametrize("gone", range(len(KINDS)))
def test_a_chain_of_a_day_is_whole_from_its_beginning_on_in_an_export_of_that_day(gone: int) -> None:
    lines = a_chain(OF_THE_DAY)
    chains = read(lines)
    assert (chains.breaks(), chains.requests, chains.day_chains) == ([], 0, 1)
    broken = read([*lines[:gone], *lines[gone + 1 :]])
    assert [(each.chain, each.seq) for each in broken.breaks()] == [(OF_THE_DAY, gone + 1)][: len(KINDS) - 1 - gone]
    assert broken.began_earlier() == {}


def test_an_event_in_the_chain_of_another_day_is_told_though_its_hashes_are_right() -> None:
    [found] = read(a_chain("day-2026-11-22-3")[:1]).breaks()
    assert found.why == "is in a chain of another day"


@pytest.mark.parametrize(
    "names", [{"chain": ALICES}, {"request_id": OF_THE_DAY}, {"chain": 3}, {"request_id": None}, {}]
)
def test_a_line_that_names_no_chain_of_its_kind_names_none(names: Line) -> None:
    assert chain_of({"seq": 1, **names}) is None


def test_a_line_that_names_two_is_not_daypasss() -> None:
    [found] = read([{**a_chain(ALICES)[0], "chain": OF_THE_DAY}]).breaks()
    assert (found.chain, found.why) == (ALICES, "is not written as Daypass writes events")


@pytest.mark.parametrize("gone", [1, 2])
def test_it_is_said_where_and_why(gone: int) -> None:
    lines = a_chain(ALICES)
    [found] = read([lines[0], *lines[1 + gone :]]).breaks()
    assert (found.chain, found.seq, found.why) == (ALICES, 2, ["is missing", "to 3 are missing"][gone - 1])
    lines[2] = {**lines[2], "actor": "eve"}
    [found] = read(lines).breaks()
    assert (found.seq, found.why) == (3, "was changed: its hash is not the one of what it says")
