"""The outbox as it is deployed: its handlers, put together by their own wiring, on the records of a real stream."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from chalice.app import DynamoDBEvent
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

import app as deployed
from chalicelib import outbox_wiring, wiring
from chalicelib.aws.safe import Bucket
from chalicelib.aws.signing import DigestKey
from chalicelib.broker import deciding, emergency
from chalicelib.broker.ports import World
from chalicelib.core import digest as digests
from chalicelib.core.ledger import EventType, beginning, next_event
from chalicelib.core.request import Verdict
from chalicelib.core.verifying import chain_of
from chalicelib.slack.posting import WebApi
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION, root
from tests.aws.test_safe import locked
from tests.aws.test_stream import streamed
from tests.hub import Hub
from tests.outbox.newsroom import a_record
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
        "DAYPASS_LEDGER_COPY": f"{locked(clients('s3'))}/daypass",
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


def _place(line: dict[str, Any]) -> tuple[str, int]:
    return str(chain_of(line)), line["seq"]


def test_the_copy_of_a_real_stream_holds_every_event_once_as_it_was_first_told(
    outbox: Hub, embedded_aws: EmbeddedAws, clients: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    stories(outbox.world)
    event = an_event(streamed(embedded_aws, outbox.table))
    for _ in range(2):  # the second time changes nothing
        assert deployed.copy(event, LAMBDA) == {"batchItemFailures": []}
    bucket = str(wiring.environment().ledger_copy).partition("/")[0]
    kept = Bucket(clients("s3"), bucket, "daypass")
    copied = [json.loads(kept.get(each.name, each.version)) for each in kept.stored("events/") if not each.changes]
    today = datetime.now(UTC).date()
    told = outbox.table.day(today, after=None, limit=50).items
    expected = [each.as_json() for each in told]
    assert sorted(copied, key=_place) == sorted(expected, key=_place)
    assert len(copied) == 5
    first = next(r for r in event["Records"] if r["dynamodb"]["NewImage"]["kind"]["S"] == "event")
    id = first["dynamodb"]["NewImage"]["request_id"]["S"]
    forged = a_record(id, next_event(beginning(id), EventType.SUBMITTED, datetime.now(UTC), "eve", {}))
    gone = {**first, "eventName": "REMOVE"}
    assert deployed.copy({"Records": [forged, gone]}, LAMBDA) == {"batchItemFailures": []}
    buried = [vars(line) for line in caplog.records if line.message == "announcement_buried"]
    assert [line["error"] for line in buried] == ["Forged", "Forged"]


def test_the_digests_of_a_real_bucket_are_signed_by_a_real_key_and_found_to_hold(
    outbox: Hub, embedded_aws: EmbeddedAws, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kms = clients("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    monkeypatch.setenv("DAYPASS_DIGEST_KEY", key)
    forget_what_was_made()
    public: Any = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    today = datetime.now(UTC)
    safe = outbox_wiring._safe()
    assert safe is not None
    root = digests.Digest(today.date() - timedelta(days=2), None, {})
    signature = DigestKey(wiring.table().session, key).sign(root.text.encode())
    safe.add(digests.name(root.day), digests.Signed(root, signature).document)
    deployed.digest(SCHEDULED, LAMBDA)
    [first, second] = [digests.read(safe.first(each)) for each in safe.stored("digests/")]
    assert second.digest == root.followed({second.digest.day.isoformat(): digests.Book().statement("")})
    for each in (first, second):
        public.verify(each.signature, each.digest.text.encode(), ECDSA(SHA256()))
    deployed.digest(SCHEDULED, LAMBDA)
    assert len(safe.stored("digests/")) == 2


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
    for name in ("EVENT_BUS", "BREAK_GLASS_TOPIC", "SLACK_BOT_TOKEN", "LEDGER_COPY", "DEAD_LETTERS"):
        monkeypatch.delenv(f"DAYPASS_{name}")
    forget_what_was_made()
    for handler in (deployed.announce, deployed.post, deployed.copy):
        assert handler({"Records": [{"nothing": "of a record"}]}, LAMBDA) == {"batchItemFailures": []}
    deployed.remind(SCHEDULED, LAMBDA)
    deployed.digest(SCHEDULED, LAMBDA)
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


def test_all_read_the_same_stream_from_its_beginning() -> None:
    sources: dict[str, Any] = {each.name: each for each in deployed.app.event_sources if hasattr(each, "stream_arn")}
    assert set(sources) == {"announce", "post", "copy"}
    assert {each.starting_position for each in sources.values()} == {"TRIM_HORIZON"}
    assert len({each.stream_arn for each in sources.values()}) == 1
