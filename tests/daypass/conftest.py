"""A loopback HTTP server that answers as it is told to, and remembers what it was asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
TOKEN = "eyJhbGciOiJSUzI1NiJ9.canary-token-canary.c2lnbmF0dXJl"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    target: str = ""
    raw: bytes = b""


@dataclass(frozen=True)
class Said:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hang_up: bool = False


def problem(status: int, slug: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Said:
    body = {"type": f"urn:daypass:problem:{slug}", "title": "No", "status": status, "detail": detail, **more}
    return Said(status, body, {"Content-Type": "application/problem+json", **(headers or {})})


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """Answers by `answers[(method, path)]`: one Said, a list of them for one call after another, or a function."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, str], Said | list[Said] | Callable[[Asked], Said]] = {}
        self.otherwise = problem(404, "not-found", "There is no such address.")
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                parts = urlsplit(self.path)
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    dict(self.headers),
                    self.read(raw) if raw else None,
                    self.path,
                    raw,
                )
                server.asked.append(asked)
                said = server.answer(asked)
                if said.hang_up:
                    self.close_connection = True
                    return
                body = said.raw if said.raw is not None else json.dumps(said.body).encode()
                self.send_response_only(said.status)
                usual = {"Content-Type": "application/json", "Date": self.date_time_string()}
                for name, value in {**usual, **said.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", said.headers.get("Content-Length", str(len(body))))
                self.end_headers()
                self.wfile.write(body)

            def read(self, raw: bytes) -> Any:
                form = "form" in self.headers.get("Content-Type", "")
                return dict(parse_qsl(raw.decode())) if form else json.loads(raw)

            do_GET = do_POST = answer

            def log_message(self, format: str, *args: Any) -> None: ...

        self._http = _Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, asked: Asked) -> Said:
        known = self.answers.get((asked.method, asked.path), self.otherwise)
        if isinstance(known, list):
            return known.pop(0) if len(known) > 1 else known[0]
        return known(asked) if callable(known) else known

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


REQUEST_ID = "01KAZ3TBJ4M7Y5QZ9V8N2D4E6F"
ENDING = REQUEST_ID[-8:]


def a_request(**changed: Any) -> dict[str, Any]:
    return {
        "id": REQUEST_ID,
        "state": "pending",
        "requester": "carol@example.com",
        "role": "payments-admin",
        "account_id": "222222222222",
        "account": "payments-prod",
        "role_arn": "arn:aws:iam::222222222222:role/daypass/Admin",
        "duration_seconds": 3600,
        "reason": "rotate the key",
        "ticket": None,
        "scope": None,
        "break_glass": False,
        "rule": "sre administer payments",
        "stages": [{"count": 1, "from": {"groups": ["sre-leads"]}, "approved_by": []}],
        "approvals": [],
        "created_at": "2026-11-23T12:00:00Z",
        "answer_by": "2026-11-23T20:00:00Z",
        "catalogue_digest": "0" * 64,
        "version": 1,
        **changed,
    }


CREDENTIALS = {
    "Version": 1,
    "AccessKeyId": "ASIAEXAMPLEEXAMPLE00",
    "SecretAccessKey": "it's/secret+text",
    "SessionToken": "session//token==",
    "Expiration": "2099-11-23T13:00:00Z",
    "AccountId": "222222222222",
    "AssumedRoleUser": {"Arn": "arn:aws:sts::222222222222:assumed-role/Admin/x", "AssumedRoleId": "AROA:x"},
    "SourceIdentity": "carol@example.com",
    "RequestId": REQUEST_ID,
    "SessionName": "01KAZ-carol",
}

LINK = {
    "url": "https://us-east-1.signin.aws.amazon.com/federation?Action=login&SigninToken=it%27s%26secret",
    "expires_at": "2099-11-23T12:15:00Z",
}


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Daypass:
    """Runs `daypass` as a person would, in a process of its own; what it prints never holds the token."""

    def __init__(self, server: Server) -> None:
        ours = {"DAYPASS_URL": server.url, "DAYPASS_TOKEN": TOKEN, "DAYPASS_CACHE": "off"}
        self.env = {"PATH": os.environ["PATH"], "HOME": os.devnull, **ours}

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Ran:
        kept = {name: value for name, value in {**self.env, **env}.items() if value}
        command = [sys.executable, "-m", "daypass.commands", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=kept, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert TOKEN not in done.stdout + done.stderr
        assert "canary" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def daypass(server) -> Daypass:
    return Daypass(server)
