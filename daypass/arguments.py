"""What people type after a verb, and what it means."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from daypass import showing
from daypass.saying import Stop

Id = Annotated[str, typer.Argument(metavar="ID", help="A request's id, or any ending of it that no other has.")]
What = Annotated[str, typer.Argument(metavar="ID-OR-ROLE", help="A request, or a role that you were given.")]
AsJson = Annotated[bool, typer.Option("--json", help="The API's answer, for programs.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]

# Bare digits are seconds only where they stand alone: 1h30 could mean anything.
_DURATION = re.compile(r"(?:([0-9]{1,3})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,7})s)?|([0-9]{1,7})", re.ASCII)


def seconds(text: str) -> int:
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise Stop(f"{showing.plain(text)!r} is not a duration: write 2h, 90m, 1h30m or seconds.")
    hours, minutes, seconds, bare = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + bare


def day(option: str, text: str) -> date:
    from daypass.exporting import read_day

    try:
        return read_day(text)
    except ValueError:
        raise Stop(f"{option} {showing.plain(text)} is no day: write one as in 2026-11-23.") from None


def parameters(scope: str | None, given: Iterable[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := next((name for name, equals, _ in pairs if not (name and equals)), None):
        raise Stop(f"--param {showing.plain(wrong)} has no value: write --param name=value.")
    if pairs and scope is None:
        raise Stop("--param belongs to a scope: write --scope name too.")
    return {name: value for name, _, value in pairs}


def file_text(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Stop(f"{file} is not text.") from None
    except OSError as error:
        raise Stop(f"{file} cannot be read: {error.strerror}.") from None
