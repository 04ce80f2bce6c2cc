"""The chains of a day in DynamoDB, beside the requests: what belongs to no request.

kind   pk                    sk                      holds
event  chain#day-<date>-<n>  event#<seq, 10 digits>  one event, as those of requests are; n is one of SHARDS

once   once#<name>           once                    that an event was stored under this name

access  how
append  one consistent Query of the chain's last event, one TransactWriteItems that stores the next
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Self

from pynamodb.attributes import UnicodeAttribute

from chalicelib.aws.answering import answering
from chalicelib.aws.items import SHARDS, EventItem, Item, chain_key
from chalicelib.aws.table import Table
from chalicelib.aws.transaction import PAUSES, Cancelled, Write
from chalicelib.core.ledger import Detail, Event, EventType, Head, Recorded, beginning, day_chain, next_event
from chalicelib.core.refusals import Unavailable


class OnceItem(Item):
    kind = UnicodeAttribute(default_for_new="once")
    at = UnicodeAttribute()

    @classmethod
    def of(cls, name: str, event: Event) -> Self:
        return cls.with_values(f"once#{name}", "once", at=event.at)


class DayChains:
    """`ports.DayChains` in a table. pick: one of the shards by chance; it is asked again where others were faster."""

    def __init__(
        self,
        table: Table,
        *,
        pick: Callable[[Sequence[str]], str] = random.choice,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._events = table.model(EventItem)
        self._onces = table.model(OnceItem)
        self._pick = pick
        self._sleep = sleep

    @answering()
    def append(
        self,
        kind: EventType,
        *,
        at: datetime,
        actor: str,
        details: Mapping[str, Detail],
        once: str | None = None,
        beside: Sequence[Write] = (),
    ) -> Recorded | None:
        """beside: what is stored in the same transaction. Raises Cancelled where that is what stands in the way."""
        for pause in (*PAUSES, None):
            chain = day_chain(at.date(), self._pick(SHARDS))
            event = next_event(self._head(chain), kind, at, actor, details)
            try:
                # A transaction, also of one: unlike a put it may be sent twice, and is done once.
                ours = [Write(item, Item.pk.does_not_exist()) for item in self._items(chain, event, once)]
                self._table.transact([*ours, *beside])
            except Cancelled as cancelled:
                if "once" in cancelled.stored:
                    return None
                if "event" not in cancelled.stored:
                    raise
                if pause is not None:
                    self._sleep(random.uniform(0, pause))
                continue
            return Recorded(chain, event)
        raise Unavailable("Too many write to the chains of this day at once: nothing was stored.")

    def _items(self, chain: str, event: Event, once: str | None) -> Iterator[Item]:
        yield self._events.of(chain, event)
        if once is not None:
            yield self._onces.of(once, event)

    def _head(self, chain: str) -> Head:
        """The end of the chain. Somebody may append meanwhile: the condition of the write finds that out."""
        last = self._events.query(
            chain_key(chain), Item.sk.startswith("event#"), consistent_read=True, scan_index_forward=False, limit=1
        )
        return next((Head(int(item.seq), item.hash) for item in last), beginning(chain))
