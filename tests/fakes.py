"""The world in memory, for the broker's tests. `tests/aws/test_table.py` holds FakeRequests to the table's rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from threading import Lock
from typing import TypeVar

from chalicelib.broker.ports import (
    About,
    AlreadyClaimed,
    CannotDeny,
    Claim,
    Lent,
    Page,
    QuotaFull,
    ReviewIsOverdue,
    Secret,
    Stale,
)
from chalicelib.core import life
from chalicelib.core.catalogue import Directory
from chalicelib.core.ledger import Event
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import StsRefused, Unavailable
from chalicelib.core.request import Change, Request, Session
from chalicelib.core.session import SessionPlan
from chalicelib.core.times import stamp

T = TypeVar("T")


class Effect(Enum):
    """Whether a call that did not answer was done all the same."""

    BEFORE = "before"
    AFTER = "after"


class FakeRequests:
    """`ports.Requests` in memory. Threads may share it."""

    def __init__(self, *requests: Request) -> None:
        self._lock = Lock()
        self._requests = {request.id: request for request in requests}
        self._events: dict[tuple[str, int], Event] = {}
        self._sessions: dict[tuple[str, str], Session] = {}
        self._claims: dict[tuple[str, str, str], tuple[str, Claim]] = {}
        self._failing: Iterator[Effect | None] = iter(())
        self._meanwhile: Callable[[], object] | None = None

    def fail_next(self, effect: Effect, *, after: int = 0) -> None:
        """The next write, or the one after so many others, raises Unavailable before or after it took effect."""
        self._failing = iter([*[None] * after, effect])

    def meanwhile(self, act: Callable[[], object]) -> None:
        """What somebody else does just before the next write."""
        self._meanwhile = act

    def get(self, request_id: str) -> Request | None:
        with self._lock:
            return self._requests.get(request_id)

    def story(self, request_id: str) -> tuple[Request, tuple[Session, ...]] | None:
        with self._lock:
            if request_id not in self._requests:
                return None
            sessions = [session for (owner, _), session in sorted(self._sessions.items()) if owner == request_id]
            return self._requests[request_id], tuple(sessions[-50:])

    def events(self, request_id: str, *, after: int, limit: int) -> Page[Event]:
        with self._lock:
            found = [
                event for (owner, seq), event in sorted(self._events.items()) if owner == request_id and seq > after
            ]
        return _page(found, limit, lambda event: str(event.seq))

    def submit(self, change: Change, *, claim: Claim | None, max_open: int, now: datetime) -> None:
        with self._writing():
            request = change.after
            if claim:
                self._refuse_claimed(claim, now)
            if request.id in self._requests or self._repeats(change):
                raise Stale
            if len(self._open(request.requester.id, now)) >= max_open:
                raise QuotaFull
            self._refuse_overdue(change)
            self._store(change)
            if claim:
                self._claims[_key(claim)] = request.id, claim

    def commit(self, change: Change) -> None:
        if change.before is None:
            raise ValueError("a new request is submitted, not committed")
        with self._writing():
            stored = self._requests.get(change.after.id)
            if stored is None or stored.version != change.before.version or self._repeats(change):
                raise Stale
            self._refuse_overdue(change)
            self._store(change)

    def by_requester(self, requester_id: str, *, after: str | None, limit: int) -> Page[Request]:
        return self._newest(lambda request: request.requester.id == requester_id, after, limit)

    def everything(self, *, after: str | None, limit: int) -> Page[Request]:
        return self._newest(lambda request: True, after, limit)

    def waiting(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        return self._clocks(lambda at: at > now, after, limit)

    def due(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        return self._clocks(lambda at: at <= now, after, limit)

    def _clocks(self, wanted: Callable[[datetime], bool], after: str | None, limit: int) -> Page[Request]:
        with self._lock:
            clocks = [(at, request) for request in self._requests.values() if (at := request.due_at())]
        found = sorted(
            ((f"{stamp(at)}#{request.id}", request) for at, request in clocks if wanted(at)), key=lambda pair: pair[0]
        )
        page = _page([pair for pair in found if pair[0] > (after or "")], limit, lambda pair: pair[0])
        return Page(tuple(request for _, request in page.items), page.next)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        act, self._meanwhile = self._meanwhile, None
        if act:
            act()
        with self._lock:
            failure = next(self._failing, None)
            if failure is Effect.BEFORE:
                raise Unavailable("The fake was told not to answer: it did nothing.")
            yield
            if failure is Effect.AFTER:
                raise Unavailable("The fake was told not to answer: it did all of it.")

    def _refuse_claimed(self, claim: Claim, now: datetime) -> None:
        request_id, earlier = self._claims.get(_key(claim), ("", None))
        if earlier and now < earlier.until:
            raise AlreadyClaimed(request_id, earlier.body_hash)

    def _refuse_overdue(self, change: Change) -> None:
        if not change.after.break_glass or (change.before and change.before.break_glass):
            return
        mine = (each for each in self._requests.values() if each.requester.id == change.after.requester.id)
        unreviewed = [(stamp(each.review_by), each.id) for each in mine if each.review_by and not each.review]
        if unreviewed and min(unreviewed)[0] <= change.events[-1].at:
            raise ReviewIsOverdue(min(unreviewed)[1])

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

    def _newest(self, wanted: Callable[[Request], bool], after: str | None, limit: int) -> Page[Request]:
        with self._lock:
            found = [request for request in self._requests.values() if wanted(request)]
        older = [request for request in found if after is None or request.id < after]
        return _page(sorted(older, key=_id, reverse=True), limit, _id)


@dataclass
class FakeLender:
    """`ports.Lender` without STS: canned keys, no two alike. `lent` is every session there is, answered or not."""

    now: Callable[[], datetime]
    plans: list[SessionPlan] = field(default_factory=list)
    lent: list[Lent] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)
    _next: StsRefused | Effect | None = None

    def refuse_next(self, code: str = "AccessDenied") -> None:
        self._next = StsRefused("The fake was told to refuse.", code)

    def time_out_next(self, effect: Effect) -> None:
        self._next = effect

    def forget_what_was_told(self) -> None:
        """For a story in which the call that was meant to go wrong was never made."""
        self._next = None

    def lend(self, plan: SessionPlan) -> Lent:
        self.plans.append(plan)
        told, self._next = self._next, None
        if isinstance(told, StsRefused):
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
        )


@dataclass
class FakeRevoker:
    """`ports.Revoker` without IAM: which requests are denied at which role. `roles`: those there are."""

    roles: set[str]
    denied: set[tuple[str, str]] = field(default_factory=set)
    _next: CannotDeny | None = None
    _effect: Effect = Effect.BEFORE

    def fail_next(self, code: str = "AccessDenied", effect: Effect = Effect.BEFORE) -> None:
        """The next call raises CannotDeny, before or after it took effect."""
        self._next, self._effect = CannotDeny(f"{code}: the fake was told to fail.", code), effect

    def forget_what_was_told(self) -> None:
        self._next = None

    def deny(self, role_arn: str, request_id: str) -> None:
        with self._acting(role_arn):
            self.denied.add((role_arn, request_id))

    def allow_again(self, role_arn: str, request_id: str) -> None:
        with self._acting(role_arn):
            self.denied.discard((role_arn, request_id))

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


def _key(claim: Claim) -> tuple[str, str, str]:
    return claim.principal_id, claim.route, claim.key


def _id(request: Request) -> str:
    return request.id


def _page(found: Iterable[T], limit: int, position: Callable[[T], str]) -> Page[T]:
    items = tuple(found)
    shown = items[:limit]
    return Page(shown, position(shown[-1]) if len(items) > limit else None)
