"""Where announcements go, in memory. `tests/aws/test_messages.py` and `test_bus.py` hold them to the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.broker.ports import Stale
from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.ports import Entry, Message, NotTaken, Page, Stored


@dataclass
class FakeMessages:
    """`outbox.ports.Messages`."""

    stored: dict[tuple[str, str], Message] = field(default_factory=dict)

    def of(self, request_id: str) -> tuple[Message, ...]:
        return tuple(message for (owner, _), message in sorted(self.stored.items()) if owner == request_id)

    def put(self, message: Message) -> Message:
        key = (message.request_id, message.place)
        known = self.stored.get(key)
        if (known.revision if known else 0) != message.revision:
            raise Stale
        self.stored[key] = replace(message, revision=message.revision + 1)
        return self.stored[key]


@dataclass
class FakeBus:
    """`outbox.ports.Bus`. fails_at: the first entry of all that it does not take."""

    taken: list[Entry] = field(default_factory=list)
    fails_at: int | None = None

    def put(self, entries: Sequence[Entry]) -> None:
        for number, entry in enumerate(entries):
            if len(self.taken) == self.fails_at:
                raise NotTaken(number, "The fake was told not to take it.")
            self.taken.append(entry)


@dataclass
class FakePager:
    """`outbox.ports.Pager`."""

    place: str = "arn:aws:sns:us-east-1:123456789012:daypass-break-glass"
    published: list[Page] = field(default_factory=list)
    down: bool = False

    def publish(self, page: Page) -> None:
        if self.down:
            raise Unavailable("The fake was told not to answer.")
        self.published.append(page)


@dataclass
class FakeDeadLetters:
    """`outbox.ports.DeadLetters`."""

    letters: list[Mapping[str, object]] = field(default_factory=list)
    down: bool = False

    def bury(self, letter: Mapping[str, object]) -> None:
        if self.down:
            raise Unavailable("The fake was told not to answer.")
        self.letters.append(letter)


@dataclass
class FakeSafe:
    """`outbox.ports.Safe` and `Vault`. texts: what was written first. changes: what was done to a name since."""

    texts: dict[str, bytes] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    down: bool = False

    def keep(self, name: str, text: bytes) -> bool:
        return self.add(name, text) or self.texts[name] == text

    def add(self, name: str, text: bytes) -> bool:
        if self.down:
            raise Unavailable("The fake was told not to answer.")
        if name in self.texts:
            return False
        self.texts[name] = text
        return True

    def stored(self, prefix: str) -> list[Stored]:
        names = sorted(name for name in self.texts if name.startswith(prefix))
        return [Stored(name, "first", self.changes.get(name, 0)) for name in names]

    def first(self, stored: Stored) -> bytes:
        return self.texts[stored.name]
