"""What `daypass verify` found, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daypass.showing import columns, plain


def shown(told: Mapping[str, Any]) -> str:
    """Everything, as the JSON has it."""
    return "\n\n".join(_parts(told))


def _parts(told: Mapping[str, Any]) -> Iterator[str]:
    broken = len({_chain(each) for each in told["broken"]})
    outcome = f"{broken} do not hold" if broken else "all hold"
    days = f", {plain(told['from'])} to {plain(told['to'])}" if told["from"] is not None else ""
    of_days = f" and {told['day_chains']:,} chains of days" if told["day_chains"] else ""
    yield f"{told['events']:,} events of {told['requests']:,} requests{of_days}{days}: {outcome}."
    if broken:
        rows = [(_chain(each), str(each["seq"]), each["why"]) for each in told["broken"]]
        yield columns(("CHAIN", "SEQ", "WHY"), rows)
    if told["began_earlier"]:
        began = [(each["request_id"], str(each["seq"])) for each in told["began_earlier"]]
        listed = columns(("REQUEST", "FROM SEQ"), began)
        yield f"Began before this file, so that nothing is said of what came before:\n{listed}"
    if digests := told.get("digests"):
        yield from _digests(digests)
    if copy := told.get("copy"):
        yield f"Held against {copy['events']:,} events of the copy."
    if not (digests or copy):
        yield "Whether a chain goes on after its last event here, a file cannot tell."


def _chain(broken: Mapping[str, Any]) -> str:
    return str(broken.get("request_id") or broken["chain"])


def _digests(digests: Mapping[str, Any]) -> Iterator[str]:
    begins = "" if digests["whole"] else ", which are not the first that there are"
    yield f"Held against the signed digests of {digests['from']} to {digests['to']}{begins}."
    if digests["told_again"]:
        yield f"Events came late to {_days(digests['told_again'])}, and were signed later."
    if digests["untold"]:
        yield f"No digest tells of {_days(digests['untold'])}: nothing is said of what is missing or invented there."


def _days(days: Sequence[str]) -> str:
    return ", ".join(plain(day) for day in days)
