"""Commands of other packages: offered always, imported when they are called and not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import typer

from daypass.saying import Stop

_ENGINE: Final = ("ministack", "chalice")
_SERVER: Final = ("pydantic", "boto3", "jwt")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """needs: what has to be installed, by the extra of the package's name. module: where in the package it is."""

    name: str
    about: str
    package: str
    needs: tuple[str, ...]
    module: str = "commands"


ALL: Final = (
    Elsewhere(
        "local", "Serve Daypass on this machine, over an embedded AWS, with an example to try.", "local", _ENGINE
    ),
    Elsewhere("token", "Print the token of a person of the local example: alice, bob, carol, …", "local", _ENGINE),
    Elsewhere("check", "Say what is wrong with a catalogue, and ask it its own tests.", "operator", _SERVER),
    Elsewhere(
        "explain",
        "Say what would become of somebody's ask, and what every rule says to it.",
        "operator",
        _SERVER,
        "explaining",
    ),
    Elsewhere(
        "who-can",
        "List who could get into a role: how, through whom, and whom denies stop.",
        "operator",
        _SERVER,
        "reaching",
    ),
    Elsewhere(
        "trust",
        "Print the policies around a role, explained: who may assume it, and what may be done.",
        "operator",
        _SERVER,
        "trusting",
    ),
    Elsewhere(
        "catalogue",
        "Sign a catalogue for S3, verify it, and say who gains and who loses access by a newer one.",
        "operator",
        _SERVER,
        "catalogue_commands",
    ),
    Elsewhere("issuer", "Publish the keys by which Daypass is an OIDC provider: issuer publish.", "operator", _SERVER),
    Elsewhere(
        "reconcile",
        "Join CloudTrail's log files to the requests they are of; name what belongs to none.",
        "operator",
        _SERVER,
        "reconcile",
    ),
    Elsewhere(
        "verify",
        "Check every chain of an exported ledger: name what was changed, is missing, or was put in.",
        "operator",
        _SERVER,
        "verify",
    ),
)


def offer(app: typer.Typer, command: Elsewhere) -> None:
    @app.command(
        command.name,
        help=command.about,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        options_metavar="[OPTIONS]",
    )
    def call(context: typer.Context) -> None:
        name = command.name
        if any(find_spec(each) is None for each in command.needs):
            raise Stop(f"`daypass {name}` needs more than the client: pip install 'daypass[{command.package}]'.")
        offered = getattr(import_module(f"daypass.{command.package}.{command.module}"), name.replace("-", "_"))
        alone = offered if isinstance(offered, typer.Typer) else _alone(offered, name)
        outcome = typer.main.get_command(alone)(context.args, prog_name=f"daypass {name}", standalone_mode=False)
        if isinstance(outcome, int):
            raise typer.Exit(outcome)


def _alone(command: Callable[..., None], name: str) -> typer.Typer:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name)(command)
    return alone
