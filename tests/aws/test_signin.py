"""AWS's sign-in: what it is sent, and every way in which it may not answer with a link."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.aws.signin import CONNECT_SECONDS, READ_SECONDS, AwsConsole
from chalicelib.broker.ports import Keys, Secret
from chalicelib.core.console import Site
from chalicelib.core.refusals import ConsoleRefused, Refusal, Unavailable
from daypass.local.console import Answer
from tests.signin import StubSignIn, stub_sign_in, token_of

SECRETS = ("a/secret+key&=%", "session//token==&")
KEYS: Keys = SimpleNamespace(
    access_key_id="ASIAEXAMPLE", secret_access_key=Secret(SECRETS[0]), session_token=Secret(SECRETS[1])
)
PAGE = "https://console.aws.amazon.com/s3/home?region=eu-central-1&a=b#x"


@pytest.fixture
def stub() -> Iterator[StubSignIn]:
    with stub_sign_in() as stub:
        yield stub


def test_the_keys_go_by_post_in_the_form_and_in_no_address(stub: StubSignIn) -> None:
    AwsConsole(stub.site).sign_in(KEYS, PAGE, None)
    [heard] = stub.heard
    assert (heard.method, heard.path) == ("POST", "/federation")
    assert heard.headers["Content-Type"] == "application/x-www-form-urlencoded"
    session, action = parse_qs(heard.body.decode("ascii"), strict_parsing=True)["Session"], b"Action=getSigninToken&"
    assert heard.body.startswith(action + b"Session=%7B%22sessionId%22%3A%22ASIAEXAMPLE%22%2C")
    assert [json.loads(text) for text in session] == [
        {"sessionId": "ASIAEXAMPLE", "sessionKey": SECRETS[0], "sessionToken": SECRETS[1]}
    ]
    assert "Authorization" not in heard.headers


def test_the_link_signs_in_by_the_token_and_leads_to_the_page(stub: StubSignIn) -> None:
    link = AwsConsole(stub.site).sign_in(KEYS, PAGE, None)
    parts = urlsplit(link.value)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == stub.site.federation
    assert parse_qs(parts.query, strict_parsing=True) == {
        "Action": ["login"],
        "Destination": [PAGE],
        "SigninToken": stub.tokens(),
    }
    assert str(link) == "•••"
    assert token_of(link.value) not in repr(link)


def test_of_a_chained_session_no_duration_is_sent_for_aws_refuses_it(stub: StubSignIn) -> None:
    AwsConsole(stub.site).sign_in(KEYS, PAGE, None)
    assert b"SessionDuration" not in stub.heard[0].body
    with pytest.raises(ConsoleRefused):
        AwsConsole(stub.site).sign_in(KEYS, PAGE, timedelta(hours=1))


def test_of_one_that_is_not_chained_the_duration_is_sent_in_seconds() -> None:
    with stub_sign_in(chained=False) as stub:
        assert AwsConsole(stub.site).sign_in(KEYS, PAGE, timedelta(hours=12))
        assert parse_qs(stub.heard[0].body.decode())["SessionDuration"] == ["43200"]


def says(status: int, body: bytes = b"", **headers: str) -> Callable[[Any], None]:
    kind = {"Content-Type": headers.pop("kind", "application/json")}
    return lambda handler: handler.send_whole(Answer(HTTPStatus(status), {**kind, **headers}, body))


def echo(status: int) -> Callable[[Any], None]:
    """A server that says the keys back, in whatever form."""
    body = json.dumps({"error": SECRETS, "SigninToken": list(SECRETS)}).encode()
    return says(status, body)


def cut(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"Signin')


def endless(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


FAULTS: list[tuple[str, Callable[[Any], None], type[Refusal]]] = [
    ("400", says(400, b"<html>Bad Request</html>", kind="text/html"), ConsoleRefused),
    ("403", says(403), ConsoleRefused),
    ("404", says(404), ConsoleRefused),
    ("400 with the keys", echo(400), ConsoleRefused),
    ("200 with the keys", echo(200), ConsoleRefused),
    ("a redirect", says(302, Location="https://evil.example/"), ConsoleRefused),
    ("a redirect that keeps the form", says(307, Location="https://evil.example/"), ConsoleRefused),
    ("a web page", says(200, b"<html>Sign in to the hotel</html>", kind="text/html"), ConsoleRefused),
    ("nothing", says(200), ConsoleRefused),
    ("204", says(204), ConsoleRefused),
    ("a list", says(200, b"[]"), ConsoleRefused),
    ("no token", says(200, b'{"Token": "x"}'), ConsoleRefused),
    ("an empty token", says(200, b'{"SigninToken": ""}'), ConsoleRefused),
    ("a number", says(200, b'{"SigninToken": 7}'), ConsoleRefused),
    ("a token with a line break", says(200, b'{"SigninToken": "a\\nb"}'), ConsoleRefused),
    ("a token that is too long", says(200, json.dumps({"SigninToken": "x" * 20_000}).encode()), ConsoleRefused),
    ("deeply nested", says(200, b"[" * 50_000), ConsoleRefused),
    ("no UTF-8", says(200, b'{"SigninToken": "\xff"}'), ConsoleRefused),
    ("an endless answer", endless, ConsoleRefused),
    ("429", says(429), Unavailable),
    ("500", echo(500), Unavailable),
    ("503", says(503), Unavailable),
    ("half an answer", cut, Unavailable),
    ("no HTTP", lambda handler: handler.wfile.write(b"hello\r\n\r\n"), Unavailable),
    ("a hung up line", lambda handler: None, Unavailable),
]


@pytest.mark.parametrize(("fault", "refusal"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_whatever_else_it_answers_is_a_refusal_that_quotes_nothing(
    stub: StubSignIn, fault: Callable[[Any], None], refusal: type[Refusal]
) -> None:
    stub.says = fault
    with pytest.raises(refusal) as caught:
        AwsConsole(stub.site).sign_in(KEYS, PAGE, None)
    assert len(stub.heard) == 1, "neither a redirect is followed nor a second try made"
    assert caught.value.detail.endswith("nobody has its keys.")
    assert caught.value.__cause__ is None
    for secret in (*SECRETS, "hotel", "evil"):
        assert secret not in caught.value.detail


def test_where_nobody_listens_it_is_unavailable(closed_port: str) -> None:
    with pytest.raises(Unavailable, match="sign-in did not answer"):
        AwsConsole(Site(f"{closed_port}/federation", "console.aws.amazon.com")).sign_in(KEYS, PAGE, None)


@pytest.mark.parametrize("slow", ["silent", "dripping"])
def test_one_that_is_slow_is_given_up_within_its_time(stub: StubSignIn, slow: str) -> None:
    done = threading.Event()

    def silent(handler: Any) -> None:
        done.wait(10)

    def dripping(handler: Any) -> None:
        """A byte every now and then, each soon enough not to be a silence."""
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while not done.wait(0.05):
                handler.wfile.write(b" ")

    stub.says = {"silent": silent, "dripping": dripping}[slow]
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        AwsConsole(stub.site, read_seconds=0.2).sign_in(KEYS, PAGE, None)
    done.set()
    assert time.monotonic() - begun < 2


def test_all_of_its_patience_fits_into_what_the_broker_leaves_it() -> None:
    assert CONNECT_SECONDS + 2 * READ_SECONDS <= 5
