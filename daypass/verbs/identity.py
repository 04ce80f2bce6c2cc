"""Who one is: logging in and out, and who acts where in Slack."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from daypass import showing
from daypass.arguments import AsJson
from daypass.connecting import connect
from daypass.saying import Stop, line, note, write_json

if TYPE_CHECKING:
    pass


def login(
    server: Annotated[str | None, typer.Argument(metavar="URL", help="Of the Daypass: https://…")] = None,
    issuer: Annotated[str | None, typer.Option(help="By its name, where there are several.")] = None,
    device: Annotated[bool, typer.Option("--device", help="Sign in on another machine, by a code.")] = False,
) -> None:
    """Sign in, in your browser or with --device by a code: daypass login https://daypass.example.com"""
    from daypass import entering, tokens

    where = server or tokens.server(os.environ)
    entered, me = entering.log_in(where, tokens.logins(os.environ), note, issuer=issuer, device=device)
    line(f"Logged in at {entered.server} as {showing.plain(me.get('id'))} {entering.lasts(entered)}")


def logout(server: Annotated[str | None, typer.Argument(metavar="URL", help="Of the Daypass.")] = None) -> None:
    """Forget the login on this machine, and have the issuer forget it."""
    from daypass import entering, tokens

    where = server or tokens.server(os.environ)
    was_in, error = entering.log_out(where, tokens.logins(os.environ))
    line(f"Logged out at {where}." if was_in else f"You were not logged in at {where}.")
    if error:
        raise Stop(f"It is gone here, but perhaps not at the issuer: {error.detail}")


def whoami(as_json: AsJson = False) -> None:
    """Say who Daypass takes you for, and until when your login lasts."""
    from daypass import entering, tokens

    me = connect().me()
    login = tokens.stored(os.environ)
    if as_json:
        write_json(me)
        return
    groups = ", ".join(showing.plain(group) for group in me.get("groups", []))
    about = [(name, showing.plain(me.get(name))) for name in ("id", "kind", "issuer", "authenticated_at")]
    mine = [("groups", groups), ("mfa", "yes" if me.get("mfa") else "no")]
    line(showing.pairs([*about, *mine, *([("login", entering.lasts(login))] if login else [])]))


def slack_bind(
    code: Annotated[str, typer.Argument(help="As the slash command gave it to you, and to nobody else.")],
    email: Annotated[str | None, typer.Option(help="Yours in Slack, where it is another one than here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say that a Slack user is you: from then on you ask and approve in Slack, for a day at a time."""
    bound = connect().bind_slack(code.strip(), email=email)
    if as_json:
        write_json(bound)
    else:
        line(showing.slack_binding(bound))


def slack_unbind(as_json: AsJson = False) -> None:
    """Say that no Slack user is you any more: asking and approving in your name ends there."""
    unbound = connect().unbind_slack()
    if as_json:
        write_json(unbound)
    else:
        line(showing.slack_unbound(unbound))
