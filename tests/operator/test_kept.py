"""The copy, read from a bucket as operators do: what was first there counts, what came later is told."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chalicelib.core import copied
from chalicelib.core.ledger import EventType, Recorded, beginning, next_event
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.operator import kept
from tests.aws.test_safe import locked
from tests.builders import NOW
from tests.local.accounts import as_root


@pytest.fixture
def s3(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL": embedded_aws.url, "AWS_ACCESS_KEY_ID": HUB_ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return as_root("s3", embedded_aws.url, HUB_ACCOUNT)


def recorded(chain: str) -> Recorded:
    return Recorded(chain, next_event(beginning(chain), EventType.SUBMITTED, NOW, "carol", {}))


def test_a_copy_that_was_written_over_or_hidden_tells_what_was_first_there(s3: Any) -> None:
    bucket = locked(s3)
    names = {}
    for chain in "ABC":
        names[chain] = copied.name(chain, recorded(chain).event)
        s3.put_object(Bucket=bucket, Key=f"daypass/{names[chain]}", Body=copied.text(recorded(chain)))
    s3.put_object(Bucket=bucket, Key=f"daypass/{names['A']}", Body=b"forged")
    s3.delete_object(Bucket=bucket, Key=f"daypass/{names['B']}")
    copy = kept.copy(kept.place(f"s3://{bucket}/daypass"), [copied.EVENTS], print)
    assert copy.events == 3
    assert {chain for chain, _ in copy.book.of(NOW.date().isoformat())} == set("ABC")
    assert [(each.chain, each.seq) for each in copy.broken] == [("A", 1), ("B", 1)]


def test_some_days_of_a_copy_are_read_alone(s3: Any) -> None:
    bucket = locked(s3)
    s3.put_object(Bucket=bucket, Key=copied.name("A", recorded("A").event), Body=copied.text(recorded("A")))
    where = kept.place(f"s3://{bucket}")
    assert kept.copy(where, [copied.folder(NOW.date().isoformat(), "A")], print).events == 1
    assert kept.copy(where, [copied.folder(NOW.date().isoformat(), "B")], print).events == 0
    assert kept.copy(where, [copied.folder(date(2026, 1, 1).isoformat())], print).events == 0


@pytest.mark.parametrize("key", [generate_private_key(SECP384R1()), generate_rsa(65537, 2048)])
def test_a_key_of_another_kind_is_none(key: Any) -> None:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError):
        kept.public_key(pem)


def test_a_private_key_is_none() -> None:
    with pytest.raises(ValueError):
        kept.public_key(b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")
    assert generate_private_key(SECP256R1())
