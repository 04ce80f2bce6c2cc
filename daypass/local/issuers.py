"""The local issuers: who signs the tokens of the example's people and workloads, and Daypass's own.

Each of the first has a key of its own, made in the data folder at the first start. A deployed stage never believes
them: their URLs are `http://127.0.0.1`, which only a local stage accepts and which leads nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

from daypass.local.folder import write_private
from daypass.local.people import EVERYBODY, Somebody

NAMES = ("people", "cluster")
PROVIDER = "provider"
"""Daypass's own issuer: its key lies in the embedded AWS's KMS."""

PREFIX = "/local/issuers"
AUDIENCE = "daypass"
TOKEN_LASTS = timedelta(hours=8)
_ALGORITHM = "ES256"

Key = ec.EllipticCurvePrivateKey


class Unknown(Exception):
    """Nobody of that name is in the example."""


def keys(folder: Path) -> Mapping[str, Key]:
    """The issuers' private keys by name, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {name: _key(folder / f"{name}.pem") for name in NAMES}


def url(api: str, name: str) -> str:
    """An issuer's URL, under the URL of the local API."""
    return f"{api}{PREFIX}/{name}"


def documents(keys: Mapping[str, Key], api: str) -> Mapping[str, bytes]:
    """What the issuers publish, by path: discovery and keys of each."""
    published: dict[str, Any] = {}
    for name, key in keys.items():
        issuer = url(api, name)
        published[f"{PREFIX}/{name}/.well-known/openid-configuration"] = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks.json",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
        }
        published[f"{PREFIX}/{name}/jwks.json"] = {"keys": [_public(key)]}
    return {path: json.dumps(document).encode() for path, document in published.items()}


def mirrored(documents: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """What the provider publishes, by path on the local API."""
    return {f"{PREFIX}/{PROVIDER}/{path}": document for path, document in documents.items()}


def mint(keys: Mapping[str, Key], api: str, name: str, *, now: datetime) -> str:
    """A bearer token for somebody of the example, good for eight hours. Raises Unknown."""
    if name not in EVERYBODY:
        raise Unknown(name)
    somebody = EVERYBODY[name]
    key = keys[somebody.issuer]
    claims = _claims(somebody, url(api, somebody.issuer), now)
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": _public(key)["kid"]})


def _claims(somebody: Somebody, issuer: str, now: datetime) -> dict[str, Any]:
    signed = {"iss": issuer, "sub": somebody.subject, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + TOKEN_LASTS}
    if somebody.issuer != "people":
        return signed
    return {
        **signed,
        "email": somebody.id,
        "email_verified": True,
        "groups": list(somebody.groups),
        "amr": ["pwd", "mfa"],
        "auth_time": int(now.timestamp()),
    }


def _key(path: Path) -> Key:
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        write_private(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    key = load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _public(key: Key) -> dict[str, Any]:
    jwk: dict[str, Any] = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": _thumbprint(jwk), "use": "sig", "alg": _ALGORITHM}


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    """The key's name, made of the key (RFC 7638)."""
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
