"""`daypass reconcile`: CloudTrail's log files beside Daypass's own record."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chalicelib.aws.trail_files import Found, SetAside, in_folder, read
from chalicelib.core.account import Account
from chalicelib.core.joining import Books, Totals
from chalicelib.core.known import Record, read_events
from chalicelib.core.reckoning import every_role, under_daypass
from chalicelib.core.times import stamp
from daypass import showing
from daypass.operator import reconcile_shown

BYPASSED: Final = 4
"""The exit code where a role that Daypass manages was used past it."""

_MANY = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """files: how many gave their records. set_aside: file and reason, in the order of delivery."""

    books: Books
    files: int
    set_aside: Sequence[tuple[str, str]]


def reconcile(
    logs: Annotated[Path, typer.Option(metavar="DIR", help="CloudTrail's log files, in whatever folders below this.")],
    ledger: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Daypass's exported events: only these say whose a session is.")
    ] = None,
    all_roles: Annotated[
        bool, typer.Option("--all-roles", help="Every role counts as managed, not only those under /daypass/.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Join CloudTrail's log files to the requests that they are of, and name what belongs to none.

    Exits with 4 where a role that Daypass manages was used past it; with --all-roles only beside a --ledger, since
    nothing else could tell.
    """
    try:
        reading = joined(in_folder(logs), _record(ledger), progress=sys.stderr.isatty())
    except OSError as error:
        raise _stopped(f"{error.filename} cannot be read: {error.strerror}") from None
    managed = every_role if all_roles else under_daypass
    accounts = reading.books.accounts(managed)
    if as_json:
        text = json.dumps(as_told(reading, accounts), indent=2)
    else:
        denials = [
            (denial, request_id)
            for denial, request_id in reading.books.denials()
            if request_id or denial.role_arn is None or managed(denial.role_arn)
        ]
        text = reconcile_shown.everything(reading.files, reading.books.totals(), accounts, denials, reading.set_aside)
    sys.stdout.write(f"{text}\n")
    if any(account.bypass for account in accounts) and (ledger or not all_roles):
        raise typer.Exit(BYPASSED)


def joined(found: Sequence[Found], record: Record | None, *, progress: bool = False) -> Reading:
    """Books that took these files, one after another."""
    books, files, set_aside = Books(record), 0, list[tuple[str, str]]()
    for number, each in enumerate(found, start=1):
        if progress and len(found) >= _MANY:
            end = "\n" if number == len(found) else ""
            sys.stderr.write(f"\r{number:,} of {len(found):,} files{end}")
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


def as_told(reading: Reading, accounts: Iterable[Account]) -> dict[str, Any]:
    """What `--json` prints. Times are RFC 3339; null where CloudTrail did not tell."""
    totals: Totals = reading.books.totals()
    return {
        "files": reading.files,
        "events": totals.events,
        "duplicates": totals.duplicates,
        "set_aside": [{"file": name, "why": why} for name, why in reading.set_aside],
        "assume_role": {"issued": totals.issued, "denied": totals.denied, "distinct_keys": totals.distinct_keys},
        "uses": {
            "events": totals.uses,
            "keys": totals.keys_used,
            "before_their_issuance": totals.before_their_issuance,
        },
        "sessions": [_session(account) for account in accounts],
    }


def _session(account: Account) -> dict[str, Any]:
    told: dict[str, Any] = {
        "session_name": account.session_name,
        "role_arn": account.role_arn,
        "access_key_id": account.access_key_id,
        "issued_at": account.issued_at and stamp(account.issued_at),
        "first_use": account.first_use and stamp(account.first_use),
        "last_use": account.last_use and stamp(account.last_use),
        "events": account.events,
        "actions": account.actions,
        "errors": account.errors,
    }
    if account.request_id is not None:
        told["request_id"] = account.request_id
    return {**told, "bypass": account.bypass}


def _record(file: Path | None) -> Record | None:
    """Raises OSError."""
    if file is None:
        return None
    with file.open(encoding="utf-8") as lines:
        try:
            return read_events(_objects(lines))
        except UnicodeDecodeError:
            raise _stopped(f"{file} is not text") from None
        except ValueError as error:
            raise _stopped(f"{file}: {error}") from None


def _objects(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """JSON lines, of which empty ones count for nothing. Raises ValueError."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number} is no JSON") from None
        if not isinstance(event, dict):
            raise ValueError(f"line {number} is no event")
        yield event


def _stopped(sentence: str) -> typer.Exit:
    sys.stderr.write(f"daypass reconcile: {showing.plain(sentence)}.\n")
    return typer.Exit(1)
