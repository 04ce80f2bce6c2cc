"""What `daypass reconcile` found, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from chalicelib.core.account import Account
from chalicelib.core.joining import MOST_DENIALS, Totals
from chalicelib.core.signatures import Signatures, Signing
from chalicelib.core.times import stamp
from chalicelib.core.trail import Caller, Denial
from daypass.operator.trails import Reading
from daypass.showing import columns

Denied = tuple[Denial, str | None]
LetIn = Callable[[Account], Sequence[str]]
Row = tuple[str, str, str, str]
Told = TypeVar("Told")


def everything(
    reading: Reading, accounts: Sequence[Account], denials: Sequence[Denied], let_in: LetIn | None = None
) -> str:
    """let_in: the statements of a trust policy that could have let a bypass in, where they are asked for."""
    signatures = reading.books.signatures
    bypasses = [account for account in accounts if account.bypass]
    forged = signatures.unexplained() if signatures else []
    unseen = [*_unseen_sessions(reading, accounts), *_unseen_signatures(signatures)]
    parts = [
        _totals(reading.files, reading.books.totals()),
        _sessions(accounts) if accounts else "No sessions of managed roles.",
        _titled(
            f"{_many(len(bypasses), 'bypass', 'bypasses')}, of which no request is known",
            bypasses,
            partial(_bypasses, let_in),
        ),
        _titled("Signed with a key of the provider, for no session on the record", forged, _forged),
        _titled("Not in these files, though it should be", unseen, _unseen),
        _titled(f"Denied (the first {MOST_DENIALS:,})" if len(denials) >= MOST_DENIALS else "Denied", denials, _denied),
        _titled("Set aside", reading.set_aside, lambda rows: columns(("FILE", "WHY"), rows)),
    ]
    return "\n\n".join(part for part in parts if part)


def _totals(files: int, totals: Totals) -> str:
    return (
        f"{_many(files, 'file')}, {_many(totals.events, 'event')}, {totals.duplicates:,} repeated. "
        f"AssumeRole: {totals.issued:,} issued {_many(totals.distinct_keys, 'key')}, {totals.denied:,} denied. "
        f"{_many(totals.uses, 'use')} of {_many(totals.keys_used, 'key')}, "
        f"{totals.before_their_issuance:,} delivered before their issuance."
    )


def _sessions(accounts: Iterable[Account]) -> str:
    rows = [
        (
            _time(account.issued_at),
            account.access_key_id or "",
            _time(account.last_use),
            str(account.events),
            str(sum(account.errors.values())),
            account.request_id or ("BYPASS" if account.bypass else ""),
            account.session_name or "",
            account.role_arn or "",
        )
        for account in accounts
    ]
    return columns(("ISSUED", "KEY", "LAST USE", "EVENTS", "ERRORS", "REQUEST", "SESSION", "ROLE"), rows)


def _bypasses(let_in: LetIn | None, accounts: Iterable[Account]) -> str:
    rows = [
        (
            _time(account.issued_at or account.first_use),
            account.access_key_id or "",
            account.address or ", ".join(account.addresses),
            _who(account.caller) or account.source_identity or "",
            f"claims request {account.claimed}" if account.claimed else _why(account),
            *([", ".join(let_in(account)) or "unknown"] if let_in else []),
        )
        for account in accounts
    ]
    return columns(("WHEN", "KEY", "FROM", "WHO", "WHY", *(["LET IN BY"] if let_in else [])), rows)


def _why(account: Account) -> str:
    if account.access_key_id is None:
        return "CloudTrail tells these calls without their key"
    return "no request in its tags or on the record" if account.issued_at else "its AssumeRole is not in these files"


def _forged(signings: Iterable[Signing]) -> str:
    rows = [
        (
            _time(each.at),
            each.error_code or "signed",
            each.address or "",
            _who(each.caller),
            each.caller.access_key_id or "",
            each.key,
        )
        for each in signings
    ]
    return columns(("WHEN", "OUTCOME", "FROM", "WHO", "THEIR KEY", "SIGNING KEY"), rows)


def _unseen_sessions(reading: Reading, accounts: Iterable[Account]) -> list[Row]:
    return [
        (account.request_id or "", account.session_name or "", account.role_arn or "", what)
        for account in accounts
        if (what := _unseen_of(account, reading.told_by))
    ]


def _unseen_signatures(signatures: Signatures | None) -> list[Row]:
    unseen = signatures.unseen() if signatures else ()
    return [
        (known.request_id, known.session_name, known.role_arn, "its kms:Sign, in the hub's trail") for known in unseen
    ]


def _unseen(rows: Sequence[Row]) -> str:
    return columns(("REQUEST", "SESSION", "ROLE", "WHAT"), rows)


def _unseen_of(account: Account, told_by: Collection[str] | None) -> str:
    """What CloudTrail should have told of a session and did not. A bypass without AssumeRole is told as a bypass.

    told_by: as of Reading.
    """
    if unseen_in := account.unseen_in if told_by is None else account.unseen_in.intersection(told_by):
        return f"its AssumeRole, in the trail of {', '.join(sorted(unseen_in))}"
    if account.issued_at or account.bypass or (account.access_key_id is None and account.events):
        return ""
    return "its AssumeRole" if account.events else "anything of it"


def _denied(denials: Iterable[Denied]) -> str:
    rows = [
        (
            _time(denial.at),
            denial.error_code,
            denial.address or "",
            _who(denial.caller),
            request_id or "",
            denial.role_arn or "a role that CloudTrail does not tell",
        )
        for denial, request_id in denials
    ]
    return columns(("WHEN", "ERROR", "FROM", "WHO", "REQUEST", "ROLE"), rows)


def _who(caller: Caller | None) -> str:
    return (caller.name or caller.account_id or caller.kind or "") if caller else ""


def _time(at: datetime | None) -> str:
    return stamp(at) if at else ""


def _titled(title: str, rows: Sequence[Told], shown: Callable[[Sequence[Told]], str]) -> str:
    return f"{title}:\n{shown(rows)}" if rows else ""


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"
