"""The README is true: every command in it is one that a test runs."""

import re
from pathlib import Path

import pytest

from daypass.local import tour
from daypass.local.folder import Folder, Stage

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
STAGE = Stage(Folder(Path(".daypass")), "http://127.0.0.1:8000", "http://127.0.0.1:8001")
CHAPTERS = tour.chapters(STAGE, None)

# What the tour says of the folders of this very checkout.
SETTING_UP = [
    'export PATH="$PWD/.venv/bin:$PATH"',
    'export DAYPASS_URL=http://127.0.0.1:8000 DAYPASS_DATA="$PWD/.daypass"',
]


def shell_lines() -> list[str]:
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
    return [line.removeprefix(indent) for indent, block in blocks for line in block.splitlines()]


def test_the_readmes_tour_is_the_one_that_the_demo_runs() -> None:
    steps = [line for chapter in CHAPTERS[1:] for step in chapter.steps for line in step.command.splitlines()]
    assert shell_lines() == ["make run", *SETTING_UP, *steps]


def test_the_readmes_chapters_are_called_as_the_tour_calls_them() -> None:
    titles = re.findall(r"^\d\. (.*)\n\n +```sh", README, re.MULTILINE)
    assert titles == [chapter.title for chapter in CHAPTERS]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([a-z]+)`", README)) | {"run"}))
def test_every_make_target_that_the_readme_names_is_there(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/unproven.md"])
def test_every_link_to_a_file_leads_to_one(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text("utf-8"))
    assert links
    for link in links:
        assert ((ROOT / page).parent / link).exists(), link
