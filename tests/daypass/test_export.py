"""`daypass export`: what it asks for, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chalicelib.core.known import read_events
from daypass.saying import DONE, ERROR, NOT_ELIGIBLE
from tests.core.test_known import ISSUED, ISSUING
from tests.daypass.conftest import Daypass, Said, problem

DAYS = ("--from", "2024-11-23", "--to", "2024-11-24")
EVENTS = [{**ISSUING, "actor": "zoë\n@example.com"}, ISSUED]


@pytest.fixture
def daypass(server) -> Daypass:
    return Daypass(server)


@pytest.fixture(autouse=True)
def two_days(server) -> None:
    first, second = ({"items": [event], "next_cursor": None} for event in EVENTS)
    server.answers["GET", "/v1/events"] = lambda asked: Said(
        body={"items": [], "next_cursor": "more"}
        if asked.query["day"] == "2024-11-24" and "cursor" not in asked.query
        else {"2024-11-23": first, "2024-11-24": second}[asked.query["day"]]
    )


def lines(text: str) -> list[object]:
    return [json.loads(line) for line in text.splitlines()]


def test_it_writes_an_event_a_line_as_reconcile_reads_them(daypass, server):
    ran = daypass("export", *DAYS)
    assert (ran.code, lines(ran.out)) == (DONE, EVENTS)
    assert ran.err == "2 events, 2024-11-23 to 2024-11-24.\n"
    assert [asked.query["day"] for asked in server.asked] == ["2024-11-23", "2024-11-24", "2024-11-24"]
    [known] = read_events(json.loads(line) for line in ran.out.splitlines()).sessions
    assert known.request_id == ISSUING["request_id"]


def test_a_file_is_its_owners_and_replaces_the_one_before(daypass, tmp_path: Path):
    file = tmp_path / "ledger.jsonl"
    file.write_text("old")
    ran = daypass("export", *DAYS, "--output", str(file))
    assert (ran.code, ran.out, lines(file.read_text())) == (DONE, "", EVENTS)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (problem(403, "not-eligible", "Only auditors read everybody's events."), NOT_ELIGIBLE),
        (problem(500, "internal-error", "Something is wrong."), ERROR),
        (Said(raw=b"<html>"), ERROR),
    ],
)
def test_given_no_answer_for_a_day_then_the_file_stays_as_it_was(daypass, server, tmp_path: Path, said, code):
    file = tmp_path / "ledger.jsonl"
    file.write_text("old")
    first = Said(body={"items": EVENTS[:1], "next_cursor": None})
    server.answers["GET", "/v1/events"] = [first, said]
    assert daypass("export", *DAYS, "--output", str(file)).code == code
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        (("--from", "yesterday", "--to", "2024-11-24"), "--from yesterday is no day"),
        (("--from", "2024-11-23", "--to", "2026-11-31"), "--to 2026-11-31 is no day"),
        (("--from", "20261123", "--to", "2024-11-24"), "--from 20261123 is no day"),
        (("--from", "2024-11-24", "--to", "2024-11-23"), "--to 2024-11-23 comes before --from 2024-11-24"),
    ],
)
def test_days_that_are_none_are_refused_before_anything_is_asked(daypass, server, days, sentence):
    ran = daypass("export", *days)
    assert (ran.code, server.asked) == (ERROR, [])
    assert sentence in ran.err


@pytest.mark.parametrize("where", ["nowhere/ledger.jsonl", "."])
def test_where_nothing_can_be_written_it_says_so(daypass, tmp_path: Path, where):
    ran = daypass("export", *DAYS, "--output", str(tmp_path / where))
    assert ran.code == ERROR
    assert "cannot be written" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_day_that_is_not_over_is_said_to_be_so(daypass, server):
    server.answers["GET", "/v1/events"] = Said(body={"items": [], "next_cursor": None})
    ran = daypass("export", "--from", "9999-12-31", "--to", "9999-12-31")
    assert (ran.code, ran.out) == (DONE, "")
    assert "9999-12-31 is not over: export it again when it is." in ran.err
