"""Packs Chalice's zip anew: without what the function never uses, with `.pyc`, and with the same bytes every time.

python -m infra.zip_packed FOLDER       the folder that `chalice package` wrote: deployment.zip and sam.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from infra.zip_cut import needless

ON_LAMBDA = "/var/task"
"""Where Lambda unpacks a zip. Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first instant that a zip can tell."""

_FILE = 0o100644 << 16  # Lambda's own user reads it


@dataclass(frozen=True, slots=True)
class Target:
    """What the zip is for, as Lambda calls it: `python3.11`, `arm64`."""

    runtime: str
    architecture: str

    @property
    def tag(self) -> str:
        """What that Python has in the names of its files: `cpython-311`."""
        return self.runtime.replace("python", "cpython-").replace(".", "")

    def pyc(self, source: str) -> str:
        """Where that Python looks for what is compiled of a `.py`."""
        folder, _, name = source.rpartition("/")
        return f"{folder}{'/' if folder else ''}__pycache__/{name.removesuffix('.py')}.{self.tag}.pyc"


def target(template: Path) -> Target:
    """The one target of all functions of the template."""
    resources = json.loads(template.read_text("utf-8"))["Resources"].values()
    functions = [each["Properties"] for each in resources if each["Type"] == "AWS::Serverless::Function"]
    [only] = {Target(function["Runtime"], *function["Architectures"]) for function in functions}
    return only


def objection(wanted: Target) -> str | None:
    """Why this interpreter cannot compile for the runtime; None where it can."""
    mine = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if wanted.runtime == mine and sys.implementation.name == "cpython":
        return None
    return (
        f"The template's runtime is {wanted.runtime}, and this is {mine}: it would ignore the .pyc made here, and each "
        f"cold start would take twice as long. `make clean`, then `make PYTHON={wanted.runtime} package`."
    )


def pack(archive: Path, folder: Path) -> None:
    """Make the zip small and quick where it lies. folder: an empty one, to work in.

    What this interpreter compiles is for its own minor version: see `objection`.
    """
    with zipfile.ZipFile(archive) as chalices:
        chalices.extractall(folder, [name for name in chalices.namelist() if not needless(name)])
    compile_all(folder)
    new = archive.with_suffix(".new")
    with zipfile.ZipFile(new, "w") as ours:
        for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()):
            ours.writestr(_entry(name), (folder / name).read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    os.replace(new, archive)


def compile_all(folder: Path) -> None:
    """Write `.pyc` that are believed without a look at the source: a zip keeps no time of it that could be compared.

    In an interpreter of its own, whose hashes are fixed: what else is in memory would show in the bytes.
    Source: https://docs.python.org/3/reference/import.html#pyc-invalidation.
    """
    command = [sys.executable, "-S", "-s", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    environment = {"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")}
    subprocess.run([*command, "-s", folder, "-p", ON_LAMBDA, folder], env=environment, check=True)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = _FILE
    entry.create_system = 3  # Unix, wherever it is packed
    return entry


def main() -> None:
    folder = Path(sys.argv[1])
    if found := objection(target(folder / "sam.json")):
        sys.exit(found)
    with tempfile.TemporaryDirectory() as temporary:
        pack(folder / "deployment.zip", Path(temporary))


if __name__ == "__main__":
    main()
