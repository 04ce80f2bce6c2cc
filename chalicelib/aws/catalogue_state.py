"""What is known of the catalogue in S3 by all instances together, in DynamoDB beside the requests.

kind       pk         sk     holds
catalogue  catalogue  state  the version with the highest serial seen, and when it was last seen in the bucket

access   how
read     one consistent GetItem, by a client that gives up after 1.5 s
believe  one TransactWriteItems, with the `catalogue.changed` of the day's chain in it
seen     one TransactWriteItems
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Self

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.condition import Condition

from chalicelib.aws.answering import answering
from chalicelib.aws.clients import unavailable_where_refused
from chalicelib.aws.day_chains import DayChains
from chalicelib.aws.items import Item
from chalicelib.aws.plain import plain
from chalicelib.aws.table import Table
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.broker.ports import Stale
from chalicelib.core.believing import LastGood, Version
from chalicelib.core.ledger import Detail, EventType
from chalicelib.core.refusals import Unavailable
from chalicelib.core.times import read_stamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = ("catalogue", "state")
_ACTOR = "daypass"


class CatalogueItem(Item):
    kind = UnicodeAttribute(default_for_new="catalogue")
    serial = NumberAttribute()
    digest = UnicodeAttribute()
    location = UnicodeAttribute()
    version_id = UnicodeAttribute()
    seen_at = UnicodeAttribute()

    @classmethod
    def of(cls, last: LastGood) -> Self:
        return cls.with_values(*_KEY, **plain(last.version), seen_at=plain(last.seen_at))

    def read(self) -> LastGood:
        version = Version(
            serial=int(self.serial), digest=self.digest, location=self.location, version_id=self.version_id
        )
        return LastGood(version=version, seen_at=read_stamp(self.seen_at))


class CatalogueState:
    """In a table. quick: a client of DynamoDB that gives up soon, for a request waits for what it reads."""

    def __init__(self, table: Table, chains: DayChains, quick: DynamoDBClient) -> None:
        self._table = table
        self._chains = chains
        self._quick = quick
        self._items = table.model(CatalogueItem)

    def read(self) -> LastGood | None:
        """Raises Unavailable."""
        pk, sk = _KEY
        with unavailable_where_refused("DynamoDB"):
            answer = self._quick.get_item(
                TableName=self._items.Meta.table_name, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
            )
        found = answer.get("Item")
        return self._items.from_raw_data(found).read() if found else None

    @answering()
    def believe(self, before: LastGood | None, after: LastGood) -> None:
        """Put a newer version in the place of the last good one, and that on the record of the day.

        Raises Stale where the last good one is another by now, Unavailable where the table does not answer, or does not
        let this function write: those that only tell in Slack leave it to the others.
        """
        version = after.version
        details: dict[str, Detail] = plain(version)
        if before:
            details |= {"before": {"serial": before.version.serial, "digest": before.version.digest}}
        unchanged = _is(before.version) if before else Item.pk.does_not_exist()
        write = Write(self._items.of(after), unchanged)
        with _unavailable_where_not_written():
            try:
                self._chains.append(
                    EventType.CATALOGUE_CHANGED, at=after.seen_at, actor=_ACTOR, details=details, beside=[write]
                )
            except Cancelled as cancelled:
                raise Stale from cancelled

    @answering()
    def seen(self, before: LastGood, version: Version, at: datetime) -> None:
        """Put down when the last good version was seen in the bucket, and where. Nothing where others were faster."""
        after = replace(before, version=version, seen_at=at)
        same = _is(before.version) & (CatalogueItem.seen_at == plain(before.seen_at))
        with _unavailable_where_not_written(), suppress(Cancelled):
            self._table.transact([Write(self._items.of(after), same)])


@contextmanager
def _unavailable_where_not_written() -> Iterator[None]:
    try:
        yield
    except TransactWriteError as error:
        if error.cause_response_code != "AccessDeniedException":
            raise
        raise Unavailable("This function may not put down which catalogue is the newest: another one will.") from None


def _is(version: Version) -> Condition:
    same: Condition = (CatalogueItem.serial == version.serial) & (CatalogueItem.digest == version.digest)
    return same
