"""Forged ledgers whose hashes were all made anew: the chains hold, and the digests and the copy show each of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from chalicelib.core.comparing import against_copy, against_digests, read_digests, untold
from chalicelib.core.digest import Book, Digest, Signed, name
from chalicelib.core.digest import read as read_digest
from chalicelib.core.ledger import EventType, Head, beginning, next_event
from chalicelib.core.times import read_stamp
from chalicelib.core.verifying import Chains
from tests.core.test_verifying import ALICES, BOBS, Line, a_chain, forged

APART = timedelta(hours=9)  # a story over three days
DAYS = [date(2026, 11, 23) + timedelta(days=number) for number in range(3)]
CAROLS = "01M844DZG0CCCCCCCCCCCCCCCC"


def a_story() -> list[Line]:
    return [*a_chain(ALICES, apart=APART), *a_chain(BOBS, apart=APART)]


def read(lines: list[Line]) -> tuple[Chains, Book]:
    book = Book()
    chains = Chains(book)
    for line in lines:
        chains.take(line)
    return chains, book


def signed(text: bytes) -> bytes:
    return text[-64:]


def is_signed(digest: Signed) -> bool:
    return digest.signature == signed(digest.digest.text.encode())


def a_row(lines: list[Line], days: list[date] = DAYS) -> dict[str, bytes]:
    """The digests of these days, from the very first one on."""
    book = read(lines)[1]
    row = [Digest(days[0] - timedelta(days=1), None, {})]
    for day in days:
        row.append(row[-1].followed({day.isoformat(): book.statement(day.isoformat())}))
    return {name(each.day): Signed(each, signed(each.text.encode())).document for each in row}


DIGESTS = read_digests(a_row(a_story()), is_signed)
COPY = read(a_story())[1]


def always(day: str) -> bool:
    return True


def anew(lines: list[Line], chain: str) -> list[Line]:
    """These events as a chain of their own, every hash of it as it should be."""
    head, made = beginning(chain), []
    for line in lines:
        event = next_event(head, EventType(line["type"]), read_stamp(line["at"]), line["actor"], line["details"])
        made.append({**event.as_json(), "request_id": chain})
        head = Head(event.seq, event.hash)
    return made


def of(chain: str) -> list[Line]:
    return [line for line in a_story() if line["request_id"] == chain]


SECRET: list[Line] = [
    {"type": "request.denied"}, {"actor": "eve"}, {"at": "2026-11-23T12:00:09Z"}, {"at": "2026-11-25T11:00:00Z"},
    {"at": "2031-01-01T00:00:00Z"}, {"details": {}},
]  # fmt: skip


def made_anew() -> Iterator[tuple[str, list[Line]]]:
    """Forgeries by somebody who makes all hashes anew."""
    whole = of(ALICES)
    put_in = {"type": "request.approved", "actor": "eve", "details": {}}
    for place, line in enumerate(whole):
        for change in SECRET:
            if not change.items() <= line.items():
                yield f"{place} {change}", [*whole[:place], {**line, **change}, *whole[place + 1 :]]
        yield f"{place} deleted", [*whole[:place], *whole[place + 1 :]]
        yield f"put in before {place}", [*whole[:place], {**line, **put_in}, *whole[place:]]
        yield f"put in after {place}", [*whole[: place + 1], {**line, **put_in}, *whole[place + 1 :]]
        yield f"{place} twice", [*whole[: place + 1], *whole[place:]]
        for other in range(place + 1, len(whole)):
            swapped = list(whole)
            swapped[place], swapped[other] = swapped[other], swapped[place]
            yield f"{place} swapped with {other}", swapped
        for more in range(4):
            yield f"cut off before {place}, continued by {more}", [*whole[:place], *[{**line, **put_in}] * more]


def scenes() -> Iterator[tuple[str, list[Line]]]:
    for title, lines in made_anew():
        yield title, [*anew(lines, ALICES), *of(BOBS)]
    yield "a whole history left out", of(BOBS)
    yield "everything left out", []
    yield "a whole history invented", [*a_story(), *a_chain(CAROLS, apart=APART)]
    yield "a history under another name", [*anew(of(ALICES), CAROLS), *of(BOBS)]
    yield (
        "the last events of two chains swapped",
        [
            *anew([*of(ALICES)[:-1], of(BOBS)[-1] | {"actor": "eve"}], ALICES),
            *anew([*of(BOBS)[:-1], of(ALICES)[-1] | {"actor": "eve"}], BOBS),
        ],
    )


SCENES = [pytest.param(lines, id=title) for title, lines in scenes()]


@pytest.mark.parametrize("lines", SCENES)
def test_what_the_chains_alone_cannot_show_the_digests_and_the_copy_do(lines: list[Line]) -> None:
    chains, book = read(lines)
    assert chains.breaks() == []
    assert against_digests(book, DIGESTS, always)
    assert against_copy(book, COPY, always)


@pytest.mark.parametrize("lines", SCENES)
def test_the_very_chains_that_are_forged_are_named(lines: list[Line]) -> None:
    book = read(lines)[1]
    forged = {
        chain
        for chain in (ALICES, BOBS, CAROLS)
        if [line for line in lines if line["request_id"] == chain] != of(chain)
    }
    for found in (against_digests(book, DIGESTS, always), against_copy(book, COPY, always)):
        assert {each.chain for each in found} == forged


@pytest.mark.parametrize("lines", [pytest.param(lines, id=title) for title, lines in forged()])
def test_single_events_that_do_not_even_fit_are_caught_too(lines: list[Line]) -> None:
    chains, book = read(lines)
    assert chains.breaks() or against_digests(book, DIGESTS, always)


def test_an_untouched_ledger_is_as_digests_and_copy_tell() -> None:
    chains, book = read(a_story())
    assert (chains.breaks(), DIGESTS.broken) == ([], [])
    assert against_digests(book, DIGESTS, always) == against_copy(book, COPY, always) == []
    assert (DIGESTS.first, DIGESTS.last, DIGESTS.whole) == (date(2026, 11, 22), DAYS[-1], True)


def test_days_that_the_export_is_not_of_are_not_missed() -> None:
    book = read([line for line in a_story() if line["at"] < "2026-11-24"])[1]
    assert against_digests(book, DIGESTS, always)
    assert against_digests(book, DIGESTS, lambda day: day == "2026-11-23") == []
    assert against_copy(book, COPY, lambda day: day == "2026-11-23") == []


def test_of_days_after_the_last_digest_nothing_is_told() -> None:
    digests = read_digests(a_row(a_story(), DAYS[:1]), is_signed)
    book = read(a_story())[1]
    assert against_digests(book, digests, always) == []
    assert untold(book, digests, always) == ["2026-11-24", "2026-11-25"]


def test_one_chain_can_be_held_against_the_digests_of_all() -> None:
    book = read(of(ALICES))[1]
    assert against_digests(book, DIGESTS, always, ALICES) == []
    assert against_digests(read(of(ALICES)[:-1])[1], DIGESTS, always, ALICES)
    assert against_digests(read(a_chain(CAROLS))[1], DIGESTS, always, CAROLS)


def test_where_an_event_is_another_one_it_is_said_which_and_when() -> None:
    [*others, last] = of(ALICES)
    book = read([*anew([*others, last | {"actor": "eve"}], ALICES), *of(BOBS)])[1]
    for found, by in (
        (against_digests(book, DIGESTS, always), "the digests tell of"),
        (against_copy(book, COPY, always), "the copy has"),
    ):
        assert [(each.chain, each.seq, each.why) for each in found] == [
            (ALICES, 5, f"is another event than {by} on 2026-11-25")
        ]


# The row of digests itself


def forged_rows() -> Iterator[tuple[str, dict[str, bytes]]]:
    row = a_row(a_story())
    other = a_row(of(BOBS))
    names = sorted(row)
    for number, each in enumerate(names):
        if number not in (0, len(names) - 1):
            yield f"{each} missing", {place: text for place, text in row.items() if place != each}
        if row[each] != other[each]:
            yield f"{each} of another ledger", {**row, each: other[each]} if number < len(names) - 1 else {}
        yield f"{each} cut", {**row, each: row[each][:-1]}
        yield f"{each} empty", {**row, each: b""}
        unsigned = Signed(_digest(row[each]), b"not a signature").document
        yield f"{each} unsigned", {**row, each: unsigned}
        for another in names:
            if another != each:
                yield f"{another} in place of {each}", {**row, each: row[another]}
        if number:
            first = Digest(_digest(row[each]).day, None, _digest(row[each]).days)
            yield f"{each} begins anew", {**row, each: Signed(first, signed(first.text.encode())).document}


def _digest(document: bytes) -> Digest:
    return read_digest(document).digest


@pytest.mark.parametrize("row", [pytest.param(row, id=title) for title, row in forged_rows() if row])
def test_a_row_that_was_tampered_with_does_not_hold(row: dict[str, bytes]) -> None:
    assert read_digests(row, is_signed).broken


@pytest.mark.parametrize("begin", range(1, 4))
def test_a_row_whose_beginning_is_not_here_says_so_and_holds(begin: int) -> None:
    row = a_row(a_story())
    later = {each: row[each] for each in sorted(row)[begin:]}
    digests = read_digests(later, is_signed)
    assert (digests.broken, digests.whole) == ([], False)


def test_what_an_unsigned_digest_tells_is_not_believed() -> None:
    digests = read_digests(a_row(a_story()), lambda each: False)
    assert (digests.statements, len(digests.broken)) == ({}, 4)


def test_a_later_statement_must_still_reach_what_the_earlier_one_told() -> None:
    book, less = read(a_story())[1], read(of(BOBS))[1]
    root = Digest(date(2026, 11, 22), None, {})
    first = root.followed({"2026-11-23": book.statement("2026-11-23")})
    second = first.followed({"2026-11-23": less.statement("2026-11-23")})
    row = {name(each.day): Signed(each, signed(each.text.encode())).document for each in (root, first, second)}
    digests = read_digests(row, is_signed)
    assert digests.told_again == ["2026-11-23"]
    assert against_digests(less, digests, always)
    assert against_digests(book, digests, always)


def test_many_missing_digests_are_one_line() -> None:
    row = a_row(a_story())
    [found] = read_digests({each: row[each] for each in (min(row), max(row))}, is_signed).broken
    assert (found.chain, found.why) == (
        "digests/2026-11-23.json", "is missing, as are all until digests/2026-11-25.json",
    )  # fmt: skip
