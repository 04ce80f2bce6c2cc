"""Copying: each event once, in a place of its own, and never over another one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.stream import committed, guarded
from chalicelib.core import copied
from chalicelib.core.ledger import EventType, Head, Recorded, beginning, next_event
from chalicelib.outbox.copying import copy
from chalicelib.outbox.ports import Committed, Forged
from tests.builders import NOW, a_submission, details
from tests.outbox.fakes import FakeSafe
from tests.outbox.newsroom import a_record


def some_lines() -> list[Committed]:
    change = a_submission().then(EventType.DENIED, at=NOW, actor="eve", details={})
    return [Committed(change.after.id, event, str(event.seq)) for event in change.events]


def test_every_line_is_kept_by_day_chain_and_seq_as_an_export_has_it() -> None:
    safe, lines = FakeSafe(), some_lines()
    assert copy(lines, safe=safe).done == len(lines) > 1
    for line in lines:
        name = f"events/{line.event.at[:10]}/{line.request_id}/{line.event.seq:010d}.json"
        assert json.loads(safe.texts[name]) == {**line.event.as_json(), "request_id": line.request_id}


def test_a_replay_changes_nothing() -> None:
    safe, lines = FakeSafe(), some_lines()
    copy(lines, safe=safe)
    before = dict(safe.texts)
    delivered = copy(lines, safe=safe)
    assert (delivered.done, delivered.hopeless, safe.texts) == (len(lines), {}, before)


def test_another_event_in_the_place_of_one_is_forged_and_holds_up_nothing() -> None:
    safe, (first, second) = FakeSafe(), some_lines()
    other = next_event(Head(0, first.event.prev_hash), EventType.SUBMITTED, NOW, "eve", {"forged": "yes"})
    place = copied.name(first.chain, first.event)
    safe.texts[place] = copied.text(Recorded(first.chain, other))
    before = safe.texts[place]
    delivered = copy([first, second], safe=safe)
    assert delivered.done == 2
    assert isinstance(delivered.hopeless[0], Forged)
    assert safe.texts[place] == before
    assert copied.name(second.chain, second.event) in safe.texts


def test_given_the_safe_does_not_answer_then_its_lines_wait() -> None:
    delivered = copy(some_lines(), safe=FakeSafe(down=True))
    assert (delivered.done, delivered.why) == (0, "The fake was told not to answer.")


chains = st.text(min_size=1, max_size=20)


@given(chains, chains, details)
def test_every_chain_has_a_folder_of_its_own_that_leads_nowhere_else(one: str, other: str, told: Any) -> None:
    event = next_event(beginning("a"), EventType.SUBMITTED, NOW, "carol", told)
    names = [copied.name(chain, event) for chain in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert name.isascii()
        assert name.count("/") == 3
        assert "/." not in name


def changed(name: str, **more: Any) -> dict[str, Any]:
    change = a_submission()
    return {**a_record(change.after.id, change.events[0]), "eventName": name, **more}


EXPIRED = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


@pytest.mark.parametrize(
    "record",
    [
        changed("MODIFY"),
        changed("REMOVE"),
        changed("REMOVE", userIdentity=None),
        changed("MODIFY", userIdentity=EXPIRED),
        changed("REMOVE", userIdentity={"type": "Service", "principalId": "replication.dynamodb.amazonaws.com"}),
    ],
)
def test_an_event_that_is_changed_or_deleted_is_a_forgery_at_work(record: dict[str, Any]) -> None:
    assert committed(record) is None
    with pytest.raises(Forged):
        guarded(record)


@pytest.mark.parametrize("identity", [EXPIRED, {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}])
def test_an_event_whose_time_to_live_is_over_may_go(identity: dict[str, str]) -> None:
    assert guarded(changed("REMOVE", userIdentity=identity)) is None


def test_other_items_may_be_changed_and_deleted() -> None:
    record = changed("MODIFY")
    record["dynamodb"]["NewImage"]["kind"] = {"S": "request"}
    record["dynamodb"]["Keys"]["sk"] = {"S": "request"}
    assert guarded(record) is None
