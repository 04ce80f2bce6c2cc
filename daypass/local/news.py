"""News for the terminal: what its app logs, once it is on the record, and somebody should see at once."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_LINES: Mapping[str, str] = {
    "break_glass_opened": "BREAK-GLASS: {principal} opened {role} in an emergency, {id}: somebody has to review it",
    "break_glass_reviewed": "REVIEWED: {principal} found the emergency of {requester} on {role} {verdict}, {id}",
    "access_revoked": "REVOKED: {principal} took {role} away from {requester}, {id}",
}
_ENDING = 8  # of an id, as `daypass list` shows it


class _Teller(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        line = _LINES.get(record.msg) if isinstance(record.msg, str) else None
        if line is not None:
            at = time.strftime("%H:%M:%S", time.localtime(record.created))
            self._say(f"{at} {line.format(**_fields(vars(record)))}")


def _fields(known: Mapping[str, Any]) -> dict[str, str]:
    names = ("principal", "requester", "role", "verdict")
    told = {name: "".join(c if c.isprintable() else "?" for c in str(known.get(name, ""))) for name in names}
    return {**told, "id": str(known.get("id", ""))[-_ENDING:]}


@contextlib.contextmanager
def told(say: Callable[[str], None]) -> Iterator[None]:
    """Say what there is to say, as long as the block lasts."""
    teller, log = _Teller(say), logging.getLogger("daypass")
    log.addHandler(teller)
    try:
        yield
    finally:
        log.removeHandler(teller)
