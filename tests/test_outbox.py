"""The outbox as it is deployed: its handlers, put together by their own wiring, on the records of a real stream."""

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
from chalice.app import DynamoDBEvent

import app as deployed
from chalicelib import outbox_wiring, wiring
from chalicelib.broker import deciding, emergency
from chalicelib.broker.ports import World
from chalicelib.core.ledger import EventType
from chalicelib.core.request import Verdict
from chalicelib.slack.posting import WebApi
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION, root
from tests.aws.test_stream import streamed
from tests.hub import Hub
from tests.people import CAROL, DAVE, FRANK
from tests.slack.workspace import BOT_TOKEN, FakeSlack, Fault, Workspace, serving
from tests.stage import EXAMPLE, an_ask
from tests.test_wiring import SCHEDULED, forget_what_was_made

LAMBDA = SimpleNamespace(aws_request_id="lambda-1", function_name="daypass-prod-post")
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/daypass/stream/2031-03-05T12:00:00.000"


@pytest.fixture(scope="module")
def clients(embedded_aws: EmbeddedAws) -> Callable[[str], Any]:
    session: Any = boto3.Session(region_name=REGION)
    return cache(lambda service: session.client(service, **root(HUB_ACCOUNT, embedded_aws.url)))


@pytest.fixture
def outbox(
    tmp_path: Path, hub: Hub, embedded_aws: EmbeddedAws, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """The environment of the deployed functions, with a bus, a topic, a token and a queue for dead letters."""
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(EXAMPLE, "utf-8")
    name = hub.table._name
    secret = clients("secretsmanager").create_secret(Name=f"{name}/bot", SecretString=BOT_TOKEN)["ARN"]
    settings = {
        "DAYPASS_TABLE": name,
        "DAYPASS_CATALOGUE": str(catalogue),
        "DAYPASS_HUB_ACCOUNT": HUB_ACCOUNT,
        "DAYPASS_LOCAL": "true",
        "DAYPASS_EVENT_BUS": clients("events").create_event_bus(Name=name)["EventBusArn"],
        "DAYPASS_BREAK_GLASS_TOPIC": clients("sns").create_topic(Name=name)["TopicArn"],
        "DAYPASS_SLACK_BOT_TOKEN": secret,
        "DAYPASS_DEAD_LETTERS": clients("sqs").create_queue(QueueName=name)["QueueUrl"],
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": HUB_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": embedded_aws.url,
    }
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    forget_what_was_made()
    yield hub
    forget_what_was_made()


def an_event(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What Lambda makes of the stream's records."""
    for record in records:
        record["eventSourceARN"] = STREAM
        created = record["dynamodb"]["ApproximateCreationDateTime"]
        record["dynamodb"]["ApproximateCreationDateTime"] = created.timestamp()
    return {"Records": json.loads(json.dumps(records))}


def stories(world: World) -> list[str]:
    from chalicelib.broker.asking import ask

    approved = ask(world, CAROL, an_ask(), None).request
    deciding.approve(world, FRANK, approved.id, comment="go ahead", duration=None)
    fire = ask(world, CAROL, an_ask(reason="payments are down for everybody", break_glass=True), None).request
    emergency.review(world, DAVE, fire.id, verdict=Verdict.JUSTIFIED, comment="seen")
    return [approved.id, fire.id]


def test_the_handlers_announce_page_and_post_what_a_real_stream_tells(
    outbox: Hub, embedded_aws: EmbeddedAws, clients: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    approved, fire = stories(outbox.world)
    chains, at = outbox.world.day_chains(), outbox.world.now()
    chains.append(EventType.ACTIVITY_READ, at=at, actor="dave@example.com", details={"request": fire})
    event = an_event(streamed(embedded_aws, outbox.table))
    workspace = Workspace()
    with caplog.at_level(logging.INFO, logger="daypass"):
        for _ in range(2):  # the second time changes nothing
            assert deployed.announce(event, LAMBDA) == {"batchItemFailures": []}
            assert outbox_wiring.post(event["Records"], FakeSlack(workspace)) == {"batchItemFailures": []}
    assert sorted(each.metadata["event_payload"]["id"] for each in workspace.messages() if each.metadata) == sorted(
        [approved, fire]
    )
    told = [
        (vars(line)["lines"], vars(line)["failed"])
        for line in caplog.records
        if line.message in ("announced", "posted")
    ]
    assert told == [(6, None)] * 4


def test_the_handlers_take_chalices_event_and_give_lambda_its_answer(outbox: Hub, embedded_aws: EmbeddedAws) -> None:
    stories(outbox.world)
    event = an_event(streamed(embedded_aws, outbox.table))
    assert len(list(DynamoDBEvent(event, {}))) == len(event["Records"])
    broken = event["Records"][-1]
    assert deployed.announce({"Records": [broken]}, LAMBDA) == {"batchItemFailures": []}


def test_given_slack_fails_then_the_answer_names_the_record(outbox: Hub, embedded_aws: EmbeddedAws) -> None:
    stories(outbox.world)
    event = an_event(streamed(embedded_aws, outbox.table))
    lines = [r for r in event["Records"] if r["dynamodb"]["NewImage"]["kind"]["S"] == "event"]
    workspace = Workspace(faults=[Fault(retry_after=5)])
    answer = outbox_wiring.post(event["Records"], FakeSlack(workspace))
    assert answer == {"batchItemFailures": [{"itemIdentifier": lines[0]["dynamodb"]["SequenceNumber"]}]}


def test_a_poisoned_record_is_buried_and_told(
    outbox: Hub, embedded_aws: EmbeddedAws, clients: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    stories(outbox.world)
    event = an_event(streamed(embedded_aws, outbox.table))
    poisoned = next(r for r in event["Records"] if r["dynamodb"]["NewImage"]["kind"]["S"] == "event")
    poisoned["dynamodb"]["NewImage"]["hash"] = {"S": "0" * 64}
    assert deployed.announce(event, LAMBDA) == {"batchItemFailures": []}
    [line] = [line for line in caplog.records if line.message == "announcement_buried"]
    assert vars(line)["sequence_number"] == poisoned["dynamodb"]["SequenceNumber"]
    [letter] = clients("sqs").receive_message(QueueUrl=wiring.environment().dead_letters)["Messages"]
    assert json.loads(letter["Body"])["keys"] == poisoned["dynamodb"]["Keys"]


def test_the_token_comes_from_the_secret_that_is_named(outbox: Hub) -> None:
    workspace = Workspace()
    slack = outbox_wiring.web_slack()
    assert isinstance(slack, WebApi)
    with serving(workspace) as url:
        ours = WebApi(slack._token, url)
        assert ours.find("#sre-approvals", "01K", datetime.now(UTC)) is None
    assert workspace.calls == ["conversations.list", "conversations.history"]


def test_given_the_secret_cannot_be_read_then_the_stream_waits_for_it(
    outbox: Hub, embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = f"arn:aws:secretsmanager:{REGION}:{HUB_ACCOUNT}:secret:nowhere-AbCdEf"
    monkeypatch.setenv("DAYPASS_SLACK_BOT_TOKEN", gone)
    forget_what_was_made()
    stories(outbox.world)
    with caplog.at_level(logging.INFO, logger="daypass"):
        answer = deployed.post(an_event(streamed(embedded_aws, outbox.table)), LAMBDA)
    assert len(answer["batchItemFailures"]) == 1
    [line] = [vars(line) for line in caplog.records if line.message == "posted"]
    assert line["why"] == "Daypass cannot read a secret that it needs: its log says which."


def test_where_nothing_is_named_nobody_is_told(outbox: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVENT_BUS", "BREAK_GLASS_TOPIC", "SLACK_BOT_TOKEN", "DEAD_LETTERS"):
        monkeypatch.delenv(f"DAYPASS_{name}")
    forget_what_was_made()
    for handler in (deployed.announce, deployed.post):
        assert handler({"Records": [{"nothing": "of a record"}]}, LAMBDA) == {"batchItemFailures": []}
    deployed.remind(SCHEDULED, LAMBDA)
    assert wiring.world.cache_info().currsize == 0


def test_what_slack_will_not_tell_is_one_line(
    outbox: Hub, embedded_aws: EmbeddedAws, caplog: pytest.LogCaptureFixture
) -> None:
    approved, fire = stories(outbox.world)
    event = an_event(streamed(embedded_aws, outbox.table))
    outbox_wiring.post(event["Records"], FakeSlack(Workspace(channels={})))
    told = [vars(line) for line in caplog.records if line.message == "slack_not_told"]
    assert [(line["id"], line["place"], line["error"]) for line in told] == [
        (approved, "#sre-approvals", "channel_not_found"),
        (fire, "#sre-approvals", "channel_not_found"),
    ]


def test_both_read_the_same_stream_from_its_beginning() -> None:
    sources: dict[str, Any] = {each.name: each for each in deployed.app.event_sources if hasattr(each, "stream_arn")}
    assert set(sources) == {"announce", "post"}
    assert {each.starting_position for each in sources.values()} == {"TRIM_HORIZON"}
    assert len({each.stream_arn for each in sources.values()}) == 1
