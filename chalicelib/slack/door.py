"""The Slack door: what is signed by Slack gets in, and is handed to Bolt; nothing else costs more than a hash."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from chalice.app import Request as HttpRequest
from chalice.app import Response

from chalicelib.broker.ports import Secret
from chalicelib.core.refusals import Invalid, Unauthenticated
from chalicelib.slack.signature import JSON, check_headers, content_type, signed

Handle = Callable[[HttpRequest], Response]

TOLD: ContextVar[dict[str, Any]] = ContextVar("what the log line of this request will tell")
"""Bolt stands between the door and who answers, and hands nothing on but what Slack sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """secret: as known; changed_secret: as AWS has it now, if that is another one. clock: seconds since 1970.

    listening: makes Bolt, at the first request that is signed.
    """

    secret: Callable[[], Secret]
    changed_secret: Callable[[], Secret | None]
    clock: Callable[[], float]
    listening: Callable[[], Handle]

    def answer(self, request: HttpRequest, fields: dict[str, Any]) -> Response:
        """Slack's answer. Raises Unauthenticated for what Slack did not sign, Invalid for what it cannot have meant."""
        raw = request.raw_body
        body = raw if isinstance(raw, bytes) else raw.encode()
        self._check(request.headers, body)
        _check_shape(request.headers, body)
        token = TOLD.set(fields)
        try:
            return self.listening()(request)
        finally:
            TOLD.reset(token)

    def _check(self, headers: Mapping[str, str], body: bytes) -> None:
        check_headers(headers, self.clock())
        if signed(headers, body, self.secret()):
            return
        changed = self.changed_secret()
        if changed is None or not signed(headers, body, changed):
            raise Unauthenticated("The signature is not Slack's.")


def _check_shape(headers: Mapping[str, str], body: bytes) -> None:
    """Raises Invalid where Bolt would break: neither an object nor a form with one."""
    try:
        text = body.decode()
        form = {} if content_type(headers) == JSON else dict(parse_qsl(text, keep_blank_values=True))
        payload = json.loads(form.get("payload", "{}") if form else text or "{}")
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise Invalid("The body is neither a form nor a JSON object as Slack sends them.")
