"""The arrows of the design hold, and the contract that says so notices when one does not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for package in ("chalicelib", "daypass"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_arrows_hold(copied):
    linted = lint(copied)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("chalicelib/core/refusals.py", "import time"),
        ("chalicelib/core/refusals.py", "from chalicelib.broker import ports"),
        ("chalicelib/broker/seeing.py", "from chalicelib.aws import table"),
        ("chalicelib/aws/table.py", "from chalicelib.broker import asking"),
        ("chalicelib/aws/bus.py", "from chalicelib.outbox import posting"),
        ("chalicelib/web/problems.py", "from chalicelib.slack import messages"),
        ("chalicelib/outbox/batch.py", "from chalicelib.aws import stream"),
        ("chalicelib/slack/blocks.py", "from chalicelib.outbox import batch"),
        ("chalicelib/web/problems.py", "from chalicelib import wiring"),
        ("chalicelib/outbox/posting.py", "from chalicelib import outbox_wiring"),
        ("chalicelib/wiring.py", "from chalicelib import outbox_wiring"),
        ("chalicelib/web/problems.py", "import boto3"),
        ("chalicelib/web/problems.py", "from chalicelib.slack import text"),
        ("chalicelib/slack/text.py", "from chalicelib.web import problems"),
        ("chalicelib/slack/text.py", "from chalicelib import settings"),
        ("chalicelib/broker/seeing.py", "import slack_sdk"),
        ("chalicelib/wiring.py", "import daypass"),
        ("daypass/client.py", "from chalicelib.core import times"),
        ("daypass/commands.py", "import daypass.local"),
        ("daypass/commands.py", "import daypass.operator"),
        ("daypass/tokens.py", "import botocore"),
        ("daypass/operator/documents.py", "from chalicelib.broker import ports"),
        ("daypass/operator/checking.py", "from chalicelib import settings"),
    ],
)
def test_given_a_forbidden_import_then_the_contract_breaks(copied, module, line):
    source = copied / module
    source.write_text(source.read_text().replace("from __future__ import annotations", f"{line}\n") + f"\n{line}\n")
    linted = lint(copied)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "BROKEN" in linted.stdout
