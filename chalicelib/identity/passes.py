"""A pass never asks for a pass: a session that Daypass lent is nobody at its own door."""

from __future__ import annotations

import re

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.refusals import PassAsksForPass

_ROLE = re.compile(
    r"arn:[a-z-]+:(?:iam::(?P<account>[0-9]{12}):role|sts::(?P<of>[0-9]{12}):assumed-role)/(?P<rest>.+)", re.ASCII
)
_REQUESTABLE_PATH = "daypass/"


def refuse_pass(arn: str, catalogue: Catalogue) -> None:
    """Raises PassAsksForPass for the ARN of a role, or of its session, under `/daypass/` or in the catalogue."""
    match = _ROLE.fullmatch(arn)
    if match is None:
        return
    account = match["account"] or match["of"]
    name = match["rest"].rpartition("/")[2] if match["account"] else match["rest"].partition("/")[0]
    if catalogue.lends(account, name) or (match["account"] and match["rest"].startswith(_REQUESTABLE_PATH)):
        raise PassAsksForPass(f"{name} is a role that Daypass lends: ask as whoever you are without it.")
