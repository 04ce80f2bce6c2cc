"""Events as OCSF 1.5.0: what its classes require is there, and nothing of an event is lost.

No schema comes with the tests: the tables are OCSF's own documentation of the classes and objects, by hand.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from chalicelib.core.ledger import EventType, Recorded, beginning, day_chain, next_event
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


OF_A_DAY = (EventType.ACTIVITY_READ, EventType.BYPASS_FOUND, EventType.SESSION_UNSEEN, EventType.CATALOGUE_CHANGED)
OF_SESSIONS = (EventType.SESSION_ISSUING, EventType.SESSION_ISSUED, EventType.SESSION_FAILED)


@pytest.mark.parametrize("kind", [each for each in EventType if each not in OF_A_DAY])
def test_every_kind_of_event_of_a_request_has_its_place(kind: EventType) -> None:
    told = ocsf.event({**LINE, "type": kind.value, "details": {"session": "01KS1"}})
    holds(told)
    assert told["class_uid"] == (3003 if kind in OF_SESSIONS else 3004)
    if kind not in OF_SESSIONS:
        assert told["entity"]["type"] == "access request"
        assert told["activity_name"] == ("Create" if kind is EventType.SUBMITTED else "Update")


@pytest.mark.parametrize("kind", OF_A_DAY)
def test_what_belongs_to_no_request_is_the_ledgers_and_loses_nothing(kind: EventType) -> None:
    chain = day_chain(date(2026, 11, 23), "3")
    event = next_event(beginning(chain), kind, datetime(2026, 11, 23, tzinfo=UTC), "daypass", {"session": "01KS1"})
    line = Recorded(chain, event).as_json()
    told = ocsf.event(line)
    holds(told)
    assert told["entity"] == {"uid": chain, "type_id": 99, "type": "ledger"}
    assert (told["metadata"]["uid"], told["metadata"]["correlation_uid"]) == (f"{chain}/1", chain)
    assert told["activity_name"] == kind.value
    assert told["unmapped"] == {name: line[name] for name in ("details", "prev_hash", "hash")}
    alarm = kind in (EventType.BYPASS_FOUND, EventType.SESSION_UNSEEN)
    assert (told["status"] == "Failure", told["severity_id"] >= 4) == (alarm, alarm)


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
