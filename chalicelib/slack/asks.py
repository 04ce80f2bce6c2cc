"""Asks as they are made in Slack: words of a command or fields of a form, read by the limits of every other door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.broker import asking
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import FieldError, IdempotencyKeyReused, Invalid, NotEligible, Refusal, TooLong
from chalicelib.core.request import Ask, ScopeChoice
from chalicelib.core.rules import ticket_fits, ways_in
from chalicelib.fields import Parameters, Reason, Role, Seconds, Ticket, parsed
from chalicelib.slack.text import Json
from chalicelib.slack.visit import Visit
from chalicelib.slack.words import by_command, story, without_mfa

_LENGTH = re.compile(r"(?:([0-9]{1,3})h)?(?:([0-9]{1,5})m)?", re.ASCII)
_TICKET = re.compile(r"[A-Z][A-Z0-9]{1,19}-[0-9]{1,10}", re.ASCII)
_ROUTE = "slack"


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    duration_seconds: Seconds
    reason: Reason
    ticket: Ticket | None = None
    parameters: Parameters = {}


def wish(
    *,
    role: str,
    duration: timedelta,
    reason: str,
    ticket: str | None = None,
    scope: str | None = None,
    parameters: Mapping[str, str] | None = None,
    break_glass: bool = False,
) -> Ask:
    """What somebody asks for. Raises Invalid with every field that does not fit."""
    given = {
        "role": role,
        "duration_seconds": int(duration.total_seconds()),
        "reason": reason,
        "ticket": ticket,
        "parameters": dict(parameters or {}),
    }
    fields = parsed("What you asked for", lambda: _Fields.model_validate(given))
    return Ask(
        role=fields.role,
        duration=duration,
        reason=fields.reason,
        ticket=fields.ticket,
        scope=ScopeChoice(scope, fields.parameters) if scope else None,
        break_glass=break_glass,
    )


def from_text(catalogue: Catalogue, principal: Principal, text: str, *, break_glass: bool = False) -> Ask:
    """`payments-admin 2h INC-123 disk full`: role, length, perhaps a ticket, reason. Raises Invalid.

    The word after the length is the ticket where it fits what a rule for the role asks for, or looks like one.
    """
    words = text.split(maxsplit=2)
    if len(words) < 3:
        raise _unclear("role", "write the role, how long, and why, as in: payments-admin 2h the disk is full")
    role, written, reason = words
    first, *rest = reason.split(maxsplit=1)
    ticket = first if _is_ticket(catalogue, principal, role, first) else None
    return wish(
        role=role,
        duration=read_length(written),
        reason="".join(rest) if ticket else reason,
        ticket=ticket,
        break_glass=break_glass,
    )


def read_length(text: str) -> timedelta:
    """`2h`, `90m`, `1h30m`. Raises Invalid."""
    match = _LENGTH.fullmatch(text.lower())
    if match is None or not any(match.groups()):
        raise _unclear("duration_seconds", f"{text!r} is no length: write 2h, 90m or 1h30m")
    hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes)


def _is_ticket(catalogue: Catalogue, principal: Principal, role: str, word: str) -> bool:
    patterns = (rule.ticket for rule in ways_in(catalogue, principal, role) if rule.ticket is not None)
    return any(ticket_fits(pattern, word) for pattern in patterns) or _TICKET.fullmatch(word) is not None


def asked(visit: Visit, ask: Ask, key: str) -> list[Json]:
    """Ask, and tell what became of it. key: the same for every time that Slack tells of the same deed.

    Raises what asking raises, but where only a second factor is missing: then the command is told that proves one.
    """
    try:
        request = asking.ask(visit.world, visit.principal, ask, IdempotencyKey(_ROUTE, key)).request
    except (NotEligible, Invalid, TooLong):
        if told := needs_mfa(visit, ask):
            return told
        raise
    except IdempotencyKeyReused:
        raise IdempotencyKeyReused(
            "This was sent before, with other words: `list` shows what became of it. To ask anew, begin anew."
        ) from None
    return story(request, visit.world.now())


def needs_mfa(visit: Visit, ask: Ask) -> list[Json] | None:
    """What to do where nothing but a second factor stands in the way of an ask; None where something else does."""
    try:
        would = asking.dry_run(visit.world, replace(visit.principal, mfa=True), ask).would
    except Refusal:
        return None
    if would == "not-eligible":
        return None
    return without_mfa("This needs a second factor.", by_command(ask))


def _unclear(field: str, message: str) -> Invalid:
    return Invalid(f"{message[0].upper()}{message[1:]}.", (FieldError(field, message),))
