"""What an issuer's tokens say, read where they came straight from its token endpoint.

There TLS says whose they are, so that the signature need not (OpenID Connect Core 1.0, section 3.1.3.7, item 6). The
server verifies it at every request.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from daypass.client import DaypassError

Claims = Mapping[str, Any]

# The server decides by its own clock; this one may be wrong.
_LEEWAY_SECONDS: Final = 600


def claims(token: object) -> Claims:
    """The claims of a JWT, not verified. Empty for anything else."""
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != 3:
        return {}
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def check(told: Claims, *, issuer: str, client_id: str, now: float, nonce: str | None, subject: str | None) -> None:
    """That an id token is of this issuer, for this client, in time, of this sign-in and of this person.

    nonce: None where the flow sent none. subject: None where it is not known yet. now: seconds since 1970.
    Raises DaypassError with the one thing that is wrong. Source: OpenID Connect Core 1.0, sections 3.1.3.7 and 12.2.
    """
    audience, sub = audiences(told), told.get("sub")
    wrong = {
        "issuer (iss)": told.get("iss") != issuer,
        "audience (aud)": client_id not in audience,
        "authorized party (azp)": told.get("azp", client_id) != client_id or (len(audience) > 1 and "azp" not in told),
        "expiry (exp)": not (_is_number(end := told.get("exp")) and end > now - _LEEWAY_SECONDS),
        "nonce": nonce is not None and told.get("nonce") != nonce,
        "subject (sub)": not (isinstance(sub, str) and sub and sub == (subject or sub)),
    }
    if named := next((name for name, is_wrong in wrong.items() if is_wrong), None):
        raise DaypassError(f"The id token of {issuer} is not of this login: see its {named}.", slug="login-failed")


def audiences(told: Claims) -> list[str]:
    audience = told.get("aud")
    return [audience] if isinstance(audience, str) else list(audience) if isinstance(audience, list) else []


def ends_at(told: Claims, now: float) -> float:
    """When a token that was just given ends, by this machine's clock, which may be behind the issuer's."""
    end, begin = told.get("exp"), told.get("iat")
    if not _is_number(end):
        return now
    return float(min(end, now + end - begin) if _is_number(begin) else end)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
