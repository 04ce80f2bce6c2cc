"""The catalogue's object in the embedded S3, and at servers that answer as S3 should not."""

from __future__ import annotations

import base64
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest

from chalicelib.aws.catalogue_bucket import CatalogueBucket
from chalicelib.core.believing import LARGEST, SIGNATURE, NotBelieved, Stored
from chalicelib.core.refusals import Unavailable
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION
from tests.local.accounts import as_root

_names = itertools.count(1)


def a_session(*, signed_in: bool = True) -> botocore.session.Session:
    session = botocore.session.Session()
    if signed_in:
        session.set_credentials(HUB_ACCOUNT, "test")
    return session


@dataclass
class Place:
    """A versioned bucket, as CI fills it and the broker reads it."""

    s3: Any
    name: str
    bucket: CatalogueBucket

    def put(self, body: bytes, signature: bytes | None = b"signed") -> str:
        metadata = {} if signature is None else {SIGNATURE: base64.b64encode(signature).decode()}
        answer = self.s3.put_object(Bucket=self.name, Key="prod/c.toml", Body=body, Metadata=metadata)
        return str(answer.get("VersionId"))


@pytest.fixture
def place(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", embedded_aws.url)
    name = f"catalogue-{next(_names)}"
    s3 = as_root("s3", embedded_aws.url, HUB_ACCOUNT)
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return Place(s3, name, CatalogueBucket(a_session(), REGION, f"s3://{name}/prod/c.toml"))


def test_a_version_comes_with_its_signature_and_its_id(place: Place) -> None:
    version_id = place.put(b"one")
    found = place.bucket.current(unless=None)
    assert found == Stored(body=b"one", signature=b"signed", etag=found.etag if found else "", version_id=version_id)


def test_what_is_known_already_is_not_sent_again_and_what_is_newer_is(place: Place) -> None:
    place.put(b"one")
    first = place.bucket.current(unless=None)
    assert first is not None
    assert place.bucket.current(unless=first.etag) is None
    version_id = place.put(b"two")
    second = place.bucket.current(unless=first.etag)
    assert second is not None
    assert (second.body, second.version_id) == (b"two", version_id)
    assert place.bucket.version(first.version_id) == first


def test_a_catalogue_of_many_pieces_comes_whole(place: Place) -> None:
    body = b"x" * LARGEST
    place.put(body)
    found = place.bucket.current(unless=None)
    assert found is not None
    assert found.body == body


def test_what_is_too_large_is_not_read_to_its_end(place: Place) -> None:
    place.put(b"x" * (LARGEST + 1))
    with pytest.raises(NotBelieved, match="larger than 4 MiB"):
        place.bucket.current(unless=None)


@pytest.mark.parametrize("metadata", [{}, {SIGNATURE: ""}, {SIGNATURE: "no base64!"}, {"signature": "c2lnbmVk"}])
def test_what_has_no_signature_of_its_own_is_told_so(place: Place, metadata: dict[str, str]) -> None:
    place.s3.put_object(Bucket=place.name, Key="prod/c.toml", Body=b"one", Metadata=metadata)
    with pytest.raises(NotBelieved, match="without a signature"):
        place.bucket.current(unless=None)


def test_a_bucket_without_versions_is_none_for_a_catalogue(place: Place) -> None:
    place.s3.create_bucket(Bucket=f"{place.name}-flat")
    place.s3.put_object(Bucket=f"{place.name}-flat", Key="c.toml", Body=b"one", Metadata={SIGNATURE: "c2lnbmVk"})
    with pytest.raises(NotBelieved, match="keeps no versions"):
        CatalogueBucket(a_session(), REGION, f"s3://{place.name}-flat/c.toml").current(unless=None)


def test_what_is_not_there_or_deleted_is_told_by_s3s_own_word(place: Place) -> None:
    with pytest.raises(Unavailable, match=r"S3 refused: NoSuchKey\."):
        place.bucket.current(unless=None)
    version_id = place.put(b"one")
    place.s3.delete_object(Bucket=place.name, Key="prod/c.toml")
    with pytest.raises(Unavailable, match=r"S3 refused: NoSuchKey\."):
        place.bucket.current(unless='"one"')
    assert place.bucket.version(version_id).body == b"one", "the version before is still there"
    with pytest.raises(Unavailable, match="S3 refused: "):
        place.bucket.version("00000000-0000-4000-8000-000000000000")


def test_without_credentials_nothing_is_asked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    session = a_session(signed_in=False)
    session.get_credentials = lambda: None  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="there are no credentials"):
        CatalogueBucket(session, REGION, f"s3://{place.name}/prod/c.toml").current(unless=None)


@pytest.mark.parametrize("partition", botocore.session.Session().get_available_partitions())
def test_s3s_own_address_in_the_region_is_asked_in_every_partition(partition: str) -> None:
    session = a_session()
    region = session.get_available_regions("s3", partition)[0]
    theirs = session.create_client("s3", region_name=region).meta.endpoint_url.removeprefix("https://")
    assert CatalogueBucket(session, region, "s3://cat/a/c.toml")._url == f"https://cat.{theirs}/a/c.toml"


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers as it is told; and the requests that it saw."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append((self.path, dict(self.headers)))
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, which keeps every read waiting for less than its time-out."""
    headers: Any = {"x-amz-version-id": "v1", "x-amz-meta-daypass-signature": "c2lnbmVk", "Content-Length": "1000"}
    says(200, **headers)(handler)
    for _ in range(1000):
        try:
            handler.wfile.write(b"x")
        except OSError:
            return
        time.sleep(0.002)


def told(answer: Answer, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> tuple[Stored | None, list[Any]]:
    with answering(answer) as (url, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        bucket = CatalogueBucket(a_session(), REGION, "s3://cat/c.toml", **changed)
        return bucket.current(unless='"e"'), seen


def test_the_call_is_signed_and_the_condition_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found, [(path, headers)] = told(says(304), monkeypatch)
    assert (found, path, headers["If-None-Match"]) == (None, "/cat/c.toml", '"e"')
    assert headers["Authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={HUB_ACCOUNT}/")
    assert "if-none-match;" in headers["Authorization"]


LEAKING = b"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>x-amz-security-token:CANARY</StringToSign></Error>"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(403, b"<Error><Code>AccessDenied</Code></Error>"), "S3 refused: AccessDenied."),
        (says(403, LEAKING), "S3 refused: SignatureDoesNotMatch."),
        (says(503, b"<Error><Code>SlowDown</Code></Error>"), "S3 refused: SlowDown."),
        (says(500, b"<html>"), "S3 refused: 500."),
        (says(301, b"", Location="http://127.0.0.1:9/"), "S3 refused: 301."),
        (says(206, b"x"), "S3 refused: 206."),
    ],
)
def test_whatever_else_is_answered_is_no_catalogue(answer: Answer, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((Unavailable, NotBelieved)) as refusal:
        told(answer, monkeypatch)
    assert why in str(refusal.value)
    assert "CANARY" not in str(refusal.value)


def test_a_body_that_breaks_off_is_no_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    headers: Any = {"x-amz-version-id": "v1", "x-amz-meta-daypass-signature": "c2lnbmVk", "Content-Length": "100"}

    def breaking_off(handler: BaseHTTPRequestHandler) -> None:
        says(200, b"short", **headers)(handler)
        handler.close_connection = True

    with pytest.raises(Unavailable, match="S3 did not answer"):
        told(breaking_off, monkeypatch)


def test_a_server_that_sends_a_byte_now_and_then_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(step=0.5)
    with pytest.raises(Unavailable, match="takes too long"):
        told(dripping, monkeypatch, clock=lambda: next(ticks))


def test_nobody_at_the_address_is_unavailable(closed_port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", closed_port)
    with pytest.raises(Unavailable, match="S3 did not answer"):
        CatalogueBucket(a_session(), REGION, "s3://cat/c.toml").current(unless=None)
