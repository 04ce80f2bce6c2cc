"""AssumeRoleWithWebIdentity as the other way of lending: what STS is asked, and what becomes of each of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from botocore.stub import Stubber

from chalicelib.aws.clients import sts_client
from chalicelib.aws.signing import Signature
from chalicelib.aws.sts import StsLender
from chalicelib.broker.ports import NothingLent
from chalicelib.core.provider import ProviderKey
from chalicelib.core.refusals import StsRefused, Unavailable
from chalicelib.core.token import Token
from tests.aws.test_sts import ANSWER, CALL, PLAN, ROLE, session
from tests.builders import NOW

KEY = ProviderKey("arn:aws:kms:eu-central-1:123456789012:key/0d5d9c2e-1f7a-4a53-9c0b-5a7f6c1e2d3b", NOW)
TOKEN = Token("https://id.example.com/daypass", KEY, {"sub": f"daypass:role:{ROLE}"})
VIA_OIDC = replace(PLAN, token=TOKEN, external_id=None, duration=timedelta(hours=12))
SIGNED = TOKEN.signed(b"a signature of two hundred and fifty-six octets")
ASKED = {
    **{name: CALL[name] for name in ("RoleArn", "RoleSessionName", "Policy")},
    "DurationSeconds": 43200,
    "WebIdentityToken": SIGNED,
}


class Signer:
    """Signs whatever it is shown, and remembers it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, bytes]] = []

    def sign(self, key_arn: str, message: bytes) -> Signature:
        self.shown.append((key_arn, message))
        return Signature(b"a signature of two hundred and fifty-six octets", "kms-1")


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    with Stubber(sts_client(session(), "eu-central-1")) as stubber:
        yield stubber


def lend(stubber: Stubber, plan=VIA_OIDC, signer: Any = None):
    return StsLender(cast("Any", stubber.client), (signer or Signer()).sign).lend(plan)


def test_the_whole_plan_is_asked_for_and_the_whole_answer_told(stubber):
    stubber.add_response("assume_role_with_web_identity", ANSWER, ASKED)
    signer = Signer()
    lent = lend(stubber, signer=signer)
    assert signer.shown == [(KEY.arn, TOKEN.unsigned())]
    assert (lent.access_key_id, lent.kms_request_id, lent.region) == ("ASIAEXAMPLEEXAMPLEEX", "kms-1", "eu-central-1")
    assert lent.request_id == "a3ead691-6855-45ed-aa48-b3714ddcff1f"


@pytest.mark.parametrize(
    "beyond",
    [
        {"role_arn": "arn:aws:iam::222222222222:user/x"},
        {"session_name": "a" * 65},
        {"source_identity": "a"},
        {"tags": {"aws:x": "y"}},
        {"transitive": ("other",)},
        {"duration": timedelta(seconds=899)},
        {"duration": timedelta(seconds=43201)},
        {"policy": "x" * 2049},
    ],
)
def test_a_plan_beyond_the_limits_is_a_bug_and_nothing_is_signed_for_it(stubber, beyond):
    signer = Signer()
    with pytest.raises(ValueError):
        lend(stubber, replace(VIA_OIDC, **beyond), signer)
    assert signer.shown == []


def test_a_token_that_is_too_long_is_a_bug_and_not_shown(stubber):
    vast = replace(VIA_OIDC, token=Token(TOKEN.issuer, KEY, {"sub": "x" * 15000}))
    with pytest.raises(ValueError, match="characters, of which STS takes") as bug:
        lend(stubber, vast)
    assert "eHh4eHh4" not in str(bug.value)


@pytest.mark.parametrize(
    ("code", "status", "check"),
    [
        ("AccessDenied", 403, "arn:aws:iam::222222222222:oidc-provider/id.example.com/daypass"),
        ("AccessDenied", 403, f"sub daypass:role:{ROLE}"),
        ("AccessDenied", 403, "sts:TagSession and sts:SetSourceIdentity"),
        ("ValidationError", 400, "maximum session duration"),
        ("InvalidIdentityToken", 400, f"hold the key {KEY.kid}"),
        ("InvalidIdentityToken", 400, "audience sts.amazonaws.com"),
        ("IDPRejectedClaim", 403, "https://id.example.com/daypass"),
        ("ExpiredTokenException", 400, "clock"),
        ("MalformedPolicyDocument", 400, "policy or scope"),
        ("PackedPolicyTooLarge", 400, "too large"),
        ("RegionDisabledException", 403, "switched off"),
        ("SomethingNew", 418, "SomethingNew"),
    ],
)
def test_a_no_is_certain_and_says_what_to_check(stubber, code, status, check):
    stubber.add_client_error("assume_role_with_web_identity", code, "…", status, expected_params=ASKED)
    with pytest.raises(StsRefused) as refused:
        lend(stubber)
    assert refused.value.code == code
    assert check in refused.value.detail
    assert refused.value.__suppress_context__


def test_where_sts_could_not_ask_us_back_nothing_was_lent(stubber):
    stubber.add_client_error("assume_role_with_web_identity", "IDPCommunicationError", "…", 400)
    with pytest.raises(NothingLent, match="public keys") as silence:
        lend(stubber)
    assert silence.value.code == "IDPCommunicationError"
    assert silence.value.calls == {"kms_request_id": "kms-1"}


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("Throttling", 400), ("Unknown", 502)])
def test_whatever_sts_says_what_kms_signed_for_it_is_told_too(stubber, code, status):
    stubber.add_client_error("assume_role_with_web_identity", code, "…", status, response_meta={"RequestId": "sts-1"})
    with pytest.raises((StsRefused, Unavailable)) as no:
        lend(stubber)
    assert isinstance(no.value, StsRefused | Unavailable)
    assert no.value.calls == {"kms_request_id": "kms-1", "sts_request_id": "sts-1"}


@pytest.mark.parametrize(("code", "status"), [("Throttling", 400), ("InternalFailure", 500), ("AccessDenied", 503)])
def test_a_silence_is_not_a_no(stubber, code, status):
    stubber.add_client_error("assume_role_with_web_identity", code, "…", status)
    with pytest.raises(Unavailable):
        lend(stubber)


def test_awss_own_words_are_passed_on(stubber):
    words = "No OpenIDConnect provider found in your account for https://id.example.com/daypass"
    stubber.add_client_error("assume_role_with_web_identity", "InvalidIdentityToken", words, 400)
    with pytest.raises(StsRefused) as refused:
        lend(stubber)
    assert refused.value.detail.endswith(f"AWS said: {words}")


@pytest.mark.parametrize("quoted", [SIGNED, SIGNED[5:60], SIGNED[-40:], SIGNED[:40]])
def test_but_not_where_they_hold_the_token_or_a_part_of_it(stubber, quoted):
    words = f"1 validation error detected: Value '{quoted}' at 'webIdentityToken' failed to satisfy constraint"
    stubber.add_client_error("assume_role_with_web_identity", "ValidationError", words, 400)
    with pytest.raises(StsRefused) as refused:
        lend(stubber)
    assert "AWS said" not in refused.value.detail
    assert quoted not in refused.value.detail
