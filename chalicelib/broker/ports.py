"""What the broker needs of the world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Generic, Protocol, TypeVar

from chalicelib.core.binding import Binding, Offer, SlackUser
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.denies import Cut, Standing
from chalicelib.core.ledger import Detail, Event, EventType, Recorded
from chalicelib.core.principal import Principal
from chalicelib.core.quotas import Charge
from chalicelib.core.refusals import QuotaUsed
from chalicelib.core.request import Change, Covers, Request, Session
from chalicelib.core.session import SessionPlan
from chalicelib.core.vouching import Directory

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
    """The principal has as many open requests as may be: nothing was stored. open: how many there are."""

    def __init__(self, open: int) -> None:
        super().__init__(open)
        self.open = open


class DayIsUsed(Exception):
    """The requester's day has not left what the change's charge needs: nothing was stored. used: what is used of it."""

    def __init__(self, charge: Charge, used: int) -> None:
        super().__init__(charge, used)
        self.charge = charge
        self.used = used

    def refusal(self) -> QuotaUsed:
        return self.charge.refusal(self.used)


class ReviewIsOverdue(Exception):
    """An earlier emergency of the principal waits for its review for too long: nothing was stored. Tells which.

    review_by: until when it was to be reviewed, as the table sorts it: RFC 3339.
    """

    def __init__(self, request_id: str, review_by: str) -> None:
        super().__init__(request_id, review_by)
        self.request_id = request_id
        self.review_by = review_by


class NothingLent(Exception):
    """What a session needs did not answer: none was made, for certain, and asking again may help.

    `str` of it is for people. code: AWS's own, or `no-signature`.
    """

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.code = code


class NotGenuine(Exception):
    """A message that Daypass did not write, or that this one cannot read; `str` of it says which."""


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
    Where a write ended in a connection failure, a time-out or AWS's own failure, and only there, its `outage` tells
    which outage this is: the same number until a write succeeds.
    """

    def get(self, request_id: str) -> Request | None: ...

    def story(self, request_id: str) -> tuple[Request, tuple[Session, ...]] | None:
        """The request and its last 50 sessions, oldest first."""

    def events(self, request_id: str, *, after: int, limit: int) -> Page[Event]:
        """The history from the event after seq `after` on, oldest first; a position is a seq."""

    def submit(self, change: Change, *further: Change, claim: Claim | None, max_open: int, now: datetime) -> None:
        """Store a new request, and with it transitions of others of the same person, none of which ends one.

        Raises AlreadyClaimed before all others, Stale, DayIsUsed, QuotaFull (only requests open at `now` count) or
        ReviewIsOverdue (emergencies).
        """

    def claimed(self, claim: Claim, *, now: datetime) -> None:
        """Raises AlreadyClaimed where the key was used before and has not expired."""

    def commit(self, change: Change, *further: Change) -> None:
        """Store a transition of a request, and with it those of others of the same person.

        Raises Stale where the version of one of them is not its `before.version`, DayIsUsed, and ReviewIsOverdue where
        the first one becomes an emergency.
        """

    def restore(self, change: Change, *, claim: Claim | None, now: datetime) -> None:
        """Store a new emergency that has happened already: neither quota nor an overdue review stands in its way.

        Both count it from now on. A claim that another request has by now stays with that one. Raises Stale.
        """

    def set_aside(self, message: Sealed, because: str) -> None:
        """Keep a message that is not believed, or fits nowhere, for people to look at, and raise an alarm.

        May be done twice.
        """

    def by_requester(self, requester_id: str, *, after: str | None, limit: int) -> Page[Request]:
        """One person's requests, newest first."""

    def everything(self, *, after: str | None, limit: int) -> Page[Request]:
        """All requests, newest first."""

    def waiting(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        """The requests with a clock that runs out after `now`, the next to run out first."""

    def due(self, *, now: datetime, after: str | None, limit: int) -> Page[Request]:
        """The requests with a clock that has run out by `now` and is not announced yet, the longest overdue first."""

    def day(self, day: date, *, after: str | None, limit: int) -> Page[Recorded]:
        """All events of a day of UTC's, oldest first; a position is a `Recorded.position`."""


class DayChains(Protocol):
    """What belongs to no request goes on the record, in the same table."""

    def append(self, kind: EventType, *, at: datetime, actor: str, details: Mapping[str, Detail]) -> Recorded:
        """Store one event, as the next of one of the chains of `at`'s day; which one is left to chance.

        Raises Unavailable where the table does not answer in time: it may then have happened or not.
        """


class Bindings(Protocol):
    """Who acts where a Slack user does, in the same table. Reads see every write that came before them.

    Every method raises Unavailable where the table does not answer in time; a write may then have happened or not.
    """

    def bound(self, user: SlackUser, request_id: str | None = None) -> tuple[Binding | None, Request | None]:
        """The user's binding and, in the same read, the request that the user is about to act on."""

    def offer(self, code_digest: str, offer: Offer) -> None:
        """Remember a one-time code by its digest."""

    def offered(self, code_digest: str) -> Offer | None: ...

    def bind(self, code_digest: str, binding: Binding) -> SlackUser | None:
        """Use up the code and bind; another user of that team whom the principal had bound is bound no more: told.

        Raises Stale where the code was used meanwhile.
        """

    def unbind(self, principal_id: str, at: datetime) -> tuple[SlackUser, ...]:
        """End the principal's binding in every team. Returns whose they were: who was nobody's already is left out."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What goes to the emergency queue in place of one change of the table: the request as it becomes, and the rest."""

    request: Request
    events: tuple[Event, ...]
    session: Session | None = None
    claim: Claim | None = None

    @property
    def opens(self) -> bool:
        """Whether this is the beginning of a request."""
        return self.events[0].seq == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A message of the emergency queue as it came: nothing of it is believed.

    id: the queue's own for it; request_id: the group it was sent to. receipt: what deletes it, until others receive it.
    """

    id: str
    request_id: str
    sent_at: datetime
    text: str
    mac: bytes
    receipt: str


class EmergencyQueue(Protocol):
    """Where an emergency goes on the record while the table is out: it keeps each request's entries in their order.

    Every method raises Unavailable where the queue, or the key behind it, does not answer or says no; a `put` or a
    `delete` may then have happened or not.
    """

    def put(self, entry: Entry) -> None: ...

    def receive(self) -> tuple[Sealed, ...]:
        """Up to ten messages, which for a minute nobody else receives; none: nothing is there, or nothing just now.

        A request's next message does not come before the earlier ones are deleted, or along with them.
        """

    def unsealed(self, message: Sealed) -> Entry:
        """What was put. Raises NotGenuine where that is not proven."""

    def delete(self, message: Sealed) -> None: ...


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that shows itself to nobody who only prints it."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "•••"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """STS's answer. expiration: STS's own, aware. request_id: CloudTrail's `requestID`. region: the endpoint's.

    kms_request_id: the `requestID` of kms:Sign, where a token was signed for it.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expiration: datetime
    assumed_role_arn: str
    assumed_role_id: str
    request_id: str
    region: str
    kms_request_id: str | None = None


class Lender(Protocol):
    def lend(self, plan: SessionPlan) -> Lent:
        """Exchange a plan for credentials.

        Raises StsRefused where AWS said no and NothingLent where what comes before a session did not answer (no session
        exists), Unavailable where STS did not answer (one may exist).
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

    def deny(self, cut: Cut) -> Standing:
        """Deny everything to every session of the request; tells the deny that does it. Raises CannotDeny.

        It cuts no other sessions unless the role has no room for a deny so narrow.
        """

    def allow_again(self, cut: Cut, covers: Covers, now: datetime) -> None:
        """Take that deny away, if it is there. Raises CannotDeny.

        covers: how wide it may be. A wide one stays as long as it is needed for anything that it cuts.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside, as the use cases see it.

    catalogue: today's, the last good one. day_chains, bindings, directories: made when they are first asked for, which
    few calls do.
    now: aware UTC, whole seconds. new_id: a ULID, which may well be guessed. new_salt: a text that cannot be.
    queue: None where there is none. queued: the emergency that went to the queue, for each person and outage; this
    process's own memory.
    """

    catalogue: Callable[[], Catalogue]
    requests: Requests
    day_chains: Callable[[], DayChains]
    bindings: Callable[[], Bindings]
    lender: Lender
    revoker: Revoker
    directories: Callable[[], Directories]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    new_salt: Callable[[], str]
    queue: EmergencyQueue | None = None
    queued: MutableMapping[tuple[str, int], str] = field(default_factory=dict)
