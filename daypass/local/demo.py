"""The tour, run by itself: every command and what it really answers. Ends loudly at the first that does otherwise.

python -m daypass.local.demo
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from daypass.local import tour
from daypass.local.folder import Folder
from daypass.local.tour import Step

_START_SECONDS: Final = 60
_STEP_SECONDS: Final = 60
_STOP_SECONDS: Final = 20
_DONE: Final = "\x1e"
_FOREIGN: Final = ("AWS_", "DAYPASS_")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")


class Failed(Exception):
    """A step did not do what it says."""


def main() -> None:
    if missing := [name for name in ("daypass", "aws") if not (_bin() / name).exists()]:
        sys.exit(f"The demo needs {' and '.join(missing)} in {_bin()}: pip install -e '.[dev]' in the checkout.")
    with tempfile.TemporaryDirectory(prefix="daypass-demo-") as temporary:
        try:
            _run(Path(temporary))
        except Failed as failed:
            sys.exit(f"\nFAILED: {failed}")
        except KeyboardInterrupt:
            sys.exit(130)
    _say("\nEvery step did what it says.")


def _run(temporary: Path) -> None:
    data = Folder(temporary / "data")
    environment = _environment(temporary)
    with _stage(data, environment), _shell(environment, temporary) as shell:
        for number, chapter in enumerate(_chapters(data), start=1):
            _say(f"\n{number}. {chapter.title}\n")
            for step in chapter.steps:
                check(step, *shell.run(step.command))


def check(step: Step, code: int, output: str) -> None:
    _say("    $ " + step.command.replace("\n", "\n    > "))
    for line in output.splitlines():
        _say(f"    {line}")
    if step.refused and code == 0:
        raise Failed(f"`{step.command}` should have been refused.")
    if not step.refused and code != 0:
        raise Failed(f"`{step.command}` ended with {code}.")
    for pattern in step.shows:
        if not re.search(pattern, output, re.MULTILINE):
            raise Failed(f"`{step.command}` did not show {pattern!r}.")
    if step.refused:
        _say("    (refused, as it should be)")


def _chapters(data: Folder) -> tuple[tour.Chapter, ...]:
    stage = data.stage()
    if stage is None:
        raise Failed("`daypass local` did not say where it is.")
    return tour.chapters(stage, _bin())


@contextmanager
def _stage(data: Folder, environment: Mapping[str, str]) -> Iterator[None]:
    """`daypass local` on free ports, as long as the block lasts. Its end is checked like a step's."""
    words = ["daypass", "local", "--port", "0", "--aws-port", "0", "--data", str(data.path)]
    server = subprocess.Popen(
        [str(_bin() / words[0]), *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert server.stdout is not None
    told: list[str] = []
    with _no_longer_than(_START_SECONDS, server):
        for line in server.stdout:
            told.append(line)
            if line.rstrip() == tour.READY:
                break
    if server.poll() is not None or not told or told[-1].rstrip() != tour.READY:
        server.kill()
        raise Failed(f"`{' '.join(words)}` did not start:\n{''.join(told)}")
    _say(f"$ {' '.join(words)}\n{''.join(told).partition(tour.HEADING)[0].rstrip()}")
    rest = threading.Thread(target=server.stdout.read, daemon=True)  # or its pipe would fill and stop it
    rest.start()
    try:
        yield
    finally:
        server.send_signal(signal.SIGINT)
        with _no_longer_than(_STOP_SECONDS, server):
            code = server.wait()
        rest.join(_STOP_SECONDS)
    if code != 0:
        raise Failed(f"`daypass local` ended with {code} after Ctrl-C.")


class _Shell:
    """One shell for the whole tour, as a person has it: what a step exports, the next one sees."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, command: str) -> tuple[int, str]:
        """The exit code, and everything that was printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {command}\n}} </dev/null 2>&1\nprintf '{_DONE}%s\\n' \"$?\"\n")
        self._process.stdin.flush()
        output = ""
        with _no_longer_than(_STEP_SECONDS, self._process):
            for line in self._process.stdout:
                before, done, code = line.partition(_DONE)
                output += before
                if done:
                    return int(code), output
        raise Failed(f"`{command}` took longer than {_STEP_SECONDS} s, or ended the shell:\n{output}")


@contextmanager
def _shell(environment: Mapping[str, str], folder: Path) -> Iterator[_Shell]:
    process = subprocess.Popen(
        ["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
    )
    with process:
        yield _Shell(process)


@contextmanager
def _no_longer_than(seconds: float, process: subprocess.Popen[str]) -> Iterator[None]:
    guard = threading.Timer(seconds, process.kill)
    guard.start()
    try:
        yield
    finally:
        guard.cancel()


def _environment(home: Path) -> dict[str, str]:
    """Of this shell's, what is neither AWS's nor another Daypass's; and a home where nothing can be lost."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name.lower() not in _PROXIES
    }
    ours = {"HOME": str(home), "DAYPASS_CACHE": str(home / "kept"), "AWS_EC2_METADATA_DISABLED": "true"}
    return {**kept, **ours}


def _bin() -> Path:
    return Path(sys.executable).parent


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
