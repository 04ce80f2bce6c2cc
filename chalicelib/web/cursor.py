"""Cursors: a sort position, made safe for a URL. It names no partition and gives no access."""

from __future__ import annotations

import base64
import binascii
import re

from chalicelib.core.refusals import FieldError, Invalid

_ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_INSTANT = f"{_DATE}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z"

LIST = f"({_ULID}|{_INSTANT}#({_ULID})?)"
"""By creation, or by what is due next."""
ROLE = "[a-z0-9][a-z0-9@-]{0,126}"
SEQ = "[0-9]{1,9}"
DAY = f"{_INSTANT}#({_ULID}|day-{_DATE}-[0-9])#[0-9]{{10}}"
ACT = f"{_INSTANT}#[ -~]{{1,128}}"


def encoded(position: str | None) -> str | None:
    return None if position is None else base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def position(cursor: str | None, shape: str) -> str | None:
    """The position that a cursor holds, of the full-match form `shape`. Raises Invalid for anything else."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not re.fullmatch(shape, text, re.ASCII):
        message = "send the next_cursor of the answer before, unchanged"
        raise Invalid(f"cursor: {message}.", (FieldError("cursor", message),))
    return text
