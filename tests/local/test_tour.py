from __future__ import annotations

import re
from pathlib import Path

import pytest

from daypass.local import demo, example, tour
from daypass.local.folder import Folder, Stage
from daypass.local.tour import Step

STAGE = Stage(Folder(Path("/tmp/day pass")), "http://127.0.0.1:8000", "http://127.0.0.1:8001")


def test_the_banner_names_every_role_of_the_catalogue_in_its_account():
    roles = {role.name: role.account for role in example.target_roles()}
    assert {name: account for name, (account, _) in tour.ROLES.items()} == roles
    assert all(name in tour.banner(STAGE) for name in roles)


def test_what_is_printed_is_what_the_demo_runs():
    chapters = tour.chapters(STAGE, Path("/venv/bin"))
    printed = [line.strip() for line in tour.text(chapters).splitlines()]
    for chapter in chapters:
        for step in chapter.steps:
            assert [line for line in map(str.strip, step.command.splitlines()) if line not in printed] == []


def test_a_folder_with_a_space_can_be_pasted():
    assert "DAYPASS_DATA='/tmp/day pass'" in tour.text(tour.chapters(STAGE, None))


def test_the_path_is_exported_only_where_the_shell_needs_it():
    assert "export PATH" not in tour.text(tour.chapters(STAGE, None))
    assert "export PATH=/venv/bin:" in tour.text(tour.chapters(STAGE, Path("/venv/bin")))


def test_every_pattern_is_one():
    for chapter in tour.chapters(STAGE, None):
        for step in chapter.steps:
            assert all(re.compile(pattern) for pattern in step.shows)


@pytest.mark.parametrize(
    ("step", "code", "output", "says"),
    [
        (Step("x"), 1, "", "ended with 1"),
        (Step("x", refused=True), 0, "", "should have been refused"),
        (Step("x", ("yes",)), 0, "no\n", "did not show 'yes'"),
        (Step("x", ("own",), refused=True), 1, "connection refused\n", "did not show 'own'"),
    ],
)
def test_the_demo_fails_where_a_step_does_not_do_what_it_says(step, code, output, says):
    with pytest.raises(demo.Failed, match=re.escape(says)):
        demo.check(step, code, output)


def test_the_demo_goes_on_where_it_does():
    demo.check(Step("x", ("^yes$",)), 0, "so\nyes\n")
    demo.check(Step("x", ("^no$",), refused=True), 3, "no\n")
