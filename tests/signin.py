"""AWS's sign-in for tests: takes the form as the local one does, remembers what it heard, and can be told otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.core.console import Site
from daypass.local.console import Answer, SignIn


@dataclass(frozen=True)
class Heard:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class StubSignIn:
    """says: what is sent in place of an answer, to a handler that writes as it likes."""

    url: str
    signin: SignIn
    heard: list[Heard] = field(default_factory=list)
    says: Callable[[Any], None] | None = None

    @property
    def site(self) -> Site:
        return Site(f"{self.url}/federation", "console.aws.amazon.com")

    def tokens(self) -> list[str]:
        return list(self.signin._tokens)


def token_of(link: str) -> str:
    [token] = parse_qs(urlsplit(link).query)["SigninToken"]
    return token


@contextmanager
def stub_sign_in(whose: Callable[[dict[str, str]], str] | None = None, *, chained: bool = True) -> Iterator[StubSignIn]:
    """whose: as the local sign-in asks; anybody's keys are somebody's where it is not given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            stub.heard.append(Heard(self.command, self.path, dict(self.headers.items()), body))
            if stub.says:
                stub.says(self)
                self.close_connection = True
                return
            answer = stub.signin.token(self.headers.get("content-type"), body)
            self.send_whole(answer)

        do_GET = do_POST = _answer

        def send_whole(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # who hung up is no news
    local = SignIn(whose or (lambda session: "arn:aws:sts::111111111111:assumed-role/Role/somebody"), chained=chained)
    stub = StubSignIn(f"http://127.0.0.1:{server.server_port}", local)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
