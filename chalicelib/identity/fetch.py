"""Documents from the issuers' web servers, within bounds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalicelib.identity.keys import NotFetched

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_SECONDS = 2.0
READ_SECONDS = 3.0
LARGEST = 512 * 1024


def fetch(url: str, *, connect_seconds: float = CONNECT_SECONDS, read_seconds: float = READ_SECONDS) -> bytes:
    """The body of a 200 answer: at most 512 KiB, no redirect followed, TLS verified against the system's authorities.

    read_seconds bounds the wait for an answer to begin, and once more its body as a whole.
    Raises NotFetched for everything else.
    """
    import urllib3

    timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        # A pool of its own: a connection that slept in a frozen Lambda is dead more often than not.
        with urllib3.PoolManager(cert_reqs="CERT_REQUIRED", timeout=timeout, retries=False) as pool:
            answer = pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
            try:
                if answer.status != 200:
                    raise NotFetched(f"{url} answered {answer.status}")
                return _body(answer, url, within=read_seconds)
            finally:
                answer.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NotFetched(f"{url} did not answer") from error


def _body(answer: BaseHTTPResponse, url: str, *, within: float) -> bytes:
    deadline = time.monotonic() + within
    body = bytearray()
    # read1 returns what has come: a server that sends a byte now and then cannot keep us past the deadline.
    while piece := answer.read1(LARGEST, decode_content=False):
        body += piece
        if len(body) > LARGEST:
            raise NotFetched(f"{url} is larger than {LARGEST} bytes")
        if time.monotonic() > deadline:
            raise NotFetched(f"{url} takes too long")
    return bytes(body)
