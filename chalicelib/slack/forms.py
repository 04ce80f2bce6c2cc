"""The forms: what people fill in, as Slack's modals, and how their fields come back.

Every limit is Slack's. Source: https://docs.slack.dev/reference/views/modal-views.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.broker.seeing import Requestable
from chalicelib.core.catalogue import Role
from chalicelib.core.request import Request
from chalicelib.core.times import spoken
from chalicelib.fields import Text
from chalicelib.slack.text import Json, label, quoted, section, sentence
from chalicelib.slack.words import terms

ASK, EMERGENCY, SHORTEN, DENY, TOLD = (
    f"daypass_form_{name}" for name in ("ask", "emergency", "shorten", "deny", "told")
)
ROLE, SCOPE = "daypass_role", "daypass_scope"
VALUE = "value"
"""The action id of every field that nothing follows from before the form is sent."""

MOST_OPTIONS = 100
_LENGTHS = tuple(timedelta(minutes=minutes) for minutes in (15, 30, 45, 60, 90, 120, 180, 240, 360, 480, 600, 720))


class Comment(BaseModel):
    model_config = ConfigDict(frozen=True)

    comment: Text


def ask(item: Requestable | None = None, scope: str | None = None) -> Json:
    """Asking: the role first; once it is chosen, what its rules want to know."""
    blocks: list[Json] = [_role()]
    if item:
        blocks += _about(item, scope)
    else:
        blocks.append(sentence("Choose a role to see for how long you may have it, and what else it needs."))
    return _form(ASK, "Ask for access", "Ask", blocks)


def _role() -> Json:
    element = {
        "type": "external_select",
        "action_id": ROLE,
        "min_query_length": 0,
        "placeholder": label("A part of its name, or of its account's", 150),
    }
    return {**_input("role", "Role", element), "dispatch_action": True}


def _about(item: Requestable, scope: str | None) -> list[Json]:
    name = item.role.name
    if not item.rules:
        return [sentence("You may have this in an emergency only: type break-glass after the slash command.")]
    longest = max(rule.max_duration for rule in item.rules)
    tickets = [rule.ticket for rule in item.rules if rule.ticket is not None]
    needless = len(tickets) < len(item.rules)
    blocks = [
        section(f"{quoted(name, 300)} in {quoted(item.role.account.name, 300)}: {quoted(terms(item), 1500)}"),
        _input(
            f"duration:{name}",
            "For how long",
            _choice([(length_value(each), spoken(each)) for each in lengths(longest)]),
        ),
        _input("reason", "Why", {**_text(500), "multiline": True, "min_length": 3}),
    ]
    if tickets:
        blocks.append(
            {
                **_input("ticket", "Ticket", _text(128)),
                "optional": needless,
                "hint": label(f"Of the form {' or '.join(tickets)}", 2000),
            }
        )
    return [*blocks, *_scopes(item.role, scope)]


def _scopes(role: Role, chosen: str | None) -> list[Json]:
    if not role.scopes:
        return []
    options = [(name, name) for name in sorted(role.scopes)][:MOST_OPTIONS]
    element = {**_choice(options), "action_id": SCOPE}
    field = {
        **_input(f"scope:{role.name}", "Narrower", element),
        "dispatch_action": True,
        "optional": not role.require_scope,
    }
    if chosen is None or chosen not in role.scopes:
        return [field]
    parameters = role.scopes[chosen].parameters
    return [
        field,
        *(
            {**_input(f"parameter:{chosen}:{name}", name, _text(256)), "hint": label(f"Of the form {pattern}", 2000)}
            for name, pattern in sorted(parameters.items())
        ),
    ]


def shorten(request: Request) -> Json | None:
    """For how much less: None where there is no shorter choice."""
    shorter = [each for each in _LENGTHS if each < request.duration]
    if not shorter:
        return None
    blocks = [
        section(f"{_whose(request)}, who asked for {spoken(request.duration)}."),
        _input("duration_seconds", "Give it for", _choice([(length_value(each), spoken(each)) for each in shorter])),
        {**_input("comment", "Comment", {**_text(500), "multiline": True}), "optional": True},
    ]
    return _form(SHORTEN, "Approve for less", "Approve", blocks, request.id)


def _whose(request: Request) -> str:
    return f"{quoted(request.role, 300)} for {quoted(request.requester.id, 600)}"


def deny(request: Request) -> Json:
    blocks = [
        section(f"{_whose(request)}. A no is final."),
        _input("comment", "Why not", {**_text(500), "multiline": True}),
    ]
    return _form(DENY, "Deny", "Deny", blocks, request.id)


def emergency(blocks: list[Json], kept: Mapping[str, Any]) -> Json:
    """kept: what comes back with the confirmation."""
    return _form(EMERGENCY, "Break the glass", "Break the glass", blocks, json.dumps(kept, ensure_ascii=False))


def told(title: str, blocks: list[Json]) -> Json:
    """What became of a form."""
    return {
        "type": "modal",
        "callback_id": TOLD,
        "title": label(title, 24),
        "close": label("Close", 24),
        "blocks": blocks,
    }


def lengths(longest: timedelta) -> list[timedelta]:
    """The choices up to the longest, which is one of them."""
    return [*(each for each in _LENGTHS if each < longest), longest]


def length_value(duration: timedelta) -> str:
    return str(int(duration.total_seconds()))


def values(view: Mapping[str, Any]) -> dict[str, str]:
    """What was filled in, by the id of its block; what was left empty is not there."""
    filled: dict[str, str] = {}
    for block_id, elements in view.get("state", {}).get("values", {}).items():
        for element in elements.values():
            chosen = element.get("selected_option")
            value = chosen.get("value") if chosen else element.get("value")
            if value:
                filled[block_id] = str(value)
    return filled


def _form(callback_id: str, title: str, submit: str, blocks: list[Json], kept: str = "") -> Json:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": label(title, 24),
        "submit": label(submit, 24),
        "close": label("Cancel", 24),
        "private_metadata": kept,
        "blocks": blocks,
    }


def _input(block_id: str, name: str, element: Json) -> Json:
    return {"type": "input", "block_id": block_id, "label": label(name, 2000), "element": element}


def _text(longest: int) -> Json:
    return {"type": "plain_text_input", "action_id": VALUE, "max_length": longest}


def _choice(options: list[tuple[str, str]]) -> Json:
    named = [{"text": label(name, 75), "value": value} for value, name in options]
    return {"type": "static_select", "action_id": VALUE, "options": named}
