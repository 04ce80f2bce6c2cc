"""A profile of the AWS configuration that fetches its credentials from Daypass; nothing else in the file is touched.

Sources: https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html (format),
https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html (credential_process).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from daypass import keeping
from daypass.exporting import whole_file

NAME = re.compile(r"[A-Za-z0-9_.@:/+=,-]{1,128}", re.ASCII)
"""A profile's name that needs no quotation marks anywhere."""

_SECTION = re.compile(r"\s*\[(?P<name>[^\]]*)\]")
_QUOTES: Final = "\"'"
_KEY = re.compile(r"(?P<key>[^\s=:#;\[][^=:]*?)\s*[=:]")

# Where a profile says one of these, it is somebody else's: SDKs would take it before or instead of the process.
# Source: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html (order of providers).
_OTHER_WAYS: Final = ("role_arn", "source_profile", "credential_source", "web_identity_token_file", "sso_session",
                      "sso_start_url", "sso_account_id", "aws_access_key_id", "login_session")  # fmt: skip


_KEPT: Final = ("DAYPASS_IAM", "DAYPASS_TOKEN_FILE", "DAYPASS_TOKEN_COMMAND", "DAYPASS_DATA", "DAYPASS_CACHE")


class Taken(Exception):
    """The profile gets its credentials in another way already. Its text is a sentence that says which and where."""


def with_process(text: str, profile: str, command: str, region: str | None = None) -> str:
    """The configuration with the profile's `credential_process` set to the command, and every other byte as it was.

    region: of the profile; None: as it is. Raises Taken where the profile has another way to credentials.
    """
    lines = _lines(text)
    begin = _section(lines, f"profile {profile}")
    if begin is None and profile == "default":
        begin = _section(lines, "default")
    wanted = {"credential_process": command, **({"region": region} if region else {})}
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    if begin is None:
        head = "[default]" if profile == "default" else f"[profile {profile}]"
        new = [*([""] if lines else []), head, *(f"{key} = {value}" for key, value in wanted.items())]
        return "".join([*lines, *(f"{line}{newline}" for line in new)])
    known = _keys(lines, begin)
    if other := next((way for way in _OTHER_WAYS if way in known), None):
        raise Taken(f"the profile {profile} has {other} already, which is another way to credentials")
    for key, value in wanted.items():
        line = f"{key} = {value}{newline}"
        if key in known:
            lines[known[key]] = line
        else:
            lines.insert(begin + 1, line)
            known = {name: number + 1 for name, number in known.items()}
    return "".join(lines)


def has_keys(text: str, profile: str) -> bool:
    """Whether a credentials file has keys for the profile: SDKs would take these, and never ask the process."""
    lines = _lines(text)
    begin = _section(lines, profile)
    return begin is not None and "aws_access_key_id" in _keys(lines, begin)


def _lines(text: str) -> list[str]:
    """With their ends. Nothing but a line feed ends one here, as for those who read the file."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _section(lines: Sequence[str], name: str) -> int | None:
    for number, line in enumerate(lines):
        found = _SECTION.match(line)
        if found and _unquoted(found["name"]) == name:
            return number
    return None


def _unquoted(name: str) -> str:
    """The name of a section, in which a profile's may stand in quotation marks."""
    kind, space, profile = name.partition(" ")
    return f"{kind} {profile.strip().strip(_QUOTES)}" if space else name


def _keys(lines: Sequence[str], begin: int) -> dict[str, int]:
    """The keys of the section that begins there, and their lines. What is indented belongs to the key before it."""
    end = next((number for number in range(begin + 1, len(lines)) if _SECTION.match(lines[number])), len(lines))
    found = ((number, _KEY.match(lines[number])) for number in range(begin + 1, end))
    return {match["key"].lower(): number for number, match in found if match}


def config_file(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()


def credentials_file(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def command(environment: Mapping[str, str], what: str) -> str:
    """What fetches the credentials from anywhere: with the server and the way to a token that hold here, no secret."""
    kept = {name: environment[name] for name in _KEPT if environment.get(name)}
    server = {"DAYPASS_URL": keeping.server(environment)}
    ours = shutil.which("daypass")
    call = [ours] if ours else [sys.executable, "-m", "daypass.start"]
    assignments = [f"{name}={value}" for name, value in {**server, **kept}.items()]
    return shlex.join(["env", *assignments, *call, "credentials", what])


def configure(config: Path, credentials: Path, profile: str, command: str, region: str | None) -> None:
    """Raises Taken, OSError and UnicodeDecodeError; then nothing was touched."""
    if credentials.exists() and has_keys(credentials.read_text(encoding="utf-8"), profile):
        raise Taken(f"{credentials} has keys for the profile {profile}, which would be taken instead")
    before = _read(config)
    after = with_process(before, profile, command, region)
    if after != before:
        write(config, after)


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return opened.read()
    except FileNotFoundError:
        return ""


def write(file: Path, text: str) -> None:
    """Put the text in the file's place, at once and with the rights that it has; a new one is its owner's alone.

    A link stays one. Raises OSError.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    rights = stat.S_IMODE(file.stat().st_mode) if file.exists() else None
    with whole_file(file) as new:
        new.write(text)
    if rights is not None:
        os.chmod(file, rights)
