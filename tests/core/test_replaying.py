"""A request beside its history: whatever it says that no event explains is named, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.broker import deciding, emergency, ending, revoking
from chalicelib.core.replaying import unexplained
from chalicelib.core.request import Verdict
from chalicelib.web.views.requests import RequestView
from tests.builders import HOUR
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK
from tests.stage import Stage, an_ask

Json = dict[str, Any]


@dataclass
class Told:
    """A request as the API shows it, and its events."""

    request: Json
    events: list[Json] = field(default_factory=list)

    def with_(self, **changed: Any) -> list[str]:
        return [each.why for each in unexplained({**self.request, **changed}, self.events)]


def told(stage: Stage, id: str) -> Told:
    view = RequestView.of(stage.request(id), stage.now, stage.sessions(id))
    events: list[Any] = [event.as_json() for event in stage.history(id)]
    return Told(view.model_dump(mode="json", by_alias=True, exclude_unset=True), events)


def used() -> Told:
    stage = Stage()
    request = stage.approved()
    stage.pass_time(timedelta(minutes=5))
    stage.lent(request)
    stage.pass_time(timedelta(minutes=5))
    stage.lent(request)
    return told(stage, request.id)


SECOND_YES = {"by": "eve@example.com", "at": "2031-03-05T12:00:00Z", "comment": None}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "returned"), ("state", "revoked"), ("state", "pending"), ("state", "denied"), ("state", "cancelled"),
        ("state", "ready"), ("version", 3), ("version", 99), ("requester", "eve@example.com"),
        ("role", "sandbox-admin"),
        ("role_arn", "arn:aws:iam::222222222222:role/daypass/Other"), ("duration_seconds", 3599), ("ticket", "OPS-1"),
        ("scope", {"name": "one-bucket", "parameters": {}}), ("rule", "another"), ("decided_by", "eve@example.com"),
        ("decided_by", None), ("approvals", []), ("created_at", "2031-03-05T11:00:00Z"), ("catalogue_digest", "other"),
        ("starts_at", "2031-03-05T12:00:00Z"), ("starts_at", None), ("ends_at", "2031-03-05T14:00:00Z"),
        ("break_glass", True), ("sessions", []), ("revocation", {"stopped_at": "", "denies": [], "not_covered": []}),
        ("review", {"verdict": "justified", "by": "dave@example.com", "at": "2031-03-05T12:00:00Z", "comment": "ok"}),
    ],
)  # fmt: skip
def test_what_no_event_explains_is_named(field: str, value: Any) -> None:
    story = used()
    assert story.with_() == []
    assert len(story.with_(**{field: value})) >= 1


def test_an_approval_that_nobody_gave_is_named() -> None:
    story = used()
    assert story.with_(approvals=[*story.request["approvals"], SECOND_YES]) == [
        "approvals are by bob@example.com, eve@example.com: no event says so"
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"session_name": "other"}, {"access_key_id": "ASIAOTHER"}, {"issued_at": "2031-03-05T12:00:00Z"},
        {"expires_at": "2031-03-06T12:00:00Z"}, {"id": "01K0000000000000000000XXXX"},
    ],
)  # fmt: skip
def test_a_session_that_is_another_one_is_named(change: Json) -> None:
    story = used()
    first, second = story.request["sessions"]
    assert story.with_(sessions=[{**first, **change}, second])


def test_a_session_that_is_left_out_or_invented_is_named() -> None:
    story = used()
    first, second = story.request["sessions"]
    assert story.with_(sessions=[first]) == [f"session {second['id']} is not there: no event says so"]
    assert story.with_(sessions=[first, second, {**second, "id": "x"}]) == ["session x is there: no event says so"]


def test_a_request_behind_its_history_says_only_that() -> None:
    story = used()
    [why] = story.with_(version=1, state="pending")
    assert why.startswith("version is 1: its history ends with event")


def emergencies() -> Mapping[str, Told]:
    stage = Stage()
    fire = stage.asked(wish=an_ask(reason="payments are down for everybody", break_glass=True))
    stage.lent(fire)
    reviewed = emergency.review(stage.world, DAVE, fire.id, verdict=Verdict.UNJUSTIFIED, comment="it was not")
    late = stage.asked()
    emergency.escalate(stage.world, CAROL, late.id, reason="nobody answers and payments are down")
    return {"reviewed": told(stage, reviewed.id), "escalated": told(stage, late.id)}


def test_an_emergency_and_its_review_are_explained_by_their_events() -> None:
    stories = emergencies()
    assert [story.with_() for story in stories.values()] == [[], []]
    review = stories["reviewed"].request["review"]
    for change in ({"verdict": "justified"}, {"by": "eve@example.com"}, {"at": "2031-03-06T12:00:00Z"}):
        assert stories["reviewed"].with_(review={**review, **change})
    assert stories["reviewed"].with_(review=None)
    assert stories["escalated"].with_(review_by="2041-01-01T00:00:00Z")
    assert stories["escalated"].with_(break_glass=False)


def test_ends_are_explained_by_their_events() -> None:
    stage = Stage()
    denied, cancelled, returned, revoked = (stage.asked() for _ in range(4))
    deciding.deny(stage.world, FRANK, denied.id, comment="no")
    ending.cancel(stage.world, CAROL, cancelled.id)
    for each in (returned, revoked):
        deciding.approve(stage.world, BOB, each.id, comment=None, duration=HOUR / 2)
        stage.lent(each)
    ending.give_back(stage.world, CAROL, returned.id, cut=True)
    revoking.revoke(stage.world, BOB, revoked.id, comment="enough")
    for request in (denied, cancelled, returned, revoked):
        story = told(stage, request.id)
        assert story.with_() == []
        assert story.with_(state="active")
    story = told(stage, revoked.id)
    [deny] = story.request["revocation"]["denies"]
    changed = {**story.request["revocation"], "denies": [{**deny, "written_at": "2031-03-05T11:00:00Z"}]}
    assert story.with_(revocation=changed)
    assert story.with_(revocation=None)


def test_a_start_that_was_asked_for_is_the_windows() -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask(role="sandbox-admin", starts_at=stage.now + HOUR))
    story = told(stage, request.id)
    assert (story.request["state"], story.with_()) == ("scheduled", [])
    assert story.with_(starts_at="2031-03-05T12:00:00Z")
    assert story.with_(starts_at=None, ends_at=None)
