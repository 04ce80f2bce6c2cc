"""A request: the record of the whole story of one ask, and the sessions it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from chalicelib.core import life
from chalicelib.core.catalogue import Who
from chalicelib.core.ledger import Detail, Event, EventType, Head, beginning, next_event
from chalicelib.core.life import Expired, State, Status, Window
from chalicelib.core.principal import Principal
from chalicelib.core.quotas import Charge


@dataclass(frozen=True, slots=True)
class ScopeChoice:
    """The scope that was asked for, by name, with a value for each of its parameters."""

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a principal asks for. session_policy: the caller's own, as JSON text; never together with a scope.

    starts_at: when the window shall begin; None: at the first use.
    extends: the id of the request that it asks for more of. Role (or ""), scope, policy and start are then that one's.
    """

    role: str
    duration: timedelta
    reason: str
    ticket: str | None = None
    scope: ScopeChoice | None = None
    session_policy: str | None = None
    break_glass: bool = False
    starts_at: datetime | None = None
    extends: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One yes. qualifies: the `Who.key` of every stage that its giver could fill at the click.

    mfa: whether the giver's sign-in had proved a second factor; without, it does not count where a rule asks for one.
    """

    by: str
    at: datetime
    comment: str | None
    qualifies: frozenset[str]
    mfa: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The place of an extension in its chain, and what it takes over from the links before it.

    base: the id of the request that it extends. number: 1 for the first extension of a request, 2 for that one's.
    before: how long the chain is where this link begins; where its base was not opened yet, the most that can be.
    base_duration: what its base was approved for. approvals: those of the request that the chain began with.
    """

    base: str
    number: int
    before: timedelta
    base_duration: timedelta
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class StageProgress:
    """A stage as it is shown: who is asked, how many of them, and who has said yes in it."""

    count: int
    who: Who
    approved_by: tuple[str, ...]


class Verdict(StrEnum):
    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What somebody else found of an emergency, afterwards and for good."""

    verdict: Verdict
    by: str
    at: datetime
    comment: str


class SessionStatus(StrEnum):
    ISSUING = "issuing"
    ISSUED = "issued"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One issuance of STS credentials. id: a ULID. Holds CloudTrail's join keys and no secret.

    expires_at: the earlier of STS's own expiry and the window's end.
    sts_request_id: the RequestId of STS's answer, CloudTrail's `requestID`; sts_region: whose trail the call is in.
    """

    id: str
    session_name: str
    begun_at: datetime
    status: SessionStatus = SessionStatus.ISSUING
    access_key_id: str | None = None
    assumed_role_id: str | None = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    sts_request_id: str | None = None
    sts_region: str | None = None


class Covers(StrEnum):
    """Whose sessions at its role a deny cuts: the request's, also all others of the same person, or everybody's."""

    REQUEST = "request"
    PERSON = "person"
    ROLE = "role"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """What is known of the deny that cuts a request's live sessions at one role; nothing yet where all is None.

    written_at: when AWS took it, which is not yet when it holds everywhere. covers: how wide it is, once written.
    error: why it could not be written, or removed, at the last attempt. removed_at: when it was taken away, all that it
    cut being over. due_at: when there is something to be done about it again; None: never.
    """

    role_arn: str
    due_at: datetime | None
    written_at: datetime | None = None
    covers: Covers = Covers.REQUEST
    error: str | None = None
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """How the live sessions of a request are cut. stopped_at: from when on no new one was lent.

    not_covered: the ARNs (with IAM's wildcards) of roles that its sessions may have gone on to, which no deny reaches.
    """

    stopped_at: datetime
    denies: tuple[Deny, ...] = ()
    not_covered: tuple[str, ...] = ()

    def due_at(self) -> datetime | None:
        return min((deny.due_at for deny in self.denies if deny.due_at), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ask for one role for one duration for one reason.

    requester: as verified when asking; its groups are asked again at each issuance.
    duration: as asked, or as an approver cut it.
    scope: the choice; session_policy: the permissions that approvers see (the scope's, filled in, or the caller's).
    rule, stages: the deciding rule; while pending they are worked out anew whenever they are shown.
    starts_at: the start that was asked for, or on which an extension counts: the window stays where it is; None where
    the first use opens the window.
    answer_by: the end of waiting for a decision; use_by: the end of waiting for a first use that opens the window.
    window: once open; where a start was asked for, from the beginning.
    break_glass: access without approval, which somebody of `reviewers` has to review by `review_by`.
    escalated_because: why a pending request was made one.
    sessions_begun, last_begun: how many sessions were begun, and when the last ten were.
    charged: the rules out of whose day the window was taken.
    lent_until: when the last of them ends, at the latest: by its wall or STS's own expiry. None where none was begun.
    catalogue_digest: of the catalogue that the ask was judged by.
    link: where it extends another request. extended_by: the newest extension of it.
    announced: the clock whose end the history tells already; it is due no more, another one would be.
    revocation: once its live sessions were to be cut.
    erased_at: when reason and comments were erased, and the salt with them.
    salt: what the history's commitments to reason and comments are salted with.
    version, head_hash: the seq and the hash of the last event.
    """

    id: str
    status: Status
    requester: Principal
    role: str
    account: str
    account_id: str
    role_arn: str
    duration: timedelta
    reason: str
    ticket: str | None
    scope: ScopeChoice | None
    session_policy: str | None
    rule: str
    stages: tuple[StageProgress, ...]
    created_at: datetime
    answer_by: datetime
    catalogue_digest: str
    salt: str
    approvals: tuple[Approval, ...] = ()
    decided_by: str | None = None
    decision_comment: str | None = None
    use_by: datetime | None = None
    starts_at: datetime | None = None
    window: Window | None = None
    break_glass: bool = False
    reviewers: tuple[Who, ...] = ()
    review_by: datetime | None = None
    escalated_because: str | None = None
    review: Review | None = None
    sessions_begun: int = 0
    last_begun: tuple[datetime, ...] = ()
    link: Link | None = None
    extended_by: str | None = None
    charged: tuple[str, ...] = ()
    lent_until: datetime | None = None
    announced: datetime | None = None
    revocation: Revocation | None = None
    erased_at: datetime | None = None
    version: int = 0
    head_hash: str = ""

    @property
    def yeses(self) -> tuple[Approval, ...]:
        """Every approval that it rests on: also those that its chain began with."""
        return (*self.link.approvals, *self.approvals) if self.link else self.approvals

    def state(self, now: datetime) -> State:
        return self._state(now)[0]

    def expired_because(self, now: datetime) -> Expired | None:
        return self._state(now)[1]

    def _state(self, now: datetime) -> tuple[State, Expired | None]:
        return life.state(self.status, answer_by=self.answer_by, use_by=self.use_by, window=self.window, now=now)

    def due_at(self) -> datetime | None:
        """The next clock: what the sweeper has to announce, or to do about a deny. None where none is left."""
        clock = self._clock()
        return None if clock == self.announced else clock

    def _clock(self) -> datetime | None:
        match self.status:
            case Status.PENDING:
                return self.answer_by
            case Status.APPROVED:
                return self.window.ends_at if self.window else self.use_by
            case Status.USED:
                return self.window.ends_at if self.window else None
            case _:
                return self.revocation.due_at() if self.revocation else None

    @property
    def head(self) -> Head:
        return Head(self.version, self.head_hash) if self.version else beginning(self.id)


@dataclass(frozen=True, slots=True)
class Change:
    """One transition: the request before (None for a new one) and after it, its events, and the session touched.

    It is stored whole or not at all: only over `before.version`, or only where there is no such request yet, and only
    where the requester's day has left what its charge needs.
    """

    before: Request | None
    after: Request
    events: tuple[Event, ...] = field(default=())
    session: Session | None = None
    charge: Charge | None = None

    def then(
        self,
        kind: EventType,
        *,
        at: datetime,
        actor: str,
        details: Mapping[str, Detail],
        session: Session | None = None,
        **changed: Any,
    ) -> Change:
        """The same transition with one more event, and with `changed` fields of the request."""
        event = next_event(self.after.head, kind, at, actor, details)
        after = replace(self.after, version=event.seq, head_hash=event.hash, **changed)
        return Change(self.before, after, (*self.events, event), session or self.session, self.charge)
