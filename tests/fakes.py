"""The world in memory, for the broker's tests. `tests/aws/test_table.py` holds FakeRequests to the table's rules."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import Enum
from threading import Lock
from typing import TypeVar

from chalicelib.broker.ports import (
    About,
    AlreadyClaimed,
    CannotDeny,
    Claim,
    DayIsUsed,
    Entry,
    Keys,
    Lent,
    NotGenuine,
    NothingLent,
    Page,
    QuotaFull,
    ReviewIsOverdue,
    Sealed,
    Secret,
    Stale,
)
from chalicelib.core import denies, life
from chalicelib.core.activity import Lent as OnRecord
from chalicelib.core.activity import Suspicion, Told
from chalicelib.core.binding import Binding, Offer, SlackUser
from chalicelib.core.console import Site
from chalicelib.core.denies import Cut, Standing
from chalicelib.core.known import SEEN_WITHIN
from chalicelib.core.ledger import Detail, Event, EventType, Head, Recorded, beginning, day_chain, next_event
from chalicelib.core.noting import Note, Place
from chalicelib.core.principal import Principal
from chalicelib.core.quotas import Charge
from chalicelib.core.refusals import Calls, Refusal, StsRefused, Unavailable
from chalicelib.core.request import Change, Covers, Request, Session
from chalicelib.core.session import SessionPlan
from chalicelib.core.times import stamp
from chalicelib.core.vouching import Directory

T = TypeVar("T")

CONSOLE = "console.aws.amazon.com"

Quota = tuple[str, date, str | None, str | None]
"""Whose, on which day, and of which role and rule; of none: emergencies."""


REFUSED: Calls = {"sts_request_id": "00000000-0000-4000-8000-ref00000000d"}
"""What STS calls a call that it refused."""


class Effect(Enum):
    """Whether a call that did not answer was done all the same."""

    BEFORE = "before"
    AFTER = "after"


class FakeRequests:
    """`ports.Requests` in memory. Threads may share it. off: nobody answers. asides: what was set aside, and why."""

    def __init__(self, *requests: Request) -> None:
        self.off = False
        self.asides: dict[str, tuple[Sealed, str]] = {}
        self._written = 0
        self._lock = Lock()
        self._requests = {request.id: request for request in requests}
        self._events: dict[tuple[str, int], Event] = {}
        self.stored_once: set[str] = set()
        self._sessions: dict[tuple[str, str], Session] = {}
        self._claims: dict[tuple[str, str, str], tuple[str, Claim]] = {}
        self.used: Counter[Quota] = Counter()
        self._failing: Iterator[Effect | None] = iter(())
        self._meanwhile: Callable[[], object] | None = None

    def fail_next(self, effect: Effect, *, after: int = 0) -> None:
        """The next write, or the one after so many others, raises Unavailable before or after it took effect."""
        self._failing = iter([*[None] * after, effect])

    def meanwhile(self, act: Callable[[], object]) -> None:
        """What somebody else does just before the next write."""
        self._meanwhile = act

    def get(self, request_id: str) -> Request | None:
        with self._reading():
            return self._requests.get(request_id)

    def story(self, request_id: str) -> tuple[Request, tuple[Session, ...]] | None:
        with self._reading():
            if request_id not in self._requests:
                return None
            sessions = [session for (owner, _), session in sorted(self._sessions.items()) if owner == request_id]
            return self._requests[request_id], tuple(sessions[-50:])

    def events(self, request_id: str, *, after: int, limit: int) -> Page[Event]:
        with self._reading():
            found = [
                event for (owner, seq), event in sorted(self._events.items()) if owner == request_id and seq > after
            ]
        return _page(found, limit, lambda event: str(event.seq))

    def submit(self, change: Change, *further: Change, claim: Claim | None, max_open: int, now: datetime) -> None:
        with self._writing():
            request = change.after
            if claim:
                self._refuse_claimed(claim, now)
            if request.id in self._requests or self._repeats(change) or any(map(self._stale, further)):
                raise Stale
            self._refuse_used(change)
            still_open = self._open(request.requester.id, now)
            if len(still_open) >= max_open:
                raise QuotaFull(len(still_open))
            self._refuse_overdue(change)
            for each in (change, *further):
                self._store(each)
            if claim:
                self._claims[_key(claim)] = request.id, claim

    def claimed(self, claim: Claim, *, now: datetime) -> None:
        with self._lock:
            self._refuse_claimed(claim, now)

    def commit(self, change: Change, *further: Change) -> None:
        with self._writing():
            if any(map(self._stale, (change, *further))):
                raise Stale
            self._refuse_used(change)
            self._refuse_overdue(change)
            for each in (change, *further):
                self._store(each)

    def restore(self, change: Change, *, claim: Claim | None, now: datetime) -> None:
        with self._writing():
            if change.after.id in self._requests or self._repeats(change):
                raise Stale
            self._store(change)
            if claim and not self._claimed(claim, now):
                self._claims[_key(claim)] = change.after.id, claim

    def set_aside(self, message: Sealed, because: str) -> None:
        with self._writing():
            self.asides[message.id] = message, because

    def by_requester(self, requester_id: str, *, after: str | None, limit: int) -> Page[Request]:
        return self._newest(lambda request: request.requester.id == requester_id, after, limit)

    def everything(self, *, after: str | None, limit: int) -> Page[Request]:
        return self._newest(lambda request: True, after, limit)

    def waiting(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        return self._clocks(lambda at: at > now, after, limit)

    def due(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        return self._clocks(lambda at: at <= now, after, limit)

    def day(self, day: date, *, after: str | None, limit: int) -> Page[Recorded]:
        with self._reading():
            known = [Recorded(owner, event) for (owner, _), event in self._events.items()]
        found = [each for each in known if each.event.at[:10] == day.isoformat() and each.position > (after or "")]
        return _page(sorted(found, key=lambda each: each.position), limit, lambda each: each.position)

    def _clocks(self, wanted: Callable[[datetime], bool], after: str | None, limit: int) -> Page[Request]:
        with self._reading():
            clocks = [(at, request) for request in self._requests.values() if (at := request.due_at())]
        found = sorted(
            ((f"{stamp(at)}#{request.id}", request) for at, request in clocks if wanted(at)), key=lambda pair: pair[0]
        )
        page = _page([pair for pair in found if pair[0] > (after or "")], limit, lambda pair: pair[0])
        return Page(tuple(request for _, request in page.items), page.next)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            if self.off:
                raise Unavailable("The fake is switched off.")
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        act, self._meanwhile = self._meanwhile, None
        if act:
            act()
        with self._lock:
            failure = next(self._failing, None)
            if failure is Effect.BEFORE or self.off:
                raise Unavailable("The fake was told not to answer: it did nothing.", outage=self._written)
            yield
            if failure is Effect.AFTER:
                raise Unavailable("The fake was told not to answer: it did all of it.", outage=self._written)
            self._written += 1

    def _refuse_claimed(self, claim: Claim, now: datetime) -> None:
        if earlier := self._claimed(claim, now):
            raise AlreadyClaimed(*earlier)

    def _claimed(self, claim: Claim, now: datetime) -> tuple[str, str] | None:
        """By which request, with which body."""
        request_id, earlier = self._claims.get(_key(claim), ("", None))
        return (request_id, earlier.body_hash) if earlier and now < earlier.until else None

    def _refuse_overdue(self, change: Change) -> None:
        if not change.after.break_glass or (change.before and change.before.break_glass):
            return
        mine = (each for each in self._requests.values() if each.requester.id == change.after.requester.id)
        unreviewed = [(stamp(each.review_by), each.id) for each in mine if each.review_by and not each.review]
        if unreviewed and min(unreviewed)[0] <= change.events[-1].at:
            review_by, request_id = min(unreviewed)
            raise ReviewIsOverdue(request_id, review_by)

    def _refuse_used(self, change: Change) -> None:
        charge = change.charge
        if charge and charge.needs and self.used[_quota(charge)] + charge.needs > charge.limit:
            raise DayIsUsed(charge, self.used[_quota(charge)])

    def _stale(self, change: Change) -> bool:
        if change.before is None:
            raise ValueError("a new request is submitted, not committed")
        stored = self._requests.get(change.after.id)
        return stored is None or stored.version != change.before.version or self._repeats(change)

    def _repeats(self, change: Change) -> bool:
        return any((change.after.id, event.seq) in self._events for event in change.events)

    def _open(self, requester_id: str, now: datetime) -> list[Request]:
        mine = (request for request in self._requests.values() if request.requester.id == requester_id)
        return [request for request in mine if request.state(now) in life.OPEN]

    def _store(self, change: Change) -> None:
        request_id = change.after.id
        self._requests[request_id] = change.after
        self._events |= {(request_id, event.seq): event for event in change.events}
        if change.session:
            self._sessions[request_id, change.session.id] = change.session
        if change.charge:
            self.used[_quota(change.charge)] += change.charge.takes

    def _newest(self, wanted: Callable[[Request], bool], after: str | None, limit: int) -> Page[Request]:
        with self._reading():
            found = [request for request in self._requests.values() if wanted(request)]
        older = [request for request in found if after is None or request.id < after]
        return _page(sorted(older, key=_id, reverse=True), limit, _id)


@dataclass
class FakeDayChains:
    """`ports.DayChains` in memory, out when the requests are. `tests/aws/test_day_chains.py` holds it to its rules."""

    requests: FakeRequests
    pick: Callable[[Sequence[str]], str] = random.choice

    def append(
        self, kind: EventType, *, at: datetime, actor: str, details: Mapping[str, Detail], once: str | None = None
    ) -> Recorded | None:
        with self.requests._writing():
            if once is not None and once in self.requests.stored_once:
                return None
            self.requests.stored_once |= {once} if once else set()
            chain = day_chain(at.date(), self.pick("0123"))
            known = [event for (owner, _), event in self.requests._events.items() if owner == chain]
            head = Head(known[-1].seq, known[-1].hash) if known else beginning(chain)
            event = next_event(head, kind, at, actor, details)
            self.requests._events[chain, event.seq] = event
            return Recorded(chain, event)


@dataclass
class FakeBindings:
    """`ports.Bindings` in memory, out when the requests are. `tests/aws/test_bindings.py` holds it to its rules."""

    requests: FakeRequests
    bindings: dict[SlackUser, Binding] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    _only: dict[tuple[str, str], SlackUser] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def bound(self, user: SlackUser, request_id: str | None = None) -> tuple[Binding | None, Request | None]:
        return self.bindings.get(user), self.requests.get(request_id) if request_id else None

    def offer(self, code_digest: str, offer: Offer) -> None:
        self.offers[code_digest] = offer

    def offered(self, code_digest: str) -> Offer | None:
        with self.requests._reading():
            return self.offers.get(code_digest)

    def bind(self, code_digest: str, binding: Binding) -> SlackUser | None:
        with self._lock:
            offer = self.offers.get(code_digest)
            if offer is None or offer.used_by is not None or binding.confirmed_at >= offer.until:
                raise Stale
            self.offers[code_digest] = replace(offer, used_by=binding.principal_id)
            before = self._only.get((binding.principal_id, binding.user.team))
            self._only[binding.principal_id, binding.user.team] = binding.user
            self.bindings[binding.user] = binding
            if before in (None, binding.user) or self.bindings[before].principal_id != binding.principal_id:
                return None
            self.bindings[before] = replace(self.bindings[before], ended_at=binding.confirmed_at)
            return before

    def unbind(self, principal_id: str, at: datetime) -> tuple[SlackUser, ...]:
        with self.requests._reading(), self._lock:
            theirs = [
                user
                for user, binding in self.bindings.items()
                if binding.principal_id == principal_id and binding.ended_at is None
            ]
            self.bindings |= {user: replace(self.bindings[user], ended_at=at) for user in theirs}
            return tuple(theirs)


@dataclass
class FakeLender:
    """`ports.Lender` without STS: canned keys, no two alike. `lent` is every session there is, answered or not."""

    now: Callable[[], datetime]
    plans: list[SessionPlan] = field(default_factory=list)
    lent: list[Lent] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)
    _next: StsRefused | NothingLent | Effect | None = None

    def refuse_next(self, code: str = "AccessDenied", calls: Calls = REFUSED) -> None:
        self._next = StsRefused("The fake was told to refuse.", code, calls)

    def lend_nothing_next(self, code: str = "no-signature") -> None:
        self._next = NothingLent("The fake was told not to sign.", code)

    def time_out_next(self, effect: Effect) -> None:
        self._next = effect

    def forget_what_was_told(self) -> None:
        """For a story in which the call that was meant to go wrong was never made."""
        self._next = None

    def lend(self, plan: SessionPlan) -> Lent:
        self.plans.append(plan)
        told, self._next = self._next, None
        if isinstance(told, StsRefused | NothingLent):
            raise told
        if told is Effect.BEFORE:
            raise Unavailable("STS did not answer: it never heard the question.")
        lent = self._lend(plan, next(self._number))
        self.lent.append(lent)
        if told is Effect.AFTER:
            raise Unavailable("STS did not answer: there is a session all the same.")
        return lent

    def _lend(self, plan: SessionPlan, number: int) -> Lent:
        account_id, role_name = plan.role_arn.split(":")[4], plan.role_arn.rpartition("/")[2]
        return Lent(
            access_key_id=f"ASIAFAKE{number:012d}",
            secret_access_key=Secret(f"secret-{number}"),
            session_token=Secret(f"token-{number}"),
            expiration=self.now() + plan.duration,
            assumed_role_arn=f"arn:aws:sts::{account_id}:assumed-role/{role_name}/{plan.session_name}",
            assumed_role_id=f"AROAFAKE:{plan.session_name}",
            request_id=f"00000000-0000-4000-8000-{number:012d}",
            region="us-east-1",
            kms_request_id=f"00000000-0000-4000-9000-{number:012d}" if plan.token else None,
        )


@dataclass
class FakeRevoker:
    """`ports.Revoker` without IAM: which requests are denied at which role. `roles`: those there are.

    covers: how wide its denies are; as the port has it, one that is wide stays until nobody needs it.
    """

    roles: set[str]
    covers: Covers = Covers.REQUEST
    denied: set[tuple[str, str]] = field(default_factory=set)
    _next: CannotDeny | None = None
    _effect: Effect = Effect.BEFORE

    def fail_next(self, code: str = "AccessDenied", effect: Effect = Effect.BEFORE) -> None:
        """The next call raises CannotDeny, before or after it took effect."""
        self._next, self._effect = CannotDeny(f"{code}: the fake was told to fail.", code), effect

    def forget_what_was_told(self) -> None:
        self._next = None

    def deny(self, cut: Cut) -> Standing:
        with self._acting(cut.role_arn):
            self.denied.add((cut.role_arn, cut.request_id))
        return denies.named(cut, self.covers)

    def allow_again(self, cut: Cut, covers: Covers, now: datetime) -> None:
        with self._acting(cut.role_arn):
            # A narrow one goes, also where the record does not know how wide it came to be.
            if Covers.REQUEST in (covers, self.covers) or denies.needless(denies.named(cut, covers), now):
                self.denied.discard((cut.role_arn, cut.request_id))

    @contextmanager
    def _acting(self, role_arn: str) -> Iterator[None]:
        told, self._next = self._next, None
        if role_arn not in self.roles:
            raise CannotDeny("AccessDenied: the fake has no such role.", "AccessDenied")
        if told and self._effect is Effect.BEFORE:
            raise told
        yield
        if told:
            raise told


@dataclass
class FakeConsole:
    """`ports.Console` without AWS: canned links, no two alike. `signed_in`: the keys of each, page and duration."""

    site: Site = field(default_factory=lambda: Site("https://us-east-1.signin.example/federation", CONSOLE))
    signed_in: list[tuple[str, str, timedelta | None]] = field(default_factory=list)
    _next: Refusal | None = None

    def fail_next(self, refusal: Refusal) -> None:
        self._next = refusal

    def sign_in(self, keys: Keys, page: str, duration: timedelta | None) -> Secret:
        self.signed_in.append((keys.access_key_id, page, duration))
        told, self._next = self._next, None
        if told:
            raise told
        return Secret(f"{self.site.federation}?Action=login&SigninToken=signin-{len(self.signed_in)}")


@dataclass
class FakeDirectories:
    """`ports.Directories`: `members` by group as rules write it. `asked`: what it was asked about whom, in order."""

    members: dict[str, set[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, About | None]] = field(default_factory=list)

    def groups(
        self, directory: Directory, wanted: frozenset[str], principal: Principal, about: About | None
    ) -> frozenset[str]:
        self.asked.append((directory.name, principal.id, about))
        if directory.name in self.silent:
            raise Unavailable("The fake was told to be silent.")
        return frozenset(group for group in wanted if principal.id in self.members.get(group, set()))


def _quota(charge: Charge) -> Quota:
    return charge.principal_id, charge.day, charge.role, charge.rule


HIDDEN = timedelta(minutes=1)


@dataclass
class FakeQueue:
    """`ports.EmergencyQueue` without SQS and KMS. messages: those in it, in order. off: nobody answers."""

    now: Callable[[], datetime]
    messages: list[Sealed] = field(default_factory=list)
    off: bool = False
    _written: dict[str, Entry] = field(default_factory=dict, repr=False)
    _hidden: dict[str, datetime] = field(default_factory=dict, repr=False)
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def entries(self) -> list[Entry]:
        """What Daypass put here and nobody has deleted."""
        return [self._written[message.text] for message in self.messages if message.mac]

    def put(self, entry: Entry) -> None:
        self._answer()
        text = repr(entry)
        self._written[text] = entry
        self._send(entry.request.id, text, mac=b"mac")

    def forge(self, request_id: str, text: str) -> None:
        """What somebody sends who is not Daypass."""
        self._send(request_id, text, mac=b"")

    def forget_what_is_hidden(self) -> None:
        """As after a minute."""
        self._hidden.clear()

    def receive(self) -> tuple[Sealed, ...]:
        self._answer()
        in_flight = {each.request_id for each in self.messages if self._hidden.get(each.id, self.now()) > self.now()}
        taken = [each for each in self.messages if each.request_id not in in_flight][:10]
        received = {each.id: replace(each, receipt=f"receipt-{next(self._number)}") for each in taken}
        self._hidden |= dict.fromkeys(received, self.now() + HIDDEN)
        self.messages = [received.get(each.id, each) for each in self.messages]
        return tuple(received.values())

    def unsealed(self, message: Sealed) -> Entry:
        self._answer()
        if not message.mac or message.text not in self._written:
            raise NotGenuine("nobody put it here")
        return self._written[message.text]

    def delete(self, message: Sealed) -> None:
        self._answer()
        left = [each for each in self.messages if each.receipt != message.receipt]
        if len(left) == len(self.messages):
            raise Unavailable("Somebody else has received it since, or deleted it.")
        self.messages = left

    def _send(self, request_id: str, text: str, *, mac: bytes) -> None:
        id = f"message-{next(self._number)}"
        self.messages.append(
            Sealed(id=id, request_id=request_id, sent_at=self.now(), text=text, mac=mac, receipt=f"none for {id}")
        )

    def _answer(self) -> None:
        if self.off:
            raise Unavailable("The fake queue is switched off.")


def _key(claim: Claim) -> tuple[str, str, str]:
    return claim.principal_id, claim.route, claim.key


def _id(request: Request) -> str:
    return request.id


def _page(found: Iterable[T], limit: int, position: Callable[[T], str]) -> Page[T]:
    items = tuple(found)
    shown = items[:limit]
    return Page(shown, position(shown[-1]) if len(items) > limit else None)


@dataclass
class FakeTrail:
    """`ports.Trail` in memory, with the sessions of these requests. `tests/aws/test_trail_notes.py` holds it to it."""

    requests: FakeRequests
    notes: dict[tuple[str, Place, str], Note] = field(default_factory=dict)
    suspected: dict[Suspicion, datetime | None] = field(default_factory=dict)
    settled_sessions: set[str] = field(default_factory=set)

    def put(self, notes: Sequence[Note]) -> None:
        self.notes |= {(note.file, note.place, note.access_key_id or str(note.begun_at)): note for note in notes}

    def told(self, place: Place, *, most: int) -> Told:
        found = sorted((each for each in self.notes.values() if each.place == place), key=lambda each: each.file)
        return Told(lent=self.lent([place]).get(place), notes=tuple(found[:most]), whole=len(found) <= most)

    def lent(self, places: Iterable[Place]) -> Mapping[Place, OnRecord]:
        asked = set(places)
        return {lent.place: lent for lent in self._lent() if lent.place in asked}

    def suspect(self, suspicion: Suspicion, *, due: datetime) -> None:
        self.suspected.setdefault(suspicion, due)

    def suspicions(self, *, now: datetime) -> Sequence[Suspicion]:
        due = [(at, each) for each, at in self.suspected.items() if at and at <= now]
        return [each for _, each in sorted(due, key=lambda pair: (pair[0], pair[1].session_name))]

    def judged(self, suspicion: Suspicion, *, bypass: bool) -> None:
        if bypass:
            self.suspected[suspicion] = None
        else:
            del self.suspected[suspicion]

    def unseen(self, *, now: datetime) -> Sequence[OnRecord]:
        waited = (each for each in self._lent() if each.session.id not in self.settled_sessions)
        return [each for each in waited if each.session.issued_at and each.session.issued_at + SEEN_WITHIN <= now]

    def settled(self, lent: OnRecord) -> None:
        self.settled_sessions.add(lent.session.id)

    def _lent(self) -> Iterator[OnRecord]:
        for (request_id, _), session in sorted(self.requests._sessions.items()):
            request = self.requests._requests[request_id]
            yield OnRecord(request_id=request_id, role_arn=request.role_arn, session=session)
