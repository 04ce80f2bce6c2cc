"""A stage for the broker's stories: the example's catalogue, fakes for the rest, and a clock that is set by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.broker import asking, deciding, extending, lending
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import read_catalogue
from chalicelib.core.ledger import Event, EventType, beginning, first_break
from chalicelib.core.principal import Principal
from chalicelib.core.provider import Via
from chalicelib.core.request import Ask, Request, Session
from chalicelib.core.times import read_stamp
from daypass.local.example import catalogue as example_catalogue
from tests.builders import HOUR, NOW, an_id
from tests.fakes import (
    FakeBindings,
    FakeDayChains,
    FakeDirectories,
    FakeLender,
    FakeQueue,
    FakeRequests,
    FakeRevoker,
    Quota,
)
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


def via_oidc(name: str, **changes: Any) -> Catalogue:
    """The example's, with one role that the provider vouches for, for as long as AWS lends at most."""
    return with_role(name, **{"via": Via.OIDC, "external_id": None, "max_session": 12 * HOUR, **changes})


def an_ask(role: str = "payments-admin", duration: timedelta = HOUR, **changed: Any) -> Ask:
    return replace(Ask(role=role, duration=duration, reason="disk full on db-3"), **changed)


def more_of(base: Request, duration: timedelta = HOUR, **changed: Any) -> Ask:
    return replace(Ask(role="", duration=duration, reason="it takes longer", extends=base.id), **changed)


@dataclass
class Stage:
    """Everything outside, in memory; `now` and `catalogue` can be changed at any moment."""

    now: datetime = NOW
    catalogue: Catalogue = CATALOGUE
    requests: FakeRequests = field(default_factory=FakeRequests)
    bindings: FakeBindings = field(init=False)
    lender: FakeLender = field(init=False)
    revoker: FakeRevoker = field(init=False)
    queue: FakeQueue | None = None
    queued: dict[tuple[str, int], str] = field(default_factory=dict)
    directories: FakeDirectories = field(default_factory=FakeDirectories)

    def __post_init__(self) -> None:
        self.bindings = FakeBindings(self.requests)
        self.lender = FakeLender(lambda: self.now)
        self.revoker = FakeRevoker({role.arn for role in self.catalogue.roles.values()})

    @property
    def world(self) -> World:
        return World(
            catalogue=lambda: self.catalogue,
            requests=self.requests,
            day_chains=lambda: FakeDayChains(self.requests),
            bindings=lambda: self.bindings,
            lender=self.lender,
            revoker=self.revoker,
            directories=lambda: self.directories,
            now=lambda: self.now,
            new_id=an_id,
            new_salt=lambda: f"salt-{an_id()}",
            queue=self.queue,
            queued=self.queued,
        )

    def pass_time(self, length: timedelta) -> None:
        self.now += length

    def asked(self, who: Principal = CAROL, wish: Ask | None = None, key: str | None = None) -> Request:
        idempotency = IdempotencyKey("POST /requests", key) if key else None
        return asking.ask(self.world, who, wish or an_ask(), idempotency).request

    def extended(
        self, base: Request, who: Principal = CAROL, duration: timedelta = HOUR, key: str | None = None, **changed: Any
    ) -> Request:
        idempotency = IdempotencyKey("POST /requests", key) if key else None
        return extending.extend(self.world, who, more_of(base, duration, **changed), idempotency).request

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

    def told(self) -> Counter[Quota]:
        """What all histories say was taken out of people's days and not given back."""
        told: Counter[Quota] = Counter()
        for request in self.requests.everything(after=None, limit=10_000).items:
            begun: dict[object, Quota] = {}
            for event in self.history(request.id):
                day, session = read_stamp(event.at).date(), event.details.get("session")
                if event.type == EventType.BREAK_GLASS_OPENED:
                    told[request.requester.id, day, None, None] += 1
                if taken := event.details.get("charged_seconds"):
                    begun[session] = request.requester.id, day, request.role, str(event.details["rule"])
                    told[begun[session]] += int(str(taken))
                if back := event.details.get("given_back_seconds"):
                    told[begun[session]] -= int(str(back))
        return +told

    def types(self, id: str) -> list[str]:
        return [event.type for event in self.history(id)]
