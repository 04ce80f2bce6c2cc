"""Looking: what somebody types who wants to know."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from daypass import showing
from daypass.arguments import AsJson, Id, Limit, day
from daypass.connecting import connect
from daypass.saying import Stop, line, note, paint, write_json

if TYPE_CHECKING:
    from daypass.client import Client


def listed(
    mine: Annotated[bool, typer.Option("--mine", help="What you asked for.")] = False,
    to_approve: Annotated[bool, typer.Option("--to-approve", help="What waits for your answer.")] = False,
    state: Annotated[str | None, typer.Option(help="pending, ready, scheduled, active, ended, …")] = None,
    role: Annotated[str | None, typer.Option(help="Requests for this role.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the requests that you may see, newest first."""
    found = list(connect().requests(mine=mine, to_approve=to_approve, state=state, role=role, limit=limit))
    if as_json:
        write_json(found)
    elif found:
        line(showing.requests(found, paint()))
    else:
        note("No requests.")


def show(request_id: Id, as_json: AsJson = False) -> None:
    """Show one request with its history."""
    client = connect()
    whole = client.find(request_id)
    answer, events = client.request(whole), list(client.events(whole))
    if as_json:
        write_json({**answer, "events": events})
    else:
        line(f"{showing.request(answer, paint())}\n\n{showing.timeline(events)}")


def activity(request_id: Id, as_json: AsJson = False) -> None:
    """Show what was done with a request's sessions, as CloudTrail told it: some minutes later."""
    from daypass import doings

    client = connect()
    told = client.activity(client.find(request_id))
    if as_json:
        write_json(told)
        return
    line(doings.activity(told))
    if not told["items"]:
        note("\nCloudTrail tells of a call within about five minutes, without promise.")


def used(
    role: Annotated[str, typer.Argument(help="As `daypass roles` names it.")],
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="The first day (UTC), as in 2026-11-23.")],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day, which is in it too.")],
    scope: Annotated[str | None, typer.Option(help="Only requests for this scope of the role.")] = None,
    as_json: AsJson = False,
) -> None:
    """Suggest a narrower session policy: what a role's sessions of some days used. For auditors."""
    from daypass import doings
    from daypass.narrowing import narrowed, used_by

    begins, ends = day("--from", first), day("--to", last)
    if ends < begins:
        raise Stop(f"--to {last} comes before --from {first}.")
    what = used_by(connect(), role, scope, begins, ends)
    narrow = narrowed(what.succeeded)
    if as_json:
        write_json(doings.used_json(what, narrow))
    else:
        line(doings.used(what, narrow))


def roles(
    q: Annotated[str, typer.Option(help="A part of the role's or the account's name.")] = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the roles that you may request, and on which terms."""
    found = list(connect().roles(q, limit=limit))
    if as_json:
        write_json(found)
    elif found:
        line(showing.roles(found))
    else:
        note("No roles that you may request.")


def export(
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="The first day (UTC), as in 2026-11-23.")],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day, which is in it too.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Written whole or not at all; else to standard output.")
    ] = None,
    form: Annotated[
        Literal["daypass", "ocsf"], typer.Option("--format", help="ocsf: OCSF 1.5.0, for a SIEM; not for verify.")
    ] = "daypass",
) -> None:
    """Write everybody's events of some days as JSON lines, for auditors: `daypass verify` reads them."""
    from daypass.exporting import whole_file

    begins, ends = day("--from", first), day("--to", last)
    if ends < begins:
        raise Stop(f"--to {last} comes before --from {first}.")
    client = connect()
    if output is None:
        return _exported(client, begins, ends, sys.stdout, form)
    try:
        with whole_file(output) as file:
            _exported(client, begins, ends, file, form)
    except OSError as error:
        raise Stop(f"{output} cannot be written: {error.strerror}.") from None


def _exported(client: Client, first: date, last: date, to: TextIO, form: str) -> None:
    """Progress goes to a terminal only, what came of it to standard error."""
    from daypass import ocsf
    from daypass.exporting import export

    shown = sys.stderr.isatty()

    def progress(day: str, count: int) -> None:
        if shown:
            sys.stderr.write(f"\r{day}: {count:,} events")

    count = export(client, first, last, to, progress, ocsf.event if form == "ocsf" else lambda event: event)
    if shown:
        sys.stderr.write("\r\x1b[K")
    note(f"{count:,} event{'' if count == 1 else 's'}, {first} to {last}.")
    if last >= datetime.now(UTC).date():
        note(f"{last} is not over: export it again when it is.")
