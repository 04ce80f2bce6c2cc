"""`make bench`: everything that was promised of speed and memory, measured."""

from __future__ import annotations

import sys

from benchmarks import cold, decide, imports, overhead, trail, unpacked
from benchmarks.tables import table

TABLES = (
    ("Deciding and reading the catalogue", decide.rows),
    ("A cold start, from the first import to the first answer", cold.rows),
    ("A cold start by the zip alone, as it is unpacked", unpacked.rows),
    ("A warm ask-and-issue", overhead.rows),
    ("What the first click in Slack imports", imports.rows),
    ("CloudTrail's log files", trail.rows),
)


def main() -> None:
    missed = 0
    for title, rows in TABLES:
        measured = rows()
        missed += sum(not row.met for row in measured)
        print(table(title, measured), flush=True)
    if missed:
        print(f"{missed} missed. Run it again on a quiet machine before believing it.")
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
