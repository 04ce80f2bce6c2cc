"""Today's catalogue: the file as it is, or the last good version of it, and the log says which."""

import logging
import os
from pathlib import Path

import pytest

from chalicelib.catalogue_source import CatalogueSource
from chalicelib.core.refusals import Unavailable
from tests.stage import CATALOGUE, EXAMPLE, read_example

ANOTHER = EXAMPLE.replace('max_duration = "8h"', 'max_duration = "6h"')


def a_source(path: Path, text: str | None = EXAMPLE) -> CatalogueSource:
    if text is not None:
        write(path, text)
    return CatalogueSource(path, read_example)


def write(path: Path, text: str) -> None:
    """A new version, with a time of its own however coarse the file system's clock is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text, "utf-8")
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def test_the_file_is_read_and_read_again_only_when_it_changed(tmp_path: Path) -> None:
    source = a_source(tmp_path / "c.toml")
    first = source()
    assert first.digest == CATALOGUE.digest
    assert source() is first
    write(tmp_path / "c.toml", ANOTHER)
    assert source().digest != first.digest


def test_a_version_with_mistakes_is_refused_whole_and_the_last_good_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = a_source(tmp_path / "c.toml")
    good = source()
    write(tmp_path / "c.toml", EXAMPLE.replace('account = "sandbox"', 'account = "nowhere"'))
    with caplog.at_level(logging.INFO, logger="daypass"):
        assert source() is good
    [line] = [record for record in caplog.records if record.message == "catalogue_refused"]
    assert any("sandbox-admin" in mistake for mistake in vars(line)["mistakes"])
    write(tmp_path / "c.toml", ANOTHER)
    assert source().digest != good.digest


@pytest.mark.parametrize("damage", ["gone", "not text"])
def test_a_file_that_cannot_be_read_leaves_the_last_good_one(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.toml"
    source = a_source(path)
    good = source()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"\xff\xfe\xfa")
    assert source() is good


@pytest.mark.parametrize("text", [None, "", "[[rules"])
def test_where_there_never_was_a_good_one_nothing_is_decided(tmp_path: Path, text: str | None) -> None:
    with pytest.raises(Unavailable, match="no usable catalogue"):
        a_source(tmp_path / "c.toml", text)()


def test_a_catalogue_that_is_not_there_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="daypass"), pytest.raises(Unavailable):
        CatalogueSource(tmp_path / "none.toml", read_example)()
    assert [record.message for record in caplog.records] == ["catalogue_unreadable"]
