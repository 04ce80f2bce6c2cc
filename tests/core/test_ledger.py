"""The history: a chain that shows every change."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.ledger import EventType, Head, beginning, canonical, commitment, first_break, next_event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
REQUEST = "01KC0000000000000000000000"

text = st.text(st.characters(exclude_categories=["Cs"]))
details = st.recursive(
    text | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
)


def a_history(length: int = 5):
    head, events = beginning(REQUEST), []
    for number in range(length):
        event = next_event(head, EventType.APPROVED, NOON, "bob@example.com", {"n": number})
        events.append(event)
        head = Head(event.seq, event.hash)
    return events


@given(details)
def test_what_a_history_holds_is_written_as_rfc_8785_says(value) -> None:
    assert canonical(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [True, None, 1.5, 2**53, {"é": 1}, {1: 1}, ["\ud800"], {"a": [None]}, b""])
def test_what_cannot_be_written_exactly_is_refused(value) -> None:
    with pytest.raises(ValueError):
        canonical(value)


def test_a_new_history_begins_at_the_hash_of_the_requests_id() -> None:
    import hashlib

    assert beginning(REQUEST) == Head(0, hashlib.sha256(f"daypass:{REQUEST}".encode()).hexdigest())


def test_an_outsider_can_compute_the_hash_from_the_json_alone() -> None:
    import hashlib

    event = json.loads(json.dumps(a_history(3)[2].as_json()))
    claimed = event.pop("hash")
    text = event["prev_hash"] + rfc8785.dumps(event).decode()
    assert hashlib.sha256(text.encode()).hexdigest() == claimed


def test_an_untouched_history_holds() -> None:
    assert first_break(beginning(REQUEST), a_history()) is None


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    "change",
    [
        {"seq": 9},
        {"type": "request.denied"},
        {"at": "2026-11-23T12:00:01Z"},
        {"actor": "eve@example.com"},
        {"details": {"n": 99}},
        {"prev_hash": "0" * 64},
        {"hash": "0" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_changed_field_of_every_event_breaks_the_history_there(place: int, change) -> None:
    events = a_history()
    seq = events[place].seq
    events[place] = replace(events[place], **change)
    assert first_break(beginning(REQUEST), events) in (seq, change.get("seq"))


@pytest.mark.parametrize("place", range(4))
def test_a_removed_event_breaks_the_history(place: int) -> None:
    events = a_history()
    del events[place]
    assert first_break(beginning(REQUEST), events) is not None


@pytest.mark.parametrize("place", range(4))
def test_swapped_events_break_the_history(place: int) -> None:
    events = a_history()
    events[place], events[place + 1] = events[place + 1], events[place]
    assert first_break(beginning(REQUEST), events) is not None


def test_a_history_of_another_request_does_not_pass_for_this_one() -> None:
    assert first_break(beginning("01KC0000000000000000000001"), a_history()) == 1


def test_a_text_is_committed_to_without_being_told() -> None:
    salted = commitment("disk full", "salt")
    assert salted != commitment("disk full", "other salt")
    assert "disk" not in salted
