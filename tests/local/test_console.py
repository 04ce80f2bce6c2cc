"""The local sign-in takes what AWS takes, and shows who would be signed in where."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.aws.signin import AwsConsole
from chalicelib.broker.ports import Secret
from chalicelib.core.console import Site
from chalicelib.core.refusals import ConsoleRefused
from daypass.local import server
from daypass.local.console import FEDERATION, SignIn, whose
from tests.local.accounts import as_root
from tests.signin import token_of
from tests.web.api import Api

FORM = "application/x-www-form-urlencoded"
SESSION = {"sessionId": "ASIA1", "sessionKey": "secret", "sessionToken": "token"}
ARN = "arn:aws:sts::222222222222:assumed-role/PaymentsAdmin/01K-carol@example.com"


def arn_of(session: dict[str, str]) -> str:
    if session != SESSION:
        raise LookupError
    return ARN


def form(**changed: str) -> bytes:
    return urlencode({"Action": "getSigninToken", "Session": json.dumps(SESSION), **changed}).encode()


def token(signin: SignIn) -> str:
    answer = signin.token(FORM, form())
    assert answer.status == HTTPStatus.OK
    return str(json.loads(answer.body)["SigninToken"])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", form()),
        (None, form()),
        (FORM, b""),
        (FORM, b"\xff"),
        (FORM, form(Action="login")),
        (FORM, form(Issuer="x")),
        (FORM, form() + b"&Action=getSigninToken"),
        (FORM, form(Session="{")),
        (FORM, form(Session="[]")),
        (FORM, form(Session=json.dumps({**SESSION, "sessionId": 7}))),
        (FORM, form(Session=json.dumps({**SESSION, "more": "x"}))),
        (FORM, form(Session=json.dumps({**SESSION, "sessionKey": "another"}))),
        (FORM, form(SessionDuration="3600")),
    ],
)
def test_what_aws_would_not_take_is_a_400(kind: str | None, body: bytes) -> None:
    answer = SignIn(arn_of).token(kind, body)
    assert (answer.status, answer.headers["Content-Type"]) == (HTTPStatus.BAD_REQUEST, "text/html; charset=utf-8")
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    ("seconds", "status"), [("900", 200), ("43200", 200), ("899", 400), ("43201", 400), ("1h", 400)]
)
def test_a_session_that_is_not_chained_may_have_a_duration(seconds: str, status: int) -> None:
    assert SignIn(arn_of, chained=False).token(FORM, form(SessionDuration=seconds)).status == status


def test_the_page_says_who_would_be_signed_in_where_and_can_be_made_to_say_nothing_else() -> None:
    signin = SignIn(arn_of)
    query = urlencode({"Action": "login", "SigninToken": token(signin), "Destination": "https://x/<script>"})
    page = signin.page(query)
    assert page.status == HTTPStatus.OK
    assert ARN in page.body.decode()
    assert "https://x/&lt;script&gt;" in page.body.decode()
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"


def test_a_link_works_for_a_quarter_of_an_hour() -> None:
    now = [0.0]
    signin = SignIn(arn_of, clock=lambda: now[0])
    query = urlencode({"Action": "login", "SigninToken": token(signin)})
    for at, status in ((899.0, HTTPStatus.OK), (900.0, HTTPStatus.BAD_REQUEST)):
        now[0] = at
        assert signin.page(query).status == status
    assert signin.page("Action=login").status == HTTPStatus.BAD_REQUEST
    assert signin.page(query.replace("login", "logout")).status == HTTPStatus.BAD_REQUEST


@pytest.fixture
def local(aws: Any) -> Iterator[tuple[str, list[str]]]:
    """The local server with its sign-in, and the lines that it says."""
    app = server._threaded(SimpleNamespace(app=Api().app))  # type: ignore[arg-type]
    said: list[str] = []
    http = server._bound(app, 0, {}, SignIn(whose(aws.url)), said.append)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}", said
    http.shutdown()
    http.server_close()


def test_the_broker_gets_a_link_there_by_real_keys_and_the_line_of_it_holds_no_secret(
    aws: Any, local: tuple[str, list[str]]
) -> None:
    url, said = local
    console = AwsConsole(Site(url + FEDERATION, "console.aws.amazon.com"), read_seconds=30)
    given = as_root("sts", aws.url, "123456789012").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/daypass-broker", RoleSessionName="carol"
    )["Credentials"]
    keys: Any = SimpleNamespace(
        access_key_id=given["AccessKeyId"],
        secret_access_key=Secret(given["SecretAccessKey"]),
        session_token=Secret(given["SessionToken"]),
    )
    link = console.sign_in(keys, "https://console.aws.amazon.com/s3/home", None)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(link.value) as page:
        text = page.read().decode()
    assert "arn:aws:sts::123456789012:assumed-role/daypass-broker/carol" in text
    assert "https://console.aws.amazon.com/s3/home" in text
    assert [line.split(" ", 1)[1] for line in said] == [f"POST {FEDERATION} 200", f"GET {FEDERATION} 200"]
    assert token_of(link.value) not in "".join(said)
    keys.access_key_id = "ASIANOBODYNOBODY0000"
    with pytest.raises(ConsoleRefused):
        console.sign_in(keys, "https://console.aws.amazon.com/", None)
