"""An identity provider for tests: its keys, its documents on the web, its tokens and what no issuer would sign."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from chalicelib.core.principal import Kind
from chalicelib.core.vouching import Issuer
from chalicelib.identity.keys import NotFetched

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@cache
def private_key(algorithm: str, name: str) -> Any:
    """The same key for the same name: making one takes time."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def public_jwk(algorithm: str, name: str, **more: object) -> dict[str, Any]:
    """What an issuer publishes of a key: `kid`, `alg` and `use`, as most of them do, and the key itself."""
    shape = jwt.get_algorithm_by_name(algorithm).to_jwk(private_key(algorithm, name).public_key(), as_dict=True)
    shape.pop("key_ops", None)
    return {**shape, "kid": name, "alg": algorithm, "use": "sig", **more}


def signer(algorithm: str, name: str, *, made_for: str | None = None) -> Callable[[bytes], bytes]:
    """Signs with the key of that name, by another algorithm than the one it was made for if need be."""
    return lambda text: jwt.get_algorithm_by_name(algorithm).sign(text, private_key(made_for or algorithm, name))


def compact(header: bytes, claims: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A JWS of any two texts, proper or not."""
    text = base64url(header) + b"." + base64url(claims)
    return (text + b"." + base64url(sign(text))).decode()


def base64url(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


class Idp:
    """An OIDC issuer. Its tokens are valid for ten minutes from `at`; its keys are those named in `kids`.

    down: whether it answers. asked: the URLs that were fetched from it.
    """

    def __init__(self, url: str = "https://idp.example.com", *, algorithm: str = "ES256", name: str = "okta") -> None:
        self.url = url
        self.algorithm = algorithm
        self.name = name
        self.kids = [f"{name}-1"]
        self.down = False
        self.asked: list[str] = []
        self.key_set: Any = None
        self.discovery: Any = {"issuer": url, "jwks_uri": f"{url}/keys"}

    def issuer(self, **changes: Any) -> Issuer:
        """The entry of the catalogue: people of example.com, with groups."""
        entry: dict[str, Any] = {
            "name": self.name,
            "url": self.url,
            "audience": "daypass",
            "kind": Kind.HUMAN,
            "groups": "groups",
            "domains": frozenset({"example.com"}),
        }
        return Issuer(**{**entry, **changes})

    def workload_issuer(self, **changes: Any) -> Issuer:
        return self.issuer(**{"kind": Kind.WORKLOAD, "groups": None, "domains": frozenset(), **changes})

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        documents = {f"{self.url}/.well-known/openid-configuration": self.discovery, f"{self.url}/keys": self.jwks()}
        if self.down or url not in documents:
            raise NotFetched(f"{url} did not answer")
        document = documents[url]
        return document if isinstance(document, bytes) else json.dumps(document).encode()

    def jwks(self) -> Any:
        return self.key_set or {"keys": [public_jwk(self.algorithm, kid) for kid in self.kids]}

    def claims(self, *, at: datetime = NOW, **claims: object) -> dict[str, object]:
        """Alice's, who is in engineering, unless told otherwise. `...` as a value leaves the claim out."""
        issued_at = int(at.timestamp())
        usual: dict[str, object] = {
            "iss": self.url,
            "aud": "daypass",
            "sub": "00u1",
            "iat": issued_at,
            "exp": issued_at + int(timedelta(minutes=10).total_seconds()),
            "email": "alice@example.com",
            "email_verified": True,
            "groups": ["engineering"],
        }
        return {name: value for name, value in {**usual, **claims}.items() if value is not ...}

    def token(
        self,
        *,
        at: datetime = NOW,
        kid: str | None = None,
        algorithm: str | None = None,
        header: Mapping[str, object] | None = None,
        **claims: object,
    ) -> str:
        """A token signed with the key named `kid` (the first of its own), with `header` over the usual header."""
        kid = kid or self.kids[0]
        algorithm = algorithm or self.algorithm
        usual = {"alg": algorithm, "kid": kid, "typ": "JWT", **(header or {})}
        head = {name: value for name, value in usual.items() if value is not ...}
        text = json.dumps(self.claims(at=at, **claims)).encode()
        return compact(json.dumps(head).encode(), text, signer(algorithm, kid))
