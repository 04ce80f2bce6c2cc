"""Using: what somebody types who was given access."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from daypass import showing
from daypass.arguments import AsJson, What, parameters, seconds
from daypass.connecting import connect
from daypass.fetching import forget, kept_or_new, new_session
from daypass.finding import found_or_asked, use
from daypass.running import run, variables
from daypass.saying import Stop, line, note, write_json

if TYPE_CHECKING:
    from daypass.client import Json


def credentials(
    what: What,
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
        write_json(kept_or_new(what, fresh))
        return
    lent = new_session(connect(), what)
    if form == "env":
        line("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables(lent).items()))
    else:
        write_json(lent)


def console(
    what: What,
    destination: Annotated[
        str | None, typer.Option(metavar="PAGE", help="A page of the console: its address, or /s3/home.")
    ] = None,
    printed: Annotated[bool, typer.Option("--print", help="Print the link, which is a secret; open nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open the AWS console in the browser, by an approved request."""
    from daypass.browser import show

    client = connect()
    answer = use(client, what, lambda request_id: client.console(request_id, destination=destination))
    until = f"before {showing.plain(answer.get('expires_at'))}; it signs in whoever has it."
    if as_json:
        write_json(answer)
    elif printed:
        line(answer["url"])
    elif show(answer["url"]):
        note("The AWS console opens in your browser.")
    else:
        line(answer["url"])
        note(f"There is no browser here: follow this link {until}")


def execute(
    what: What,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="With its arguments.")],
    reason: Annotated[
        str | None, typer.Option(help="Why: with it a request is made where there is none to use.")
    ] = None,
    duration: Annotated[str, typer.Option("--for", help="How long such a request is for.")] = "1h",
    ticket: Annotated[str | None, typer.Option(help="The ticket that it is for.")] = None,
    scope: Annotated[str | None, typer.Option(help="A narrower pass, as `daypass roles` names it.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A parameter of the scope.")] = None,
) -> None:
    """Run a command with the credentials of a request: daypass exec payments-admin -- aws s3 ls

    Waits where the request waits. The command's exit code is this one's.
    """
    from daypass.waiting import granted

    client = connect()

    def ask(role: str) -> Json:
        chosen = parameters(scope, param or [])
        answer = client.ask(role, seconds(duration), str(reason), ticket=ticket, scope=scope, parameters=chosen)
        forget(answer)
        return answer

    request = granted(client, found_or_asked(client, what, ask if reason else None))
    run(command, variables(new_session(client, str(request["id"]))))


def configure(
    what: What,
    profile: Annotated[str | None, typer.Option(help="The profile's name, if not the request's or role's.")] = None,
    region: Annotated[str | None, typer.Option(help="The profile's region, if it shall have one.")] = None,
) -> None:
    """Give the AWS configuration a profile that fetches its credentials here: daypass configure payments-admin"""
    from daypass import profile as profiles

    name = profile or what
    if not profiles.NAME.fullmatch(name):
        raise Stop(f"{showing.plain(name)} is no name for a profile: --profile gives it another one.")
    file, keys = profiles.config_file(os.environ), profiles.credentials_file(os.environ)
    try:
        profiles.configure(file, keys, name, profiles.command(os.environ, what), region)
    except profiles.Taken as taken:
        raise Stop(f"{file} was not touched: {taken}. --profile gives it another name.") from None
    except UnicodeDecodeError:
        raise Stop(f"{file} was not touched: it is not text.") from None
    except OSError as error:
        raise Stop(f"{error.filename or file} cannot be read or written: {error.strerror}.") from None
    note(f"{file} has the profile {name}: aws --profile {name} sts get-caller-identity")
