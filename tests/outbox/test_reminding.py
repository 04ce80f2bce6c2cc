"""Reminding: what waits for long is said once more, in the thread of its message; nothing depends on it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.broker import deciding
from chalicelib.core.catalogue import Notify
from chalicelib.outbox.posting import LEASE
from chalicelib.outbox.reminding import Reminded, remind
from tests.builders import SECOND
from tests.outbox.newsroom import CHANNEL, Newsroom, telling
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
    assert remind(room.desk()) == Reminded()
    room.stage.pass_time(SECOND)
    assert remind(room.desk()) == Reminded(posted=1)
    [reply] = room.workspace.replies()
    assert (reply.thread, reply.to_all) == (room.message(request).ts, False)
    assert "Still waiting for 1 of groups sre-leads" in str(reply.blocks)
    for _ in range(3):
        room.stage.pass_time(AFTER)
        assert remind(room.desk()) == Reminded()
    room.assert_all_is_told()


def test_nobody_is_reminded_where_the_rule_does_not_say_so() -> None:
    room = Newsroom()
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(4 * AFTER)
    assert remind(room.desk()) == Reminded()


def test_nobody_is_reminded_of_what_is_answered_or_has_expired(room: Newsroom) -> None:
    answered, _ = room.stage.asked(CAROL), room.stage.asked(CAROL)
    room.catch_up()
    deciding.approve(room.stage.world, FRANK, answered.id, comment=None, duration=None)
    room.stage.pass_time(16 * AFTER)
    assert remind(room.desk()) == Reminded()


def test_a_message_that_was_never_posted_is_not_answered(room: Newsroom) -> None:
    room.stage.asked(CAROL)
    room.workspace.channels = {}
    room.catch_up()
    room.stage.pass_time(AFTER)
    assert remind(room.desk()) == Reminded()


def test_given_slack_throttles_then_the_next_run_reminds(room: Newsroom) -> None:
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    room.workspace.fail(Fault(retry_after=60))
    assert remind(room.desk()) == Reminded(failed=1)
    assert remind(room.desk()) == Reminded(posted=1)


@pytest.mark.parametrize("after", [True, False])
def test_given_slack_does_not_answer_then_there_is_at_most_one_reminder(room: Newsroom, after: bool) -> None:
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    room.workspace.fail(Fault(silent=True, after=after))
    assert remind(room.desk()) == Reminded(failed=1)
    assert remind(room.desk()) == Reminded()
    assert len(room.workspace.replies()) == after


def test_given_slack_says_no_then_it_is_said_once_and_the_message_still_follows(room: Newsroom) -> None:
    request = room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    room.workspace.fail(Fault(error="is_archived"))
    assert remind(room.desk()) == Reminded()
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


MANAGERS = "C0SREMANAGER"


@pytest.fixture
def escalating(room: Newsroom) -> Newsroom:
    room.workspace.channels["sre-managers"] = MANAGERS
    room.stage.catalogue = telling(
        Notify(slack=("#sre-approvals",), remind_after=AFTER, escalate_to=("#sre-managers",))
    )
    return room


def test_after_so_long_further_channels_are_told_and_follow_from_then_on(escalating: Newsroom) -> None:
    room = escalating
    request = room.stage.asked(CAROL)
    room.catch_up()
    assert room.workspace.messages(MANAGERS) == []
    room.stage.pass_time(AFTER)
    assert remind(room.desk()) == Reminded(posted=1, escalated=1)
    assert room.message(request, MANAGERS).blocks == room.message(request).blocks
    for _ in range(3):
        room.stage.pass_time(AFTER)
        assert remind(room.desk()) == Reminded()
    deciding.approve(room.stage.world, FRANK, request.id, comment=None, duration=None)
    room.catch_up()
    assert "frank@example.com said yes" in str(room.message(request, MANAGERS).blocks)
    room.assert_all_is_told()


def test_what_is_answered_in_time_is_told_to_no_further_channel(escalating: Newsroom) -> None:
    request = escalating.stage.asked(CAROL)
    escalating.catch_up()
    deciding.approve(escalating.stage.world, FRANK, request.id, comment=None, duration=None)
    escalating.stage.pass_time(AFTER)
    assert remind(escalating.desk()) == Reminded()
    escalating.catch_up()
    assert escalating.workspace.messages(MANAGERS) == []


def test_a_channel_that_was_told_already_is_told_no_second_time(room: Newsroom) -> None:
    same = Notify(slack=("#sre-approvals",), remind_after=AFTER, escalate_to=(CHANNEL,))
    room.stage.catalogue = telling(same)
    room.stage.asked(CAROL)
    room.catch_up()
    room.stage.pass_time(AFTER)
    assert remind(room.desk()) == Reminded(posted=1)
    assert len(room.workspace.messages(CHANNEL)) == 1


@pytest.mark.parametrize("fault", [Fault(retry_after=60), Fault(silent=True), Fault(silent=True, after=True)])
def test_given_slack_is_out_then_a_later_run_tells_the_further_channel_once(escalating: Newsroom, fault: Fault) -> None:
    request = escalating.stage.asked(CAROL)
    escalating.catch_up()
    escalating.stage.pass_time(AFTER)
    escalating.workspace.fail(None, fault)  # the reminder first
    assert remind(escalating.desk()) == Reminded(posted=1, failed=1)
    escalating.stage.pass_time(LEASE)
    assert remind(escalating.desk()) == Reminded(escalated=1)
    assert escalating.message(request, MANAGERS).ts


def test_given_the_further_channel_is_gone_then_that_is_said_once(escalating: Newsroom) -> None:
    del escalating.workspace.channels["sre-managers"]
    escalating.stage.asked(CAROL)
    escalating.catch_up()
    escalating.stage.pass_time(AFTER)
    assert remind(escalating.desk()) == Reminded(posted=1)
    assert remind(escalating.desk()) == Reminded()
    assert escalating.untold == [("#sre-managers", "channel_not_found")]
