"""What places were told of requests, in the table: `outbox.ports.Messages`."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute

from chalicelib.aws.answering import answering
from chalicelib.aws.items import Item, request_key
from chalicelib.aws.plain import plain, read
from chalicelib.aws.table import Table
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.broker.ports import Stale
from chalicelib.outbox.ports import Message

TOLD = "told#"


class MessageItem(Item):
    """What a place was told of a request. Its sort key comes after `request`: a story's Query does not reach it."""

    kind = UnicodeAttribute(default_for_new="message")
    request_id = UnicodeAttribute()

    place = UnicodeAttribute()
    version = NumberAttribute()
    shows = UnicodeAttribute(null=True)
    channel = UnicodeAttribute(null=True)
    ts = UnicodeAttribute(null=True)
    for_requester = BooleanAttribute()
    loud = BooleanAttribute()
    reminded = BooleanAttribute()
    taken_at = UnicodeAttribute(null=True)
    unsure_since = UnicodeAttribute(null=True)
    revision = NumberAttribute()

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls.with_values(request_key(message.request_id), f"{TOLD}{message.place}", **plain(message))

    def read(self) -> Message:
        message: Message = read(Message, self.attribute_values)
        return message


class MessagesTable:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._messages = table.model(MessageItem)

    @answering()
    def of(self, request_id: str) -> tuple[Message, ...]:
        found = self._messages.query(request_key(request_id), Item.sk.startswith(TOLD), consistent_read=True)
        return tuple(item.read() for item in found)

    @answering()
    def put(self, message: Message) -> Message:
        stored = replace(message, revision=message.revision + 1)
        unchanged = MessageItem.revision == message.revision if message.revision else Item.pk.does_not_exist()
        try:
            # A transaction of one: unlike a put it may be sent twice, and is done once.
            self._table.transact([Write(self._messages.of(stored), unchanged)])
        except Cancelled:
            raise Stale from None
        return stored
