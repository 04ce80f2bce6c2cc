"""Exporting: everybody's events of some days as JSON lines, the form that `daypass verify` and `reconcile` read."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from daypass.client import Client

_EVERY = 1000

Form = Callable[[Mapping[str, Any]], Mapping[str, Any]]

Progress = Callable[[str, int], object]
"""Told of the day that is read and how many events there are by now."""


def read_day(text: str) -> date:
    """`2026-11-23`. Raises ValueError for anything else."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise ValueError("write a day as in 2026-11-23")
    return date.fromisoformat(text)


def export(client: Client, first: date, last: date, to: TextIO, progress: Progress, form: Form) -> int:
    """Write all events from `first` to the end of `last`, oldest first; tells how many.

    form: what is written of each. Raises DaypassError, and what `form` raises.
    """
    count = 0
    for number in range((last - first).days + 1):
        day = (first + timedelta(days=number)).isoformat()
        progress(day, count)
        for event in client.day(day):
            # ASCII: it reads the same whatever the locale takes a file for.
            to.write(json.dumps(form(event), separators=(",", ":")) + "\n")
            count += 1
            if count % _EVERY == 0:
                progress(day, count)
    return count


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A file that is there once all of it is written; until then, and where that fails, what was there before.

    Only its owner may read it. Raises OSError.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise FileExistsError(0, "it is there, and no file", str(path))
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
