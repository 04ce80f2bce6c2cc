"""Where documents are published: a folder, or a bucket that a web server's name stands for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?")
_CACHE = "public, max-age=300"
"""Far below the 24 h that a key is published ahead."""


class Place(Protocol):
    def shown(self, path: str) -> str:
        """What people call the document at `path`."""

    def read(self, path: str) -> bytes | None:
        """The document; None where there is none, and only then."""

    def write(self, path: str, document: bytes) -> None: ...


class Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shown(self, path: str) -> str:
        return str(self._folder / path)

    def read(self, path: str) -> bytes | None:
        file = self._folder / path
        return file.read_bytes() if file.exists() else None

    def write(self, path: str, document: bytes) -> None:
        """Whole or not at all: a web server may be reading."""
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_name(f"{file.name}.new")
        half.write_bytes(document)
        os.replace(half, file)


class Bucket:
    """Objects with the headers that a web server in front of them passes on. s3: a client of S3."""

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix.strip("/")

    def shown(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._key(path)}"

    def read(self, path: str) -> bytes | None:
        """Without s3:ListBucket S3 answers AccessDenied where nothing is, which is not believed to be nothing."""
        try:
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._key(path))["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return body

    def write(self, path: str, document: bytes) -> None:
        self._s3.put_object(
            Bucket=self._bucket,
            Key=self._key(path),
            Body=document,
            ContentType="application/json",
            CacheControl=_CACHE,
        )

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path


def place(text: str) -> Place:
    """The place that a command line names: `s3://bucket/prefix`, or a folder."""
    match = _S3.fullmatch(text)
    if match is None:
        return Folder(Path(text))
    import boto3

    return Bucket(boto3.client("s3"), match["bucket"], match["prefix"] or "")
