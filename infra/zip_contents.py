"""Refuses a Lambda zip that holds more than the function and its dependencies."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

OURS = {"app.py", "chalicelib", "chalice"}
# What runs on people's machines, proves things or serves the embedded AWS.
NEVER = {"daypass", "tests", "benchmarks", "infra", "docs", "ministack", "pytest", "hypothesis", "typer", "rich", "pip"}
LIMIT_MB = 250  # unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html


def objections(archive: Path) -> list[str]:
    """Every reason not to deploy the zip."""
    with zipfile.ZipFile(archive) as opened:
        files = opened.infolist()
    tops = {file.filename.split("/")[0] for file in files}
    size = sum(file.file_size for file in files) / 1e6
    found = [f"{name} is in the zip and must not be" for name in sorted(tops & NEVER)]
    found += [f"{name} is missing from the zip" for name in sorted(OURS - tops)]
    found += [f"{name} is in the zip and must not be" for name in sorted(tops) if name.startswith("daypass-")]
    if size > LIMIT_MB:
        found.append(f"{size:.0f} MB unzipped: Lambda takes {LIMIT_MB}")
    return found


def main() -> None:
    archive = Path(sys.argv[1])
    found = objections(archive)
    if found:
        sys.exit("\n".join(found))
    sys.stdout.write(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
