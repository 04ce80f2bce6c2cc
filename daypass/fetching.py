"""Credentials of a request: new ones, or those that are kept."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from daypass.connecting import connect
from daypass.finding import use
from daypass.saying import Stop, note

if TYPE_CHECKING:
    from daypass.client import Client, Json

_PROCESS: Final = ("Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId")


def kept_or_new(what: str, fresh: bool) -> Json:
    """What `credential_process` reads: kept, or else new; of many processes that ask at once, one takes new ones."""
    from daypass import keeping

    place = keeping.place(os.environ, what)
    if place is None:
        return _of_process(new_session(connect(), what))
    if not fresh and (kept := keeping.kept(place, time.time())):
        return kept
    with keeping.alone(place):
        if not fresh and (kept := keeping.kept(place, time.time())):
            return kept
        client = connect()
        lent = new_session(client, what)
        _keep(place, client, lent)
        return _of_process(lent)


def _of_process(lent: Json) -> Json:
    return {name: lent[name] for name in _PROCESS if name in lent}


def _keep(place: str, client: Client, lent: Json) -> None:
    """Keep what was lent, where that can be; why it cannot is said, and no reason to hand nothing out."""
    from daypass import keeping
    from daypass.client import DaypassError

    known: Json = {}
    with suppress(DaypassError):
        known = client.request(str(lent.get("RequestId")))
    about = {"server": keeping.server(os.environ), "role": str(known.get("role") or "")}
    expires_at = _instant(lent["Expiration"])
    if expires_at is None:
        return
    try:
        keeping.keep(
            place,
            _of_process(lent),
            expires_at=expires_at,
            ends_at=_instant(known.get("ends_at")),
            ahead=client.ahead,
            about=about,
        )
    except OSError as error:
        where = os.path.dirname(place)
        note(f"daypass: nothing is kept, every call takes a new session: {where}: {error.strerror}. Set DAYPASS_CACHE.")


def _instant(text: object) -> float | None:
    """Seconds since 1970."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def forget(answer: Json) -> None:
    """What is kept of a role is of another request than the one that was asked for, or given back, just now."""
    from daypass import keeping

    keeping.forget(os.environ, str(answer.get("role")))


def new_session(client: Client, what: str) -> Json:
    """A new session of the request that `what` names."""
    lent = use(client, what, client.credentials)
    if missing := [name for name in _PROCESS[:5] if name not in lent]:
        raise Stop(f"The answer holds no {', '.join(missing)}: check DAYPASS_URL.")
    return lent
