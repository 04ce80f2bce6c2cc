"""`daypass verify`: whether the chains of an exported ledger hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chalicelib.core.ledger import named
from chalicelib.core.verifying import Chains, chain_of
from daypass.showing import columns, plain

BROKEN: Final = 5
"""The exit code where a chain does not hold."""


def verify(
    ledger: Annotated[Path, typer.Argument(metavar="FILE", help="As `daypass export` writes it.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check every chain of an exported ledger, without AWS. Exits with 5 where one does not hold."""
    try:
        with ledger.open(encoding="utf-8") as lines:
            chains = _read(lines)
    except OSError as error:
        raise _stopped(f"{ledger} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _stopped(f"{ledger} is not text") from None
    except ValueError as error:
        raise _stopped(f"{ledger}: {error}") from None
    told = _told(chains)
    sys.stdout.write((json.dumps(told, indent=2) if as_json else _shown(told)) + "\n")
    if told["broken"]:
        raise typer.Exit(BROKEN)


def _read(lines: Iterable[str]) -> Chains:
    """Raises ValueError for what is no export."""
    chains = Chains()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line, object_pairs_hook=_each_name_once)
        except (ValueError, RecursionError) as wrong:
            raise ValueError(f"line {number} is no JSON, or has a name twice") from wrong
        if not isinstance(event, dict) or chain_of(event) is None:
            raise ValueError(f"line {number} is no event with its request_id or its chain")
        chains.take(event)
    return chains


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a name that stands twice could read two different events."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name stands twice")
    return read


def _told(chains: Chains) -> dict[str, Any]:
    first, last = chains.days or (None, None)
    return {
        "events": chains.events,
        "requests": chains.requests,
        "day_chains": chains.day_chains,
        "from": first,
        "to": last,
        "broken": [{named(each.chain): each.chain, "seq": each.seq, "why": each.why} for each in chains.breaks()],
        "began_earlier": [{"request_id": id, "seq": seq} for id, seq in chains.began_earlier().items()],
    }


def _shown(told: dict[str, Any]) -> str:
    broken = len({_chain(each) for each in told["broken"]})
    outcome = f"{broken} do not hold" if broken else "all hold"
    days = f", {plain(told['from'])} to {plain(told['to'])}" if told["from"] is not None else ""
    of_days = f" and {told['day_chains']:,} chains of days" if told["day_chains"] else ""
    parts = [f"{told['events']:,} events of {told['requests']:,} requests{of_days}{days}: {outcome}."]
    if broken:
        rows = [(_chain(each), str(each["seq"]), each["why"]) for each in told["broken"]]
        parts.append(columns(("CHAIN", "SEQ", "WHY"), rows))
    if told["began_earlier"]:
        began = [(each["request_id"], str(each["seq"])) for each in told["began_earlier"]]
        listed = columns(("REQUEST", "FROM SEQ"), began)
        parts.append(f"Began before this file, so that nothing is said of what came before:\n{listed}")
    parts.append("Whether a chain goes on after its last event here, a file cannot tell.")
    return "\n\n".join(parts)


def _chain(told: dict[str, Any]) -> str:
    return str(told.get("request_id") or told["chain"])


def _stopped(sentence: str) -> typer.Exit:
    sys.stderr.write(f"daypass verify: {plain(sentence)}.\n")
    return typer.Exit(1)
