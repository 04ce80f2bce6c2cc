"""A profile in the AWS configuration: what was there stays there, and AWS's own reader finds what was put in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import botocore.configloader
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daypass.profile import Taken, has_keys, with_process, write

COMMAND = "env DAYPASS_URL=https://daypass.example.com /usr/bin/daypass credentials payments-admin"
EXISTING = """\
# mine, please leave it

[default]
region=eu-central-1   # the office
output = json

[profile payments-admin] ; was by hand
  # keep this
region = us-east-1
s3 =
    max_concurrent_requests = 20
    addressing_style = path
[profile other]
role_arn = arn:aws:iam::111111111111:role/x
source_profile = default
[sso-session x]
sso_region = us-east-1
"""

names = st.sampled_from(["default", "a", "payments-admin", "admin@payments-prod"])
SECTIONS = ("[default]", "[profile a]", "[profile  'payments-admin' ]", "[sso-session a]", "[services a] # mine")
ENTRIES = (
    "",
    "# [profile a]",
    "; another",
    "region = x",
    "output: text",
    "s3 =\n    max = 1",
    "credential_process = old",
    "cli_pager=[profile a]",
    "duration_seconds = \u2028[profile a]",
)
entries = st.lists(st.sampled_from(ENTRIES), unique=True, max_size=5)
sections = st.tuples(st.sampled_from(SECTIONS), entries)
files = st.lists(sections, unique_by=lambda section: section[0]).map(
    lambda whole: "\n".join(line for head, lines in whole for line in (head, *lines))
)


def read(text: str, tmp_path: Path) -> dict[str, dict[str, object]]:
    """As botocore reads it, by profile."""
    file = tmp_path / "read"
    file.write_text(text, encoding="utf-8", newline="")
    profiles: dict[str, dict[str, object]] = botocore.configloader.load_config(str(file))["profiles"]
    return profiles


def test_a_new_profile_is_put_at_the_end_and_everything_before_it_stays(tmp_path: Path) -> None:
    text = with_process(EXISTING, "data-export", COMMAND, "eu-west-1")
    assert text == f"{EXISTING}\n[profile data-export]\ncredential_process = {COMMAND}\nregion = eu-west-1\n"
    assert read(text, tmp_path)["data-export"] == {"credential_process": COMMAND, "region": "eu-west-1"}


def test_a_profile_that_is_there_gets_one_line_more_and_keeps_its_comments(tmp_path: Path) -> None:
    text = with_process(EXISTING, "payments-admin", COMMAND)
    head = "[profile payments-admin] ; was by hand\n"
    assert text == EXISTING.replace(head, f"{head}credential_process = {COMMAND}\n")
    told = read(text, tmp_path)["payments-admin"]
    assert told["credential_process"] == COMMAND
    assert told["s3"] == {"max_concurrent_requests": "20", "addressing_style": "path"}


def test_said_again_it_changes_nothing_and_another_command_replaces_the_line() -> None:
    once = with_process(EXISTING, "payments-admin", COMMAND)
    assert with_process(once, "payments-admin", COMMAND) == once
    other = with_process(once, "payments-admin", "daypass credentials x")
    assert other == once.replace(COMMAND, "daypass credentials x")


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("role_arn = arn:aws:iam::111111111111:role/x", "role_arn"),
        ("SSO_Session=x", "sso_session"),
        ("aws_access_key_id = AKIA", "aws_access_key_id"),
        ("web_identity_token_file: /x", "web_identity_token_file"),
    ],
)
def test_a_profile_with_another_way_to_credentials_is_left_alone(line: str, way: str) -> None:
    with pytest.raises(Taken, match=f"the profile a has {way} already"):
        with_process(f"[profile a]\n{line}\n", "a", COMMAND)


def test_a_sections_own_lines_are_not_those_of_the_next() -> None:
    text = "[profile a]\n[profile b]\nrole_arn = x\n"
    assert (
        with_process(text, "a", COMMAND) == f"[profile a]\ncredential_process = {COMMAND}\n[profile b]\nrole_arn = x\n"
    )


@pytest.mark.parametrize("text", ["", "[profile a]", "[profile a]\r\nregion = x\r\n", "# only a comment"])
def test_a_file_without_an_end_of_line_or_with_those_of_windows_is_read_all_the_same(text: str, tmp_path: Path) -> None:
    written = with_process(text, "a", COMMAND)
    assert read(written, tmp_path)["a"]["credential_process"] == COMMAND
    assert ("\r\n" in text) == (written.count("\r\n") == written.count("\n") > 0)


@given(text=files, profile=names)
def test_whatever_was_there_stays_line_by_line_and_aws_reads_what_was_put_in(
    tmp_path_factory: pytest.TempPathFactory, text: str, profile: str
) -> None:
    folder = tmp_path_factory.mktemp("aws")
    written = with_process(text, profile, COMMAND)
    kept = [line for line in text.split("\n") if not line.startswith("credential_process")]
    remaining = iter(written.split("\n"))
    assert all(line in remaining for line in kept), "in the same order"
    before, after = read(text, folder), read(written, folder)
    assert after[profile] == {**before.get(profile, {}), "credential_process": COMMAND}
    assert {name: told for name, told in after.items() if name != profile} == {
        name: told for name, told in before.items() if name != profile
    }


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("[a]\naws_access_key_id = x\n", True),
        ("[a]\nregion = x\n[b]\naws_access_key_id = x\n", False),
        ("[profile a]\naws_access_key_id = x\n", False),
        ("", False),
    ],
)
def test_keys_in_the_credentials_file_are_seen(text: str, has: bool) -> None:
    assert has_keys(text, "a") == has


def test_the_file_keeps_its_rights_and_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "config", tmp_path / "config"
    write(real, "before")
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert stat.S_IMODE(real.parent.stat().st_mode) & 0o077 == 0
    os.chmod(real, 0o640)
    link.symlink_to(real)
    write(link, "after")
    assert link.is_symlink()
    assert (real.read_text(), stat.S_IMODE(real.stat().st_mode)) == ("after", 0o640)
