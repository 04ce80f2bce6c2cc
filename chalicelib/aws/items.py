"""The items of the table: PynamoDB models, and the way from the core's values to them and back.

Scalars are attributes of their own, columns in the console; what is nested is readable JSON text. A new optional field
rewrites no item; SCHEMA goes up only where an older Daypass would misread what a newer one writes.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any, Self

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from chalicelib.aws.plain import members, plain, read
from chalicelib.broker.ports import Claim, Sealed
from chalicelib.core.ledger import Event, Recorded, named
from chalicelib.core.quotas import Charge
from chalicelib.core.request import Request, Session
from chalicelib.core.times import stamp

SCHEMA = 1
SHARDS = tuple("0123")
_LONGEST_TEXT = 256 * 1024

RawItem = Mapping[str, Mapping[str, Any]]


class NewerSchema(Exception):
    """The item was written by a newer Daypass, in a form that this one does not know."""


def request_key(request_id: str) -> str:
    return f"request#{request_id}"


def chain_key(chain: str) -> str:
    """The partition of a chain: a history is beside its request."""
    return request_key(chain) if named(chain) == "request_id" else f"chain#{chain}"


def event_sort(seq: int) -> str:
    return f"event#{seq:010d}"


def shard(id: str) -> str:
    """One of SHARDS, always the same for a request or chain: no list of all of them lives in one partition."""
    return SHARDS[zlib.crc32(id.encode()) % len(SHARDS)]


def day_shard(day: str, shard: str) -> str:
    return f"{day}#{shard}"


class Text(JSONAttribute):
    """JSON as a person would like to read it: compact, with letters as they are."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class ByRequester(GlobalSecondaryIndex["RequestItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by_requester"
        projection = AllProjection()

    requester_id = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)


class ByCreation(GlobalSecondaryIndex["RequestItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by_creation"
        projection = AllProjection()

    shard = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)


class ByDue(GlobalSecondaryIndex["RequestItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by_due"
        projection = AllProjection()

    shard = UnicodeAttribute(hash_key=True)
    due = UnicodeAttribute(range_key=True)


class ByDay(GlobalSecondaryIndex["EventItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by_day"
        projection = AllProjection()

    day_shard = UnicodeAttribute(hash_key=True)
    day_order = UnicodeAttribute(range_key=True)


class Item(Model):
    """What every item has, and every index: an item is in those whose attributes it has."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    kind = UnicodeAttribute()
    schema = NumberAttribute(default_for_new=SCHEMA)

    by_requester = ByRequester()
    by_creation = ByCreation()
    by_due = ByDue()
    by_day = ByDay()

    # PynamoDB makes and writes an item attribute by attribute, through descriptors and checks: half of what Daypass
    # would add to its calls to AWS. `with_values` and `serialize` do the same at once.

    @classmethod
    def with_values(cls, pk: str, sk: str, **values: Any) -> Self:
        """A new item; a value that is None is not there."""
        item = cls.__new__(cls)
        kind = cls.get_attributes()["kind"].default_for_new
        item.attribute_values = {"pk": pk, "sk": sk, "kind": kind, "schema": SCHEMA, **values}
        return item

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        attributes = self.get_attributes()
        return {
            name: {attributes[name].attr_type: attributes[name].serialize(value)}
            for name, value in self.attribute_values.items()
            if value is not None
        }

    @classmethod
    def from_raw_data(cls, data: RawItem) -> Self:
        """Raises NewerSchema, before anything of the item is interpreted."""
        found = int(data["schema"]["N"])
        if found > SCHEMA:
            key = f"{data['pk']['S']} {data['sk']['S']}"
            raise NewerSchema(
                f"the item {key} has schema {found}, this Daypass reads up to {SCHEMA}: deploy a newer one"
            )
        return super().from_raw_data(dict(data))


class RequestItem(Item):
    """A request: its fields under their own names, and what the indexes sort it by."""

    kind = UnicodeAttribute(default_for_new="request")
    requester_id = UnicodeAttribute()
    shard = UnicodeAttribute()
    due = UnicodeAttribute(null=True)

    id = UnicodeAttribute()
    status = UnicodeAttribute()
    requester = Text()
    role = UnicodeAttribute()
    account = UnicodeAttribute()
    account_id = UnicodeAttribute()
    role_arn = UnicodeAttribute()
    duration = NumberAttribute()
    reason = UnicodeAttribute()
    ticket = UnicodeAttribute(null=True)
    scope = Text(null=True)
    session_policy = UnicodeAttribute(null=True)
    rule = UnicodeAttribute()
    stages = Text()
    created_at = UnicodeAttribute()
    answer_by = UnicodeAttribute()
    catalogue_digest = UnicodeAttribute()
    salt = UnicodeAttribute()
    approvals = Text()
    decided_by = UnicodeAttribute(null=True)
    decision_comment = UnicodeAttribute(null=True)
    use_by = UnicodeAttribute(null=True)
    starts_at = UnicodeAttribute(null=True)
    window = Text(null=True)
    break_glass = BooleanAttribute()
    reviewers = Text()
    review_by = UnicodeAttribute(null=True)
    escalated_because = UnicodeAttribute(null=True)
    review = Text(null=True)
    sessions_begun = NumberAttribute()
    last_begun = Text()
    link = Text(null=True)
    extended_by = UnicodeAttribute(null=True)
    charged = Text()
    lent_until = UnicodeAttribute(null=True)
    announced = UnicodeAttribute(null=True)
    revocation = Text(null=True)
    version = NumberAttribute()
    head_hash = UnicodeAttribute()

    @classmethod
    def of(cls, request: Request) -> Self:
        return cls.with_values(
            request_key(request.id),
            "request",
            requester_id=request.requester.id,
            shard=shard(request.id),
            due=due_position(request),
            **plain(request),
        )

    @classmethod
    def key(cls, request_id: str) -> Self:
        """A request as far as an update needs it."""
        return cls.with_values(request_key(request_id), "request")

    def read(self) -> Request:
        request: Request = read(Request, self.attribute_values)
        return request


class EventItem(Item):
    """A line of a chain: of a request's history, or of the chain of a day."""

    kind = UnicodeAttribute(default_for_new="event")
    request_id = UnicodeAttribute(null=True)
    chain = UnicodeAttribute(null=True)
    day_shard = UnicodeAttribute()
    day_order = UnicodeAttribute()

    seq = NumberAttribute()
    type = UnicodeAttribute()
    at = UnicodeAttribute()
    actor = UnicodeAttribute()
    details = Text()
    prev_hash = UnicodeAttribute()
    hash = UnicodeAttribute()

    @classmethod
    def of(cls, chain: str, event: Event) -> Self:
        return cls.with_values(
            chain_key(chain),
            event_sort(event.seq),
            day_shard=day_shard(event.at[:10], shard(chain)),
            day_order=Recorded(chain, event).position,
            **{named(chain): chain},
            **plain(event),
        )

    def recorded(self) -> Recorded:
        return Recorded(self.request_id or self.chain, self.read())

    def read(self) -> Event:
        return Event(
            seq=int(self.seq),
            type=self.type,
            at=self.at,
            actor=self.actor,
            details=self.details,
            prev_hash=self.prev_hash,
            hash=self.hash,
        )


class SessionItem(Item):
    kind = UnicodeAttribute(default_for_new="session")
    request_id = UnicodeAttribute()

    id = UnicodeAttribute()
    session_name = UnicodeAttribute()
    begun_at = UnicodeAttribute()
    status = UnicodeAttribute()
    access_key_id = UnicodeAttribute(null=True)
    assumed_role_id = UnicodeAttribute(null=True)
    issued_at = UnicodeAttribute(null=True)
    expires_at = UnicodeAttribute(null=True)
    sts_request_id = UnicodeAttribute(null=True)
    sts_region = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, request_id: str, session: Session) -> Self:
        return cls.with_values(
            request_key(request_id), f"issuance#{session.id}", request_id=request_id, **plain(session)
        )

    def read(self) -> Session:
        session: Session = read(Session, self.attribute_values)
        return session


class ClaimItem(Item):
    """One use of an Idempotency-Key. DynamoDB deletes it some days after `until`, but `until` decides."""

    kind = UnicodeAttribute(default_for_new="claim")
    request_id = UnicodeAttribute()
    body_hash = UnicodeAttribute()
    until = TTLAttribute()

    @classmethod
    def of(cls, request_id: str, claim: Claim) -> Self:
        # JSON, because no two lists of texts have the same. Hashed, because the key is the caller's and may be long.
        used = json.dumps([claim.principal_id, claim.route, claim.key])
        return cls.with_values(
            f"claim#{hashlib.sha256(used.encode()).hexdigest()}",
            "claim",
            request_id=request_id,
            body_hash=claim.body_hash,
            until=claim.until,
        )


class QuotaItem(Item):
    """The ids of a principal's open requests, and maybe of some that time has closed since."""

    kind = UnicodeAttribute(default_for_new="quota")
    open = UnicodeSetAttribute()

    @classmethod
    def of(cls, principal_id: str) -> Self:
        return cls.with_values(f"principal#{principal_id}", "quota")


class EmergenciesItem(Item):
    """The emergencies of a principal that nobody has reviewed, as `<review_by>#<id>`, and the first time one is due.

    An item of its own beside the quota, so that a transaction tells apart which of the two stood in its way.
    """

    kind = UnicodeAttribute(default_for_new="emergencies")
    unreviewed = UnicodeSetAttribute(null=True)
    review_due = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, principal_id: str) -> Self:
        return cls.with_values(f"principal#{principal_id}", "emergencies")


class DayItem(Item):
    """How much of one quota a principal has used on one day of UTC's.

    DynamoDB deletes it some days after `until`, when nothing is counted on that day any more.
    """

    kind = UnicodeAttribute(default_for_new="day")
    used = NumberAttribute()
    until = TTLAttribute()

    @classmethod
    def of(cls, charge: Charge) -> Self:
        # No role's name holds a `#`, so that no two quotas share a key.
        quota = f"{charge.role}#{charge.rule}" if charge.rule is not None else "break-glass"
        return cls.with_values(f"principal#{charge.principal_id}", f"day#{charge.day}#{quota}")


class AsideItem(Item):
    """A message of the emergency queue that is not believed, or that fits nowhere: kept until people looked at it."""

    kind = UnicodeAttribute(default_for_new="aside")
    request_id = UnicodeAttribute()
    sent_at = UnicodeAttribute()
    because = UnicodeAttribute()
    text = UnicodeAttribute()
    mac = BinaryAttribute(null=True, legacy_encoding=False)

    @classmethod
    def of(cls, message: Sealed, because: str) -> Self:
        sent_at = stamp(message.sent_at)
        return cls.with_values(
            "aside",
            f"{sent_at}#{message.id}",
            request_id=message.request_id,
            sent_at=sent_at,
            because=because,
            # An item holds 400 KB, a message more. No message of ours is nearly as long as what is kept of it.
            text=message.text.encode()[:_LONGEST_TEXT].decode(errors="ignore"),
            mac=message.mac or None,
        )


def review_position(request: Request) -> str:
    """Where an emergency stands among those that wait for their review."""
    assert request.review_by is not None, "an emergency has a time for its review"
    return f"{stamp(request.review_by)}#{request.id}"


def changes(before: Request, after: Request) -> tuple[Action, ...]:
    """What makes the stored item of `before` that of `after`: nothing else of it is touched."""
    was, becomes = ({**members(each), "due": due_position(each)} for each in (before, after))
    return tuple(
        getattr(RequestItem, name).remove() if value is None else getattr(RequestItem, name).set(plain(value))
        for name, value in becomes.items()
        if value != was[name]
    )


def due_position(request: Request) -> str | None:
    """Where a request stands among those whose clock runs, or has run out unannounced; None where none does."""
    due = request.due_at()
    return f"{stamp(due)}#{request.id}" if due else None
