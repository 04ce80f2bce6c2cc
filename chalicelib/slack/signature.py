"""Slack's signature: a request is from Slack, of the last five minutes, and was signed with exactly this body.

Not slack_sdk's verifier: that one breaks on a timestamp that is no number, and would have to be imported first.
Source: https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from chalicelib.broker.ports import Secret
from chalicelib.core.refusals import Unauthenticated

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
WINDOW_SECONDS = 300

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


def content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def check_headers(headers: Mapping[str, str], now: float) -> None:
    """What can be told without the secret. now: seconds since 1970. Raises Unauthenticated."""
    if content_type(headers) not in (FORM, JSON):
        raise Unauthenticated("Slack sends forms and JSON, and this is neither.")
    timestamp = headers.get("x-slack-request-timestamp", "")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Unauthenticated("There is no proper X-Slack-Request-Timestamp: only Slack may call this address.")
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        raise Unauthenticated("The request is older, or newer, than five minutes.")
    if "x-slack-signature" not in headers:
        raise Unauthenticated("There is no X-Slack-Signature: only Slack may call this address.")


def signed(headers: Mapping[str, str], raw: bytes, secret: Secret) -> bool:
    """Whether the signature is the secret's, of this timestamp and this body. The headers were checked before."""
    given = headers["x-slack-signature"].encode(errors="replace")
    signed_text = b":".join((b"v0", headers["x-slack-request-timestamp"].encode(), raw))
    right = hmac.new(secret.value.encode(), signed_text, hashlib.sha256).hexdigest()
    return hmac.compare_digest(given, f"v0={right}".encode())
