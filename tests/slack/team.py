"""A Slack team whose Daypass runs on the local server over the broker's stage: everything goes over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from chalicelib.broker.ports import Secret, World
from chalicelib.core.principal import Principal
from chalicelib.slack.calls import SlackCalls
from chalicelib.slack.door import Door, Handle
from chalicelib.slack.listening import listening
from chalicelib.slack.visit import Office
from daypass.local import server
from daypass.local.console import SignIn
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK
from tests.slack.fake_slack import BOT_TOKEN, SIGNING_SECRET, FakeSlack, Person, Said, serving
from tests.stage import Stage
from tests.web.api import Api, HttpAnswer

EVERYBODY = (ALICE, BOB, CAROL, DAVE, EVE, FRANK)


@dataclass
class Workspace:
    """stage: the world behind the door. api: the other door, where people confirm who they are."""

    stage: Stage = field(default_factory=Stage)
    secrets: list[str] = field(default_factory=lambda: [SIGNING_SECRET])
    worlds: Any = None

    def __post_init__(self) -> None:
        self.slack = FakeSlack(lambda: self.stage.now.timestamp())
        self.api = Api(self.stage)
        self.people = {who.id: self.slack.join(who.id.partition("@")[0]) for who in EVERYBODY}

    def world(self) -> World:
        return self.worlds() if self.worlds else self.stage.world

    def person(self, who: Principal, *, bound: bool = True) -> Person:
        """Somebody of the example in Slack; who is bound has confirmed it before."""
        person = self.people[who.id]
        if bound:
            assert self.confirm(person, who).status == 200
            self.slack.calls.clear()
        return person

    def code(self, person: Person) -> str:
        [command] = [line for line in person.reads("").split("\n") if "slack-bind" in line]
        return command.strip("`").split()[-1]

    def confirm(self, person: Person, who: Principal) -> HttpAnswer:
        return self.api.call("POST", "/v1/slack/bind", {"code": self.code(person)}, who=who)

    def open_door(self) -> None:
        calls = SlackCalls(lambda: Secret(BOT_TOKEN), f"{self.slack.url}/api/", self.slack.seconds)
        made: list[Handle] = []

        def handle() -> Handle:
            if not made:
                made.append(listening(Office(self.world, calls, self.slack.seconds), self.api.app))
            return made[0]

        door = Door(
            secret=lambda: Secret(self.secrets[0]),
            changed_secret=lambda: Secret(self.secrets[-1]) if len(self.secrets) > 1 else None,
            clock=self.slack.seconds,
            listening=handle,
        )
        self.api.slack = door.answer


@contextmanager
def open_workspace(workspace: Workspace) -> Iterator[Workspace]:
    with serving(workspace.slack):
        workspace.open_door()
        local = server._threaded(SimpleNamespace(app=workspace.api.app))  # type: ignore[arg-type]
        http = server._bound(local, 0, {}, SignIn(str), lambda line: None)
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        workspace.slack.app = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield workspace
        finally:
            http.shutdown()
            http.server_close()


def shown(said: Said) -> str:
    """What a person reads of an answer to a form."""
    view = json.loads(said.body)["view"]
    return "\n".join(block["text"]["text"] for block in view["blocks"])
