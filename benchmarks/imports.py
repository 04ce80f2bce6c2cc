"""What a library costs to import: python -m benchmarks.imports. The figures of docs/decisions come from here.

CPU of one import in a fresh interpreter with `.pyc` that has loaded a base before, in shuffled turns. The control
imports what is there already. On a shared machine the least is steadier than the median; both are shown.
"""

from __future__ import annotations

import random
import subprocess
import sys
from importlib.util import find_spec
from statistics import median

ROUNDS = 21
FUNCTION = "import chalice.app, pydantic, pynamodb.models, botocore.session"
CASES = {
    "over what the function loads anyway": (
        FUNCTION,
        {
            "control": "pass",
            "aws_lambda_powertools": "from aws_lambda_powertools import Logger; Logger(service='x')",
            "aws_lambda_powertools, and its metrics": (
                "from aws_lambda_powertools import Logger, single_metric; Logger(service='x')"
            ),
            "structlog": "import structlog",
            "ulid": "from ulid import ULID",
            "jwt": "import jwt",
            "urllib3": "import urllib3",
        },
    ),
    "over the bare interpreter": (
        "pass",
        {
            "control": "pass",
            "typer": "import typer",
            "typer, and pydantic for the first parameter": "import typer, pydantic; pydantic.TypeAdapter(str)",
            "urllib3": "import urllib3",
        },
    ),
}


_CHILD = """
{base}
import sys, time
begun = time.process_time_ns()
{code}
sys.stdout.write(str(time.process_time_ns() - begun))
"""


def main() -> None:
    for title, (base, cases) in CASES.items():
        known = {name: code for name, code in cases.items() if name == "control" or find_spec(name.split(",")[0])}
        print(title)
        for name, seen in _seen({name: _CHILD.format(base=base, code=code) for name, code in known.items()}).items():
            print(f"  {name:45s} {median(seen):6.1f} ms median  {min(seen):6.1f} ms least")


def _seen(programs: dict[str, str]) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(ROUNDS + 1):
        for name in random.Random(number).sample(list(programs), len(programs)):
            told = subprocess.run([sys.executable, "-s", "-c", programs[name]], capture_output=True, check=True).stdout
            if number:  # the first may have had to write .pyc
                seen[name].append(int(told) / 1e6)
    return seen


if __name__ == "__main__":
    main()
