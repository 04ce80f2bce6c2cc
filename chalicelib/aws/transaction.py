"""One transaction: all of its writes or none, and which of them stood in the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from pynamodb.connection import Connection
from pynamodb.exceptions import CancellationReason, TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from chalicelib.aws.items import Item, RawItem
from chalicelib.core.refusals import Unavailable

# Each pause is a random part of these seconds: 3 s together at the most.
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.5)

# Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_CONDITION = "ConditionalCheckFailed"
_CONFLICT = "TransactionConflict"
_THROTTLED = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})


@dataclass(frozen=True, slots=True)
class Write:
    """A put of the item or, with actions, an update of it; the transaction happens only where the condition holds."""

    item: Item
    condition: Condition | None = None
    actions: tuple[Action, ...] = ()


class Cancelled(Exception):
    """Conditions did not hold, so nothing was written.

    stored: by the kind of each item that stood in the way, the item as it is in the table, None where there is none.
    """

    def __init__(self, stored: Mapping[str, RawItem | None]) -> None:
        super().__init__(", ".join(stored))
        self.stored = stored


def commit(writes: Sequence[Write], connection: Connection, sleep: Callable[[float], None]) -> None:
    """Write all or nothing.

    Raises Cancelled where conditions do not hold, Unavailable where other transactions hold on to the same items for
    longer than PAUSES or the table is throttled, and what PynamoDB raises for everything else.
    """
    token = str(uuid4())  # the same for every attempt: an attempt whose answer got lost is not done twice
    for pause in (*PAUSES, None):
        try:
            return _attempt(writes, connection, token)
        except TransactWriteError as error:
            stood_in_the_way = list(_reasons(writes, error))
            codes = {reason.code for _, reason in stood_in_the_way}
            # Conflicts come first: what the other transaction does may yet change which conditions hold.
            if _CONFLICT in codes and pause is not None:
                sleep(random.uniform(0, pause))
            elif _CONFLICT in codes or codes & _THROTTLED:
                raise Unavailable(
                    "Too much happens to the same request or person at once: nothing was stored."
                ) from error
            elif codes == {_CONDITION}:
                raise Cancelled({write.item.kind: reason.raw_item for write, reason in stood_in_the_way}) from error
            else:
                raise


def _attempt(writes: Sequence[Write], connection: Connection, token: str) -> None:
    # PynamoDB does not empty a TransactWrite when it is committed, so every attempt gets a new one.
    with TransactWrite(connection=connection, client_request_token=token) as transaction:
        for write in writes:
            if write.actions:
                transaction.update(write.item, list(write.actions), write.condition, return_values="ALL_OLD")
            else:
                transaction.save(write.item, write.condition, return_values="ALL_OLD")


def _reasons(writes: Sequence[Write], error: TransactWriteError) -> Iterator[tuple[Write, CancellationReason]]:
    """Each write that stood in the way, and why. Nothing where the transaction failed as a whole.

    AWS gives one reason per write in the order it was sent, and PynamoDB sends puts before updates. Where an old item
    comes with its reason it must be the write's own: should that order ever change, this fails instead of lying.
    """
    as_sent = sorted(writes, key=lambda write: bool(write.actions))
    # Not cause_response_code, which breaks on a timeout: botocore's has a `response` of None.
    if not error.cancellation_reasons:
        return
    for write, reason in zip(as_sent, error.cancellation_reasons, strict=True):
        if reason is None:
            continue
        if reason.raw_item and _key(reason.raw_item) != (write.item.pk, write.item.sk):
            raise RuntimeError(f"a reason about {_key(reason.raw_item)} stands where {write.item.pk} was written")
        yield write, reason


def _key(item: RawItem) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]
