"""Which Daypass is meant, and by what token one is known there: the environment says, else the login that is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from daypass.client import DaypassError
from daypass.logins import Login, Logins, folder

IAM: Final = "DAYPASS_IAM"
"""Names the AWS profile that signs every request, in place of a token."""

LOCAL: Final = "http://127.0.0.1:8000"
"""Where `daypass local` serves by default."""

_TOLD: Final = ("DAYPASS_TOKEN", "DAYPASS_TOKEN_FILE", "DAYPASS_TOKEN_COMMAND")
_COMMAND_SECONDS: Final = 120
_SOON_SECONDS: Final = 60.0
_LONGEST: Final = 64 * 1024


def server(environment: Mapping[str, str]) -> str:
    """The URL of DAYPASS_URL; else of the one login that is stored, where no other token is named; else the local one.

    Raises DaypassError where several are stored.
    """
    if told := environment.get("DAYPASS_URL"):
        return told.rstrip("/")
    if any(_told(environment, name) for name in (*_TOLD, IAM)):
        return LOCAL
    known = logins(environment).servers()
    if len(known) > 1:
        raise DaypassError(
            f"You are logged in at {' and '.join(known)}: DAYPASS_URL says which one you mean.", slug="not-configured"
        )
    return known[0] if known else LOCAL


def source(environment: Mapping[str, str], server: str) -> str | Callable[[], str]:
    """The token for a server, or what gives one whenever it is called: as `Client` wants it.

    Of DAYPASS_TOKEN, DAYPASS_TOKEN_FILE, DAYPASS_TOKEN_COMMAND and the stored login the first that is there. What gives
    it raises DaypassError with what to do.
    """
    if token := _told(environment, "DAYPASS_TOKEN"):
        return token
    if file := _told(environment, "DAYPASS_TOKEN_FILE"):
        return lambda: _of_file(Path(file))
    if command := _told(environment, "DAYPASS_TOKEN_COMMAND"):
        return lambda: _of_command(command)
    return Stored(logins(environment), server)


def logins(environment: Mapping[str, str]) -> Logins:
    return Logins(folder(environment))


def stored(environment: Mapping[str, str]) -> Login | None:
    """The stored login that is used; None where the environment names something else. Raises DaypassError."""
    if any(_told(environment, name) for name in (*_TOLD, IAM)):
        return None
    return logins(environment).find(server(environment))


class Stored:
    """Gives the token of a stored login, refreshed where it ends within a minute or was given and did not serve."""

    def __init__(self, logins: Logins, server: str, *, clock: Callable[[], float] = time.time) -> None:
        self._logins = logins
        self._server = server
        self._clock = clock
        self._given: str | None = None

    def __call__(self) -> str:
        login = self.login()
        if not self._serves(login):
            login = self._refreshed()
        self._given = login.token
        return login.token

    def login(self) -> Login:
        login = self._logins.find(self._server)
        if login is None:
            raise DaypassError(
                f"You are not logged in at {self._server}: daypass login {self._server}, or set DAYPASS_TOKEN, "
                "DAYPASS_TOKEN_FILE or DAYPASS_TOKEN_COMMAND (with `daypass local`: "
                "DAYPASS_TOKEN_COMMAND='daypass token alice').",
                slug="not-logged-in",
            )
        return login

    def _serves(self, login: Login) -> bool:
        return login.token != self._given and login.ends_at - self._clock() > _SOON_SECONDS

    def _refreshed(self) -> Login:
        """Refresh it as the only process that does: a refresh token may be good for once."""
        with self._logins.alone(self._server):
            login = self.login()
            if self._serves(login):
                return login
            if login.refresh_token is None:
                raise self._over("the provider gave nothing to renew it by")
            new = self._bought(login)
            self._logins.keep(new)
            return new

    def _bought(self, login: Login) -> Login:
        from daypass.flows import refreshed
        from daypass.issuer import IssuerRefused

        try:
            return refreshed(login, clock=self._clock)
        except IssuerRefused as error:
            raise self._over(error.detail.rstrip(".")) from None
        except DaypassError as error:
            # A minute that is left is better than none.
            if error.slug != "unreachable" or login.token == self._given or login.ends_at <= self._clock():
                raise
            return login

    def _over(self, why: str) -> DaypassError:
        return DaypassError(
            f"Your login at {self._server} is over ({why}): daypass login {self._server}", slug="not-logged-in"
        )


def _told(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip()


def _of_file(file: Path) -> str:
    """What stands in the file now: whoever rotates it is done by then."""
    try:
        with file.open(encoding="ascii", errors="replace") as opened:
            token = opened.read(_LONGEST).strip()
    except OSError as error:
        raise _wrong(f"DAYPASS_TOKEN_FILE ({file}) cannot be read: {error.strerror}.") from None
    if not token:
        raise _wrong(f"DAYPASS_TOKEN_FILE ({file}) is empty.")
    return token


def _of_command(command: str) -> str:
    import shlex
    import subprocess

    try:
        words = shlex.split(command)
        # What it has to say goes to the terminal; its answer is the token, and goes nowhere else.
        done = subprocess.run(words, stdout=subprocess.PIPE, timeout=_COMMAND_SECONDS, check=False)
    except (ValueError, IndexError):
        raise _wrong("DAYPASS_TOKEN_COMMAND is not a command line: a quotation mark is missing.") from None
    except OSError as error:
        raise _wrong(f"DAYPASS_TOKEN_COMMAND does not run: {words[0]}: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise _wrong(f"DAYPASS_TOKEN_COMMAND ({words[0]}) took longer than {_COMMAND_SECONDS} s.") from None
    if done.returncode:
        raise _wrong(f"DAYPASS_TOKEN_COMMAND ({words[0]}) failed with exit code {done.returncode}.")
    token = done.stdout.decode(errors="replace").strip()
    if not token:
        raise _wrong(f"DAYPASS_TOKEN_COMMAND ({words[0]}) printed nothing.")
    return token


def _wrong(sentence: str) -> DaypassError:
    return DaypassError(sentence, slug="not-configured")
