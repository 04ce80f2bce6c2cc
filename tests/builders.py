"""Values for tests: each is right as it is, and a test names only what matters to it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from chalicelib.broker.ports import Claim
from chalicelib.core.catalogue import Who
from chalicelib.core.ledger import EventType
from chalicelib.core.life import Status, Window
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.request import (
    Approval,
    Change,
    Covers,
    Deny,
    Link,
    Request,
    Review,
    Revocation,
    ScopeChoice,
    Session,
    SessionStatus,
    StageProgress,
    Verdict,
)
from chalicelib.core.session import SessionPlan

# Far ahead of every wall clock: the embedded AWS really deletes what its TTL says is over.
NOW = datetime(2031, 3, 5, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

_ids = itertools.count(1)


def an_id() -> str:
    """Shaped like a ULID, greater than all before it, and with another ending than any."""
    number = next(_ids)
    return f"01K{number:07d}{number:016d}"


def a_principal(id: str = "alice@example.com", **changed: Any) -> Principal:
    principal = Principal(
        id=id,
        kind=Kind.HUMAN,
        groups=frozenset({"engineering"}),
        issuer="local",
        mfa=True,
        authenticated_at=NOW - HOUR,
    )
    return replace(principal, **changed)


def a_request(**changed: Any) -> Request:
    """A pending request that nobody has answered. Give `requester` a text to name only its id."""
    if isinstance(requester := changed.get("requester"), str):
        changed["requester"] = a_principal(requester)
    request = Request(
        id=changed.pop("id", None) or an_id(),
        status=Status.PENDING,
        requester=a_principal(),
        role="payments-admin",
        account="payments-prod",
        account_id="222222222222",
        role_arn="arn:aws:iam::222222222222:role/daypass/Admin",
        duration=HOUR,
        reason="The ledger is stuck",
        ticket=None,
        scope=None,
        session_policy=None,
        rule="sre administer payments",
        stages=(StageProgress(1, Who(groups=frozenset({"sre-leads"})), ()),),
        created_at=NOW,
        answer_by=NOW + 24 * HOUR,
        catalogue_digest="c" * 64,
        salt="salt",
    )
    return replace(request, **changed)


def a_submission(request: Request | None = None, **changed: Any) -> Change:
    """The change that stores a new request, with the first line of its history."""
    request = request or a_request(**changed)
    return Change(None, request).then(
        EventType.SUBMITTED, at=request.created_at, actor=request.requester.id, details={"role": request.role}
    )


def a_change(before: Request, kind: EventType = EventType.APPROVED, **changed: Any) -> Change:
    """One event and the fields it changes. `session` is not a field: it goes with the change."""
    session = changed.pop("session", None)
    return Change(before, before).then(
        kind, at=NOW, actor="bob@example.com", details={"by": "bob@example.com"}, session=session, **changed
    )


def a_session(**changed: Any) -> Session:
    id = changed.pop("id", None) or an_id()
    session = Session(id=id, session_name=f"{id}-alice@example.com", begun_at=NOW)
    return replace(session, **changed)


def a_claim(**changed: Any) -> Claim:
    claim = Claim(
        principal_id="alice@example.com",
        route="POST /v1/requests",
        key="k-1",
        body_hash="b" * 64,
        until=NOW + 24 * HOUR,
    )
    return replace(claim, **changed)


def a_plan(**changed: Any) -> SessionPlan:
    plan = SessionPlan(
        role_arn="arn:aws:iam::222222222222:role/daypass/Admin",
        session_name=f"{an_id()}-alice@example.com",
        source_identity="alice@example.com",
        tags={},
        transitive=(),
        external_id=None,
        duration=HOUR,
        policy='{"Version":"2012-10-17","Statement":[]}',
    )
    return replace(plan, **changed)


# Strategies. Instants and lengths are whole seconds, as everywhere in Daypass.

_characters = st.characters(codec="utf-8")
texts = st.text(_characters, max_size=40)
names = st.text(_characters, min_size=1, max_size=40)
instants = st.integers(0, 3_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
lengths = st.integers(0, 12 * 3600).map(lambda seconds: timedelta(seconds=seconds))
windows = st.builds(lambda starts_at, length: Window(starts_at, starts_at + length), instants, lengths)


def _tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


whos = st.builds(
    Who,
    groups=st.frozensets(texts, max_size=3),
    ids=_tuples(texts),
    kind=st.none() | st.sampled_from(Kind),
    issuer=st.none() | texts,
)
principals = st.builds(
    Principal,
    id=names,
    kind=st.sampled_from(Kind),
    groups=st.frozensets(texts, max_size=3),
    issuer=texts,
    mfa=st.booleans(),
    authenticated_at=instants,
    unknown=st.frozensets(texts, max_size=3),
)
approvals = st.builds(
    Approval,
    by=texts,
    at=instants,
    comment=st.none() | texts,
    qualifies=st.frozensets(texts, max_size=3),
    mfa=st.booleans(),
)
links = st.builds(
    Link,
    base=texts,
    number=st.integers(1, 11),
    before=lengths,
    base_duration=lengths,
    approvals=_tuples(approvals),
)
stages = st.builds(StageProgress, count=st.integers(0, 9), who=whos, approved_by=_tuples(texts))
scopes = st.builds(ScopeChoice, name=texts, parameters=st.dictionaries(texts, texts, max_size=3))
sessions = st.builds(
    Session,
    id=st.builds(an_id),
    session_name=texts,
    begun_at=instants,
    status=st.sampled_from(SessionStatus),
    access_key_id=st.none() | texts,
    assumed_role_id=st.none() | texts,
    issued_at=st.none() | instants,
    expires_at=st.none() | instants,
    sts_request_id=st.none() | texts,
    sts_region=st.none() | texts,
)
denies = st.builds(
    Deny,
    role_arn=texts,
    due_at=st.none() | instants,
    written_at=st.none() | instants,
    covers=st.sampled_from(Covers),
    error=st.none() | texts,
    removed_at=st.none() | instants,
)
revocations = st.builds(Revocation, stopped_at=instants, denies=_tuples(denies), not_covered=_tuples(texts))
_requests = st.builds(
    Request,
    id=st.builds(an_id),
    status=st.sampled_from(Status),
    requester=principals,
    role=texts,
    account=texts,
    account_id=texts,
    role_arn=texts,
    duration=lengths,
    reason=texts,
    ticket=st.none() | texts,
    scope=st.none() | scopes,
    session_policy=st.none() | texts,
    rule=texts,
    stages=_tuples(stages),
    created_at=instants,
    answer_by=instants,
    catalogue_digest=texts,
    salt=texts,
    approvals=_tuples(approvals),
    decided_by=st.none() | texts,
    decision_comment=st.none() | texts,
    use_by=st.none() | instants,
    starts_at=st.none() | instants,
    window=st.none() | windows,
    reviewers=_tuples(whos),
    review_by=st.none() | instants,
    escalated_because=st.none() | texts,
    review=st.none() | st.builds(Review, verdict=st.sampled_from(Verdict), by=texts, at=instants, comment=texts),
    sessions_begun=st.integers(0, 1000),
    last_begun=_tuples(instants),
    link=st.none() | links,
    extended_by=st.none() | texts,
    charged=_tuples(texts),
    lent_until=st.none() | instants,
    announced=st.none() | instants,
    erased_at=st.none() | instants,
    revocation=st.none() | revocations,
    version=st.integers(1, 10**9),
    head_hash=texts,
)
# A used request has a window: everything else about it would be a bug of its own.
requests = _requests.filter(lambda request: request.status is not Status.USED or request.window is not None)

_details = st.recursive(
    texts | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", max_size=5), inner, max_size=3),
    max_leaves=6,
)
details = st.dictionaries(st.text("abc_", max_size=5), _details, max_size=3)
