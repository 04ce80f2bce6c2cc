"""What people write, field by field: the same limits at every door."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, Field, StrictInt, ValidationError

from chalicelib.core.refusals import FieldError, Invalid

ULID = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
ROLE = r"^[a-z0-9][a-z0-9-]{0,62}(@[a-z0-9][a-z0-9-]{0,62})?$"

M = TypeVar("M", bound=BaseModel)


def _plain(text: str) -> str:
    if any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in text):
        raise ValueError("control characters are not allowed")
    if not any(unicodedata.category(c)[0] in "LNSP" for c in text):
        raise ValueError("write something that can be read")
    return text


Role = Annotated[str, Field(pattern=ROLE)]
Text = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]
Reason = Annotated[str, Field(min_length=3, max_length=500), AfterValidator(_plain)]
Seconds = Annotated[StrictInt, Field(ge=60, le=10**9)]
Ticket = Annotated[str, Field(pattern=r"^[!-~]{1,128}$")]
Parameters = Annotated[dict[str, Annotated[str, Field(max_length=256)]], Field(max_length=20)]


def parsed(what: str, parse: Callable[[], M]) -> M:
    """What `parse` returns. Raises Invalid with every mistake by its field. what: as in `The body`."""
    try:
        return parse()
    except ValidationError as mistakes:
        errors = tuple(
            FieldError(".".join(str(part) for part in mistake["loc"]) or "body", mistake["msg"])
            for mistake in mistakes.errors(include_url=False, include_context=False, include_input=False)
        )
        named = "; ".join(f"{error.field}: {error.message}" for error in errors[:5])
        raise Invalid(f"{what} is not understood: {named}.", errors) from None
