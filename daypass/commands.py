"""The `daypass` command: ask for access, answer those who ask, and use what was given."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from typer.exceptions import TyperException

from daypass import showing
from daypass.connecting import connect as _client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date
    from typing import TextIO

    from daypass.client import Client, Json

DONE, ERROR, DENIED, NOT_ELIGIBLE, INTERRUPTED = 0, 1, 2, 3, 130
_EXIT: Final = {"not-eligible": NOT_ELIGIBLE}
# Bare digits are seconds only where they stand alone: 1h30 could mean anything.
_DURATION = re.compile(r"(?:([0-9]{1,3})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,7})s)?|([0-9]{1,7})", re.ASCII)
_PROCESS: Final = ("Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId")
_USABLE: Final = ("active", "ready", "scheduled", "pending")  # the most usable first
_ENV: Final = {
    "AccessKeyId": "AWS_ACCESS_KEY_ID",
    "SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "SessionToken": "AWS_SESSION_TOKEN",
    "Expiration": "AWS_CREDENTIAL_EXPIRATION",
}

app = typer.Typer(
    help="AWS access for a reason, for a while.",
    epilog="`daypass login` says where and who you are; or DAYPASS_URL (http://127.0.0.1:8000), and one of "
    "DAYPASS_TOKEN, DAYPASS_TOKEN_FILE, DAYPASS_TOKEN_COMMAND and DAYPASS_IAM.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich takes longer to load than help takes to read
    pretty_exceptions_enable=False,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="A request's id, or any ending of it that no other has.")]
AsJson = Annotated[bool, typer.Option("--json", help="The API's answer, for programs.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]


class _Stop(Exception):
    """The end of the command: one sentence on stderr and an exit code."""

    def __init__(self, sentence: str, code: int = ERROR) -> None:
        super().__init__(sentence)
        self.code = code


@app.command()
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
    as_json: AsJson = False,
) -> None:
    """Ask for access: daypass request payments-admin 1h rotating the key."""
    client = _client()
    ask = client.dry_run if dry_run else client.ask
    answer = ask(
        role,
        _seconds(duration),
        " ".join(reason),
        ticket=ticket,
        scope=scope,
        parameters=_parameters(scope, param or []),
        session_policy=_text(session_policy),
        starts_at=starts_at,
    )
    if not dry_run:
        _forget(answer)
    _asked(answer, dry_run, as_json)


@app.command()
def extend(
    request_id: Id,
    duration: Annotated[str, typer.Argument(help="How much longer: 2h, 90m, 1h30m, or seconds.")],
    reason: Annotated[list[str], typer.Argument(metavar="REASON...", help="Why: those who decide read it.")],
    ticket: Annotated[str | None, typer.Option(help="Another ticket than the request's own.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of it; record nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for more of the same, from where a request of yours ends: daypass extend 8N2D4E6F 1h it takes longer."""
    client = _client()
    whole = client.find(request_id, mine=True)
    answer = client.extend(whole, _seconds(duration), " ".join(reason), ticket=ticket, dry_run=dry_run)
    _asked(answer, dry_run, as_json)


@app.command()
def approve(
    request_id: Id,
    comment: Annotated[str | None, typer.Option(help="A word to the requester and to the record.")] = None,
    duration: Annotated[str | None, typer.Option(help="Give less time than was asked: 30m.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say yes to somebody's request."""
    client = _client()
    seconds = None if duration is None else _seconds(duration)
    _tell(client.approve(client.find(request_id), comment=comment, duration_seconds=seconds), as_json)


@app.command()
def deny(
    request_id: Id,
    comment: Annotated[list[str], typer.Argument(metavar="COMMENT...", help="Why not: the requester reads it.")],
    as_json: AsJson = False,
) -> None:
    """Say no to somebody's request. It is final."""
    client = _client()
    _tell(client.deny(client.find(request_id), " ".join(comment)), as_json)


@app.command("break-glass")
def break_glass(
    role: Annotated[str, typer.Argument(help="As `daypass roles` names it.")],
    duration: Annotated[str, typer.Argument(help="How long: 30m, 1h, or seconds.")],
    reason: Annotated[list[str], typer.Argument(metavar="REASON...", help="Why: at least 20 characters.")],
    ticket: Annotated[str | None, typer.Option(help="The ticket that this is for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take access now, in an emergency: nobody approves it, somebody else reviews it afterwards."""
    answer = _client().ask(role, _seconds(duration), " ".join(reason), ticket=ticket, break_glass=True)
    _forget(answer)
    _tell(answer, as_json)
    if not as_json:
        _next_step(answer)


@app.command()
def escalate(
    request_id: Id,
    reason: Annotated[list[str], typer.Argument(metavar="REASON...", help="Why it cannot wait: 20 characters.")],
    as_json: AsJson = False,
) -> None:
    """Make an emergency of a request of yours that nobody answers."""
    client = _client()
    _tell(client.escalate(client.find(request_id, mine=True), " ".join(reason)), as_json)


@app.command()
def review(
    request_id: Id,
    verdict: Annotated[Literal["justified", "unjustified"], typer.Argument()],
    comment: Annotated[list[str], typer.Argument(metavar="COMMENT...", help="What you found.")],
    as_json: AsJson = False,
) -> None:
    """Say whether somebody's emergency was justified. It is final."""
    client = _client()
    _tell(client.review(client.find(request_id), verdict, " ".join(comment)), as_json)


@app.command()
def cancel(request_id: Id, as_json: AsJson = False) -> None:
    """Take back a request of yours that is not used yet."""
    client = _client()
    answer = client.cancel(client.find(request_id, mine=True))
    _forget(answer)
    _tell(answer, as_json)


@app.command("return")
def give_back(
    request_id: Id,
    cut: Annotated[bool, typer.Option("--cut", help="End the sessions that you hold, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that you are done: no new sessions; those you hold run out by themselves, or are cut."""
    client = _client()
    answer = client.give_back(client.find(request_id, mine=True), cut=cut)
    _forget(answer)
    _tell(answer, as_json)


@app.command()
def revoke(
    request_id: Id,
    comment: Annotated[list[str], typer.Argument(metavar="COMMENT...", help="Why: the requester reads it.")],
    as_json: AsJson = False,
) -> None:
    """Take somebody's access away, and cut the sessions that they hold."""
    client = _client()
    _tell(client.revoke(client.find(request_id), " ".join(comment)), as_json)


@app.command()
def erase(request_id: Id, as_json: AsJson = False) -> None:
    """Erase what people wrote in a request that is over: reason and comments. For auditors, and for good."""
    client = _client()
    _tell(client.erase(client.find(request_id)), as_json)


@app.command("list")
def listed(
    mine: Annotated[bool, typer.Option("--mine", help="What you asked for.")] = False,
    to_approve: Annotated[bool, typer.Option("--to-approve", help="What waits for your answer.")] = False,
    state: Annotated[str | None, typer.Option(help="pending, ready, scheduled, active, ended, …")] = None,
    role: Annotated[str | None, typer.Option(help="Requests for this role.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the requests that you may see, newest first."""
    found = list(_client().requests(mine=mine, to_approve=to_approve, state=state, role=role, limit=limit))
    if as_json:
        _json(found)
    elif found:
        _line(showing.requests(found, _paint()))
    else:
        _note("No requests.")


@app.command()
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

    begins, ends = _day("--from", first), _day("--to", last)
    if ends < begins:
        raise _Stop(f"--to {last} comes before --from {first}.")
    client = _client()
    if output is None:
        return _exported(client, begins, ends, sys.stdout, form)
    try:
        with whole_file(output) as file:
            _exported(client, begins, ends, file, form)
    except OSError as error:
        raise _Stop(f"{output} cannot be written: {error.strerror}.") from None


@app.command()
def show(request_id: Id, as_json: AsJson = False) -> None:
    """Show one request with its history."""
    client = _client()
    whole = client.find(request_id)
    answer, events = client.request(whole), list(client.events(whole))
    if as_json:
        _json({**answer, "events": events})
    else:
        _line(f"{showing.request(answer, _paint())}\n\n{showing.timeline(events)}")


@app.command()
def activity(request_id: Id, as_json: AsJson = False) -> None:
    """Show what was done with a request's sessions, as CloudTrail told it: some minutes later."""
    from daypass import doings

    client = _client()
    told = client.activity(client.find(request_id))
    if as_json:
        _json(told)
        return
    _line(doings.activity(told))
    if not told["items"]:
        _note("\nCloudTrail tells of a call within about five minutes, without promise.")


@app.command()
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

    begins, ends = _day("--from", first), _day("--to", last)
    if ends < begins:
        raise _Stop(f"--to {last} comes before --from {first}.")
    what = used_by(_client(), role, scope, begins, ends)
    narrow = narrowed(what.succeeded)
    if as_json:
        _json(doings.used_json(what, narrow))
    else:
        _line(doings.used(what, narrow))


@app.command()
def roles(
    q: Annotated[str, typer.Option(help="A part of the role's or the account's name.")] = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the roles that you may request, and on which terms."""
    found = list(_client().roles(q, limit=limit))
    if as_json:
        _json(found)
    elif found:
        _line(showing.roles(found))
    else:
        _note("No roles that you may request.")


@app.command()
def login(
    server: Annotated[str | None, typer.Argument(metavar="URL", help="Of the Daypass: https://…")] = None,
    issuer: Annotated[str | None, typer.Option(help="By its name, where there are several.")] = None,
    device: Annotated[bool, typer.Option("--device", help="Sign in on another machine, by a code.")] = False,
) -> None:
    """Sign in, in your browser or with --device by a code: daypass login https://daypass.example.com"""
    from daypass import entering, tokens

    where = server or tokens.server(os.environ)
    entered, me = entering.log_in(where, tokens.logins(os.environ), _note, issuer=issuer, device=device)
    _line(f"Logged in at {entered.server} as {showing.plain(me.get('id'))} {entering.lasts(entered)}")


@app.command()
def logout(server: Annotated[str | None, typer.Argument(metavar="URL", help="Of the Daypass.")] = None) -> None:
    """Forget the login on this machine, and have the issuer forget it."""
    from daypass import entering, tokens

    where = server or tokens.server(os.environ)
    was_in, error = entering.log_out(where, tokens.logins(os.environ))
    _line(f"Logged out at {where}." if was_in else f"You were not logged in at {where}.")
    if error:
        raise _Stop(f"It is gone here, but perhaps not at the issuer: {error.detail}")


@app.command()
def whoami(as_json: AsJson = False) -> None:
    """Say who Daypass takes you for, and until when your login lasts."""
    from daypass import entering, tokens

    me = _client().me()
    login = tokens.stored(os.environ)
    if as_json:
        _json(me)
        return
    groups = ", ".join(showing.plain(group) for group in me.get("groups", []))
    about = [(name, showing.plain(me.get(name))) for name in ("id", "kind", "issuer", "authenticated_at")]
    mine = [("groups", groups), ("mfa", "yes" if me.get("mfa") else "no")]
    _line(showing.pairs([*about, *mine, *([("login", entering.lasts(login))] if login else [])]))


@app.command("slack-bind")
def slack_bind(
    code: Annotated[str, typer.Argument(help="As the slash command gave it to you, and to nobody else.")],
    email: Annotated[str | None, typer.Option(help="Yours in Slack, where it is another one than here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say that a Slack user is you: from then on you ask and approve in Slack, for a day at a time."""
    bound = _client().bind_slack(code.strip(), email=email)
    if as_json:
        _json(bound)
    else:
        _line(showing.slack_binding(bound))


@app.command("slack-unbind")
def slack_unbind(as_json: AsJson = False) -> None:
    """Say that no Slack user is you any more: asking and approving in your name ends there."""
    unbound = _client().unbind_slack()
    if as_json:
        _json(unbound)
    else:
        _line(showing.slack_unbound(unbound))


@app.command()
def credentials(
    what: Annotated[str, typer.Argument(metavar="ID-OR-ROLE", help="A request, or a role that you were given.")],
    form: Annotated[
        Literal["process", "env", "json"], typer.Option("--format", help="process is for the AWS CLI and SDKs.")
    ] = "process",
    fresh: Annotated[bool, typer.Option("--fresh", help="Take new ones, whatever is kept.")] = False,
) -> None:
    """Print AWS credentials of an approved request.

    In ~/.aws/config: credential_process = daypass credentials payments-admin
    What is printed for that is kept in DAYPASS_CACHE (~/.cache/daypass; off: nowhere) while it lasts.
    """
    if form == "process":
        _json(_process(what, fresh))
        return
    lent = _lent(_client(), what)
    if form == "env":
        wanted = {ours: str(lent[theirs]) for theirs, ours in _ENV.items()}
        _line("\n".join(f"export {name}={shlex.quote(value)}" for name, value in wanted.items()))
    else:
        _json(lent)


@app.command()
def console(
    what: Annotated[str, typer.Argument(metavar="ID-OR-ROLE", help="A request, or a role that you were given.")],
    destination: Annotated[
        str | None, typer.Option(metavar="PAGE", help="A page of the console: its address, or /s3/home.")
    ] = None,
    printed: Annotated[bool, typer.Option("--print", help="Print the link, which is a secret; open nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open the AWS console in the browser, by an approved request."""
    from daypass.browser import show

    client = _client()
    answer = _used(client, what, lambda request_id: client.console(request_id, destination=destination))
    until = f"before {showing.plain(answer.get('expires_at'))}; it signs in whoever has it."
    if as_json:
        _json(answer)
    elif printed:
        _line(answer["url"])
    elif show(answer["url"]):
        _note("The AWS console opens in your browser.")
    else:
        _line(answer["url"])
        _note(f"There is no browser here: follow this link {until}")


def _elsewhere(name: str, about: str, *, package: str, needs: tuple[str, ...], module: str = "commands") -> None:
    """Offer a command of another package, which is imported when it is called and not before.

    needs: what has to be installed for it, by the extra of the same name. module: where in the package it is.
    """

    @app.command(
        name,
        help=about,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        options_metavar="[OPTIONS]",
    )
    def call(context: typer.Context) -> None:
        if any(find_spec(each) is None for each in needs):
            raise _Stop(f"`daypass {name}` needs more than the client: pip install 'daypass[{package}]'.")
        offered = getattr(import_module(f"daypass.{package}.{module}"), name.replace("-", "_"))
        alone = offered if isinstance(offered, typer.Typer) else _alone(offered, name)
        outcome = typer.main.get_command(alone)(context.args, prog_name=f"daypass {name}", standalone_mode=False)
        if isinstance(outcome, int):
            raise typer.Exit(outcome)


def _alone(command: Callable[..., None], name: str) -> typer.Typer:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name)(command)
    return alone


_ENGINE = ("ministack", "chalice")
_elsewhere(
    "local",
    "Serve Daypass on this machine, over an embedded AWS, with an example to try.",
    package="local",
    needs=_ENGINE,
)
_elsewhere(
    "token",
    "Print the token of a person of the local example: alice, bob, carol, …",
    package="local",
    needs=_ENGINE,
)
_SERVER = ("pydantic", "boto3", "jwt")
_elsewhere(
    "check",
    "Say what is wrong with a catalogue, and ask it its own tests.",
    package="operator",
    needs=_SERVER,
)
_elsewhere(
    "explain",
    "Say what would become of somebody's ask, and what every rule says to it.",
    package="operator",
    needs=_SERVER,
    module="explaining",
)
_elsewhere(
    "who-can",
    "List who could get into a role: how, through whom, and whom denies stop.",
    package="operator",
    needs=_SERVER,
    module="reaching",
)
_elsewhere(
    "trust",
    "Print the policies around a role, explained: who may assume it, and what may be done.",
    package="operator",
    needs=_SERVER,
    module="trusting",
)
_elsewhere(
    "catalogue",
    "Sign a catalogue for S3, verify it, and say who gains and who loses access by a newer one.",
    package="operator",
    needs=_SERVER,
    module="catalogue_commands",
)
_elsewhere(
    "issuer",
    "Publish the keys by which Daypass is an OIDC provider: issuer publish.",
    package="operator",
    needs=_SERVER,
)
_elsewhere(
    "reconcile",
    "Join CloudTrail's log files to the requests they are of; name what belongs to none.",
    package="operator",
    needs=_SERVER,
    module="reconcile",
)
_elsewhere(
    "verify",
    "Check every chain of an exported ledger: name what was changed, is missing, or was put in.",
    package="operator",
    needs=_SERVER,
    module="verify",
)


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The command, up to its exit code. Whatever goes wrong is one sentence on stderr."""
    from daypass.client import DaypassError

    try:
        outcome = typer.main.get_command(app)(list(arguments), prog_name="daypass", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else DONE
    except typer.Exit as end:
        return end.exit_code
    except _Stop as stop:
        return _said(str(stop), stop.code)
    except DaypassError as error:
        told = [f"{each['field']}: {each['message']}" for each in error.errors]
        fields = "".join(f" {each}." for each in told if each not in error.detail)
        return _said(error.detail + fields, _EXIT.get(error.slug, ERROR))
    except TyperException as misuse:
        return _said(misuse.format_message() or "See `daypass --help`.", ERROR)
    except BrokenPipeError:
        # Whoever read us has enough. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except (KeyboardInterrupt, typer.Abort):
        return _said("Interrupted.", INTERRUPTED)
    except Exception as bug:
        if os.environ.get("DAYPASS_DEBUG"):
            raise
        # Not its text: a library may have put a header into it.
        return _said(f"A mistake in daypass itself ({type(bug).__name__}): DAYPASS_DEBUG=1 shows where.", ERROR)


def _process(what: str, fresh: bool) -> Json:
    """What `credential_process` reads: kept, or else new; of many processes that ask at once, one takes new ones."""
    from daypass import keeping

    place = keeping.place(os.environ, what)
    if place is None:
        return _of_process(_lent(_client(), what))
    if not fresh and (kept := keeping.kept(place, time.time())):
        return kept
    with keeping.alone(place):
        if not fresh and (kept := keeping.kept(place, time.time())):
            return kept
        client = _client()
        lent = _lent(client, what)
        _keep(place, client, lent)
        return _of_process(lent)


def _of_process(lent: Json) -> Json:
    return {name: lent[name] for name in _PROCESS if name in lent}


def _keep(place: str, client: Client, lent: Json) -> None:
    """Keep what was lent, where that can be; why it cannot is said, and no reason to hand nothing out."""
    from daypass import keeping
    from daypass.client import DaypassError

    known: Json = {}
    with suppress(DaypassError):
        known = client.request(str(lent.get("RequestId")))
    about = {"server": keeping.server(os.environ), "role": str(known.get("role") or "")}
    expires_at = _instant(lent["Expiration"])
    if expires_at is None:
        return
    try:
        keeping.keep(
            place,
            _of_process(lent),
            expires_at=expires_at,
            ends_at=_instant(known.get("ends_at")),
            ahead=client.ahead,
            about=about,
        )
    except OSError as error:
        where = os.path.dirname(place)
        _note(
            f"daypass: nothing is kept, every call takes a new session: {where}: {error.strerror}. Set DAYPASS_CACHE."
        )


def _instant(text: object) -> float | None:
    """Seconds since 1970."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def _forget(answer: Json) -> None:
    """What is kept of a role is of another request than the one that was asked for, or given back, just now."""
    from daypass import keeping

    keeping.forget(os.environ, str(answer.get("role")))


def _lent(client: Client, what: str) -> Json:
    """A new session of the request that `what` names."""
    lent = _used(client, what, client.credentials)
    if missing := [name for name in _PROCESS[:5] if name not in lent]:
        raise _Stop(f"The answer holds no {', '.join(missing)}: check DAYPASS_URL.")
    return lent


def _used(client: Client, what: str, use: Callable[[str], Json]) -> Json:
    """The answer to a use of the request that `what` names. Says why where it gives nothing now."""
    from daypass.client import DaypassError

    request_id = _named(client, what)
    try:
        return use(request_id)
    except DaypassError as error:
        if error.slug != "not-active":
            raise
        known = client.request(request_id)
        if known.get("state") in ("ready", "active"):  # then the reason is not in its state
            raise
        raise _why_not(known) from None


def _named(client: Client, what: str) -> str:
    """The id that is meant: of the most usable of your requests for a role of that name, else of one that ends so."""
    if not what:
        raise _Stop("Name a request, or a role that you were given: what was given is empty.")
    if len(what) == 26 and what.isalnum():
        return what.upper()
    best: Json | None = None
    for known in client.requests(mine=True, role=what):
        # The list begins with the newest; of a chain the oldest comes first.
        if best is None or _use(known) < _use(best) or (known.get("extends") and _use(known) == _use(best)):
            best = known
        if known.get("state") == "active":
            break
    if best is None and what.isalnum():
        return client.find(what, mine=True)
    if best is None:
        raise _Stop(f"You have no request for a role {showing.plain(what)}: daypass request {showing.plain(what)} …")
    # A list may be a moment behind the record: what it calls pending may be approved by now, so the record is asked.
    return str(best.get("id"))


def _use(known: Json) -> tuple[int, bool]:
    """How soon a request may be used: what goes on from another one comes after that."""
    state = known.get("state")
    return _USABLE.index(state) if state in _USABLE else len(_USABLE), bool(known.get("extends"))


def _why_not(known: Json) -> _Stop:
    """Why a request gives nothing now, from what it says of itself."""
    state, role = showing.plain(known.get("state")), showing.plain(known.get("role"))
    ending = str(known.get("id", ""))[-showing.ENDING :]
    anew = f"Ask again: daypass request {role} …"
    if by := known.get("extended_by"):
        anew = f"It was extended: daypass credentials {showing.plain(by)[-showing.ENDING :]}"
    match state:
        case "pending":
            waits = showing.stages(known.get("stages", []), missing=True)
            return _Stop(f"Request {ending} for {role} still waits for {waits or 'an answer'}.")
        case "scheduled":
            return _Stop(f"Request {ending} for {role} begins at {showing.plain(known.get('starts_at'))}.")
        case "denied":
            by, said = showing.plain(known.get("decided_by")), showing.quoted(known.get("decision_comment"))
            return _Stop(f"Request {ending} for {role} was denied by {by}: {said}", DENIED)
        case "revoked":
            return _Stop(f"Request {ending} for {role} was revoked.", DENIED)
        case _:
            return _Stop(f"Request {ending} for {role} is {state}. {anew}")


def _seconds(text: str) -> int:
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise _Stop(f"{showing.plain(text)!r} is not a duration: write 2h, 90m, 1h30m or seconds.")
    hours, minutes, seconds, bare = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + bare


def _day(option: str, text: str) -> date:
    from daypass.exporting import read_day

    try:
        return read_day(text)
    except ValueError:
        raise _Stop(f"{option} {showing.plain(text)} is no day: write one as in 2026-11-23.") from None


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
    _note(f"{count:,} event{'' if count == 1 else 's'}, {first} to {last}.")
    if last >= datetime.now(UTC).date():
        _note(f"{last} is not over: export it again when it is.")


def _parameters(scope: str | None, given: Iterable[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := next((name for name, equals, _ in pairs if not (name and equals)), None):
        raise _Stop(f"--param {showing.plain(wrong)} has no value: write --param name=value.")
    if pairs and scope is None:
        raise _Stop("--param belongs to a scope: write --scope name too.")
    return {name: value for name, _, value in pairs}


def _text(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _Stop(f"{file} is not text.") from None
    except OSError as error:
        raise _Stop(f"{file} cannot be read: {error.strerror}.") from None


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


def _asked(answer: Json, dry_run: bool, as_json: bool) -> None:
    """What became of an ask, or would, and how to go on."""
    if as_json:
        _json(answer)
    elif dry_run:
        _line(_would(answer))
    else:
        _line(showing.request(answer, _paint()))
        _next_step(answer)
    if dry_run and answer.get("would") == "not-eligible":
        raise typer.Exit(NOT_ELIGIBLE)


def _next_step(answer: Json) -> None:
    ending = str(answer.get("id", ""))[-showing.ENDING :]
    if answer.get("state") == "pending":
        waits = showing.stages(answer.get("stages", []), missing=True)
        _note(f"\nIt waits for {waits}, who may say: daypass approve {ending}")
    elif answer.get("state") == "scheduled":
        _note(f"\nIt is yours from {showing.plain(answer.get('starts_at'))} on: daypass credentials {ending}")
    elif answer.get("extends"):
        before = showing.plain(answer["extends"])[-showing.ENDING :]
        _note(f"\nIt goes on where {before} ends, once that one was used: daypass credentials {ending}")
    elif answer.get("state") in ("ready", "active"):
        _note(f"\nIt is yours: daypass credentials {ending}, or in the browser: daypass console {ending}")


def _tell(answer: Json, as_json: bool) -> None:
    if as_json:
        _json(answer)
    else:
        _line(showing.request(answer, _paint()))


def _paint() -> showing.Paint:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return showing.in_colour if coloured else showing.colourless


def _json(value: object) -> None:
    _line(json.dumps(value, indent=2))


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")


def _note(text: str) -> None:
    sys.stderr.write(text + "\n")


def _said(sentence: str, code: int) -> int:
    _note(f"daypass: {showing.plain(sentence)}")
    return code


if __name__ == "__main__":
    main()
