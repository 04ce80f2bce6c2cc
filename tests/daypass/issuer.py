"""An OIDC issuer on loopback, for tests: it checks PKCE, sells tokens once, and rotates its refresh tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from daypass.issuer import Offer
from tests.daypass.conftest import Asked, Said, Server

CLIENT = "daypass-command"
SUBJECT = "carol-1"
DISCOVERY = "/.well-known/openid-configuration"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def jwt(claims: dict[str, Any]) -> str:
    """A token that nobody verifies; what is secret in it is a canary."""
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJSUzI1NiJ9.{part}.canary-c2lnbmF0dXJl"


@dataclass
class FakeIssuer:
    """claims: of the next id tokens, over the usual ones. more: in the token endpoint's next answers."""

    server: Server
    claims: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    lasts: int = 3600
    document: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        url = self.server.url
        self.asked: dict[str, str] = {}
        self.sold: set[str] = set()
        self.refresh_token = "canary-refresh-0"
        self.refreshed = 0
        self.document = {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize?tenant=t",
            "token_endpoint": f"{url}/token",
            "device_authorization_endpoint": f"{url}/device",
            "revocation_endpoint": f"{url}/revoke",
            "scopes_supported": ["openid", "offline_access"],
            "authorization_response_iss_parameter_supported": True,
            **self.document,
        }
        self.polls: list[dict[str, Any]] = []
        self.server.answers["GET", DISCOVERY] = lambda _: Said(body=self.document)
        self.server.answers["POST", "/token"] = self._token
        self.server.answers["GET", "/authorize"] = self._authorize
        self.server.answers["POST", "/revoke"] = Said(200, raw=b"")
        self.server.answers["POST", "/device"] = Said(
            body={
                "device_code": "canary-device-code",
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{url}/activate",
                "verification_uri_complete": f"{url}/activate?user_code=WDJB-MJHT",
                "expires_in": 60,
                "interval": 5,
            }
        )

    @property
    def url(self) -> str:
        return self.server.url

    def offer(self, **changed: Any) -> Offer:
        told = {"name": "okta", "url": self.url, "client_id": CLIENT, "audience": CLIENT, "scopes": ("openid", "email")}
        return Offer(**{**told, **changed})

    def browser(self, address: str) -> tuple[int, str]:
        """Signs in at once, and goes where the issuer sends it."""
        return visit(address)

    def _authorize(self, asked: Asked) -> Said:
        self.asked = asked.query
        told = {"code": "canary-code", "state": self.asked["state"], "iss": self.url, **self.answer}
        given = {name: value for name, value in told.items() if value}
        return Said(302, {}, {"Location": f"{self.asked['redirect_uri']}?{urlencode(given)}"})

    def forms(self, path: str = "/token") -> list[dict[str, str]]:
        return [asked.body for asked in self.server.asked if (asked.method, asked.path) == ("POST", path)]

    def _token(self, asked: Asked) -> Said:
        form = asked.body
        if form.get("client_id") != CLIENT:
            return Said(401, {"error": "invalid_client"})
        match form["grant_type"]:
            case "authorization_code":
                challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
                proven = challenge.rstrip(b"=").decode() == self.asked["code_challenge"]
                fresh = form["code"] == "canary-code" and form["code"] not in self.sold
                if not (proven and fresh and form["redirect_uri"] == self.asked["redirect_uri"]):
                    return Said(400, {"error": "invalid_grant", "error_description": f"no {form['code']}"})
                self.sold.add(form["code"])
                return self._sell(nonce=self.asked["nonce"])
            case "refresh_token":
                if form["refresh_token"] != self.refresh_token:
                    return Said(400, {"error": "invalid_grant", "error_description": f"no {form['refresh_token']}"})
                self.refreshed += 1
                self.refresh_token = f"canary-refresh-{self.refreshed}"
                return self._sell()
            case _:
                return Said(400, self.polls.pop(0)) if self.polls else self._sell()

    def _sell(self, **more: str) -> Said:
        now = int(time.time())
        told = {"iss": self.url, "aud": CLIENT, "sub": SUBJECT, "iat": now, "exp": now + self.lasts, **more}
        token = jwt({**told, "n": self.refreshed, **self.claims})
        sold = {"access_token": "canary-access", "token_type": "Bearer", "refresh_token": self.refresh_token}
        return Said(body={**sold, "id_token": token, **self.more})


def visit(address: str) -> tuple[int, str]:
    try:
        with _DIRECT.open(address, timeout=10) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def never(*_: object) -> Any:
    raise AssertionError("nobody was to be asked")
