"""What a trail's bucket tells of new files, out of the queue that it tells: which objects, and which are log files.

Two shapes are read: S3's own notification, and the same inside SNS's envelope, where a topic stands between bucket and
queue. Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and
https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, cast
from urllib.parse import unquote_plus

from botocore.session import Session

from chalicelib.aws.clients import patient_client, unavailable_where_refused
from chalicelib.aws.trail_files import Found

# Not those of digests (`CloudTrail-Digest`) and insights, which lie beside them.
_LOG = re.compile(r"(?:.*/)?[0-9]{12}_CloudTrail_[a-z0-9-]+_[0-9]{8}T[0-9]{4}Z_[A-Za-z0-9]+\.json\.gz", re.ASCII)


class NoNotification(Exception):
    """A message that tells of nothing that is known; `str` of it holds nothing of its content."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A log file that is there."""

    bucket: str
    key: str


def delivered(body: str) -> Iterator[Delivered]:
    """The log files that a message of the queue tells of; none where it tells of other files, or is S3's test.

    Raises NoNotification.
    """
    try:
        told = json.loads(body)
        if isinstance(told, dict) and told.get("Type") == "Notification":
            told = json.loads(told["Message"])
        if isinstance(told, dict) and told.get("Event") == "s3:TestEvent":
            return
        found = [_delivered(record["s3"]) for record in told["Records"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise NoNotification("neither S3's notification nor SNS's envelope of one") from None
    yield from (each for each in found if _LOG.fullmatch(each.key))


def _delivered(s3: Mapping[str, Any]) -> Delivered:
    bucket, key = s3["bucket"]["name"], s3["object"]["key"]
    if not (isinstance(bucket, str) and isinstance(key, str)):
        raise TypeError("no text")
    return Delivered(bucket, unquote_plus(key))


class Buckets:
    """S3, whose client is made when the first file is opened."""

    def __init__(self, session: Session, region: str) -> None:
        self._session, self._region = session, region

    @cached_property
    def _client(self) -> Any:
        return patient_client(self._session, "s3", self._region)

    def found(self, file: Delivered) -> Found:
        """The file to be read. Opening raises Unavailable where S3 does not give it: not for now, at least."""
        return Found(file.key, lambda: self._opened(file))

    def _opened(self, file: Delivered) -> IO[bytes]:
        with unavailable_where_refused("S3"):
            answer = self._client.get_object(Bucket=file.bucket, Key=file.key)
        return cast("IO[bytes]", answer["Body"])
