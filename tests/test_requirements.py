"""What is installed and what is deployed is pinned, agrees, and names nobody's machine."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"([a-z0-9-]+)==([A-Za-z0-9.]+)( ;.*)?")


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    matches = [PIN.fullmatch(line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    return {match[1]: match[2] for match in matches if match}


def test_what_is_deployed_is_what_was_tested():
    deployed, tested = pins("requirements.txt"), pins("requirements-dev.txt")
    assert deployed.items() <= tested.items()


def test_every_package_that_the_server_asks_for_is_deployed_and_the_clients_are_not():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["server"]
    names = {re.split(r"[\[<>=~]", line)[0] for line in asked} - {
        "chalice"
    }  # its packager puts the runtime in by itself
    deployed = pins("requirements.txt")
    assert names <= deployed.keys()
    assert {"chalice", "typer", "rich", "ministack"}.isdisjoint(deployed)


def test_the_embedded_aws_fixes_botocore_for_all():
    assert pins("requirements-dev.txt")["ministack"] == "1.5.33"
    assert pins("requirements-dev.txt")["botocore"] == pins("requirements.txt")["botocore"] == "1.43.106"
