"""`daypass reconcile`: CloudTrail beside Daypass's own record."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.account import Account
from chalicelib.core.admitting import could_admit
from chalicelib.core.joining import Totals
from chalicelib.core.known import Record, read_events
from chalicelib.core.reckoning import Managed, every_role, under_daypass
from chalicelib.core.signatures import Signatures
from chalicelib.core.times import stamp
from daypass import showing
from daypass.connecting import connect
from daypass.exporting import read_day
from daypass.operator import reconcile_shown
from daypass.operator.commands import in_aws_words
from daypass.operator.role_files import NoRoles, trust_policies
from daypass.operator.trails import Days, NoTrail, Reading, event_history, in_bucket, in_logs, joined, looked_up

BYPASSED: Final = 4
"""The exit code where a role that Daypass manages, or its key, was used past it."""

_CLOUDTRAIL: Final = date(2013, 11, 13)
"""When it began."""

_KEY = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+", re.ASCII)


def reconcile(
    logs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="CloudTrail's log files, in whatever folders below this.")
    ] = None,
    trail: Annotated[
        str | None, typer.Option(metavar="s3://BUCKET[/PREFIX]", help="Or the bucket that a trail writes them to.")
    ] = None,
    lookup: Annotated[
        bool, typer.Option("--lookup", help="Or, without either, the event history of your account and region: slow.")
    ] = False,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day (UTC), as in 2026-11-23.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day, which is in it too.")] = None,
    region: Annotated[str | None, typer.Option(help="Of the bucket, or of the event history.")] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Daypass's exported events: only these say whose a session is. "
            "Without, and with days, those of the Daypass at DAYPASS_URL.",
        ),
    ] = None,
    signing_key: Annotated[
        list[str] | None, typer.Option(metavar="ARN", help="A key of the OIDC provider: name who else signed with it.")
    ] = None,
    roles: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What `aws iam list-roles` printed: name the statement that let a bypass in."),
    ] = None,
    all_roles: Annotated[
        bool, typer.Option("--all-roles", help="Every role counts as managed, not only those under /daypass/.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Join CloudTrail to the requests that its events are of, and name what belongs to none.

    Exits with 4 where a role that Daypass manages, or its signing key, was used past it; with --all-roles only beside a
    ledger, since nothing else could tell.
    """
    if (logs is not None) + (trail is not None) + lookup != 1:
        raise _stopped("Name one of --logs DIR, --trail s3://BUCKET and --lookup")
    keys, now = _keys(signing_key), datetime.now(UTC)
    days = _days(first, last, now, needed=logs is None)
    managed = every_role if all_roles else under_daypass
    with _one_sentence():
        let_in = partial(_admitting, trust_policies(roles)) if roles else None
        record = _record(ledger, days, now)
        if keys and record is None:
            raise _stopped("--signing-key needs a ledger: nothing else says what was signed for whom")
        reading = _reading(logs, trail, region, days, now, record, keys, managed)
    accounts = reading.accounts(managed)
    text = (
        json.dumps(as_told(reading, accounts, let_in), indent=2)
        if as_json
        else reconcile_shown.everything(reading, accounts, _denials(reading, managed), let_in)
    )
    sys.stdout.write(f"{text}\n")
    if (record or not all_roles) and _bypassed(accounts, reading.books.signatures):
        raise typer.Exit(BYPASSED)


def _reading(
    logs: Path | None,
    trail: str | None,
    region: str | None,
    days: Days | None,
    now: datetime,
    record: Record | None,
    keys: Collection[str],
    managed: Managed,
) -> Reading:
    """What the place tells that was named. Raises what that place does."""
    shown = sys.stderr.isatty()
    if logs is not None:
        return joined(in_logs(logs, days), record, keys, shown=shown)
    assert days is not None
    if trail is not None:
        return joined(in_bucket(trail, region, days), record, keys, shown=shown)
    return looked_up(event_history(region), days, now, record, keys, managed, shown=shown)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Whatever cannot be read is told in one."""
    try:
        yield
    except (NoTrail, NoRoles) as wrong:
        raise _stopped(str(wrong)) from None
    except ClientError as error:
        raise _stopped(in_aws_words(error)) from None
    except BotoCoreError as error:
        raise _stopped(str(error)) from None
    except OSError as error:
        raise _stopped(f"{error.filename} cannot be read: {error.strerror}") from None


def _denials(reading: Reading, managed: Managed) -> list[reconcile_shown.Denied]:
    """Those that were for a known request, for a managed role, or for nobody knows which."""
    return [
        (denial, request_id)
        for denial, request_id in reading.books.denials()
        if request_id or denial.role_arn is None or managed(denial.role_arn)
    ]


def _admitting(policies: Mapping[str, object], account: Account) -> list[str]:
    caller, policy = account.caller, policies.get(account.role_arn or "")
    return could_admit(policy, caller) if caller and policy else []


def _bypassed(accounts: Iterable[Account], signatures: Signatures | None) -> bool:
    forged = signatures is not None and any(each.error_code is None for each in signatures.unexplained())
    return forged or any(account.bypass for account in accounts)


def as_told(
    reading: Reading, accounts: Iterable[Account], let_in: reconcile_shown.LetIn | None = None
) -> dict[str, Any]:
    """What `--json` prints. Times are RFC 3339; null where CloudTrail did not tell.

    let_in: the statements that could have let a bypass in, where they are asked for.
    """
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
        "sessions": [
            {**_session(account), **({"let_in_by": let_in(account)} if let_in and account.bypass else {})}
            for account in accounts
        ],
        **({"signatures": _signatures(signatures)} if (signatures := reading.books.signatures) else {}),
    }


def _signatures(signatures: Signatures) -> dict[str, Any]:
    return {
        "of_sessions": signatures.explained,
        "unexplained": [
            {
                "at": each.at and stamp(each.at),
                "key": each.key,
                "kms_request_id": each.request_id,
                "error": each.error_code,
                "caller": each.caller.name,
                "access_key_id": each.caller.access_key_id,
                "address": each.address,
            }
            for each in signatures.unexplained()
        ],
        "unseen": [
            {
                "request_id": known.request_id,
                "session_name": known.session_name,
                "kms_request_id": known.kms_request_id,
            }
            for known in signatures.unseen()
        ],
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


def _days(first: str | None, last: str | None, now: datetime, *, needed: bool) -> Days | None:
    if first is None and last is None and not needed:
        return None
    if first is None or last is None:
        raise _stopped("Say from when to when: --from DAY --to DAY, as in --from 2026-11-23 --to 2026-11-24")
    try:
        days = Days(read_day(first), read_day(last))
    except ValueError:
        raise _stopped(f"--from {first} --to {last} are no days: write them as in 2026-11-23") from None
    if days.last < days.first:
        raise _stopped(f"--to {last} comes before --from {first}")
    if days.first < _CLOUDTRAIL or days.last > now.date():
        raise _stopped(f"--from {first} --to {last}: CloudTrail tells from {_CLOUDTRAIL} to today, in UTC")
    return days


def _keys(given: Iterable[str] | None) -> tuple[str, ...]:
    keys = tuple(given or ())
    if wrong := next((key for key in keys if not _KEY.fullmatch(key)), None):
        raise _stopped(f"--signing-key {wrong} is no key's ARN: arn:aws:kms:REGION:ACCOUNT:key/ID")
    return keys


def _record(file: Path | None, days: Days | None, now: datetime) -> Record | None:
    """Raises OSError, and DaypassError where Daypass does not tell."""
    span = days.due(now) if days else None
    if file is None:
        return read_events(_asked_for(days, now), span=span) if days and os.environ.get("DAYPASS_URL") else None
    with file.open(encoding="utf-8") as lines:
        try:
            return read_events(_objects(lines), span=span)
        except UnicodeDecodeError:
            raise _stopped(f"{file} is not text") from None
        except ValueError as error:
            raise _stopped(f"{file}: {error}") from None


def _asked_for(days: Days, now: datetime) -> Iterator[Mapping[str, Any]]:
    """Daypass's own events of the days and of one more on either side: sessions go on over midnight."""
    client = connect()
    first, last = days.first - timedelta(days=1), min(days.last + timedelta(days=1), now.date())
    each = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return chain.from_iterable(client.day(day.isoformat()) for day in each)


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
    sys.stderr.write(f"daypass reconcile: {showing.plain(sentence).rstrip('.')}.\n")
    return typer.Exit(1)
