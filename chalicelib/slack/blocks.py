"""Block Kit, as far as Daypass's messages need it: plain JSON, within its limits.

Source: https://docs.slack.dev/reference/block-kit/blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from chalicelib.core.times import stamp
from chalicelib.slack.text import Json

APPROVE, SHORTEN, DENY = "daypass_approve", "daypass_shorten", "daypass_deny"
"""The `action_id` of each button; its `value` is the request's id."""

HEADER = 150
"""The most characters of a header."""


def buttons(request_id: str) -> Json:
    def button(text: str, action_id: str, **style: str) -> Json:
        label = {"type": "plain_text", "text": text}
        return {"type": "button", "text": label, "action_id": action_id, "value": request_id, **style}

    elements = [
        button("Approve", APPROVE, style="primary"),
        button("Shorten…", SHORTEN),
        button("Deny", DENY, style="danger"),
    ]
    return {"type": "actions", "elements": elements}


def footer(request_id: str) -> Json:
    return {"type": "context", "elements": [{"type": "plain_text", "text": f"Request {request_id}", "emoji": False}]}


def header(text: str) -> Json:
    # Without `emoji`, a `:name:` in somebody's id stays what it is.
    return {"type": "header", "text": {"type": "plain_text", "text": text[:HEADER], "emoji": False}}


def rich(*elements: Json) -> Json:
    return {"type": "rich_text", "elements": list(elements)}


def section(*elements: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


def label(name: str) -> Json:
    return section(text(f"{name}:", bold=True))


def done(what: str, at: datetime | None) -> Json:
    return section(text(what, bold=True), *([text(", "), date(at)] if at else []))


def lines(of: Iterable[list[Json]]) -> Iterator[Json]:
    for number, line in enumerate(of):
        yield from [text("\n"), *line] if number else line


def text(text: str, *, bold: bool = False, code: bool = False) -> Json:
    style = {"style": {"bold": True}} if bold else {"style": {"code": True}} if code else {}
    return {"type": "text", "text": text or " ", **style}  # Slack takes no empty ones


def date(at: datetime) -> Json:
    """An instant, which Slack shows to everybody by their own clock."""
    shown = "{date_short_pretty} at {time}"
    return {"type": "date", "timestamp": int(at.timestamp()), "format": shown, "fallback": stamp(at)}
