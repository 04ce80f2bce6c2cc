"""The emergency queue: the rules of its port, which SQS with KMS and its fake both keep; then what is AWS's own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ParamValidationError, ReadTimeoutError
from botocore.stub import ANY, Stubber
from hypothesis import given

from chalicelib.aws import clients
from chalicelib.aws.queue import HIDDEN, SqsQueue, _digest, _read, _written
from chalicelib.broker import outage
from chalicelib.broker.ports import EmergencyQueue, Entry, NotGenuine, Sealed
from chalicelib.core.ledger import EventType
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Change, Request, Session
from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests import builders
from tests.aws.test_emergencies import an_emergency
from tests.builders import NOW, a_change, a_claim, a_session, an_id
from tests.fakes import FakeQueue
from tests.hub import broker_session
from tests.local.accounts import as_root


@dataclass(frozen=True)
class Place:
    """A queue, a way to send to it what Daypass did not, and a way to let a minute pass."""

    queue: EmergencyQueue
    forge: Callable[[str, str], None]
    a_minute_later: Callable[[], None]


@pytest.fixture
def sqs_queue(seeded: EmbeddedAws, emergencies: example.Emergencies) -> SqsQueue:
    """As the broker's role has it, under its own permissions."""
    return SqsQueue(broker_session(seeded.url), example.REGION, url=emergencies.queue, key=emergencies.key)


@pytest.fixture(params=["memory", "sqs"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        fake = FakeQueue(lambda: NOW)
        return Place(fake, fake.forge, fake.forget_what_is_hidden)
    aws, ours = request.getfixturevalue("seeded").url, request.getfixturevalue("emergencies")
    queue, sqs = request.getfixturevalue("sqs_queue"), as_root("sqs", aws, HUB_ACCOUNT)
    received: list[str] = []
    queue._sqs.meta.events.register(
        "after-call.sqs.ReceiveMessage",
        lambda parsed, **_: received.extend(each["ReceiptHandle"] for each in parsed.get("Messages", ())),
    )

    def forge(request_id: str, text: str) -> None:
        mac = {"mac": {"DataType": "Binary", "BinaryValue": b"m" * 32}}
        send = {"MessageGroupId": request_id, "MessageDeduplicationId": an_id(), "MessageAttributes": mac}
        sqs.send_message(QueueUrl=ours.queue, MessageBody=text, **send)

    def a_minute_later() -> None:
        for receipt in received:
            with suppress(sqs.exceptions.ReceiptHandleIsInvalid):  # deleted, or received again
                sqs.change_message_visibility(QueueUrl=ours.queue, ReceiptHandle=receipt, VisibilityTimeout=0)

    return Place(queue, forge, a_minute_later)


def an_opening(**changed: Any) -> Entry:
    change = an_emergency(**changed)
    return Entry(change.after, change.events, a_session(), a_claim())


def an_outcome(opening: Entry) -> Entry:
    change = a_change(opening.request, EventType.SESSION_ISSUED)
    return Entry(change.after, change.events, opening.session)


def received(queue: EmergencyQueue) -> list[Entry]:
    return [queue.unsealed(message) for message in queue.receive()]


def test_what_was_put_comes_back_in_its_order_and_once_deleted_not_again(place: Place) -> None:
    opening = an_opening()
    outcome = an_outcome(opening)
    for entry in (opening, outcome):
        place.queue.put(entry)
    first, second = place.queue.receive()
    assert [place.queue.unsealed(each) for each in (first, second)] == [opening, outcome]
    assert {first.request_id, second.request_id} == {opening.request.id}
    place.queue.delete(first)
    place.a_minute_later()
    assert received(place.queue) == [outcome]
    place.a_minute_later()
    for message in place.queue.receive():
        place.queue.delete(message)
    place.a_minute_later()
    assert place.queue.receive() == ()


def test_what_was_received_is_hidden_and_holds_back_its_requests_next_but_no_others(place: Place) -> None:
    opening, another = an_opening(), an_opening()
    place.queue.put(opening)
    assert received(place.queue) == [opening]
    place.queue.put(an_outcome(opening))
    assert place.queue.receive() == ()
    place.queue.put(another)
    assert received(place.queue) == [another]
    place.a_minute_later()
    assert len(received(place.queue)) == 3


def test_ten_come_at_once_and_the_others_after_them(place: Place) -> None:
    put = [an_opening() for _ in range(12)]
    for entry in put:
        place.queue.put(entry)
    assert received(place.queue) == put[:10]
    assert received(place.queue) == put[10:]


def test_a_message_of_somebody_else_is_not_genuine_whatever_it_says(place: Place) -> None:
    entry = an_opening()
    place.queue.put(entry)
    [genuine] = place.queue.receive()
    place.forge(an_id(), genuine.text)
    [forged] = place.queue.receive()
    with pytest.raises(NotGenuine):
        place.queue.unsealed(forged)
    with pytest.raises(NotGenuine):
        place.queue.unsealed(replace(genuine, text=genuine.text + " "))
    assert place.queue.unsealed(genuine) == entry


def test_a_receipt_that_is_used_up_deletes_nothing_and_says_so(place: Place) -> None:
    place.queue.put(an_opening())
    [message] = place.queue.receive()
    place.queue.delete(message)
    with pytest.raises(Unavailable):
        place.queue.delete(message)


def test_given_the_fake_is_switched_off_then_nothing_is_answered() -> None:
    fake = FakeQueue(lambda: NOW)
    fake.put(an_opening())
    [message] = fake.receive()
    fake.off = True
    for act in (
        lambda: fake.put(an_opening()),
        fake.receive,
        lambda: fake.unsealed(message),
        lambda: fake.delete(message),
    ):
        with pytest.raises(Unavailable):
            act()


# The form of a message.


@given(request=builders.requests, session=builders.sessions, details=builders.details)
def test_any_entry_is_read_as_it_was_written_and_written_in_ascii(
    request: Request, session: Session, details: dict[str, Any]
) -> None:
    change = Change(None, request).then(EventType.SUBMITTED, at=NOW, actor="x", details=details, session=session)
    entry = Entry(change.after, change.events, change.session, a_claim())
    text = _written(entry)
    assert _read(text) == entry
    assert text.isascii()


def changed(text: str, **members: Any) -> str:
    told = json.loads(text)
    told["request"] |= members
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: '{"schema":1}',
        lambda text: text[:-1],
        lambda text: text.replace('"schema":1', '"schema":2'),
        lambda text: text.replace('"duration":3600', '"duration":"long"'),
        lambda text: text.replace('"status":"approved"', '"status":"of a newer version"'),
        lambda text: changed(text, a_newer_versions_field="that this one would lose"),
        lambda text: changed(text, requester=None),
        lambda text: changed(text, created_at="yesterday"),
    ],
)
def test_what_cannot_be_read_whole_is_not_read(damage: Callable[[str], str]) -> None:
    text = _written(an_opening())
    assert damage(text) != text
    with pytest.raises(NotGenuine, match="cannot read"):
        _read(damage(text))


# SQS's and KMS's own.


def test_the_broker_may_do_this_and_no_more(sqs_queue: SqsQueue, emergencies: example.Emergencies) -> None:
    for act in (
        lambda: sqs_queue._sqs.purge_queue(QueueUrl=emergencies.queue),
        lambda: sqs_queue._sqs.send_message(
            QueueUrl=emergencies.queue.replace("daypass", "another"), MessageBody="x", MessageGroupId="x"
        ),
        lambda: sqs_queue._kms.create_key(),
        lambda: sqs_queue._kms.schedule_key_deletion(KeyId=emergencies.key),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            act()


def test_a_message_is_sealed_by_the_key_that_is_named_and_by_no_other(
    sqs_queue: SqsQueue, seeded: EmbeddedAws, emergencies: example.Emergencies
) -> None:
    sqs_queue.put(an_opening())
    [message] = sqs_queue.receive()
    kms = as_root("kms", seeded.url, HUB_ACCOUNT)
    digest = _digest(message.text)
    other = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    mac = kms.generate_mac(KeyId=other, MacAlgorithm="HMAC_SHA_256", Message=digest)["Mac"]
    with pytest.raises(NotGenuine, match="MAC"):
        sqs_queue.unsealed(replace(message, mac=mac))


@pytest.mark.parametrize("mac", [b"", b"short", b"x" * 33, b"x" * 7000])
def test_what_is_no_mac_at_all_is_refused_without_asking_kms(mac: bytes) -> None:
    queue, _, _ = a_stubbed_queue()
    message = Sealed(id="m", request_id="01K", sent_at=NOW, text="{}", mac=mac, receipt="r")
    with pytest.raises(NotGenuine, match="MAC"):
        queue.unsealed(message)


def test_a_put_that_is_repeated_is_one_message(sqs_queue: SqsQueue) -> None:
    entry = an_opening()
    for _ in range(2):
        sqs_queue.put(entry)
    assert received(sqs_queue) == [entry]


def test_a_put_is_told_in_the_log_and_what_it_holds_is_not(
    sqs_queue: SqsQueue, caplog: pytest.LogCaptureFixture
) -> None:
    entry = an_opening(reason="a reason that nobody else shall read")
    with caplog.at_level(logging.DEBUG, logger="daypass"):
        sqs_queue.put(entry)
    [line] = [record for record in caplog.records if record.message == "emergency_queued"]
    assert (vars(line)["request_id"], vars(line)["type"]) == (entry.request.id, "break_glass.opened")
    assert entry.request.reason not in str(vars(line))


def a_stubbed_queue() -> tuple[SqsQueue, Stubber, Stubber]:
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLEEX", "test")
    queue = SqsQueue(session, "eu-central-1", url="https://sqs/q.fifo", key="k-1")
    return queue, Stubber(queue._sqs), Stubber(queue._kms)


@pytest.fixture
def stubbed() -> Iterator[tuple[SqsQueue, Stubber, Stubber]]:
    queue, sqs, kms = a_stubbed_queue()
    with sqs, kms:
        yield queue, sqs, kms


MAC = {"KeyId": "k-1", "Mac": b"m" * 32, "MacAlgorithm": "HMAC_SHA_256"}


def test_a_put_is_sealed_first_and_grouped_by_its_request(stubbed: tuple[SqsQueue, Stubber, Stubber]) -> None:
    queue, sqs, kms = stubbed
    entry = an_outcome(an_opening())
    kms.add_response("generate_mac", MAC, {"KeyId": "k-1", "MacAlgorithm": "HMAC_SHA_256", "Message": ANY})
    sqs.add_response(
        "send_message",
        {"MessageId": "m-1"},
        {
            "QueueUrl": "https://sqs/q.fifo",
            "MessageBody": _written(entry),
            "MessageAttributes": {"mac": {"DataType": "Binary", "BinaryValue": b"m" * 32}},
            "MessageGroupId": entry.request.id,
            "MessageDeduplicationId": f"{entry.request.id}-2",
        },
    )
    queue.put(entry)
    kms.assert_no_pending_responses()
    sqs.assert_no_pending_responses()


TOKEN = "x-amz-security-token:the-brokers-own"
NOES = [("AccessDenied", 403), ("KMSInternalException", 500), ("QueueDoesNotExist", 400), ("ThrottlingException", 400)]


@pytest.mark.parametrize(("code", "status"), NOES)
@pytest.mark.parametrize("service", ["kms", "sqs"])
def test_every_no_to_a_put_is_unavailable_with_its_code_and_without_awss_words(stubbed, service, code, status) -> None:
    queue, sqs, kms = stubbed
    if service == "kms":
        kms.add_client_error("generate_mac", code, TOKEN, status)
    else:
        kms.add_response("generate_mac", MAC)
        sqs.add_client_error("send_message", code, TOKEN, status)
    with pytest.raises(Unavailable, match=code) as refusal:
        queue.put(an_opening())
    assert refusal.value.outage is None, "only the table's outage is one"
    assert TOKEN not in str(refusal.value)
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize(("code", "status"), [*NOES, ("DisabledException", 400), ("NotFoundException", 400)])
def test_a_key_that_does_not_answer_condemns_no_message(stubbed, code, status) -> None:
    queue, _, kms = stubbed
    kms.add_client_error("verify_mac", code, TOKEN, status)
    message = Sealed(id="m", request_id="01K", sent_at=NOW, text="{}", mac=b"m" * 32, receipt="r")
    with pytest.raises(Unavailable, match=code):
        queue.unsealed(message)
    kms.add_client_error("verify_mac", "KMSInvalidMacException", "no", 400)
    with pytest.raises(NotGenuine, match="MAC"):
        queue.unsealed(message)


@pytest.mark.parametrize("silence", [ConnectTimeoutError(endpoint_url="q"), ReadTimeoutError(endpoint_url="q")])
def test_silence_is_unavailable_in_every_call(silence: Exception) -> None:
    queue, _, _ = a_stubbed_queue()

    def silent(**_: Any) -> None:
        raise silence

    for client in (queue._sqs, queue._kms):
        client.meta.events.register("before-call", silent)
    message = Sealed(id="m", request_id="01K", sent_at=NOW, text="{}", mac=b"m" * 32, receipt="r")
    for act in (
        lambda: queue.put(an_opening()),
        queue.receive,
        lambda: queue.unsealed(message),
        lambda: queue.delete(message),
    ):
        with pytest.raises(Unavailable, match="no answer"):
            act()


def test_a_call_that_is_wrong_by_our_mistake_is_a_bug() -> None:
    queue, _, _ = a_stubbed_queue()
    with pytest.raises(ParamValidationError):
        queue.delete(Sealed(id="m", request_id="01K", sent_at=NOW, text="", mac=b"", receipt=None))  # type: ignore[arg-type]


def test_a_message_is_told_when_it_was_sent_and_keeps_only_what_can_be_stored(stubbed) -> None:
    queue, sqs, _ = stubbed
    message = {
        "MessageId": "m-1",
        "ReceiptHandle": "r-1",
        "Body": "half a character: \ud800",
        "Attributes": {"MessageGroupId": "01K", "SentTimestamp": "1700000000123"},
    }
    sqs.add_response("receive_message", {"Messages": [message]})
    [sealed] = queue.receive()
    assert sealed.sent_at == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    assert (sealed.text, sealed.mac) == ("half a character: ?", b"")


def test_an_emergency_through_the_queue_ends_before_api_gateway_gives_up() -> None:
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLEEX", "test")

    def longest(client: Any) -> float:
        config = client.meta.config
        attempts: int = config.retries["total_max_attempts"]
        waits: float = attempts * (config.connect_timeout + config.read_timeout)
        return waits + (attempts - 1)

    put = sum(longest(clients.fallback_client(session, service, "eu-central-1")) for service in ("kms", "sqs"))
    sts = longest(clients.sts_client(session, "eu-central-1"))
    # test_table.py holds the table's nine seconds. The clock counts whole ones, so a patience may last one longer.
    assert 9 + put <= outage.PATIENCE.total_seconds()
    assert outage.PATIENCE.total_seconds() + 1 + sts + put <= 29


def test_what_is_received_is_hidden_for_longer_than_a_run_can_take() -> None:
    assert HIDDEN.total_seconds() > 29
