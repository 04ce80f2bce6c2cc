"""The local schedule: at once, then every five minutes, whatever happens to one run; and it ends with the server."""

from __future__ import annotations

import logging
import threading

from daypass.local import schedule


def test_everything_runs_at_once_and_after_every_five_minutes_until_it_is_told_to_stop() -> None:
    story: list[object] = []

    def wait(seconds: float) -> bool:
        story.append(seconds)
        return len(story) == 9

    schedule.repeat((lambda: story.append("sweep"), lambda: story.append("remind")), wait)
    assert story == ["sweep", "remind", 300.0] * 3


def test_a_run_that_fails_is_told_in_the_log_and_all_others_come(caplog) -> None:
    runs: list[str] = []

    def fails() -> None:
        runs.append("sweep")
        raise RuntimeError("the table is down")

    schedule.repeat((fails, lambda: runs.append("remind")), lambda seconds: len(runs) == 6)
    assert runs == ["sweep", "remind"] * 3
    assert [record.message for record in caplog.records] == ["scheduled_run_failed"] * 3
    assert all(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)


def test_it_ends_with_the_block_and_lets_its_run_end_first() -> None:
    begun, ended = threading.Event(), threading.Event()
    story: list[str] = []

    def sweep() -> None:
        begun.set()
        ended.wait(10)
        story.append("swept")

    with schedule.repeating(sweep):
        assert begun.wait(10)
        ended.set()
    assert story == ["swept"]
    assert "schedule" not in [thread.name for thread in threading.enumerate()]
