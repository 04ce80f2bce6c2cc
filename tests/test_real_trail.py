"""Over real CloudTrail files: every AssumeRole is read, every later use joined, in whatever order the files come.

The numbers are those of the README that lies beside the files.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.aws.trail_files import LogFile, in_folder, read
from chalicelib.core.joining import Books, Totals
from chalicelib.core.reckoning import every_role
from daypass.operator.trails import joined
from tests.trails import real_files


@pytest.fixture(scope="module")
def folder() -> Path:
    return real_files()


@pytest.fixture(scope="module")
def logs(folder: Path) -> list[LogFile]:
    return [read(found) for found in in_folder(folder / "AWSLogs")]


@pytest.fixture(scope="module")
def promised(folder: Path) -> Totals:
    """What the README says that there is."""
    readme = (folder / "README.md").read_text("utf-8")

    def number(line: str) -> int:
        found = re.search(rf"^\| {line} \| (\d+)", readme, re.MULTILINE)
        assert found, line
        return int(found[1])

    uses = re.search(r"^\| later events signed with a key issued in this sample \| (\d+), by (\d+) keys", readme, re.M)
    assert uses
    assert number(r"AssumeRole events") == number(r"\.\.\. that issued credentials .*") + number(r"\.\.\. denied .*?")
    return Totals(
        events=number("events"),
        duplicates=0,
        issued=number(r"\.\.\. that issued credentials .*"),
        denied=number(r"\.\.\. denied .*?"),
        distinct_keys=number(r"\.\.\. that issued credentials .*"),
        uses=int(uses[1]),
        keys_used=int(uses[2]),
        before_their_issuance=number(r"\.\.\. of those delivered in an EARLIER log file .*"),
    )


def told(logs: list[LogFile]) -> tuple[Totals, Any]:
    books = Books()
    for log in logs:
        assert books.take_file(log.digest, log.records) == {}
    return books.totals(), books.accounts(every_role)


def test_the_totals_are_the_readmes_and_every_file_is_read(logs: list[LogFile], promised: Totals) -> None:
    assert len(logs) == 70
    totals, _ = told(logs)
    assert totals == promised
    assert (totals.events, totals.issued, totals.denied, totals.uses, totals.keys_used) == (1296, 29, 4, 58, 5)


def test_every_issued_key_and_every_event_that_it_signed_is_in_its_own_account(logs: list[LogFile]) -> None:
    """Beside a reader that has all records in memory."""
    records: list[Any] = [record for log in logs for record in log.records]
    issued = {
        record["responseElements"]["credentials"]["accessKeyId"]: record
        for record in records
        if record["eventName"] == "AssumeRole" and not record.get("errorCode")
    }
    signed: dict[str, list[Any]] = {key: [] for key in issued}
    for record in records:
        if (key := record["userIdentity"].get("accessKeyId")) in signed:
            signed[key].append(record)
    accounts = {account.access_key_id: account for account in told(logs)[1]}
    for key, record in issued.items():
        account = accounts[key]
        assert account.session_name == record["requestParameters"]["roleSessionName"]
        assert account.role_arn == record["requestParameters"]["roleArn"]
        assert f"{account.issued_at:%Y-%m-%dT%H:%M:%SZ}" == record["eventTime"]
        assert account.expires_at is not None
        assert account.bypass
        keyless = account.events - len(signed[key])
        assert keyless in (0, 1)
        times = sorted(each["eventTime"] for each in signed[key])
        if times and not keyless:
            assert f"{account.first_use:%Y-%m-%dT%H:%M:%SZ}" == times[0]
            assert f"{account.last_use:%Y-%m-%dT%H:%M:%SZ}" == times[-1]
            names = {f"{each['eventSource'].split('.')[0]}:{each['eventName']}" for each in signed[key]}
            assert set(account.actions) == names
            assert sum(account.errors.values()) == sum("errorCode" in each for each in signed[key])
    sessions_calls = [record for record in records if record["userIdentity"]["type"] == "AssumedRole"]
    assert sum(account.events for account in accounts.values()) <= len(sessions_calls)
    assert sum(account.events for account in told(logs)[1]) == len(sessions_calls) == 84


def test_the_books_are_the_same_in_any_order_of_files(logs: list[LogFile], promised: Totals) -> None:
    wanted = told(logs)[1]

    @settings(max_examples=40)
    @given(st.permutations(logs))
    def in_any_order(permuted: list[LogFile]) -> None:
        totals, accounts = told(permuted)
        assert accounts == wanted
        assert replace(totals, before_their_issuance=0) == promised

    in_any_order()


def test_the_books_are_the_same_however_often_a_file_is_read(logs: list[LogFile], promised: Totals) -> None:
    totals, accounts = told([*logs, *logs[::-1], *logs])
    assert accounts == told(logs)[1]
    assert totals == replace(promised, duplicates=2 * promised.events)


def test_they_are_the_same_when_the_same_events_come_in_other_files(logs: list[LogFile], promised: Totals) -> None:
    """As where two trails tell of one account."""
    halves = [replace(log, digest=log.digest + b"%d" % n, records=log.records[n::2]) for log in logs for n in range(2)]
    totals, accounts = told([*logs, *halves])
    assert accounts == told(logs)[1]
    assert totals == replace(promised, duplicates=promised.events)


def test_no_session_token_of_the_real_files_is_in_the_books(logs: list[LogFile]) -> None:
    tokens = [
        record["responseElements"]["credentials"]["sessionToken"]
        for log in logs
        for record in log.records
        if isinstance(record, dict) and record["eventName"] == "AssumeRole" and not record.get("errorCode")
    ]
    assert len(tokens) == 29
    books = Books()
    for log in logs:
        books.take_file(log.digest, log.records)
    everything = repr([sheet.issuances for sheet in books._by_key.values()]) + repr(books.accounts(every_role))
    assert not any(token in everything for token in tokens)


def test_what_is_no_log_in_the_folder_is_named_and_changes_nothing(folder: Path, promised: Totals) -> None:
    reading = joined(in_folder(folder), None)
    assert (reading.files, reading.books.totals()) == (70, promised)
    assert ("README.md", "no gzip, or a damaged one") in reading.set_aside


def test_one_damaged_file_among_them_is_set_aside_and_the_rest_is_read(folder: Path, tmp_path: Path) -> None:
    for found in in_folder(folder / "AWSLogs"):
        path = tmp_path / found.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with found.opened() as stream:
            path.write_bytes(stream.read())
    damaged = max(tmp_path.rglob("*.gz"), key=lambda path: path.stat().st_size)
    lost = len(json.loads(gzip.decompress(damaged.read_bytes()))["Records"])
    damaged.write_bytes(damaged.read_bytes()[:-100])
    reading = joined(in_folder(tmp_path), None)
    assert reading.set_aside == [(damaged.relative_to(tmp_path).as_posix(), "truncated: its gzip ends too early")]
    assert (reading.files, reading.books.totals().events) == (69, 1296 - lost)
