"""What a library costs to import: python -m benchmarks.imports. The figures of docs/decisions come from here, and for
`make bench` what the first signed click imports, beside what Bolt and its Chalice adapter cost by themselves.

CPU of one import in a fresh interpreter with `.pyc` that has loaded a base before, in shuffled turns. The control
imports what is there already. On a shared machine the least is steadier than the median; both are shown.
"""

from __future__ import annotations

import random
import subprocess
import sys
from importlib.util import find_spec
from statistics import median

from benchmarks.tables import Row

ROUNDS = 21
BOLT = """
from slack_bolt.adapter.aws_lambda.chalice_handler import ChaliceSlackRequestHandler
from slack_sdk import webhook
"""
SLACK_ROUTE = "import chalicelib.slack.listening, chalicelib.aws.bindings, chalicelib.aws.secrets"
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
    "over the function": (
        "import app",
        {
            "control": "pass",
            "slack_sdk, WebClient": "from slack_sdk import WebClient",
            "slack_bolt": "from slack_bolt import App",
            "slack_bolt, with its Chalice adapter": BOLT,
            "slack_bolt, as the Slack route has it": SLACK_ROUTE,
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


def rows() -> list[Row]:
    """The import of the Slack route beside its floor, in turns."""
    programs = {"floor": BOLT, "ours": SLACK_ROUTE}
    seen = _seen({name: _CHILD.format(base="import app", code=code) for name, code in programs.items()})
    ratio = median(ours / floor for ours, floor in zip(seen["ours"], seen["floor"], strict=True))
    return [
        Row("Bolt with its Chalice adapter: CPU", median(seen["floor"]), "ms"),
        Row("the Slack route: CPU", median(seen["ours"]), "ms"),
        Row("the Slack route beside Bolt", ratio, "x", 1.25),
    ]


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
