"""A Slack that behaves like Slack: it signs, waits three seconds and no longer, throttles, repeats itself, and takes
nothing that Block Kit does not allow. Its clock is set by hand.

Its Web API is served on loopback; what people do in it goes over HTTP to the app's address, as the real one's would.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.slack.reading import check_message, check_options, check_view

TEAM = "T0EXAMPLE"
SIGNING_SECRET = "CANARY-signing-secret-8f742231b10e8888"
BOT_TOKEN = "xoxb-CANARY-bot-token"
COMMAND = "/daypass"

Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One answer of the app, as Slack saw it. timed_out: it came after three seconds and nobody read it."""

    status: int
    body: str
    headers: Mapping[str, str]
    timed_out: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


@dataclass
class Form:
    """A modal on somebody's screen."""

    id: str
    view: Json
    hash: str
    values: dict[str, dict[str, Json]] = field(default_factory=dict)
    closed: bool = False

    def block(self, block_id: str) -> Json:
        """The one input whose id is or begins so."""
        ids = [block["block_id"] for block in self.view["blocks"] if block["type"] == "input"]
        [found] = [id for id in ids if id == block_id] or [id for id in ids if id.startswith(f"{block_id}:")]
        return next(block for block in self.view["blocks"] if block.get("block_id") == found)

    def asks_for(self) -> list[str]:
        return [block["block_id"] for block in self.view["blocks"] if block["type"] == "input"]

    @property
    def text(self) -> str:
        return "\n".join(block["text"]["text"] for block in self.view["blocks"] if block["type"] == "section")


@dataclass
class FakeSlack:
    """seconds: its clock, since 1970. app: where the app answers."""

    seconds: Callable[[], float]
    app: str = ""
    users: dict[str, Json] = field(default_factory=dict)
    calls: list[tuple[str, Json]] = field(default_factory=list)
    told: list[Json] = field(default_factory=list)
    forms: dict[str, Form] = field(default_factory=dict)
    failing: dict[str, tuple[int, Json, dict[str, str]]] = field(default_factory=dict)
    secret: str = SIGNING_SECRET
    last: tuple[str, dict[str, str], str] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _triggers: dict[str, float] = field(default_factory=dict)
    _response_urls: dict[str, list[float]] = field(default_factory=dict)
    url: str = ""

    # People.

    def join(self, name: str, **changed: Any) -> Person:
        """Somebody of the team."""
        profile = {"email": f"{name.capitalize()}@example.com", "real_name": name.capitalize()}
        self.users[f"U0{name.upper()}"] = {
            "id": f"U0{name.upper()}",
            "team_id": TEAM,
            "name": name,
            "deleted": False,
            "is_bot": False,
            "is_app_user": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_stranger": False,
            **changed,
            "profile": {**profile, **changed.get("profile", {})},
        }
        return Person(self, f"U0{name.upper()}")

    def next(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers):09d}"

    def trigger(self) -> str:
        trigger = self.next("13345224609.738474920.")
        self._triggers[trigger] = self.seconds()
        return trigger

    def response_url(self) -> str:
        path = f"/commands/{self.next('R')}"
        self._response_urls[path] = [self.seconds()]
        return self.url + path

    # What the app hears.

    def signed(self, body: str, *, at: float | None = None, secret: str | None = None) -> dict[str, str]:
        timestamp = str(int(self.seconds() if at is None else at))
        text = f"v0:{timestamp}:{body}".encode()
        signature = hmac.new((secret or self.secret).encode(), text, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={signature}"}

    def send(self, form: Mapping[str, str]) -> Said:
        body = urlencode(form)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Slackbot 1.0",
            **self.signed(body),
        }
        self.last = ("/slack/events", headers, body)
        return self.post(headers, body)

    def repeat(self, number: int = 1) -> Said:
        """The last request once more, word by word, as Slack does where it heard nothing."""
        assert self.last is not None
        _, headers, body = self.last
        retry = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": "http_timeout"}
        return self.post({**headers, **retry}, body)

    def post(self, headers: Mapping[str, str], body: str | bytes) -> Said:
        begun = self.seconds()
        connection = http.client.HTTPConnection(self.app.removeprefix("http://"), timeout=30)
        try:
            raw = body if isinstance(body, bytes) else body.encode()
            connection.request("POST", "/slack/events", raw, dict(headers))
            answer = connection.getresponse()
            said = Said(answer.status, answer.read().decode(), dict(answer.headers))
        finally:
            connection.close()
        return said if self.seconds() - begun < 3 else Said(said.status, said.body, said.headers, timed_out=True)

    # What the app asks: the Web API.

    def fail(self, method: str, status: int = 200, error: str = "fatal_error", **headers: str) -> None:
        """Every call of the method fails from now on, until `mend`."""
        self.failing[method] = status, {"ok": False, "error": error}, headers

    def mend(self) -> None:
        self.failing.clear()

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Json, dict[str, str]]:
        if path in self._response_urls:
            return self._tell(path, json.loads(body))
        method = path.removeprefix("/api/")
        json_body = headers.get("Content-Type", "").startswith("application/json")
        given = json.loads(body) if json_body else dict(parse_qsl(body.decode()))
        token = headers.get("Authorization", "")
        self.calls.append((method, given))
        if method in self.failing:
            return self.failing[method]
        if token != f"Bearer {BOT_TOKEN}":
            return 200, {"ok": False, "error": "invalid_auth"}, {}
        return 200, _METHODS[method](self, given), {}

    def _tell(self, path: str, message: Json) -> tuple[int, Json, dict[str, str]]:
        self.calls.append(("response_url", message))
        if "response_url" in self.failing:
            return self.failing["response_url"]
        begun, *uses = self._response_urls[path]
        if len(uses) >= 5 or self.seconds() - begun > 1800:
            return 404, {"ok": False, "error": "used_url"}, {}
        self._response_urls[path].append(self.seconds())
        check_message(message)
        assert message["replace_original"] is False
        self.told.append(message)
        return 200, {"ok": True}, {}

    def _info(self, given: Json) -> Json:
        user = self.users.get(given["user"])
        return {"ok": True, "user": user} if user else {"ok": False, "error": "user_not_found"}

    def _open(self, given: Json) -> Json:
        at = self._triggers.pop(given["trigger_id"], None)
        if at is None or self.seconds() - at > 3:
            return {"ok": False, "error": "expired_trigger_id" if at else "exchanged_trigger_id"}
        view = _view(given)
        form = Form(self.next("V"), view, self.next("h."))
        self.forms[form.id] = form
        return {"ok": True, "view": {**view, "id": form.id, "hash": form.hash}}

    def _update(self, given: Json) -> Json:
        form = self.forms[given["view_id"]]
        if given.get("hash") != form.hash:
            return {"ok": False, "error": "hash_conflict"}
        self.show(form, _view(given))
        return {"ok": True, "view": {**form.view, "id": form.id, "hash": form.hash}}

    def show(self, form: Form, view: Json) -> None:
        """What was filled in stays where block and element are the same."""
        form.view, form.hash = view, self.next("h.")
        kept = set(form.asks_for())
        form.values = {block_id: value for block_id, value in form.values.items() if block_id in kept}


def _view(given: Json) -> Json:
    view: Json = json.loads(given["view"]) if isinstance(given["view"], str) else given["view"]
    check_view(view)
    return view


_METHODS: Mapping[str, Callable[[FakeSlack, Json], Json]] = {
    "users.info": FakeSlack._info,
    "views.open": FakeSlack._open,
    "views.update": FakeSlack._update,
}


@dataclass(frozen=True)
class Person:
    """Somebody at a keyboard."""

    slack: FakeSlack
    id: str

    def types(self, text: str, command: str = COMMAND) -> Said:
        """A slash command. Slack writes its three special characters by their names."""
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        said = self.slack.send(
            {
                "token": "verification-CANARY",
                "team_id": TEAM,
                "team_domain": "example",
                "channel_id": "C0GENERAL",
                "channel_name": "general",
                "user_id": self.id,
                "user_name": "somebody",
                "command": command,
                "text": escaped,
                "api_app_id": "A0DAYPASS",
                "is_enterprise_install": "false",
                "response_url": self.slack.response_url(),
                "trigger_id": self.slack.trigger(),
            }
        )
        if said.status == 200 and said.body:
            check_message(said.json)
        return said

    def reads(self, text: str) -> str:
        """What they are told after typing it."""
        said = self.types(text)
        assert said.status == 200, said
        return "\n".join(block["text"]["text"] for block in said.json["blocks"])

    def presses(self, action_id: str, value: str) -> Said:
        """A button of a message in a channel."""
        action = {"action_id": action_id, "block_id": "b1", "type": "button", "value": value, "action_ts": "1.2"}
        return self._interacts(
            "block_actions",
            actions=[action],
            container={"type": "message", "message_ts": "1.2", "channel_id": "C0APPROVALS", "is_ephemeral": False},
            channel={"id": "C0APPROVALS", "name": "sre-approvals"},
            message={"type": "message", "ts": "1.2", "text": "…", "bot_id": "B0DAYPASS"},
            response_url=self.slack.response_url(),
            trigger_id=self.slack.trigger(),
        )

    def opens(self, text: str = "") -> Form:
        """The form that a command opens."""
        known = set(self.slack.forms)
        said = self.types(text)
        assert (said.status, said.body) == (200, ""), said
        return self._new(known)

    def press_opens(self, action_id: str, value: str) -> Form:
        known = set(self.slack.forms)
        assert self.presses(action_id, value).status == 200
        return self._new(known)

    def _new(self, known: set[str]) -> Form:
        [form] = [form for id, form in self.slack.forms.items() if id not in known]
        return form

    def searches(self, form: Form, text: str) -> list[Json]:
        """What an external select offers for what was typed so far."""
        block = form.block("role")
        said = self._interacts(
            "block_suggestion",
            container={"type": "view", "view_id": form.id},
            view=self._sent(form),
            action_id=block["element"]["action_id"],
            block_id=block["block_id"],
            value=text,
        )
        assert said.status == 200, said
        options: list[Json] = said.json["options"]
        check_options(options)
        return options

    def chooses(self, form: Form, block_id: str, value: str) -> Said | None:
        """An option of a select, which sends something where the block says so."""
        block = form.block(block_id)
        element = block["element"]
        options = self.searches(form, value) if element["type"] == "external_select" else element["options"]
        [option] = [option for option in options if option["value"] == value]
        self._put(form, block, {"type": element["type"], "selected_option": option})
        if not block.get("dispatch_action"):
            return None
        action = {**form.values[block["block_id"]][element["action_id"]], "action_id": element["action_id"]}
        return self._interacts(
            "block_actions",
            actions=[{**action, "block_id": block["block_id"], "action_ts": "1.2"}],
            container={"type": "view", "view_id": form.id},
            view=self._sent(form),
            trigger_id=self.slack.trigger(),
        )

    def writes(self, form: Form, block_id: str, text: str) -> None:
        block = form.block(block_id)
        assert len(text) <= block["element"]["max_length"], "Slack's own client stops there"
        self._put(form, block, {"type": block["element"]["type"], "value": text})

    def sends(self, form: Form) -> Said:
        """Submit: Slack's client lets nobody leave out what is not optional."""
        missing = [
            block["block_id"]
            for block in form.view["blocks"]
            if block["type"] == "input" and not block.get("optional") and block["block_id"] not in form.values
        ]
        assert not missing, missing
        said = self._interacts(
            "view_submission", view=self._sent(form), trigger_id=self.slack.trigger(), response_urls=[]
        )
        if said.status == 200:
            self._show(form, said)
        return said

    def _show(self, form: Form, said: Said) -> None:
        match said.json.get("response_action") if said.body else None:
            case "update":
                check_view(said.json["view"])
                self.slack.show(form, said.json["view"])
            case "errors":
                errors = said.json["errors"]
                assert errors
                assert set(errors) <= set(form.asks_for())
                assert all(0 < len(message) <= 2000 for message in errors.values())
            case _:
                form.closed = True

    def _put(self, form: Form, block: Json, value: Json) -> None:
        form.values[block["block_id"]] = {block["element"]["action_id"]: value}

    def _sent(self, form: Form) -> Json:
        return {
            **form.view,
            "id": form.id,
            "team_id": TEAM,
            "hash": form.hash,
            "state": {"values": form.values},
            "root_view_id": form.id,
            "app_id": "A0DAYPASS",
        }

    def _interacts(self, kind: str, **more: Any) -> Said:
        payload = {
            "type": kind,
            "team": {"id": TEAM, "domain": "example"},
            "user": {"id": self.id, "username": "somebody", "name": "somebody", "team_id": TEAM},
            "api_app_id": "A0DAYPASS",
            "token": "verification-CANARY",
            "enterprise": None,
            "is_enterprise_install": False,
            **more,
        }
        return self.slack.send({"payload": json.dumps(payload)})


@contextmanager
def serving(slack: FakeSlack) -> Iterator[FakeSlack]:
    """Its Web API on loopback, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status, told, headers = slack.answer(urlsplit(self.path).path, dict(self.headers), body)
            except AssertionError as error:  # what Slack would not take
                failures.append(error)
                status, told, headers = 200, {"ok": False, "error": "invalid_blocks"}, {}
            sent = json.dumps(told).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None: ...

    failures: list[AssertionError] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    slack.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
    assert not failures, failures
