"""What the broker needs of the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from chalicelib.core.catalogue import Catalogue, Directory
from chalicelib.core.ledger import Event
from chalicelib.core.principal import Principal
from chalicelib.core.request import Change, Request, Session
from chalicelib.core.session import SessionPlan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A piece of a list. next: the sort position to go on after, None at the end; also a short page may have one."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One use of an Idempotency-Key. It binds principal, route and key to a body until `until`."""

    principal_id: str
    route: str
    key: str
    body_hash: str
    until: datetime


class Stale(Exception):
    """The request is not, or no longer, as the change assumed: nothing was stored."""


class AlreadyClaimed(Exception):
    """The key was used before and has not expired: nothing was stored. Tells for which request and which body."""

    def __init__(self, request_id: str, body_hash: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id
        self.body_hash = body_hash


class QuotaFull(Exception):
    """The principal has as many open requests as may be: nothing was stored."""


class ReviewIsOverdue(Exception):
    """An earlier emergency of the principal waits for its review for too long: nothing was stored. Tells which."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id


class CannotDeny(Exception):
    """A deny is not known to be at the role, or not known to be gone from it; `str` of it is for people.

    code: AWS's own, or `no-answer`: then it may be there all the same.
    """

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.code = code


class Requests(Protocol):
    """The table. Every write is one transaction. All reads but the lists see every write that came before them.

    Every method raises Unavailable where the table does not answer in time; a write may then have happened or not.
    """

    def get(self, request_id: str) -> Request | None: ...

    def story(self, request_id: str) -> tuple[Request, tuple[Session, ...]] | None:
        """The request and its last 50 sessions, oldest first."""

    def events(self, request_id: str, *, after: int, limit: int) -> Page[Event]:
        """The history from the event after seq `after` on, oldest first; a position is a seq."""

    def submit(self, change: Change, *, claim: Claim | None, max_open: int, now: datetime) -> None:
        """Store a new request.

        Raises AlreadyClaimed, QuotaFull (only requests open at `now` count), ReviewIsOverdue (emergencies) or Stale.
        """

    def commit(self, change: Change) -> None:
        """Store a transition of a request.

        Raises Stale where its version is not `change.before.version`, ReviewIsOverdue where it becomes an emergency.
        """

    def by_requester(self, requester_id: str, *, after: str | None, limit: int) -> Page[Request]:
        """One person's requests, newest first."""

    def everything(self, *, after: str | None, limit: int) -> Page[Request]:
        """All requests, newest first."""

    def waiting(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        """The requests with a clock that runs out after `now`, the next to run out first."""

    def due(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        """The requests with a clock that has run out by `now` and is not announced yet, the longest overdue first."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that shows itself to nobody who only prints it."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "•••"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """STS's answer. expiration: STS's own, aware. request_id: CloudTrail's `requestID`. region: the endpoint's."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expiration: datetime
    assumed_role_arn: str
    assumed_role_id: str
    request_id: str
    region: str


class Lender(Protocol):
    def lend(self, plan: SessionPlan) -> Lent:
        """Exchange a plan for credentials.

        Raises StsRefused where STS said no (no session exists), Unavailable where it did not answer (one may exist).
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a directory is told of an ask, so that its facts may depend on it."""

    role: str
    account_id: str
    duration: timedelta
    ticket: str | None


class Directories(Protocol):
    def groups(
        self, directory: Directory, wanted: frozenset[str], principal: Principal, about: About | None
    ) -> frozenset[str]:
        """Those of the wanted groups (`group@directory`) that the principal is in, at most a minute old.

        about: the ask that is decided on; None where nothing is. Raises Unavailable where the directory does not tell.
        """


class Revoker(Protocol):
    """Cuts the sessions of one request at the role that lent them. Both answer within 5 s, and may be done twice."""

    def deny(self, role_arn: str, request_id: str) -> None:
        """Deny everything to every session of the request, and to no other. Raises CannotDeny."""

    def allow_again(self, role_arn: str, request_id: str) -> None:
        """Take that deny away, if it is there. Raises CannotDeny."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside, as the use cases see it.

    catalogue: today's, the last good one. now: aware UTC, whole seconds. new_id: a ULID, which may well be guessed.
    new_salt: a text that cannot be.
    """

    catalogue: Callable[[], Catalogue]
    requests: Requests
    lender: Lender
    revoker: Revoker
    directories: Directories
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    new_salt: Callable[[], str]
