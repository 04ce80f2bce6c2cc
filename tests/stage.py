"""A stage for the broker's stories: the example's catalogue, fakes for the rest, and a clock that is set by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.broker import asking, deciding, lending
from chalicelib.broker.asking import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.ledger import Event, beginning, first_break
from chalicelib.core.principal import Principal
from chalicelib.core.request import Ask, Request, Session
from daypass.local.example import catalogue as example_catalogue
from tests.builders import HOUR, NOW, an_id
from tests.fakes import FakeDirectories, FakeLender, FakeRequests, FakeRevoker
from tests.people import BOB, CAROL

EXAMPLE = example_catalogue("http://127.0.0.1:8000")


def read_example(text: str = EXAMPLE) -> Catalogue:
    return read_catalogue(text, hub_account="123456789012", local=True)


CATALOGUE = read_example()


def with_rules(*changes: tuple[str, dict[str, Any]]) -> Catalogue:
    """The example's catalogue with some fields of the named rules changed."""
    changed = dict(changes)
    rules = tuple(replace(rule, **changed.get(rule.name, {})) for rule in CATALOGUE.rules)
    return replace(CATALOGUE, rules=rules)


def with_role(name: str, **changes: Any) -> Catalogue:
    role = replace(CATALOGUE.roles[name], **changes)
    return replace(CATALOGUE, roles={**CATALOGUE.roles, name: role})


def an_ask(role: str = "payments-admin", duration: timedelta = HOUR, **changed: Any) -> Ask:
    return replace(Ask(role=role, duration=duration, reason="disk full on db-3"), **changed)


@dataclass
class Stage:
    """Everything outside, in memory; `now` and `catalogue` can be changed at any moment."""

    now: datetime = NOW
    catalogue: Catalogue = CATALOGUE
    requests: FakeRequests = field(default_factory=FakeRequests)
    lender: FakeLender = field(init=False)
    revoker: FakeRevoker = field(init=False)
    directories: FakeDirectories = field(default_factory=FakeDirectories)

    def __post_init__(self) -> None:
        self.lender = FakeLender(lambda: self.now)
        self.revoker = FakeRevoker({role.arn for role in self.catalogue.roles.values()})

    @property
    def world(self) -> World:
        return World(
            catalogue=lambda: self.catalogue,
            requests=self.requests,
            lender=self.lender,
            revoker=self.revoker,
            directories=self.directories,
            now=lambda: self.now,
            new_id=an_id,
            new_salt=lambda: f"salt of {an_id()}",
        )

    def pass_time(self, length: timedelta) -> None:
        self.now += length

    def asked(self, who: Principal = CAROL, wish: Ask | None = None, key: str | None = None) -> Request:
        idempotency = IdempotencyKey("POST /requests", key) if key else None
        return asking.ask(self.world, who, wish or an_ask(), idempotency).request

    def approved(self, who: Principal = CAROL, wish: Ask | None = None, by: Principal = BOB) -> Request:
        request = self.asked(who, wish)
        return deciding.approve(self.world, by, request.id, comment=None, duration=None)

    def lent(self, request: Request, who: Principal = CAROL) -> Credentials:
        return lending.lend(self.world, who, request.id)

    def request(self, id: str) -> Request:
        found = self.requests.get(id)
        assert found is not None
        return found

    def sessions(self, id: str) -> tuple[Session, ...]:
        known = self.requests.story(id)
        assert known is not None
        return known[1]

    def history(self, id: str) -> list[Event]:
        """The events of a request, having checked that their chain holds and ends where the request says."""
        events = list(self.requests.events(id, after=0, limit=10_000).items)
        request = self.request(id)
        assert first_break(beginning(id), events) is None
        assert (events[-1].seq, events[-1].hash) == (request.version, request.head_hash)
        return events

    def types(self, id: str) -> list[str]:
        return [event.type for event in self.history(id)]
