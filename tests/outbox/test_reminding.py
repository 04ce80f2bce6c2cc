"""Reminding: what waits for long is said once more, in the thread of its message; nothing depends on it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.broker import deciding
from chalicelib.core.catalogue import Notify
from chalicelib.outbox.reminding import Reminded, remind
from tests.builders import SECOND
from tests.outbox.newsroom import Newsroom, telling
from tests.people import CAROL, FRANK
from tests.slack.workspace import Fault

AFTER = timedelta(minutes=30)


@pytest.fixture
def room() -> Newsroom:
    room = Newsroom()
    room.stage.catalogue = telling(Notify(slack=("#sre-approvals",), remind_after=AFTER))
    return room


def test_after_so_long_those_who_may_approve_are_named_in_the_thread_once(room: Newsroom) -> None:
    request = room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER - SECOND)
    assert remind(room.desk()) == Reminded(posted=0, failed=0)
    room.stage.pass_time(SECOND)
    assert remind(room.desk()) == Reminded(posted=1, failed=0)
    [reply] = room.workspace.replies()
    assert (reply.thread, reply.to_all) == (room.message(request).ts, False)
    assert "Still waiting for 1 of groups sre-leads" in str(reply.blocks)
    for _ in range(3):
        room.stage.pass_time(AFTER)
        assert remind(room.desk()) == Reminded(posted=0, failed=0)
    room.assert_all_is_told()


def test_nobody_is_reminded_where_the_rule_does_not_say_so() -> None:
    room = Newsroom()
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(4 * AFTER)
    assert remind(room.desk()) == Reminded(posted=0, failed=0)


def test_nobody_is_reminded_of_what_is_answered_or_has_expired(room: Newsroom) -> None:
    answered, _ = room.stage.asked(CAROL), room.stage.asked(CAROL)
    room.catch_up()
    deciding.approve(room.stage.world, FRANK, answered.id, comment=None, duration=None)
    room.stage.pass_time(16 * AFTER)
    assert remind(room.desk()) == Reminded(posted=0, failed=0)


def test_a_message_that_was_never_posted_is_not_answered(room: Newsroom) -> None:
    room.stage.asked(CAROL)
    room.workspace.channels = {}
    room.catch_up()
    room.stage.pass_time(AFTER)
    assert remind(room.desk()) == Reminded(posted=0, failed=0)


def test_given_slack_throttles_then_the_next_run_reminds(room: Newsroom) -> None:
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    room.workspace.fail(Fault(retry_after=60))
    assert remind(room.desk()) == Reminded(posted=0, failed=1)
    assert remind(room.desk()) == Reminded(posted=1, failed=0)


@pytest.mark.parametrize("after", [True, False])
def test_given_slack_does_not_answer_then_there_is_at_most_one_reminder(room: Newsroom, after: bool) -> None:
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    room.workspace.fail(Fault(silent=True, after=after))
    assert remind(room.desk()) == Reminded(posted=0, failed=1)
    assert remind(room.desk()) == Reminded(posted=0, failed=0)
    assert len(room.workspace.replies()) == after


def test_given_slack_says_no_then_it_is_said_once_and_the_message_still_follows(room: Newsroom) -> None:
    request = room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    room.workspace.fail(Fault(error="is_archived"))
    assert remind(room.desk()) == Reminded(posted=0, failed=0)
    assert room.untold == [("#sre-approvals", "is_archived")]
    deciding.approve(room.stage.world, FRANK, request.id, comment=None, duration=None)
    room.catch_up()
    room.assert_all_is_told()


def test_one_message_that_cannot_be_answered_silences_no_other(room: Newsroom) -> None:
    for _ in range(3):
        room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    room.workspace.fail(None, Fault(retry_after=1))
    assert remind(room.desk()) == Reminded(posted=2, failed=1)
