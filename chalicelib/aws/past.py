"""Requests that are over, in the table: `broker.ports.Past`. What is let go, its time to live deletes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ulid import ULID

from chalicelib.aws.answering import answering
from chalicelib.aws.items import SHARDS, EventItem, Item, RequestItem, request_key
from chalicelib.aws.table import Table
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.broker.ports import Page, Stale
from chalicelib.core.request import Request

_A_TRANSACTION = 100
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html."""


class PastTable:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._requests = table.model(RequestItem)
        self._items = table.model(EventItem)  # of any kind: only keys are looked at

    @answering()
    def oldest(self, *, before: datetime, after: str | None, limit: int) -> Page[Request]:
        """A page is of so many ids, and shorter by those that were let go."""
        first = str(ULID.from_datetime(before))[:10]  # its time, and so below every id that was made then or later
        found: list[Any] = []
        for shard in SHARDS:
            made = RequestItem.id.between(f"{after}!", first) if after else RequestItem.id < first
            found += self._requests.query(shard, made, index_name="by_creation", limit=limit + 1)
        found.sort(key=lambda item: str(item.id))
        shown = found[:limit]
        kept = tuple(item.read() for item in shown if item.until is None)
        return Page(kept, shown[-1].id if len(found) > limit else None)

    @answering()
    def let_go(self, request: Request, until: datetime) -> None:
        """The request last: where this ends early, the next run finds it and does it again."""
        others = [item for item in self._all(request.id) if item.sk != "request"]
        there = Item.pk.exists()
        for begin in range(0, len(others), _A_TRANSACTION):
            some = others[begin : begin + _A_TRANSACTION]
            self._table.transact([Write(item, there, (RequestItem.until.set(until),)) for item in some])
        unchanged = RequestItem.version == request.version
        try:
            self._table.transact([Write(self._requests.key(request.id), unchanged, (RequestItem.until.set(until),))])
        except Cancelled:
            raise Stale from None

    def _all(self, request_id: str) -> Iterator[Item]:
        for raw in self._items.query(
            request_key(request_id), consistent_read=True, attributes_to_get=["pk", "sk", "schema"]
        ):
            yield self._requests.with_values(raw.pk, raw.sk)
