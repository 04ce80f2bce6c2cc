"""The pages on what a catalogue decides are true: every command in them runs, and says what the page says it does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/deciding.md", "docs/trust.md")
DECIDING, TRUST = (ROOT.joinpath(page).read_text("utf-8") for page in PAGES)
# A command, and what the page shows below it, with a word in between.
SHOWN = re.findall(r"```sh\n((?:(?!```).)*)```(?:(?!```).)*```\n(.*?)```", DECIDING, re.DOTALL)
CODES = {"check": 0, "explain": 3, "trust": 0, "who-can": 0}


def typed_in(block: str) -> list[str]:
    return shlex.split(block.replace("\\\n", ""))


COMMANDS = [typed_in(block) for block in re.findall(r"```sh\n(.*?)```", DECIDING + TRUST, re.DOTALL)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_runs_and_its_exit_code_is_the_pages(run, monkeypatch, words):
    monkeypatch.chdir(ROOT)
    assert words[0] == "daypass"
    code, out, err = run(*words[1:])
    assert (err, bool(out)) == ("", True)
    assert code == (0 if "--break-glass" in words else CODES[words[1]])


@pytest.mark.parametrize(("typed", "shown"), SHOWN, ids=[typed.split()[1] for typed, _ in SHOWN])
def test_what_is_shown_is_what_is_said(run, monkeypatch, typed, shown):
    monkeypatch.chdir(ROOT)
    _, out, _ = run(*typed_in(typed)[1:])
    assert out == shown or (shown.endswith("…\n") and out.startswith(shown.removesuffix("…\n")))


def test_all_commands_are_shown():
    assert [words[1] for words in COMMANDS] == ["check", "explain", "explain", "who-can", "who-can", "trust", "trust"]
    assert [typed.split()[1] for typed, _ in SHOWN] == ["check", "explain", "who-can"]


@pytest.mark.parametrize("page", PAGES)
def test_the_readme_leads_here_and_every_link_leads_somewhere(page):
    assert f"({page})" in (ROOT / "README.md").read_text("utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text("utf-8")):
        assert (ROOT / "docs" / link).exists(), link
