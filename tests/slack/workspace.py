"""A Slack workspace as an app sees it: in memory, and over HTTP on loopback. It answers as Slack documents it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from chalicelib.slack.messages import Rendered
from chalicelib.slack.posting import METADATA, Posted, SaidNo, Silent, Throttled
from tests.builders import NOW

BOT_TOKEN = "xoxb-CANARY-bot-token"
MOST_CHARACTERS = 11_000
_RICH = {
    "rich_text_section": {"text", "date", "broadcast"},
    "rich_text_quote": {"text"},
    "rich_text_preformatted": {"text"},
}


@dataclass
class Fault:
    """What the next call meets. after: it takes effect all the same."""

    error: str = ""
    status: int = 200
    retry_after: int | None = None
    silent: bool = False
    after: bool = False
    body: str | None = None


@dataclass
class Said:
    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any] | None = None
    thread: str | None = None
    to_all: bool = False
    edits: int = 0
    texts: list[str] = field(default_factory=list)
    """Everything it ever said, in order."""


@dataclass
class Workspace:
    """channels: ids by name. faults: what the next calls meet, None for nothing. scopes: what the app may not do."""

    channels: dict[str, str] = field(
        default_factory=lambda: {"sre-approvals": "C0SREAPPROVE", "incidents": "C0INCIDENTS"}
    )
    archived: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=lambda: {"U0FRANK0001", "U0CAROL0001"})
    said: list[Said] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    missing_scopes: set[str] = field(default_factory=set)
    clock: float = NOW.timestamp()

    def fail(self, *faults: Fault | None) -> None:
        self.faults = list(faults)

    def messages(self, channel: str | None = None) -> list[Said]:
        """What stands in a channel, or everywhere, outside of threads."""
        return [each for each in self.said if each.thread is None and channel in (None, each.channel)]

    def replies(self) -> list[Said]:
        return [each for each in self.said if each.thread is not None]

    def delete(self, said: Said) -> None:
        self.said.remove(said)

    def call(self, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Slack's JSON for a call, without any fault."""
        self.calls.append(method)
        if method in self.missing_scopes:
            return _no("missing_scope")
        known = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.open": self._open,
            "conversations.list": self._list,
        }
        return known[method](given) if method in known else _no("unknown_method")

    def _post(self, given: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._channel(given["channel"])
        if channel is None:
            return _no("channel_not_found")
        if channel in self.archived:
            return _no("is_archived")
        if problem := problem_of(given):
            return _no(problem)
        self.clock += 1
        said = Said(
            channel,
            f"{self.clock:.6f}",
            given["text"],
            given["blocks"],
            given.get("metadata"),
            given.get("thread_ts"),
            bool(given.get("reply_broadcast")),
        )
        said.texts.append(said.text)
        self.said.append(said)
        return {"ok": True, "channel": channel, "ts": said.ts}

    def _update(self, given: Mapping[str, Any]) -> dict[str, Any]:
        said = next((each for each in self.said if (each.channel, each.ts) == (given["channel"], given["ts"])), None)
        if given["channel"] not in {*self.channels.values(), *(f"D{user[1:]}" for user in self.users)}:
            return _no("channel_not_found")
        if said is None:
            return _no("message_not_found")
        if problem := problem_of(given):
            return _no(problem)
        said.text, said.blocks, said.edits = given["text"], given["blocks"], said.edits + 1
        said.texts.append(said.text)
        return {"ok": True, "channel": said.channel, "ts": said.ts}

    def _history(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if given["channel"] not in self.channels.values() and not str(given["channel"]).startswith("D"):
            return _no("channel_not_found")
        oldest, limit = float(given["oldest"]), int(given["limit"])
        found = [each for each in reversed(self.messages(given["channel"])) if float(each.ts) > oldest]
        begin = int(given.get("cursor") or 0)
        shown = [self._shown(each, given) for each in found[begin : begin + limit]]
        more = str(begin + limit) if begin + limit < len(found) else ""
        return {"ok": True, "messages": shown, "response_metadata": {"next_cursor": more}}

    @staticmethod
    def _shown(said: Said, given: Mapping[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {"type": "message", "ts": said.ts, "text": said.text}
        if given.get("include_all_metadata") in (True, 1, "1", "true") and said.metadata:
            shown["metadata"] = said.metadata
        return shown

    def _open(self, given: Mapping[str, Any]) -> dict[str, Any]:
        user = given["users"]
        return {"ok": True, "channel": {"id": f"D{user[1:]}"}} if user in self.users else _no("user_not_found")

    def _list(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = [{"id": id, "name": name} for name, id in self.channels.items() if id not in self.archived]
        return {"ok": True, "channels": found, "response_metadata": {"next_cursor": ""}}

    def _channel(self, place: str) -> str | None:
        if place in self.users:
            return f"D{place[1:]}"
        if place.startswith("#"):
            return self.channels.get(place[1:])
        return place if place in self.channels.values() or place.startswith("D") else None


def _no(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


def problem_of(given: Mapping[str, Any]) -> str | None:
    """Slack's word for what is wrong with a message, by the limits of slack_sdk's own models and a few more."""
    shown = given["blocks"]
    if len(shown) > 50 or not given["text"]:
        return "invalid_blocks"
    try:
        for block in Block.parse_all(shown):
            assert block is not None
            block.validate_json()
            block.to_dict()
    except SlackObjectFormationError:
        return "invalid_blocks"
    texts = list(_texts(shown))
    if not all(texts) or not all(_rich_is_known(block) for block in shown if block["type"] == "rich_text"):
        return "invalid_blocks"
    return "msg_blocks_too_long" if sum(map(len, texts)) > MOST_CHARACTERS else None


def _texts(part: Any) -> Iterator[str]:
    """Every text that is shown somewhere in the blocks."""
    if isinstance(part, list):
        for each in part:
            yield from _texts(each)
    elif isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield part["text"]
        for each in part.values():
            yield from _texts(each)


def _rich_is_known(block: Mapping[str, Any]) -> bool:
    return bool(block["elements"]) and all(
        element["elements"] and {part["type"] for part in element["elements"]} <= _RICH[element["type"]]
        for element in block["elements"]
    )


class FakeSlack:
    """`slack.posting.Slack` on a workspace, without HTTP."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def post(self, place: str, message: Rendered, request_id: str) -> Posted:
        metadata = {"event_type": METADATA, "event_payload": {"id": request_id}}
        answer = self._call("chat.postMessage", channel=place, metadata=metadata, **_said(message))
        return Posted(answer["channel"], answer["ts"])

    def update(self, posted: Posted, message: Rendered) -> None:
        self._call("chat.update", channel=posted.channel, ts=posted.ts, **_said(message))

    def reply(self, posted: Posted, message: Rendered, *, to_all: bool) -> None:
        thread = {"channel": posted.channel, "thread_ts": posted.ts, "reply_broadcast": to_all}
        self._call("chat.postMessage", **thread, **_said(message))

    def find(self, place: str, request_id: str, since: datetime) -> Posted | None:
        channel = self._id(place)
        oldest = (since - timedelta(minutes=1)).timestamp()
        asked = {"channel": channel, "oldest": oldest, "limit": 1000, "include_all_metadata": True}
        for message in self._call("conversations.history", **asked)["messages"]:
            if message.get("metadata", {}).get("event_payload", {}).get("id") == request_id:
                return Posted(channel, message["ts"])
        return None

    def _id(self, place: str) -> str:
        if place.startswith("U"):
            return str(self._call("conversations.open", users=place)["channel"]["id"])
        if not place.startswith("#"):
            return place
        channels = self._call("conversations.list")["channels"]
        found = next((each["id"] for each in channels if f"#{each['name']}" == place), None)
        if found is None:
            raise SaidNo("channel_not_found")
        return str(found)

    def _call(self, method: str, **given: Any) -> dict[str, Any]:
        fault = self._workspace.faults.pop(0) if self._workspace.faults else None
        if fault is None:
            answer = self._workspace.call(method, given)
        else:
            if fault.after:
                self._workspace.call(method, given)
            if fault.retry_after is not None:
                raise Throttled(timedelta(seconds=fault.retry_after))
            if fault.silent or fault.status >= 500 or fault.body is not None:
                raise Silent("The fake was told not to answer.")
            answer = _no(fault.error)
        if not answer["ok"]:
            passing = answer["error"] in ("internal_error", "fatal_error")
            raise Silent("The fake was told to fail.") if passing else SaidNo(answer["error"])
        return answer


def _said(message: Rendered) -> dict[str, Any]:
    return {"text": message.text, "blocks": message.blocks}


@contextmanager
def serving(workspace: Workspace) -> Iterator[str]:
    """The workspace's Web API over HTTP, for one bot token. Yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"workspace": workspace}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    workspace: Workspace
    # Slack reads JSON for what writes; what reads wants its arguments in the query or as a form.
    _TAKES_JSON = ("chat.postMessage", "chat.update", "conversations.open")

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        method = path.removeprefix("/api/")
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        given: dict[str, Any] = dict(parse_qsl(query))
        if not self.headers.get("content-type", "").startswith("application/json"):
            given |= dict(parse_qsl(body.decode()))
        elif method in self._TAKES_JSON:
            given |= json.loads(body)
        fault = self.workspace.faults.pop(0) if self.workspace.faults else None
        if fault and fault.after:
            self.workspace.call(method, given)
        if fault is None:
            authorized = self.headers.get("authorization") == f"Bearer {BOT_TOKEN}"
            self._answer(200, self.workspace.call(method, given) if authorized else _no("invalid_auth"))
        elif fault.silent:
            self.close_connection = True  # hangs up without a word
        elif fault.retry_after is not None:
            self._answer(429, _no("ratelimited"), {"Retry-After": str(fault.retry_after)})
        else:
            self._answer(fault.status, _no(fault.error), body=fault.body)

    do_GET = do_POST

    def _answer(
        self, status: int, answer: dict[str, Any], headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> None:
        text = (json.dumps(answer) if body is None else body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(text)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""
