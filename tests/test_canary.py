"""The canary: known secrets go through every door, and are then looked for everywhere but in the one answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from chalicelib.aws.clients import sts_client
from chalicelib.aws.messages import MessagesTable
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.signin import AwsConsole
from chalicelib.aws.signing import KmsSigner
from chalicelib.aws.stream import committed
from chalicelib.aws.sts import StsLender
from chalicelib.aws.table import Table
from chalicelib.broker import balancing, binding, lending
from chalicelib.broker.ports import Lent, Secret
from chalicelib.core.catalogue import Catalogue, Notify
from chalicelib.core.provider import Provider, ProviderKey
from chalicelib.core.refusals import StsRefused, Unavailable
from chalicelib.core.session import SessionPlan
from chalicelib.core.token import subject
from chalicelib.core.vouching import MfaClaim
from chalicelib.identity import bearer
from chalicelib.identity.keys import Keys
from chalicelib.log import log
from chalicelib.outbox.announcing import announce
from chalicelib.outbox.copying import copy
from chalicelib.outbox.posting import Desk, post
from chalicelib.telling import ToldTable
from chalicelib.web.gate import Gate
from daypass.local import example
from daypass.local.console import Answer
from daypass.local.embedded_aws import EmbeddedAws
from daypass.local.example import Emergencies
from daypass.operator.documents import documents
from daypass.operator.keys import public_key
from tests import trails
from tests.aws.fake_iam import a_revoker, says
from tests.aws.test_stream import streamed
from tests.hub import Hub
from tests.identity.tokens import Idp
from tests.oidc import TrustedRole, stub_sts
from tests.outbox.fakes import FakeBus, FakeSafe
from tests.people import ALICE, FRANK
from tests.signin import stub_sign_in
from tests.slack.team import Workspace as Team
from tests.slack.team import open_workspace
from tests.slack.workspace import FakeSlack, Workspace
from tests.stage import CATALOGUE, via_oidc
from tests.web.api import ASK, SANDBOX, Api, HttpAnswer

SECRET_KEY = "CANARY/secret/access/key"
FIRE = {**ASK, "reason": "payments are down for everybody", "break_glass": True}
ROOT: Any = {"access_key_id": "123456789012", "secret_access_key": "test"}
SESSION_TOKEN = "CANARY-session-token//////////"


class Tweeting:
    """An STS whose secrets are canaries, and which can be told to fail in the ways that carry them furthest."""

    def __init__(self, lender: Any) -> None:
        self.lender = lender
        self.raises: BaseException | None = None

    def lend(self, plan: SessionPlan) -> Lent:
        if self.raises:
            raise self.raises
        lent: Lent = self.lender.lend(plan)
        return replace(lent, secret_access_key=Secret(SECRET_KEY), session_token=Secret(SESSION_TOKEN))


class Broken:
    """A table that breaks when what comes of a session is put down, with everything there is in its hands."""

    def __init__(self, requests: Any, at: str = "session.issued") -> None:
        self.requests, self.at = requests, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.requests, name)

    def commit(self, change: Any, *further: Any) -> None:
        if change.events[-1].type == self.at:
            raise RuntimeError(f"a bug that tells all it holds: {change!r}")
        self.requests.commit(change, *further)


class Leaking:
    """An IAM that answers with its caller's session token, as a message about a signature may."""

    def put_role_policy(self, **_: Any) -> None:
        raise says("SignatureDoesNotMatch", 403, f"x-amz-security-token:{SESSION_TOKEN}")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every line of the log as it is really written, at every level."""
    written: list[str] = []
    handler = logging.Handler()
    formatter = log.registered_formatter
    handler.emit = lambda record: written.append(formatter.format(record))  # type: ignore[method-assign]
    logger, root = logging.getLogger("daypass"), logging.getLogger()
    levels = logger.level, root.level
    for each in (logger, root):
        each.addHandler(handler)
        each.setLevel(logging.DEBUG)
    yield written
    for each, level in zip((logger, root), levels, strict=True):
        each.removeHandler(handler)
        each.setLevel(level)


def announced(hub: Hub, aws: EmbeddedAws) -> dict[str, str]:
    """All that the table's stream makes the outbox say: on the bus, and to Slack, where every rule tells a channel."""
    loud = [replace(rule, notify=Notify(slack=("#sre-approvals",))) for rule in CATALOGUE.rules]
    catalogue = replace(CATALOGUE, rules=tuple(loud))
    bus, workspace = FakeBus(), Workspace()
    now = hub.world.now
    desk = Desk(
        requests=hub.table,
        catalogue=lambda: catalogue,
        now=now,
        messages=MessagesTable(hub.table),
        slack=FakeSlack(workspace),
        people=lambda ids: {},
        not_told=lambda message, code: None,
    )
    committed_lines = [line for record in streamed(aws, hub.table) if (line := committed(record))]
    assert announce(committed_lines, bus=bus, find=hub.table.get, now=now()).done == len(committed_lines) > 0
    assert post(committed_lines, desk).done == len(committed_lines)
    safe = FakeSafe()
    assert copy(committed_lines, safe=safe).done == len(committed_lines)
    return {
        "the copy": b"\n".join(safe.texts.values()).decode(),
        "the bus": "\n".join(entry.detail for entry in bus.taken),
        "Slack": json.dumps([[said.text, said.blocks] for said in workspace.said]),
    }


def test_no_secret_is_found_in_log_table_queue_history_or_answers(
    hub: Hub,
    seeded: EmbeddedAws,
    emergencies: Emergencies,
    connect: Callable[..., Table],
    closed_port: str,
    lines: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    idp = Idp()
    token = idp.token(at=datetime.now(UTC))
    lender = Tweeting(hub.world.lender)
    told: Any = ToldTable(hub.table._name, region=example.REGION, host=seeded.url, **ROOT)
    world = replace(hub.world, requests=told, lender=lender, revoker=a_revoker(Leaking()))
    stage: Any = SimpleNamespace(world=world, catalogue=CATALOGUE)
    catalogue: Catalogue = replace(
        CATALOGUE, issuers=(idp.issuer(mfa=MfaClaim(claim="amr", any_of=frozenset({"mfa"}))),)
    )
    keys = Keys(idp.fetch)
    gate = Gate(
        bearer=lambda text: bearer.verify(text, catalogue=catalogue, keys=keys, now=datetime.now(UTC)), iam=None
    )
    api = Api(stage=stage, gate=gate)
    signed_in = {"authorization": f"Bearer {token}"}
    answers: list[str] = []

    def call(method: str, url: str, body: object = None, headers: dict[str, str] = signed_in) -> Any:
        answer = api.call(method, url, body, who=None, headers=headers)
        answers.append(answer.body + json.dumps(dict(answer.headers)))
        return answer

    lent = call("POST", "/v1/credentials", SANDBOX)
    assert (lent.status, lent.json["SecretAccessKey"], lent.json["SessionToken"]) == (200, SECRET_KEY, SESSION_TOKEN)
    handed_out = answers.pop()
    id = lent.json["RequestId"]

    for error in (
        StsRefused("AWS did not like it.", "AccessDenied"),
        Unavailable("STS did not answer."),
        RuntimeError("a bug"),
    ):
        lender.raises = error
        assert call("POST", f"/v1/requests/{id}/credentials").status in (500, 502, 503)
    lender.raises = None
    stage.world = replace(world, requests=Broken(world.requests))
    assert call("POST", f"/v1/requests/{id}/credentials").status == 500
    stage.world = world

    more = {"extends": id, "duration_seconds": 3600, "reason": "it takes longer"}
    assert call("POST", "/v1/credentials", more).status == 202
    assert call("POST", "/v1/credentials", {**more, "role": token}).status == 422
    assert call("POST", "/v1/requests", {**more, "extends": token}).status == 422

    for damaged in (f"{token}x", token[:-3], token.replace(".", ""), f"{token} {token}"):
        assert call("GET", "/v1/me", headers={"authorization": f"Bearer {damaged}"}).status == 401
    assert call("GET", "/v1/me", headers={"authorization": f"Basic {token}"}).status == 401
    assert call("POST", "/v1/requests", {**SANDBOX, "surprise": token}).status == 422
    assert call("GET", f"/v1/requests/{token}").status == 404
    assert call("GET", f"/v1/requests/{id}/events").status == 200
    assert call("GET", f"/v1/requests/{id}").status == 200
    assert call("GET", "/v1/requests").status == 200

    # CloudTrail's own files hold session tokens in clear.
    known = world.requests.story(id)
    assert known is not None
    role_arn, session = known[0].role_arn, known[1][0]
    pair = trails.a_pair(str(session.access_key_id), role_arn, session.session_name, session.begun_at)
    assert SESSION_TOKEN in json.dumps(pair)
    noted = balancing.take(
        world.trail(), "0" * 32, [*pair, trails.an_issuance("ASIAZOE", role_arn, "zoe")], world.now()
    )
    assert noted.notes
    assert call("GET", f"/v1/requests/{id}/activity").status == 200

    cut = call("POST", f"/v1/requests/{id}/return", {"cut": True})
    assert cut.json["revocation"]["denies"][0]["error"].startswith("SignatureDoesNotMatch")

    # The table goes out, and an emergency goes through the queue: what is in it, and what comes of it.
    carols = idp.token(at=datetime.now(UTC), email="carol@example.com", groups=["oncall"], amr=["mfa"])
    queue = SqsQueue(hub.session, example.REGION, url=emergencies.queue, key=emergencies.key)
    out = replace(world, queue=queue, requests=connect(hub.table._name, host=closed_port))
    stage.world = out
    lent = call("POST", "/v1/credentials", FIRE, headers={"authorization": f"Bearer {carols}"})
    assert (lent.status, lent.json["SecretAccessKey"]) == (200, SECRET_KEY)
    handed_out += answers.pop()
    lender.raises = RuntimeError("a bug")
    stage.world = replace(out, queued={})
    assert call("POST", "/v1/credentials", FIRE, headers={"authorization": f"Bearer {carols}"}).status == 500
    messages = queue.receive()
    assert len(messages) == 3
    for message in messages:
        hub.table.set_aside(message, "to be looked at")

    told = announced(hub, seeded)
    signature = token.rpartition(".")[2]
    answers += [message.text for message in messages]
    answers += told.values()
    signed = carols.rpartition(".")[2]
    everywhere = look_everywhere(hub, lines, capfd, answers, "CANARY", token, signature, carols, signed)
    assert "deny_not_settled" in everywhere["the log"]
    assert "DenyNotSettled" in everywhere["the terminal and the metrics"]
    assert "CANARY" in handed_out


def look_everywhere(
    hub: Hub, lines: list[str], capfd: pytest.CaptureFixture[str], answers: list[str], *canaries: str
) -> dict[str, str]:
    everywhere = {
        "the table": json.dumps(hub.table.client.scan(TableName=hub.table._name)["Items"], default=repr),
        "the log": "\n".join(lines),
        "the terminal and the metrics": "".join(capfd.readouterr()),
        "the other answers, the queue, the bus and Slack": "\n".join(answers),
    }
    for place, text in everywhere.items():
        assert text or place == "the terminal and the metrics"
        for canary in canaries:
            assert canary not in text, f"a secret in {place}"
    assert "request_answered" in everywhere["the log"]
    assert "request_failed" in everywhere["the log"]
    return everywhere


ECHOES: list[Callable[[str], tuple[int, str, bytes]]] = [
    lambda token: (400, "text/xml", _error("ValidationError", f"Value '{token}' at 'webIdentityToken' is wrong")),
    lambda token: (400, "text/xml", _error("InvalidIdentityToken", f"The claims {token.split('.')[1]} are wrong")),
    lambda token: (403, "text/xml", _error("AccessDenied", f"Not with {token.split('.')[2]}")),
    lambda token: (400, "text/xml", _error("SomethingNew", token)),
    lambda token: (400, "text/xml", _error("IDPCommunicationError", token)),
    lambda token: (500, "text/html", token.encode()),
    lambda token: (200, "text/html", token.encode()),
    lambda token: (200, "text/xml", f"<AssumeRoleWithWebIdentityResponse>{token}".encode()),
]


def _error(code: str, message: str) -> bytes:
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>".encode()


def test_the_token_that_daypass_signs_is_shown_to_sts_and_to_nobody_else(
    hub: Hub, seeded: EmbeddedAws, lines: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub_sts() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        today = via_oidc("sandbox-admin")
        key = ProviderKey(example.provider_key(seeded.url), datetime(2026, 1, 1, tzinfo=UTC))
        provider = Provider(sts.issuer, (key,))
        public = public_key(example.kms_of_the_hub(seeded.url), key)
        sts.documents = documents(provider, {key.kid: public}, {}, datetime.now(UTC))
        role_arn = today.roles["sandbox-admin"].arn
        sts.roles[role_arn] = TrustedRole(sub=subject(role_arn))
        lender = StsLender(sts_client(hub.session, example.REGION), KmsSigner(hub.session).sign)
        world = replace(hub.world, catalogue=lambda: replace(today, provider=provider), lender=lender)
        stage: Any = SimpleNamespace(world=world)
        api = Api(stage=stage)
        answers: list[str] = []

        def call(method: str, url: str, body: object = None) -> HttpAnswer:
            answer = api.call(method, url, body, who=ALICE)
            answers.append(answer.body + json.dumps(dict(answer.headers)))
            return answer

        lent = call("POST", "/v1/credentials", SANDBOX)
        assert lent.status == 200
        id = lent.json["RequestId"]
        for echo in ECHOES:
            sts.says = echo
            assert call("POST", f"/v1/requests/{id}/credentials").status in (502, 503)
        sts.says = None
        stage.world = replace(world, requests=Broken(world.requests))
        assert call("POST", f"/v1/requests/{id}/credentials").status == 500
        stage.world = world
        assert call("GET", f"/v1/requests/{id}/events").status == 200
        assert len(set(sts.tokens)) == len(ECHOES) + 2

    parts = [part for token in sts.tokens for part in (token, *token.split(".")[1:])]
    look_everywhere(hub, lines, capfd, answers, *parts)


LINK_ECHOES: list[Callable[[str], Answer]] = [
    lambda secret: Answer(HTTPStatus.BAD_REQUEST, {"Content-Type": "text/html"}, secret.encode()),
    lambda secret: Answer(HTTPStatus.BAD_REQUEST, {"Content-Type": "application/json"}, secret.encode()),
    lambda secret: Answer(HTTPStatus.FOUND, {"Location": f"http://127.0.0.1:1/?{quote(secret)}"}, b""),
    lambda secret: Answer(HTTPStatus.OK, {"X-Said": quote(secret)}, json.dumps({"Token": secret}).encode()),
    lambda secret: Answer(HTTPStatus.OK, {}, json.dumps({"SigninToken": [secret]}).encode()),
    lambda secret: Answer(HTTPStatus.BAD_GATEWAY, {"X-Said": quote(secret)}, secret.encode()),
]


def test_the_link_to_the_console_is_shown_to_its_requester_and_its_keys_to_sign_in_alone(
    hub: Hub, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with stub_sign_in() as stub:
        world = replace(hub.world, lender=Tweeting(hub.world.lender), console=AwsConsole(stub.site))
        stage: Any = SimpleNamespace(world=world)
        api = Api(stage=stage)
        answers: list[str] = []

        def call(method: str, url: str, body: object = None) -> HttpAnswer:
            answer = api.call(method, url, body, who=ALICE)
            answers.append(answer.body + json.dumps(dict(answer.headers)))
            return answer

        id = call("POST", "/v1/requests", SANDBOX).json["id"]
        path = f"/v1/requests/{id}/console"
        links = [call("POST", path).json["url"] for _ in range(2)]
        del answers[-2:]
        for echo in LINK_ECHOES:
            stub.says = lambda handler, echo=echo: handler.send_whole(
                echo(f"{SECRET_KEY} {SESSION_TOKEN} {stub.tokens()}")
            )
            assert call("POST", path).status in (502, 503)
        stub.says = None
        stage.world = replace(world, requests=Broken(world.requests, at="console.opened"))
        assert call("POST", path).status == 500
        stage.world = world
        for url in (path.removesuffix("/console"), path.removesuffix("console") + "events"):
            assert call("GET", url).status == 200
        tokens = stub.tokens()
        assert len(set(tokens)) == 3
        assert all(b"CANARY" in heard.body for heard in stub.heard)
        assert not any("CANARY" in heard.path + str(heard.headers) for heard in stub.heard)

    assert all(any(token in link for token in tokens) for link in links)
    look_everywhere(hub, lines, capfd, answers, "CANARY", quote(SESSION_TOKEN), *tokens, *links)


def test_no_secret_of_slack_is_found_in_log_table_answers_or_what_slack_is_told(
    hub: Hub, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    lender = Tweeting(hub.world.lender)
    world = replace(hub.world, lender=lender, catalogue=lambda: CATALOGUE)
    answers: list[str] = []
    with open_workspace(Team(worlds=lambda: world)) as team:
        alice, frank = team.people[ALICE.id], team.people[FRANK.id]
        code = team.code(alice)
        bound = binding.confirm(world, ALICE, code)
        answers.append(repr(bound))

        def types(text: str) -> None:
            answers.append(alice.types(text).body)

        types("sandbox-admin 1h trying things out")
        ask_id = world.requests.by_requester(ALICE.id, after=None, limit=1).items[0].id
        assert lending.lend(world, ALICE, ask_id).session_token.value == SESSION_TOKEN
        for text in ("list", f"show {ask_id}", f"done {ask_id}", "nonsense", "payments-admin 1h it would be handy", ""):
            types(text)
        for secret in ("another", team.slack.secret):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answers.append(team.slack.post({**headers, **team.slack.signed("{", secret=secret)}, "payload={").body)
        frank.presses("daypass_approve", ask_id)
        for error in ("token_revoked", "invalid_auth"):
            team.slack.fail("views.open", 200, error)
            types("")
            team.slack.fail("response_url", 500, error)
            frank.presses("daypass_approve", ask_id)
        team.slack.mend()
        world = replace(world, requests=Shouting(world.requests))
        types("list")
        types("sandbox-admin 1h trying things out")
        answers += [json.dumps(told) for told in team.slack.told]
        answers += [json.dumps(form.view) for form in team.slack.forms.values()]
        answers += [json.dumps(given) for _, given in team.slack.calls]

    everywhere = {
        "the table": json.dumps(hub.table.client.scan(TableName=hub.table._name)["Items"]),
        "the log": "\n".join(lines),
        "the terminal": "".join(capfd.readouterr()),
        "the answers": "\n".join(answers),
    }
    for place, text in everywhere.items():
        assert text or place == "the terminal"
        for canary in ("CANARY", code):
            assert canary not in text, f"a secret in {place}"
    assert "slack_failed" in everywhere["the log"]
    assert "slack_call_failed" in everywhere["the log"]


class Shouting:
    """A table that breaks at every touch, with all it was given."""

    def __init__(self, requests: Any) -> None:
        self.requests = requests

    def __getattr__(self, name: str) -> Any:
        def broken(*given: Any, **more: Any) -> Any:
            raise RuntimeError(f"a bug that tells all it holds: {name} {given!r} {more!r}")

        return broken
