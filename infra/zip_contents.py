"""Refuses a Lambda zip that is not what the function needs: too much in it, too little, or for another machine.

python -m infra.zip_contents FOLDER     with deployment.zip and sam.json
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.zip_cut import SERVICES, needless
from infra.zip_packed import EPOCH, Target, target

ROOT = Path(__file__).resolve().parents[1]
OURS = {"app.py", "chalicelib", "chalice"}
# What runs on people's machines, proves things or serves the embedded AWS.
NEVER = {"daypass", "tests", "benchmarks", "infra", "docs", "ministack", "pytest", "hypothesis", "typer", "rich", "pip"}
LIMIT_MB = 250  # unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ZIPPED_MB = 15  # our own: a fresh instance fetches it before it can start
MACHINES: Mapping[str, int] = {"x86_64": 62, "arm64": 183}
"""ELF's number by Lambda's name. Source: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html."""

SHOWN = 20

_UNCHECKED_HASH = (1).to_bytes(4, "little")  # https://peps.python.org/pep-0552/


def objections(archive: Path, wanted: Target) -> list[str]:
    """Every reason not to deploy the zip."""
    with zipfile.ZipFile(archive) as opened:
        return [
            *_tops({name.split("/")[0] for name in opened.namelist()}),
            *_lacking(set(opened.namelist())),
            *_uncut(opened.namelist()),
            *_not_reproducible(opened.infolist()),
            *_compiled(opened, wanted),
            *_native(opened, wanted),
            *_too_big(archive.stat().st_size, sum(file.file_size for file in opened.infolist())),
        ]


def _tops(tops: set[str]) -> Iterator[str]:
    yield from (f"{name} is in the zip and must not be" for name in sorted(tops & NEVER))
    yield from (f"{name} is missing from the zip" for name in sorted(OURS - tops))
    yield from (f"{name} is in the zip and must not be" for name in sorted(tops) if name.startswith("daypass-"))


def _lacking(names: set[str]) -> Iterator[str]:
    """Of every package that is pinned what it says of itself, and of every service what botocore knows of it."""
    for name, version in pinned():
        metadata = f"{name.replace('-', '_')}-{version}.dist-info/METADATA"
        if metadata not in names:
            yield f"{metadata} is missing from the zip"
    for service in sorted(SERVICES):
        if not any(name.startswith(f"botocore/data/{service}/") and "/service-2.json" in name for name in names):
            yield f"botocore's data of {service} is missing from the zip"
    if "botocore/data/endpoints.json" not in names:
        yield "botocore's endpoints are missing from the zip"


def pinned() -> list[tuple[str, str]]:
    """Name and version of the packages of requirements.txt."""
    return re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)


def _uncut(names: list[str]) -> Iterator[str]:
    for name in names:
        if "__pycache__" not in name and needless(name):
            yield f"{name} is in the zip and is never used"


def _not_reproducible(entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    if [entry.filename for entry in entries] != sorted(entry.filename for entry in entries):
        yield "the zip's files are in no order that is the same the next time"
    if any(entry.date_time != EPOCH for entry in entries):
        yield "the zip's files have times that are others the next time"


def _compiled(opened: zipfile.ZipFile, wanted: Target) -> Iterator[str]:
    """A `.pyc` for each `.py`, of the runtime's version, which is believed without a look at the `.py`."""
    names = set(opened.namelist())
    sources = {name for name in names if name.endswith(".py")}
    compiled = {wanted.pyc(name): name for name in sources}
    yield from (
        f"{name} has no .pyc for {wanted.runtime}" for pyc, name in sorted(compiled.items()) if pyc not in names
    )
    yield from (f"{name} is of no .py in the zip" for name in sorted(names - compiled.keys()) if name.endswith(".pyc"))
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH
    for name in sorted(names & compiled.keys()):
        with opened.open(name) as file:
            if file.read(len(header)) != header:
                yield f"{name} is of another Python than {wanted.runtime}, or wants to look at its .py first"


def _native(opened: zipfile.ZipFile, wanted: Target) -> Iterator[str]:
    for name in opened.namelist():
        if not name.endswith(".so"):
            continue
        with opened.open(name) as file:
            header = file.read(20)
        if header[:4] != b"\x7fELF" or int.from_bytes(header[18:20], "little") != MACHINES[wanted.architecture]:
            yield f"{name} is not for {wanted.architecture}"
        if not name.endswith(".abi3.so") and f".{wanted.tag}-" not in name:
            yield f"{name} is not for {wanted.runtime}"


def _too_big(zipped: int, unzipped: int) -> Iterator[str]:
    if zipped > ZIPPED_MB * 1e6:
        yield f"{zipped / 1e6:.1f} MB: {ZIPPED_MB} are allowed (infra/zip_cut.py says what is left out)"
    if unzipped > LIMIT_MB * 1e6:
        yield f"{unzipped / 1e6:.0f} MB unzipped: Lambda takes {LIMIT_MB}"


def code_sha256(archive: Path) -> str:
    """What Lambda calls the zip. Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html."""
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()


def main() -> None:
    folder = Path(sys.argv[1])
    archive, wanted = folder / "deployment.zip", target(folder / "sam.json")
    if found := objections(archive, wanted):
        more = f"\nand {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        sys.exit("\n".join(found[:SHOWN]) + more)
    size = archive.stat().st_size / 1e6
    sys.stdout.write(f"{archive}: {size:.1f} MB, {wanted.runtime}, {wanted.architecture}\n")
    sys.stdout.write(f"CodeSha256 {code_sha256(archive)}\n")


if __name__ == "__main__":
    main()
