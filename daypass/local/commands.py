"""`daypass local` and `daypass token`."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from daypass.local import folder, issuers, tour
from daypass.local.people import EVERYBODY

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The data folder; else DAYPASS_DATA, else .daypass here.")
]


def local(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API; 0 is any free one.")] = 8000,
    aws_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the embedded AWS; 0 is any free one.")] = 8001,
    data: Data = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what earlier runs left.")] = False,
) -> None:
    """Serve Daypass on this machine, over an embedded AWS, with an example to try."""
    from daypass.local.embedded_aws import CannotStart
    from daypass.local.server import serving

    terminal = sys.stdout

    def say(line: str) -> None:
        terminal.write(f"{line}\n")
        terminal.flush()

    path = _path_to_export()
    try:
        with (
            _stopped_by_signals(),
            folder.opened(folder.chosen(data), fresh=fresh) as opened,
            serving(opened, port=port, aws_port=aws_port, say=say) as stage,
        ):
            say(f"{tour.banner(stage)}\n\n{tour.text(tour.chapters(stage, path))}\n\n{tour.READY}\n")
            threading.Event().wait()
    except KeyboardInterrupt:
        say("Stopped.")
    except (folder.NotOurs, CannotStart) as error:
        sys.stderr.write(f"daypass local: {error}\n")
        raise typer.Exit(1) from None


def token(
    name: Annotated[str, typer.Argument(help="alice, bob, carol, …")],
    data: Data = None,
) -> None:
    """Print the bearer token of a person of the local example, and nothing else."""
    chosen = folder.chosen(data)
    stage = chosen.stage()
    if stage is None:
        sys.stderr.write(f"daypass token: {chosen.path} holds no Daypass yet: start `daypass local` first.\n")
        raise typer.Exit(1)
    try:
        minted = issuers.mint(issuers.keys(chosen.issuers), stage.api, name, now=datetime.now(UTC))
    except issuers.Unknown:
        sys.stderr.write(f"daypass token: nobody is called {name!a}: there are {', '.join(EVERYBODY)}.\n")
        raise typer.Exit(1) from None
    sys.stdout.write(f"{minted}\n")


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Inside, a wish to stop from anywhere is what Ctrl-C is: it unwinds everything, and the last snapshot is taken."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    wishes = [signal.SIGINT, signal.SIGTERM]  # a shell's background job would ignore SIGINT
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup
        wishes.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in wishes}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _path_to_export() -> Path | None:
    """Where `daypass` is, if the shell would not find it or would find another one."""
    ours = Path(sys.executable).parent
    found = shutil.which("daypass")
    return None if found and Path(found).parent == ours else ours
