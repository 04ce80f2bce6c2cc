"""Signing in at an issuer: by this machine's browser or by a code on another one, and going on from there.

oauthlib writes and reads the messages of OAuth 2.0 (docs/decisions/0050); what makes them OpenID Connect, and who asks
whom how often, is here. Sources: OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 8252 (native apps), RFC 8628 (device),
RFC 9207 (`iss` in the answer), RFC 9700 (security).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from oauthlib.oauth2 import DeviceClient, OAuth2Error, WebApplicationClient

from daypass.client import DaypassError
from daypass.id_token import audiences, check, claims, ends_at
from daypass.issuer import Issuer, IssuerRefused, Json, Offer, ask, buy, discover, refused
from daypass.logins import Login
from daypass.loopback import Loopback

PATIENCE_SECONDS: Final = 300.0
_INTERVAL_SECONDS: Final = 5.0  # where the issuer names none: RFC 8628, section 3.2
_LONGEST_DEVICE_SECONDS: Final = 1800.0
_VERIFIER_LENGTH: Final = 64

Clock = Callable[[], float]
"""Tells the seconds since 1970."""


def by_browser(
    server: str,
    offer: Offer,
    *,
    show: Callable[[str], object],
    clock: Clock,
    patience: float = PATIENCE_SECONDS,
) -> Login:
    """Sign in by the authorization code flow. Raises DaypassError.

    show: is given the address to open. patience: how many seconds the person has.
    """
    issuer = discover(offer.url)
    if issuer.authorization is None:
        raise _failed(f"{issuer.url} signs nobody in by a browser: daypass login --device")
    client = WebApplicationClient(offer.client_id)
    state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    verifier = client.create_code_verifier(_VERIFIER_LENGTH)
    with Loopback(state, offer.redirect_port) as loopback:
        address = client.prepare_request_uri(
            _as_https(issuer.authorization),
            redirect_uri=loopback.url,
            scope=_scopes(offer, issuer),
            state=state,
            nonce=nonce,
            code_challenge=client.create_code_challenge(verifier, "S256"),
            code_challenge_method="S256",
            **_audience(offer),
        )
        show(urlsplit(issuer.authorization).scheme + address.removeprefix("https"))
        code = _code(client, issuer, loopback.wait(patience), state)
        body = client.prepare_request_body(code=code, redirect_uri=loopback.url, code_verifier=verifier)
        return _login(server, offer, buy(issuer, body), clock=clock, nonce=nonce)


def by_device(
    server: str,
    offer: Offer,
    *,
    show: Callable[[str, str, str | None], object],
    sleep: Callable[[float], object],
    clock: Clock,
) -> Login:
    """Sign in on another machine, by a code that is shown here. Raises DaypassError.

    show: is given the address, the code to type there, and the address that has the code in it, if there is one.
    """
    issuer = discover(offer.url)
    if issuer.device_authorization is None:
        raise _failed(f"{issuer.url} offers no sign-in by a code: daypass login without --device.")
    client = DeviceClient(offer.client_id)
    form = {"client_id": offer.client_id, "scope": " ".join(_scopes(offer, issuer)), **_audience(offer)}
    status, begun = ask(issuer.device_authorization, urlencode(form))
    code, typed, address = (begun.get(name) for name in ("device_code", "user_code", "verification_uri"))
    if status != 200 or not (isinstance(code, str) and isinstance(typed, str) and isinstance(address, str)):
        raise refused(issuer.url, begun, status)
    complete = begun.get("verification_uri_complete")
    show(address, typed, complete if isinstance(complete, str) else None)
    bought = _polled(issuer, client.prepare_request_body(code, include_client_id=True), begun, sleep)
    return _login(server, offer, bought, clock=clock)


def refreshed(login: Login, *, clock: Clock) -> Login:
    """The same login with the next token, bought by its refresh token. Raises DaypassError, IssuerRefused."""
    issuer = discover(login.issuer)
    client = WebApplicationClient(login.client_id)
    bought = buy(issuer, client.prepare_refresh_body(refresh_token=login.refresh_token, client_id=login.client_id))
    return _login(login.server, _offer(login), bought, clock=clock, before=login)


def revoke(login: Login) -> bool:
    """Have the issuer forget the refresh token; whether it offers that. Raises DaypassError."""
    issuer = discover(login.issuer)
    if issuer.revocation is None or login.refresh_token is None:
        return False
    form = {"token": login.refresh_token, "token_type_hint": "refresh_token", "client_id": login.client_id}
    status, answer = ask(issuer.revocation, urlencode(form))
    if status != 200:
        raise refused(issuer.url, answer, status, hidden=[login.refresh_token])
    return True


def _code(client: WebApplicationClient, issuer: Issuer, query: str, state: str) -> str:
    """The code in the answer to the browser, if it is this issuer's."""
    answer = dict(parse_qsl(query))
    if answer.get("iss", None if issuer.names_itself else issuer.url) != issuer.url:
        raise _failed(f"The browser came back from another issuer than {issuer.url}.")
    try:
        # oauthlib reads https only; that this came to the loopback address is what RFC 8252 wants.
        code = client.parse_request_uri_response(f"https://127.0.0.1/?{query}", state=state)["code"]
    except OAuth2Error:
        if "error" in answer:
            raise refused(issuer.url, answer) from None
        raise _failed(f"{issuer.url} sent the browser back without a code.") from None
    return str(code)


def _polled(issuer: Issuer, body: str, begun: Json, sleep: Callable[[float], object]) -> dict[str, str]:
    """What the token endpoint gives once the person has typed the code. Source: RFC 8628, section 3.5."""
    interval = _number(begun.get("interval"), _INTERVAL_SECONDS)
    remains = min(_number(begun.get("expires_in"), _LONGEST_DEVICE_SECONDS), _LONGEST_DEVICE_SECONDS)
    while remains > 0:
        sleep(interval)
        remains -= interval
        try:
            return buy(issuer, body)
        except IssuerRefused as error:
            if error.code == "slow_down":
                interval += 5
            elif error.code == "expired_token":
                break
            elif error.code != "authorization_pending":
                raise
        except DaypassError as error:
            if error.slug != "unreachable":
                raise
            interval *= 2
    raise _failed("Nobody typed the code in time: daypass login again.")


def _login(
    server: str,
    offer: Offer,
    bought: Mapping[str, str],
    *,
    clock: Clock,
    nonce: str | None = None,
    before: Login | None = None,
) -> Login:
    """The login that tokens make, once it is clear that they are of this sign-in, or of the one before."""
    now = clock()
    subject = before.subject if before else None
    told = claims(bought.get("id_token"))
    if told or (before is None and "id_token" in bought):
        check(told, issuer=offer.url, client_id=offer.client_id, now=now, nonce=nonce, subject=subject)
    token = _for_daypass(offer, bought)
    login = Login(
        server=server,
        issuer=offer.url,
        client_id=offer.client_id,
        audience=offer.audience,
        subject=subject or told["sub"],  # without an id token, `_for_daypass` refused
        token=token,
        ends_at=ends_at(claims(token), now),
        refresh_token=bought.get("refresh_token"),
    )
    # An issuer that does not rotate its refresh tokens says nothing of the one that was used.
    return login if before is None or login.refresh_token else replace(login, refresh_token=before.refresh_token)


def _for_daypass(offer: Offer, bought: Mapping[str, str]) -> str:
    """The token whose audience is Daypass's: the id token, else the access token where that is a JWT."""
    for name in ("id_token", "access_token"):
        token = bought.get(name)
        if isinstance(token, str) and offer.audience in audiences(claims(token)):
            return token
    if "id_token" not in bought:
        raise _failed(f"{offer.url} gave no id token: daypass login again.")
    raise _failed(
        f"None of the tokens of {offer.url} is for {offer.audience}, the audience that Daypass's catalogue names: "
        "tell whoever runs it."
    )


def _scopes(offer: Offer, issuer: Issuer) -> list[str]:
    """What the catalogue asks for, and to stay logged in where the issuer offers that."""
    stay = ["offline_access"] if "offline_access" in issuer.scopes else []
    return list(dict.fromkeys(["openid", *offer.scopes, *stay]))


def _audience(offer: Offer) -> dict[str, str]:
    """Issuers that know several APIs (Auth0) want to be told for which one the access token is; others pass over it."""
    return {} if offer.audience == offer.client_id else {"audience": offer.audience}


def _offer(login: Login) -> Offer:
    return Offer(name="", url=login.issuer, client_id=login.client_id, audience=login.audience)


def _as_https(url: str) -> str:
    """For oauthlib, which takes nothing else. Where http stands `discover` has seen that it is on this machine."""
    return "https" + url[url.index(":") :]


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else otherwise


def _failed(sentence: str) -> DaypassError:
    return DaypassError(sentence, slug="login-failed")
