"""EventBridge, SNS and SQS, as the embedded AWS really delivers them; the fakes keep the same rules."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from botocore.session import Session

from chalicelib.aws.bus import MOST_BYTES, DeadLetterQueue, EventBus, Topic
from chalicelib.aws.clients import unavailable_where_refused
from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.ports import Bus, Entry, NotTaken, Page, Pager
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION, root
from tests.builders import NOW
from tests.outbox.fakes import FakeBus, FakePager

_names = count(1)
SQS = Any


def an_entry(number: int = 1, size: int = 0) -> Entry:
    return Entry(
        detail_type="request.approved",
        detail=json.dumps({"id": f"01K/{number}", "more": "x" * size}),
        at=NOW,
        resources=("arn:aws:iam::222222222222:role/daypass/Admin",),
    )


@pytest.fixture
def clients(embedded_aws: EmbeddedAws) -> Callable[[str], Any]:
    session: Any = boto3.Session(region_name=REGION)
    return lambda service: session.client(service, **root(HUB_ACCOUNT, embedded_aws.url))


@pytest.fixture
def session(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session as the function has it: its clients find the embedded AWS by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.url)
    session = Session()
    session.set_credentials(HUB_ACCOUNT, "test")
    return session


def a_queue(clients: Callable[[str], Any]) -> tuple[str, str]:
    sqs = clients("sqs")
    open_to_all = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [open_to_all]})
    url = sqs.create_queue(QueueName=f"heard-{next(_names)}", Attributes={"Policy": policy})["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def heard(clients: Callable[[str], Any], url: str, most: int = 10) -> list[Any]:
    """What arrived at a queue, in the order in which it did."""
    sqs, found = clients("sqs"), []
    for _ in range(10):
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if len(found) >= most:
            break
    return found


@dataclass
class Heard:
    """A bus and what its listeners heard of it."""

    bus: Bus
    events: Callable[[int], list[Any]]


@pytest.fixture(params=["fake", "EventBridge"])
def told(request: pytest.FixtureRequest) -> Heard:
    if request.param == "fake":
        fake = FakeBus()

        def as_delivered(_: int) -> list[Any]:
            return [
                {
                    "source": "daypass",
                    "detail-type": entry.detail_type,
                    "detail": json.loads(entry.detail),
                    "resources": list(entry.resources),
                }
                for entry in fake.taken
            ]

        return Heard(fake, as_delivered)
    clients, session = request.getfixturevalue("clients"), request.getfixturevalue("session")
    name, events = f"bus-{next(_names)}", clients("events")
    url, arn = a_queue(clients)
    events.create_event_bus(Name=name)
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": ["daypass"]}))
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    return Heard(EventBus(session, REGION, name), lambda most: heard(clients, url, most))


def test_events_arrive_in_order_with_source_type_detail_and_the_role_they_are_about(told: Heard) -> None:
    told.bus.put([an_entry(number) for number in range(3)])
    events = told.events(3)
    assert [event["detail"]["id"] for event in events] == ["01K/0", "01K/1", "01K/2"]
    assert {(event["source"], event["detail-type"]) for event in events} == {("daypass", "request.approved")}
    assert events[0]["resources"] == ["arn:aws:iam::222222222222:role/daypass/Admin"]


def test_more_than_a_request_takes_arrive_all(told: Heard) -> None:
    told.bus.put([an_entry(number) for number in range(23)])
    assert sorted(int(event["detail"]["id"].partition("/")[2]) for event in told.events(23)) == list(range(23))


def test_nothing_to_tell_is_told(told: Heard) -> None:
    told.bus.put([])


class Stubbed:
    """EventBridge as a script: for each call the number of the entry that it does not take, None: it takes all."""

    def __init__(self, *fails: int | None) -> None:
        self.fails, self.calls = iter(fails), list[list[Any]]()

    def put_events(self, Entries: list[Any]) -> Any:
        self.calls.append(Entries)
        missing = next(self.fails, None)
        results: list[Any] = [{"EventId": str(number)} for number in range(len(Entries))]
        if missing is not None:
            results[missing] = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
        return {"FailedEntryCount": int(missing is not None), "Entries": results}


def a_bus(stub: Stubbed) -> EventBus:
    bus = EventBus(Session(), REGION, "daypass")
    bus.__dict__["_client"] = stub
    return bus


@pytest.mark.parametrize(
    ("fails", "taken"), [((0,), 0), ((3,), 3), ((None, 0), 10), ((None, 9), 19), ((None, None, 2), 22)]
)
def test_given_one_event_is_not_taken_then_it_is_told_which_is_the_first(
    fails: tuple[int | None, ...], taken: int
) -> None:
    stub = Stubbed(*fails)
    with pytest.raises(NotTaken, match="ThrottlingException") as missing:
        a_bus(stub).put([an_entry(number) for number in range(23)])
    assert missing.value.taken == taken
    assert len(stub.calls) == len(fails)


def test_a_request_holds_ten_entries_and_256_kb() -> None:
    stub = Stubbed()
    a_bus(stub).put([*(an_entry(number) for number in range(12)), *(an_entry(number, 100_000) for number in range(5))])
    assert [len(call) for call in stub.calls] == [10, 4, 2, 1]
    sizes = [sum(len(entry["Detail"].encode()) for entry in call) for call in stub.calls]
    assert max(sizes) < MOST_BYTES


def test_the_fake_too_tells_the_first_that_it_does_not_take() -> None:
    bus = FakeBus(fails_at=3)
    with pytest.raises(NotTaken) as missing:
        bus.put([an_entry(number) for number in range(5)])
    assert (missing.value.taken, len(bus.taken)) == (3, 3)


def test_a_bus_that_does_not_answer_took_nothing() -> None:
    session = Session()
    session.set_credentials("a", "b")
    bus = EventBus(session, REGION, "daypass")
    bus._client.meta.events.register("before-send.*.*", refuse)
    with pytest.raises(NotTaken) as missing:
        bus.put([an_entry()])
    assert missing.value.taken == 0


def refuse(**_: Any) -> None:
    from botocore.exceptions import EndpointConnectionError

    raise EndpointConnectionError(endpoint_url="nowhere")


SILENCES = [
    NoCredentialsError(),
    CredentialRetrievalError(provider="x", error_msg="x"),
    ReadTimeoutError(endpoint_url="nowhere"),
    ConnectionClosedError(endpoint_url="nowhere"),
    ResponseParserError("not XML: CANARY"),
    ClientError({"Error": {"Code": "SignatureDoesNotMatch", "Message": "CANARY"}}, "Publish"),
]


@pytest.mark.parametrize("silence", SILENCES, ids=lambda silence: type(silence).__name__)
def test_whatever_keeps_aws_from_taking_it_is_no_for_now_and_told_without_its_words(silence: Exception) -> None:
    def silent(**_: Any) -> None:
        raise silence

    session = Session()
    session.set_credentials("a", "b")
    topic = Topic(session, REGION, f"arn:aws:sns:{REGION}:{HUB_ACCOUNT}:pages")
    topic._client.meta.events.register("before-send.*.*", silent)
    with pytest.raises(Unavailable) as told:
        topic.publish(Page(subject="s", text="t", attributes={}))
    assert "CANARY" not in "".join(traceback.format_exception(told.value))


def test_a_call_that_botocore_finds_wrong_is_a_bug() -> None:
    with pytest.raises(ParamValidationError), unavailable_where_refused("SNS"):
        raise ParamValidationError(report="…")


@pytest.mark.parametrize("name", ["fake", "SNS"])
def test_a_page_arrives_with_its_subject_and_attributes(name: str, request: pytest.FixtureRequest) -> None:
    page = Page(subject="Daypass EMERGENCY", text="The glass was broken.\n", attributes={"severity": "critical"})
    pager: Pager
    if name == "fake":
        fake = pager = FakePager()
        pager.publish(page)
        assert fake.published == [page]
        return
    clients, session = request.getfixturevalue("clients"), request.getfixturevalue("session")
    url, arn = a_queue(clients)
    sns = clients("sns")
    topic = sns.create_topic(Name=f"pages-{next(_names)}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    Topic(session, REGION, topic).publish(page)
    [told] = heard(clients, url, 1)
    assert (told["Subject"], told["Message"]) == (page.subject, page.text)
    assert told["MessageAttributes"]["severity"]["Value"] == "critical"


@pytest.mark.usefixtures("embedded_aws")
def test_a_topic_or_queue_that_is_not_there_is_unavailable_by_its_code(session: Session) -> None:
    page = Page(subject="s", text="t", attributes={})
    with pytest.raises(Unavailable, match="SNS refused: NotFound"):
        Topic(session, REGION, f"arn:aws:sns:{REGION}:{HUB_ACCOUNT}:nowhere").publish(page)
    with pytest.raises(Unavailable, match="SQS refused"):
        DeadLetterQueue(session, REGION, "http://127.0.0.1:9/123456789012/nowhere").bury({})


def test_a_dead_letter_is_kept(clients: Callable[[str], Any], session: Session) -> None:
    url, _ = a_queue(clients)
    DeadLetterQueue(session, REGION, url).bury({"sink": "slack", "error": "KeyError"})
    assert heard(clients, url, 1) == [{"sink": "slack", "error": "KeyError"}]
