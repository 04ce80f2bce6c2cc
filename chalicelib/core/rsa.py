"""RSA signatures as anybody checks them who has the public key: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017).

Without `cryptography`, whose import takes longer than all of this: docs/decisions/0047 has the figures. Nothing here is
secret, so nothing has to take the same time whatever it is given.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

_SEQUENCE, _INTEGER, _BITS = 0x30, 0x02, 0x03
# AlgorithmIdentifier of rsaEncryption (RFC 3279 section 2.3.1), and the DigestInfo of SHA-256 (RFC 8017 section 9.2).
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
_EXPONENT = 65537
_SHORTEST, _LONGEST = 2048, 4096


@dataclass(frozen=True, slots=True)
class PublicKey:
    """modulus: of 2048 to 4096 bits; the exponent is 65537, as of every key of KMS."""

    modulus: int


def read_public_key(text: str) -> PublicKey:
    """The key in the text that `aws kms get-public-key --query PublicKey --output text` prints: base64 of its DER.

    Raises ValueError, in words, for everything else. Source: RFC 5280 section 4.1 (SubjectPublicKeyInfo),
    https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html.
    """
    try:
        whole, rest = _element(_SEQUENCE, base64.b64decode(text, validate=True))
        bits, more = _element(_BITS, whole.removeprefix(_RSA))
        numbers, beyond = _element(_SEQUENCE, bits.removeprefix(b"\0"))
        modulus, after = _element(_INTEGER, numbers)
        exponent, end = _element(_INTEGER, after)
    except (ValueError, IndexError):
        raise ValueError("is no RSA public key as KMS gives them: base64 of its DER, in one line") from None
    if not whole.startswith(_RSA) or rest or more or beyond or end:
        raise ValueError("is no RSA public key as KMS gives them: base64 of its DER, in one line")
    found = PublicKey(int.from_bytes(modulus, "big"))
    if int.from_bytes(exponent, "big") != _EXPONENT or not _SHORTEST <= found.modulus.bit_length() <= _LONGEST:
        raise ValueError("is an RSA key of another kind than RSA_2048, RSA_3072 or RSA_4096 of KMS")
    return found


def _element(tag: int, der: bytes) -> tuple[bytes, bytes]:
    """The contents of the first element, and what follows it. Raises ValueError, IndexError where it is another one."""
    start, length = 2, der[1]
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(der[2:start], "big")
    if der[0] != tag or der[1] == 0x80 or len(der) < start + length:
        raise ValueError
    return der[start : start + length], der[start + length :]


def signed(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the signature is the key's of the message: RFC 8017 section 8.2.2, step by step.

    What the signature opens to is compared with the one encoding there is, never parsed.
    """
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= key.modulus:
        return False
    told = _SHA256 + hashlib.sha256(message).digest()
    encoded = b"\x00\x01" + b"\xff" * (size - len(told) - 3) + b"\x00" + told
    return pow(number, _EXPONENT, key.modulus).to_bytes(size, "big") == encoded
