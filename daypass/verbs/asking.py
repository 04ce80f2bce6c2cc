"""Asking: what somebody types who needs access."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daypass import showing
from daypass.arguments import AsJson, Id, file_text, parameters, seconds
from daypass.connecting import connect
from daypass.fetching import forget
from daypass.saying import NOT_ELIGIBLE, line, note, paint, tell, write_json

if TYPE_CHECKING:
    from daypass.client import Json


def request(
    role: Annotated[str, typer.Argument(help="As `daypass roles` names it.")],
    duration: Annotated[str, typer.Argument(help="How long: 2h, 90m, 1h30m, or seconds.")],
    reason: Annotated[list[str], typer.Argument(metavar="REASON...", help="Why: those who decide read it.")],
    ticket: Annotated[str | None, typer.Option(help="The ticket that this is for.")] = None,
    scope: Annotated[str | None, typer.Option(help="A narrower pass, as `daypass roles` names it.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A parameter of the scope.")] = None,
    session_policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A policy that narrows the session; - is standard input.")
    ] = None,
    starts_at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="When it shall begin, as in 2026-11-23T12:00:00Z.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of it; record nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until somebody has answered.")] = False,
    timeout: Annotated[str | None, typer.Option(help="Wait for so long at most: 10m. Exit code 4 after that.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for access: daypass request payments-admin 1h rotating the key."""
    client = connect()
    ask = client.dry_run if dry_run else client.ask
    answer = ask(
        role,
        seconds(duration),
        " ".join(reason),
        ticket=ticket,
        scope=scope,
        parameters=parameters(scope, param or []),
        session_policy=file_text(session_policy),
        starts_at=starts_at,
    )
    if not dry_run:
        forget(answer)
        if wait or timeout is not None:
            from daypass.waiting import granted

            answer = granted(client, answer, None if timeout is None else timedelta(seconds=seconds(timeout)))
    _asked(answer, dry_run, as_json)


def extend(
    request_id: Id,
    duration: Annotated[str, typer.Argument(help="How much longer: 2h, 90m, 1h30m, or seconds.")],
    reason: Annotated[list[str], typer.Argument(metavar="REASON...", help="Why: those who decide read it.")],
    ticket: Annotated[str | None, typer.Option(help="Another ticket than the request's own.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of it; record nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for more of the same, from where a request of yours ends: daypass extend 8N2D4E6F 1h it takes longer."""
    client = connect()
    whole = client.find(request_id, mine=True)
    answer = client.extend(whole, seconds(duration), " ".join(reason), ticket=ticket, dry_run=dry_run)
    _asked(answer, dry_run, as_json)


def break_glass(
    role: Annotated[str, typer.Argument(help="As `daypass roles` names it.")],
    duration: Annotated[str, typer.Argument(help="How long: 30m, 1h, or seconds.")],
    reason: Annotated[list[str], typer.Argument(metavar="REASON...", help="Why: at least 20 characters.")],
    ticket: Annotated[str | None, typer.Option(help="The ticket that this is for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take access now, in an emergency: nobody approves it, somebody else reviews it afterwards."""
    answer = connect().ask(role, seconds(duration), " ".join(reason), ticket=ticket, break_glass=True)
    forget(answer)
    tell(answer, as_json)
    if not as_json:
        next_step(answer)


def escalate(
    request_id: Id,
    reason: Annotated[list[str], typer.Argument(metavar="REASON...", help="Why it cannot wait: 20 characters.")],
    as_json: AsJson = False,
) -> None:
    """Make an emergency of a request of yours that nobody answers."""
    client = connect()
    tell(client.escalate(client.find(request_id, mine=True), " ".join(reason)), as_json)


def _asked(answer: Json, dry_run: bool, as_json: bool) -> None:
    """What became of an ask, or would, and how to go on."""
    if as_json:
        write_json(answer)
    elif dry_run:
        line(_would(answer))
    else:
        line(showing.request(answer, paint()))
        next_step(answer)
    if dry_run and answer.get("would") == "not-eligible":
        raise typer.Exit(NOT_ELIGIBLE)


def _would(answer: Json) -> str:
    longest = answer.get("max_duration_seconds")
    said = showing.pairs(
        [
            ("would be", showing.plain(answer.get("would"))),
            ("rule", showing.plain(answer.get("rule"))),
            ("approvals", showing.stages(answer.get("stages", []))),
            ("at most", showing.length(longest) if longest else ""),
            ("policy", showing.plain(answer.get("session_policy"))),
        ]
    )
    return "\n".join([said, *(f"  {showing.plain(why)}" for why in answer.get("why", []))])


def next_step(answer: Json) -> None:
    ending = str(answer.get("id", ""))[-showing.ENDING :]
    if answer.get("state") == "pending":
        waits = showing.stages(answer.get("stages", []), missing=True)
        note(f"\nIt waits for {waits}, who may say: daypass approve {ending}")
    elif answer.get("state") == "scheduled":
        note(f"\nIt is yours from {showing.plain(answer.get('starts_at'))} on: daypass credentials {ending}")
    elif answer.get("extends"):
        before = showing.plain(answer["extends"])[-showing.ENDING :]
        note(f"\nIt goes on where {before} ends, once that one was used: daypass credentials {ending}")
    elif answer.get("state") in ("ready", "active"):
        note(f"\nIt is yours: daypass credentials {ending}, or in the browser: daypass console {ending}")
