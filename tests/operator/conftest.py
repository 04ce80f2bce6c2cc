"""A command line, as an operator types it, and a catalogue to type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daypass import commands
from tests.stage import EXAMPLE


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        code = commands.run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def catalogue(tmp_path: Path) -> Callable[..., str]:
    """Writes a catalogue: the example's, with some texts replaced."""

    def written(*changes: tuple[str, str]) -> str:
        text = EXAMPLE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "catalogue.toml"
        path.write_text(text, "utf-8")
        return str(path)

    return written
