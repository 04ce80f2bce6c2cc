"""`daypass verify`: whether the chains of a ledger hold, and hold what digests, copy and request say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core import copied
from chalicelib.core.comparing import Digests, against_copy, against_digests, untold
from chalicelib.core.digest import Book, days_after
from chalicelib.core.ledger import Recorded, named
from chalicelib.core.replaying import unexplained
from chalicelib.core.verifying import Break, Chains, chain_of, made_at
from daypass.connecting import connect
from daypass.exporting import read_day
from daypass.operator import kept
from daypass.operator.kept import Copy
from daypass.operator.verify_shown import shown

BROKEN: Final = 5
"""The exit code where something does not hold."""

_PLACE = "as s3://BUCKET/PREFIX, or the folder into which it was fetched."


class _Unusable(Exception):
    """What was given cannot be worked with; `str` of it is one sentence for a person."""


@dataclass(slots=True)
class _Ledger:
    """What is verified. first, last: the days that it is of; None: as many as it has. request: what it is alone of."""

    book: Book = field(default_factory=Book)
    first: date | None = None
    last: date | None = None
    request: Mapping[str, Any] | None = None

    @property
    def chain(self) -> str | None:
        return str(self.request["id"]) if self.request else None

    def within(self, day: str) -> bool:
        return (self.first is None or day >= self.first.isoformat()) and (
            self.last is None or day <= self.last.isoformat()
        )


def verify(
    ledger: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="As `daypass export` writes it.")] = None,
    request_id: Annotated[
        str | None, typer.Option("--request", metavar="ID", help="Ask the API: one request, and its history.")
    ] = None,
    day: Annotated[str | None, typer.Option(metavar="DAY", help="Ask the API: all events of a day.")] = None,
    digests: Annotated[str | None, typer.Option(metavar="PLACE", help=f"Signed digests, {_PLACE}")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The public key that digests are signed with.")
    ] = None,
    copy: Annotated[str | None, typer.Option(metavar="PLACE", help=f"The copy under Object Lock, {_PLACE}")] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day that FILE is of, if not all there are.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check every chain of a ledger; with digests, a copy or a request also that it is all there and nothing else.

    A file needs neither AWS nor a running Daypass. A --copy alone is verified itself. Exits with 5 where anything does
    not hold.
    """
    try:
        told = _told(ledger, request_id, day, digests, key, copy, _day("--from", first), _day("--to", last))
    except _Unusable as wrong:
        raise _stopped(str(wrong)) from None
    except OSError as error:
        raise _stopped(f"{error.filename or 'what was named'} cannot be read: {error.strerror}") from None
    except ClientError as error:  # whose own text may repeat a session token
        raise _stopped(f"S3 refused: {error.response.get('Error', {}).get('Code', 'no')}") from None
    except BotoCoreError as error:
        raise _stopped(f"S3 was not asked: {type(error).__name__}") from None
    sys.stdout.write((json.dumps(told, indent=2) if as_json else shown(told)) + "\n")
    if told["broken"]:
        raise typer.Exit(BROKEN)


def _told(
    file: Path | None,
    request_id: str | None,
    day: str | None,
    digests: str | None,
    key: Path | None,
    copy: str | None,
    first: date | None,
    last: date | None,
) -> dict[str, Any]:
    sources = sum(each is not None for each in (file, request_id, day))
    if sources > 1 or not (sources or copy):
        raise _Unusable("name one of FILE, --request and --day, or a --copy alone")
    if (digests is None) != (key is None):
        raise _Unusable("--digests and --key belong together: a digest without its key proves nothing")
    signed = kept.digests(kept.place(digests), _key(key)) if digests and key else None
    ours = _Ledger(first=first, last=last)
    chains = Chains(ours.book)
    unlike: list[Break] = []
    if file is not None:
        _file(file, chains)
    elif day is not None:
        ours.first = ours.last = _day("--day", day)
        _take(connect().day(day), chains)
    elif request_id is not None:
        unlike += _request(request_id, ours, chains)
    copied_too = None
    if copy is not None:
        also = _nothing if sources else lambda one: chains.take(one.as_json())
        copied_too = kept.copy(kept.place(copy), _folders(ours, chains), also)
    return _summed_up(ours, chains, unlike, signed, copied_too)


def _nothing(recorded: Recorded) -> None:
    """The ledger is of somewhere else."""


def _summed_up(
    ours: _Ledger, chains: Chains, unlike: list[Break], signed: Digests | None, copy: Copy | None
) -> dict[str, Any]:
    begins, ends = chains.days or (None, None)
    broken = chains.breaks() + unlike
    more: dict[str, Any] = {}
    if signed is not None:
        broken += [*signed.broken, *against_digests(ours.book, signed, ours.within, ours.chain)]
        more["digests"] = {
            "from": signed.first and signed.first.isoformat(),
            "to": signed.last and signed.last.isoformat(),
            "whole": signed.whole,
            "told_again": signed.told_again,
            "untold": untold(ours.book, signed, ours.within),
        }
    if copy is not None:
        broken += [*copy.broken, *against_copy(ours.book, copy.book, ours.within)]
        more["copy"] = {"events": copy.events}
    return {
        "events": chains.events,
        "requests": chains.requests,
        "day_chains": chains.day_chains,
        "from": begins,
        "to": ends,
        "broken": [{named(each.chain): each.chain, "seq": each.seq, "why": each.why} for each in broken],
        "began_earlier": [{"request_id": id, "seq": seq} for id, seq in chains.began_earlier().items()],
        **more,
    }


def _request(request_id: str, ours: _Ledger, chains: Chains) -> list[Break]:
    """Fetch a request with its history; what it says of itself that no event explains."""
    client = connect()
    whole = client.find(request_id)
    # The item first: what is added meanwhile is then in the history, and the version says so.
    ours.request, events = client.request(whole), list(client.events(whole))
    known = [event for event in events if event.get("seq", 0) <= ours.request.get("version", 0)] or events
    _take(({**event, "request_id": whole} for event in events), chains)
    try:
        return unexplained(ours.request, known)
    except (KeyError, TypeError, ValueError):
        return [Break(whole, 0, "is not told as Daypass tells requests and their events")]


def _folders(ours: _Ledger, chains: Chains) -> Iterator[str]:
    """Where in the copy the days of the ledger are."""
    made = made_at(ours.chain) if ours.chain else None
    today = datetime.now(UTC).date()
    if ours.chain and made:
        until = max(today, date.fromisoformat(chains.days[1])) if chains.days else today
        for day in days_after(made.date() - timedelta(days=2), until + timedelta(days=1)):
            yield copied.folder(day.isoformat(), ours.chain)
    elif ours.first:
        for day in days_after(ours.first - timedelta(days=1), ours.last or today):
            yield copied.folder(day.isoformat())
    else:
        yield copied.EVENTS


def _file(file: Path, chains: Chains) -> None:
    try:
        with file.open(encoding="utf-8") as lines:
            _take(_lines(lines), chains)
    except UnicodeDecodeError:
        raise _Unusable(f"{file} is not text") from None
    except ValueError as error:
        raise _Unusable(f"{file}: {error}") from None


def _lines(lines: Iterable[str]) -> Iterator[Any]:
    """Raises ValueError for what is no export."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line, object_pairs_hook=_each_name_once)
        except (ValueError, RecursionError) as wrong:
            raise ValueError(f"line {number} is no JSON, or has a name twice") from wrong
        if not isinstance(event, dict) or chain_of(event) is None:
            raise ValueError(f"line {number} is no event with its request_id or its chain")
        yield event


def _take(events: Iterable[Mapping[str, Any]], chains: Chains) -> None:
    for event in events:
        chains.take(event)


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a name that stands twice could read two different events."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name stands twice")
    return read


def _key(file: Path) -> Any:
    try:
        return kept.public_key(file.read_bytes())
    except ValueError:
        raise _Unusable(f"{file} is no public key on P-256 in PEM") from None


def _day(option: str, text: str | None) -> date | None:
    try:
        return read_day(text) if text is not None else None
    except ValueError:
        raise _stopped(f"{option} {text} is no day: write one as in 2026-11-23") from None


def _stopped(sentence: str) -> typer.Exit:
    from daypass.showing import plain

    sys.stderr.write(f"daypass verify: {plain(sentence)}.\n")
    return typer.Exit(1)
