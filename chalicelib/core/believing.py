"""Which of two versions of the catalogue is believed: serials only go up, and each is one catalogue's for good."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LOCATION = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])/(?P<key>[A-Za-z0-9._/-]{1,1024})")
"""S3's certificate covers no bucket with a dot in its name, and these characters of a key need no quoting."""


SIGNATURE = "daypass-signature"
"""Where the signature is: in the object's own metadata, which S3 keeps as `x-amz-meta-daypass-signature`."""

LARGEST = 4 * 1024 * 1024
"""Bytes. A catalogue of 5,000 rules has less than half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A version as it is stored: by whom it is signed, nobody has looked yet. etag: S3's own, of the bytes."""

    body: bytes
    signature: bytes
    etag: str
    version_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version that was signed, read and found without a mistake. version_id: S3's, at location."""

    serial: int
    digest: str
    location: str
    version_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """The version with the highest serial that any instance has seen.

    seen_at: when one of them last saw that it is what the bucket holds.
    """

    version: Version
    seen_at: datetime


class Standing(StrEnum):
    """What a version is beside the last good one."""

    NEWER = "newer"
    SAME = "same"
    OLDER = "older"
    CLASHES = "clashes"


def standing(version: Version, last: LastGood | None) -> Standing:
    if last is None or version.serial > last.version.serial:
        return Standing.NEWER
    if version.serial < last.version.serial:
        return Standing.OLDER
    return Standing.SAME if version.digest == last.version.digest else Standing.CLASHES


class NotBelieved(Exception):
    """What the bucket holds is no catalogue that may be believed. whys: for the log, a sentence each."""

    def __init__(self, *whys: str) -> None:
        super().__init__("; ".join(whys))
        self.whys = whys
