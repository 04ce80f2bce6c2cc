"""The local sweeper: what EventBridge does in AWS, a thread does here, as long as the server runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

EVERY = timedelta(minutes=5)
_END_SECONDS = 30.0

Wait = Callable[[float], bool]


def sweep_on(sweep: Callable[[], None], wait: Wait) -> None:
    """Sweep at once and then after every wait, until one says that it is time to stop. A failure is told, and no end.

    wait: for so many seconds; whether to stop.
    """
    while True:
        try:
            sweep()
        except Exception:
            logging.getLogger("daypass").exception("sweep_failed")
        if wait(EVERY.total_seconds()):
            return


@contextlib.contextmanager
def sweeping(sweep: Callable[[], None]) -> Iterator[None]:
    """Sweep in a thread for as long as the block lasts, and let the last run end."""
    stop = threading.Event()
    thread = threading.Thread(target=sweep_on, args=(sweep, stop.wait), name="sweeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_SECONDS)
