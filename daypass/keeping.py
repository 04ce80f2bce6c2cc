"""Credentials that are kept between two runs of `daypass credentials`, in files that nobody else can read.

An SDK runs the command for each of its processes, and in the last quarter of an hour for every call: so what is kept is
found without importing anything slow.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

FRESH_SECONDS: Final = 900
"""With less than this left SDKs want new keys; no session of AWS is lent for less, so who gets less gets the last."""

WAIT_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.05
_OFF: Final = "off"
_BEGINS, _HALF, _HALF_SECONDS = "daypass-", ".half", 60.0
_DAMAGED: Final = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

Process = dict[str, Any]
"""What `credential_process` reads."""


# What says whose a call is, in the order in which it is asked; and what else then decides it.
_WAYS: Final[Mapping[str, Sequence[str]]] = {
    "DAYPASS_IAM": (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_ROLE_ARN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ),
    "DAYPASS_TOKEN": (),
    "DAYPASS_TOKEN_FILE": (),
    "DAYPASS_TOKEN_COMMAND": ("DAYPASS_DATA",),
}
_OURS: Final = re.compile(r"[0-9a-f]{64}\.json")


def asked(arguments: Sequence[str]) -> str | None:
    """The request or role, where the command is asked for what may be kept and nothing else."""
    match list(arguments):
        case ["credentials", what] | ["credentials", what, "--format", "process"] if not what.startswith("-"):
            return what
        case ["credentials", "--format", "process", what] if not what.startswith("-"):
            return what
        case _:
            return None


def server(environment: Mapping[str, str]) -> str:
    """Raises DaypassError where it is not clear which one is meant."""
    # As `tokens.server` says first, too: what is kept is mostly found without loading that.
    if told := environment.get("DAYPASS_URL"):
        return told.rstrip("/")
    from daypass import tokens

    return tokens.server(environment)


def place(environment: Mapping[str, str], what: str) -> str | None:
    """The file for credentials of one server, one person and one request or role; None where none shall be kept.

    Raises DaypassError where it cannot be told which server or person is meant.
    """
    folder = _folder(environment)
    return folder and os.path.join(folder, _digest(server(environment), _who(environment), what) + ".json")


def kept(place: str | None, now: float) -> Process | None:
    """What may be handed out once more: it lasts for a quarter of an hour, or to the window's end, and never beyond.

    now: this machine's clock; where the server's was ahead, that one decides. None also for a file that others can read
    or that is damaged, and where the clock was set back since.
    """
    try:
        entry = _read(place or "")
        left = entry["expires_at"] - now - max(0, entry["ahead"])
        if now < entry["minted_at"] or left <= (0 if entry["last"] else FRESH_SECONDS):
            return None
        process = entry["process"]
        return process if isinstance(process, dict) and process["Version"] == 1 else None
    except _DAMAGED:
        return None


def keep(
    place: str, process: Process, *, expires_at: float, ends_at: float | None, ahead: float, about: Mapping[str, str]
) -> None:
    """Keep what was minted just now. Raises OSError.

    ends_at: the window's end, where it is known. ahead: how many seconds the server's clock is. about: whose they are.
    """
    import tempfile

    now = time.time()
    folder = os.path.dirname(place)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    _tidy(folder, now)
    last = expires_at - now - ahead < FRESH_SECONDS or (ends_at is not None and expires_at >= ends_at)
    entry = {"process": process, "expires_at": expires_at, "minted_at": now, "ahead": ahead, "last": last, **about}
    descriptor, half = tempfile.mkstemp(dir=folder, prefix=_BEGINS, suffix=_HALF)  # which only its owner can read
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(entry, file)
        os.replace(half, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(half)
        raise


def forget(environment: Mapping[str, str], role: str) -> None:
    """Keep nothing of a role: another request may give it from now on, or none does any more."""
    for path, entry in _entries(_folder(environment)):
        if entry.get("server") == server(environment) and entry.get("role") in ("", role):
            with suppress(OSError):
                os.unlink(path)


@contextmanager
def alone(place: str, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Whoever comes for the same place meanwhile waits, for so long at most.

    The lock is the kernel's: a process that dies has let go of it, whatever files it leaves behind. Where there are no
    locks, or no folder for them, nobody waits.
    """
    descriptor = _locked(place, wait_seconds)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(place: str, wait_seconds: float) -> int | None:
    folder, name = os.path.split(place)
    try:
        import fcntl

        os.makedirs(folder, mode=0o700, exist_ok=True)
        # A few files for all places: whoever shares one waits without need, and no lock is ever removed.
        descriptor = os.open(os.path.join(folder, f"lock-{name[:2]}"), os.O_RDWR | os.O_CREAT, 0o600)
    except (ImportError, OSError):
        return None
    give_up = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError as taken:
            if not isinstance(taken, BlockingIOError) or time.monotonic() > give_up:
                return descriptor
        time.sleep(_PAUSE_SECONDS)


def _folder(environment: Mapping[str, str]) -> str | None:
    chosen = environment.get("DAYPASS_CACHE")
    if chosen == _OFF:
        return None
    caches = environment.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return chosen or os.path.join(caches, "daypass")


def _who(environment: Mapping[str, str]) -> str:
    """The person, as far as can be told without asking anybody: of a token its subject, else where one comes from."""
    for name, beside in _WAYS.items():
        if told := environment.get(name, "").strip():
            more = [environment.get(each) for each in beside]
            return _subject(told) if name == "DAYPASS_TOKEN" else json.dumps([name, told, *more])
    from daypass import tokens

    login = tokens.stored(environment)
    return f"subject {login.issuer} {login.subject}" if login else "nobody"


def _subject(token: str) -> str:
    from base64 import urlsafe_b64decode

    try:
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
        return f"subject {claims['iss']} {claims['sub']}"
    except _DAMAGED:
        return f"token {token}"


def _digest(*parts: str) -> str:
    from hashlib import sha256

    return sha256(json.dumps(parts).encode()).hexdigest()


def _read(path: str) -> dict[str, Any]:
    """Raises one of _DAMAGED; PermissionError for a file that is not ours alone."""
    with open(path, encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if os.name == "posix" and (status.st_mode & 0o077 or status.st_uid != os.getuid()):
            raise PermissionError(path)
        entry = json.load(file)
    if not isinstance(entry, dict):
        raise ValueError(path)
    return entry


def _entries(folder: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """What we keep in the folder, beside whatever others do; of what cannot be read, nothing."""
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(folder) if folder else []
    for path in (os.path.join(folder or "", name) for name in names if _OURS.fullmatch(name)):
        try:
            yield path, _read(path)
        except _DAMAGED:
            yield path, {}


def _tidy(folder: str, now: float) -> None:
    """Remove what has expired or is damaged, and what somebody who died left half-written."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with suppress(OSError):
            if name.startswith(_BEGINS) and name.endswith(_HALF) and os.stat(path).st_mtime < now - _HALF_SECONDS:
                os.unlink(path)
    for path, entry in _entries(folder):
        expires_at = entry.get("expires_at")
        if not isinstance(expires_at, int | float) or expires_at <= now:
            with suppress(OSError):
                os.unlink(path)
