"""The life of a request: moves and arithmetic."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.life import MOVES, Expired, Move, State, Status, Window, moved, state
from tests.builders import instants

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

FINAL = {Status.DENIED, Status.CANCELLED, Status.RETURNED, Status.REVOKED}


def at(now: datetime, status: Status, *, use_by: datetime | None = None, window: Window | None = None):
    return state(status, answer_by=NOON, use_by=use_by, window=window, now=now)


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("move", list(Move))
def test_a_move_that_is_not_in_the_table_cannot_happen(status: Status, move: Move) -> None:
    if (status, move) in MOVES:
        assert moved(status, move) is MOVES[status, move]
    else:
        with pytest.raises(ValueError):
            moved(status, move)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_nothing_leads_out_of_a_final_status(status: Status) -> None:
    assert not [move for (before, move) in MOVES if before is status]


def test_every_status_can_be_reached_from_pending() -> None:
    reached = {Status.PENDING}
    for _ in Status:
        reached |= {after for (before, _), after in MOVES.items() if before in reached}
    assert reached == set(Status)


def test_given_a_pending_request_when_its_answer_is_due_then_it_is_over_at_that_very_second() -> None:
    assert at(NOON - SECOND, Status.PENDING) == (State.PENDING, None)
    assert at(NOON, Status.PENDING) == (State.EXPIRED, Expired.UNANSWERED)


def test_given_an_approved_request_when_its_use_is_due_then_it_has_lapsed_at_that_very_second() -> None:
    assert at(NOON - SECOND, Status.APPROVED, use_by=NOON) == (State.READY, None)
    assert at(NOON, Status.APPROVED, use_by=NOON) == (State.EXPIRED, Expired.UNUSED)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOON - SECOND, State.SCHEDULED),
        (NOON, State.ACTIVE),
        (NOON + HOUR - SECOND, State.ACTIVE),
        (NOON + HOUR, State.ENDED),
    ],
)
def test_a_window_is_half_open(now: datetime, expected: State) -> None:
    assert at(now, Status.APPROVED, window=Window(NOON, NOON + HOUR)) == (expected, None)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOON - SECOND, State.ACTIVE),
        (NOON, State.ACTIVE),
        (NOON + HOUR - SECOND, State.ACTIVE),
        (NOON + HOUR, State.ENDED),
    ],
)
def test_what_is_used_has_begun_also_where_a_slower_clock_is_asked(now: datetime, expected: State) -> None:
    assert at(now, Status.USED, window=Window(NOON, NOON + HOUR)) == (expected, None)


def test_given_used_without_a_window_then_that_is_a_bug() -> None:
    with pytest.raises(ValueError, match="window"):
        at(NOON, Status.USED)


@given(
    status=st.sampled_from(sorted(Status)),
    now=instants,
)
def test_the_reported_state_of_a_final_status_is_that_status_whenever_it_is_asked(status: Status, now) -> None:
    if status in FINAL:
        assert at(now, status) == (State(status.value), None)
