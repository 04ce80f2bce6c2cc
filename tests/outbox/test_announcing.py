"""Announcing: every event reaches the bus, in order, in the shape that the schema promises, and without a free text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from chalicelib.aws.stream import committed
from chalicelib.broker import deciding, emergency, ending, erasing, revoking, sweeping
from chalicelib.core.ledger import Event as Line
from chalicelib.core.ledger import EventType, beginning, first_break, named
from chalicelib.core.life import State
from chalicelib.core.refusals import StsRefused, Unavailable
from chalicelib.core.request import Verdict
from chalicelib.outbox.announcing import LARGEST, TooLarge, announce, entry
from chalicelib.outbox.batch import Delivered
from chalicelib.outbox.ports import Committed
from tests.builders import HOUR, NOW, a_submission
from tests.outbox.fakes import FakeBus
from tests.outbox.newsroom import Newsroom
from tests.people import CAROL, DAVE, FRANK
from tests.stage import an_ask

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/event.schema.json").read_text("utf-8"))
OF_NO_REQUEST = (
    EventType.ACTIVITY_READ,
    EventType.BYPASS_FOUND,
    EventType.SESSION_UNSEEN,
    EventType.CATALOGUE_CHANGED,
)
FREE_TEXTS = ("CANARY reason", "CANARY comment", "CANARY escalation reason", "CANARY verdict", "CANARY why")


def a_long_day(room: Newsroom) -> None:
    """Stories in which every type of event happens."""
    stage = room.stage
    fire = f"{FREE_TEXTS[2]}: everything burns"
    given_back, cut, denied, taken_back, burning, ignored = (
        stage.asked(CAROL, an_ask(reason=FREE_TEXTS[0], ticket="OPS-7")) for _ in range(6)
    )
    for request in (given_back, cut):
        deciding.approve(stage.world, FRANK, request.id, comment=FREE_TEXTS[1], duration=None)
        stage.lent(stage.request(request.id))
    stage.linked(stage.request(given_back.id))
    stage.extended(stage.request(given_back.id))
    ending.give_back(stage.world, CAROL, given_back.id)
    stage.revoker.fail_next()
    revoking.revoke(stage.world, DAVE, cut.id, comment=FREE_TEXTS[4])
    deciding.deny(stage.world, FRANK, denied.id, comment=FREE_TEXTS[1])
    ending.cancel(stage.world, CAROL, taken_back.id)
    emergency.escalate(stage.world, CAROL, burning.id, reason=fire)
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(stage.request(burning.id))
    stage.lent(stage.request(burning.id))
    emergency.review(stage.world, DAVE, burning.id, verdict=Verdict.JUSTIFIED, comment=FREE_TEXTS[3])
    chains = stage.world.day_chains()
    for kind in OF_NO_REQUEST:
        chains.append(kind, at=stage.now, actor="dave@example.com", details={"request": burning.id})
    for _ in range(40):
        stage.pass_time(HOUR / 4)
        sweeping.sweep(stage.world)
    erasing.erase(stage.world, DAVE, denied.id)
    del ignored  # expires


def lines_of(room: Newsroom) -> list[Committed]:
    return [line for record in room.stream() if (line := committed(record))]


def told(room: Newsroom, lines: list[Committed], bus: FakeBus) -> Delivered:
    return announce(lines, bus=bus, find=room.stage.requests.get, now=room.stage.now)


@pytest.fixture(scope="module")
def day() -> Newsroom:
    room = Newsroom()
    a_long_day(room)
    return room


def test_every_type_of_event_is_announced_in_order_as_the_schema_says(day: Newsroom) -> None:
    bus, lines = FakeBus(), lines_of(day)
    assert told(day, lines, bus) == Delivered(len(lines))
    assert {line.event.type for line in lines} == set(EventType)
    details = [json.loads(each.detail) for each in bus.taken]
    assert [detail["id"] for detail in details] == [line.id for line in lines]
    for each, detail in zip(bus.taken, details, strict=True):
        jsonschema_rs.validate(SCHEMA, detail)
        assert each.detail_type == detail["type"]
        if detail["type"] in OF_NO_REQUEST:
            assert (each.resources, detail.keys() & {"request", "request_id"}) == ((), set())
        else:
            assert each.resources == (detail["request"]["role_arn"],)
            assert detail["request"]["version"] >= detail["seq"]


def test_the_example_in_the_docs_is_as_the_schema_says() -> None:
    page = (ROOT / "docs/outbox.md").read_text("utf-8")
    shown = page.partition("```json\n")[2].partition("```")[0]
    jsonschema_rs.validate(SCHEMA, json.loads(shown.replace('"…"', json.dumps("0" * 64))))


def test_the_schema_knows_every_type_of_event_and_every_state() -> None:
    assert set(SCHEMA["properties"]["type"]["enum"]) == {each.value for each in EventType}
    assert set(SCHEMA["properties"]["request"]["properties"]["state"]["enum"]) == {each.value for each in State}


def test_no_free_text_and_no_secret_is_announced(day: Newsroom) -> None:
    bus = FakeBus()
    told(day, lines_of(day), bus)
    everything = "\n".join(each.detail for each in bus.taken)
    assert "CANARY" not in everything
    salts = {request.salt for request in day.stage.requests._requests.values()} - {""}  # one was erased
    for secret in (*salts, *(lent.secret_access_key.value for lent in day.stage.lender.lent)):
        assert secret not in everything


def test_who_keeps_the_events_can_check_the_chain(day: Newsroom) -> None:
    bus = FakeBus()
    told(day, lines_of(day), bus)
    chains: dict[str, list[Line]] = {}
    for each in bus.taken:
        detail: dict[str, Any] = json.loads(each.detail)
        names = ("seq", "type", "at", "actor", "details", "prev_hash", "hash")
        chain = detail["chain"] if "chain" in detail else detail["request_id"]
        chains.setdefault(chain, []).append(Line(**{name: detail[name] for name in names}))
    assert sum(named(chain) == "request_id" for chain in chains) == 7
    for chain, events in chains.items():
        assert first_break(beginning(chain), events) is None


def test_from_the_first_event_that_the_bus_does_not_take_all_is_tried_again() -> None:
    room = Newsroom()
    for _ in range(4):
        room.stage.asked(CAROL)
    outcome = told(room, lines_of(room), FakeBus(fails_at=2))
    assert (outcome.done, outcome.why) == (2, "The fake was told not to take it.")


def test_given_the_table_does_not_answer_then_what_came_before_is_announced() -> None:
    room = Newsroom()
    first, second = room.stage.asked(CAROL), room.stage.asked(CAROL)
    bus = FakeBus()

    def find(id: str) -> Any:
        if id == second.id:
            raise Unavailable("The table is down.")
        return room.stage.request(id)

    outcome = announce(lines_of(room), bus=bus, find=find, now=NOW)
    assert (outcome.done, outcome.why) == (1, "The table is down.")
    assert [json.loads(each.detail)["request_id"] for each in bus.taken] == [first.id]


def test_a_bug_at_one_event_is_no_other_events() -> None:
    room = Newsroom()
    broken, whole = room.stage.asked(CAROL), room.stage.asked(CAROL)
    bus = FakeBus()

    def find(id: str) -> Any:
        if id == broken.id:
            raise KeyError("a bug")
        return room.stage.request(id)

    outcome = announce(lines_of(room), bus=bus, find=find, now=NOW)
    assert (outcome.done, list(outcome.hopeless)) == (2, [0])
    assert [json.loads(each.detail)["request_id"] for each in bus.taken] == [whole.id]


def test_given_a_failure_after_a_bug_then_the_right_event_is_tried_again() -> None:
    room = Newsroom()
    broken = room.stage.asked(CAROL)
    for _ in range(3):
        room.stage.asked(CAROL)

    def find(id: str) -> Any:
        if id == broken.id:
            raise KeyError("a bug")
        return room.stage.request(id)

    outcome = announce(lines_of(room), bus=FakeBus(fails_at=1), find=find, now=NOW)
    assert (outcome.done, list(outcome.hopeless)) == (2, [0])


def test_an_event_of_an_erased_request_is_announced_without_it() -> None:
    change = a_submission()
    line = Committed(change.after.id, change.events[0], "1")
    detail = json.loads(entry(line, None, NOW).detail)
    assert "request" not in detail
    assert detail["request_id"] == change.after.id


def test_an_event_that_the_bus_would_never_take_is_hopeless() -> None:
    change = a_submission().then(EventType.DENIED, at=NOW, actor="f", details={"more": "x" * LARGEST})
    line = Committed(change.after.id, change.events[1], "1")
    with pytest.raises(TooLarge):
        entry(line, None, NOW)
    outcome = announce([line], bus=FakeBus(), find=lambda _: None, now=NOW)
    assert (outcome.done, type(outcome.hopeless[0])) == (1, TooLarge)
