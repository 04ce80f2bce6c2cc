"""The tour: what a person can paste after `daypass local`, and what `daypass.local.demo` runs and checks."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daypass.local.folder import Stage
from daypass.local.people import EVERYBODY


@dataclass(frozen=True, slots=True)
class Step:
    """A command for a POSIX shell. shows: regular expressions that its output matches. refused: it has to fail."""

    command: str
    shows: tuple[str, ...] = ()
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    steps: tuple[Step, ...]


ROLES: Mapping[str, tuple[str, str]] = {
    "sandbox-admin": ("sandbox", "engineering, at once, up to 8 h"),
    "payments-read": ("payments-prod", "engineering and sre, at once, up to 4 h"),
    "payments-admin": (
        "payments-prod",
        "sre, after a yes of sre-leads, up to 4 h; on call at once, up to 1 h; never contractors",
    ),
    "data-export": ("data-prod", "engineering, for one bucket, after a yes of sre-leads and of security, up to 2 h"),
    "deploy": ("payments-prod", "the robot, at once, up to 1 h"),
}

HEADING = "A tour to paste into another terminal:"
READY = "Ctrl-C stops it; what happened stays in the data folder."


def banner(stage: Stage) -> str:
    """Where everything is, and who may have what."""
    people = [("daypass token", "who", "groups")]
    people += [(who.name, who.id, ", ".join(who.groups) or "a workload") for who in EVERYBODY.values()]
    roles = [("role", "account", "who, on which terms"), *((name, *terms) for name, terms in ROLES.items())]
    return "\n".join(
        [
            f"Daypass       {stage.api}",
            f"embedded AWS  {stage.aws}",
            f"data          {stage.folder.path}",
            "",
            *_columns(people),
            "",
            *_columns(roles),
        ]
    )


def text(chapters: Sequence[Chapter]) -> str:
    """The tour as it is printed: paste it chapter by chapter into another terminal."""
    parts = [HEADING]
    for number, chapter in enumerate(chapters, start=1):
        parts += ["", f"{number}. {chapter.title}", ""]
        parts += [f"    {line}" for step in chapter.steps for line in step.command.splitlines()]
    return "\n".join(parts)


def chapters(stage: Stage, path: Path | None) -> tuple[Chapter, ...]:
    """The tour of a stage. path: the folder of the `daypass` and `aws` commands; None where the shell finds them."""
    return (
        Chapter("Say where Daypass is.", _setting_up(stage, path)),
        Chapter(
            "Alice reads payments at once, because a rule lets her; she may not administer them.",
            (
                _as("alice"),
                Step("daypass roles", (r"payments-read\b", r"sandbox-admin\b")),
                Step('daypass request payments-read 1h "counting last night\'s refunds"', (r"\bready\b",)),
                Step('daypass request payments-admin 1h "it would be handy"', (r"payments-admin",), refused=True),
            ),
        ),
        Chapter(
            "Carol may, once somebody else says yes. Her own yes is refused, and until then there is nothing to use.",
            (
                _as("carol"),
                Step('daypass request payments-admin 1h "rotating the webhook key"', (r"\bpending\b", r"sre-leads")),
                Step(
                    "REQUEST=$(daypass list --mine --state pending | awk 'NR == 2 { print $1 }'); echo $REQUEST",
                    (r"^\w{8}$",),
                ),
                Step("daypass approve $REQUEST", (r"(?i)own",), refused=True),
                Step("daypass credentials $REQUEST", (r"waits for 1 of groups sre-leads",), refused=True),
            ),
        ),
        Chapter(
            "Dave, an auditor, sees it but is no sre-lead; to Alice it does not exist; Frank is a lead and says yes.",
            (
                _as("dave"),
                Step("daypass approve $REQUEST", (r"decide on this request",), refused=True),
                _as("alice"),
                Step("daypass show $REQUEST", (r"No request that you may see",), refused=True),
                _as("frank"),
                Step("daypass list --to-approve", (r"payments-admin +carol@example\.com",)),
                Step('daypass approve $REQUEST --comment "go ahead"', (r"\bready\b", r"frank@example\.com")),
            ),
        ),
        Chapter(
            "Carol's AWS CLI asks Daypass by itself. It reaches her account, and nobody else's; so would her browser.",
            (
                _as("carol"),
                Step(
                    "daypass credentials payments-admin | grep -v -e Secret -e Token",
                    (r'"AccessKeyId": "ASIA', r'"Expiration"', r'"AccountId": "222222222222"'),
                ),
                Step(_aws_profile(stage.aws)),
                Step('export AWS_CONFIG_FILE="$DAYPASS_DATA/aws-cli.ini" AWS_PROFILE=payments-admin AWS_PAGER='),
                Step(
                    "aws sts get-caller-identity",
                    (r"arn:aws:sts::222222222222:assumed-role/PaymentsAdmin/\w{26}-carol",),
                ),
                Step("aws s3 ls s3://payments-files", (r"readme\.txt",)),
                Step("aws s3 ls s3://data-files", (r"AccessDenied",), refused=True),
                Step(
                    "daypass console payments-admin --print --destination /s3/home",
                    (r"^http://127\.0\.0\.1:\d+/aws-console/federation\?Action=login&.*s3%2Fhome&SigninToken=",),
                ),
            ),
        ),
        Chapter(
            "It is all on record. Carol gives it back before its time, and then there is no more to be had.",
            (
                Step(
                    "daypass show $REQUEST",
                    (r"request\.approved +frank@example\.com", r"console\.opened +carol", r"\bactive\b"),
                ),
                Step("daypass return $REQUEST", (r"\breturned\b",)),
                Step("daypass credentials $REQUEST", (r"is returned",), refused=True),
            ),
        ),
        Chapter(
            "An emergency: Carol, who is on call, gets in at once; it is announced, and Dave of security reviews it.",
            (
                Step('daypass break-glass payments-admin 30m "payments are down, refunds pile up"', (r"an emergency",)),
                Step(
                    'grep break_glass_opened "$DAYPASS_DATA/api.log" | tail -n 1',
                    (r"CRITICAL.*break_glass_opened.*carol@example\.com",),
                ),
                Step("aws s3 ls s3://payments-files", (r"readme\.txt",)),
                Step(
                    "REQUEST=$(daypass list --mine --state active | awk 'NR == 2 { print $1 }'); echo $REQUEST",
                    (r"^\w{8}$",),
                ),
                Step('daypass review $REQUEST justified "it was me"', (r"your own emergency",), refused=True),
                _as("dave"),
                Step(
                    'daypass review $REQUEST justified "saw it on the pager"', (r"justified, says dave@example\.com",)
                ),
                Step("daypass show $REQUEST", (r"break_glass\.opened +carol", r"break_glass\.reviewed +dave")),
            ),
        ),
        Chapter(
            "Dave takes away what Carol holds: her live session is cut, and Alice's on the same role works on.",
            (
                _as("alice"),
                Step("ALICE=$(daypass credentials payments-read --format env)"),
                _as("carol"),
                Step('daypass request payments-read 1h "reading along"', (r"\bready\b",)),
                Step("CAROL=$(daypass credentials payments-read --format env)"),
                Step('(eval "$CAROL"; aws s3 ls s3://payments-files)', (r"readme\.txt",)),
                _as("dave"),
                Step(
                    "REQUEST=$(daypass list --role payments-read --state active | awk '/carol/ { print $1 }'); "
                    "echo $REQUEST",
                    (r"^\w{8}$",),
                ),
                Step('daypass revoke $REQUEST "that was not the ledger"', (r"\brevoked\b", r"deny +written at")),
                Step('(eval "$CAROL"; aws s3 ls s3://payments-files)', (r"explicit deny",), refused=True),
                Step('(eval "$ALICE"; aws s3 ls s3://payments-files)', (r"readme\.txt",)),
            ),
        ),
    )


def _setting_up(stage: Stage, path: Path | None) -> tuple[Step, ...]:
    found = () if path is None else (Step(f'export PATH={shlex.quote(str(path))}:"$PATH"'),)
    return (*found, Step(f"export DAYPASS_URL={stage.api} DAYPASS_DATA={shlex.quote(str(stage.folder.path))}"))


def _as(name: str) -> Step:
    return Step(f'export DAYPASS_TOKEN_COMMAND="daypass token {name}"')


def _aws_profile(aws: str) -> str:
    # No here-document: its end would not be found where it is pasted with its indentation.
    return f"""\
printf '%s\\n' \\
  '[profile payments-admin]' \\
  'credential_process = daypass credentials payments-admin' \\
  'region = us-east-1' \\
  'endpoint_url = {aws}' > "$DAYPASS_DATA/aws-cli.ini"\
"""


def _columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
