"""Copying: every event of every chain, to where nobody can change it."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.core import copied
from chalicelib.core.ledger import Recorded
from chalicelib.outbox.batch import Delivered, one_by_one
from chalicelib.outbox.ports import Committed, Forged, Safe


def copy(lines: Sequence[Committed], *, safe: Safe) -> Delivered:
    """Keep the lines in the safe, each once, however often it comes. What is forged is passed over, as hopeless."""

    def keep(line: Committed) -> None:
        name = copied.name(line.chain, line.event)
        if not safe.keep(name, copied.text(Recorded(line.chain, line.event))):
            raise Forged(f"{name} is there, and says something else")

    return one_by_one(lines, keep)
