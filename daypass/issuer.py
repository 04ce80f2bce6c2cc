"""An OIDC issuer as a client meets it: its discovery document, and what its endpoints answer.

Sources: https://openid.net/specs/openid-connect-discovery-1_0.html section 4, RFC 6749 section 5, RFC 7009.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from daypass.client import DaypassError, on_this_machine

Json = dict[str, Any]

_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 15.0
_LARGEST_ANSWER: Final = 1024 * 1024
_TOKENS: Final = ("access_token", "id_token", "refresh_token")
_SECRETS: Final = ("code", "code_verifier", "device_code", "refresh_token", "token")


class IssuerRefused(DaypassError):
    """The issuer said no. code: its word for why, as in `access_denied`.

    Sources: RFC 6749, section 5.2; RFC 8628, section 3.5.
    """

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail, slug="login-failed")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An issuer that Daypass believes, and as whose client its people sign in: as `GET /v1/login` tells.

    redirect_port: the one port that it sends a browser back to; 0: any.
    """

    name: str
    url: str
    client_id: str
    audience: str
    scopes: tuple[str, ...] = ()
    redirect_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An issuer's discovery document, as far as a login needs it. An endpoint that it does not have is None."""

    url: str
    token: str
    authorization: str | None = None
    device_authorization: str | None = None
    revocation: str | None = None
    scopes: tuple[str, ...] = ()
    names_itself: bool = False
    """Whether every answer to the browser carries `iss` (RFC 9207)."""


def discover(url: str) -> Issuer:
    """Read an issuer's discovery document. Raises DaypassError where it cannot be had, or is another issuer's."""
    _check_safe(url, url)
    status, document = ask(url.rstrip("/") + "/.well-known/openid-configuration")
    if status != 200 or document.get("issuer") != url:
        raise _failed(f"{url} has no discovery document of its own (HTTP {status}).")
    names = {
        "token": "token_endpoint",
        "authorization": "authorization_endpoint",
        "device_authorization": "device_authorization_endpoint",
        "revocation": "revocation_endpoint",
    }
    endpoints = {ours: document[theirs] for ours, theirs in names.items() if document.get(theirs) is not None}
    if "token" not in endpoints:
        raise _failed(f"The discovery document of {url} names no token endpoint.")
    for endpoint in endpoints.values():
        _check_safe(endpoint, url)
    scopes = document.get("scopes_supported")
    return Issuer(
        url=url,
        scopes=tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else (),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        **endpoints,
    )


def buy(issuer: Issuer, body: str) -> dict[str, str]:
    """The tokens that the token endpoint gives for a grant, by its names for them. Raises IssuerRefused."""
    status, answer = ask(issuer.token, body)
    if "error" in answer or status != 200:
        raise refused(issuer.url, answer, status, hidden=_secrets(body))
    tokens = {name: answer[name] for name in _TOKENS if answer.get(name) is not None}
    if not all(isinstance(token, str) for token in tokens.values()):
        raise _failed(f"{issuer.url} answered with tokens that are none.")
    return tokens


def refused(url: str, answer: Mapping[str, Any], status: int = 0, hidden: Iterable[str] = ()) -> IssuerRefused:
    """The issuer's no as an error, with its reason, and without what is to be hidden."""
    code, why = answer.get("error"), answer.get("error_description")
    code = code if isinstance(code, str) else f"HTTP {status}"
    told = f"{code}: {why}" if isinstance(why, str) and why else code
    for secret in hidden:
        told = told.replace(secret, "•••")
    return IssuerRefused(f"{url} refused: {''.join(filter(str.isprintable, told))[:300]}", code)


def ask(url: str, body: str | None = None) -> tuple[int, Json]:
    """The status and the JSON object that are answered, to a form or to none.

    Raises DaypassError; its slug is `unreachable` where the same may be answered in a while.
    """
    import urllib3

    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        with urllib3.PoolManager(timeout=timeout) as pool:
            answer = pool.request(
                "GET" if body is None else "POST",
                url,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
            )
            read = answer.read(_LARGEST_ANSWER)
            answer.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        # Without its text: some name the whole URL.
        raise _away(url, type(error).__name__) from None
    if answer.status >= 500 or answer.status == 429:
        raise _away(url, f"HTTP {answer.status}")
    try:
        said = json.loads(read) if read else {}
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _failed(f"{_origin(url)} answered something else than a JSON object (HTTP {answer.status}).")
    return answer.status, said


def _secrets(body: str) -> list[str]:
    return [value for name, value in parse_qsl(body) if name in _SECRETS]


def _check_safe(endpoint: object, issuer: str) -> None:
    """That it goes over TLS, or stays on this machine; an issuer elsewhere has none of its endpoints on this one."""
    try:
        parts = urlsplit(endpoint) if isinstance(endpoint, str) else urlsplit("")
        host = parts.hostname or ""
        here = on_this_machine(host) and on_this_machine(urlsplit(issuer).hostname or "")
    except ValueError:
        host, here = "", False
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise _failed(f"The issuer {issuer} is not asked over https (http is for this machine only).")


def _away(url: str, why: str) -> DaypassError:
    return DaypassError(f"{_origin(url)} cannot be reached at the moment ({why}).", slug="unreachable")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _failed(sentence: str) -> DaypassError:
    return DaypassError(sentence, slug="login-failed")
