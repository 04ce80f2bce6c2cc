"""The shape of the catalogue file: which keys there are, of which types. What they mean, `catalogue_file` reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from chalicelib.core.catalogue import Quotas
from chalicelib.core.catalogue_file.mistakes import Say, below, entry

Text = Annotated[str, Field(min_length=1)]
# strict=False lets a TOML array be a tuple; its items stay strict.
Texts = Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
Quota = Annotated[int, Field(ge=1, le=100)]
Port = Annotated[int, Field(ge=1024, le=65535)]  # below, only root may listen
_OURS = Quotas()
LARGEST_SERIAL = 2**53 - 1  # what a history takes as a number


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class IssuerShape(Shape):
    name: Text
    url: Text
    audience: Text
    kind: Literal["human", "workload"]
    client_id: Text | None = None
    scopes: Texts | None = None
    redirect_port: Port | None = None
    principal: Text | None = None
    groups: Text | None = None
    domains: Texts | None = None
    verified_by: Literal["email_verified", "issuer"] | None = None
    subjects: Texts | None = None
    mfa: object = None


class DirectoryShape(Shape):
    identity_store: Text | None = None
    function: Text | None = Field(default=None, alias="lambda")


class AccountShape(Shape):
    id: Text


class ScopeShape(Shape):
    policy: Text
    parameters: dict[str, Text] = Field(default_factory=dict)


class RoleShape(Shape):
    account: Text | None = None
    accounts: Texts | None = None
    role_name: Text
    external_id: Text | None = None
    max_session: Text = "1h"
    via: Literal["role", "oidc"] = "role"
    chaining: Texts = ()
    require_scope: bool = False
    identity_use: bool = False
    scopes: dict[str, ScopeShape] = Field(default_factory=dict)


class ProviderKeyShape(Shape):
    arn: Text
    signs_from: object  # TOML's own instants, or a text


class ProviderShape(Shape):
    issuer: Text
    keys: Annotated[tuple[ProviderKeyShape, ...], Field(strict=False)]


class WhoShape(Shape):
    groups: Texts = ()
    ids: Texts = ()
    kind: Literal["human", "workload"] | None = None
    issuer: Text | None = None


class StageShape(Shape):
    count: Annotated[int, Field(ge=1)]
    who: WhoShape = Field(alias="from")


class RequireShape(Shape):
    mfa: bool = False
    ticket: Text | None = None


class NotifyShape(Shape):
    slack: Texts = ()
    direct: bool = False
    remind_after: Text | None = None
    escalate_to: Texts = ()


class BreakGlassShape(Shape):
    who: WhoShape
    max_duration: Text
    reviewers: WhoShape
    review_within: Text
    mfa: bool = True
    ticket: bool = False
    notify: NotifyShape | None = None


class HoursShape(Shape):
    days: Text
    opens: Text = Field(alias="from")
    closes: Text = Field(alias="to")
    zone: Text


class ExtensionsShape(Shape):
    max: Annotated[int, Field(ge=1, le=10)]
    approvals: Annotated[tuple[StageShape, ...], Field(strict=False)] | None = None


class RuleShape(Shape):
    name: Text
    effect: Literal["allow", "deny"] = "allow"
    who: WhoShape
    roles: Texts
    max_duration: Text | None = None
    approvals: Annotated[tuple[StageShape, ...], Field(strict=False)] | None = None
    require: RequireShape | None = None
    break_glass: BreakGlassShape | None = None
    hours: HoursShape | None = None
    extensions: ExtensionsShape | None = None
    max_per_day: Text | None = None
    notify: NotifyShape | None = None


class QuotasShape(Shape):
    open_requests: Quota = _OURS.open_requests
    break_glass_per_day: Quota = _OURS.break_glass_per_day


class ExampleWhoShape(Shape):
    id: Text
    groups: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    kind: Literal["human", "workload"] | None = None
    issuer: Text | None = None
    mfa: bool = True


class ExampleAsksShape(Shape):
    role: Text
    duration: Text
    ticket: Text | None = None


class ExampleShape(Shape):
    who: ExampleWhoShape
    asks: ExampleAsksShape
    expect: Literal["not-eligible", "auto-approved", "needs-approval", "break-glass"]


class FileShape(Shape):
    """None stands for an entry that is there and has not the shape of one."""

    serial: Annotated[int, Field(ge=1, le=LARGEST_SERIAL)] | None = None
    freeze: bool = False
    quotas: QuotasShape = QuotasShape()
    issuers: Annotated[tuple[IssuerShape | None, ...], Field(strict=False)] = ()
    directories: dict[str, DirectoryShape | None] = Field(default_factory=dict)
    accounts: dict[str, AccountShape | None] = Field(default_factory=dict)
    roles: dict[str, RoleShape | None] = Field(default_factory=dict)
    rules: Annotated[tuple[RuleShape | None, ...], Field(strict=False)] = ()
    auditors: WhoShape | None = None
    provider: ProviderShape | None = None
    tests: Annotated[tuple[ExampleShape | None, ...], Field(strict=False)] = ()


_ONE_TABLE = frozenset({"auditors", "provider", "quotas"})
_NOT_YET = frozenset({"organization"})  # designed, not built: passing over it could give access

_SENTENCES = {
    "missing": "is missing",
    "string_type": 'must be a text in quotes, as in "…"',
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "tuple_type": "must be a list, as in [ … ]",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}


def shaped(raw: dict[str, Any], say: Say) -> FileShape:
    """What a parsed TOML document holds, all that has not the shape of its place told and left out. Changes `raw`."""
    while True:
        try:
            return FileShape.model_validate(raw)
        except ValidationError as error:
            mistakes = error.errors(include_url=False, include_input=False)
            for mistake in mistakes:
                say(_place(raw, mistake["loc"]), _sentence(mistake))
            # Keys that are too many first: what is wrong otherwise takes along the table that they are in.
            for mistake in sorted(mistakes, key=lambda each: each["type"] != "extra_forbidden"):
                _leave_out(raw, mistake["loc"], mistake["type"])


def _place(raw: dict[str, Any], loc: Sequence[str | int]) -> str:
    match loc:
        case [str(section), int(number), *path]:
            given = raw[section][number]
            return below(entry(section, number, given.get("name") if isinstance(given, dict) else None), path)
        case [str(section), *path]:
            return below(section, path)
        case _:
            return "the file"


def _sentence(mistake: ErrorDetails) -> str:
    if mistake["type"] == "extra_forbidden":
        key = mistake["loc"][-1]
        if key in _NOT_YET:
            return "is not built yet: leave it out"
        return "is not a key that Daypass knows here"
    return _SENTENCES.get(mistake["type"], mistake["msg"]).format_map(mistake.get("ctx", {}))


def _leave_out(raw: dict[str, Any], loc: Sequence[str | int], kind: str) -> None:
    """Takes a key that is too many out of its table; puts None in the place of an entry that is wrong otherwise."""
    if kind == "extra_forbidden":
        part: Any = raw
        for key in loc[:-1]:
            part = part and part[key]
        if part:
            part.pop(loc[-1], None)
    elif len(loc) > 1 and loc[0] not in _ONE_TABLE:
        raw[str(loc[0])][loc[1]] = None
    else:
        raw.pop(str(loc[0]), None)
