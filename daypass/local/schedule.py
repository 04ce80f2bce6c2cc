"""The local schedule: what EventBridge calls every five minutes in AWS, a thread calls here, while the server runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

EVERY = timedelta(minutes=5)
_END_SECONDS = 30.0

Run = Callable[[], None]
Wait = Callable[[float], bool]


def repeat(runs: tuple[Run, ...], wait: Wait) -> None:
    """Run each at once and then after every wait, until one says that it is time to stop.

    A failure is told, and stops nothing. wait: for so many seconds; whether to stop.
    """
    while True:
        for run in runs:
            try:
                run()
            except Exception:
                logging.getLogger("daypass").exception("scheduled_run_failed")
        if wait(EVERY.total_seconds()):
            return


@contextlib.contextmanager
def repeating(*runs: Run) -> Iterator[None]:
    """Repeat the runs in a thread for as long as the block lasts, and let the last one end."""
    stop = threading.Event()
    thread = threading.Thread(target=repeat, args=(runs, stop.wait), name="schedule", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_SECONDS)
