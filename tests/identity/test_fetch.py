"""The real fetch, against a server on this machine that does everything wrong."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.identity.fetch import LARGEST, fetch
from chalicelib.identity.keys import NotFetched

done = threading.Event()


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        getattr(self, self.path.strip("/"))()

    def body(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self) -> None:
        self.body(b'{"keys":[]}')

    def largest(self) -> None:
        self.body(b"x" * LARGEST)

    def oversize(self) -> None:
        self.body(b"x" * (LARGEST + 1))

    def redirect(self) -> None:
        self.body(b"", 302, Location="/good")

    def missing(self) -> None:
        self.body(b"{}", 404)

    def broken(self) -> None:
        self.body(b"{}", 500)

    def empty(self) -> None:
        self.body(b"", 204)

    def headers_shown(self) -> None:
        self.body(str(self.headers).encode())

    def chunked(self) -> None:
        self.chunks([b'{"keys"', b":[]}"])

    def endless(self) -> None:
        self.chunks([b"x" * 65536] * 100)

    def chunks(self, chunks: list[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for chunk in [*chunks, b""]:
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        except OSError:
            self.close_connection = True

    def truncated(self) -> None:
        self.body(b"{", Content_Length="100")
        self.close_connection = True

    def silent(self) -> None:
        done.wait(10)

    def dripping(self) -> None:
        """A byte every now and then, each soon enough not to be a silence."""
        self.send_response(200)
        self.send_header("Content-Length", "10000")
        self.end_headers()
        try:
            while not done.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            self.close_connection = True

    def garbage(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    try:
        yield server.server_address[1]
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        done.clear()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as port:
        yield f"http://127.0.0.1:{port}"


def test_a_document(server):
    assert fetch(f"{server}/good") == b'{"keys":[]}'
    assert fetch(f"{server}/chunked") == b'{"keys":[]}'


def test_nothing_of_ours_is_sent_along(server):
    shown = fetch(f"{server}/headers_shown").decode().lower()
    assert "accept: application/json" in shown
    assert "authorization" not in shown
    assert "cookie" not in shown


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("redirect", "302"),
        ("missing", "404"),
        ("broken", "500"),
        ("empty", "204"),
        ("truncated", "did not answer"),
        ("garbage", "did not answer"),
    ],
)
def test_only_a_whole_200_is_an_answer(server, path, why):
    with pytest.raises(NotFetched, match=why):
        fetch(f"{server}/{path}")


def test_half_a_megabyte_is_enough(server):
    assert len(fetch(f"{server}/largest")) == LARGEST
    for path in ("oversize", "endless"):
        with pytest.raises(NotFetched, match="larger"):
            fetch(f"{server}/{path}")


@pytest.mark.parametrize("path", ["silent", "dripping"])
def test_a_slow_server_is_left_alone(server, path):
    begun = time.monotonic()
    with pytest.raises(NotFetched):
        fetch(f"{server}/{path}", read_seconds=0.2)
    assert time.monotonic() - begun < 2


def test_nobody_there():
    with pytest.raises(NotFetched):
        fetch("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[", "https://" + "a" * 70 + ".example"]
)
def test_what_is_no_address_on_the_web(url):
    with pytest.raises(NotFetched):
        fetch(url)


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), today, today + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (tmp_path / "server.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with serving(context) as port, pytest.raises(NotFetched) as caught:
        fetch(f"https://localhost:{port}/good")
    assert "self-signed" in str(caught.value.__cause__)
