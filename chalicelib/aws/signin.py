"""AWS's sign-in: a session's keys go in, and what comes out signs in to the console."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from chalicelib.broker.ports import Keys, Secret
from chalicelib.core.console import Site
from chalicelib.core.refusals import ConsoleRefused, Unavailable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 2.0
LARGEST: Final = 64 * 1024
_LONGEST_TOKEN: Final = 16 * 1024
_HEADERS: Final = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
_TOO_MANY: Final = 429
_UNUSED: Final = "The session that was lent for the link is on the record; nobody has its keys."


class AwsConsole:
    """`ports.Console` at a partition's own sign-in, or whatever takes its place.

    read_seconds bounds the wait for an answer to begin, and once more its body as a whole.
    """

    def __init__(self, site: Site, *, read_seconds: float = READ_SECONDS) -> None:
        self.site = site
        self._read_seconds = read_seconds

    def sign_in(self, keys: Keys, page: str, duration: timedelta | None) -> Secret:
        """By POST, so that the keys are in no address and no log of one. No redirect is followed, nothing is quoted.

        Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_enable-console-custom-url.html.
        """
        session = {
            "sessionId": keys.access_key_id,
            "sessionKey": keys.secret_access_key.value,
            "sessionToken": keys.session_token.value,
        }
        form = {"Action": "getSigninToken", "Session": json.dumps(session, separators=(",", ":"))}
        if duration is not None:
            form["SessionDuration"] = str(int(duration.total_seconds()))
        answer = _posted(self.site.federation, form, self._read_seconds)
        return _link(self.site.federation, page, _token(answer))


def _link(federation: str, page: str, token: str) -> Secret:
    # No Issuer: Daypass has no web page to send people back to once the session is over.
    return Secret(f"{federation}?{urlencode({'Action': 'login', 'Destination': page, 'SigninToken': token})}")


def _posted(address: str, form: dict[str, str], read_seconds: float) -> bytes:
    """The body of a 200 answer, of at most 64 KiB. Raises ConsoleRefused, and Unavailable for silence."""
    import urllib3

    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
    try:
        # A pool of its own: a connection that slept in a frozen Lambda is dead more often than not.
        with urllib3.PoolManager(cert_reqs="CERT_REQUIRED", timeout=timeout, retries=False) as pool:
            body = urlencode(form)
            answer = pool.request("POST", address, body=body, headers=_HEADERS, redirect=False, preload_content=False)
            try:
                _heard(answer.status)
                return _body(answer, read_seconds)
            finally:
                answer.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        raise Unavailable(f"AWS's sign-in did not answer. {_UNUSED}") from None


def _heard(status: int) -> None:
    if status == _TOO_MANY or status >= 500:
        raise Unavailable(f"AWS's sign-in failed ({status}). {_UNUSED}")
    if status != 200:
        raise ConsoleRefused(
            f"AWS's sign-in did not take the session ({status}). Check that nothing stands between the broker and "
            f"AWS, and that the broker's region is switched on in the role's account. {_UNUSED}"
        )


def _body(answer: BaseHTTPResponse, within: float) -> bytes:
    deadline = time.monotonic() + within
    body = bytearray()
    # read1 returns what has come: a server that sends a byte now and then cannot keep us past the deadline.
    while piece := answer.read1(LARGEST, decode_content=False):
        body += piece
        if len(body) > LARGEST:
            raise _no_token()
        if time.monotonic() > deadline:
            raise Unavailable(f"AWS's sign-in took too long. {_UNUSED}")
    return bytes(body)


def _token(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise _no_token() from None  # whose text holds the body
    token = answer.get("SigninToken") if isinstance(answer, dict) else None
    if not (isinstance(token, str) and 0 < len(token) <= _LONGEST_TOKEN and token.isascii() and token.isprintable()):
        raise _no_token()
    return token


def _no_token() -> ConsoleRefused:
    return ConsoleRefused(
        f"AWS's sign-in answered with something else than a sign-in token. Check that nothing stands between the "
        f"broker and AWS. {_UNUSED}"
    )
