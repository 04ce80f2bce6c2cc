"""Telling Slack: the few calls of its Web API that the outbox makes, and what can come of each.

Scopes of the app: `chat:write`, and `chat:write.public` for channels that it was not invited to; `im:write` for people;
`channels:read`, `groups:read` and `channels:history`, `groups:history`, `im:history` to look for a message after a
crash. Without the last five a crash at the wrong moment leaves two messages instead of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.web import SlackResponse

    from chalicelib.slack.messages import Rendered

TIMEOUT_SECONDS = 5
METADATA = "daypass_request"

_ID = re.compile(r"[CGDUW][A-Z0-9]{8,20}", re.ASCII)
_CODE = re.compile(r"[a-z_]{1,64}", re.ASCII)
# Answers after which the same call may well succeed. What Slack did meanwhile is unknown.
# Source: https://docs.slack.dev/reference/methods/chat.postMessage (errors).
_PASSING = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"})
_THROTTLED = frozenset({"rate_limited", "ratelimited", "message_limit_exceeded"})
_OF_THE_TOKEN = frozenset({"account_inactive", "invalid_auth", "not_authed", "token_expired", "token_revoked"})
_SKEW = timedelta(minutes=1)
_PAGES = 5
_PAGE = 200
_CHANNELS_PAGE = 999


class SaidNo(Exception):
    """Slack did nothing, and would do nothing if asked again. code: Slack's own word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Throttled(Exception):
    """Slack did nothing, for now. after: when to ask again at the earliest."""

    def __init__(self, after: timedelta) -> None:
        super().__init__(f"Slack asks to wait for {after.total_seconds():.0f} s.")
        self.after = after


class Silent(Exception):
    """Slack did not answer, or not so that one could tell what it did."""


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a message is: the channel's id and the message's `ts`, by which Slack knows it."""

    channel: str
    ts: str


class Slack(Protocol):
    """Every call raises SaidNo, Throttled or Silent."""

    def post(self, place: str, message: Rendered, request_id: str) -> Posted:
        """Post a message about a request. place: a channel's `#name` or id, or a user's id."""

    def update(self, posted: Posted, message: Rendered) -> None:
        """Replace what the message says. Nobody is notified."""

    def reply(self, posted: Posted, message: Rendered, *, to_all: bool) -> None:
        """Answer in the message's thread. to_all: show it in the channel too."""

    def find(self, place: str, request_id: str, since: datetime) -> Posted | None:
        """The message about the request that was posted there at `since` or later; None where none is found."""


class WebApi:
    """`Slack` by slack_sdk. A call ends within 5 s, `find` within 11 of them.

    token: the bot's; asked for once, and once more where Slack does not take it. With another one the call is made
    again. Nothing else is tried again here: whoever calls has the time for it, or has not.
    """

    def __init__(self, token: Callable[[], str], base_url: str) -> None:
        self._token, self._base_url = token, base_url
        self._ids: dict[str, str] = {}

    @cached_property
    def _client(self) -> WebClient:
        from slack_sdk import WebClient

        return WebClient(self._token(), base_url=self._base_url, timeout=TIMEOUT_SECONDS, retry_handlers=[])

    def post(self, place: str, message: Rendered, request_id: str) -> Posted:
        metadata = {"event_type": METADATA, "event_payload": {"id": request_id}}
        answer = self._call("chat_postMessage", channel=place, metadata=metadata, **_said(message))
        return Posted(answer["channel"], answer["ts"])

    def update(self, posted: Posted, message: Rendered) -> None:
        self._call("chat_update", channel=posted.channel, ts=posted.ts, **_said(message))

    def reply(self, posted: Posted, message: Rendered, *, to_all: bool) -> None:
        thread = {"channel": posted.channel, "thread_ts": posted.ts, "reply_broadcast": to_all}
        self._call("chat_postMessage", **thread, **_said(message))

    def find(self, place: str, request_id: str, since: datetime) -> Posted | None:
        channel = self._id(place)
        asked = {
            "channel": channel,
            "oldest": f"{(since - _SKEW).timestamp():.6f}",
            "include_all_metadata": True,
            "limit": _PAGE,
        }
        for message in self._pages("conversations_history", asked, "messages"):
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == METADATA and metadata.get("event_payload", {}).get("id") == request_id:
                return Posted(channel, message["ts"])
        return None

    def _id(self, place: str) -> str:
        """A conversation's id. Raises SaidNo where a channel's name is not found among the first thousands."""
        if place not in self._ids:
            self._ids[place] = self._id_of_user(place) if place[0] in "UW" else self._id_of_channel(place)
        return self._ids[place]

    def _id_of_user(self, user: str) -> str:
        return str(self._call("conversations_open", users=user)["channel"]["id"])

    def _id_of_channel(self, place: str) -> str:
        if _ID.fullmatch(place):
            return place
        asked = {"types": "public_channel,private_channel", "exclude_archived": True, "limit": _CHANNELS_PAGE}
        for channel in self._pages("conversations_list", asked, "channels"):
            if channel["name"] == place.removeprefix("#"):
                return str(channel["id"])
        raise SaidNo("channel_not_found")

    def _pages(self, method: str, asked: Mapping[str, Any], of: str) -> Iterator[dict[str, Any]]:
        cursor = None
        for _ in range(_PAGES):
            answer = self._call(method, cursor=cursor, **asked)
            yield from answer[of]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    def _call(self, method: str, **given: Any) -> dict[str, Any]:
        try:
            return _answer(getattr(self._client, method), **given)
        except SaidNo as no:
            if no.code not in _OF_THE_TOKEN or not self._has_another_token():
                raise
        return _answer(getattr(self._client, method), **given)

    def _has_another_token(self) -> bool:
        """Whether the token was replaced since; from now on it is the one that is kept now."""
        refused: WebClient = self.__dict__.pop("_client")
        return self._client.token != refused.token


def _answer(method: Callable[..., SlackResponse], **given: Any) -> dict[str, Any]:
    """Slack's answer in one piece; its noes in three words. Nothing else of the call is kept: it carries the token."""
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        data = method(**given).data
    except SlackApiError as error:
        raise _meaning(error.response) from None
    except (SlackClientError, HTTPException, OSError) as error:
        raise Silent(f"Slack did not answer: {type(error).__name__}.") from None
    assert isinstance(data, dict), "slack_sdk answers with bytes for files only"
    return data


def _said(message: Rendered) -> dict[str, Any]:
    # `unfurl_…`: no text of anybody's makes Slack show what is behind a link.
    return {"text": message.text, "blocks": message.blocks, "unfurl_links": False, "unfurl_media": False}


def _meaning(response: Any) -> SaidNo | Throttled | Silent:
    data = response.data if isinstance(response.data, dict) else {}
    code = str(data.get("error", ""))
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS or code in _THROTTLED:
        return Throttled(timedelta(seconds=_retry_after(response.headers)))
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _PASSING or not _CODE.fullmatch(code):
        return Silent(f"Slack answered {response.status_code} {code if _CODE.fullmatch(code) else ''}".rstrip() + ".")
    return SaidNo(code)


def _retry_after(headers: Mapping[str, str]) -> int:
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return int(given) if given.isascii() and given.isdigit() else 1
