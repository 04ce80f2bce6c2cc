"""What Slack makes of what it is sent: Block Kit's limits by slack_sdk's own models, and mrkdwn as a reader sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slack_sdk.models.basic_objects import JsonObject
from slack_sdk.models.blocks import Block, Option
from slack_sdk.models.views import View

# Source: https://docs.slack.dev/messaging/formatting-message-text.
_TOKENS = re.compile(r"```.*?```|`[^`\n]+`|<[^<>\n]*>", re.DOTALL)
_STYLED = re.compile(r"(?<!\w)([*_~])(?=\S)([^\n]*?\S)\1(?!\w)")
_URL = re.compile(r"https?://\S+|\bmailto:\S+")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Read:
    """quotations: what stands in code. controls: mentions, pings and links. styled: what is bold, italic or struck."""

    text: str
    quotations: tuple[str, ...]
    controls: tuple[str, ...]
    styled: tuple[str, ...]
    bare: str


def read_mrkdwn(text: str) -> Read:
    """A mrkdwn text with `verbatim`, in which bare addresses are left alone."""
    quotations = tuple(_decoded(token[1:-1]) for token in _TOKENS.findall(text) if token.startswith("`"))
    controls = tuple(token for token in _TOKENS.findall(text) if token.startswith("<"))
    bare = _TOKENS.sub("\ufffc", text)
    styled = tuple(match[2] for match in _STYLED.finditer(bare))
    return Read(_decoded(text), quotations, controls, styled, bare)


def _decoded(text: str) -> str:
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


def texts(value: Any) -> Iterator[dict[str, Any]]:
    """Every text object in blocks, views or options."""
    if isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text") and "text" in value:
            yield value
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def check_message(message: dict[str, Any]) -> None:
    assert message["response_type"] == "ephemeral", "what one person did is shown to all"
    check_blocks(message["blocks"], most=50)
    assert 0 < len(message["text"]) <= 40_000
    _harmless(message)
    assert not read_mrkdwn(message["text"]).controls, message["text"]


def check_view(view: dict[str, Any]) -> None:
    assert len(json.dumps(view)) <= 250_000
    _valid(View(**view))
    check_blocks(view["blocks"], most=100)
    assert view.get("submit") or not any(block["type"] == "input" for block in view["blocks"])
    _harmless(view)


def check_blocks(blocks: list[dict[str, Any]], *, most: int) -> None:
    parsed = Block.parse_all(blocks)
    assert 0 < len(parsed) == len(blocks) <= most
    for model in parsed:
        _valid(model)
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    assert len(set(ids)) == len(ids)
    assert all(len(id) <= 255 for id in ids)
    for block in blocks:
        if block["type"] == "section":
            assert 0 < len(block["text"]["text"]) <= 3000


def check_options(options: list[dict[str, Any]]) -> None:
    assert len(options) <= 100
    for option in options:
        _valid(Option(**option))
        assert 0 < len(option["text"]["text"]) <= 75
        assert 0 < len(option["value"]) <= 150
        assert len(option.get("description", {}).get("text", "")) <= 75


def _harmless(value: Any) -> None:
    """Nothing of it pings, links, or turns what stands beside it around."""
    for text in texts(value):
        assert not _TURNS.search(text["text"]), text
        if text["type"] == "mrkdwn":
            assert text["verbatim"] is True
            read = read_mrkdwn(text["text"])
            assert not read.controls, text
            assert not _URL.search(read.bare), text


def _valid(value: Any) -> None:
    """Raises SlackObjectFormationError where Slack would answer `invalid_blocks`."""
    if isinstance(value, JsonObject):
        value.validate_json()
        for each in vars(value).values():
            _valid(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _valid(each)
