"""The readers of CloudTrail's files as they are deployed, told by a real bucket's notifications, on a real table."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

import app as deployed
from chalicelib import trail_wiring, wiring
from chalicelib.aws.notifications import Delivered, NoNotification, delivered
from chalicelib.broker import lending
from chalicelib.broker.lending import Credentials
from chalicelib.core.activity import doings, of_session
from chalicelib.core.known import SEEN_WITHIN
from chalicelib.core.noting import Place
from chalicelib.core.request import Session
from chalicelib.core.times import stamp
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION, root
from tests.hub import Hub
from tests.people import ALICE
from tests.stage import EXAMPLE, an_ask
from tests.test_template import OUTBOX
from tests.test_wiring import forget_what_was_made
from tests.trails import MINUTE, TOKEN, Json, a_pair, a_session, a_use, an_issuance, file_name, zipped

LAMBDA = SimpleNamespace(aws_request_id="lambda-1", function_name="daypass-prod-trail")


@pytest.fixture(scope="module")
def clients(embedded_aws: EmbeddedAws) -> Callable[[str], Any]:
    session: Any = boto3.Session(region_name=REGION)
    return cache(lambda service: session.client(service, **root(HUB_ACCOUNT, embedded_aws.url)))


def resolved(part: Any, queue: str, bucket: str) -> Any:
    """The template's queue policy as CloudFormation writes it."""
    if isinstance(part, list):
        return [resolved(each, queue, bucket) for each in part]
    if not isinstance(part, dict):
        return part
    if "Fn::GetAtt" in part:
        return queue
    if "Fn::Sub" in part:
        return part["Fn::Sub"].replace("${AWS::Partition}", "aws").replace("${TrailBucket}", bucket)
    return {name: resolved(each, queue, bucket) for name, each in part.items()}


class Trail:
    """A trail's bucket, the queue that it tells, and the hub whose sessions are in its files."""

    def __init__(self, hub: Hub, clients: Callable[[str], Any]) -> None:
        self.hub, self.clients = hub, clients
        self.bucket = hub.table._name
        clients("s3").create_bucket(Bucket=self.bucket)
        self.queue: str = clients("sqs").create_queue(QueueName=f"{self.bucket}-trail")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{HUB_ACCOUNT}:{self.bucket}-trail"
        policy = resolved(OUTBOX["Resources"]["TrailFilesPolicy"]["Properties"]["PolicyDocument"], arn, self.bucket)
        clients("sqs").set_queue_attributes(QueueUrl=self.queue, Attributes={"Policy": json.dumps(policy)})
        clients("s3").put_bucket_notification_configuration(
            Bucket=self.bucket,
            NotificationConfiguration={
                "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}],
            },
        )
        self.minutes = iter(range(1_000))

    def deliver(self, *records: object, name: str | None = None) -> str:
        key = name or file_name(datetime.now(UTC) + next(self.minutes) * MINUTE)
        self.clients("s3").put_object(Bucket=self.bucket, Key=key, Body=zipped(records))
        return key

    def event(self) -> dict[str, Any]:
        """What Lambda makes of the queue's messages."""
        messages: list[Any] = []
        while some := self.clients("sqs").receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            messages += some
            for each in some:
                self.clients("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
        return {
            "Records": [
                {"messageId": each["MessageId"], "body": each["Body"], "eventSource": "aws:sqs"} for each in messages
            ]
        }

    def lent(self) -> Session:
        lent = lending.ask_and_lend(self.hub.world, ALICE, an_ask("sandbox-admin"), None)
        assert isinstance(lent, Credentials)
        story = self.hub.table.story(lent.request_id)
        assert story
        self.role_arn = story[0].role_arn
        return story[1][0]

    def records(self, session: Session) -> list[Json]:
        assert session.access_key_id
        identity = a_session(session.access_key_id, self.role_arn, session.session_name, session.begun_at)
        pair = a_pair(session.access_key_id, self.role_arn, session.session_name, session.begun_at)
        return [*pair, a_use(None, session.begun_at + MINUTE, session=identity)]

    def told(self, session: Session) -> Any:
        told = wiring.trail().told(Place(self.role_arn, session.session_name), most=100)
        return doings(of_session(session, told.notes))


@pytest.fixture
def trail(
    tmp_path: Path, hub: Hub, embedded_aws: EmbeddedAws, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Trail]:
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(EXAMPLE, "utf-8")
    settings = {
        "DAYPASS_TABLE": hub.table._name,
        "DAYPASS_CATALOGUE": str(catalogue),
        "DAYPASS_HUB_ACCOUNT": HUB_ACCOUNT,
        "DAYPASS_LOCAL": "true",
        "DAYPASS_TRAIL": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": HUB_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": embedded_aws.url,
    }
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    forget_what_was_made()
    yield Trail(hub, clients)
    forget_what_was_made()


def test_a_bucket_tells_a_queue_and_the_handler_notes_what_is_in_the_file_once_however_often(trail: Trail) -> None:
    session = trail.lent()
    trail.deliver(*trail.records(session))
    event = trail.event()
    assert len(event["Records"]) == 2  # S3's test of the queue, and the file
    for _ in range(2):
        assert deployed.take_trail_files(event, LAMBDA) == {"batchItemFailures": []}
    told = trail.told(session)
    assert (told.events, told.actions, len(told.seen_in)) == (1, {"s3:GetObject": 1}, 2)


def test_a_file_that_s3_does_not_give_comes_again_and_the_others_do_not(
    trail: Trail, caplog: pytest.LogCaptureFixture
) -> None:
    session = trail.lent()
    gone = trail.deliver(*trail.records(session))
    trail.deliver(*trail.records(session)[:2])
    trail.clients("s3").delete_object(Bucket=trail.bucket, Key=gone)
    event = trail.event()
    [failed] = deployed.take_trail_files(event, LAMBDA)["batchItemFailures"]
    [body] = [each["body"] for each in event["Records"] if each["messageId"] == failed["itemIdentifier"]]
    assert gone.rpartition("/")[2] in body
    assert (trail.told(session).events, len(trail.told(session).seen_in)) == (0, 2)
    assert "NoSuchKey" in " ".join(str(vars(line).get("why")) for line in caplog.records)


def test_what_is_no_log_is_set_aside_with_its_name_and_does_not_come_again(
    trail: Trail, caplog: pytest.LogCaptureFixture
) -> None:
    key = file_name()
    trail.clients("s3").put_object(Bucket=trail.bucket, Key=key, Body=b"CANARY no gzip")
    trail.deliver(name=f"AWSLogs/{HUB_ACCOUNT}/CloudTrail-Digest/us-east-1/2026/11/24/a.json.gz")
    event = trail.event()
    event["Records"].append({"messageId": "m", "body": "CANARY no JSON"})
    with caplog.at_level(logging.INFO, logger="daypass"):
        assert deployed.take_trail_files(event, LAMBDA) == {"batchItemFailures": []}
    told = [(line.message, vars(line).get("key")) for line in caplog.records if line.name == "daypass"]
    assert told == [("trail_file_set_aside", key), ("trail_message_set_aside", None)]
    assert "CANARY" not in caplog.text


def test_a_bypass_and_an_unseen_session_are_told_once_as_event_line_and_metric(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    session, seen = trail.lent(), trail.lent()
    trail.deliver(*trail.records(seen), an_issuance("ASIAZOE0000000000001", trail.role_arn, "zoe", session.begun_at))
    deployed.take_trail_files(trail.event(), LAMBDA)
    later = session.begun_at + SEEN_WITHIN + MINUTE
    monkeypatch.setattr(trail_wiring, "now", lambda: later)
    with caplog.at_level(logging.INFO, logger="daypass"):
        for _ in range(2):
            trail_wiring.balance()
    lines = [line for line in caplog.records if line.message in ("bypass_found", "session_unseen")]
    assert [(line.levelname, line.message) for line in lines] == [
        ("ERROR", "bypass_found"),
        ("ERROR", "session_unseen"),
    ]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [name for each in metrics for name in ("BypassFound", "SessionUnseen") if name in each] == [
        "BypassFound",
        "SessionUnseen",
    ]
    day = trail.hub.table.day(later.date(), after=None, limit=50).items
    events = {each.event.type: each.event.details for each in day if each.chain.startswith("day-")}
    assert events["bypass.found"]["session_name"] == "zoe"
    assert events["session.unseen"]["session"] == session.id
    assert events["session.unseen"]["issued_at"] == stamp(session.begun_at)
    assert TOKEN not in caplog.text


def test_where_no_trail_is_noted_no_session_is_missed(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    trail.lent()
    monkeypatch.delenv("DAYPASS_TRAIL")
    forget_what_was_made()
    trail_wiring.balance()
    assert wiring.trail().unseen(now=datetime.now(UTC) + 2 * SEEN_WITHIN) != []


def s3s(key: str) -> Json:
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": key}}}]}


@pytest.mark.parametrize("wrapped", [False, True])
def test_s3s_notification_is_read_with_its_encoded_key_and_in_snss_envelope_too(wrapped: bool) -> None:
    key = f"a prefix/{file_name()}"
    body = json.dumps(s3s(key.replace(" ", "+").replace("=", "%3D")))
    told = json.dumps({"Type": "Notification", "MessageId": "m", "Message": body}) if wrapped else body
    assert list(delivered(told)) == [Delivered("b", key)]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}),
        json.dumps({"Records": []}),
        json.dumps(s3s("AWSLogs/1/CloudTrail-Digest/x.json.gz")),
        json.dumps(s3s(file_name().replace("_CloudTrail_", "_CloudTrail-Insight_"))),
    ],
)
def test_what_tells_of_no_log_file_is_passed_over(body: str) -> None:
    assert list(delivered(body)) == []


@pytest.mark.parametrize(
    "body",
    [
        *("", "[", "null", "1", "[]", "{}", '{"Records": 1}', '{"Records": [1]}', '{"Type": "Notification"}'),
        "[" * 9_999,
        json.dumps({"Records": [{"s3": {"bucket": {"name": 1}, "object": {"key": "k"}}}]}),
    ],
)
def test_what_is_no_notification_is_refused(body: str) -> None:
    with pytest.raises(NoNotification):
        list(delivered(body))
