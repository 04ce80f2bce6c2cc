"""CloudTrail's log files, in a folder or in S3, one of them in memory at a time: its records, or why there are none.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-find-log-files.html (names and layout).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

LARGEST: Final = 64 * 2**20
"""Bytes of a log file once it is decompressed. As objects they take about five times as much."""

LATE: Final = timedelta(minutes=30)
"""So long after an event its file has come, but for accidents: CloudTrail says five minutes and promises nothing."""

_MINUTE = re.compile(r"_([0-9]{8}T[0-9]{4}Z)_[^/]*\Z", re.ASCII)
_ACCOUNT = re.compile(r"(.*/)?[0-9]{12}/", re.ASCII)
_ORGANIZATION = re.compile(r"(.*/)?o-[a-z0-9]{10,32}/", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there to be read. name: its key, or its path below the folder. opened may raise OSError."""

    name: str
    opened: Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class LogFile:
    """digest: of what is in it, whatever it is called. records: as JSON gives them, whatever they are."""

    name: str
    digest: bytes
    records: list[object]


class SetAside(Exception):
    """A file that is no log, or cannot be read. The text says why and holds nothing of its content."""


def delivery(name: str) -> tuple[str, str, str]:
    """Sorts names in the order of delivery: by the minute in them, then by name. Those without one come first."""
    minute = _MINUTE.search(name)
    return minute[1] if minute else "", name.rpartition("/")[2], name


def may_tell_of(name: str, first: date, last: date) -> bool:
    """Whether a file may hold events of these days: one that was delivered on them or up to LATE after, by its name.

    One whose name does not tell may.
    """
    minute, *_ = delivery(name)
    end = datetime.combine(last, time.min) + timedelta(days=1) + LATE
    return not minute or f"{first:%Y%m%d}T0000Z" <= minute <= f"{end:%Y%m%dT%H%M}Z"


def in_folder(folder: Path) -> list[Found]:
    """Every file below a folder, in the order of delivery. Raises OSError where a folder cannot be listed."""

    def fail(error: OSError) -> None:
        raise error

    paths = [Path(parent, name) for parent, _, names in os.walk(folder, onerror=fail) for name in names]
    found = [Found(path.relative_to(folder).as_posix(), partial(_opened, path)) for path in paths]
    return sorted(found, key=lambda each: delivery(each.name))


def _opened(path: Path) -> IO[bytes]:
    if not path.is_file():  # a pipe would wait for ever
        raise OSError(0, "no regular file")
    return path.open("rb")


class TrailBucket:
    """The bucket of a trail, of one account or of an organization. prefix: the trail's own, before `AWSLogs/`."""

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._root = f"{prefix.strip('/')}/AWSLogs/".lstrip("/")

    def found(self, first: date, last: date) -> Iterator[Found]:
        """The log files that may tell of these days, both included, day by day in the order of delivery.

        The names of one day are in memory at a time. Raises ClientError where S3 refuses to list.
        """
        regions = [region for account in self._accounts() for region in self._folders(f"{account}CloudTrail/")]
        for number in range((last - first).days + 2):
            day = first + timedelta(days=number)
            keys = (key for region in regions for key in self._keys(f"{region}{day:%Y/%m/%d}/"))
            for key in sorted(keys, key=delivery):
                if may_tell_of(key, first, last):
                    yield Found(key, partial(self._opened, key))

    def _accounts(self) -> Iterator[str]:
        for folder in self._folders(self._root):
            if _ORGANIZATION.fullmatch(folder):
                yield from filter(_ACCOUNT.fullmatch, self._folders(folder))
            elif _ACCOUNT.fullmatch(folder):
                yield folder

    def _folders(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/"):
            yield from (each["Prefix"] for each in page.get("CommonPrefixes", []))

    def _keys(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
            yield from (each["Key"] for each in page.get("Contents", []))

    def _opened(self, key: str) -> IO[bytes]:
        try:
            return cast("IO[bytes]", self._client.get_object(Bucket=self._bucket, Key=key)["Body"])
        except ClientError as error:
            raise OSError(0, f"S3 says {error.response.get('Error', {}).get('Code', 'no')}") from None


def read(found: Found) -> LogFile:
    """The whole of a log file, or nothing of it. Raises SetAside, and what the network raises in the middle of one."""
    try:
        with closing(found.opened()) as stream:
            text = _decompressed(stream)
    except OSError as error:
        raise SetAside(f"cannot be read: {error.strerror}") from None
    return LogFile(found.name, hashlib.blake2b(text, digest_size=16).digest(), _records(text))


def _decompressed(stream: IO[bytes]) -> bytes:
    try:
        with gzip.GzipFile(fileobj=stream) as file:
            text = file.read(LARGEST + 1)
    except EOFError:
        raise SetAside("truncated: its gzip ends too early") from None
    except (gzip.BadGzipFile, zlib.error):
        raise SetAside("no gzip, or a damaged one") from None
    if len(text) > LARGEST:
        raise SetAside(f"too large: more than {LARGEST // 2**20} MiB when decompressed")
    return text


def _records(text: bytes) -> list[object]:
    try:
        told = json.loads(text)
    except RecursionError:
        raise SetAside("invalid JSON: nested too deep") from None
    except ValueError:  # whose own text would hold the file's
        raise SetAside("invalid JSON") from None
    if isinstance(told, dict) and isinstance(records := told.get("Records"), list):
        return records
    digest = isinstance(told, dict) and "digestS3Object" in told
    raise SetAside("a digest of CloudTrail's, no log" if digest else "no log of CloudTrail's: it has no Records")
