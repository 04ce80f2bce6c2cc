"""The catalogue's object in S3, as those see it who put it there."""

from __future__ import annotations

import base64
import tomllib
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.core.believing import LOCATION, SIGNATURE


class NotPut(Exception):
    """Nothing was uploaded, or what was cannot be believed; `str` of it is for people."""


@dataclass(frozen=True, slots=True)
class Object:
    """signature: empty where there is none."""

    body: bytes
    signature: bytes
    etag: str

    @property
    def serial(self) -> int:
        """0 where it has none, or is no catalogue."""
        try:
            serial = tomllib.loads(self.body.decode()).get("serial")
        except ValueError:
            return 0
        return serial if isinstance(serial, int) else 0


class CatalogueObject:
    """s3: a client of S3. location: `s3://bucket/key`, and maybe `?versionId=…` behind it. Raises ValueError."""

    def __init__(self, s3: Any, location: str) -> None:
        place, _, version_id = location.partition("?versionId=")
        match = LOCATION.fullmatch(place)
        if match is None:
            raise ValueError(f"{location} is not s3://bucket/key, with no dot in the bucket's name.")
        self._s3 = s3
        self._object = {"Bucket": match["bucket"], "Key": match["key"]}
        self._version = {"VersionId": version_id} if version_id else {}

    def get(self) -> Object | None:
        """None where there is none. Without s3:ListBucket S3 answers AccessDenied then, which is not believed."""
        try:
            answer = self._s3.get_object(**self._object, **self._version)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        signature = base64.b64decode(answer["Metadata"].get(SIGNATURE, ""))
        return Object(answer["Body"].read(), signature, answer["ETag"])

    def put(self, body: bytes, signature: bytes, serial: int) -> str:
        """The id of the new version. Raises NotPut where it would not be believed, or somebody uploads at once."""
        if self._version:
            raise NotPut("Versions are never written over: leave ?versionId= out.")
        there = self.get()
        if there and there.body != body and there.serial >= serial:
            raise NotPut(
                f"Its serial {serial} is not higher than that of the one that is there, {there.serial}: raise it."
            )
        unchanged = {"IfMatch": there.etag} if there else {"IfNoneMatch": "*"}
        try:
            answer = self._s3.put_object(
                **self._object,
                **unchanged,
                Body=body,
                ContentType="application/toml",
                Metadata={SIGNATURE: base64.b64encode(signature).decode()},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise NotPut("Somebody else uploaded one at the same time: look at theirs, and try again.") from None
            raise
        if "VersionId" not in answer:
            raise NotPut(
                "It is uploaded, and will not be believed: switch the bucket's versioning on, and upload again."
            )
        return str(answer["VersionId"])
