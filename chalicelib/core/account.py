"""The account of one session: what CloudTrail told of it, in whatever order, and what that comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chalicelib.core.session import REQUEST_TAG
from chalicelib.core.trail import Caller, Issuance, Use

MOST_NAMES: Final = 1_000
"""Different actions, errors, regions and addresses that one session is told with. Further ones count as OTHERS."""

OTHERS: Final = "…"

Identity = tuple[str | None, datetime | None]
"""Role id and session name, `AROA…:name`, and the instant at which the session was issued."""

_MOST_COPIES = 8  # two accounts, and addenda


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One session. Counts are of different events as far as `Books` can tell; everything else is exact.

    access_key_id: None for calls that CloudTrail tells without key and that more than one session may have made.
    issued_at: None where its AssumeRole was not seen. seen_in: the accounts whose trails told of that.
    request_id: whose it is; None where that is not known. claimed: the request that its tags name, believed or not.
    bypass: no request is known, and the role is managed or was come to from one that is.
    """

    session_name: str | None
    role_arn: str | None
    access_key_id: str | None
    source_identity: str | None
    issued_at: datetime | None
    expires_at: datetime | None
    caller: Caller | None
    address: str | None
    seen_in: frozenset[str]
    first_use: datetime | None
    last_use: datetime | None
    events: int
    actions: Mapping[str, int]
    errors: Mapping[str, int]
    regions: Mapping[str, int]
    addresses: Mapping[str, int]
    request_id: str | None
    claimed: str | None
    bypass: bool

    @property
    def unseen_in(self) -> frozenset[str]:
        """The accounts whose trails should have told of its AssumeRole and did not: the caller's and the role's."""
        if not self.seen_in:
            return frozenset()
        due = (*(self.role_arn or "").split(":")[4:5], self.caller.account_id if self.caller else None)
        return frozenset(account_id for account_id in due if account_id) - self.seen_in


class Sheet:
    """What is told of one access key; or, where the key is missing, of one role id, session name and instant.

    It grows with the different names in it, never with its events. early: the uses that were delivered in an earlier
    file than its issuance, in the order in which files are read.
    """

    __slots__ = (
        "_before",
        "_begun_at",
        "_file",
        "_principal_id",
        "_role_arn",
        "_source_identity",
        "access_key_id",
        "actions",
        "addresses",
        "early",
        "errors",
        "events",
        "first",
        "issuances",
        "last",
        "regions",
    )

    def __init__(self, access_key_id: str | None) -> None:
        self.access_key_id = access_key_id
        self.issuances: dict[str, Issuance] = {}
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.events = self.early = self._before = self._file = 0
        self.actions: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.regions: dict[str, int] = {}
        self.addresses: dict[str, int] = {}
        self._principal_id: str | None = None
        self._begun_at: datetime | None = None
        self._role_arn: str | None = None
        self._source_identity: str | None = None

    def issued(self, fact: Issuance, file: int) -> None:
        if not self.issuances:
            self.early = self.events if self._file < file else self._before
        if len(self.issuances) < _MOST_COPIES:
            self.issuances[fact.event_id] = fact

    def used(self, use: Use, file: int, *, first_telling: bool) -> None:
        """first_telling: False for a call that is counted already, and is told once more by an addendum or after it."""
        if self.first is None or use.at < self.first:
            self.first = use.at
        if self.last is None or use.at > self.last:
            self.last = use.at
        self._principal_id = self._principal_id or use.principal_id
        self._begun_at = self._begun_at or use.begun_at
        self._role_arn = self._role_arn or use.role_arn
        self._source_identity = self._source_identity or use.source_identity
        if not first_telling:
            return
        if self._file < file:
            self._file, self._before = file, self.events
        self.events += 1
        _add(self.actions, use.action)
        _add(self.regions, use.region)
        _add(self.addresses, use.address)
        if use.error_code is not None:
            _add(self.errors, use.error_code)

    @property
    def identity(self) -> Identity:
        issued_at = min((fact.at for fact in self.issuances.values()), default=None)
        return self._of_issuance("assumed_role_id") or self._principal_id, issued_at or self._begun_at

    @property
    def role_arn(self) -> str | None:
        return self._of_issuance("role_arn") or self._role_arn

    @property
    def session_name(self) -> str | None:
        return self._of_issuance("session_name") or (self._principal_id or "").partition(":")[2] or None

    @property
    def caller(self) -> Caller | None:
        """As the caller's own account told it: the role's account is not told its key."""
        callers = [fact.caller for _, fact in sorted(self.issuances.items())]
        return next((caller for caller in callers if caller.access_key_id), callers[0] if callers else None)

    @property
    def claimed(self) -> str | None:
        told = (fact.tags.get(REQUEST_TAG) for _, fact in sorted(self.issuances.items()))
        return next(filter(None, told), None)

    def account(self, others: Sequence[Sheet] = (), *, request_id: str | None, bypass: bool) -> Account:
        """What the session comes to, with the sheets of calls that nobody else can have made."""
        sheets = (self, *others)
        return Account(
            session_name=self.session_name,
            role_arn=self.role_arn,
            access_key_id=self.access_key_id,
            source_identity=self._of_issuance("source_identity") or self._source_identity,
            issued_at=self.identity[1] if self.issuances else None,
            expires_at=self._of_issuance("expires_at"),
            caller=self.caller,
            address=self._of_issuance("address"),
            seen_in=frozenset(fact.account_id for fact in self.issuances.values() if fact.account_id),
            first_use=min((sheet.first for sheet in sheets if sheet.first), default=None),
            last_use=max((sheet.last for sheet in sheets if sheet.last), default=None),
            events=sum(sheet.events for sheet in sheets),
            actions=_sum(sheet.actions for sheet in sheets),
            errors=_sum(sheet.errors for sheet in sheets),
            regions=_sum(sheet.regions for sheet in sheets),
            addresses=_sum(sheet.addresses for sheet in sheets),
            request_id=request_id,
            claimed=self.claimed,
            bypass=bypass,
        )

    def _of_issuance(self, name: str) -> Any:
        """A field as the accounts' trails tell it: corrections first, then in the order of eventIDs."""
        facts = sorted(self.issuances.values(), key=lambda fact: (fact.corrects is None, fact.event_id))
        return next((value for fact in facts if (value := getattr(fact, name)) is not None), None)


def _add(tally: dict[str, int], name: str | None, times: int = 1) -> None:
    if name in tally:
        tally[name] += times
    elif name is not None:
        name = name if len(tally) < MOST_NAMES else OTHERS
        tally[name] = tally.get(name, 0) + times


def _sum(tallies: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    total: dict[str, int] = {}
    for tally in tallies:
        for name, times in tally.items():
            _add(total, name, times)
    return dict(sorted(total.items()))
