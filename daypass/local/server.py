"""The local stage: the Chalice app on loopback, acting as the broker's role in the embedded AWS."""

from __future__ import annotations

import contextlib
import functools
import http.client
import importlib.util
import os
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import ChaliceRequestHandler, CustomLocalChalice, LocalChalice, LocalDevServer, ThreadedHTTPServer

from chalicelib import outbox_wiring, wiring
from chalicelib.aws.table import Table, create
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.log import log
from chalicelib.slack.posting import Slack
from daypass.local import console, example, issuers
from daypass.local.embedded_aws import HOST, HUB_ACCOUNT, CannotStart, EmbeddedAws
from daypass.local.folder import Folder, Stage, write_private
from daypass.local.news import told
from daypass.local.pump import Reader, pumping
from daypass.local.schedule import repeating
from daypass.local.terminal_slack import TerminalSlack
from daypass.operator.documents import documents as provider_documents
from daypass.operator.keys import public_key

_PROFILE = "daypass-broker"
_ROOT = Path(__file__).resolve().parents[2]
_LARGEST_BODY = 10 * 1024 * 1024
"""API Gateway's. Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""

_FOREIGN = ("AWS_", "BOTO_", "DAYPASS_", "PYNAMODB_")
# Slack's secrets and, for tests, the address of another Slack: who gives them to this shell means them for here.
_KEPT = ("DAYPASS_DEBUG", "DAYPASS_SLACK_API", "DAYPASS_SLACK_BOT_TOKEN", "DAYPASS_SLACK_SIGNING_SECRET")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")

Say = Callable[[str], None]


@contextlib.contextmanager
def serving(folder: Folder, *, port: int, aws_port: int, say: Say) -> Iterator[Stage]:
    """Serve until the end of the block, which takes the last snapshot. A port of 0 is any free one.

    say: hears one line for each request, and for what somebody should see at once. This process's environment becomes
    the stage's: no AWS variable of the shell that started it is left in it. Raises CannotStart.
    """
    _become(environment(os.environ, folder))
    with EmbeddedAws.started(data=folder.path, port=aws_port) as aws, _logged(folder.api_log):
        keys = issuers.keys(folder.issuers)
        documents: dict[str, bytes] = {}
        os.environ["AWS_ENDPOINT_URL"] = aws.url
        os.environ["DAYPASS_DEAD_LETTERS"] = example.dead_letters(aws.url)
        server = _bound(loaded(_ROOT), port, documents, console.SignIn(console.whose(aws.url)), say)
        with server:
            stage = Stage(folder, f"http://{HOST}:{server.server_address[1]}", aws.url)
            documents.update(issuers.documents(keys, stage.api))
            _furnish(stage)
            documents.update(_provider_documents(stage))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            try:
                _await_health(stage)
                slack = outbox_wiring.web_slack() or TerminalSlack(say)
                with (
                    told(say),
                    repeating(wiring.sweep, lambda: outbox_wiring.remind(slack)),
                    pumping(aws.url, _readers(slack), _stumbled),
                ):
                    yield stage
            finally:
                server.shutdown()


def environment(shell: Mapping[str, str], folder: Folder) -> dict[str, str]:
    """The environment of the stage's process: the shell's without what is AWS's, a proxy's or another Daypass's."""
    kept = {
        name: value
        for name, value in shell.items()
        if name in _KEPT or not (name.upper().startswith(_FOREIGN) or name.lower() in _PROXIES)
    }
    return {
        **kept,
        "AWS_CONFIG_FILE": str(folder.broker_profile),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder.broker_profile),
        "AWS_PROFILE": _PROFILE,
        "AWS_DEFAULT_REGION": example.REGION,
        "AWS_REGION": example.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "DAYPASS_TABLE": example.TABLE,
        "DAYPASS_CATALOGUE": str(folder.catalogue),
        "DAYPASS_HUB_ACCOUNT": HUB_ACCOUNT,
        "DAYPASS_LOCAL": "true",
        "DAYPASS_EVENT_BUS": example.EVENT_BUS,
        "DAYPASS_BREAK_GLASS_TOPIC": example.BREAK_GLASS_TOPIC,
    }


def broker_profile(aws: str) -> str:
    """The AWS configuration that makes its reader the broker's role, which botocore assumes and refreshes by itself."""
    return f"""\
[profile {_PROFILE}]
role_arn = {example.BROKER_ARN}
source_profile = hub
role_session_name = daypass-local
region = {example.REGION}
endpoint_url = {aws}

[profile hub]
aws_access_key_id = {HUB_ACCOUNT}
aws_secret_access_key = {example.ROOT_SECRET}
region = {example.REGION}
endpoint_url = {aws}
"""


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _furnish(stage: Stage) -> None:
    """Everything the app finds at its first request: accounts, table, emergency queue, catalogue, its own profile."""
    write_private(stage.folder.broker_profile, broker_profile(stage.aws))
    write_private(stage.folder.catalogue, example.catalogue(stage.api, example.provider_key(stage.aws)))
    emergencies = example.seed(stage.aws)
    os.environ.update(DAYPASS_EMERGENCY_QUEUE=emergencies.queue, DAYPASS_EMERGENCY_KEY=emergencies.key)
    os.environ["DAYPASS_SIGNIN"] = stage.api + console.FEDERATION
    # The broker itself may not make tables: the hub's root does, once.
    create(
        Table(
            example.TABLE,
            region=example.REGION,
            host=stage.aws,
            access_key_id=HUB_ACCOUNT,
            secret_access_key=example.ROOT_SECRET,
        )
    )
    stage.folder.remember(stage)


def _provider_documents(stage: Stage) -> Mapping[str, bytes]:
    """What `daypass issuer publish` would put on the web, by path."""
    provider = read_catalogue(
        stage.folder.catalogue.read_text(encoding="utf-8"), hub_account=HUB_ACCOUNT, local=True
    ).provider
    assert provider is not None, "the example's catalogue has one"
    kms = example.kms_of_the_hub(stage.aws)
    public = {key.kid: public_key(kms, key) for key in provider.keys}
    return issuers.mirrored(provider_documents(provider, public, {}, datetime.now(UTC)))


def _readers(slack: Slack) -> Mapping[str, Reader]:
    """The stream's readers, as the app has them; without a Slack token its messages go to the terminal."""
    app = sys.modules["app"]
    return {
        "announce": lambda records: app.announce({"Records": list(records)}, None),
        "post": lambda records: outbox_wiring.post(records, slack),
    }


def _stumbled(reader: str, why: str) -> None:
    log.error("pump_failed", extra={"reader": reader, "why": why})


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What the app prints, which in Lambda is its log, goes to a file: the terminal is for people."""
    path.touch(mode=0o600)
    with path.open("a", buffering=1) as log, contextlib.redirect_stdout(log):
        yield


def loaded(root: Path) -> Chalice:
    """The app of a checkout. Raises CannotStart where there is none: what was installed from a wheel has no app.py."""
    path = root / "app.py"
    if not path.is_file():
        raise CannotStart(f"There is no {path}: `daypass local` needs a checkout of Daypass (there: `make run`).")
    # By its path: the current folder may have an app.py of its own.
    spec = importlib.util.spec_from_file_location("app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["app"] = module
    spec.loader.exec_module(module)
    return _threaded(module)


def _threaded(module: ModuleType) -> Chalice:
    """The app with a current request for each thread, as `chalice local` has it."""
    app: Chalice = module.app
    CustomLocalChalice.__bases__ = (LocalChalice, app.__class__)
    app.__class__ = CustomLocalChalice
    return app


def _bound(
    app: Chalice, port: int, documents: Mapping[str, bytes], signin: console.SignIn, say: Say
) -> ThreadedHTTPServer:
    chosen = {"chalice_app": app, "project_dir": str(_ROOT), "lambda_timeout": 29}
    config = Config(chalice_stage="local", user_provided_params=chosen)
    handler = functools.partial(_Handler, documents=documents, signin=signin, say=say)
    try:
        server: ThreadedHTTPServer = LocalDevServer(
            app, config, HOST, port, handler_cls=handler, server_cls=_Server
        ).server
    except OSError:
        raise CannotStart(f"Port {port} on {HOST} is taken: choose another one with --port.") from None
    return server


def _await_health(stage: Stage) -> None:
    connection = http.client.HTTPConnection(stage.api.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET", "/v1/health")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise CannotStart(f"The API is not well ({answer.status}): {stage.folder.api_log} tells why.")
    except OSError as error:
        raise CannotStart(f"The API does not answer ({error}): {stage.folder.api_log} tells why.") from error
    finally:
        connection.close()


class _Server(ThreadedHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hung up is no news; anything else is a bug, told in the log."""
        if not isinstance(sys.exception(), ConnectionError):
            socketserver.BaseServer.handle_error(self, request, client_address)


class _Handler(ChaliceRequestHandler):
    """Chalice's, with the issuers' documents and the local sign-in before it and one line for each request."""

    _QUIET = ("/v1/health", issuers.PREFIX)

    def __init__(
        self, *args: Any, documents: Mapping[str, bytes], signin: console.SignIn, say: Say, **kwargs: Any
    ) -> None:
        self._documents = documents
        self._signin = signin
        self._say = say
        super().__init__(*args, **kwargs)

    def _answer(self) -> None:
        if self.command == "GET" and self.path in self._documents:
            self._send_http_response(HTTPStatus.OK, {}, self._documents[self.path])
        elif refusal := self._refusal():
            self.close_connection = True
            self._send_http_response(refusal, {"Connection": "close"}, b"{}")
        elif self.path.partition("?")[0] == console.FEDERATION and self.command in ("GET", "POST"):
            self._sign_in()
        else:
            self._generic_handle()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = _answer

    def _sign_in(self) -> None:
        if self.command == "POST":
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            answer = self._signin.token(self.headers.get("content-type"), body)
        else:
            answer = self._signin.page(self.path.partition("?")[2])
        self._send_http_response(answer.status, answer.headers, answer.body)

    def _refusal(self) -> HTTPStatus | None:
        """What API Gateway would not let through, and Chalice's local server cannot read."""
        if "transfer-encoding" in self.headers:
            return HTTPStatus.LENGTH_REQUIRED
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if int(length) > _LARGEST_BODY else None

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        path = getattr(self, "path", "-").partition("?")[0]
        if not path.startswith(self._QUIET):
            tidy = "".join(letter if letter.isprintable() else "?" for letter in path[:200])
            self._say(f"{self.log_date_time_string()[-8:]} {self.command or '-'} {tidy} {code:d}")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing else: the default prints what callers send."""
