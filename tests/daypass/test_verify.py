"""`daypass verify`: what a person and a program see of it, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daypass.commands import DONE, ERROR
from daypass.operator.verify import BROKEN
from tests.core.test_verifying import ALICES, OF_THE_DAY, a_chain, a_story
from tests.daypass.test_commands import Ran

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
