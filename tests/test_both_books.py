"""Daypass's record beside CloudTrail's: a story lent on the embedded AWS, with the records that AWS would write of it.

The embedded AWS writes no trail, so the records are made to CloudTrail's documented format, with the keys, ids and
times that STS really answered with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.broker import lending
from chalicelib.broker.lending import Credentials
from chalicelib.core.account import Account
from chalicelib.core.joining import Books
from chalicelib.core.known import Record, read_events
from chalicelib.core.reckoning import under_daypass
from chalicelib.core.times import read_stamp
from tests.hub import Hub
from tests.people import ALICE
from tests.stage import an_ask
from tests.trails import (
    BROKERS_OWN,
    DEPLOY,
    HUB,
    MINUTE,
    TARGET,
    Json,
    a_denial,
    a_pair,
    a_record,
    a_session,
    a_use,
    an_issuance,
)

CHAINED, ZOE = "ASIACHAINED000000001", "ASIAZOE0000000000001"
ZOES = {
    "type": "IAMUser",
    "arn": f"arn:aws:iam::{TARGET}:user/zoe",
    "accountId": TARGET,
    "accessKeyId": "AKIAZOE0000000000001",
}


@dataclass(frozen=True)
class Session:
    """One that Daypass lent, as its own record tells it, and what AWS would call it in CloudTrail."""

    request_id: str
    issuing: Json
    issued: Json

    def pair(self) -> list[Json]:
        details = self.issued["details"]
        pair = a_pair(
            details["access_key_id"],
            self.issuing["details"]["role_arn"],
            self.issuing["details"]["session_name"],
            read_stamp(self.issued["at"]),
            tags={"daypass:request": self.request_id},
            requestID=details["sts_request_id"],
        )
        for record in pair:
            record["responseElements"]["assumedRoleUser"]["assumedRoleId"] = details["assumed_role_id"]
        return pair

    def identity(self, *, keyless: bool = False) -> Json:
        details = self.issued["details"]
        return a_session(
            None if keyless else details["access_key_id"],
            self.issuing["details"]["role_arn"],
            self.issuing["details"]["session_name"],
            read_stamp(self.issued["at"]),
            principalId=details["assumed_role_id"],
        )


@dataclass(frozen=True)
class Story:
    record: Record
    sessions: list[Session]
    trail: list[Json]


@pytest.fixture
def story(hub: Hub) -> Story:
    """Three sessions of two requests: one is used, once without its key, and goes on to another role; one is not."""
    lent = [lending.ask_and_lend(hub.world, ALICE, an_ask(role), None) for role in ("sandbox-admin", "payments-read")]
    requests = [each.request_id for each in lent if isinstance(each, Credentials)]
    lending.lend(hub.world, ALICE, requests[0])
    events: list[Json] = [
        {"request_id": id, **json.loads(json.dumps(event.as_json()))}
        for id in requests
        for event in hub.table.events(id, after=0, limit=50).items
    ]
    began = {event["details"]["session"]: event for event in events if event["type"] == "session.issuing"}
    sessions = [
        Session(event["request_id"], began[event["details"]["session"]], event)
        for event in events
        if event["type"] == "session.issued"
    ]
    first = sessions[0]
    at = read_stamp(first.issued["at"])
    deploy = DEPLOY.replace(TARGET, first.issuing["details"]["role_arn"].split(":")[4])
    trail = [
        *(record for session in sessions for record in session.pair()),
        a_use(None, at + MINUTE, session=first.identity()),
        a_use(None, at + 2 * MINUTE, session=first.identity(keyless=True), action="s3:PutObject"),
        an_issuance(CHAINED, deploy, "cdk", at + MINUTE, by=first.identity()),
        a_use(None, at + 2 * MINUTE, session=a_session(CHAINED, deploy, "cdk", at + MINUTE)),
        a_use(None, at + MINUTE, session=sessions[1].identity(), errorCode="AccessDenied"),
        a_use(None, at, session=BROKERS_OWN, action="dynamodb:TransactWriteItems"),
        a_record(at),
    ]
    return Story(read_events(events), sessions, trail)


def joined(story: Story, trail: list[Json]) -> Books:
    books = Books(story.record)
    books.take_file(b"", trail)
    return books


def unbalanced(books: Books) -> list[tuple[str | None, Any]]:
    """What one book has and the other has not, by access key."""

    def why(account: Account) -> Any:
        if account.bypass:
            return "bypass"
        return sorted(account.unseen_in) if account.issued_at else "unseen"

    told = [(account.access_key_id, why(account)) for account in books.accounts(under_daypass)]
    return [(key, difference) for key, difference in told if difference]


def key(session: Session) -> str:
    told: str = session.issued["details"]["access_key_id"]
    return told


def test_both_books_balance_and_every_event_is_its_requests(story: Story) -> None:
    books = joined(story, story.trail)
    assert unbalanced(books) == []
    found = {account.access_key_id: account for account in books.accounts(under_daypass)}
    assert {each: account.request_id for each, account in found.items()} == {
        **{key(session): session.request_id for session in story.sessions},
        CHAINED: story.sessions[0].request_id,
    }
    assert [found[key(session)].events for session in story.sessions] == [3, 1, 0]
    assert found[key(story.sessions[0])].actions == {"s3:GetObject": 1, "s3:PutObject": 1, "sts:AssumeRole": 1}
    assert found[CHAINED].events == 1
    assert found[key(story.sessions[1])].errors == {"AccessDenied": 1}


def test_any_event_of_an_assume_role_that_is_removed_is_missed_in_that_account(story: Story) -> None:
    for number, session in enumerate(story.sessions):
        role = session.issuing["details"]["role_arn"].split(":")[4]
        for half, account in ((2 * number, HUB), (2 * number + 1, role)):
            trail = story.trail[:half] + story.trail[half + 1 :]
            assert unbalanced(joined(story, trail)) == [(key(session), [account])]


def test_a_session_that_is_removed_from_both_trails_is_missed_used_or_not(story: Story) -> None:
    for number, session in enumerate(story.sessions):
        trail = story.trail[: 2 * number] + story.trail[2 * number + 2 :]
        assert unbalanced(joined(story, trail)) == [(key(session), "unseen")]


def test_a_bypass_that_is_added_is_told_whatever_it_pretends_to_be(story: Story) -> None:
    session = story.sessions[0]
    role, name = (session.issuing["details"][name] for name in ("role_arn", "session_name"))
    at = read_stamp(session.issued["at"])
    for bypass in (
        an_issuance(ZOE, role, "zoe", at, by=ZOES),
        an_issuance(ZOE, role, name, at, by=ZOES),
        an_issuance(ZOE, role, "zoe", at, by=ZOES, tags={"daypass:request": session.request_id}),
        an_issuance(ZOE, role, name, at + MINUTE, by=BROKERS_OWN, tags={"daypass:request": session.request_id}),
        a_use(None, at, session=a_session(ZOE, role, "zoe", at)),
        a_use(None, at, session=a_session(None, role, "zoe", at)),
    ):
        told = [(found, what) for found, what in unbalanced(joined(story, [*story.trail, bypass])) if what == "bypass"]
        assert told in ([(ZOE, "bypass")], [(None, "bypass")])


def test_removed_and_added_at_once_are_both_told(story: Story) -> None:
    bypass = an_issuance(ZOE, story.sessions[0].issuing["details"]["role_arn"], "zoe", by=ZOES)
    told = unbalanced(joined(story, [*story.trail[2:], bypass]))
    assert set(told) == {(key(story.sessions[0]), "unseen"), (ZOE, "bypass")}


def test_a_denied_attempt_is_told_and_is_no_session(story: Story) -> None:
    books = joined(story, [*story.trail, a_denial(by=ZOES)])
    assert unbalanced(books) == []
    ((denial, request_id),) = books.denials()
    assert (denial.caller.name, request_id) == (ZOES["arn"], None)
    ours = a_denial(requestID=story.sessions[0].issued["details"]["sts_request_id"])
    ((_, request_id),) = joined(story, [*story.trail, ours]).denials()
    assert request_id == story.sessions[0].request_id
