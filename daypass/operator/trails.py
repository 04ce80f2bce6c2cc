"""Where CloudTrail is read from (a folder of its files, a trail's bucket, an account's event history), and by whom."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any, Final, TypeVar

from chalicelib.aws.trail_files import LATE, Found, SetAside, TrailBucket, in_folder, may_tell_of, read
from chalicelib.aws.trail_lookup import EventHistory, Pace, told
from chalicelib.core.account import Account
from chalicelib.core.joining import Books
from chalicelib.core.known import Record, Span
from chalicelib.core.reckoning import Managed
from chalicelib.core.trail import FLOWS

T = TypeVar("T")

HISTORY: Final = timedelta(days=90)
"""How far CloudTrail's event history goes back."""

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?", re.ASCII)
_LOGS = "AWSLogs"
_MANY = 50
_SIGN = "Sign"


class NoTrail(Exception):
    """What was named is no place to read CloudTrail from; the text says why and what to name."""


@dataclass(frozen=True, slots=True)
class Days:
    """Days of UTC's, both included."""

    first: date
    last: date

    @property
    def span(self) -> Span:
        begin, end = (datetime.combine(day, clock.min, UTC) for day in (self.first, self.last))
        return begin, end + timedelta(days=1)

    def due(self, now: datetime) -> Span:
        """Of when CloudTrail must have told by now."""
        begin, end = self.span
        return begin, min(end, now - LATE)


@dataclass(frozen=True, slots=True)
class Reading:
    """files: how many gave their records. set_aside: file and reason, in the order of delivery.

    told_by: where not all accounts were asked, which; what others should have told is then not missed.
    """

    books: Books
    files: int
    set_aside: Sequence[tuple[str, str]]
    told_by: Set[str] | None = None

    def accounts(self, managed: Managed) -> list[Account]:
        return [each for each in self.books.accounts(managed) if each.events or each.issued_at or self._due(each)]

    def _due(self, account: Account) -> bool:
        """Whether it is missed, if nothing at all was told of it."""
        return self.told_by is None or not self.told_by.isdisjoint((account.role_arn or "").split(":")[4:5])


def in_logs(folder: Path, days: Days | None) -> list[Found]:
    """Raises OSError where a folder cannot be listed."""
    found = in_folder(folder)
    return [each for each in found if may_tell_of(each.name, days.first, days.last)] if days else found


def in_bucket(where: str, region: str | None, days: Days) -> Iterator[Found]:
    """Raises NoTrail; as it goes on ClientError and BotoCoreError, and NoTrail where there is no file at all."""
    named = _S3.fullmatch(where)
    if named is None:
        raise NoTrail(f"--trail {where} is no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")
    prefix = named["prefix"] or ""
    if _LOGS in prefix.split("/"):
        raise NoTrail(f"--trail {where} goes too far: write it without {_LOGS} and what comes after")
    bucket = TrailBucket(_client("s3", region), named["bucket"], prefix)
    return _some(bucket.found(days.first, days.last), f"{where} holds no log files of these days below {_LOGS}/")


def _some(found: Iterator[Found], otherwise: str) -> Iterator[Found]:
    none = True
    for each in found:
        none = False
        yield each
    if none:  # or a prefix that is mistyped would look as if all were well
        raise NoTrail(otherwise)


def event_history(region: str | None) -> EventHistory:
    """Of one's own account. Raises BotoCoreError."""
    return EventHistory(_client("cloudtrail", region), Pace(time.monotonic, time.sleep))


def looked_up(
    history: EventHistory,
    days: Days,
    now: datetime,
    record: Record | None,
    keys: Collection[str],
    managed: Managed,
    *,
    shown: bool = False,
) -> Reading:
    """Books that took what an account's event history tells of Daypass's business.

    Raises NoTrail for days that it does not know any more or tells nothing of, ClientError and BotoCoreError.
    """
    begin, end = days.span
    if begin < now - HISTORY:
        raise NoTrail(f"--from {days.first} is too long ago: CloudTrail's event history is of {HISTORY.days} days")
    known = (each.access_key_id for each in (record.due if record else ()) if each.access_key_id)
    names = (*sorted(FLOWS), *([_SIGN] if keys else []))
    records = told(history, names, known, managed, (begin, min(end, now)))
    books, told_by = Books(record, keys=keys), set[str]()
    unreadable = books.take_file(b"", _tellers(_counted(records, "events", None) if shown else records, told_by))
    if not books.totals().events:
        raise NoTrail("the event history tells of no AssumeRole on these days: ask in the region of the broker's STS")
    set_aside = [("event history", _of(count, why)) for why, count in sorted(unreadable.items())]
    return Reading(books, 0, set_aside, told_by)


def _tellers(records: Iterable[object], accounts: set[str]) -> Iterator[object]:
    """The records as they are; accounts: is told whose history they are of."""
    for record in records:
        if isinstance(record, dict) and isinstance(account := record.get("recipientAccountId"), str):
            accounts.add(account)
        yield record


def joined(
    found: Iterable[Found], record: Record | None, keys: Collection[str] = (), *, shown: bool = False
) -> Reading:
    """Books that took these files, one after another. keys: as of Books. shown: progress, on standard error."""
    books, files, set_aside = Books(record, keys=keys), 0, list[tuple[str, str]]()
    total = len(found) if isinstance(found, list) else None
    for each in _counted(found, "files", total) if shown and (total is None or total >= _MANY) else found:
        try:
            log = read(each)
        except SetAside as why:
            set_aside.append((each.name, str(why)))
            continue
        files += 1
        unreadable = books.take_file(log.digest, log.records)
        set_aside += [(each.name, _of(count, why)) for why, count in sorted(unreadable.items())]
    return Reading(books, files, set_aside)


def _of(count: int, why: str) -> str:
    return f"{count:,} record{'s' if count > 1 else ''}: {why}"


def _counted(several: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    """Each, told by its number."""
    number = 0
    for number, each in enumerate(several, start=1):
        of = f" of {total:,}" if total is not None else ""
        sys.stderr.write(f"\r{number:,}{of} {what}")
        yield each
    if number:
        sys.stderr.write("\n")


def _client(service: str, region: str | None) -> Any:
    import boto3

    make: Any = boto3.client
    return make(service, region_name=region)
