"""What was done with a request's sessions: who may look, what they see, and that it is told who looked."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.broker.balancing import take
from chalicelib.broker.looking import MOST_NOTES, Act, Activity, activity, summary
from chalicelib.core.noting import MOST_DEEDS
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import NotFound, Unavailable
from chalicelib.core.request import Request, Session
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK, ROBOT
from tests.stage import Stage
from tests.trails import DEPLOY, MINUTE, Json, a_pair, a_session, a_use, an_issuance

CHAINED = "ASIACHAINED000000001"


class Scene:
    """A request with sessions, and what CloudTrail tells of them."""

    def __init__(self, sessions: int = 1) -> None:
        self.stage = Stage()
        self.request: Request = self.stage.approved(CAROL, by=FRANK)
        for _ in range(sessions):
            self.stage.lent(self.request)
            self.stage.pass_time(MINUTE)
        self.sessions: tuple[Session, ...] = self.stage.sessions(self.request.id)
        self._files = itertools.count()

    def identity(self, number: int = 0) -> Json:
        session = self.sessions[number]
        return a_session(session.access_key_id, self.request.role_arn, session.session_name, session.begun_at)

    def pair(self, number: int = 0) -> list[Json]:
        session = self.sessions[number]
        assert session.access_key_id
        return a_pair(session.access_key_id, self.request.role_arn, session.session_name, session.begun_at)

    def use(self, minute: int, number: int = 0, **changed: Any) -> Json:
        return a_use(None, self.stage.now + minute * MINUTE, session=self.identity(number), **changed)

    def take(self, *records: object) -> None:
        take(self.stage.trail, f"{next(self._files):032x}", records, self.stage.now)

    def look(self, who: Principal = CAROL, after: str | None = None, limit: int = 100) -> Activity:
        return activity(self.stage.world, who, self.request.id, after=after, limit=limit)

    def readers(self) -> list[tuple[str, str]]:
        day = self.stage.requests.day(self.stage.now.date(), after=None, limit=100)
        chained = [each.event for each in day.items if each.chain.startswith("day-")]
        assert all(event.details["request_id"] == self.request.id for event in chained)
        return [(event.type, event.actor) for event in chained]


def test_it_is_seen_by_those_who_see_the_request_and_nobody_else() -> None:
    scene = Scene()
    for who in (CAROL, BOB, FRANK, DAVE):
        assert len(scene.look(who).sessions) == 1
    for who in (ALICE, EVE, ROBOT):
        with pytest.raises(NotFound):
            scene.look(who)
    assert {actor for _, actor in scene.readers()} == {BOB.id, FRANK.id, DAVE.id}


def test_who_looks_at_somebody_elses_is_told_on_the_days_chain_and_never_in_the_requests_history() -> None:
    scene = Scene()
    version = scene.stage.request(scene.request.id).version
    scene.look(CAROL)
    assert scene.readers() == []
    scene.look(DAVE)
    scene.look(DAVE)
    assert scene.readers() == [("activity.read", DAVE.id)] * 2
    assert scene.stage.request(scene.request.id).version == version


def test_nothing_is_shown_where_it_cannot_be_told_who_looked() -> None:
    scene = Scene()
    scene.take(*scene.pair())
    chains = scene.stage.world.day_chains()
    chains.requests.off = True  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        scene.look(DAVE)


def test_sessions_are_issued_seen_and_used_each_on_its_own() -> None:
    scene = Scene(3)
    scene.take(*scene.pair(1), *scene.pair(2), scene.use(1, 2))
    told = [(bool(each.doings.seen_in), each.doings.events) for each in scene.look().sessions]
    assert told == [(False, 0), (True, 0), (True, 1)]


def test_calls_are_told_oldest_first_over_all_sessions_whatever_file_they_came_in_and_in_pages() -> None:
    scene = Scene(2)
    scene.take(scene.use(5, 1, action="s3:E"), scene.use(1, 0, action="s3:A"))
    scene.take(scene.use(4, 0, action="s3:D"), scene.use(2, 1, action="s3:B"), scene.use(3, 0, action="s3:C"))
    whole = scene.look()
    assert [act.deed.action for act in whole.page.items] == ["s3:A", "s3:B", "s3:C", "s3:D", "s3:E"]
    assert whole.page.next is None
    assert [act.session == scene.sessions[0].id for act in whole.page.items] == [True, False, True, True, False]
    for limit in range(1, 6):
        told: list[Act] = []
        after: str | None = None
        while True:
            page = scene.look(after=after, limit=limit)
            assert page.sessions == whole.sessions
            told += page.page.items
            after = page.page.next
            if after is None:
                break
        assert tuple(told) == whole.page.items


def test_what_it_went_on_to_is_told_with_the_session_that_it_goes_back_to() -> None:
    scene = Scene()
    at = scene.sessions[0].begun_at
    chained = a_session(CHAINED, DEPLOY, "cdk", at + MINUTE)
    further = a_session("ASIACHAINED000000002", DEPLOY, "cdk2", at + 2 * MINUTE)
    scene.take(a_use(None, at + 3 * MINUTE, session=further, action="ec2:RunInstances"))
    scene.take(an_issuance("ASIACHAINED000000002", DEPLOY, "cdk2", at + 2 * MINUTE, by=chained))
    scene.take(a_use(None, at + 2 * MINUTE, session=chained, action="s3:PutObject"))
    scene.take(an_issuance(CHAINED, DEPLOY, "cdk", at + MINUTE, by=scene.identity()), *scene.pair())
    told = scene.look()
    [account] = told.sessions
    assert [(each.onward.session_name, dict(each.doings.actions)) for each in account.went_on] == [
        ("cdk", {"s3:PutObject": 1, "sts:AssumeRole": 1}),
        ("cdk2", {"ec2:RunInstances": 1}),
    ]
    assert {act.session for act in told.page.items} == {scene.sessions[0].id}
    assert sorted(act.place.session_name for act in told.page.items)[1:] == ["cdk", "cdk", "cdk2"]
    assert DEPLOY in told.summary


def test_two_sessions_that_went_on_to_each_other_are_each_told_once() -> None:
    scene = Scene()
    at = scene.sessions[0].begun_at
    ring = [a_session(f"ASIARING{n}", DEPLOY, f"ring{n}", at + MINUTE) for n in range(2)]
    scene.take(an_issuance("ASIARING0", DEPLOY, "ring0", at + MINUTE, by=scene.identity()))
    scene.take(*(an_issuance(f"ASIARING{1 - n}", DEPLOY, f"ring{1 - n}", at + MINUTE, by=ring[n]) for n in range(2)))
    assert [each.onward.session_name for each in scene.look().sessions[0].went_on] == ["ring0", "ring1"]


def test_more_calls_than_are_listed_are_counted_and_said_to_be() -> None:
    scene = Scene()
    scene.take(*(scene.use(1, readOnly=True) for _ in range(MOST_DEEDS + 7)))
    told = scene.look(limit=500)
    assert len(told.page.items) == MOST_DEEDS
    assert (told.sessions[0].doings.events, told.sessions[0].doings.unlisted) == (MOST_DEEDS + 7, 7)


def test_more_notes_than_are_read_are_said_to_be_missing() -> None:
    scene = Scene(2)
    for _ in range(MOST_NOTES + 1):
        scene.take(scene.use(1))
    told = scene.look()
    assert told.sessions[0].doings.events == MOST_NOTES
    assert not told.sessions[0].doings.whole


def test_it_is_summed_up_in_words() -> None:
    scene = Scene(2)
    assert summary(scene.stage.requests, scene.stage.trail, scene.request.id) == (
        "Nothing was done with it, as far as CloudTrail has told."
    )
    assert summary(scene.stage.requests, scene.stage.trail, "none") == ""
    denied: Json = {"errorCode": "AccessDenied", "sourceIPAddress": "192.0.2.9"}
    scene.take(scene.use(1), scene.use(2), scene.use(3, action="iam:CreateUser", **denied))
    begun = scene.stage.now
    first, last = (f"{begun + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in (1, 3))
    assert scene.look().summary == (
        f"3 calls from {first} to {last}: s3 2, iam 1. 1 failed, 1 of them for want of permission. "
        "From 192.0.2.1, 192.0.2.9. 1 of 2 sessions was never used."
    )


def test_a_request_that_nothing_was_lent_for_says_so() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    told = activity(stage.world, CAROL, request.id, after=None, limit=1)
    assert (told.sessions, told.page.items, told.summary) == ((), (), "No session was lent.")
