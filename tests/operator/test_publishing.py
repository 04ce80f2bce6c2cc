"""Publishing to a folder or a bucket: what changed is written, what would leave a gap leaves all as it was."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError

from chalicelib.core.provider import Provider, ProviderKey
from daypass.local import example
from daypass.operator.documents import AHEAD, DISCOVERY, HISTORY, JWKS, PATHS
from daypass.operator.keys import CannotSign, public_key
from daypass.operator.places import Bucket, Folder, Place, place
from daypass.operator.publishing import publish
from tests.builders import HOUR, NOW
from tests.local.accounts import SANDBOX, as_root

ISSUER = "https://id.example.com"


@pytest.fixture(scope="module")
def kms(seeded) -> Any:
    return example.kms_of_the_hub(seeded.url)


@pytest.fixture(scope="module")
def arns(kms) -> list[str]:
    return [kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"] for _ in range(2)]


@pytest.fixture(params=["folder", "bucket"])
def there(request, seeded, tmp_path) -> Place:
    if request.param == "folder":
        return Folder(tmp_path / "web")
    s3 = as_root("s3", seeded.url, SANDBOX)
    name = f"keys-{tmp_path.name.replace('_', '-').lower()}"[:60].strip("-")
    s3.create_bucket(Bucket=name)
    return Bucket(s3, name, "/daypass/")


def published(provider: Provider, there: Place, kms: Any, now=NOW) -> list[str]:
    """The documents that were written, by path."""
    outcome = publish(provider, there, lambda region: kms, now)
    assert outcome.objections == ()
    assert list(outcome.written) == [there.shown(path) for path in PATHS]
    return [path for path, written in zip(PATHS, outcome.written.values(), strict=True) if written]


class TestPublishing:
    def test_what_changed_is_written_and_nothing_else(self, there, kms, arns):
        first = Provider(ISSUER, (ProviderKey(arns[0], NOW),))
        assert published(first, there, kms) == [JWKS, DISCOVERY, HISTORY]
        assert published(first, there, kms, NOW + HOUR) == []
        both = Provider(ISSUER, (*first.keys, ProviderKey(arns[1], NOW + 2 * AHEAD)))
        assert published(both, there, kms, NOW + HOUR) == [JWKS, HISTORY]

    def test_what_would_leave_a_gap_leaves_all_as_it_was(self, there, kms, arns):
        published(Provider(ISSUER, (ProviderKey(arns[0], NOW),)), there, kms)
        before = [there.read(path) for path in PATHS]
        outcome = publish(Provider(ISSUER, (ProviderKey(arns[1], NOW),)), there, lambda region: kms, NOW)
        assert len(outcome.objections) == 2
        assert outcome.written == {}
        assert [there.read(path) for path in PATHS] == before

    def test_the_published_key_verifies_what_kms_signs(self, there, kms, arns):
        key = ProviderKey(arns[0], NOW)
        published(Provider(ISSUER, (key,)), there, kms)
        [jwk] = json.loads(there.read(JWKS) or b"")["keys"]
        message = b"header.claims"
        signed = kms.sign(KeyId=key.arn, Message=message, SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256")["Signature"]
        assert jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).verify(
            message, jwt.PyJWK(jwk).key, signed
        )
        assert set(jwk) == {"kty", "kid", "use", "alg", "n", "e"}
        assert (jwk["kty"], jwk["kid"], jwk["use"], jwk["alg"]) == ("RSA", key.kid, "sig", "RS256")
        assert len(base64.urlsafe_b64decode(jwk["n"] + "==")) == 256

    def test_each_keys_own_region_is_asked(self, there, kms, arns):
        asked = []

        def in_region(region: str) -> Any:
            asked.append(region)
            return kms

        publish(Provider(ISSUER, (ProviderKey(arns[0], NOW),)), there, in_region, NOW)
        assert asked == ["us-east-1"]


@pytest.mark.parametrize(("spec", "usage"), [("ECC_NIST_P256", "SIGN_VERIFY"), ("RSA_2048", "ENCRYPT_DECRYPT")])
def test_a_key_that_cannot_sign_tokens_is_refused(kms, spec, usage):
    arn = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"]
    with pytest.raises(CannotSign, match=f"is {spec} for {usage}"):
        public_key(kms, ProviderKey(arn, NOW))


def test_a_bucket_gets_the_headers_that_its_web_server_shows(seeded, kms, arns):
    s3 = as_root("s3", seeded.url, SANDBOX)
    s3.create_bucket(Bucket="keys-with-headers")
    published(Provider(ISSUER, (ProviderKey(arns[0], NOW),)), Bucket(s3, "keys-with-headers", ""), kms)
    for path in PATHS:
        told = s3.head_object(Bucket="keys-with-headers", Key=path)
        assert (told["ContentType"], told["CacheControl"]) == ("application/json", "public, max-age=300")


def test_a_bucket_that_shows_nobody_what_is_missing_is_not_taken_for_an_empty_one():
    class Shut:
        def get_object(self, **call: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "…"}}, "GetObject")

    with pytest.raises(ClientError):
        Bucket(Shut(), "keys", "").read(JWKS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://keys.example.com/daypass/", f"s3://keys.example.com/daypass/{JWKS}"),
        ("s3://keys", f"s3://keys/{JWKS}"),
        ("web/root", f"web/root/{JWKS}"),
    ],
)
def test_a_place_is_a_bucket_or_a_folder(text, shown, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert place(text).shown(JWKS) == shown


def test_half_a_document_is_never_seen(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.write(JWKS, b"{}")
    folder.write(JWKS, b'{"keys": []}')
    assert [file.name for file in (tmp_path / ".well-known").iterdir()] == ["jwks.json"]
