"""What those who watch receive: the metrics among what was printed, and the log's lines."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


def counted(printed: str) -> Counter[str]:
    """How often each metric was counted; `Refusals` by its slug, as `Refusals slug=not-found`."""
    found: Counter[str] = Counter()
    for line in printed.splitlines():
        if line.startswith('{"_aws"'):
            found += Counter(dict(_values(json.loads(line))))
    return found


def _values(line: dict[str, Any]) -> list[tuple[str, int]]:
    """Source: the specification that chalicelib/metrics.py names."""
    told = []
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "Daypass"
        [names] = directive["Dimensions"]
        dimensions = "".join(f" {name}={line[name]}" for name in names)
        assert set(line) == {"_aws", *names, *(metric["Name"] for metric in directive["Metrics"])}
        for metric in directive["Metrics"]:
            assert metric["Unit"] == "Count"
            told.append((metric["Name"] + dimensions, int(sum(line[metric["Name"]]))))
    return told
