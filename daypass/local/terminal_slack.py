"""Slack for a stage without one: what would be posted is shown in the terminal, as it would read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from chalicelib.slack.messages import Rendered
from chalicelib.slack.posting import Posted
from daypass.showing import plain

_BAR = "  │ "


class TerminalSlack:
    """`chalicelib.slack.posting.Slack` whose every channel is the terminal. Nothing is ever forgotten or refused."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._numbers = itertools.count(1)

    def post(self, place: str, message: Rendered, request_id: str) -> Posted:
        self._show(f"Slack {place}", message)
        return Posted(place, f"{next(self._numbers)}.0")

    def update(self, posted: Posted, message: Rendered) -> None:
        self._show(f"Slack {posted.channel}, the same message", message)

    def reply(self, posted: Posted, message: Rendered, *, to_all: bool) -> None:
        self._show(f"Slack {posted.channel}, in the thread{' and to all' if to_all else ''}", message)

    def find(self, place: str, request_id: str, since: datetime) -> Posted | None:
        return None

    def _show(self, where: str, message: Rendered) -> None:
        # One call: no other thread's line comes between.
        self._say("\n".join([f"  ┌ {where}", *(f"{_BAR}{line}".rstrip() for line in lines(message)), "  └"]))


def lines(message: Rendered) -> Iterator[str]:
    """The message line by line, in which nobody's words can end the frame or move the cursor."""
    for block in message.blocks:
        yield from _block(block)


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield plain(block["text"]["text"])
        case "actions":
            yield " ".join(f"[{plain(button['text']['text'])}]" for button in block["elements"])
        case "context":
            yield from (plain(element["text"]) for element in block["elements"])
        case _:
            for element in block["elements"]:
                yield from _rich(element)


def _rich(element: Mapping[str, Any]) -> Iterator[str]:
    before = {"rich_text_quote": "> ", "rich_text_preformatted": "  "}.get(element["type"], "")
    text = "".join(_part(part) for part in element["elements"])
    yield from (f"{before}{plain(line)}" for line in text.split("\n"))


def _part(part: Mapping[str, Any]) -> str:
    match part["type"]:
        case "date":
            return str(part["fallback"])
        case "broadcast":
            return f"@{part['range']}"
        case _:
            return str(part["text"])
