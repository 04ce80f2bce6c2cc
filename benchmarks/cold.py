"""Cold starts: from the first import to the first answer, beside a floor of the packages that were fixed beforehand.

The floor is a Chalice app with a pydantic model, a PynamoDB model with its client, and an STS client on that client's
session; it answers without a call to AWS. Every sample is an interpreter of its own, with `.pyc`; the cases take turns.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.stage import ROOT, Stage, ask_and_issue, health, running
from benchmarks.tables import Row

ROUNDS = 15
CASES = ("floor", "floor, three calls", "health", "ask and issue")


def rows() -> list[Row]:
    with running() as stage:
        samples: dict[str, list[tuple[float, float, float]]] = {case: [] for case in CASES}
        for number in range(ROUNDS + 1):
            for case in random.Random(number).sample(CASES, len(CASES)):
                sample = _in_a_fresh_interpreter(case, stage)
                if number:  # the first may have had to write .pyc
                    samples[case].append(sample)
        called = stage.calls()
    expected = {"TransactWriteItems": 4 * (ROUNDS + 1), "AssumeRole": 2 * (ROUNDS + 1)}
    if called != expected:
        sys.exit(f"The cold starts made other calls to AWS than was meant: {called}, not {expected}.")
    wall, cpu, memory = ({case: median(s[i] for s in samples[case]) for case in CASES} for i in range(3))
    return [
        *(Row(f"{case}: wall", wall[case], "ms") for case in CASES),
        *(Row(f"{case}: CPU", cpu[case], "ms") for case in CASES),
        *(Row(f"{case}: memory", memory[case], "MiB") for case in CASES),
        Row("first health beside the floor", _beside(samples["health"], samples["floor"]), "x", 1.2),
        Row("first ask-and-issue beside the floor", _beside(samples[CASES[3]], samples["floor"]), "x", 1.45),
        Row("the same beside a floor that makes its three calls", _beside(samples[CASES[3]], samples[CASES[1]]), "x"),
    ]


def _beside(case: list[tuple[float, float, float]], floor: list[tuple[float, float, float]]) -> float:
    """How many times the floor, on the wall: the median of the rounds, since the machine is quicker in some of them."""
    return median(ours[0] / theirs[0] for ours, theirs in zip(case, floor, strict=True))


def _in_a_fresh_interpreter(case: str, stage: Stage) -> tuple[float, float, float]:
    with tempfile.NamedTemporaryFile() as told:
        given = {"case": case, "event": health() if case != CASES[3] else ask_and_issue(stage.token)}
        subprocess.run(
            [sys.executable, "-m", "benchmarks.first_answer", told.name],
            cwd=ROOT,
            env={**stage.environment, "GIVEN": json.dumps(given)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        wall, cpu, memory = json.loads(Path(told.name).read_text())
    return wall, cpu, memory
