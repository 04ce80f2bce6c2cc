"""The data folder: where `daypass local` keeps everything it knows."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DEFAULT = Path(".daypass")
_MARKER = "daypass-local.json"
_LOCK = "lock"
# What a fresh start removes: what we made and nothing else, whatever lies beside it.
_OURS = ("aws", "issuers", "catalogue.toml", "broker.ini", "api.log", "aws-cli.ini")


class NotOurs(Exception):
    """The folder cannot be used. The message is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path

    @property
    def catalogue(self) -> Path:
        return self.path / "catalogue.toml"

    @property
    def broker_profile(self) -> Path:
        """The AWS configuration that makes the API the broker's role."""
        return self.path / "broker.ini"

    @property
    def issuers(self) -> Path:
        return self.path / "issuers"

    @property
    def api_log(self) -> Path:
        return self.path / "api.log"

    def is_daypass(self) -> bool:
        return (self.path / _MARKER).is_file()

    def remember(self, stage: Stage | None) -> None:
        """Write down which stage was served from here last. The file is also the marker that makes the folder ours."""
        told = {} if stage is None else {"api": stage.api, "aws": stage.aws}
        write_private(self.path / _MARKER, json.dumps(told) + "\n")

    def stage(self) -> Stage | None:
        """The stage that was served from here last; None where none ever was."""
        try:
            told = json.loads((self.path / _MARKER).read_text())
        except FileNotFoundError:
            return None
        return Stage(self, told["api"], told["aws"]) if told else None


@dataclass(frozen=True, slots=True)
class Stage:
    """A local stage. api, aws: the URLs of its API and of its embedded AWS."""

    folder: Folder
    api: str
    aws: str


def chosen(data: Path | None) -> Folder:
    """The folder of `--data`, else of DAYPASS_DATA, else `.daypass` here."""
    told = os.environ.get("DAYPASS_DATA")
    return Folder((data or (Path(told) if told else DEFAULT)).expanduser().absolute())


@contextmanager
def opened(folder: Folder, *, fresh: bool = False) -> Iterator[Folder]:
    """The folder, made where it is missing, and ours alone until the end of the block.

    fresh: what earlier runs left is removed first.
    Raises NotOurs where it holds something else than a Daypass, or another process uses it.
    """
    path = folder.path
    if path.exists() and not folder.is_daypass() and not _is_unused(path):
        raise NotOurs(f"{path} is not a Daypass data folder and not empty: nothing was touched. Choose another --data.")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (path / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NotOurs(f"Another `daypass local` uses {path}: stop it or choose another --data.") from None
        if fresh:
            _remove_ours(path)
        if not folder.is_daypass():
            folder.remember(None)
            (path / ".gitignore").write_text("*\n")  # it holds private keys
        yield folder


def _is_unused(path: Path) -> bool:
    """Whether there is nothing in it, but for what a start that was cut short leaves."""
    return path.is_dir() and all(
        entry.name == _LOCK or entry.name.startswith(f".{_MARKER}") for entry in path.iterdir()
    )


def _remove_ours(path: Path) -> None:
    for name in _OURS:
        entry = path / name
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
