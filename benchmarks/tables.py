"""What was measured beside what was promised, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line. target: None where nothing was promised and the figure only explains another."""

    what: str
    measured: float
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool:
        return self.target is None or self.measured <= self.target


def table(title: str, rows: Sequence[Row]) -> str:
    cells = [("", "measured", "target", "")]
    for row in rows:
        target = "" if row.target is None else f"≤ {row.target:g} {row.unit}"
        verdict = "" if row.target is None else "met" if row.met else "MISSED"
        cells.append((row.what, f"{row.measured:.3g} {row.unit}", target, verdict))
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    lines = [
        f"  {what.ljust(widths[0])}  {measured.rjust(widths[1])}  {target.rjust(widths[2])}  {verdict}".rstrip()
        for what, measured, target, verdict in cells
    ]
    return "\n".join([title, *lines, ""])
