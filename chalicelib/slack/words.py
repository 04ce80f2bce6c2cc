"""Requests in words, as the door's private answers tell them. Everything that is not the broker's own is quoted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.broker.seeing import Requestable
from chalicelib.core.catalogue import Stage, Who
from chalicelib.core.life import State
from chalicelib.core.request import Ask, Request, StageProgress
from chalicelib.core.times import spoken, stamp
from chalicelib.slack.text import Json, escaped, plain, quoted, section, sentence

ENDING = 8
"""Of an id: enough to find it again."""

_MOST_STAGES = 5
_MOST_APPROVALS = 10

BUG = (
    "Something is wrong with Daypass itself: nothing more was done, and its log tells what. Try again, or use the API."
)


def privately(*blocks: Json) -> Json:
    """A message to one person. Its text is what notifications and screen readers have."""
    said = blocks[0]["text"]
    text = said["text"] if said["type"] == "mrkdwn" else escaped(said["text"])
    return {"response_type": "ephemeral", "text": plain(text), "blocks": list(blocks)}


def ending(request: Request) -> str:
    return request.id[-ENDING:]


def line(request: Request, now: datetime) -> Json:
    """One request of a list."""
    until = f", until {stamp(request.window.ends_at)}" if request.window else ""
    return section(
        f"`{ending(request)}` *{request.state(now)}*: {quoted(request.role, 200)}, {spoken(request.duration)}{until}, "
        f"for {quoted(request.requester.id, 400)}\n{quoted(request.reason)}"
    )


def story(request: Request, now: datetime) -> list[Json]:
    """All that a request says of itself to a person."""
    facts = [
        f"{quoted(request.role, 200)} in {quoted(request.account, 200)} (`{request.account_id}`)",
        f"for {quoted(request.requester.id, 400)}, {spoken(request.duration)}",
        f"by rule {quoted(request.rule, 300)}",
        f"ticket {quoted(request.ticket, 200)}" if request.ticket else "",
        f"scope {quoted(_scope(request), 600)}" if request.scope else "",
        "an emergency: nobody approved it" if request.break_glass else "",
        *_clocks(request, now),
    ]
    told = [section("\n".join([f"`{request.id}` *{request.state(now)}*", *(fact for fact in facts if fact)]))]
    told.append(section(f"Reason: {quoted(request.reason, 2900)}"))
    told += [
        section(f"Approved by {quoted(each.by, 400)}{_saying(each.comment)}")
        for each in request.approvals[:_MOST_APPROVALS]
    ]
    if request.decided_by and request.state(now) in (State.DENIED, State.REVOKED):
        told.append(
            section(
                f"{request.state(now).capitalize()} by {quoted(request.decided_by, 400)}"
                f"{_saying(request.decision_comment)}"
            )
        )
    return [*told, next_step(request, now)]


def next_step(request: Request, now: datetime) -> Json:
    """What can be done about a request. Never what its credentials are: how to fetch them."""
    state = request.state(now)
    match state:
        case State.PENDING:
            waits = f"It waits for {waiting(request.stages)}, until {stamp(request.answer_by)}."
            return section(waits)
        case State.READY | State.ACTIVE:
            return section(f"To use it: `daypass credentials {ending(request)}` in a terminal.")
        case State.SCHEDULED:
            return section(f"It begins then: `daypass credentials {ending(request)}` in a terminal.")
        case _:
            return section(f"It is {state}: there is nothing left to do.")


def _clocks(request: Request, now: datetime) -> list[str]:
    clocks = [f"asked at {stamp(request.created_at)}"]
    if request.window:
        clocks.append(f"from {stamp(request.window.starts_at)} until {stamp(request.window.ends_at)}")
    elif request.state(now) is State.READY and request.use_by:
        clocks.append(f"to be used by {stamp(request.use_by)}")
    return clocks


def _saying(comment: str | None) -> str:
    return f": {quoted(comment, 2400)}" if comment else ""


def _scope(request: Request) -> str:
    assert request.scope is not None
    given = (f"{name}={value}" for name, value in request.scope.parameters.items())
    return " ".join([request.scope.name, *given])


def who(people: Who) -> str:
    """`groups sre-leads`: every condition that is given, unquoted."""
    parts = {
        "groups": ", ".join(sorted(people.groups)),
        "ids": ", ".join(people.ids),
        "kind": people.kind or "",
        "issuer": people.issuer or "",
    }
    return " and ".join(f"{name} {value}" for name, value in parts.items() if value) or "nobody"


def waiting(stages: Sequence[StageProgress]) -> str:
    """`1 of groups sre-leads`, quoted: the approvals that are still to come."""
    counts = ((stage.count - len(stage.approved_by), stage.who) for stage in stages)
    lacking = [(count, people) for count, people in counts if count > 0][:_MOST_STAGES]
    return " and ".join(f"{count} of {quoted(who(people), 500)}" for count, people in lacking) or "nobody"


def terms(item: Requestable) -> str:
    """What a role of the list costs, unquoted: `up to 4 h, after 1 of groups sre-leads`."""
    if not item.rules:
        return "in an emergency only"
    longest = max(item.rules, key=lambda rule: rule.max_duration)
    return f"up to {spoken(longest.max_duration)}, {_after(longest.stages)}"


def _after(stages: Sequence[Stage]) -> str:
    if not stages:
        return "at once"
    return "after " + " and ".join(f"{stage.count} of {who(stage.who)}" for stage in stages)


def by_command(wish: Ask) -> str:
    """The line for a terminal that asks for the same, where a second factor can be proved."""
    verb = "break-glass" if wish.break_glass else "request"
    words = ["daypass", verb]
    if wish.ticket:
        words += ["--ticket", wish.ticket]
    if wish.scope:
        words += ["--scope", wish.scope.name]
        for name, value in wish.scope.parameters.items():
            words += ["--param", f"{name}={value}"]
    if wish.reason.startswith("-"):
        words.append("--")
    return shlex.join([*words, wish.role, length(wish.duration), wish.reason])


def without_mfa(whose: str, command: str) -> list[Json]:
    """Why Slack will not do, and what will. whose: a sentence."""
    return [sentence(f"{whose} Slack cannot prove one. In a terminal:"), section(quoted(command, 2900))]


def length(duration: timedelta) -> str:
    """As the command reads lengths: `90m`, `2h`."""
    seconds = int(duration.total_seconds())
    if seconds % 3600 == 0:
        return f"{seconds // 3600}h"
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"
