"""How the readers of the catalogue file tell mistakes: by place, in a sentence, all at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.core.times import read_length, spoken

# The name of a role, a scope or an account, as a request spells it.
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# A repeated group that holds one repetition and nothing else, as in (a+)+, or that chooses, as in (a|a)*: the time it
# takes can double with every character.
_EXPLODES = re.compile(
    r"\((\?:)?(\[[^\]]*\]|\\.|[^()\[\]\\])[+*]\)[+*{]"
    r"|\((\[[^\]]*\]|\\.|[^()\[\]\\])*\|(\[[^\]]*\]|\\.|[^()\[\]\\])*\)[+*]"
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """place: as in `roles.payments-admin.role_name` or `rules[2] "sre administer payments".approvals[0].from`."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class CatalogueMistakes(Exception):
    """A catalogue that is refused whole, with all that is wrong with it. As text: a line for each mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


Say = Callable[[str, str], None]
"""Notes a mistake: its place, its message."""


def entry(section: str, key: str | int, name: object = None) -> str:
    """The place of an entry: `roles.payments-admin`; of a list's `rules[2] "its name"`, counted from 0 as TOML's do."""
    if isinstance(key, str):
        return f"{section}.{_key(key)}"
    return f"{section}[{key}] {_quoted(name)}" if isinstance(name, str) else f"{section}[{key}]"


def below(place: str, path: Iterable[str | int]) -> str:
    return place + "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _quoted(name)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=not name.isprintable())


def length(text: str | None, place: str, say: Say, *, least: timedelta, most: timedelta) -> timedelta:
    """A length as the file writes it, such as "4h". What is said of a length that is no good ends in `least`."""
    try:
        found = read_length(text or "")
    except ValueError as error:
        say(place, str(error) if text else 'is missing: write a length such as "4h"')
        return least
    if not least <= found <= most:
        say(place, f"is {spoken(found)}: it must be between {spoken(least)} and {spoken(most)}")
        return least
    return found


def regular_expression(text: str, place: str, say: Say) -> str:
    try:
        re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        say(place, f"{text!r:.80} is not a regular expression: {' '.join(str(error).split())}")
    else:
        if _EXPLODES.search(text):
            say(place, f"{text!r:.80} repeats a repetition, which can take forever to match")
    return text
