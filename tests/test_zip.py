"""The zip for Lambda: the same bytes every time, nothing in it that is not needed, and the function runs by it alone.

It is packed here of what is installed, so that this machine can run it; `make package` packs what Chalice fetched for
Lambda's machine, and asks `objections` of that.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import platform
import re
import secrets
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stage import Stage, ask_and_issue, health, running, slack_command
from infra.unpacked import unpack
from infra.zip_contents import MACHINES, NEVER, OURS, code_sha256, objections, pinned
from infra.zip_cut import SERVICES, UNUSED, needless
from infra.zip_packed import Target, objection, pack, target
from tests.test_template import ROOT, STAGES, template

HERE = Target(
    f"python{sys.version_info.major}.{sys.version_info.minor}",
    {"aarch64": "arm64"}.get(platform.machine(), platform.machine()),
)
ELSEWHERE = next(machine for machine in MACHINES if machine != HERE.architecture)
SIX = f"six-{dict(pinned())['six']}.dist-info"
STRAYS = (
    "boto3/data/sns/2010-03-31/resources-1.json",
    "botocore/data/ec2/2016-11-15/service-2.json.gz",
    "botocore/data/sts/2011-06-15/examples-1.json",
    "chalicelib/__pycache__/wiring.cpython-39.pyc",
    "jmespath-1.1.0.data/scripts/jp.py",
    "pydantic/v1/main.py",
    "pydantic_core/_pydantic_core.pyi",
    f"{SIX}/RECORD",
)


def chalices(archive: Path, unpacked: Path) -> Path:
    """A zip as Chalice's packager leaves it: in the file system's order, with strays, without `.pyc`."""
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(unpacked.rglob("*"), reverse=True):
            if path.is_file():
                opened.write(path, path.relative_to(unpacked))
        for stray in STRAYS:
            opened.writestr(stray, "")
    return archive


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zip")
    unpack(folder / "unpacked")
    archive = chalices(folder / "deployment.zip", folder / "unpacked")
    pack(archive, tmp_path_factory.mktemp("work"))
    return archive


@pytest.fixture(scope="module")
def deployed(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the zip was unpacked."""
    folder = tmp_path_factory.mktemp("var") / "task"
    with zipfile.ZipFile(packed) as opened:
        opened.extractall(folder)
    return folder


def test_what_was_packed_may_be_deployed(packed: Path) -> None:
    assert objections(packed, HERE) == []


def test_packing_again_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    """Of the function's own files; CI does it with all that `make package` puts in."""
    archives = []
    for place in ("one", "another"):
        shutil.copytree(ROOT / "chalicelib", tmp_path / place / "chalicelib")
        archives.append(chalices(tmp_path / f"{place}.zip", tmp_path / place))
        pack(archives[-1], tmp_path / f"{place}-work")
    one, another = archives
    assert one.read_bytes() == another.read_bytes()
    assert code_sha256(one) == code_sha256(another)


def test_strays_are_left_out_and_all_else_stays(packed: Path) -> None:
    with zipfile.ZipFile(packed) as opened:
        names = set(opened.namelist())
    assert names.isdisjoint(STRAYS)
    assert {"app.py", "chalicelib/py.typed", "botocore/cacert.pem", f"{SIX}/METADATA"} <= names
    licences = {name for name in names if "/licenses/" in name or "LICENSE" in name}
    assert len({name.split("/")[0] for name in licences if ".dist-info/" in name}) >= len(pinned()) - 2


def run(deployed: Path, program: list[str], **given: str) -> str:
    """What a program prints that sees the unpacked zip and Python's own library, nothing else."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(deployed), **given}
    command = [sys.executable, "-S", "-s", *program]
    ran = subprocess.run(command, cwd=deployed, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


EVENTS: dict[str, Callable[[Stage], dict[str, Any]]] = {
    "health": lambda stage: health(),
    "ask and issue": lambda stage: ask_and_issue(stage.token),
    "a command of Slack": lambda stage: slack_command(stage.url),
}


@pytest.mark.parametrize("case", EVENTS)
def test_the_function_answers_by_the_zip_alone(deployed: Path, case: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    with running() as stage:
        given = json.dumps({"case": case, "event": EVENTS[case](stage)})
        said = run(deployed, [str(ROOT / "benchmarks/first_answer.py"), str(told)], **stage.environment, GIVEN=given)
    assert told.exists()
    assert '"status":200' in said
    assert not re.search(r'"level":"(ERROR|CRITICAL)"', said)


IMPORTED = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
compiled = [m for m in sys.modules.values() if (getattr(m, "__file__", None) or "").startswith(sys.argv[2])]
print(*(m.__name__ for m in compiled if not m.__file__.endswith(".so") and not (m.__cached__ and open(m.__cached__))))
"""


def our_modules() -> Iterator[str]:
    for path in sorted(ROOT.glob("chalicelib/**/*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Everything that a file imports while running, also in its functions."""
    tree = ast.parse(path.read_text("utf-8"))
    typed = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    unread = {id(inner) for node in typed for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) not in unread and isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif id(node) not in unread and isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_all_that_the_function_ever_imports_is_there_and_compiled(deployed: Path) -> None:
    theirs = {name for path in ROOT.glob("chalicelib/**/*.py") for name in imports(path)}
    names = ["app", *our_modules(), *sorted(theirs)]
    assert {"slack_bolt", "jwt", "zoneinfo"} <= theirs
    assert run(deployed, ["-c", IMPORTED, json.dumps(names), str(deployed)], AWS_REGION="eu-central-1").split() == []


CLIENTS = """
import sys, botocore.session
session = botocore.session.get_session()
for service in sys.argv[1:]:
    session.create_client(service, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
print(*session.get_available_services())
"""


def test_botocore_knows_the_services_that_are_used_and_no_others(deployed: Path) -> None:
    assert set(run(deployed, ["-c", CLIENTS, *SERVICES]).split()) == SERVICES


# Not written where their client is made: the table's is PynamoDB's, a secret's ARN says which of the two keeps it.
ELSEWHERE_NAMED = {"dynamodb", "secretsmanager", "ssm"}


def services(path: Path) -> Iterator[str]:
    """The services that a file names where it makes a client: the literal arguments of every call of `…client(…)`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("client"):
            yield from (str(each.value) for each in node.args if isinstance(each, ast.Constant) and each.value)


def test_the_services_are_those_that_the_code_makes_clients_of() -> None:
    named = {service for path in ROOT.glob("chalicelib/**/*.py") for service in services(path)}
    assert named | ELSEWHERE_NAMED == SERVICES, "infra/zip_cut.py lists what botocore has to know of"


def test_nothing_is_said_to_be_unused_that_is_not_there_at_all() -> None:
    files = [path.as_posix() for name, _ in pinned() for path in distribution(name).files or ()]
    for unused in UNUSED:
        assert any(re.fullmatch(rf"{unused}(\.py|/.*)", file) for file in files), unused


def test_nothing_of_ours_is_ever_cut() -> None:
    ours = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("chalicelib/**/*") if path.suffix != ".pyc"]
    assert not [path for path in ours if needless(path) and "__pycache__" not in path]


def sound() -> dict[str, bytes]:
    """The least that may be deployed."""
    sources = ["app.py", "chalicelib/wiring.py", "chalice/app.py"]
    metadata = [f"{name.replace('-', '_')}-{version}.dist-info/METADATA" for name, version in pinned()]
    data = [f"botocore/data/{service}/2011-06-15/service-2.json.gz" for service in SERVICES]
    header = importlib.util.MAGIC_NUMBER + b"\1\0\0\0"
    files = dict.fromkeys([*sources, *metadata, *data, "botocore/data/endpoints.json"], b"")
    files |= {HERE.pyc(source): header for source in sources}
    return files | {"x/y.abi3.so": b"\x7fELF".ljust(18, b"\0") + bytes([MACHINES[HERE.architecture], 0])}


def zipped(files: dict[str, bytes], archive: Path, *, year: int = 1980, names: Iterable[str] = ()) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in names or sorted(files):
            opened.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), files[name])
    return archive


PYC = HERE.pyc("chalicelib/wiring.py")
STS = "botocore/data/sts/2011-06-15/service-2.json.gz"
DAMAGES: list[tuple[Callable[[dict[str, bytes]], object], str]] = [
    (lambda files: files.pop(PYC), f"chalicelib/wiring.py has no .pyc for {HERE.runtime}"),
    (lambda files: files.pop("chalicelib/wiring.py"), f"{PYC} is of no .py in the zip"),
    (lambda files: files.update({PYC: b"\0" + files[PYC][1:]}), f"{PYC} is of another Python than {HERE.runtime}"),
    (lambda files: files.update({PYC: files[PYC][:4] + b"\3\0\0\0"}), f"{PYC} is of another Python"),
    (lambda files: files.update({"pydantic/v1/x.txt": b""}), "pydantic/v1/x.txt is in the zip and is never used"),
    (lambda files: files.pop("botocore/data/endpoints.json"), "botocore's endpoints are missing from the zip"),
    (lambda files: files.pop(STS), "botocore's data of sts is missing from the zip"),
    (lambda files: files.pop(f"{SIX}/METADATA"), f"{SIX}/METADATA is missing"),
    (lambda files: files.update({"x/y.abi3.so": b"\x7fELF"}), f"x/y.abi3.so is not for {HERE.architecture}"),
    (lambda files: files.update({"daypass-0.1.0.dist-info/x": b""}), "daypass-0.1.0.dist-info is in the zip and must"),
    (lambda files: files.update({"noise": secrets.token_bytes(16_000_000)}), "16.0 MB: 15 are allowed"),
    *(
        (lambda files, name=name: files.update({f"{name}/x": b""}), f"{name} is in the zip and must")
        for name in sorted(NEVER)
    ),
]


def test_the_least_that_may_be_deployed(tmp_path: Path) -> None:
    assert objections(zipped(sound(), tmp_path / "one.zip"), HERE) == []


@pytest.mark.parametrize(("damage", "objecting"), DAMAGES, ids=[objecting for _, objecting in DAMAGES])
def test_a_zip_that_lacks_or_spoils_something_may_not(tmp_path: Path, damage, objecting: str) -> None:
    files = sound()
    damage(files)
    [found] = objections(zipped(files, tmp_path / "one.zip"), HERE)
    assert found.startswith(objecting)


def test_an_empty_zip_may_not(tmp_path: Path) -> None:
    found = objections(zipped({}, tmp_path / "one.zip"), HERE)
    assert {f"{part} is missing from the zip" for part in OURS} <= set(found)


def test_a_zip_with_todays_date_or_another_order_may_not(tmp_path: Path) -> None:
    assert objections(zipped(sound(), tmp_path / "one.zip", year=2026), HERE) == [
        "the zip's files have times that are others the next time"
    ]
    assert objections(zipped(sound(), tmp_path / "one.zip", names=sorted(sound(), reverse=True)), HERE) == [
        "the zip's files are in no order that is the same the next time"
    ]


def test_a_zip_for_another_machine_or_python_may_not(packed: Path) -> None:
    assert {line.rpartition(" ")[2] for line in objections(packed, Target(HERE.runtime, ELSEWHERE))} == {ELSEWHERE}
    other = objections(packed, Target("python3.99", HERE.architecture))
    assert any("has no .pyc for python3.99" in line for line in other)
    assert any(line.endswith(".so is not for python3.99") for line in other)


def test_nothing_is_compiled_by_another_python_than_the_runtimes() -> None:
    assert objection(HERE) is None
    said = objection(Target("python3.99", "arm64")) or ""
    assert f"runtime is python3.99, and this is {HERE.runtime}" in said
    assert "make PYTHON=python3.99 package" in said


@pytest.mark.parametrize("stage", STAGES)
def test_the_template_names_the_runtime_and_the_machine_that_the_zip_is_packed_for(stage: str, tmp_path: Path) -> None:
    (tmp_path / "sam.json").write_text(json.dumps(template(stage)))
    assert target(tmp_path / "sam.json") == Target(HERE.runtime, "arm64")


def test_make_package_packs_anew_and_asks_for_objections() -> None:
    made = (ROOT / "Makefile").read_text("utf-8").partition("\npackage:")[2].partition("\n\n")[0]
    steps = [made.index(step) for step in ("chalice package", "infra.zip_packed", "infra.zip_contents")]
    assert steps == sorted(steps)
