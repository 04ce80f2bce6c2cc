from __future__ import annotations

import os
from pathlib import Path

import pytest

from daypass.local import folder
from daypass.local.folder import Folder, NotOurs


def test_a_new_folder_is_made_for_its_owner_only(tmp_path):
    with folder.opened(Folder(tmp_path / "data")) as made:
        assert made.path.stat().st_mode & 0o777 == 0o700
        assert made.is_daypass()
        assert (made.path / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("fresh", [False, True])
def test_a_foreign_folder_is_refused_and_not_touched(tmp_path, fresh):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "aws").mkdir()
    with pytest.raises(NotOurs, match="nothing was touched"), folder.opened(Folder(tmp_path), fresh=fresh):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aws", "thesis.txt"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotOurs), folder.opened(Folder(tmp_path / "file")):
        pass


def test_a_start_that_was_cut_short_is_no_foreign_folder(tmp_path):
    (tmp_path / "lock").write_text("")
    (tmp_path / ".daypass-local.json.4711").write_text("half")
    with folder.opened(Folder(tmp_path)) as data:
        assert data.is_daypass()


def test_fresh_removes_what_is_ours_and_nothing_else(tmp_path):
    with folder.opened(Folder(tmp_path)) as data:
        (data.path / "aws").mkdir()
        (data.path / "aws" / "state").write_text("old")
        data.catalogue.write_text("old")
        (data.path / "notes.txt").write_text("mine")
    with folder.opened(Folder(tmp_path), fresh=True) as data:
        assert not (data.path / "aws").exists()
        assert not data.catalogue.exists()
        assert (data.path / "notes.txt").read_text() == "mine"


def test_without_fresh_everything_stays(tmp_path):
    with folder.opened(Folder(tmp_path)) as data:
        data.catalogue.write_text("old")
    with folder.opened(Folder(tmp_path)) as data:
        assert data.catalogue.read_text() == "old"


def test_a_link_is_removed_and_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    data = Folder(tmp_path / "data")
    with folder.opened(data):
        (data.path / "aws").symlink_to(elsewhere)
    with folder.opened(data, fresh=True):
        assert not (data.path / "aws").exists()
    assert (elsewhere / "file").read_text() == "mine"


def test_a_folder_in_use_is_refused_even_for_fresh(tmp_path):
    with folder.opened(Folder(tmp_path)) as data:
        data.catalogue.write_text("in use")
        with pytest.raises(NotOurs, match="Another `daypass local`"), folder.opened(Folder(tmp_path), fresh=True):
            pass
        assert data.catalogue.read_text() == "in use"


def test_the_folder_knows_which_stage_was_served_last(tmp_path):
    assert Folder(tmp_path / "none").stage() is None
    with folder.opened(Folder(tmp_path)) as data:
        assert data.stage() is None
        stage = folder.Stage(data, "http://127.0.0.1:1", "http://127.0.0.1:2")
        data.remember(stage)
        assert Folder(tmp_path).stage() == stage


def test_a_draft_left_by_a_crash_does_not_stop_the_next_write(tmp_path):
    path = tmp_path / "file"
    (tmp_path / f".file.{os.getpid()}").write_text("half")
    folder.write_private(path, "whole")
    assert path.read_text() == "whole"
    assert [found.name for found in Path(tmp_path).iterdir()] == ["file"]
