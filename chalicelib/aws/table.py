"""Requests in DynamoDB, and the table that all kinds of items share.

One table. A request, its history and its sessions share a partition: one Query tells the story.

    kind      pk                   sk                     holds
    request   request#<id>         request                the request
    event     request#<id>         event#<seq, 10 digits> one line of its history
              chain#day-<date>-<n> event#<seq, 10 digits> what belongs to no request (`day_chains.py`)
    session   request#<id>         issuance#<session id>  one issuance, without its secrets
    message   request#<id>         told#<place>           what a place was told of it (`messages.py`)
    claim     claim#<SHA-256>      claim                  one use of an Idempotency-Key; `until` is the TTL attribute
    quota     principal#<id>       quota                  the set of the ids of a principal's open requests
    emergen.  principal#<id>       emergencies            those that wait for their review, and when the first is due
    day       principal#<id>       day#<date>#<quota>     what of one quota is used that day: `break-glass`, or the
                                                          seconds of `<role>#<rule>`; `until` is the TTL attribute
    aside     aside                <sent at>#<message id> a message of the emergency queue that is not believed

Slack's bindings, of three kinds more, are in `bindings.py`.

    access                         how
    get                            GetItem of `request`
    story                          one Query, backwards from `request` over the sessions
    events                         one Query, forwards over `event#`
    submit, commit, restore,       one TransactWriteItems, of however many requests
      set_aside
    claimed                        GetItem of `claim`
    what was set aside             one Query, forwards over `aside`; for people
    by_requester                   index by_requester: requester_id, id; backwards
    everything                     index by_creation: shard, id; backwards, 4 shards
    waiting, due                   index by_due: shard, <due>#<id>; forwards, 4 shards; only requests whose clock runs
                                   or has run out unannounced
    day                            index by_day: <YYYY-MM-DD>#<shard>, <at>#<chain>#<seq>; 4 shards; for auditors

All reads are consistent but those of the indexes, which only make lists: no decision reads one. Nothing is scanned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from types import new_class
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.session import Session as BotocoreSession
from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.update import Action

from chalicelib.aws import emergencies, quotas, transaction
from chalicelib.aws.answering import answering
from chalicelib.aws.items import (
    SCHEMA,
    SHARDS,
    AsideItem,
    ClaimItem,
    DayItem,
    EmergenciesItem,
    EventItem,
    Item,
    QuotaItem,
    RawItem,
    RequestItem,
    SessionItem,
    changes,
    day_shard,
    due_position,
    event_sort,
    request_key,
)
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.broker.ports import AlreadyClaimed, Claim, Page, QuotaFull, Sealed, Stale
from chalicelib.core import life
from chalicelib.core.ledger import Event, Recorded
from chalicelib.core.life import Status
from chalicelib.core.quotas import Charge
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Change, Request, Session
from chalicelib.core.times import stamp
from chalicelib.log import log
from chalicelib.metrics import Metric, count

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

K = TypeVar("K", bound=Item)
T = TypeVar("T")

SESSIONS_TOLD = 50
_ENDINGS = frozenset(Status) - {status for status, _ in life.MOVES}
_LAST_EVENT = 10**10 - 1
_QUOTA_ROUNDS = 3


class Table:
    """`ports.Requests` on DynamoDB.

    host: the URL of an emulator; its credentials may come along. In production all of them come from where botocore
    looks for them. A call ends within 9 s, a write that meets others within 3 s more.
    """

    def __init__(
        self,
        name: str,
        *,
        region: str,
        host: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        meta = type(
            "Meta",
            (),
            {
                "table_name": name,
                "region": region,
                "host": host,
                "aws_access_key_id": access_key_id,
                "aws_secret_access_key": secret_access_key,
                "connect_timeout_seconds": 1,
                "read_timeout_seconds": 3,
                "max_retry_attempts": 1,  # PynamoDB makes of it: mode standard, two attempts in all
                "billing_mode": "PAY_PER_REQUEST",
                "stream_view_type": "NEW_AND_OLD_IMAGES",
            },
        )
        self._name = name
        self._connection = _bound(Item, {"Meta": meta})._get_connection()
        self._ours = {"Meta": meta, "_connection": self._connection}
        self._requests = self.model(RequestItem)
        self._events = self.model(EventItem)
        self._sessions = self.model(SessionItem)
        self._claims = self.model(ClaimItem)
        self._quotas = self.model(QuotaItem)
        self._emergencies = self.model(EmergenciesItem)
        self._days = self.model(DayItem)
        self._asides = self.model(AsideItem)
        self._sleep = sleep
        self._written = 0
        # PynamoDB keeps a session per thread and one client for all. Making the client now settles which session it is.
        self.client = cast("DynamoDBClient", self._connection.connection.client)
        self.session: BotocoreSession = self._connection.connection.session

    @answering()
    def get(self, request_id: str) -> Request | None:
        try:
            return self._requests.get(request_key(request_id), "request", consistent_read=True).read()
        except self._requests.DoesNotExist:
            return None

    @answering()
    def story(self, request_id: str) -> tuple[Request, tuple[Session, ...]] | None:
        answer = self._connection.query(
            request_key(request_id),
            Item.sk.between("issuance#", "request"),
            consistent_read=True,
            scan_index_forward=False,
            limit=1 + SESSIONS_TOLD,
        )
        if not answer["Items"]:
            return None
        first, *sessions = answer["Items"]
        request = self._requests.from_raw_data(first).read()
        return request, tuple(self._sessions.from_raw_data(each).read() for each in reversed(sessions))

    @answering()
    def events(self, request_id: str, *, after: int, limit: int) -> Page[Event]:
        found = self._events.query(
            request_key(request_id),
            Item.sk.between(event_sort(after + 1), event_sort(_LAST_EVENT)),
            consistent_read=True,
            limit=limit + 1,
        )
        return _page((each.read() for each in found), limit, lambda event: str(event.seq))

    @answering()
    def read(self, keys: Sequence[tuple[str, str]]) -> Iterable[RawItem]:
        """The items of these keys that there are, in no order, in one consistent read."""
        return self._batch(keys)

    def model(self, kind: type[K]) -> type[K]:
        """A kind of items as this table's own."""
        return _bound(kind, self._ours)

    def request(self, item: RawItem) -> Request:
        return self._requests.from_raw_data(item).read()

    def by_requester(self, requester_id: str, *, after: str | None, limit: int) -> Page[Request]:
        return self._newest("by_requester", (requester_id,), after, limit)

    def everything(self, *, after: str | None, limit: int) -> Page[Request]:
        return self._newest("by_creation", SHARDS, after, limit)

    @answering()
    def waiting(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        # `$` is the character after `#`: this is past every request that is due at `now` itself.
        start = max(after or "", f"{stamp(now)}$")
        found = self._queries("by_due", SHARDS, RequestItem.due > start, limit, forward=True)
        return _page(sorted(found, key=_due), limit, _due)

    @answering()
    def due(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        # A space comes before all that a position could go on with, `0` before every year.
        start = f"{after} " if after else "0"
        found = self._queries("by_due", SHARDS, RequestItem.due.between(start, f"{stamp(now)}$"), limit, forward=True)
        return _page(sorted(found, key=_due), limit, _due)

    @answering()
    def day(self, day: date, *, after: str | None, limit: int) -> Page[Recorded]:
        later = EventItem.day_order > after if after else None
        found = [
            item.recorded()
            for each in SHARDS
            for item in self._events.query(
                day_shard(day.isoformat(), each), later, index_name="by_day", limit=limit + 1
            )
        ]
        return _page(sorted(found, key=_position), limit, _position)

    @answering()
    def _newest(self, index: str, partitions: Iterable[str], after: str | None, limit: int) -> Page[Request]:
        older = RequestItem.id < after if after else None
        found = self._queries(index, partitions, older, limit, forward=False)
        return _page(sorted(found, key=_id, reverse=True), limit, _id)

    def _queries(
        self, index: str, partitions: Iterable[str], condition: Condition | None, limit: int, *, forward: bool
    ) -> list[Request]:
        """The first requests of each partition: one more than a page, to know whether another one follows."""
        return [
            item.read()
            for partition in partitions
            for item in self._requests.query(
                partition, condition, index_name=index, scan_index_forward=forward, limit=limit + 1
            )
        ]

    @answering()
    def commit(self, change: Change, *further: Change) -> None:
        writes = self._transitions(change, *further)
        if change.before and change.after.review and not change.before.review:
            return self._transact_reviewed(writes, change.after)
        emergency = emergencies.opened(self._emergencies, change)
        for _ in range(_QUOTA_ROUNDS):
            try:
                return self.transact([*writes, *emergency])
            except Cancelled as cancelled:
                if not cancelled.stored.keys() <= {"emergencies", "day"}:
                    raise Stale from cancelled
                quotas.refuse_used(self._days, change.charge, cancelled)
                emergency = emergencies.opened(self._emergencies, change, cancelled)
        raise Unavailable("Too many emergencies of the same person at once: nothing was stored.")

    @answering()
    def submit(self, change: Change, *further: Change, claim: Claim | None, max_open: int, now: datetime) -> None:
        """max_open: 1 to 100."""
        request = change.after
        writes = [self._new(request), *self._additions(change), *self._claim(request, claim, now)]
        writes += self._transitions(*further)
        room = QuotaItem.open.does_not_exist() | (size(QuotaItem.open) < max_open)  # type: ignore[no-untyped-call]
        quota = self._quota(request, QuotaItem.open.add({request.id}), condition=room)
        emergency = emergencies.opened(self._emergencies, change)
        for _ in range(_QUOTA_ROUNDS):
            try:
                return self.transact([*writes, quota, *emergency])
            except Cancelled as cancelled:
                listed = self._listed(cancelled, change.charge)
                if "emergencies" in cancelled.stored:
                    emergency = emergencies.opened(self._emergencies, change, cancelled)
                if listed is None:
                    continue
            still_open = self._open(listed, now)
            if len(still_open) >= max_open:
                raise QuotaFull(len(still_open))
            unchanged = QuotaItem.open == listed if listed else QuotaItem.open.does_not_exist()
            quota = self._quota(request, QuotaItem.open.set(still_open | {request.id}), condition=unchanged)
        raise Unavailable("Too many requests of the same person at once: nothing was stored.")

    @answering()
    def claimed(self, claim: Claim, *, now: datetime) -> None:
        key = self._claims.of("", claim)
        try:
            known = self._claims.get(key.pk, key.sk, consistent_read=True)
        except self._claims.DoesNotExist:
            return
        if now < known.until:
            raise AlreadyClaimed(known.request_id, known.body_hash)

    @answering()
    def restore(self, change: Change, *, claim: Claim | None, now: datetime) -> None:
        request = change.after
        quota = self._quota(request, QuotaItem.open.add({request.id}))
        writes = [self._new(request), *self._additions(change), quota]
        claimed = self._claim(request, claim, now)
        emergency = emergencies.opened(self._emergencies, change, happened=True)
        for _ in range(_QUOTA_ROUNDS):
            try:
                return self.transact([*writes, *claimed, *emergency])
            except Cancelled as cancelled:
                if not cancelled.stored.keys() <= {"claim", "emergencies"}:
                    raise Stale from cancelled
                if "claim" in cancelled.stored:
                    claimed = []
                if "emergencies" in cancelled.stored:
                    emergency = emergencies.opened(self._emergencies, change, cancelled, happened=True)
        raise Unavailable("Too many emergencies of the same person at once: nothing was stored.")

    @answering()
    def set_aside(self, message: Sealed, because: str) -> None:
        item = self._asides.of(message, because)
        self.transact([Write(item)])
        # Said before anybody deletes the message: who dies in between says it again.
        count(Metric.EMERGENCY_SET_ASIDE)
        log.error("emergency_set_aside", extra={"key": f"{item.pk} {item.sk}", "because": because})

    def _listed(self, cancelled: Cancelled, charge: Charge | None) -> set[str] | None:
        """The ids in the quota set that had no room; None where it had. Raises what else stood in the way."""
        if claimed := cancelled.stored.get("claim"):
            claim = self._claims.from_raw_data(claimed)
            raise AlreadyClaimed(claim.request_id, claim.body_hash) from cancelled
        if not cancelled.stored.keys() <= {"quota", "emergencies", "day"}:
            raise Stale from cancelled
        quotas.refuse_used(self._days, charge, cancelled)
        if "quota" not in cancelled.stored:
            return None
        quota = cancelled.stored["quota"]
        return (self._quotas.from_raw_data(quota).open or set()) if quota else set()

    def _open(self, request_ids: set[str], now: datetime) -> set[str]:
        """Those of the requests that are open at `now`."""
        if not request_ids:
            return set()
        requests = (
            self.request(each) for each in self._batch([(request_key(each), "request") for each in request_ids])
        )
        return {request.id for request in requests if request.state(now) in life.OPEN}

    def _batch(self, keys: Sequence[tuple[str, str]]) -> Iterable[RawItem]:
        asked: list[Any] = [{"pk": pk, "sk": sk} for pk, sk in keys]
        # Not Model.batch_get: it asks for what was left unprocessed again and again, without a pause.
        answer = self._connection.batch_get_item(asked, consistent_read=True)
        if answer["UnprocessedKeys"]:
            raise Unavailable("The table of requests cannot keep up: nothing was stored.")
        found: Iterable[RawItem] = answer["Responses"][self._name]
        return found

    def _transitions(self, *changed: Change) -> list[Write]:
        """What stores transitions of requests of one person, each over its version."""
        writes: list[Write] = []
        ended: set[str] = set()
        for change in changed:
            if change.before is None:
                raise ValueError("a new request is submitted, not committed")
            key, same = self._requests.key(change.after.id), RequestItem.version == change.before.version
            writes += [Write(key, same, changes(change.before, change.after)), *self._additions(change)]
            if change.after.status in _ENDINGS and change.before.status not in _ENDINGS:
                ended.add(change.after.id)
        # One write for all: a transaction takes an item once.
        return [*writes, self._quota(changed[0].after, QuotaItem.open.delete(ended))] if ended else writes

    def _new(self, request: Request) -> Write:
        return Write(self._requests.of(request), RequestItem.pk.does_not_exist())

    def _claim(self, request: Request, claim: Claim | None, now: datetime) -> list[Write]:
        unused = ClaimItem.until.does_not_exist() | (ClaimItem.until <= now)
        return [Write(self._claims.of(request.id, claim), unused)] if claim else []

    def _additions(self, change: Change) -> list[Write]:
        request_id = change.after.id
        events = [Write(self._events.of(request_id, event), Item.pk.does_not_exist()) for event in change.events]
        sessions = [Write(self._sessions.of(request_id, change.session))] if change.session else []
        return [*events, *sessions, *quotas.charged(self._days, change.charge)]

    def _transact_reviewed(self, writes: Sequence[Write], request: Request) -> None:
        for _ in range(_QUOTA_ROUNDS):
            try:
                return self.transact([*writes, emergencies.reviewed(self._emergencies, request)])
            except Cancelled as cancelled:
                if set(cancelled.stored) != {"emergencies"}:
                    raise Stale from cancelled
        raise Unavailable("Too many emergencies of the same person at once: nothing was stored.")

    def _quota(self, request: Request, action: Action, *, condition: Condition | None = None) -> Write:
        item = self._quotas.of(request.requester.id)
        return Write(item, condition, (action, Item.kind.set(item.kind), Item.schema.set(SCHEMA)))

    def transact(self, writes: Sequence[Write]) -> None:
        """All of the writes or none. Raises Cancelled and Unavailable."""
        with answering(outage=self._written):
            transaction.commit(writes, self._connection.connection, self._sleep)
        self._written += 1


def create(table: Table) -> None:
    """Create the table with its indexes, its stream and its TTL, unless it is there: for tests and local use."""
    # The kind with the TTL attribute; key and indexes are those of every kind.
    if not table._claims.exists():
        table._claims.create_table(wait=True)


def _bound(kind: type[K], attributes: dict[str, object]) -> type[K]:
    """A model of one table. PynamoDB keeps table and connection on the class, so every Table has classes of its own."""
    return cast("type[K]", new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(attributes)))


def _page(found: Iterable[T], limit: int, position: Callable[[T], str]) -> Page[T]:
    items = tuple(found)
    shown = items[:limit]
    return Page(shown, position(shown[-1]) if len(items) > limit else None)


def _id(request: Request) -> str:
    return request.id


def _due(request: Request) -> str:
    return due_position(request) or ""


def _position(recorded: Recorded) -> str:
    return recorded.position
