"""A bucket under S3 Object Lock: what is written stays, for as long as the bucket's own default retention says.

Object Lock keeps versions, not names: whoever may write to the bucket can still put a newer version over a name, or a
delete marker. So what counts is the oldest version of a name, and that there is a newer one is worth telling.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from chalicelib.aws.clients import patient_client, unavailable_where_refused
from chalicelib.outbox.ports import Stored

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_s3.client import S3Client


class Bucket:
    """What is kept under a prefix of a bucket. Nothing here raises for what AWS answers but the client's own errors."""

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")

    def put(self, name: str, text: bytes) -> bool:
        """Whether it was written; False where something is there, which stays.

        A bucket with a default retention takes no object without a checksum.
        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (If-None-Match, Content-MD5).
        """
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=text,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
                raise
            return False
        return True

    def get(self, name: str, version: str | None = None) -> bytes:
        """What is there. version: None for the newest."""
        which: Any = {"VersionId": version} if version else {}
        answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, **which)
        return answer["Body"].read()

    def stored(self, folder: str) -> Iterator[Stored]:
        """Every name that begins so, in their order, also those that a delete marker hides."""
        pages = self._client.get_paginator("list_object_versions")
        found = self._versions(pages.paginate(Bucket=self._bucket, Prefix=self._prefix + folder))
        for key, several in groupby(found, key=itemgetter(0)):
            told = [version for _, version in several]
            oldest = next((version for version in reversed(told) if version is not None), None)
            if oldest is not None:
                yield Stored(key.removeprefix(self._prefix), oldest, len(told) - 1)

    def _versions(self, pages: Any) -> Iterator[tuple[str, str | None]]:
        """Keys with the ids of their versions, newest first; None for a delete marker.

        A page tells versions and delete markers each by themselves, both in this order.
        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html.
        """
        for page in pages:
            told = [(each["Key"], cast("str | None", each["VersionId"])) for each in page.get("Versions", [])]
            hidden = [(each["Key"], None) for each in page.get("DeleteMarkers", [])]
            yield from sorted([*hidden, *told], key=itemgetter(0))


class S3Safe:
    """`outbox.ports.Safe` and `Vault` on S3. place: `bucket` or `bucket/prefix`."""

    def __init__(self, session: Session, region: str, place: str) -> None:
        self._session, self._region, self._place = session, region, place

    @cached_property
    def _bucket(self) -> Bucket:
        bucket, _, prefix = self._place.partition("/")
        return Bucket(patient_client(self._session, "s3", self._region), bucket, prefix)

    def keep(self, name: str, text: bytes) -> bool:
        with unavailable_where_refused("S3"):
            return self._bucket.put(name, text) or self._bucket.get(name) == text

    def add(self, name: str, text: bytes) -> bool:
        with unavailable_where_refused("S3"):
            return self._bucket.put(name, text)

    def stored(self, prefix: str) -> list[Stored]:
        with unavailable_where_refused("S3"):
            return list(self._bucket.stored(prefix))

    def first(self, stored: Stored) -> bytes:
        with unavailable_where_refused("S3"):
            return self._bucket.get(stored.name, stored.version)
