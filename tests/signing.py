"""Those who sign catalogues, as CI's key in KMS does: two keys of the tests' own, made once."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def public_key(key: rsa.RSAPrivateKey) -> str:
    """As `aws kms get-public-key --query PublicKey --output text` prints it."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    """As KMS does by RSASSA_PKCS1_V1_5_SHA_256."""
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


CI, SOMEBODY_ELSE = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PUBLIC_KEYS = (public_key(CI), public_key(SOMEBODY_ELSE))
