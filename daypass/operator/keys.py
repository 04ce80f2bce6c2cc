"""The provider's public keys, as KMS tells them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chalicelib.core.provider import ProviderKey

_ALGORITHM = "RSASSA_PKCS1_V1_5_SHA_256"


class CannotSign(Exception):
    """The key in KMS is none that can sign tokens; `str` of it is for people."""


def public_key(kms: Any, key: ProviderKey) -> Mapping[str, str]:
    """The key as a JWK (RFC 7517). kms: a client of the key's region. Raises CannotSign.

    Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html.
    """
    told = kms.get_public_key(KeyId=key.arn)
    public = load_der_public_key(told["PublicKey"])
    if _ALGORITHM not in told.get("SigningAlgorithms", ()) or not isinstance(public, RSAPublicKey):
        spec, usage = told.get("KeySpec"), told.get("KeyUsage")
        raise CannotSign(f"{key.arn} is {spec} for {usage}: make one with KeySpec RSA_2048 and KeyUsage SIGN_VERIFY.")
    numbers = public.public_numbers()
    return {
        "kty": "RSA",
        "kid": key.kid,
        "use": "sig",
        "alg": "RS256",
        "n": _base64url(numbers.n),
        "e": _base64url(numbers.e),
    }


def _base64url(number: int) -> str:
    """RFC 7518 section 2: Base64urlUInt."""
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
