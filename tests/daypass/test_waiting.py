"""Waiting for an answer: ever more seldom, as the server wishes, through outages, and for no longer than was said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daypass.client import DaypassError
from daypass.waiting import LONGEST_SECONDS, Clock, TimedOut, answered, line
from tests.daypass.conftest import REQUEST_ID, a_request

BEGIN = datetime(2026, 11, 23, 12, 2, tzinfo=UTC)
PENDING = a_request()
READY = a_request(state="ready")


@dataclass
class Told:
    """The API, one answer after the other, the last one for ever; an error is raised. It is the clock too."""

    answers: list[Any]
    now: datetime = BEGIN
    slept: list[float] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def request(self, request_id: str) -> Any:
        assert request_id == REQUEST_ID
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def wait(self, patience: timedelta | None = None, request: Any = PENDING) -> Any:
        clock = Clock(now=lambda: self.now, sleep=self.sleep, show=self.shown.append)
        return answered(self, request, clock, patience)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["ready", "active", "scheduled", "denied", "expired", "cancelled", "revoked"])
def test_what_is_answered_is_not_waited_for(state: str) -> None:
    told = Told([READY])
    assert told.wait(request=a_request(state=state))["state"] == state
    assert (told.slept, told.shown) == ([], [])


def test_it_asks_ever_more_seldom_until_there_is_an_answer() -> None:
    told = Told([*[PENDING] * 30, READY])
    assert told.wait() == READY
    assert told.slept == sorted(told.slept)
    assert told.slept[0] == 2.0
    assert told.slept[-1] == LONGEST_SECONDS


def test_it_says_who_may_answer_since_when_and_how_long_there_is() -> None:
    assert line(PENDING, BEGIN) == "Waiting for 1 of groups sre-leads, for 2 min; 7 h 58 min remain."
    half = a_request(stages=[{"count": 2, "from": {"groups": ["a"]}, "approved_by": ["x"]}])
    assert line(half, BEGIN).startswith("Waiting for 1 of groups a, ")


@pytest.mark.parametrize("skew", [timedelta(minutes=-10), timedelta(minutes=10), timedelta(hours=9)])
def test_with_a_clock_that_is_off_no_length_is_negative(skew: timedelta) -> None:
    assert "-" not in line(PENDING, BEGIN + skew).replace("sre-leads", "")


def test_what_the_server_says_cannot_move_the_cursor() -> None:
    hostile = a_request(stages=[{"count": 1, "from": {"groups": ["\x1b[2J"]}, "approved_by": []}], created_at="soon")
    assert "\x1b" not in line(hostile, BEGIN)


@pytest.mark.parametrize("slug", ["throttled", "unavailable", "slow", "unreachable"])
def test_an_outage_is_waited_out_for_as_long_as_the_server_says(slug: str) -> None:
    told = Told([DaypassError("Not now.", slug=slug, retry_after=30), PENDING, READY])
    assert told.wait() == READY
    assert told.slept == [2.0, 30.0, 20.0]
    assert [shown.endswith("(Not now.)") for shown in told.shown] == [False, True, False]


@pytest.mark.parametrize("slug", ["unauthenticated", "not-found", "not-daypass"])
def test_what_waiting_does_not_better_ends_it(slug: str) -> None:
    with pytest.raises(DaypassError):
        Told([DaypassError("No.", slug=slug)]).wait()


def test_patience_ends_to_the_second_and_the_request_is_asked_once_more_before() -> None:
    told = Told([PENDING])
    with pytest.raises(TimedOut):
        told.wait(timedelta(seconds=45))
    assert told.now == BEGIN + timedelta(seconds=45)
    just = Told([*[PENDING] * 3, READY])
    assert just.wait(timedelta(seconds=sum([2, 2.6, 3.38, 1]))) == READY
    none = Told([PENDING])
    with pytest.raises(TimedOut):
        none.wait(timedelta(0))
    assert none.slept == []
