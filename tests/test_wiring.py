"""The deployed app, put together by its own wiring: called as API Gateway calls it, without any AWS call."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import botocore.session
import pytest
from chalice.app import Chalice
from ulid import ULID

import app as deployed
from chalicelib import outbox_wiring, trail_wiring, wiring
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.table import Table
from chalicelib.broker.ports import Entry
from chalicelib.core.console import site
from chalicelib.core.life import Status, Window
from chalicelib.core.request import Deny, Revocation
from chalicelib.telling import ToldTable
from chalicelib.web.routes import mount_raw
from daypass.local.embedded_aws import EmbeddedAws
from daypass.local.example import Emergencies, root
from tests.builders import HOUR, SECOND, a_request, a_submission
from tests.slack.fake_slack import BOT_TOKEN, SIGNING_SECRET, TEAM, FakeSlack, serving
from tests.stage import EXAMPLE
from tests.watching import counted

ORGANIZATION = {"DAYPASS_API_ID": "abc", "DAYPASS_STAGE": "prod", "DAYPASS_ORGANIZATION_ID": "o-1"}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `.chalice/config.json` sets; the pieces that were made under another environment are made anew."""
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(EXAMPLE, "utf-8")
    settings = {
        "DAYPASS_TABLE": "daypass",
        "DAYPASS_CATALOGUE": str(catalogue),
        "DAYPASS_HUB_ACCOUNT": "123456789012",
        "DAYPASS_LOCAL": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        **ORGANIZATION,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    forget_what_was_made()
    yield
    forget_what_was_made()


def forget_what_was_made() -> None:
    for each in [each for module in (wiring, outbox_wiring, trail_wiring) for each in vars(module).values()]:
        if hasattr(each, "cache_clear"):
            each.cache_clear()


def call(method: str, path: str, identity: dict[str, str] | None = None, **context: str) -> Any:
    event = {
        "httpMethod": method,
        "headers": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "isBase64Encoded": False,
        "body": None,
        "requestContext": {
            "resourcePath": path,
            "httpMethod": method,
            "apiId": "abc",
            "stage": "prod",
            "identity": identity or {},
            **context,
        },
    }
    answer = deployed.app(event, SimpleNamespace(aws_request_id="lambda-1"))
    return answer["statusCode"], json.loads(answer["body"])


def signed_by(arn: str, organization: str = "o-1") -> dict[str, str]:
    return {"userArn": arn, "accountId": arn.split(":")[4], "principalOrgId": organization}


SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-23T12:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/sweep"],
    "detail": {},
}

PIPELINE = "arn:aws:sts::444444444444:assumed-role/pipeline/run-7"


@pytest.mark.usefixtures("environment")
def test_a_signed_caller_of_the_organization_gets_through_the_iam_door_as_its_role() -> None:
    status, me = call("GET", "/iam/v1/me", signed_by(PIPELINE))
    assert (status, me["id"], me["kind"]) == (200, "arn:aws:iam::444444444444:role/pipeline", "workload")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("identity", "context", "status"),
    [
        ({}, {}, 401),
        (signed_by(PIPELINE, "o-2"), {}, 401),
        (signed_by(PIPELINE), {"apiId": "another"}, 401),
        (signed_by(PIPELINE), {"stage": "dev"}, 401),
        (signed_by("arn:aws:iam::444444444444:root"), {}, 401),
        (signed_by("arn:aws:sts::222222222222:assumed-role/PaymentsAdmin/01K-carol"), {}, 403),
    ],
)
def test_nobody_else_gets_through(identity: dict[str, str], context: dict[str, str], status: int) -> None:
    assert call("GET", "/iam/v1/me", identity, **context)[0] == status


@pytest.mark.usefixtures("environment")
def test_health_tells_the_catalogue_and_asks_aws_nothing() -> None:
    status, health = call("GET", "/v1/health")
    assert (status, health["status"]) == (200, "ok")
    assert health["catalogue_digest"] == wiring.catalogue().digest
    assert wiring.world.cache_info().currsize == 0


@pytest.mark.usefixtures("environment")
def test_table_and_sts_share_one_botocore_session() -> None:
    world: Any = wiring.world()
    assert world.requests.session is not None
    credentials = [client._request_signer._credentials for client in (world.requests.client, world.lender._client)]
    assert credentials[0] is credentials[1]


@pytest.mark.usefixtures("environment")
def test_the_console_is_the_partitions_own_and_none_where_none_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    world: Any = wiring.world()
    assert world.console.site == site("aws", "us-east-1")
    forget_what_was_made()
    monkeypatch.setenv("DAYPASS_PARTITION", "aws-iso")
    assert wiring.world().console is None


@pytest.mark.usefixtures("environment")
def test_the_sweeper_tells_each_run_in_one_line(
    table: Table, embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DAYPASS_TABLE", table._name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.url)
    now = datetime.now(UTC).replace(microsecond=0)
    change = a_submission(answer_by=now - HOUR)
    table.submit(change, claim=None, max_open=1, now=now - 2 * HOUR)
    with caplog.at_level(logging.INFO, logger="daypass"):
        deployed.sweep(SCHEDULED, SimpleNamespace(aws_request_id="lambda-1"))
    [line] = [record for record in caplog.records if record.message == "swept"]
    told = vars(line)
    assert (told["expired"], told["ended"], told["failed"], told["finished"]) == (1, 0, 0, True)
    assert [event.type for event in table.events(change.after.id, after=1, limit=9).items] == ["request.expired"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("retain", "let_go"), [("90d", 1), ("91d", 0), (None, None)])
def test_what_is_over_is_let_go_where_the_settings_say_for_how_long_it_is_kept(
    table: Table,
    embedded_aws: EmbeddedAws,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    retain: str | None,
    let_go: int | None,
) -> None:
    monkeypatch.setenv("DAYPASS_TABLE", table._name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.url)
    if retain:
        monkeypatch.setenv("DAYPASS_RETAIN", retain)
    made = datetime.now(UTC).replace(microsecond=0) - timedelta(days=90, hours=12)
    request = a_request(id=str(ULID.from_datetime(made)), status=Status.DENIED, created_at=made, answer_by=made + HOUR)
    table.submit(a_submission(request), claim=None, max_open=1, now=made)
    with caplog.at_level(logging.INFO, logger="daypass"):
        deployed.forget(SCHEDULED, SimpleNamespace(aws_request_id="lambda-1"))
    told = [vars(record)["requests"] for record in caplog.records if record.message == "forgotten"]
    assert told == ([] if let_go is None else [let_go])
    [item] = table.client.query(
        TableName=table._name,
        KeyConditionExpression="pk = :pk AND sk = :sk",
        ExpressionAttributeValues={":pk": {"S": f"request#{request.id}"}, ":sk": {"S": "request"}},
    )["Items"]
    assert ("until" in item) == bool(let_go)


@pytest.mark.usefixtures("environment")
def test_what_the_sweeper_cannot_announce_is_counted_and_told_one_by_one(
    table: Table,
    embedded_aws: EmbeddedAws,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DAYPASS_TABLE", table._name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.url)
    now = datetime.now(UTC).replace(microsecond=0)
    begun = now - 3 * HOUR
    deny = Deny(role_arn="not the ARN of a role", due_at=begun)
    broken = a_submission(
        status=Status.REVOKED,
        window=Window(begun, begun + HOUR),
        sessions_begun=1,
        last_begun=(begun,),
        revocation=Revocation(stopped_at=begun, denies=(deny,)),
    )
    sound = a_submission(answer_by=now - HOUR)
    for change in (broken, sound):
        table.submit(change, claim=None, max_open=9, now=now - 2 * HOUR)
    deployed.sweep(SCHEDULED, SimpleNamespace(aws_request_id="lambda-1"))
    [line] = [record for record in caplog.records if record.message == "announcement_failed"]
    assert vars(line)["id"] == broken.after.id
    assert counted(capsys.readouterr().out)["AnnouncementFailed"] == 1
    assert [event.type for event in table.events(sound.after.id, after=1, limit=9).items] == ["request.expired"]


@pytest.mark.usefixtures("environment")
def test_the_deployed_table_tells_what_it_stores() -> None:
    assert isinstance(wiring.world().requests, ToldTable)


@pytest.fixture
def queue(
    environment: None,
    table: Table,
    embedded_aws: EmbeddedAws,
    emergencies: Emergencies,
    monkeypatch: pytest.MonkeyPatch,
) -> SqsQueue:
    """The deployed stage's own, with its table on the embedded AWS."""
    monkeypatch.setenv("DAYPASS_TABLE", table._name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.url)
    monkeypatch.setenv("DAYPASS_EMERGENCY_QUEUE", emergencies.queue)
    monkeypatch.setenv("DAYPASS_EMERGENCY_KEY", emergencies.key)
    ours = wiring.world().queue
    assert isinstance(ours, SqsQueue)
    return ours


def swept(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """One run of the deployed sweeper, as its log tells it."""
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="daypass"):
        deployed.sweep(SCHEDULED, SimpleNamespace(aws_request_id="lambda-1"))
    return [(record.levelname, record.message) for record in caplog.records if record.name == "daypass"]


def test_the_sweeper_drains_the_emergency_queue_first_and_tells_each_message(
    queue: SqsQueue, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    change = a_submission(created_at=datetime.now(UTC).replace(microsecond=0) - HOUR)
    queue.put(Entry(change.after, change.events))
    queue._sqs.send_message(
        QueueUrl=queue._url, MessageBody="forged", MessageGroupId="g", MessageDeduplicationId=change.after.id
    )
    assert swept(caplog) == [("WARNING", "emergency_drained"), ("ERROR", "emergency_set_aside"), ("INFO", "swept")]
    assert vars(caplog.records[-3])["request_id"] == change.after.id
    assert vars(caplog.records[-3])["outcome"] == "written"
    assert table.get(change.after.id) == change.after


def test_given_the_emergency_queue_does_not_answer_then_that_is_told_and_the_sweeper_goes_on(
    queue: SqsQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue._url = queue._url.replace("emergencies", "gone")
    assert swept(caplog) == [("ERROR", "draining_stopped"), ("INFO", "swept")]


def test_given_a_bug_with_a_message_then_that_is_told_with_its_traceback_and_the_sweeper_goes_on(
    queue: SqsQueue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = a_submission()
    queue.put(Entry(change.after, change.events))
    queue.unsealed = lambda message: 1 // 0  # type: ignore[method-assign,assignment,return-value]
    assert swept(caplog) == [("ERROR", "draining_failed"), ("INFO", "swept")]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


@pytest.mark.usefixtures("environment")
def test_without_its_settings_there_is_no_emergency_queue() -> None:
    assert wiring.world().queue is None


@pytest.mark.parametrize("name", ["sweep", "remind"])
def test_the_sweeper_and_the_reminders_run_every_five_minutes(name: str) -> None:
    source: Any
    [source] = [each for each in deployed.app.event_sources if each.name == name]
    assert source.schedule_expression.to_string() == "rate(5 minutes)"


@pytest.mark.usefixtures("environment")
def test_ids_and_salts_are_never_the_same_and_the_clock_has_whole_seconds() -> None:
    world = wiring.world()
    assert len({world.new_id() for _ in range(1000)} | {world.new_salt() for _ in range(1000)}) == 2000
    for _ in range(1000):
        before, now, after = datetime.now(UTC), world.now(), datetime.now(UTC)
        assert before - SECOND < now <= after, "it may be less than a second behind and never ahead"
        assert (now.microsecond, now.utcoffset()) == (0, timedelta(0))


def knock(body: str, headers: dict[str, str]) -> Any:
    """A call of Slack's address, as API Gateway hands it to the deployed app."""
    event = {
        "httpMethod": "POST",
        "headers": {"content-type": "application/x-www-form-urlencoded", **headers},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "isBase64Encoded": False,
        "body": body,
        "requestContext": {"resourcePath": "/slack/events", "httpMethod": "POST", "identity": {}},
    }
    context = SimpleNamespace(aws_request_id="lambda-1", function_name="daypass-prod")
    app = Chalice(app_name="daypass-test")  # whose door was not made under another test's settings
    mount_raw(app, "POST", "/slack/events", wiring.slack(app))
    return app(event, context)


@pytest.mark.usefixtures("environment")
def test_without_its_secrets_the_slack_door_is_shut() -> None:
    answer = knock("text=list", FakeSlack(time.time).signed("text=list"))
    assert answer["statusCode"] == 401
    assert "shut" in json.loads(answer["body"])["detail"]


@pytest.mark.usefixtures("environment")
def test_with_its_secrets_by_arn_the_slack_door_is_open(
    table: Table, embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = botocore.session.Session().create_client
    ssm: Any = client("ssm", region_name="us-east-1", **root("123456789012", embedded_aws.url))
    secrets: Any = client("secretsmanager", region_name="us-east-1", **root("123456789012", embedded_aws.url))
    ssm.put_parameter(Name="/daypass/wired-token", Value=BOT_TOKEN, Type="SecureString")
    arn = secrets.create_secret(Name="daypass/wired-signing", SecretString=SIGNING_SECRET)["ARN"]
    monkeypatch.setenv("DAYPASS_SLACK_SIGNING_SECRET", arn)
    monkeypatch.setenv("DAYPASS_SLACK_BOT_TOKEN", "arn:aws:ssm:us-east-1:123456789012:parameter/daypass/wired-token")
    monkeypatch.setenv("DAYPASS_TABLE", table._name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.url)
    slack = FakeSlack(time.time)
    carol = slack.join("carol")
    with serving(slack):
        monkeypatch.setenv("DAYPASS_SLACK_API", f"{slack.url}/api/")
        body = urlencode({"team_id": TEAM, "user_id": carol.id, "command": "/daypass", "text": "list"})
        answer = knock(body, slack.signed(body))
    assert answer["statusCode"] == 200
    assert "daypass slack-bind" in answer["body"]
    assert slack.methods() == ["users.info"]
    assert BOT_TOKEN not in answer["body"]
    assert knock(body, slack.signed(body, secret="another"))["statusCode"] == 401
