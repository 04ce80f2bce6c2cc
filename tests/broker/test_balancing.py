"""Noting files and judging what the two books do not have in common, on a stage."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.broker.balancing import JUDGED_AFTER, Balanced, balance, take
from chalicelib.core.known import SEEN_WITHIN
from chalicelib.core.ledger import Detail
from chalicelib.core.refusals import Unavailable
from tests.builders import SECOND
from tests.people import ALICE, CAROL
from tests.stage import Stage, an_ask
from tests.trails import (
    BROKERS_OWN,
    DEPLOY,
    HUB,
    MINUTE,
    TARGET,
    TOKEN,
    Json,
    a_denial,
    a_pair,
    a_session,
    a_use,
    an_issuance,
)

ZOE = "ASIAZOE0000000000001"
ZOES = {
    "type": "IAMUser",
    "arn": f"arn:aws:iam::{TARGET}:user/zoe",
    "accountId": TARGET,
    "accessKeyId": "AKIAZOE0000000000001",
}


class Desk:
    """A stage with one session that was lent, and who hears of what is found."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.request = self.stage.approved(CAROL)
        self.stage.lent(self.request)
        [self.session] = self.stage.sessions(self.request.id)
        self.bypasses: list[Mapping[str, Detail]] = []
        self.missed: list[Mapping[str, Detail]] = []
        self.files: Iterator[int] = itertools.count()

    @property
    def role_arn(self) -> str:
        return self.request.role_arn

    def pair(self) -> list[Json]:
        assert self.session.access_key_id
        return a_pair(self.session.access_key_id, self.role_arn, self.session.session_name, self.session.begun_at)

    def identity(self, key: str | None = "") -> Json:
        own = self.session.access_key_id if key == "" else key
        return a_session(own, self.role_arn, self.session.session_name, self.session.begun_at)

    def use(self, key: str | None = "", **changed: Any) -> Json:
        return a_use(None, self.session.begun_at + MINUTE, session=self.identity(key), **changed)

    def take(self, *records: object) -> None:
        take(self.stage.trail, f"{next(self.files):032x}", records, self.stage.now)

    def balance(self) -> Balanced:
        world = self.stage.world
        return balance(
            world.trail(), world.day_chains(), now=world.now(), found=self.bypasses.append, missed=self.missed.append
        )

    def recorded(self) -> list[tuple[str, Mapping[str, Detail]]]:
        """What is on the chains of the days, by session."""
        day = self.stage.requests.day(self.stage.now.date(), after=None, limit=1_000)
        told = [(each.event.type, each.event.details) for each in day.items if each.chain.startswith("day-")]
        return sorted(told, key=lambda each: str(each[1]["session_name"]))

    def after(self, length: timedelta = SEEN_WITHIN) -> Balanced:
        self.stage.pass_time(length)
        return self.balance()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_session_that_cloudtrail_tells_of_is_neither_missed_nor_a_bypass(desk: Desk) -> None:
    desk.take(*desk.pair(), desk.use())
    assert desk.after() == Balanced(0, 0, 1, ())
    assert desk.after() == Balanced(0, 0, 0, ())
    assert (desk.bypasses, desk.missed) == ([], [])


def test_a_session_that_cloudtrail_does_not_tell_of_is_missed_once_after_half_an_hour(desk: Desk) -> None:
    assert desk.after(SEEN_WITHIN - SECOND) == Balanced(0, 0, 0, ())
    assert desk.after(SECOND) == Balanced(0, 1, 0, ())
    assert desk.after() == Balanced(0, 0, 0, ())
    assert [told["session"] for told in desk.missed] == [desk.session.id]
    assert desk.recorded() == [("session.unseen", desk.missed[0])]


def test_a_use_alone_is_no_assume_role(desk: Desk) -> None:
    desk.take(desk.use())
    assert desk.after() == Balanced(0, 1, 0, ())


@pytest.mark.parametrize("half", [0, 1])
def test_one_account_that_tells_is_enough_to_be_seen(desk: Desk, half: int) -> None:
    desk.take(desk.pair()[half])
    assert desk.after() == Balanced(0, 0, 1, ())


def bypasses(desk: Desk) -> Mapping[str, Sequence[Json]]:
    role, name, at = desk.role_arn, desk.session.session_name, desk.session.begun_at
    tagged = {"daypass:request": desk.request.id}
    return {
        "an AssumeRole": [an_issuance(ZOE, role, "zoe", at, by=ZOES)],
        "that is used": [
            an_issuance(ZOE, role, "zoe", at, by=ZOES),
            a_use(None, at, session=a_session(ZOE, role, "zoe", at)),
            a_use(None, at, session=a_session(None, role, "zoe", at)),
            a_use(None, at, session=a_session("ASIASERVICE000000001", role, "zoe", at)),
        ],
        "with the session's name": [an_issuance(ZOE, role, name, at, by=ZOES)],
        "with the request's tag": [an_issuance(ZOE, role, "zoe", at, by=ZOES, tags=tagged)],
        "by the broker itself": [an_issuance(ZOE, role, name, at + MINUTE, by=BROKERS_OWN, tags=tagged)],
        "a use alone": [a_use(None, at, session=a_session(ZOE, role, "zoe", at))],
        "a use without a key": [a_use(None, at, session=a_session(None, role, "zoe", at))],
        "with the name, much later": [a_use(None, at, session=a_session(ZOE, role, name, at + timedelta(hours=9)))],
        "from a session of nobody's": [an_issuance(ZOE, role, "zoe", at, by=a_session("ASIAX", DEPLOY, "x"))],
    }


@pytest.mark.parametrize("how", bypasses(Desk()))
def test_a_bypass_is_found_once_whatever_it_pretends_to_be_and_in_any_order_of_files(how: str) -> None:
    for order in itertools.permutations(range(len(bypasses(Desk())[how]))):
        desk = Desk()
        records = bypasses(desk)[how]
        for number in order:
            desk.take(records[number])
            desk.take(records[number])
        desk.take(*desk.pair(), desk.use())
        assert desk.after(JUDGED_AFTER - SECOND).bypasses == 0
        desk.after()
        desk.take(*records)
        assert len(desk.bypasses) == 1
        assert desk.after().bypasses == 0
        assert desk.recorded() == [("bypass.found", desk.bypasses[0])]
        assert TOKEN not in str(desk.bypasses)


def test_a_bypass_is_told_with_who_when_from_where_and_with_which_key(desk: Desk) -> None:
    at = desk.session.begun_at
    made = an_issuance(ZOE, desk.role_arn, "zoe", at, by=ZOES, tags={"daypass:request": "01K"})
    desk.take(made, a_use(None, at + MINUTE, session=a_session(ZOE, desk.role_arn, "zoe", at)))
    desk.after()
    assert desk.bypasses == [
        {
            "role_arn": desk.role_arn,
            "session_name": "zoe",
            "access_key_id": ZOE,
            "issued_at": made["eventTime"],
            "first_use": desk.use()["eventTime"],
            "by": ZOES["arn"],
            "by_kind": "IAMUser",
            "by_account": TARGET,
            "by_key": ZOES["accessKeyId"],
            "address": "192.0.2.1",
            "claims": "01K",
        }
    ]


def chained(desk: Desk) -> list[Json]:
    """From the request's session to a role of nobody's, and from there to a managed one, which is used."""
    at, managed = desk.session.begun_at, "arn:aws:iam::222222222222:role/daypass/Other"
    first, second = "ASIACHAINED000000001", "ASIACHAINED000000002"
    return [
        an_issuance(first, DEPLOY, "cdk", at + MINUTE, by=desk.identity()),
        an_issuance(second, managed, "other", at + MINUTE, by=a_session(first, DEPLOY, "cdk", at + MINUTE)),
        a_use(None, at + 2 * MINUTE, session=a_session(second, managed, "other", at + MINUTE)),
    ]


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_a_managed_role_that_a_request_went_on_to_is_no_bypass_in_any_order_of_files(order: tuple[int, ...]) -> None:
    desk = Desk()
    records = chained(desk)
    for number in order:
        desk.take(records[number])
    desk.take(*desk.pair())
    assert desk.after() == Balanced(0, 0, 2, ())


@pytest.mark.parametrize("missing", [0, 1])
def test_where_a_link_is_missing_it_is_one(missing: int) -> None:
    desk = Desk()
    desk.take(*desk.pair(), *(each for number, each in enumerate(chained(desk)) if number != missing))
    assert desk.after().bypasses == 1


def test_what_a_service_signs_or_tells_without_a_key_is_the_sessions(desk: Desk) -> None:
    desk.take(desk.use(None), desk.use("ASIASERVICE000000001"), a_denial(by=desk.identity()))
    desk.take(*desk.pair())
    assert desk.after() == Balanced(0, 0, 1, ())


def test_an_emergency_that_comes_out_of_the_queue_late_is_no_bypass(desk: Desk) -> None:
    """Its file is there before the record is: when it is judged, the record explains it."""
    pair, use = desk.pair(), desk.use()
    known = dict(desk.stage.requests._sessions)
    desk.stage.requests._sessions.clear()
    desk.take(*pair, use)
    assert len(desk.stage.trail.suspected) == 1
    desk.stage.requests._sessions.update(known)
    assert desk.after() == Balanced(0, 0, 2, ())


def test_a_key_that_was_taken_for_the_sessions_until_its_own_assume_role_came_is_found_all_the_same(desk: Desk) -> None:
    known = dict(desk.stage.requests._sessions)
    desk.stage.requests._sessions.clear()
    desk.take(desk.use(ZOE))
    desk.stage.requests._sessions.update(known)
    desk.take(*desk.pair())
    assert desk.after() == Balanced(0, 0, 2, ())
    desk.take(an_issuance(ZOE, desk.role_arn, desk.session.session_name, desk.session.begun_at, by=ZOES))
    assert desk.after() == Balanced(1, 0, 0, ())


def test_a_session_whose_answer_got_lost_is_no_bypass(desk: Desk) -> None:
    key = (desk.request.id, desk.session.id)
    desk.stage.requests._sessions[key] = replace(desk.session, access_key_id=None, expires_at=None, issued_at=None)
    desk.take(*desk.pair(), desk.use())
    assert desk.after() == Balanced(0, 0, 0, ())


def test_what_cannot_be_told_is_due_again_and_silences_nobody_else(desk: Desk) -> None:
    at = desk.session.begun_at
    for name in ("zoe", "zoe2"):
        desk.take(an_issuance(f"ASIA{name}", desk.role_arn, name, at, by=ZOES))
    desk.stage.pass_time(JUDGED_AFTER)

    def deaf(told: Mapping[str, Detail]) -> None:
        if told["session_name"] == "zoe":
            raise Unavailable("nobody hears")

    world = desk.stage.world
    balanced = balance(world.trail(), world.day_chains(), now=desk.stage.now, found=deaf, missed=desk.missed.append)
    assert (balanced.bypasses, len(balanced.failures)) == (1, 1)
    assert desk.balance() == Balanced(1, 0, 0, ())
    assert len(desk.bypasses) == 1
    assert [told["session_name"] for _, told in desk.recorded()] == ["zoe", "zoe2"]


def test_two_people_of_one_role_are_told_apart(desk: Desk) -> None:
    other = desk.stage.asked(ALICE, an_ask("sandbox-admin"))
    desk.stage.lent(other, ALICE)
    [session] = desk.stage.sessions(other.id)
    assert session.access_key_id
    desk.take(*desk.pair(), *a_pair(session.access_key_id, other.role_arn, session.session_name, session.begun_at))
    assert desk.after() == Balanced(0, 0, 2, ())
    assert HUB not in str(desk.bypasses)
