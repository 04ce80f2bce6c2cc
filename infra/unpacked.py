"""The zip as it would be unpacked, made of what is installed here: with this machine's native modules it can be run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from infra.zip_contents import ROOT, pinned
from infra.zip_cut import needless

CHALICE = ("chalice/__init__.py", "chalice/app.py")
"""All of Chalice that its packager puts in."""


def unpack(folder: Path) -> None:
    """Fill an empty folder with what the zip holds, but for `.pyc`. Its packages are those of requirements.txt."""
    for name, _ in pinned():
        _copy(distribution(name), folder)
    _copy(distribution("chalice"), folder, CHALICE)
    shutil.copy(ROOT / "app.py", folder)
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))


def _copy(of: Distribution, folder: Path, only: tuple[str, ...] = ()) -> None:
    for name in only or tuple(_kept(of)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(of.locate_file(name)), target)


def _kept(of: Distribution) -> Iterator[str]:
    names = (path.as_posix() for path in of.files or ())
    # A command's script lies outside: the packager keeps it in a folder `….data`, which is left out too.
    return (name for name in names if not name.startswith("../") and not needless(name))
