"""The sessions on Daypass's own record, which CloudTrail's are held against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.ledger import EventType
from chalicelib.core.session import NO_ANSWER
from chalicelib.core.times import read_stamp

CLOCKS = timedelta(minutes=5)
"""How far the two books' clocks may be apart."""

A_CALL = timedelta(minutes=1)
"""From a session's `session.issuing` to STS's answer it is no longer; after that it reads as failed."""

SEEN_WITHIN = timedelta(minutes=30)
"""CloudTrail tells of a call in about five minutes, without promise: what it has not told of after so long is missed.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html.
"""

Span = tuple[datetime, datetime]
"""From an instant on, until before another one."""

_OF_SESSIONS = (
    EventType.SESSION_ISSUING,
    EventType.SESSION_ISSUED,
    EventType.SESSION_FAILED,
    EventType.CONSOLE_OPENED,
)
_ANSWER = ("access_key_id", "assumed_role_id", "sts_request_id", "kms_request_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A session on the record. access_key_id, assumed_role_id: None where STS lent none, or its answer is not on it.

    sts_request_id: also of an answer that was no. kms_request_id: where KMS signed for it, or was asked to.

    possible: whether STS may have made it. It did not where it refused, or was not asked. expires_at: by STS's answer.
    console_at: when a link into the console was made of it.
    """

    request_id: str
    session_name: str
    role_arn: str
    begun_at: datetime
    access_key_id: str | None = None
    assumed_role_id: str | None = None
    sts_request_id: str | None = None
    kms_request_id: str | None = None
    possible: bool = True
    expires_at: datetime | None = None
    console_at: datetime | None = None


class Record:
    """All sessions of the record, to be found by what CloudTrail tells of one.

    span: from when until when a session has to have begun so that its absence in CloudTrail is told; None: whenever.
    """

    def __init__(self, sessions: Iterable[Known] = (), *, span: Span | None = None) -> None:
        self.sessions = tuple(sessions)
        self._span = span
        self._by_key = {known.access_key_id: known for known in self.sessions if known.access_key_id}
        self._by_call = {known.sts_request_id: known for known in self.sessions if known.sts_request_id}
        self._by_signature = {known.kms_request_id: known for known in self.sessions if known.kms_request_id}
        self._by_role_id = {known.assumed_role_id: known for known in self.sessions if known.assumed_role_id}
        self._by_name = {known.session_name: known for known in self.sessions}

    def by_key(self, access_key_id: str | None) -> Known | None:
        return self._by_key.get(access_key_id) if access_key_id else None

    def by_call(self, sts_request_id: str | None) -> Known | None:
        return self._by_call.get(sts_request_id) if sts_request_id else None

    @property
    def due(self) -> Iterator[Known]:
        """The sessions that CloudTrail should have told of in what is read."""
        return (each for each in self.sessions if self._span is None or self._span[0] <= each.begun_at < self._span[1])

    def by_signature(self, kms_request_id: str | None) -> Known | None:
        return self._by_signature.get(kms_request_id) if kms_request_id else None

    def by_identity(self, assumed_role_id: str | None, issued_at: datetime | None) -> Known | None:
        """For calls that CloudTrail tells without their key. Whoever had another key could claim the name."""
        known = self._by_role_id.get(assumed_role_id) if assumed_role_id else None
        return known if known and _in_time(known, issued_at) else None

    def by_console(self, assumed_role_id: str | None, begun_at: datetime | None) -> Known | None:
        """For a console session: it has the session's identity, keys of its own, and begins once its link is followed.

        Whoever had a key of the same role by the same name in that time, and whose AssumeRole is not in what was read,
        is not told apart from it.
        """
        known = self._by_role_id.get(assumed_role_id) if assumed_role_id else None
        if known is None or known.console_at is None or begun_at is None:
            return None
        until = known.expires_at or known.console_at
        return known if known.console_at - CLOCKS <= begun_at <= until + CLOCKS else None

    def by_name(self, session_name: str | None, role_arn: str | None, issued_at: datetime | None) -> Known | None:
        """For a session whose key never came onto the record. Where it did, another key only claims the name."""
        known = self._by_name.get(session_name) if session_name else None
        if known is None or known.access_key_id or not known.possible or known.role_arn != role_arn:
            return None
        return known if _in_time(known, issued_at) else None


def _in_time(known: Known, issued_at: datetime | None) -> bool:
    return issued_at is not None and known.begun_at - CLOCKS <= issued_at <= known.begun_at + A_CALL + CLOCKS


def read_events(events: Iterable[Mapping[str, Any]], *, span: Span | None = None) -> Record:
    """The sessions in exported events: as in a request's history, each with its `request_id`. Others are passed over.

    span: as of Record.

    In whatever order: days may have been exported, joined and sorted by others. Raises ValueError for an event of a
    session that lacks what Daypass always writes.
    """
    sessions: dict[str, Known] = {}
    told = [(number, event) for number, event in enumerate(events, start=1) if event.get("type") in _OF_SESSIONS]
    for number, event in sorted(told, key=lambda each: each[1]["type"] != EventType.SESSION_ISSUING):
        try:
            _read(sessions, event)
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"event {number} is of a session, but not as Daypass writes it") from None
    return Record(sessions.values(), span=span)


def _read(sessions: dict[str, Known], event: Mapping[str, Any]) -> None:
    details = event["details"]
    id = _text(details["session"])
    if event["type"] == EventType.SESSION_ISSUING:
        sessions[id] = Known(
            request_id=_text(event["request_id"]),
            session_name=_text(details["session_name"]),
            role_arn=_text(details["role_arn"]),
            begun_at=read_stamp(_text(event["at"])),
        )
    elif id in sessions and event["type"] == EventType.CONSOLE_OPENED:
        sessions[id] = replace(sessions[id], console_at=read_stamp(_text(event["at"])))
    elif id in sessions:
        told: dict[str, Any] = {name: _text(details[name]) for name in _ANSWER if name in details}
        if "expiration" in details:
            told["expires_at"] = read_stamp(_text(details["expiration"]))
        possible = "access_key_id" in told or details.get("code") == NO_ANSWER
        sessions[id] = replace(sessions[id], **told, possible=possible)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
