"""Where Daypass is and who calls it: what the environment says, for every command that asks the API."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from daypass.client import Client, DaypassError

_TOKEN_SECONDS: Final = 120


def connect() -> Client:
    """The API at DAYPASS_URL, for whoever DAYPASS_TOKEN or DAYPASS_TOKEN_COMMAND says. Raises DaypassError."""
    from daypass.client import Client

    return Client(os.environ.get("DAYPASS_URL") or "http://127.0.0.1:8000", _token())


def _token() -> str:
    if token := os.environ.get("DAYPASS_TOKEN", "").strip():
        return token
    command = os.environ.get("DAYPASS_TOKEN_COMMAND", "").strip()
    if not command:
        raise _not_configured(
            "No token: set DAYPASS_TOKEN, or DAYPASS_TOKEN_COMMAND to what prints one "
            "(with `daypass local`: DAYPASS_TOKEN_COMMAND='daypass token alice')."
        )
    try:
        words = shlex.split(command)
        # What it has to say goes to the terminal; its answer is the token, and goes nowhere else.
        done = subprocess.run(words, stdout=subprocess.PIPE, timeout=_TOKEN_SECONDS, check=False)
    except (ValueError, IndexError):
        raise _not_configured("DAYPASS_TOKEN_COMMAND is not a command line: a quotation mark is missing.") from None
    except OSError as error:
        raise _not_configured(f"DAYPASS_TOKEN_COMMAND does not run: {words[0]}: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise _not_configured(f"DAYPASS_TOKEN_COMMAND ({words[0]}) took longer than {_TOKEN_SECONDS} s.") from None
    if done.returncode:
        raise _not_configured(f"DAYPASS_TOKEN_COMMAND ({words[0]}) failed with exit code {done.returncode}.")
    token = done.stdout.decode(errors="replace").strip()
    if not token:
        raise _not_configured(f"DAYPASS_TOKEN_COMMAND ({words[0]}) printed nothing.")
    return token


def _not_configured(sentence: str) -> DaypassError:
    from daypass.client import DaypassError

    return DaypassError(sentence, slug="not-configured")
