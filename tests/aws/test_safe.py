"""The bucket under Object Lock, as the embedded AWS keeps it; the fake keeps the same rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from chalicelib.aws.safe import Bucket, S3Safe
from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.ports import Safe, Stored
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION
from tests.local.accounts import as_root
from tests.outbox.fakes import FakeSafe

_names = count(1)


def locked(s3: Any) -> str:
    """A new bucket that keeps everything for ten years."""
    name = f"ledger-{next(_names)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    retention = {"Mode": "COMPLIANCE", "Years": 10}
    s3.put_object_lock_configuration(
        Bucket=name,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
    )
    return name


@pytest.fixture
def s3(embedded_aws: EmbeddedAws) -> Any:
    return as_root("s3", embedded_aws.url, HUB_ACCOUNT)


@pytest.fixture
def session(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session as the function has it: its clients find the embedded AWS by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.url)
    session = Session()
    session.set_credentials(HUB_ACCOUNT, "test")
    return session


@pytest.fixture
def bucket(s3: Any) -> str:
    return locked(s3)


@pytest.fixture(params=["fake", "S3"])
def safe(request: pytest.FixtureRequest) -> Safe:
    if request.param == "fake":
        return FakeSafe()
    return S3Safe(request.getfixturevalue("session"), REGION, f"{request.getfixturevalue('bucket')}/daypass")


def test_what_is_kept_stays_as_it_was_first_and_says_so(safe: Safe) -> None:
    assert safe.keep("events/one.json", b"first")
    assert safe.keep("events/one.json", b"first")
    assert not safe.keep("events/one.json", b"second")
    assert safe.keep("events/one.json", b"first")
    assert safe.keep("events/two.json", b"second")


def test_the_buckets_own_retention_holds_what_is_written_and_a_repetition_makes_no_version(
    s3: Any,
    bucket: str,
    session: Any,
) -> None:
    safe = S3Safe(session, REGION, f"{bucket}/daypass")
    for text in (b"first", b"first", b"second"):
        safe.keep("events/one.json", text)
    told = s3.head_object(Bucket=bucket, Key="daypass/events/one.json")
    assert told["ObjectLockMode"] == "COMPLIANCE"
    assert told["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=3640)
    [version] = s3.list_object_versions(Bucket=bucket)["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="daypass/events/one.json", VersionId=version["VersionId"])


def test_what_was_written_first_is_found_whatever_was_done_to_its_name_since(s3: Any, bucket: str) -> None:
    kept = Bucket(s3, bucket, "daypass")
    for name in ("events/a", "events/b", "events/c", "digests/a"):
        kept.put(name, f"first {name}".encode())
    s3.put_object(Bucket=bucket, Key="daypass/events/b", Body=b"forged")
    s3.put_object(Bucket=bucket, Key="daypass/events/b", Body=b"forged again")
    s3.delete_object(Bucket=bucket, Key="daypass/events/c")
    s3.put_object(Bucket=bucket, Key="elsewhere/events/d", Body=b"not of this copy")
    found = list(kept.stored("events/"))
    assert [(each.name, each.changes) for each in found] == [("events/a", 0), ("events/b", 2), ("events/c", 1)]
    assert [kept.get(each.name, each.version) for each in found] == [
        b"first events/a", b"first events/b", b"first events/c",
    ]  # fmt: skip


class Pages:
    """An S3 that lists in these pages."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = pages

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "list_object_versions"
        return self

    def paginate(self, **_: str) -> Any:
        return iter(self.pages)


def test_a_name_whose_versions_are_on_two_pages_is_one_name() -> None:
    s3: Any = Pages(
        {"Versions": [_version("events/a", "a1"), _version("events/b", "b3")]},
        {"DeleteMarkers": [_version("events/b", "b2"), _version("events/c", "c1")]},
        {"Versions": [_version("events/b", "b1"), _version("events/d", "d1")]},
    )
    s3.pages = (s3.pages[0], {**s3.pages[1], "DeleteMarkers": s3.pages[1]["DeleteMarkers"][:1]}, s3.pages[2])
    assert list(Bucket(s3, "bucket").stored("events/")) == [
        Stored("events/a", "a1", 0), Stored("events/b", "b1", 2), Stored("events/d", "d1", 0),
    ]  # fmt: skip


def test_a_name_that_only_a_delete_marker_bears_holds_nothing() -> None:
    s3: Any = Pages({"DeleteMarkers": [_version("events/a", "a1")]})
    assert list(Bucket(s3, "bucket").stored("")) == []


def _version(key: str, version: str) -> dict[str, str]:
    return {"Key": key, "VersionId": version}


def test_without_prefix_names_begin_at_the_bucket(s3: Any, bucket: str) -> None:
    Bucket(s3, bucket).put("events/a", b"a")
    assert s3.get_object(Bucket=bucket, Key="events/a")["Body"].read() == b"a"
    assert [each.name for each in Bucket(s3, bucket).stored("")] == ["events/a"]


def test_given_no_such_bucket_then_it_waits_for_one(session: Session) -> None:
    with pytest.raises(Unavailable, match="S3 refused: NoSuchBucket"):
        S3Safe(session, REGION, "nowhere-at-all").keep("events/a", b"a")
