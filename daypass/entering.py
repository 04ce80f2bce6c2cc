"""Logging in and out: which issuer, which flow, what is kept, and what the person is told."""

from __future__ import annotations

import os
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from daypass.client import Client, DaypassError, Json, checked_url, on_this_machine
from daypass.logins import Login, Logins
from daypass.showing import plain

if TYPE_CHECKING:
    from daypass.issuer import Offer

Tell = Callable[[str], object]


def log_in(server: str, logins: Logins, tell: Tell, *, issuer: str | None, device: bool) -> tuple[Login, Json]:
    """Log in at a Daypass, and keep it once Daypass takes the token; with who that is there. Raises DaypassError.

    issuer: by its name, where the server has several.
    """
    from daypass import flows

    server = checked_url(server)
    offer = chosen(server, Client(server).logins(), issuer)
    if device or not _has_browser(os.environ):
        login = flows.by_device(server, offer, show=_typed(tell), sleep=time.sleep, clock=time.time)
    else:
        login = flows.by_browser(server, offer, show=_opened(tell), clock=time.time)
    me = Client(server, login.token).me()
    with logins.alone(server):
        logins.keep(login)
    return login, me


def log_out(server: str, logins: Logins) -> tuple[bool, DaypassError | None]:
    """Forget a login, here and at its issuer: whether there was one, and why the issuer did not where it did not."""
    from daypass import flows

    server = checked_url(server)
    unread: DaypassError | None = None
    login: Login | None = None
    with logins.alone(server):
        try:
            login = logins.find(server)
        except DaypassError as error:
            unread = error
        logins.forget(server)
    if login is None:
        return unread is not None, unread
    try:
        flows.revoke(login)
    except DaypassError as error:
        return True, error
    return True, None


def chosen(server: str, told: Sequence[Json], name: str | None) -> Offer:
    """The issuer to log in at: of that name, else the only one. Raises DaypassError."""
    from daypass.issuer import Offer

    names = ("name", "url", "client_id", "audience")
    whole = [each for each in told if all(isinstance(each.get(name), str) and each[name] for name in names)]
    offers = [
        Offer(
            **{name: each[name] for name in names},
            scopes=_texts(each.get("scopes")),
            redirect_port=port if isinstance(port := each.get("redirect_port"), int) and 0 < port < 65536 else 0,
        )
        for each in whole
    ]
    if not offers:
        raise _failed(
            f"{server} offers no login: no issuer of its catalogue has a client_id. Set DAYPASS_TOKEN_COMMAND instead "
            "(with `daypass local`: DAYPASS_TOKEN_COMMAND='daypass token alice')."
        )
    fitting = [offer for offer in offers if name in (None, offer.name)]
    if len(fitting) != 1:
        known = plain(", ".join(offer.name for offer in offers))
        raise _failed(f"{server} knows the issuers {known}: name one by --issuer.")
    if fitting[0].url.startswith("http:") and not on_this_machine(urlsplit(server).hostname or ""):
        raise _failed(f"{server} names an issuer without https, {plain(fitting[0].url)}: it is not asked.")
    return fitting[0]


def lasts(login: Login) -> str:
    """Until when a login's token is good, and what comes after it."""
    end = datetime.fromtimestamp(min(login.ends_at, 253402300799), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    after = "renewed by itself" if login.refresh_token else f"then: daypass login {login.server}"
    return f"until {end}, {after}"


def _opened(tell: Tell) -> Callable[[str], None]:
    def show(address: str) -> None:
        tell(f"Sign in in your browser. Where it did not open, open this:\n{plain(address)}")
        # It may not come back before the browser does.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    return show


def _typed(tell: Tell) -> Callable[[str, str, str | None], None]:
    def show(address: str, code: str, complete: str | None) -> None:
        tell(f"On any machine, open {plain(address)} and type {plain(code)}")
        if complete:
            tell(f"or open {plain(complete)}")

    return show


def _has_browser(environment: Mapping[str, str]) -> bool:
    """Whether this looks like a machine with a screen."""
    return (
        os.name != "posix"
        or os.uname().sysname == "Darwin"
        or any(environment.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _failed(sentence: str) -> DaypassError:
    return DaypassError(sentence, slug="login-failed")
