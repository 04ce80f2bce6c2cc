"""Patterns: names of roles and ids of people with `*` and `?`."""

from __future__ import annotations

import re
from functools import lru_cache

_WILDCARDS = re.compile(r"[*?]")


@lru_cache(maxsize=65536)
def glob(pattern: str) -> re.Pattern[str]:
    """A pattern with `*` and `?`, which stand for anything but `/` and `:`: those match only where they are written."""
    parts = (("[^/:]*" if c == "*" else "[^/:]") if c in "*?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.ASCII)


def literal_prefix(pattern: str) -> str:
    """What every match of the pattern begins with: the pattern up to its first wildcard."""
    return _WILDCARDS.split(pattern, maxsplit=1)[0]
