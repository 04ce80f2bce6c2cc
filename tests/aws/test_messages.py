"""What places were told: the table and the fake keep the same rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.aws.messages import MessagesTable
from chalicelib.aws.table import Table
from chalicelib.broker.ports import Stale
from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.ports import Message, Messages
from tests.builders import a_submission, an_id, instants
from tests.outbox.fakes import FakeMessages

NOW = datetime(2031, 3, 5, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["fake", "table"])
def messages(request: pytest.FixtureRequest) -> Messages:
    if request.param == "fake":
        return FakeMessages()
    return MessagesTable(request.getfixturevalue("table"))


def a_message(request_id: str, place: str = "#sre") -> Message:
    return Message(request_id=request_id, place=place)


def test_nothing_is_known_of_a_request_that_nobody_was_told_of(messages: Messages) -> None:
    assert messages.of(an_id()) == ()


def test_a_message_is_kept_by_request_and_place(messages: Messages) -> None:
    id, other = an_id(), an_id()
    stored = [messages.put(a_message(id, place)) for place in ("#sre", "C0123456789", "U0123456789")]
    messages.put(a_message(other))
    assert sorted(messages.of(id), key=lambda message: message.place) == stored
    assert [message.revision for message in stored] == [1, 1, 1]


def test_it_is_written_over_the_revision_that_was_known_and_no_other(messages: Messages) -> None:
    id = an_id()
    first = messages.put(a_message(id))
    second = messages.put(replace(first, version=3, taken_at=NOW))
    assert (second.version, second.revision) == (3, 2)
    for behind in (a_message(id), replace(first, version=9), replace(second, revision=7)):
        with pytest.raises(Stale):
            messages.put(behind)
    assert messages.of(id) == (second,)


def test_what_is_not_there_has_no_revision_to_write_over(messages: Messages) -> None:
    with pytest.raises(Stale):
        messages.put(replace(a_message(an_id()), revision=1))


def test_what_is_taken_away_is_gone(messages: Messages) -> None:
    id = an_id()
    first = messages.put(replace(a_message(id), taken_at=NOW, unsure_since=NOW, channel="C1", ts="1.0"))
    messages.put(replace(first, taken_at=None, unsure_since=None, channel=None, ts=None))
    [found] = messages.of(id)
    assert (found.taken_at, found.unsure_since, found.channel, found.ts) == (None, None, None, None)


def test_of_many_at_once_one_writes(messages: Messages) -> None:
    id = an_id()
    outcomes: list[str] = []

    def write() -> None:
        try:
            messages.put(a_message(id))
            outcomes.append("written")
        except Stale:
            outcomes.append("stale")

    threads = [Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [*["stale"] * 7, "written"]


kept = st.builds(
    Message,
    request_id=st.builds(an_id),
    place=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=80),
    version=st.integers(0, 10**9),
    shows=st.none() | st.text("abc", min_size=1),
    channel=st.none() | st.text("C0", min_size=1),
    ts=st.none() | st.text("1.", min_size=1),
    for_requester=st.booleans(),
    loud=st.booleans(),
    reminded=st.booleans(),
    taken_at=st.none() | instants,
    unsure_since=st.none() | instants,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept)
def test_every_field_survives(messages: Messages, message: Message) -> None:
    stored = messages.put(message)
    assert stored == replace(message, revision=1)
    assert messages.of(message.request_id) == (stored,)


def test_a_requests_story_does_not_tell_of_messages(table: Table) -> None:
    change = a_submission()
    table.submit(change, claim=None, max_open=5, now=change.after.created_at)
    MessagesTable(table).put(a_message(change.after.id))
    assert table.story(change.after.id) == (change.after, ())
    assert len(table.events(change.after.id, after=0, limit=9).items) == 1


def test_where_the_table_does_not_answer_it_is_unavailable(connect: Callable[..., Table]) -> None:
    gone = MessagesTable(connect("nowhere", host="http://127.0.0.1:9"))
    with pytest.raises(Unavailable):
        gone.of(an_id())
    with pytest.raises(Unavailable):
        gone.put(a_message(an_id()))
