"""KMS as the signer: what it is shown, and what becomes of each of its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, ParamValidationError
from botocore.session import Session
from botocore.stub import Stubber
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chalicelib.aws.clients import kms_client
from chalicelib.aws.signing import DigestKey, KmsSigner
from chalicelib.broker import lending
from chalicelib.broker.ports import NothingLent
from chalicelib.core.refusals import StsRefused, Unavailable
from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT
from tests.aws.test_sts import session
from tests.hub import Hub

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0d5d9c2e-1f7a-4a53-9c0b-5a7f6c1e2d3b"
CALL = {
    "KeyId": KEY,
    "Message": hashlib.sha256(b"header.claims").digest(),
    "MessageType": "DIGEST",
    "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256",
}
ANSWERED = {"RequestId": "kms-1"}


@pytest.fixture
def signer() -> KmsSigner:
    return KmsSigner(session())


@pytest.fixture
def stubber(signer) -> Iterator[Stubber]:
    with Stubber(signer._client("eu-central-1")) as stubber:
        yield stubber


def test_kms_is_shown_the_digest_and_never_the_token(signer, stubber):
    answer = {"Signature": b"signed", "ResponseMetadata": {"RequestId": "kms-1"}}
    stubber.add_response("sign", answer, CALL)
    signature = signer.sign(KEY, b"header.claims")
    assert (signature.bytes, signature.request_id) == (b"signed", "kms-1")
    assert "signed" not in repr(signature)


@pytest.mark.parametrize(
    ("code", "check"),
    [
        ("AccessDeniedException", "key's policy"),
        ("DisabledException", "enable it"),
        ("KMSInvalidStateException", "enable it"),
        ("NotFoundException", r"provider\.keys"),
        ("InvalidKeyUsageException", "RSA_2048"),
        ("SomethingNew", "people who run Daypass"),
    ],
)
def test_a_no_is_certain_and_says_what_to_check(signer, stubber, code, check):
    stubber.add_client_error("sign", code, "words of AWS's own", 400, expected_params=CALL, response_meta=ANSWERED)
    with pytest.raises(StsRefused, match=check) as refused:
        signer.sign(KEY, b"header.claims")
    assert (refused.value.code, refused.value.__suppress_context__) == (code, True)
    assert refused.value.calls == {"kms_request_id": "kms-1"}
    assert KEY in refused.value.detail
    assert "words" not in refused.value.detail


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("KMSInternalException", 500),
        ("KeyUnavailableException", 500),
        ("DependencyTimeoutException", 400),
        ("ExpiredTokenException", 400),
        ("AccessDeniedException", 503),
    ],
)
def test_what_may_pass_lent_nothing_for_certain(signer, stubber, code, status):
    stubber.add_client_error("sign", code, "…", status, response_meta=ANSWERED)
    with pytest.raises(NothingLent) as silence:
        signer.sign(KEY, b"header.claims")
    assert (silence.value.code, silence.value.calls) == (code, {"kms_request_id": "kms-1"})


class Silent:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def sign(self, **call: Any) -> None:
        raise self._error


def test_silence_lent_nothing_for_certain_either(signer):
    signer._clients["eu-central-1"] = Silent(NoCredentialsError())
    with pytest.raises(NothingLent) as silence:
        signer.sign(KEY, b"header.claims")
    assert (silence.value.code, silence.value.calls) == ("no-signature", {})


def test_a_call_that_botocore_finds_wrong_is_a_bug(signer):
    signer._clients["eu-central-1"] = Silent(ParamValidationError(report="…"))
    with pytest.raises(ParamValidationError):
        signer.sign(KEY, b"header.claims")


def test_each_keys_own_region_is_asked(signer):
    assert signer._client("eu-west-1").meta.region_name == "eu-west-1"
    assert signer._client("eu-west-1") is signer._client("eu-west-1") is not signer._client("us-east-1")


def test_it_gives_up_in_time_for_sts():
    config: Any = kms_client(session(), "us-east-1").meta.config
    tries = config.retries["total_max_attempts"]
    assert config.retries["mode"] == "standard"
    assert tries * (config.connect_timeout + config.read_timeout) + (tries - 1) <= lending.SIGNING.total_seconds()


def test_the_broker_signs_with_a_real_key_what_its_public_key_verifies(hub: Hub, seeded):
    arn = example.provider_key(seeded.url)
    signature = KmsSigner(hub.session).sign(arn, b"header.claims")
    public: Any = load_der_public_key(example.kms_of_the_hub(seeded.url).get_public_key(KeyId=arn)["PublicKey"])
    public.verify(signature.bytes, b"header.claims", padding.PKCS1v15(), SHA256())
    assert signature.request_id


def test_a_real_key_that_is_disabled_is_refused(hub: Hub, seeded):
    kms = example.kms_of_the_hub(seeded.url)
    made = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    kms.disable_key(KeyId=made["KeyId"])
    with pytest.raises(StsRefused, match="enable it"):
        KmsSigner(hub.session).sign(made["Arn"], b"header.claims")


@pytest.fixture
def digest_key(hub: Hub, seeded, monkeypatch) -> DigestKey:
    kms = example.kms_of_the_hub(seeded.url)
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    as_the_hub = Session()
    as_the_hub.set_credentials(HUB_ACCOUNT, "test")
    return DigestKey(as_the_hub, arn)


def test_a_digests_key_knows_its_own_signatures_and_no_others(digest_key):
    signature = digest_key.sign(b"a day")
    assert digest_key.signed(b"a day", signature)
    assert not digest_key.signed(b"another day", signature)


def test_given_kms_refuses_then_the_digest_waits(digest_key):
    missing = DigestKey(digest_key._session, KEY.replace("eu-central-1", "us-east-1"))
    with pytest.raises(Unavailable, match="KMS refused: NotFoundException"):
        missing.sign(b"a day")
    with pytest.raises(Unavailable, match="KMS refused: NotFoundException"):
        missing.signed(b"a day", b"signature")
