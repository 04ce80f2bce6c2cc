"""The canary: known secrets go through every door, and are then looked for everywhere but in the one answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.broker import binding, lending
from chalicelib.broker.ports import Lent, Secret
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.refusals import StsRefused, Unavailable
from chalicelib.core.session import SessionPlan
from chalicelib.identity import bearer
from chalicelib.identity.keys import Keys
from chalicelib.log import log
from chalicelib.web.gate import Gate
from tests.hub import Hub
from tests.identity.tokens import Idp
from tests.people import ALICE, FRANK
from tests.slack.workspace import Workspace, open_workspace
from tests.stage import CATALOGUE
from tests.web.api import SANDBOX, Api

SECRET_KEY = "CANARY/secret/access/key"
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
    """A table that breaks when a session's outcome is put down, with everything there is in its hands."""

    def __init__(self, requests: Any) -> None:
        self.requests = requests

    def __getattr__(self, name: str) -> Any:
        return getattr(self.requests, name)

    def commit(self, change: Any) -> None:
        if change.events[-1].type == "session.issued":
            raise RuntimeError(f"a bug that tells all it holds: {change!r}")
        self.requests.commit(change)


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


def test_no_secret_is_found_in_log_table_history_or_answers(
    hub: Hub, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    idp = Idp()
    token = idp.token(at=datetime.now(UTC))
    lender = Tweeting(hub.world.lender)
    world = replace(hub.world, lender=lender)
    stage: Any = SimpleNamespace(world=world, catalogue=CATALOGUE)
    catalogue: Catalogue = replace(CATALOGUE, issuers=(idp.issuer(),))
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

    for damaged in (f"{token}x", token[:-3], token.replace(".", ""), f"{token} {token}"):
        assert call("GET", "/v1/me", headers={"authorization": f"Bearer {damaged}"}).status == 401
    assert call("GET", "/v1/me", headers={"authorization": f"Basic {token}"}).status == 401
    assert call("POST", "/v1/requests", {**SANDBOX, "surprise": token}).status == 422
    assert call("GET", f"/v1/requests/{token}").status == 404
    assert call("GET", f"/v1/requests/{id}/events").status == 200
    assert call("GET", f"/v1/requests/{id}").status == 200
    assert call("GET", "/v1/requests").status == 200

    signature = token.rpartition(".")[2]
    everywhere = {
        "the table": json.dumps(hub.table.client.scan(TableName=hub.table._name)["Items"]),
        "the log": "\n".join(lines),
        "the terminal": "".join(capfd.readouterr()),
        "the other answers": "\n".join(answers),
    }
    for place, text in everywhere.items():
        assert text or place == "the terminal"
        for canary in ("CANARY", token, signature):
            assert canary not in text, f"a secret in {place}"
    assert "request_answered" in everywhere["the log"]
    assert "request_failed" in everywhere["the log"]
    assert "CANARY" in handed_out


def test_no_secret_of_slack_is_found_in_log_table_answers_or_what_slack_is_told(
    hub: Hub, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    lender = Tweeting(hub.world.lender)
    world = replace(hub.world, lender=lender, catalogue=lambda: CATALOGUE)
    answers: list[str] = []
    with open_workspace(Workspace(worlds=lambda: world)) as team:
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
