"""Cold starts by the zip alone, as Lambda unpacks it: with the `.pyc` that it holds, and as Chalice packs it, without.

Each sample is an interpreter of its own, from the first import to the first answer; the cases take turns.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.stage import ROOT, Stage, ask_and_issue, health, running, slack_command
from benchmarks.tables import Row
from infra.unpacked import unpack
from infra.zip_packed import compile_all

ROUNDS = 5
CASES: dict[str, Callable[[Stage], dict[str, Any]]] = {
    "health": lambda stage: health(),
    "ask and issue": lambda stage: ask_and_issue(stage.token),
    "a command in Slack": lambda stage: slack_command(stage.url),
}


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary, running() as stage:
        packed, plain = Path(temporary) / "packed", Path(temporary) / "plain"
        unpack(packed)
        unpack(plain)
        compile_all(packed)
        turns = [(case, folder) for case in CASES for folder in (packed, plain)]
        samples: dict[tuple[str, Path], list[float]] = {turn: [] for turn in turns}
        for number in range(ROUNDS):
            for case, folder in random.Random(number).sample(turns, len(turns)):
                samples[case, folder].append(_cpu(folder, {"case": case, "event": CASES[case](stage)}, stage))
    return [row for case in CASES for row in _rows(case, samples[case, packed], samples[case, plain])]


def _rows(case: str, packed: list[float], plain: list[float]) -> list[Row]:
    return [
        Row(f"{case}: CPU", median(packed), "ms"),
        Row(f"{case}, without .pyc: CPU", median(plain), "ms"),
        Row(f"{case}: beside", median(ours / theirs for ours, theirs in zip(packed, plain, strict=True)), "x", 0.6),
    ]


def _cpu(folder: Path, given: dict[str, Any], stage: Stage) -> float:
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder), "GIVEN": json.dumps(given)}
    with tempfile.NamedTemporaryFile() as told:
        subprocess.run(
            [sys.executable, "-S", "-s", str(ROOT / "benchmarks/first_answer.py"), told.name],
            cwd=folder,
            env={**stage.environment, **environment},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        _, cpu, _ = json.loads(Path(told.name).read_text())
    return float(cpu)
