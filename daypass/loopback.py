"""Where the browser comes back to after a sign-in: a server on this machine that takes one answer.

Source: RFC 8252, sections 7.3 and 8.3 (the loopback address, not `localhost`; a port that is free).
"""

from __future__ import annotations

import hmac
import queue
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from daypass.client import DaypassError

_PATH: Final = "/callback"
_CONNECTION_SECONDS: Final = 10
# Nothing of the answer is on it: whoever looks at the screen, or into the page, learns nothing.
_PAGE: Final = (
    b"<!doctype html><meta charset=utf-8><title>Daypass</title>"
    b"<p>Daypass has the answer. The terminal says what came of it; this page may be closed.</p>"
)


class Loopback:
    """Takes the answer that carries the state, while the `with` block lasts.

    port: 0 for a free one. Raises DaypassError where the port is taken.
    """

    def __init__(self, state: str, port: int = 0) -> None:
        self._answer: queue.Queue[str] = queue.Queue(maxsize=1)
        try:
            self._http = _Server(("127.0.0.1", port), _handler(state, self._answer))
        except OSError as error:
            raise DaypassError(f"Port {port} cannot be listened on: {error.strerror}.", slug="login-failed") from None
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}{_PATH}"

    def __enter__(self) -> Loopback:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()

    def wait(self, seconds: float) -> str:
        """The query of the one answer. Raises DaypassError where none comes in time."""
        try:
            return self._answer.get(timeout=seconds)
        except queue.Empty:
            raise DaypassError(
                f"Nobody signed in within {seconds / 60:.0f} minutes: daypass login again.", slug="login-failed"
            ) from None


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread for each connection: browsers open some that they say nothing on."""

    allow_reuse_address = True  # a port that one login has just left is free for the next
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up, hangs up."""


def _handler(state: str, answer: queue.Queue[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CONNECTION_SECONDS

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path != _PATH:
                return self._say(404, b"There is nothing here.")
            told = parse_qs(parts.query).get("state", [])
            # Any web page can send a browser here; only the issuer's answer knows the state.
            if len(told) != 1 or not hmac.compare_digest(told[0].encode(), state.encode()):
                return self._say(400, b"This is no answer to the login that is waited for.")
            try:
                answer.put_nowait(parts.query)
            except queue.Full:
                return self._say(409, b"The answer has come already.")
            self._say(200, _PAGE)

        def _say(self, status: int, page: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the line would hold the code."""

    return Handler
