"""What the provider's keys signed, as CloudTrail tells it: for a session on the record, or for somebody else.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/ct-sign.html.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chalicelib.core.known import Known, Record
from chalicelib.core.trail import Caller, caller_of
from chalicelib.core.trail_fields import Fields, error_code, inner, instant, short, text

MOST_UNEXPLAINED: Final = 1_000
"""Calls that are kept. What comes after so many changes nothing any more."""

_KMS = "kms.amazonaws.com"
_KEY = "AWS::KMS::Key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """A call of kms:Sign. It tells neither what was signed nor the signature. error_code: None where KMS signed."""

    event_id: str
    at: datetime | None
    key: str
    request_id: str | None
    error_code: str | None
    caller: Caller
    address: str | None


class Signatures:
    """Takes records in any order and any number of times.

    keys: the ARNs of the keys that sign for Daypass and for nothing else. record: only with it can anything be told.
    """

    def __init__(self, keys: Collection[str], record: Record) -> None:
        self._keys = {name: arn for arn in keys for name in (arn, arn.rpartition("/")[2])}
        self._record = record
        self._seen: set[str] = set()
        self._unexplained: dict[str, Signing] = {}

    def take(self, record: Fields) -> None:
        """A record that `trail.read` can read."""
        if record.get("eventSource") != _KMS or record.get("eventName") != "Sign":
            return
        key = self._keys.get(_key(record) or "")
        if key is None:
            return
        signing = _read(record, key)
        if self._record.by_signature(signing.request_id):
            self._seen.add(str(signing.request_id))
        elif len(self._unexplained) < MOST_UNEXPLAINED:
            self._unexplained[signing.event_id] = signing

    @property
    def explained(self) -> int:
        """How many different calls were for sessions on the record."""
        return len(self._seen)

    def unexplained(self) -> list[Signing]:
        """Calls that no session on the record explains, oldest first; those that KMS refused are among them."""
        return sorted(self._unexplained.values(), key=lambda each: (each.at is None, each.at, each.event_id))

    def unseen(self) -> Iterator[Known]:
        """The sessions for which KMS signed by the record, and of whose kms:Sign nothing was seen."""
        signed = (known for known in self._record.due if known.kms_request_id is not None)
        return (known for known in signed if known.kms_request_id not in self._seen)


def _read(record: Fields, key: str) -> Signing:
    return Signing(
        event_id=str(record["eventID"]),
        at=instant(short(record, "eventTime")),
        key=key,
        request_id=short(record, "requestID"),
        error_code=error_code(record),
        caller=caller_of(inner(record, "userIdentity")),
        address=text(record, "sourceIPAddress"),
    )


def _key(record: Fields) -> str | None:
    """The key's ARN among the resources; a call that KMS refused may only say how the key was asked for."""
    resources = record.get("resources")
    for each in resources if isinstance(resources, list) else []:
        if isinstance(each, dict) and each.get("type") == _KEY and (arn := text(each, "ARN")):
            return arn
    return text(inner(record, "requestParameters"), "keyId")
