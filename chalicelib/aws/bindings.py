"""Bindings in DynamoDB, beside the requests: who acts where a Slack user does.

kind      pk                   sk                     holds
binding   slack#<team>#<user>  binding                the principal, and what confirmed it
code      slack-code#<SHA-256> code                   to whom a one-time code was given; `until` is the TTL attribute
bound     principal#<id>       slack#<team>           the user of that team whom the principal has bound

access           how
bound, offered   one BatchGetItem: a binding and a request; a code
offer            one TransactWriteItems
bind             one TransactWriteItems, two where the principal had bound another user of that team
unbind           one Query over a principal's `slack#`, then for each a BatchGetItem and a TransactWriteItems
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Self

from pynamodb.attributes import TTLAttribute, UnicodeAttribute

from chalicelib.aws.answering import answering
from chalicelib.aws.items import SCHEMA, Item, RawItem, Text, request_key
from chalicelib.aws.plain import plain, read
from chalicelib.aws.table import Table
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.broker.ports import Stale
from chalicelib.core.binding import Binding, Offer, SlackUser
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request

_ROUNDS = 4
_ENDING = "ending"
"""A kind for a transaction alone, which tells by it which of two bindings stood in its way."""


class BindingItem(Item):
    kind = UnicodeAttribute(default_for_new="binding")
    user = Text()
    email = UnicodeAttribute()
    principal_id = UnicodeAttribute()
    principal_kind = UnicodeAttribute()
    groups = Text()
    issuer = UnicodeAttribute()
    confirmed_at = UnicodeAttribute()
    ended_at = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, binding: Binding) -> Self:
        values = plain(binding)
        return cls.with_values(*_binding_key(binding.user), principal_kind=values.pop("kind"), **values)

    @classmethod
    def ending(cls, user: SlackUser) -> Self:
        """A binding as far as its end needs it."""
        return cls.with_values(*_binding_key(user), kind=_ENDING)

    def read(self) -> Binding:
        binding: Binding = read(Binding, {**self.attribute_values, "kind": self.principal_kind})
        return binding


class CodeItem(Item):
    """A one-time code. DynamoDB deletes it some days after `until`, but `until` decides."""

    kind = UnicodeAttribute(default_for_new="code")
    user = Text()
    email = UnicodeAttribute()
    until = TTLAttribute()
    used_by = UnicodeAttribute(null=True)

    @classmethod
    def of(cls, code_digest: str, offer: Offer) -> Self:
        return cls.with_values(*_code_key(code_digest), user=plain(offer.user), email=offer.email, until=offer.until)

    @classmethod
    def key(cls, code_digest: str) -> Self:
        return cls.with_values(*_code_key(code_digest))

    def read(self) -> Offer:
        user: SlackUser = read(SlackUser, self.user)
        return Offer(user=user, email=self.email, until=self.until, used_by=self.used_by)


class BoundItem(Item):
    """An item of its own, so that a principal has one user of a team however many confirm at once."""

    kind = UnicodeAttribute(default_for_new="bound")
    user = UnicodeAttribute()

    @classmethod
    def of(cls, binding: Binding) -> Self:
        team, user = binding.user.team, binding.user.id
        return cls.with_values(f"principal#{binding.principal_id}", f"slack#{team}", user=user)


class Bindings:
    """`ports.Bindings` in a table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._bindings = table.model(BindingItem)
        self._codes = table.model(CodeItem)
        self._bound = table.model(BoundItem)

    def bound(self, user: SlackUser, request_id: str | None = None) -> tuple[Binding | None, Request | None]:
        wanted = [_binding_key(user), *([(request_key(request_id), "request")] if request_id else [])]
        found = {item["pk"]["S"]: item for item in self._table.read(wanted)}
        binding, request = found.get(_binding_key(user)[0]), found.get(request_key(request_id or ""))
        return (
            self._bindings.from_raw_data(binding).read() if binding else None,
            self._table.request(request) if request else None,
        )

    @answering()
    def users_of(self, principal_ids: Collection[str]) -> Mapping[str, str]:
        """The Slack user of each principal that bound one, and in one team only: a bot is of one, not known which.

        Who is somebody else's user by now is nobody's here.
        """
        found = {id: self._bound_by(id) for id in principal_ids}
        return {id: users[0].id for id, users in found.items() if len(users) == 1}

    @answering()
    def unbind(self, principal_id: str, at: datetime) -> tuple[SlackUser, ...]:
        return tuple(user for user in self._bound_by(principal_id) if self._ended(user, principal_id, at))

    def _ended(self, user: SlackUser, principal_id: str, at: datetime) -> bool:
        try:
            self._table.transact([self._ending(user, principal_id, at)])
        except Cancelled:  # somebody else's by now
            return False
        return True

    def _bound_by(self, principal_id: str) -> list[SlackUser]:
        bound = self._bound.query(f"principal#{principal_id}", Item.sk.startswith("slack#"), consistent_read=True)
        users = [SlackUser(item.sk.removeprefix("slack#"), item.user) for item in bound]
        known = ((user, self.bound(user)[0]) for user in users)
        return [user for user, now in known if now and now.principal_id == principal_id and now.ended_at is None]

    def offer(self, code_digest: str, offer: Offer) -> None:
        self._table.transact([Write(self._codes.of(code_digest, offer), Item.pk.does_not_exist())])

    def offered(self, code_digest: str) -> Offer | None:
        found = [self._codes.from_raw_data(item).read() for item in self._table.read([_code_key(code_digest)])]
        return found[0] if found else None

    def bind(self, code_digest: str, binding: Binding) -> SlackUser | None:
        unused = CodeItem.used_by.does_not_exist() & (CodeItem.until > binding.confirmed_at)
        code = Write(self._codes.key(code_digest), unused, (CodeItem.used_by.set(binding.principal_id),))
        ours = Write(self._bindings.of(binding))
        before: SlackUser | None = None  # the user whom the principal is known to have bound
        replaces = False
        for _ in range(_ROUNDS):
            writes = [code, ours, self._only(binding, before)]
            if before and replaces:
                writes.append(self._ending(before, binding.principal_id, binding.confirmed_at))
            try:
                self._table.transact(writes)
            except Cancelled as cancelled:
                if "code" in cancelled.stored:
                    raise Stale from cancelled
                if "bound" in cancelled.stored:
                    before = self._known(binding, cancelled.stored["bound"])
                    replaces = before not in (None, binding.user)
                else:
                    replaces = False  # that user is somebody else's by now
                continue
            return before if replaces else None
        raise Unavailable("This person binds too many Slack users at once: nothing was stored.")

    def _only(self, binding: Binding, before: SlackUser | None) -> Write:
        user = BoundItem.user
        first = user.does_not_exist() | (user == binding.user.id)
        return Write(self._bound.of(binding), user == before.id if before else first)

    def _ending(self, user: SlackUser, principal_id: str, at: datetime) -> Write:
        ended = (BindingItem.ended_at.set(plain(at)), Item.schema.set(SCHEMA))
        return Write(self._bindings.ending(user), BindingItem.principal_id == principal_id, ended)

    def _known(self, binding: Binding, item: RawItem | None) -> SlackUser | None:
        return SlackUser(binding.user.team, self._bound.from_raw_data(item).user) if item else None


def _binding_key(user: SlackUser) -> tuple[str, str]:
    return f"slack#{user.team}#{user.id}", "binding"


def _code_key(code_digest: str) -> tuple[str, str]:
    return f"slack-code#{code_digest}", "code"
