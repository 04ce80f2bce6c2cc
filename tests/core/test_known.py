"""Daypass's own sessions, as its exported events tell them."""

from datetime import timedelta
from itertools import permutations

import pytest

from chalicelib.core.known import A_CALL, CLOCKS, Known, Record, read_events
from tests.trails import ADMIN, MINUTE, NOON, stamp

SECOND = timedelta(seconds=1)


def event(kind, session="01KS1", at=NOON, request="01KREQUEST", **details):
    return {
        "request_id": request,
        "type": kind,
        "at": stamp(at),
        "actor": "carol",
        "details": {"session": session, **details},
    }


ISSUING = event("session.issuing", session_name="01KS1-carol", role_arn=ADMIN, duration_seconds=3600)
ISSUED = event("session.issued", access_key_id="ASIA1", assumed_role_id="AROA1:01KS1-carol", sts_request_id="r-1")
BEGUN = Known(request_id="01KREQUEST", session_name="01KS1-carol", role_arn=ADMIN, begun_at=NOON)


def test_a_session_is_what_its_events_say_together() -> None:
    others = [event("request.submitted"), {"type": "bypass.found"}]
    record = read_events([*others, ISSUING, ISSUED])
    whole = Known(
        request_id="01KREQUEST",
        session_name="01KS1-carol",
        role_arn=ADMIN,
        begun_at=NOON,
        access_key_id="ASIA1",
        assumed_role_id="AROA1:01KS1-carol",
        sts_request_id="r-1",
    )
    assert record.sessions == (whole,)
    assert record.by_key("ASIA1") == record.by_call("r-1") == record.by_identity("AROA1:01KS1-carol", NOON) == whole
    assert record.by_key(None) is record.by_call(None) is record.by_identity(None, NOON) is None
    assert record.by_key("ASIA2") is record.by_call("r-2") is record.by_identity("AROA2:x", NOON) is None


def test_the_order_in_which_events_come_changes_nothing() -> None:
    refused = [
        event("session.issuing", "01KS2", session_name="01KS2-carol", role_arn=ADMIN),
        event("session.failed", "01KS2", code="AccessDenied"),
    ]
    told = {known.session_name: known for known in read_events([ISSUING, ISSUED, *refused]).sessions}
    for events in permutations([ISSUING, ISSUED, *refused]):
        assert {known.session_name: known for known in read_events(events).sessions} == told


@pytest.mark.parametrize(
    ("outcome", "possible"),
    [
        ([], True),
        ([event("session.failed", code="no-answer")], True),
        ([event("session.failed", code="AccessDenied")], False),
        ([event("session.failed", code="too-late")], False),
        ([event("session.failed", code="ended-meanwhile", access_key_id="ASIA1")], True),
    ],
)
def test_a_session_is_possible_unless_sts_made_none_for_certain(outcome, possible) -> None:
    (known,) = read_events([ISSUING, *outcome]).sessions
    assert known.possible is possible


def test_a_no_is_found_by_the_id_that_it_had() -> None:
    record = read_events([ISSUING, event("session.failed", code="AccessDenied", sts_request_id="r-2")])
    (known,) = record.sessions
    assert record.by_call("r-2") == known
    assert (known.sts_request_id, known.access_key_id) == ("r-2", None)


def test_a_name_is_believed_only_where_nothing_better_is_known_and_all_else_fits() -> None:
    record = Record([BEGUN])
    assert record.by_name("01KS1-carol", ADMIN, NOON) == BEGUN
    assert record.by_name("01KS1-carol", ADMIN, NOON - CLOCKS) == BEGUN
    assert record.by_name("01KS1-carol", ADMIN, NOON + A_CALL + CLOCKS) == BEGUN
    assert record.by_name("01KS1-carol", ADMIN, NOON - CLOCKS - SECOND) is None
    assert record.by_name("01KS1-carol", ADMIN, NOON + A_CALL + CLOCKS + SECOND) is None
    assert record.by_name("01KS1-carol", ADMIN, None) is None
    assert record.by_name("01KS1-carol", ADMIN + "2", NOON) is None
    assert record.by_name("01KS2-carol", ADMIN, NOON) is None
    assert record.by_name(None, ADMIN, NOON) is None
    assert read_events([ISSUING, ISSUED]).by_name("01KS1-carol", ADMIN, NOON) is None
    refused = event("session.failed", code="AccessDenied")
    assert read_events([ISSUING, refused]).by_name("01KS1-carol", ADMIN, NOON) is None


def test_an_identity_is_believed_only_at_its_own_time() -> None:
    record = read_events([ISSUING, ISSUED])
    assert record.by_identity("AROA1:01KS1-carol", NOON + MINUTE)
    assert record.by_identity("AROA1:01KS1-carol", NOON + 60 * MINUTE) is None
    assert record.by_identity("AROA1:01KS1-carol", None) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "session.issuing"},
        {**ISSUING, "details": None},
        {**ISSUING, "details": {}},
        {**ISSUING, "at": "noon"},
        {**ISSUING, "request_id": 7},
        {**ISSUING, "details": {**ISSUING["details"], "role_arn": []}},
        {**ISSUED, "details": {**ISSUED["details"], "access_key_id": {}}},
    ],
)
def test_an_event_that_daypass_would_not_write_is_named(broken) -> None:
    with pytest.raises(ValueError, match=r"event 2 is of a session, but not as Daypass writes it"):
        read_events([ISSUING, broken])


def test_an_outcome_whose_beginning_was_not_exported_is_passed_over() -> None:
    assert read_events([ISSUED]).sessions == ()
