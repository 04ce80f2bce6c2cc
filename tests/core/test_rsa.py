"""RSA signatures, held against those of `cryptography`, which says the same of every message, key and forgery."""

import base64
import hashlib
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.rsa import PublicKey, read_public_key, signed
from tests.signing import CI, SOMEBODY_ELSE, public_key, sign

KEY = read_public_key(public_key(CI))
SIZE = 256
MESSAGE = b"serial = 1\n"
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def also_by_cryptography(message: bytes, signature: bytes) -> bool:
    try:
        CI.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def opening_to(encoded: bytes) -> bytes:
    """A signature that opens to these bytes: what only who has the private key can make."""
    numbers = CI.private_numbers()
    return pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(SIZE, "big")


def encoded(told: bytes, *, padded: bytes = b"\xff", head: bytes = b"\x00\x01") -> bytes:
    return head + padded * (SIZE - len(told) - len(head) - 1) + b"\x00" + told


@given(message=st.binary(max_size=300))
def test_what_the_key_signed_is_signed_and_by_no_other_key(message: bytes) -> None:
    assert signed(KEY, message, sign(CI, message))
    assert not signed(KEY, message, sign(SOMEBODY_ELSE, message))
    assert not signed(KEY, message + b" ", sign(CI, message))


@given(message=st.binary(max_size=20), bit=st.integers(0, SIZE * 8 - 1))
def test_a_signature_with_one_bit_changed_is_none(message: bytes, bit: int) -> None:
    changed = int.from_bytes(sign(CI, message), "big") ^ (1 << bit)
    forged = changed.to_bytes(SIZE, "big")
    assert not signed(KEY, message, forged)
    assert not also_by_cryptography(message, forged)


@given(signature=st.binary(max_size=SIZE + 2) | st.binary(min_size=SIZE, max_size=SIZE))
def test_any_bytes_are_judged_as_cryptography_judges_them(signature: bytes) -> None:
    assert signed(KEY, MESSAGE, signature) is also_by_cryptography(MESSAGE, signature) is False


DIGEST = hashlib.sha256(MESSAGE).digest()
TOLD = DIGEST_INFO + DIGEST
WITHOUT_NULL = bytes.fromhex("302f300b0609608648016503040201") + bytes.fromhex("0420") + DIGEST
SHA1 = bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(MESSAGE).digest()


@pytest.mark.parametrize(
    ("made", "is_one"),
    [
        pytest.param(encoded(TOLD), True, id="as RFC 8017 writes it"),
        pytest.param(encoded(TOLD, padded=b"\xfe"), False, id="another padding"),
        pytest.param(encoded(TOLD, head=b"\x00\x02"), False, id="the padding of encryption"),
        pytest.param(
            b"\x00\x01" + b"\xff" * 8 + b"\x00" + TOLD + b"\x00" * (SIZE - 11 - len(TOLD)), False, id="behind"
        ),
        pytest.param(encoded(TOLD + b"\x00"), False, id="something follows the digest"),
        pytest.param(encoded(WITHOUT_NULL), False, id="no parameters"),
        pytest.param(encoded(SHA1), False, id="another hash"),
        pytest.param(encoded(DIGEST), False, id="the digest alone"),
    ],
)
def test_a_signature_opens_to_the_one_encoding_there_is(made: bytes, is_one: bool) -> None:
    assert len(made) == SIZE
    assert signed(KEY, MESSAGE, opening_to(made)) is is_one


def test_one_signature_is_not_two() -> None:
    """The number plus the modulus opens to the same; and so does the number with zeros before it."""
    good = sign(CI, MESSAGE)
    larger = int.from_bytes(good, "big") + KEY.modulus
    forged = [b"\x00" + good, good[:-1], b"", good + good]
    forged += [larger.to_bytes(SIZE, "big")] if larger.bit_length() <= SIZE * 8 else []
    for each in forged:
        assert not signed(KEY, MESSAGE, each)
        assert not also_by_cryptography(MESSAGE, each)
    assert not signed(KEY, MESSAGE, larger.to_bytes(SIZE + 1, "big"))


@pytest.mark.parametrize("size", [2048, 3072, 4096])
def test_keys_of_all_sizes_of_kms_are_read(size: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=size)
    read = read_public_key(public_key(key))
    assert read == PublicKey(key.public_key().public_numbers().n)
    assert signed(read, MESSAGE, sign(key, MESSAGE))


def an_ec_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def of(**made: Any) -> str:
    return public_key(rsa.generate_private_key(**made))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        "MAA=",
        pytest.param(an_ec_key(), id="elliptic"),
        pytest.param(public_key(CI)[:-8], id="cut off"),
        pytest.param(base64.b64encode(base64.b64decode(public_key(CI)) + b"\x00").decode(), id="with more behind"),
        pytest.param(of(public_exponent=3, key_size=2048), id="exponent 3"),
        pytest.param(of(public_exponent=65537, key_size=1024), id="too short"),
    ],
)
def test_what_is_no_key_of_kms_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RSA"):
        read_public_key(text)


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_stumble(der: bytes) -> None:
    with pytest.raises(ValueError, match="RSA"):
        read_public_key(base64.b64encode(der).decode())
