"""The logins that this machine keeps: one file for each server, which its owner alone can read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from daypass.client import DaypassError

_LONGEST: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a sign-in gave. token: the one of the issuer's tokens that Daypass takes.

    server: Daypass's URL. issuer, client_id, audience: as the server told them then. subject: whose `sub` it is.
    ends_at: when the token is worth nothing any more, in seconds since 1970 by this machine's clock.
    refresh_token: buys the next one; None where the issuer gave none.
    """

    server: str
    issuer: str
    client_id: str
    audience: str
    subject: str
    ends_at: float
    token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)


class Logins:
    """The logins in a folder. Raises DaypassError where one is there and cannot be used, or cannot be kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def servers(self) -> list[str]:
        """Where somebody is logged in. A file that cannot be used is passed over here: `find` says what is wrong."""
        try:
            files = sorted(self._folder.glob("*.json"))
        except OSError:
            return []
        return [server for file in files if (server := _server(file))]

    def find(self, server: str) -> Login | None:
        file = self._file(server)
        try:
            handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DaypassError(f"{file} cannot be read: {error.strerror}.", slug="not-logged-in") from None
        with os.fdopen(handle, encoding="utf-8", errors="replace") as opened:
            _check_private(file, os.fstat(handle))
            login = _read(opened.read(_LONGEST))
        if login is None or login.server != server:
            raise DaypassError(f"{file} is damaged: daypass login {server}", slug="not-logged-in")
        return login

    def keep(self, login: Login) -> None:
        """Store it in place of an older one, whole or not at all."""
        from daypass.exporting import whole_file  # takes longer to load than most commands have

        file = self._file(login.server)
        with self._writable(), whole_file(file) as new:
            json.dump(asdict(login), new)

    def forget(self, server: str) -> None:
        with self._writable():
            self._file(server).unlink(missing_ok=True)

    @contextmanager
    def alone(self, server: str) -> Iterator[None]:
        """Until the end of the block no other process is in a block for that server."""
        with self._writable():
            handle = os.open(self._file(server).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with self._writable():
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _file(self, server: str) -> Path:
        host = re.sub(r"[^a-z0-9.-]", "_", (urlsplit(server).hostname or "")[:60])
        return self._folder / f"{host}-{hashlib.sha256(server.encode()).hexdigest()[:16]}.json"

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            yield
        except OSError as error:
            raise DaypassError(
                f"Logins cannot be kept in {self._folder}: {error.strerror}. XDG_STATE_HOME says where else.",
                slug="not-configured",
            ) from None


def folder(environment: Mapping[str, str]) -> Path:
    """Where logins are kept: under XDG_STATE_HOME, else under ~/.local/state.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/.
    """
    told = environment.get("XDG_STATE_HOME", "")
    home = Path(told) if os.path.isabs(told) else Path(environment.get("HOME") or Path.home()) / ".local" / "state"
    return home / "daypass" / "logins"


def _check_private(file: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise DaypassError(f"{file} is no file: remove it.", slug="not-logged-in")
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise DaypassError(
            f"{file} belongs to somebody else, or others can read it, so it is not used: remove it and log in again.",
            slug="not-logged-in",
        )


def _read(text: str) -> Login | None:
    """The login that a file holds; None where it holds something else."""
    try:
        known = json.loads(text)
        login = Login(**{each.name: known[each.name] for each in fields(Login)})
    except (ValueError, LookupError, TypeError):
        return None
    texts = ("server", "issuer", "client_id", "audience", "subject", "token")
    whole = all(isinstance(known[name], str) and known[name] for name in texts)
    whole = whole and isinstance(known["ends_at"], int | float) and isinstance(known["refresh_token"], str | None)
    return login if whole else None


def _server(file: Path) -> str | None:
    try:
        login = _read(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return login.server if login else None
