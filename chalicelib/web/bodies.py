"""What callers send: the JSON of bodies and queries, as pydantic models."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from chalicelib.core.console import LONGEST_PAGE
from chalicelib.core.life import State
from chalicelib.core.request import Ask, ScopeChoice, Verdict
from chalicelib.core.times import read_instant
from chalicelib.fields import ULID, Parameters, Reason, Role, Seconds, Text, Ticket


class In(BaseModel):
    """What callers send: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _policy_text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def _instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("an instant is a text, as in 2026-11-23T12:00:00Z")
    return read_instant(value)


def _day(value: Any) -> date:
    if not (isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII)):
        raise ValueError("write a day as in 2026-11-23")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("there is no such day") from None


def _flag(value: Any) -> Any:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Flag = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]
# Text first: pydantic alone would take numbers, fractions and a minute's sixtieth second.
Starts = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 35})
]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Limit = Annotated[int, Field(ge=1, le=50)]
Cursor = Annotated[str, Field(min_length=1, max_length=300)]


class ScopeBody(In):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    parameters: Parameters = Field(default_factory=dict)


class AskBody(In):
    """One ask. `session_policy` is a policy document, as an object or as its JSON text."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["role"]}, {"required": ["extends"]}]})

    extends: Annotated[str, Field(pattern=ULID)] | None = Field(
        default=None,
        description="The id of a request of yours, ready or active, to go on from where it ends. "
        "Role, scope and policy are its own: sending others, `starts_at` or `break_glass` is 422 `invalid`.",
    )
    role: Role | None = Field(default=None, validate_default=True, description="Needed, but where `extends` is given.")
    duration_seconds: Seconds
    reason: Reason
    ticket: Ticket | None = None
    scope: ScopeBody | None = None
    session_policy: (
        Annotated[str | dict[str, Any], Field(union_mode="left_to_right"), AfterValidator(_policy_text)] | None
    ) = None
    starts_at: Starts | None = Field(
        default=None,
        description="When the window shall begin: whole seconds with a zone, not past, at most 30 days ahead. "
        "Left out, the first use opens it. Not with `POST /credentials`: 422 `invalid`.",
    )
    break_glass: bool = Field(default=False, strict=True, description="Access now, approval never, review afterwards.")

    @field_validator("role")
    @classmethod
    def _needed_unless_extending(cls, role: str | None, known: ValidationInfo) -> str | None:
        if role is None and known.data.get("extends", "") is None:
            raise ValueError("needed, but where extends is given")
        return role

    def ask(self) -> Ask:
        assert self.session_policy is None or isinstance(self.session_policy, str)
        return Ask(
            role=self.role or "",
            duration=timedelta(seconds=self.duration_seconds),
            reason=self.reason,
            ticket=self.ticket,
            scope=ScopeChoice(self.scope.name, self.scope.parameters) if self.scope else None,
            session_policy=self.session_policy,
            break_glass=self.break_glass,
            starts_at=self.starts_at,
            extends=self.extends,
        )


class ApproveBody(In):
    comment: Text | None = None
    duration_seconds: Seconds | None = Field(
        default=None,
        description="May shorten what was asked, never lengthen it; a window with a start of its own ends earlier.",
    )


class DenyBody(In):
    comment: Text


class BindBody(In):
    code: Annotated[str, Field(pattern=r"^[!-~]{1,64}$", description="As the slash command gave it in Slack.")]
    email: Annotated[str, Field(max_length=320)] | None = Field(
        default=None, description="Of the Slack user, where it is another address than your id."
    )


class EscalateBody(In):
    reason: Reason


class ReviewBody(In):
    verdict: Verdict
    comment: Text


class ReturnBody(In):
    cut: bool = Field(default=False, strict=True, description="End the sessions that were lent, too.")


class RevokeBody(In):
    comment: Text


class ConsoleBody(In):
    destination: Annotated[str, Field(min_length=1, max_length=LONGEST_PAGE)] | None = Field(
        default=None,
        description="The page to begin with: an address of the AWS console, or a path as in `/s3/home`.",
    )


class NothingBody(In):
    pass


class AskQuery(In):
    dry_run: Flag = False


class ListQuery(In):
    mine: Flag = False
    to_approve: Flag = False
    state: State | None = None
    role: Annotated[str, Field(max_length=127)] | None = None
    requester: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class RolesQuery(In):
    q: Annotated[str, Field(max_length=127)] = ""
    limit: Limit = 50
    cursor: Cursor | None = None


class EventsQuery(In):
    limit: Limit = 50
    cursor: Cursor | None = None


class ActivityQuery(In):
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Cursor | None = None


class DayQuery(In):
    day: Day
    limit: Limit = 50
    cursor: Cursor | None = None


class NoQuery(In):
    pass
