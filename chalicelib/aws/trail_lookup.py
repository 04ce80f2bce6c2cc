"""CloudTrail's event history, for those without a bucket: LookupEvents, as slowly as AWS lets it be asked.

It knows the management events of 90 days, of one account and region: ask where it happened, where STS was called.
Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any, Final, Protocol

from chalicelib.core.known import Span
from chalicelib.core.reckoning import Managed
from chalicelib.core.trail import Issuance, Unreadable, read

A_CALL: Final = 0.5
"""Seconds: AWS takes two calls a second of an account in a region, and raises that for nobody."""

_MOST = 50


class CloudTrailClient(Protocol):
    def lookup_events(self, **asked: Any) -> Mapping[str, Any]: ...


class Pace:
    """Waits until the next call may be made. clock, sleep: seconds, as in `time.monotonic` and `time.sleep`."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._next = float("-inf")

    def __call__(self) -> None:
        if (wait := self._next - self._clock()) > 0:
            self._sleep(wait)
        self._next = max(self._next, self._clock()) + A_CALL


class EventHistory:
    """Records as CloudTrail wrote them, newest first, some twice. Raises ClientError and what a network raises."""

    def __init__(self, client: CloudTrailClient, pace: Callable[[], None]) -> None:
        self._client = client
        self._pace = pace

    def uses(self, access_key_id: str, first: datetime, last: datetime) -> Iterator[object]:
        """The events that were signed with this access key."""
        return self._events("AccessKeyId", access_key_id, first, last)

    def called(self, event_name: str, first: datetime, last: datetime) -> Iterator[object]:
        """The events of that name, of whatever service."""
        return self._events("EventName", event_name, first, last)

    def _events(self, attribute: str, value: str, first: datetime, last: datetime) -> Iterator[object]:
        """One attribute is all that a call may ask for."""
        asked: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": attribute, "AttributeValue": value}],
            "StartTime": first,
            "EndTime": last,
            "MaxResults": _MOST,
        }
        while True:
            self._pace()
            page = self._client.lookup_events(**asked)
            yield from (_record(event) for event in page.get("Events", []))
            if not (token := page.get("NextToken")):
                return
            asked["NextToken"] = token


def told(
    history: EventHistory, names: Iterable[str], known: Iterable[str], managed: Managed, span: Span
) -> Iterator[object]:
    """The records of every call of these names, and of every use of a session that is Daypass's business.

    Those are the sessions of the access keys that are known, those of managed roles, and those that they went on to: a
    key that comes up is asked for too. names: with those of AssumeRole among them, else nobody's key comes up.
    """
    first, last = span
    keys = dict.fromkeys(known)  # a set that keeps its order
    for record in chain.from_iterable(history.called(name, first, last) for name in names):
        _note(keys, record, managed)
        yield record
    asked = set[str]()
    while further := [key for key in keys if key not in asked]:
        for record in chain.from_iterable(history.uses(key, first, last) for key in further):
            _note(keys, record, managed)
            yield record
        asked.update(further)


def _note(keys: dict[str, None], record: object, managed: Managed) -> None:
    with suppress(Unreadable):
        fact = read(record)
        if isinstance(fact, Issuance) and (managed(fact.role_arn) or fact.caller.access_key_id in keys):
            keys.setdefault(fact.access_key_id)


def _record(event: Mapping[str, Any]) -> object:
    """The record that an event wraps as text; None, which `trail.read` names unreadable, where that is no JSON."""
    try:
        return json.loads(event.get("CloudTrailEvent", ""))
    except (ValueError, RecursionError, TypeError):
        return None
