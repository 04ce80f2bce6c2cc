"""Events as OCSF 1.5.0: what its classes require is there, and nothing of an event is lost.

No schema comes with the tests: the tables are OCSF's own documentation of the classes and objects, by hand.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.core.ledger import EventType
from daypass import ocsf
from daypass.saying import DONE
from tests.core.test_replaying import emergencies, used
from tests.daypass.conftest import Daypass, Said, Server

# https://schema.ocsf.io/1.5.0/classes/authorize_session, …/entity_management, …/base_event
BASE = {
    "activity_id": int, "category_uid": int, "class_uid": int, "metadata": dict, "severity_id": int, "time": int,
    "type_uid": int,
}  # fmt: skip
REQUIRED: dict[int, dict[str, type]] = {3003: {**BASE, "user": dict}, 3004: {**BASE, "entity": dict}}
ACTIVITIES = {3003: {0, 1, 2, 99}, 3004: {0, 1, 2, 3, 4, 99}}
KNOWN = {
    "activity_id", "activity_name", "actor", "category_name", "category_uid", "class_name", "class_uid", "message",
    "metadata", "severity", "severity_id", "status", "status_id", "time", "type_uid", "unmapped",
}  # fmt: skip
OF_CLASS = {3003: {"user", "session", "privileges"}, 3004: {"entity"}}

LINE: dict[str, Any] = {
    "seq": 1, "type": "request.submitted", "at": "2026-11-23T12:00:00Z", "actor": "carol@example.com", "details": {},
    "prev_hash": "a" * 64, "hash": "b" * 64, "request_id": "01M844DZG0AAAAAAAAAAAAAAAA",
}  # fmt: skip


def lines() -> list[dict[str, Any]]:
    stories = [used(), *emergencies().values()]
    return [{**event, "request_id": story.request["id"]} for story in stories for event in story.events]


def holds(told: dict[str, Any]) -> None:
    of = told["class_uid"]
    for name, kind in REQUIRED[of].items():
        assert type(told[name]) is kind, name
    assert set(told) == KNOWN | OF_CLASS[of]
    assert told["type_uid"] == of * 100 + told["activity_id"]
    assert told["category_uid"] == of // 1000
    assert told["activity_id"] in ACTIVITIES[of]
    assert told["severity_id"] in range(7)
    assert told["status_id"] in (0, 1, 2, 99)
    assert told["metadata"]["version"] == "1.5.0"
    assert told["metadata"]["product"]["name"]  # at least one of name and uid
    assert told["actor"]["user"]["uid"]
    if of == 3003:
        assert told["privileges"] or told["group"]
        assert told["user"]["uid"]
    else:
        assert told["entity"]["uid"]


@pytest.mark.parametrize("line", [pytest.param(line, id=f"{n} {line['type']}") for n, line in enumerate(lines())])
def test_every_event_of_a_story_has_what_its_class_requires_and_loses_nothing(line: dict[str, Any]) -> None:
    told = ocsf.event(line)
    holds(told)
    metadata = told["metadata"]
    back = {
        "seq": metadata["sequence"], "type": metadata["event_code"], "at": metadata["original_time"],
        "actor": told["actor"]["user"]["uid"], "request_id": metadata["correlation_uid"], **told["unmapped"],
    }  # fmt: skip
    assert back == line


@pytest.mark.parametrize("kind", [*EventType, "activity.read", "bypass.found"])
def test_every_kind_of_event_has_its_place(kind: str) -> None:
    told = ocsf.event({**LINE, "type": str(kind), "details": {"session": "01KS1"}})
    holds(told)
    assert told["class_uid"] == (3003 if kind.startswith("session.") else 3004)


def test_a_session_bears_cloudtrails_key_and_its_end() -> None:
    details = {"session": "01KS1", "access_key_id": "ASIA1", "expiration": "2026-11-23T13:00:00Z"}
    told = ocsf.event({**LINE, "type": "session.issued", "details": details})
    assert told["session"] == {"uid": "01KS1", "credential_uid": "ASIA1", "expiration_time": 1795438800000}
    assert (told["time"], told["status"]) == (1795435200000, "Success")
    assert ocsf.event({**LINE, "type": "session.failed", "details": details})["status"] == "Failure"


def test_an_emergency_is_critical() -> None:
    assert ocsf.event({**LINE, "type": "break_glass.opened"})["severity"] == "Critical"


def test_the_command_writes_them_a_line_each(server: Server) -> None:
    some = lines()[:2]
    server.answers["GET", "/v1/events"] = Said(body={"items": some, "next_cursor": None})
    ran = Daypass(server)("export", "--from", "2026-11-23", "--to", "2026-11-23", "--format", "ocsf")
    assert ran.code == DONE
    assert [json.loads(line) for line in ran.out.splitlines()] == [ocsf.event(line) for line in some]
