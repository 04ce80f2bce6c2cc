"""The tour as a whole: `make demo`."""

from __future__ import annotations

import subprocess
import sys


def test_every_step_of_the_tour_does_what_it_says():
    done = subprocess.run(
        [sys.executable, "-m", "daypass.local.demo"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("Every step did what it says.")
    assert "Traceback" not in done.stdout + done.stderr
