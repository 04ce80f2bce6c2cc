"""What the operators' commands share: how they are told of a catalogue, read it, and answer."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from chalicelib.core.catalogue import Catalogue, Stage, Who
from chalicelib.core.catalogue_file import CatalogueMistakes, read_catalogue
from chalicelib.core.request import StageProgress
from daypass.showing import plain

File = Annotated[Path, typer.Argument(metavar="CATALOGUE", help="The catalogue's TOML file.")]
HubAccount = Annotated[
    str, typer.Option("--hub-account", metavar="ID", envvar="DAYPASS_HUB_ACCOUNT", help="Where the broker lives.")
]
Partition = Annotated[str, typer.Option(help="aws, aws-cn, aws-us-gov, …")]
Local = Annotated[bool, typer.Option("--local", help="Believe issuers on this machine, as `daypass local` does.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]

_ACCOUNT = re.compile(r"[0-9]{12}")


def parsed(path: Path, hub_account: str, partition: str, local: bool) -> Catalogue:
    """The catalogue. Raises CatalogueMistakes, and ends the command where there is no file to read."""
    if not _ACCOUNT.fullmatch(hub_account):
        raise stopped(f"{hub_account} is no account: --hub-account takes its 12 digits.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise stopped(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from None
    return read_catalogue(text, hub_account=hub_account, partition=partition, local=local)


def good(path: Path, hub_account: str, partition: str, local: bool) -> Catalogue:
    """The catalogue; the command ends, naming every mistake, where it has any."""
    try:
        return parsed(path, hub_account, partition, local)
    except CatalogueMistakes as wrong:
        raise stopped(*(str(mistake) for mistake in wrong.mistakes)) from None


def stopped(*sentences: str) -> typer.Exit:
    """What to raise where it is a mistake: exit code 1, and these on standard error."""
    sys.stderr.writelines(f"daypass: {plain(sentence)}\n" for sentence in sentences)
    return typer.Exit(1)


def write_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def write_lines(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{plain(line)}\n" for line in lines)


def conditions(who: Who) -> dict[str, object]:
    """A set of principals as the API shows it, without what is not asked for."""
    told: dict[str, object] = json.loads(who.key)
    return told


def approvals(stages: Iterable[Stage | StageProgress]) -> list[dict[str, object]]:
    """The approvals that are due, as the API shows them."""
    return [{"count": stage.count, "from": conditions(stage.who)} for stage in stages]


def seconds(length: timedelta | None) -> int | None:
    return None if length is None else int(length.total_seconds())
