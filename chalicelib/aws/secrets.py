"""Secrets of other services, by the ARN under which AWS keeps them: fetched at first use, anew when they change."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from chalicelib.broker.ports import Secret
from chalicelib.core.refusals import Unavailable
from chalicelib.log import log

if TYPE_CHECKING:
    from botocore.session import Session

FRESH_SECONDS = 300.0
ASKED_ANEW_SECONDS = 60.0

# Slack waits for 3 s in all: one try, and the next call comes soon enough.
_HURRIED = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 1})


@dataclass(frozen=True, slots=True)
class _Fetched:
    secret: Secret
    at: float


class Secrets:
    """Secrets of AWS Secrets Manager (plain text, not JSON) and SecureStrings of SSM, on the table's session.

    clock: seconds that only grow. What is not an ARN is the secret itself: only local settings let that through.
    """

    def __init__(self, session: Session, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._known: dict[str, _Fetched] = {}
        self._asked_anew: dict[str, float] = {}

    def get(self, arn: str) -> Secret:
        """The secret, at most five minutes old; older only while AWS does not give it.

        Raises Unavailable where it was never had; why is in the log, by code and ARN.
        """
        known = self._known.get(arn)
        if known and self._clock() - known.at < FRESH_SECONDS:
            return known.secret
        return self._fetched(arn)

    def changed(self, arn: str) -> Secret | None:
        """The secret as AWS has it now, where that is another one: for when the one we had did not fit.

        Asked at most once a minute, however many come with what does not fit. Raises Unavailable as `get` does.
        """
        before, now = self._known.get(arn), self._clock()
        if now - self._asked_anew.get(arn, -ASKED_ANEW_SECONDS) < ASKED_ANEW_SECONDS:
            return None
        self._asked_anew[arn] = now
        fetched = self._fetched(arn)
        return fetched if before is None or fetched.value != before.secret.value else None

    def _fetched(self, arn: str) -> Secret:
        try:
            text = self._read(arn).strip()
            code = "" if text else "empty"
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            text = ""
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        if code:
            return self._old(arn, code)
        self._known[arn] = _Fetched(Secret(text), self._clock())
        return self._known[arn].secret

    def _old(self, arn: str, code: str) -> Secret:
        log.error("secret_not_read", extra={"arn": arn, "code": code})
        if known := self._known.get(arn):
            return known.secret
        raise Unavailable("Daypass cannot read a secret that it needs: its log says which.")

    def _read(self, arn: str) -> str:
        if not arn.startswith("arn:"):
            return arn
        service, region = arn.split(":")[2:4]
        client: Any = self._session.create_client(service, region_name=region, config=_HURRIED)
        if service == "ssm":
            return str(client.get_parameter(Name=arn, WithDecryption=True)["Parameter"]["Value"])
        return str(client.get_secret_value(SecretId=arn).get("SecretString", ""))
