"""The emergency queue: entries in an SQS FIFO queue, each sealed with a MAC by a KMS key that is used for nothing else.

message       body: the entry as JSON, ASCII only      attribute `mac`: HMAC_SHA_256 over the body's SHA-256
group         the request's id: SQS keeps its order
deduplication the request's id and the last seq: a send whose answer got lost can be sent again, for five minutes
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from chalicelib.aws.clients import fallback_client
from chalicelib.aws.items import SCHEMA
from chalicelib.aws.plain import plain, read
from chalicelib.broker.ports import Entry, NotGenuine, Sealed
from chalicelib.core.refusals import Unavailable
from chalicelib.log import log
from chalicelib.metrics import Metric, count

if TYPE_CHECKING:
    from botocore.session import Session

HIDDEN = timedelta(minutes=1)
"""How long what was received is kept from others, whatever the queue itself says: longer than a run of Lambda."""

_AT_ONCE = 10
_ALGORITHM = "HMAC_SHA_256"
_MAC_BYTES = 32
_FORGED = "KMSInvalidMacException"


class SqsQueue:
    """`ports.EmergencyQueue` on SQS and KMS: calls of at most 1.5 s each; `put` makes two, KMS first.

    url: the queue's. key: ARN or id of a KMS key of the usage GENERATE_VERIFY_MAC.
    """

    def __init__(self, session: Session, region: str, *, url: str, key: str) -> None:
        self._session = session
        self._region = region
        self._url = url
        self._key = key

    @cached_property
    def _sqs(self) -> Any:
        return fallback_client(self._session, "sqs", self._region)

    @cached_property
    def _kms(self) -> Any:
        return fallback_client(self._session, "kms", self._region)

    def put(self, entry: Entry) -> None:
        """Put the entry down; with this answer it is durable.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html.
        """
        text = _written(entry)
        with _answering():
            sealed = self._kms.generate_mac(KeyId=self._key, MacAlgorithm=_ALGORITHM, Message=_digest(text))
            self._sqs.send_message(
                QueueUrl=self._url,
                MessageBody=text,
                MessageAttributes={"mac": {"DataType": "Binary", "BinaryValue": sealed["Mac"]}},
                MessageGroupId=entry.request.id,
                MessageDeduplicationId=f"{entry.request.id}-{entry.request.version}",
            )
        log.warning("emergency_queued", extra={"request_id": entry.request.id, "type": entry.events[-1].type})
        if entry.opens:
            count(Metric.EMERGENCY_QUEUED)

    def receive(self) -> tuple[Sealed, ...]:
        """The next messages, at once: what SQS does not find at the first look is there for the next run.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html.
        """
        with _answering():
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_AT_ONCE,
                VisibilityTimeout=int(HIDDEN.total_seconds()),
                WaitTimeSeconds=0,
                MessageSystemAttributeNames=["MessageGroupId", "SentTimestamp"],
                MessageAttributeNames=["mac"],
            )
        return tuple(_sealed(message) for message in answer.get("Messages", ()))

    def unsealed(self, message: Sealed) -> Entry:
        """The entry, once KMS says that the message is as it was put.

        Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_VerifyMac.html.
        """
        if len(message.mac) != _MAC_BYTES or not self._verifies(message):
            raise NotGenuine("its MAC is not that of the emergency key")
        return _read(message.text)

    def _verifies(self, message: Sealed) -> bool:
        digest = _digest(message.text)
        with _answering():
            try:
                self._kms.verify_mac(KeyId=self._key, MacAlgorithm=_ALGORITHM, Message=digest, Mac=message.mac)
            except ClientError as error:
                if _code(error) != _FORGED:
                    raise
                return False
            return True

    def delete(self, message: Sealed) -> None:
        with _answering():
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)


@contextmanager
def _answering() -> Iterator[None]:
    """Every no and every silence as Unavailable: also where the call is wrong by our mistake nothing may be lent."""
    try:
        yield
    except ParamValidationError:
        raise
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        code = _code(error) if isinstance(error, ClientError) else "no answer"
        # From None: SignatureDoesNotMatch repeats our own session token.
        raise Unavailable(f"The emergency queue does not answer as it should ({code}).") from None


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "Unknown")


def _digest(text: str) -> bytes:
    """What the MAC is over: KMS takes 4,096 bytes, and entries are longer.

    Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateMac.html.
    """
    return f"daypass emergency {hashlib.sha256(text.encode()).hexdigest()}".encode()


def _written(entry: Entry) -> str:
    # ASCII: SQS refuses some characters that a reason may have.
    return json.dumps({"schema": SCHEMA, **plain(entry)}, sort_keys=True, separators=(",", ":"))


def _read(text: str) -> Entry:
    """The entry that `_written` wrote, with nothing of it lost. Raises NotGenuine."""
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        entry: Entry = read(Entry, json.loads(text))
        if _written(entry) == text:
            return entry
    raise NotGenuine("this version of Daypass cannot read it, or not all of it")


def _sealed(message: Mapping[str, Any]) -> Sealed:
    attributes = message["Attributes"]
    return Sealed(
        id=message["MessageId"],
        request_id=attributes["MessageGroupId"],
        sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        text=message["Body"].encode(errors="replace").decode(),
        mac=message.get("MessageAttributes", {}).get("mac", {}).get("BinaryValue", b""),
        receipt=message["ReceiptHandle"],
    )
