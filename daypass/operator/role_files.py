"""Trust policies in a folder of files, as `aws iam get-role` and `aws iam list-roles` print them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class NoRoles(Exception):
    """A file that holds no role, or a folder without any; the text says which."""


def trust_policies(folder: Path) -> Mapping[str, object]:
    """By the ARN of the role. Raises OSError and NoRoles."""
    found = {arn: policy for file in sorted(folder.rglob("*.json")) for arn, policy in _read(file)}
    if not found:
        raise NoRoles(f"{folder} holds no roles: `aws iam list-roles > {folder}/ACCOUNT.json` writes them")
    return found


def _read(file: Path) -> Iterator[tuple[str, object]]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        several: list[Any] = told["Roles"] if "Roles" in told else [told["Role"]]
        yield from [(str(each["Arn"]), each["AssumeRolePolicyDocument"]) for each in several]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NoRoles(f"{file} is not what `aws iam get-role` or `list-roles` prints") from None
