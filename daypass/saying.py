"""How the command speaks: answers on standard output, everything else beside it, and an exit code at the end."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from daypass import showing

if TYPE_CHECKING:
    from daypass.client import Json

DONE, ERROR, DENIED, NOT_ELIGIBLE, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 130


class Stop(Exception):
    """The end of the command: one sentence on stderr and an exit code."""

    def __init__(self, sentence: str, code: int = ERROR) -> None:
        super().__init__(sentence)
        self.code = code


def tell(answer: Json, as_json: bool) -> None:
    if as_json:
        write_json(answer)
    else:
        line(showing.request(answer, paint()))


def paint() -> showing.Paint:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return showing.in_colour if coloured else showing.colourless


def write_json(value: object) -> None:
    line(json.dumps(value, indent=2))


def line(text: str) -> None:
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    sys.stderr.write(text + "\n")
