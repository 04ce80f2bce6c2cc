"""Digests: the same text for the same day, and nothing but that text is read."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.digest import Book, Digest, Signed, Unreadable, days_after, read
from chalicelib.core.ledger import Head

DAY = date(2026, 11, 23)
chains, hashes = st.text("ABC#", min_size=1, max_size=3), st.text("0123456789abcdef", min_size=64, max_size=64)
events = st.dictionaries(st.tuples(chains, st.integers(1, 9)), hashes, max_size=8)


def a_book(told: dict[tuple[str, int], str], day: str = "2026-11-23") -> Book:
    book = Book()
    for (chain, seq), hash in told.items():
        book.take(day, chain, seq, hash)
    return book


def a_digest(told: dict[tuple[str, int], str]) -> Signed:
    root = Digest(DAY, None, {})
    return Signed(root.followed({"2026-11-24": a_book(told).statement("2026-11-23")}), b"signature")


@given(events)
def test_what_is_written_is_read(told: dict[tuple[str, int], str]) -> None:
    signed = a_digest(told)
    assert read(signed.document) == signed
    assert json.loads(signed.digest.text) == json.loads(signed.document)["digest"]


@given(events, events)
def test_two_days_have_one_statement_only_where_they_have_the_same_events(
    one: dict[tuple[str, int], str], other: dict[tuple[str, int], str]
) -> None:
    statements = [a_book(told).statement("2026-11-23") for told in (one, other)]
    assert (statements[0].sha256 == statements[1].sha256) == (one == other)
    assert statements[0] == a_book(dict(reversed(one.items()))).statement("2026-11-23")


def test_it_tells_of_each_chains_last_event() -> None:
    statement = a_book({("A", 1): "a", ("A", 3): "c", ("A", 2): "b", ("B", 10): "d", ("B", 9): "e"}).statement(
        "2026-11-23"
    )
    assert statement.events == 5
    assert statement.heads == {"A": Head(3, "c"), "B": Head(10, "d")}


def test_a_day_without_events_has_a_statement_too() -> None:
    assert (a_book({}).statement("2026-11-23").events, a_book({}).statement("2026-11-23").heads) == (0, {})


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1], lambda text: text + b" ", lambda text: text.replace(b":", b": ", 1), lambda text: b"{}",
        lambda text: b"[]", lambda text: b"\xff", lambda text: b"[" * 100_000,
        lambda text: text.replace(b"schema", b"x"),
        lambda text: text.replace(b'"schema":1', b'"schema":2'), lambda text: text.replace(b"-24", b"-32"),
        lambda text: text.replace(b'"days"', b'"more":1,"days"'), lambda text: text.replace(b"c2ln", b"!!!!"),
        lambda text: text.replace(b'"heads"', b'"tails"'), lambda text: text.replace(b'"seq":1', b'"seq":1.0'),
    ],
)  # fmt: skip
def test_nothing_else_is_read(change: Any) -> None:
    document = a_digest({("A", 1): "a"}).document
    assert change(document) != document
    with pytest.raises(Unreadable):
        read(change(document))


def test_days_after() -> None:
    assert list(days_after(DAY, date(2026, 11, 25))) == [date(2026, 11, 24), date(2026, 11, 25)]
    assert list(days_after(DAY, DAY)) == list(days_after(DAY, date(2026, 11, 1))) == []
