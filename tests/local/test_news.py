"""What the terminal hears: only what somebody should see at once, in one line that nobody's words can forge."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from daypass.local.news import told

LOG = logging.getLogger("daypass")
CAROLS: Any = {"id": "01K00000010000000004X2F9K1B", "principal": "dave@example.com", "requester": "carol@example.com"}


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        (
            "break_glass_opened",
            {"principal": "carol@example.com"},
            "BREAK-GLASS: carol@example.com opened payments-admin in an emergency, 4X2F9K1B: somebody has to review it",
        ),
        (
            "break_glass_reviewed",
            {"verdict": "justified"},
            "REVIEWED: dave@example.com found the emergency of carol@example.com on payments-admin justified, 4X2F9K1B",
        ),
        ("access_revoked", {}, "REVOKED: dave@example.com took payments-admin away from carol@example.com, 4X2F9K1B"),
        (
            "access_revoked",
            {"requester": "x\nREVOKED: all"},
            "REVOKED: dave@example.com took payments-admin away from x?REVOKED: all, 4X2F9K1B",
        ),
    ],
)
def test_an_emergency_its_review_and_a_revocation_are_a_line_each(name, fields, line) -> None:
    said: list[str] = []
    with told(said.append):
        LOG.critical(name, extra={**CAROLS, "role": "payments-admin", **fields})
    assert [each.split(maxsplit=1)[1] for each in said] == [line]


def test_nothing_else_is_said_and_nothing_after_the_end() -> None:
    said: list[str] = []
    with told(said.append):
        LOG.critical("request_failed", extra=CAROLS)
    LOG.critical("access_revoked", extra={**CAROLS, "role": "r"})
    assert said == []
