"""Which key signs when, under which name, and what a token says."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import token as tokens
from chalicelib.core.provider import Provider, ProviderKey
from chalicelib.core.token import Token
from tests.builders import HOUR, NOW, SECOND, instants

ISSUER = "https://daypass.example.com"
ARN = "arn:aws:kms:eu-central-1:123456789012:key/0d5d9c2e-1f7a-4a53-9c0b-5a7f6c1e2d3b"
ROLE = "arn:aws:iam::222222222222:role/daypass/Admin"


def keys_from(*begins) -> tuple[ProviderKey, ...]:
    return tuple(ProviderKey(f"{ARN[:-2]}{number:02}", begin) for number, begin in enumerate(begins))


def test_a_key_signs_from_its_instant_on_until_the_next_ones() -> None:
    second, first = keys_from(NOW + HOUR, NOW)
    provider = Provider(ISSUER, (second, first))
    assert provider.signing(NOW - SECOND) is None
    assert provider.signing(NOW) == provider.signing(NOW + HOUR - SECOND) == first
    assert provider.signing(NOW + HOUR) == provider.signing(NOW + 10_000 * HOUR) == second


@given(begins=st.sets(instants, min_size=1, max_size=5), now=instants)
def test_of_the_keys_whose_time_has_come_the_last_one_signs(begins, now) -> None:
    signing = Provider(ISSUER, keys_from(*begins)).signing(now)
    assert (signing and signing.signs_from) == max((begin for begin in begins if begin <= now), default=None)


def test_a_keys_name_is_always_the_same_and_tells_no_account() -> None:
    key, later, other = ProviderKey(ARN, NOW), ProviderKey(ARN, NOW + HOUR), ProviderKey(f"{ARN}0", NOW)
    assert key.kid == later.kid != other.kid
    assert len(key.kid) == 43
    assert "123456789012" not in key.kid


def claims(**changed):
    said = {
        "issuer": ISSUER,
        "role_arn": ROLE,
        "session_id": "01K0000000000000000000000A",
        "source_identity": "carol@example.com",
        "tags": {"daypass:request": "01K0000000000000000000000B", "daypass:ticket": "OPS-1"},
        "transitive": ("daypass:request",),
        "now": NOW,
    }
    return tokens.claims(**{**said, **changed})


def test_what_a_token_says() -> None:
    at = int(NOW.timestamp())
    assert claims() == {
        "iss": ISSUER,
        "sub": f"daypass:role:{ROLE}",
        "aud": "sts.amazonaws.com",
        "iat": at,
        "exp": at + 60,
        "jti": "01K0000000000000000000000A",
        "https://aws.amazon.com/source_identity": "carol@example.com",
        "https://aws.amazon.com/tags": {
            "principal_tags": {"daypass:request": ["01K0000000000000000000000B"], "daypass:ticket": ["OPS-1"]},
            "transitive_tag_keys": ["daypass:request"],
        },
    }


def test_a_fraction_of_a_second_never_puts_it_into_the_future() -> None:
    assert claims(now=NOW + timedelta(microseconds=999_999))["iat"] == NOW.timestamp()


def test_it_is_written_down_as_rfc_7515_has_it() -> None:
    token = Token(ISSUER, ProviderKey(ARN, NOW), claims())
    header, payload, signature = token.signed(b"\xff\xfe signature").split(".")
    assert token.unsigned().decode() == f"{header}.{payload}"
    assert (decoded(signature), json.loads(decoded(payload))) == (b"\xff\xfe signature", claims())
    assert json.loads(decoded(header)) == {"alg": "RS256", "kid": ProviderKey(ARN, NOW).kid, "typ": "JWT"}


def decoded(part: str) -> bytes:
    assert "=" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
