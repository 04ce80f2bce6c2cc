"""The local sign-in: to the broker what AWS's is, to people a page that says who would be signed in where."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from html import escape
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from daypass.local.example import REGION

PREFIX: Final = "/aws-console"
FEDERATION: Final = PREFIX + "/federation"

_FORM: Final = "application/x-www-form-urlencoded"
_KEYS: Final = {"sessionId", "sessionKey", "sessionToken"}
_LINK_SECONDS: Final = 15 * 60
_HTML: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
}
_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Not the AWS console</title>
<body style="font: 1.1rem/1.6 system-ui; max-width: 44rem; margin: 4rem auto; padding: 0 1rem">
<h1>{title}</h1>{lines}"""

Whose = Callable[[dict[str, str]], str]
"""The ARN of the session that these keys are of. Raises LookupError where they are nobody's."""


class _No(Exception):
    """What AWS would answer with 400 to; `str` of it says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    headers: dict[str, str]
    body: bytes


@dataclass
class SignIn:
    """chained: whether sessions are of AssumeRole by a role, as all of the example's are: AWS then takes no duration.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_enable-console-custom-url.html.
    """

    whose: Whose
    chained: bool = True
    clock: Callable[[], float] = time.monotonic
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def token(self, content_type: str | None, body: bytes) -> Answer:
        """Exchange a session's keys for a sign-in token, as POST asks for it."""
        try:
            arn = self._checked(content_type, body)
        except _No as no:
            return _page(HTTPStatus.BAD_REQUEST, "Not signed in", str(no))
        now = self.clock()
        self._tokens = {token: known for token, known in self._tokens.items() if known[1] > now}
        token = secrets.token_urlsafe(48)
        self._tokens[token] = arn, now + _LINK_SECONDS
        return Answer(HTTPStatus.OK, {"Content-Type": "application/json"}, json.dumps({"SigninToken": token}).encode())

    def page(self, query: str) -> Answer:
        """What somebody sees who follows a link."""
        given = {name: values[-1] for name, values in parse_qs(query).items()}
        arn, until = self._tokens.get(given.get("SigninToken", ""), ("", 0.0))
        if given.get("Action") != "login" or self.clock() >= until:
            return _page(HTTPStatus.BAD_REQUEST, "Not signed in", "This link is none, or is older than 15 minutes.")
        return _page(
            HTTPStatus.OK,
            "There is no console in the embedded AWS",
            f"AWS would have signed you in as {arn}",
            f"and shown you {given.get('Destination', 'its home page')}",
        )

    def _checked(self, content_type: str | None, body: bytes) -> str:
        if content_type != _FORM:
            raise _No(f"The form is not sent as {_FORM}.")
        form = parse_qs(body.decode("ascii", errors="replace"), keep_blank_values=True)
        if not {"Action", "Session"} <= set(form) <= {"Action", "Session", "SessionDuration"}:
            raise _No(f"The form has other fields than AWS's: {', '.join(sorted(form))}.")
        if any(len(values) != 1 for values in form.values()) or form["Action"] != ["getSigninToken"]:
            raise _No("The action is not getSigninToken, or a field is there twice.")
        if duration := form.get("SessionDuration"):
            self._check_duration(duration[0])
        try:
            return self.whose(_keys(form["Session"][0]))
        except LookupError:
            raise _No("The keys are nobody's, or are expired.") from None

    def _check_duration(self, text: str) -> None:
        if self.chained:
            raise _No("A chained session takes no SessionDuration.")
        if not (text.isascii() and text.isdigit() and 900 <= int(text) <= 43200):
            raise _No("SessionDuration is 900 to 43200 seconds.")


def _keys(text: str) -> dict[str, str]:
    try:
        session: Any = json.loads(text)
    except ValueError:
        raise _No("The session is no JSON.") from None
    if not isinstance(session, dict) or set(session) != _KEYS or not all(isinstance(v, str) for v in session.values()):
        raise _No(f"The session holds something else than {', '.join(sorted(_KEYS))}.")
    return session


def whose(aws: str) -> Whose:
    """Whose keys they are, by the embedded AWS's STS."""
    made, one_at_a_time = cache(boto3.Session), threading.Lock()  # what a client is made of is read once

    def arn(session: dict[str, str]) -> str:
        with one_at_a_time:
            client = made().client(
                "sts",
                region_name=REGION,
                endpoint_url=aws,
                aws_access_key_id=session["sessionId"],
                aws_secret_access_key=session["sessionKey"],
                aws_session_token=session["sessionToken"],
            )
        try:
            return client.get_caller_identity()["Arn"]
        except (BotoCoreError, ClientError):
            raise LookupError("nobody's keys") from None

    return arn


def _page(status: HTTPStatus, title: str, *lines: str) -> Answer:
    paragraphs = "\n".join(f"<p>{escape(line)}</p>" for line in lines)
    return Answer(status, dict(_HTML), _PAGE.format(title=title, lines=paragraphs).encode())
