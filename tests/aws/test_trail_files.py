"""Log files as they are found: read whole, or set aside with a reason, never half."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import zlib
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import trail_files
from chalicelib.aws.trail_files import LATE, Found, SetAside, TrailBucket, delivery, in_folder, may_tell_of, read
from daypass.local.embedded_aws import EmbeddedAws
from daypass.local.example import REGION, root
from tests.trails import HUB, MINUTE, NOON, TARGET, TOKEN, a_folder, a_pair, a_record, an_issuance, file_name, zipped

RECORDS = [a_record(), *a_pair("ASIA1")]
_buckets = itertools.count(1)
DEEP = "[" * 100_000 + "]" * 100_000


def of(content: bytes) -> Found:
    return Found("some/log.json.gz", lambda: io.BytesIO(content))


def zipped_text(text: str | bytes) -> bytes:
    return gzip.compress(text if isinstance(text, bytes) else text.encode(), mtime=0)


def test_a_log_is_its_records_and_the_digest_of_what_is_in_it() -> None:
    log = read(of(zipped(RECORDS)))
    assert (log.name, log.records) == ("some/log.json.gz", RECORDS)
    packed_otherwise = zlib.compress(json.dumps({"Records": RECORDS}).encode(), level=0, wbits=31)
    assert read(of(packed_otherwise)).digest == log.digest != read(of(zipped(RECORDS[1:]))).digest


def test_a_log_in_several_gzip_members_is_one_log() -> None:
    text = json.dumps({"Records": RECORDS}).encode()
    assert read(of(gzip.compress(text[:100], mtime=0) + gzip.compress(text[100:], mtime=0))).records == RECORDS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "invalid JSON"),
        (b"no gzip", "no gzip, or a damaged one"),
        (b"\x1f\x8b and then nothing of the kind", "no gzip, or a damaged one"),
        (zipped(RECORDS)[:-1], "truncated: its gzip ends too early"),
        (zipped(RECORDS)[:-9], "truncated: its gzip ends too early"),
        (zipped(RECORDS)[:5], "truncated: its gzip ends too early"),
        (zipped(RECORDS) + b"garbage", "no gzip, or a damaged one"),
        (zipped(RECORDS)[:-8] + bytes(8), "no gzip, or a damaged one"),
        (zipped(RECORDS)[:200] + bytes(50) + zipped(RECORDS)[250:], "no gzip, or a damaged one"),
        (zipped_text('{"Records": ['), "invalid JSON"),
        (zipped_text(b'{"Records": ["\xff"]}'), "invalid JSON"),
        (zipped_text('{"Records": [' + "9" * 5000 + "]}"), "invalid JSON"),
        (zipped_text('{"Records": [' + DEEP + "]}"), "invalid JSON: nested too deep"),
        (zipped_text("[]"), "no log of CloudTrail's: it has no Records"),
        (zipped_text("{}"), "no log of CloudTrail's: it has no Records"),
        (zipped_text('"Records"'), "no log of CloudTrail's: it has no Records"),
        (zipped_text('{"Records": {}}'), "no log of CloudTrail's: it has no Records"),
        (zipped_text('{"digestS3Object": "x"}'), "a digest of CloudTrail's, no log"),
    ],
)
def test_what_is_no_whole_log_is_set_aside_with_the_reason(content, why) -> None:
    with pytest.raises(SetAside) as told:
        read(of(content))
    assert str(told.value) == why


@given(st.binary(max_size=200), st.integers(0, 400))
def test_whatever_a_file_holds_it_is_read_or_set_aside(junk, at) -> None:
    whole = zipped(RECORDS)
    for content in (junk, whole[:at] + junk, whole[:at] + junk + whole[at + len(junk) :]):
        with suppress(SetAside):
            assert read(of(content)).records == RECORDS


def test_a_bomb_is_set_aside_before_it_is_in_memory(monkeypatch) -> None:
    monkeypatch.setattr(trail_files, "LARGEST", 2**20)
    with pytest.raises(SetAside, match="too large: more than 1 MiB when decompressed"):
        read(of(gzip.compress(bytes(50 * 2**20), mtime=0)))
    text = json.dumps({"Records": []}).ljust(2**20)
    assert read(of(zipped_text(text))).records == []
    with pytest.raises(SetAside, match="too large"):
        read(of(zipped_text(text + " ")))


def test_no_reason_holds_what_the_file_held() -> None:
    text = json.dumps({"Records": [an_issuance("ASIA1")]})
    for content in (zipped_text(text[:-1]), zipped_text(text)[:-3], text.encode()):
        with pytest.raises(SetAside) as told:
            read(of(content))
        assert TOKEN not in repr(told.value)
        assert told.value.__cause__ is None
        assert told.value.__suppress_context__


@pytest.mark.parametrize(
    "names",
    [
        ["README.md", "a_20260101T0000Z_x.json.gz", "b/a_20260101T0005Z_a.json.gz", "a/a_20260101T0005Z_b.json.gz"],
        ["o/1_CloudTrail_us-east-1_20251231T2359Z_zz.json.gz", "a/2_CloudTrail_us-east-1_20260101T0000Z_aa.json.gz"],
    ],
)
def test_files_are_in_the_order_of_the_minute_in_their_names_then_of_their_names(names) -> None:
    found = names[::-1]
    found.sort(key=delivery)
    assert found == names


class TestAFolder:
    @pytest.mark.parametrize(
        ("minute", "may"),
        [
            ("20261122T2359Z", False),
            ("20261123T0000Z", True),
            ("20261124T2359Z", True),
            ("20261125T0030Z", True),
            ("20261125T0031Z", False),
        ],
    )
    def test_days_are_those_of_delivery_and_a_while_after(self, minute, may):
        name = f"{TARGET}_CloudTrail_us-east-1_{minute}_0000000000000000.json.gz"
        assert may_tell_of(name, date(2026, 11, 23), date(2026, 11, 24)) is may
        assert may_tell_of("notes.txt", date(2026, 11, 23), date(2026, 11, 24))

    def test_every_file_below_it_is_found_in_the_order_of_delivery(self, tmp_path: Path):
        a_folder(tmp_path, *[[a_record()] for _ in range(3)])
        (tmp_path / "README.md").write_text("x")
        found = in_folder(tmp_path)
        assert [each.name for each in found] == ["README.md", *(file_name(NOON + n * MINUTE) for n in range(3))]
        assert len(read(found[1]).records) == 1

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path):
        os.mkfifo(tmp_path / "log.json.gz")
        with pytest.raises(SetAside, match="cannot be read: no regular file"):
            read(in_folder(tmp_path)[0])

    def test_a_file_that_is_gone_is_set_aside(self, tmp_path: Path):
        a_folder(tmp_path, RECORDS)
        (found,) = in_folder(tmp_path)
        (tmp_path / found.name).unlink()
        with pytest.raises(SetAside, match="cannot be read"):
            read(found)

    def test_a_folder_that_is_none_is_an_error(self, tmp_path: Path):
        with pytest.raises(OSError, match="nowhere"):
            in_folder(tmp_path / "nowhere")


class TestABucket:
    @pytest.fixture
    def s3(self, embedded_aws: EmbeddedAws) -> Any:
        return botocore.session.Session().create_client("s3", region_name=REGION, **root(HUB, embedded_aws.url))

    @pytest.fixture
    def bucket(self, s3: Any) -> str:
        name = f"trail-{next(_buckets)}"
        s3.create_bucket(Bucket=name)
        return name

    @pytest.mark.parametrize("prefix", ["", "logs", "/logs/of/ours/"])
    @pytest.mark.parametrize("organization", ["", "o-abcdefghij/"])
    def test_the_logs_of_the_days_are_found_in_the_order_of_delivery(self, s3, bucket, prefix, organization):
        def key(minute, account=TARGET):
            below = file_name(minute, account=account).removeprefix("AWSLogs/")
            return f"{prefix.strip('/')}/AWSLogs/{organization}{below}".lstrip("/")

        a_day = 24 * 60 * MINUTE
        late = NOON + a_day + 12 * 60 * MINUTE + LATE  # after midnight
        wanted = [key(NOON), key(NOON + MINUTE, HUB), key(NOON + 2 * MINUTE), key(NOON + a_day), key(late)]
        other = [
            key(NOON - a_day),
            key(NOON + 2 * a_day),
            key(late + MINUTE),
            key(NOON).replace("/CloudTrail/", "/CloudTrail-Digest/"),
            key(NOON).replace("AWSLogs/", "AWSLogs/somebody-elses/", 1),
            f"{prefix.strip('/')}/x.txt".lstrip("/"),
        ]
        for each in (*reversed(wanted), *other):
            s3.put_object(Bucket=bucket, Key=each, Body=zipped(RECORDS))
        found = list(TrailBucket(s3, bucket, prefix).found(date(2026, 11, 23), date(2026, 11, 24)))
        assert [each.name for each in found] == wanted
        assert read(found[0]).records == RECORDS

    def test_a_log_that_s3_does_not_give_is_set_aside(self, s3, bucket):
        key = file_name(NOON)
        s3.put_object(Bucket=bucket, Key=key, Body=zipped(RECORDS))
        (found,) = TrailBucket(s3, bucket).found(date(2026, 11, 23), date(2026, 11, 23))
        s3.delete_object(Bucket=bucket, Key=key)
        with pytest.raises(SetAside, match="cannot be read: S3 says NoSuchKey"):
            read(found)

    def test_a_bucket_that_may_not_be_listed_is_an_error(self):
        session = botocore.session.Session()
        client: Any = session.create_client(
            "s3",
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            endpoint_url="http://127.0.0.1:1",
        )
        with Stubber(client) as stub:
            stub.add_client_error("list_objects_v2", "AccessDenied")
            with pytest.raises(ClientError, match="AccessDenied"):
                list(TrailBucket(client, "b").found(date(2026, 11, 23), date(2026, 11, 23)))

    def test_nothing_is_fetched_before_it_is_read(self):
        session = botocore.session.Session()
        client: Any = session.create_client("s3", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
        folders = [("AWSLogs/", f"AWSLogs/{TARGET}/"), (f"AWSLogs/{TARGET}/CloudTrail/", "")]
        with Stubber(client) as stub:
            for asked, told in folders:
                answer = {"CommonPrefixes": [{"Prefix": told}]} if told else {}
                stub.add_response("list_objects_v2", answer, {"Bucket": "b", "Prefix": asked, "Delimiter": "/"})
            assert list(TrailBucket(client, "b").found(date(2026, 11, 23), date(2026, 11, 23))) == []
            stub.assert_no_pending_responses()
