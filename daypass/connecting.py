"""Where Daypass is and who calls it: what the environment says, for every command that asks the API."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daypass.client import Client


def connect() -> Client:
    """The API that is meant, for whom the environment or the stored login names. Raises DaypassError."""
    from daypass import tokens
    from daypass.client import Client

    url = tokens.server(os.environ)
    if profile := os.environ.get(tokens.IAM, "").strip():
        from daypass.signing import Signer

        return Client(url, sign=Signer(url, profile))
    return Client(url, tokens.source(os.environ, url))
