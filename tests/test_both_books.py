"""Daypass's record beside CloudTrail's: a story lent on the embedded AWS, with the records that AWS would write of it.

The embedded AWS writes no trail, so the records are made to CloudTrail's documented format, with the keys, ids and
times that STS really answered with.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from chalicelib.broker import lending
from chalicelib.broker.lending import Credentials
from chalicelib.core.account import Account
from chalicelib.core.joining import Books
from chalicelib.core.known import Record, read_events
from chalicelib.core.reckoning import under_daypass
from chalicelib.core.refusals import StsRefused
from chalicelib.core.times import read_stamp
from daypass.local.embedded_aws import EmbeddedAws
from daypass.local.example import REGION, ROOT_SECRET, root
from daypass.operator.reconcile import BYPASSED
from daypass.saying import DONE, ERROR
from tests.builders import NOW
from tests.daypass.conftest import Ran
from tests.hub import Hub
from tests.people import ALICE
from tests.stage import Stage, an_ask, via_oidc, with_role
from tests.trails import (
    BROKERS_OWN,
    DEPLOY,
    HUB,
    MINUTE,
    SIGNING_KEY,
    TARGET,
    Json,
    a_denial,
    a_pair,
    a_record,
    a_session,
    a_signing,
    a_use,
    a_vouched,
    an_issuance,
    file_name,
    zipped,
)

ROOT = Path(__file__).parents[1]
_buckets = itertools.count(1)

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
    """events: the ledger as it is exported. trail: without the denied attempt, which `denied` is the record of."""

    events: list[Json]
    sessions: list[Session]
    trail: list[Json]
    denied: Json

    @property
    def record(self) -> Record:
        return read_events(self.events)


@pytest.fixture
def story(hub: Hub) -> Story:
    """Three sessions of two requests: one is used, once without its key, and goes on to another role; one is not.

    And an attempt that STS refused, since the role asks for another external id than the catalogue's.
    """
    at = hub.world.now() - timedelta(hours=2)  # long enough ago for CloudTrail to have told
    world = replace(hub.world, now=lambda: at)
    lent = [lending.ask_and_lend(world, ALICE, an_ask(role), None) for role in ("sandbox-admin", "payments-read")]
    requests = [each.request_id for each in lent if isinstance(each, Credentials)]
    lending.lend(world, ALICE, requests[0])
    mistaken = with_role("payments-read", external_id="not-the-roles-own")
    with pytest.raises(StsRefused):
        lending.lend(replace(world, catalogue=lambda: mistaken), ALICE, requests[1])
    events: list[Json] = [
        {"request_id": id, **json.loads(json.dumps(event.as_json()))}
        for id in requests
        for event in hub.table.events(id, after=0, limit=50).items
    ]
    [failed] = [event for event in events if event["type"] == "session.failed"]
    denied = a_denial(at, requestID=failed["details"]["sts_request_id"])
    began = {event["details"]["session"]: event for event in events if event["type"] == "session.issuing"}
    sessions = [
        Session(event["request_id"], began[event["details"]["session"]], event)
        for event in events
        if event["type"] == "session.issued"
    ]
    first = sessions[0]
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
    return Story(events, sessions, trail, denied)


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


def test_a_denied_attempt_is_its_requests_by_stss_request_id_or_somebody_elses(story: Story) -> None:
    books = joined(story, [*story.trail, a_denial(by=ZOES), story.denied])
    assert unbalanced(books) == []
    assert {(denial.caller.name, request_id) for denial, request_id in books.denials()} == {
        (ZOES["arn"], None),
        (BROKERS_OWN["arn"], story.sessions[-1].request_id),
    }


class TestVouched:
    """`via = "oidc"`: the hub tells of the signatures, the role's account of the session."""

    @pytest.fixture
    def story(self) -> Story:
        """A session, and an attempt that STS refused although KMS had signed for it."""
        stage = Stage(catalogue=via_oidc("payments-admin"))
        request = stage.approved()
        stage.lent(request)
        stage.lender.refuse_next(calls={"kms_request_id": "kms-2", "sts_request_id": "sts-2"})
        with pytest.raises(StsRefused):
            stage.lent(request)
        events: list[Json] = [{"request_id": request.id, **event.as_json()} for event in stage.history(request.id)]
        [issued] = [event for event in events if event["type"] == "session.issued"]
        issuing = next(event for event in events if event["type"] == "session.issuing")
        session, details = Session(request.id, issuing, issued), issued["details"]
        role, name = (issuing["details"][each] for each in ("role_arn", "session_name"))
        trail = [
            a_vouched(details["access_key_id"], role, name, NOW, requestID=details["sts_request_id"]),
            a_signing(details["kms_request_id"], NOW),
            a_signing("kms-2", NOW),
            a_use(None, NOW + MINUTE, session=session.identity()),
        ]
        denied = a_denial(NOW, requestID="sts-2", eventName="AssumeRoleWithWebIdentity", recipientAccountId=TARGET)
        return Story(events, [session], trail, denied)

    def joined(self, story: Story, trail: list[Json]) -> Books:
        books = Books(story.record, keys=[SIGNING_KEY])
        books.take_file(b"", trail)
        return books

    def test_both_books_balance_and_the_refusal_is_its_requests(self, story: Story) -> None:
        books = self.joined(story, [*story.trail, story.denied])
        assert unbalanced(books) == []
        assert books.signatures is not None
        assert (books.signatures.explained, books.signatures.unexplained()) == (2, [])
        assert list(books.signatures.unseen()) == []
        [account] = books.accounts(under_daypass)
        assert (account.request_id, account.events) == (story.sessions[0].request_id, 1)
        assert [request_id for _, request_id in books.denials()] == [story.sessions[0].request_id]

    def test_a_record_that_is_removed_is_missed_and_a_signature_that_is_added_is_told(self, story: Story) -> None:
        assert unbalanced(self.joined(story, story.trail[1:])) == [(key(story.sessions[0]), "unseen")]
        books = self.joined(story, [story.trail[0], *story.trail[2:], a_signing("kms-9", by=ZOES)])
        assert books.signatures is not None
        assert [known.access_key_id for known in books.signatures.unseen()] == [key(story.sessions[0])]
        assert [each.caller.name for each in books.signatures.unexplained()] == [ZOES["arn"]]


class TestThroughTheCommand:
    """From the trail's bucket, an organization's, beside the exported ledger."""

    @pytest.fixture
    def reconciled(self, story: Story, seeded: EmbeddedAws, tmp_path: Path) -> Callable[[list[Json]], Ran]:
        at = read_stamp(story.sessions[0].issued["at"])
        ledger = tmp_path / "ledger.jsonl"
        ledger.write_text("".join(json.dumps(event) + "\n" for event in story.events))
        where = {"AWS_ACCESS_KEY_ID": HUB, "AWS_SECRET_ACCESS_KEY": ROOT_SECRET, "AWS_DEFAULT_REGION": REGION}
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AWS_ENDPOINT_URL": seeded.url, **where}
        s3: Any = botocore.session.Session().create_client("s3", region_name=REGION, **root(HUB, seeded.url))

        def reconciled(trail: list[Json]) -> Ran:
            bucket = f"trail-{next(_buckets)}-of-both-books"
            s3.create_bucket(Bucket=bucket)
            for account in {record["recipientAccountId"] for record in trail}:
                name = file_name(at + 5 * MINUTE, account=account).replace("AWSLogs/", "org/AWSLogs/o-abcdefghij/")
                told = [record for record in trail if record["recipientAccountId"] == account]
                s3.put_object(Bucket=bucket, Key=name, Body=zipped(told))
            day = str(at.date())
            how = ["--trail", f"s3://{bucket}/org", "--from", day, "--to", day, "--ledger", str(ledger)]
            command = [sys.executable, "-m", "daypass.commands", "reconcile", *how]
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
            return Ran(done.returncode, done.stdout, done.stderr)

        return reconciled

    def test_both_books_balance(self, story: Story, reconciled: Callable[[list[Json]], Ran]) -> None:
        ran = reconciled([*story.trail, story.denied])
        assert (ran.code, ran.err) == (DONE, "")
        assert "bypass" not in ran.out.lower()
        assert "though it should be" not in ran.out
        assert ran.out.count(story.sessions[0].request_id) == 3  # its two sessions, and the one that was come to
        [denied] = [line for line in ran.out.splitlines() if "AccessDenied" in line]
        assert story.sessions[-1].request_id in denied

    def test_what_was_removed_and_what_was_added_are_both_told(
        self, story: Story, reconciled: Callable[[list[Json]], Ran]
    ) -> None:
        bypass = an_issuance(ZOE, story.sessions[0].issuing["details"]["role_arn"], "zoe", by=ZOES)
        ran = reconciled([*story.trail[2:], bypass])
        assert (ran.code, ran.err) == (BYPASSED, "")
        assert "1 bypass, of which no request is known:" in ran.out
        assert any(ZOES["arn"] in line and ZOE in line for line in ran.out.splitlines())
        missed = ran.out.partition("Not in these files, though it should be:")[2]
        assert "its AssumeRole" in next(line for line in missed.splitlines() if story.sessions[0].request_id in line)

    def test_a_bucket_without_logs_of_the_day_is_no_clean_slate(self, reconciled: Callable[[list[Json]], Ran]) -> None:
        ran = reconciled([])
        assert (ran.code, ran.out) == (ERROR, "")
        assert "holds no log files of these days below AWSLogs/" in ran.err
