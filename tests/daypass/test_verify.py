"""`daypass verify`: what a person and a program see of it, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chalicelib.core import copied
from chalicelib.core.digest import Book, Digest, Signed, name
from chalicelib.core.ledger import Event, Recorded
from daypass.operator.verify import BROKEN
from daypass.saying import DONE, ERROR, NOT_ELIGIBLE
from tests.core.test_comparing import DAYS
from tests.core.test_comparing import a_story as long_story
from tests.core.test_replaying import used
from tests.core.test_verifying import ALICES, OF_THE_DAY, a_chain, a_story
from tests.daypass.conftest import Daypass, Ran, Said, Server, problem

ROOT = Path(__file__).parents[2]


def verify(*arguments: object) -> Ran:
    command = [sys.executable, "-m", "daypass.commands", "verify", *map(str, arguments)]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def write(file: Path, lines: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_ledger_that_holds_is_said_to_and_what_it_cannot_tell(file: Path) -> None:
    write(file, a_story())
    ran = verify(file)
    assert (ran.code, ran.err) == (DONE, "")
    assert ran.out.startswith("10 events of 2 requests, 2026-11-23 to 2026-11-23: all hold.\n")
    assert "Whether a chain goes on after its last event here, a file cannot tell." in ran.out


def test_a_broken_one_is_named_with_seq_and_reason(file: Path) -> None:
    lines = a_chain(ALICES)
    write(file, [lines[0], *lines[2:]])
    ran = verify(file)
    assert (ran.code, ran.err) == (BROKEN, "")
    assert "1 do not hold" in ran.out
    told = verify(file, "--json")
    assert told.code == BROKEN
    assert json.loads(told.out) == {
        "events": 4,
        "requests": 1,
        "day_chains": 0,
        "from": "2026-11-23",
        "to": "2026-11-23",
        "broken": [{"request_id": ALICES, "seq": 2, "why": "is missing"}],
        "began_earlier": [],
    }


def test_the_chains_of_a_day_are_checked_as_histories_are(file: Path) -> None:
    write(file, [*a_chain(ALICES), *a_chain(OF_THE_DAY)])
    assert verify(file).out.startswith("10 events of 1 requests and 1 chains of days, 2026-11-23 to 2026-11-23: all")
    write(file, [*a_chain(ALICES), *a_chain(OF_THE_DAY)[1:]])
    told = verify(file, "--json")
    assert told.code == BROKEN
    assert json.loads(told.out)["broken"] == [{"chain": OF_THE_DAY, "seq": 1, "why": "is missing"}]
    assert OF_THE_DAY in verify(file).out


def test_nobodys_words_forge_a_line(file: Path) -> None:
    write(file, [{**line, "request_id": "x\nall hold\x1b[2J"} for line in a_chain(ALICES)])
    ran = verify(file)
    assert ran.code == BROKEN
    assert "\nall hold" not in ran.out
    assert "\x1b" not in ran.out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "line 1 is no JSON"),
        (b"[" * 100_000, "line 1 is no JSON"),
        (b"[]", "line 1 is no event"),
        (b"\n{}", "line 2 is no event"),
        (b'{"request_id": "a", "request_id": "b"}', "has a name twice"),
        (b"\xff", "is not text"),
    ],
)
def test_what_is_no_export_is_said_to_be_none(file: Path, content: bytes, sentence: str) -> None:
    file.write_bytes(content)
    ran = verify(file)
    assert (ran.code, ran.out) == (ERROR, "")
    assert sentence in ran.err


def test_what_cannot_be_read_is_said(file: Path) -> None:
    assert verify(file).err.endswith("cannot be read: No such file or directory.\n")


# Beside digests and a copy


@dataclass
class Archive:
    """A copy of a story with its digests, fetched to a folder, and the key that they are signed with."""

    root: Path
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    @property
    def pem(self) -> Path:
        file = self.root / "digest.pem"
        file.write_bytes(self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return file

    @property
    def options(self) -> list[object]:
        return ["--digests", self.root, "--key", self.pem, "--copy", self.root]

    def keep(self, name: str, text: bytes) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)

    def fill(self, lines: list[dict[str, Any]]) -> None:
        book = Book()
        for line in lines:
            event = Event(**{name: value for name, value in line.items() if name != "request_id"})
            book.take(event.at[:10], line["request_id"], event.seq, event.hash)
            self.keep(copied.name(line["request_id"], event), copied.text(Recorded(line["request_id"], event)))
        row = [Digest(DAYS[0] - timedelta(days=1), None, {})]
        for day in DAYS:
            row.append(row[-1].followed({day.isoformat(): book.statement(day.isoformat())}))
        for each in row:
            signature = self.key.sign(each.text.encode(), ECDSA(SHA256()))
            self.keep(name(each.day), Signed(each, signature).document)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive")
    archive.fill(long_story())
    return archive


def test_what_is_as_digests_and_copy_tell_is_said_to_be_so(file: Path, archive: Archive) -> None:
    write(file, long_story())
    ran = verify(file, *archive.options)
    assert (ran.code, ran.err) == (DONE, "")
    assert "10 events of 2 requests, 2026-11-23 to 2026-11-25: all hold.\n" in ran.out
    assert "Held against the signed digests of 2026-11-22 to 2026-11-25.\n" in ran.out
    assert "Held against 10 events of the copy." in ran.out
    assert "cannot tell" not in ran.out
    told = json.loads(verify(file, *archive.options, "--json").out)
    assert (told["broken"], told["copy"]) == ([], {"events": 10})
    assert told["digests"] == {
        "from": "2026-11-22", "to": "2026-11-25", "whole": True, "told_again": [], "untold": [],
    }  # fmt: skip


@pytest.mark.parametrize("option", ["--digests", "--copy"])
def test_what_was_cut_off_is_named_by_either(file: Path, archive: Archive, option: str) -> None:
    write(file, [line for line in long_story() if (line["request_id"], line["seq"]) != (ALICES, 5)])
    given = {"--digests": ["--digests", archive.root, "--key", archive.pem], "--copy": ["--copy", archive.root]}
    assert verify(file).code == DONE
    ran = verify(file, *given[option], "--json")
    assert ran.code == BROKEN
    [broken] = json.loads(ran.out)["broken"]
    assert (broken["request_id"], broken["seq"], broken["why"][:11]) == (ALICES, 5, "is missing:")


def test_a_file_of_some_days_is_held_against_these_days(file: Path, archive: Archive) -> None:
    write(file, [line for line in long_story() if line["at"] < "2026-11-24"])
    assert verify(file, *archive.options).code == BROKEN
    assert verify(file, *archive.options, "--to", "2026-11-23").code == DONE
    assert verify(file, *archive.options, "--from", "2026-11-23", "--to", "2026-11-23").code == DONE


def test_a_copy_alone_is_verified_itself(archive: Archive) -> None:
    ran = verify(*archive.options)
    assert (ran.code, ran.err) == (DONE, "")
    assert "10 events of 2 requests, 2026-11-23 to 2026-11-25: all hold.\n" in ran.out
    next((archive.root / "events").rglob("0000000003.json")).unlink()
    assert verify(*archive.options).code == BROKEN


def test_a_copy_or_digest_that_was_forged_is_named(file: Path, archive: Archive) -> None:
    write(file, long_story())
    event = next((archive.root / "events").rglob("*.json"))
    event.write_bytes(event.read_bytes() + b" ")
    digest = archive.root / "digests" / "2026-11-24.json"
    digest.write_bytes(digest.read_bytes()[:-9] + b'AAAAAA=="}')
    ran = verify(file, *archive.options)
    assert ran.code == BROKEN
    chain, seq = event.parent.name, int(event.stem)
    [line] = [line for line in ran.out.splitlines() if "does not hold what Daypass writes there" in line]
    assert line.split()[:2] == [chain, str(seq)]
    assert "digests/2026-11-24.json" in ran.out


def test_another_key_is_not_believed(file: Path, archive: Archive, tmp_path: Path) -> None:
    write(file, long_story())
    other = Archive(tmp_path)
    ran = verify(file, "--digests", archive.root, "--key", other.pem)
    assert ran.code == BROKEN
    assert ran.out.count("is not signed with this key") == 4
    assert "No digest tells of 2026-11-23, 2026-11-24, 2026-11-25" in ran.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name one of FILE, --request and --day, or a --copy alone"),
        (("FILE", "--day", "2026-11-23"), "name one of FILE, --request and --day, or a --copy alone"),
        (("FILE", "--digests", "ROOT"), "--digests and --key belong together"),
        (("FILE", "--digests", "ROOT", "--key", "FILE"), "is no public key on P-256 in PEM"),
        (("FILE", "--digests", "nowhere", "--key", "PEM"), "nowhere cannot be read: it is no folder"),
        (("FILE", "--digests", "EMPTY", "--key", "PEM"), "digests/ cannot be read: there are no digests"),
        (("FILE", "--copy", "nowhere"), "nowhere cannot be read: it is no folder"),
        (("FILE", "--from", "yesterday"), "--from yesterday is no day"),
    ],
)
def test_what_cannot_be_worked_with_is_said(
    file: Path, archive: Archive, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    write(file, long_story())
    (tmp_path / "empty").mkdir()
    meant = {"FILE": file, "ROOT": archive.root, "PEM": archive.pem, "EMPTY": tmp_path / "empty"}
    ran = verify(*(meant.get(each, each) for each in arguments))
    assert (ran.code, ran.out) == (ERROR, "")
    assert sentence in ran.err


# Of the API


@pytest.fixture
def told_by_api(server: Server) -> tuple[Daypass, dict[str, Any], list[dict[str, Any]]]:
    """The API knows one request, and it was used."""
    story = used()
    id = story.request["id"]
    server.answers["GET", "/v1/requests"] = Said(body={"items": [story.request], "next_cursor": None})
    server.answers["GET", f"/v1/requests/{id}"] = lambda asked: Said(body=story.request)
    server.answers["GET", f"/v1/requests/{id}/events"] = Said(body={"items": story.events, "next_cursor": None})
    day = [{**event, "request_id": id} for event in story.events]
    server.answers["GET", "/v1/events"] = Said(body={"items": day, "next_cursor": None})
    return Daypass(server), story.request, story.events


def test_a_request_is_held_against_its_history(told_by_api) -> None:
    daypass, request, events = told_by_api
    ran = daypass("verify", "--request", request["id"])
    assert (ran.code, ran.err) == (DONE, "")
    assert f"{len(events)} events of 1 requests, 2031-03-05 to 2031-03-05: all hold." in ran.out
    request["state"] = "returned"
    ran = daypass("verify", "--request", request["id"], "--json")
    assert ran.code == BROKEN
    assert [each["why"] for each in json.loads(ran.out)["broken"]] == ["state is returned: no event says so"]


def test_a_day_is_asked_for_and_its_chains_checked(told_by_api, server: Server) -> None:
    daypass, request, events = told_by_api
    assert daypass("verify", "--day", "2031-03-05").code == DONE
    missing = [{**event, "request_id": request["id"]} for event in events if event["seq"] != 2]
    server.answers["GET", "/v1/events"] = Said(body={"items": missing, "next_cursor": None})
    assert daypass("verify", "--day", "2031-03-05").code == BROKEN


def test_a_request_is_held_against_its_part_of_the_copy(told_by_api, tmp_path: Path) -> None:
    daypass, request, events = told_by_api
    archive = Archive(tmp_path / "archive")
    for event in events[:-1]:
        recorded = Recorded(request["id"], Event(**event))
        archive.keep(copied.name(request["id"], recorded.event), copied.text(recorded))
    ran = daypass("verify", "--request", request["id"], "--copy", str(archive.root), "--json")
    assert ran.code == BROKEN
    [broken] = json.loads(ran.out)["broken"]
    assert (broken["seq"], broken["why"]) == (events[-1]["seq"], "is not in the copy of 2031-03-05")


def test_what_is_not_told_as_requests_are_is_broken(told_by_api) -> None:
    daypass, request, _ = told_by_api
    del request["approvals"]
    ran = daypass("verify", "--request", request["id"])
    assert ran.code == BROKEN
    assert "is not told as Daypass tells requests and their events" in ran.out


def test_given_the_api_says_no_then_so_does_verify(told_by_api, server: Server) -> None:
    daypass, _, _ = told_by_api
    server.answers["GET", "/v1/events"] = problem(403, "not-eligible", "Only auditors read everybody's events.")
    assert daypass("verify", "--day", "2031-03-05").code == NOT_ELIGIBLE
