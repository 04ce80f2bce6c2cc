"""Paging: an emergency wakes somebody up, once, in words that nobody but the broker wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.aws.stream import committed
from chalicelib.broker import emergency
from chalicelib.core.request import Request, Verdict
from chalicelib.outbox.batch import Delivered
from chalicelib.outbox.paging import LONGEST_SUBJECT, page, written
from chalicelib.outbox.ports import Committed
from tests.outbox.fakes import FakePager
from tests.outbox.newsroom import Newsroom
from tests.people import CAROL, DAVE
from tests.stage import an_ask

FIRE = "CANARY: payments are down"


def burning(verdict: Verdict | None = None) -> tuple[Newsroom, Request]:
    room = Newsroom()
    request = room.stage.asked(CAROL, an_ask(reason=FIRE, break_glass=True))
    if verdict:
        emergency.review(room.stage.world, DAVE, request.id, verdict=verdict, comment="CANARY: I saw it")
    return room, request


def lines_of(room: Newsroom) -> list[Committed]:
    return [line for record in room.stream() if (line := committed(record))]


def paged(room: Newsroom, pager: FakePager) -> Delivered:
    return page(lines_of(room), pager=pager, messages=room.messages, find=room.stage.requests.get)


def test_an_emergency_is_paged_with_who_what_where_and_how_to_see_more() -> None:
    room, request = burning()
    pager = FakePager()
    assert paged(room, pager) == Delivered(2)
    [told] = pager.published
    assert told.subject == "Daypass EMERGENCY: payments-admin in payments-prod"
    assert told.attributes == {
        "type": "break_glass.opened",
        "severity": "critical",
        "request_id": request.id,
        "account_id": "222222222222",
        "role": "payments-admin",
    }
    for word in ("carol@example.com", "222222222222", "1 h", "sre administer payments", f"daypass show {request.id}"):
        assert word in told.text
    assert "CANARY" not in told.text


@pytest.mark.parametrize(("verdict", "severity"), [(Verdict.JUSTIFIED, "info"), (Verdict.UNJUSTIFIED, "critical")])
def test_its_review_is_paged_by_what_was_found(verdict: Verdict, severity: str) -> None:
    room, _ = burning(verdict)
    pager = FakePager()
    paged(room, pager)
    told = pager.published[1]
    assert told.attributes["severity"] == severity
    assert f"verdict: {verdict}" in told.text
    assert "by: dave@example.com" in told.text
    assert "CANARY" not in told.text


def test_nothing_else_is_paged() -> None:
    room = Newsroom()
    room.stage.lent(room.stage.approved(CAROL))
    pager = FakePager()
    paged(room, pager)
    assert pager.published == []


def test_nobody_is_woken_twice_for_the_same() -> None:
    room, _ = burning(Verdict.JUSTIFIED)
    pager = FakePager()
    for _ in range(3):
        paged(room, pager)
    assert len(pager.published) == 2


def test_given_the_pager_is_down_then_it_is_tried_again_from_that_line_on() -> None:
    room, _ = burning(Verdict.JUSTIFIED)
    pager = FakePager(down=True)
    outcome = paged(room, pager)
    assert (outcome.done, outcome.why) == (1, "The fake was told not to answer.")
    pager.down = False
    paged(room, pager)
    assert len(pager.published) == 2


def test_slack_does_not_take_the_topic_for_a_channel() -> None:
    room, _ = burning()
    paged(room, FakePager())
    room.catch_up()
    assert len(room.workspace.messages()) == 1
    assert room.untold == []


def test_a_subject_is_short_and_ascii_whatever_the_names() -> None:
    room, request = burning()
    line = lines_of(room)[1]
    told = written(line, replace(request, role="ü" * 90, account="\n" + "x" * 90))
    assert len(told.subject) <= LONGEST_SUBJECT
    assert told.subject.isascii()
    assert told.subject.isprintable()


def test_an_erased_request_pages_nobody() -> None:
    room, _ = burning()
    pager = FakePager()
    outcome = page(lines_of(room), pager=pager, messages=room.messages, find=lambda _: None)
    assert (outcome.done, pager.published) == (2, [])
