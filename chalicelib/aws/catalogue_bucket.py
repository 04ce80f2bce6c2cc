"""The catalogue's versions in S3: each an object with the signature of its bytes among its own metadata.

Needs `s3:GetObject` and `s3:GetObjectVersion` of the one object, and `kms:Decrypt` where the bucket has a key of yours.
A request that botocore signs, and none of its clients: S3's takes as long to make as all else here together
(docs/decisions/0048).
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import HTTPError

from chalicelib.core.believing import LARGEST, LOCATION, SIGNATURE, NotBelieved, Stored
from chalicelib.core.refusals import Unavailable

if TYPE_CHECKING:
    from botocore.session import Session

TIMEOUTS = (0.5, 1.0)
"""Seconds to connect, and to wait for the answer to begin."""

WITHIN = 2.0
"""Seconds for the body as a whole."""

_SUFFIXES: Mapping[str, str] = {
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}
"""By partition; botocore tells them by an interface that it calls its own."""

_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")


class CatalogueBucket:
    """One object of a versioned bucket, in the session's partition. location: as LOCATION."""

    def __init__(
        self, session: Session, region: str, location: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        match = LOCATION.fullmatch(location)
        assert match is not None, "the settings let no other one through"
        self.location = location
        self._session = session
        self._region = region
        self._url = _url(session, region, **match.groupdict())
        # Connect and read apart, which the stubs do not know of.
        self._http = URLLib3Session(timeout=TIMEOUTS)  # type: ignore[arg-type]
        self._clock = clock

    def current(self, *, unless: str | None) -> Stored | None:
        """The current version; None where its ETag still is that one.

        Raises Unavailable where S3 does not give it, NotBelieved where what it gives is no signed catalogue.
        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (If-None-Match).
        """
        return self._get(self._url, {"If-None-Match": unless} if unless else {})

    def version(self, version_id: str) -> Stored:
        """One version, whether it is the current one or not. Raises what `current` raises."""
        found = self._get(f"{self._url}?versionId={quote(version_id, safe='')}", {})
        assert found is not None, "nothing was asked on a condition"
        return found

    def _get(self, url: str, headers: Mapping[str, str]) -> Stored | None:
        request = AWSRequest("GET", url, headers=dict(headers), stream_output=True)
        credentials = self._session.get_credentials()
        if credentials is None:
            raise Unavailable("S3 was not asked: there are no credentials.")
        S3SigV4Auth(credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        try:
            answer = self._http.send(request.prepare())
            try:
                return self._stored(answer)
            finally:
                answer.raw.close()
                self._http.close()  # a connection that slept for a minute, perhaps in a frozen Lambda, is dead
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Unavailable(f"S3 did not answer ({type(error).__name__}).") from None

    def _stored(self, answer: Any) -> Stored | None:
        if answer.status_code == HTTPStatus.NOT_MODIFIED:
            return None
        if answer.status_code != HTTPStatus.OK:
            code = _CODE.search(answer.raw.read(4096))
            raise Unavailable(f"S3 refused: {code[1].decode() if code else answer.status_code}.")
        told = answer.headers
        version_id = told.get("x-amz-version-id", "null")
        if version_id == "null":
            raise NotBelieved("its bucket keeps no versions: switch versioning on, and upload it again")
        try:
            signature = base64.b64decode(told.get(f"x-amz-meta-{SIGNATURE}", ""), validate=True)
        except ValueError:
            signature = b""
        if not signature:
            raise NotBelieved("it comes without a signature: upload it with `daypass catalogue sign --to`")
        return Stored(
            body=self._body(answer.raw), signature=signature, etag=told.get("ETag", ""), version_id=version_id
        )

    def _body(self, raw: Any) -> bytes:
        deadline = self._clock() + WITHIN
        body = bytearray()
        # read1 returns what has come: a server that sends a byte now and then cannot keep us past the deadline.
        while piece := raw.read1(LARGEST, decode_content=False):
            body += piece
            if len(body) > LARGEST:
                raise NotBelieved(f"it is larger than {LARGEST // 1024**2} MiB")
            if self._clock() > deadline:
                raise Unavailable("S3 takes too long.")
        return bytes(body)


def _url(session: Session, region: str, *, bucket: str, key: str) -> str:
    """S3's own address in the region; or where `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` leads."""
    configured = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
    ).provide()
    if configured:
        return f"{configured.rstrip('/')}/{bucket}/{key}"
    suffix = _SUFFIXES.get(session.get_partition_for_region(region), "amazonaws.com")
    return f"https://{bucket}.s3.{region}.{suffix}/{key}"
