"""What those who watch receive: the metrics among what was printed, and the log's lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any


def counted(printed: str) -> Counter[str]:
    """How often each metric was counted; `Refusals` by its slug, as `Refusals slug=not-found`."""
    found: Counter[str] = Counter()
    for name, unit, value in _told(printed):
        if unit == "Count":
            found[name] += int(value)
    return found


def measured(printed: str) -> list[tuple[str, float]]:
    """The times, in seconds, in the order in which they were told."""
    return [(name, value) for name, unit, value in _told(printed) if unit == "Seconds"]


def _told(printed: str) -> Iterator[tuple[str, str, float]]:
    lines = [line for line in printed.splitlines() if line.startswith('{"_aws"')]
    return chain.from_iterable(_values(json.loads(line)) for line in lines)


def _values(line: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Source: the specification that chalicelib/metrics.py names."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "Daypass"
        [names] = directive["Dimensions"]
        dimensions = "".join(f" {name}={line[name]}" for name in names)
        assert set(line) == {"_aws", *names, *(metric["Name"] for metric in directive["Metrics"])}
        for metric in directive["Metrics"]:
            assert metric["Unit"] in ("Count", "Seconds")
            yield metric["Name"] + dimensions, metric["Unit"], sum(line[metric["Name"]])
