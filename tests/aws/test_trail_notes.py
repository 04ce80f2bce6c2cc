"""What CloudTrail told of sessions: the table and the fake keep the same rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from chalicelib.aws.table import Table
from chalicelib.aws.trail_notes import TrailNotes
from chalicelib.broker.ports import Requests, Trail
from chalicelib.core.activity import Lent, Suspicion
from chalicelib.core.known import SEEN_WITHIN
from chalicelib.core.ledger import EventType
from chalicelib.core.noting import Note, Place, note
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Change, Request, Session, SessionStatus
from tests.builders import NOW, SECOND, a_request, a_submission
from tests.fakes import FakeRequests, FakeTrail
from tests.trails import ADMIN, MINUTE, a_pair, a_session, a_use

PLACE = Place(ADMIN, "01K-carol")
KEY = "ASIA0000000000000001"


@dataclass
class Store:
    requests: Requests
    trail: Trail

    def issued(self, name: str = "01K-carol", issued_at: datetime = NOW) -> Lent:
        """A session on the record: begun, then issued."""
        change = a_submission(role_arn=ADMIN)
        self.requests.submit(change, claim=None, max_open=9, now=NOW)
        session = Session(id=name[:26], session_name=name, begun_at=issued_at)
        begun = self.put(change.after, session)
        issued = replace(session, status=SessionStatus.ISSUED, access_key_id=KEY, issued_at=issued_at)
        return Lent(request_id=self.put(begun, issued).id, role_arn=ADMIN, session=issued)

    def put(self, request: Request, session: Session) -> Request:
        change = Change(request, request).then(
            EventType.SESSION_ISSUING, at=NOW, actor="alice", details={}, session=session
        )
        self.requests.commit(change)
        return change.after


@pytest.fixture(params=["fake", "table"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "fake":
        requests = FakeRequests()
        return Store(requests, FakeTrail(requests))
    table = request.getfixturevalue("table")
    return Store(table, TrailNotes(table))


def a_note(file: str = "0" * 32, key: str | None = KEY) -> Note:
    use = a_use(key, NOW + MINUTE, session=a_session(key, begun_at=NOW))
    told = note(file, [*a_pair(KEY, at=NOW), use] if key else [use]).notes
    [made] = (each for each in told if each.place == PLACE)
    return made


def a_suspicion(name: str = "zoe", **changed: object) -> Suspicion:
    told = {"role_arn": ADMIN, "session_name": name, "access_key_id": "ASIAZOE", "begun_at": None, **changed}
    return Suspicion(**told)  # type: ignore[arg-type]


def test_nothing_is_known_of_a_place_that_nobody_told_of(store: Store) -> None:
    told = store.trail.told(PLACE, most=10)
    assert (told.lent, told.notes, told.whole) == (None, (), True)
    assert store.trail.lent([PLACE]) == {}


def test_a_note_is_read_as_it_was_put_however_often_it_was(store: Store) -> None:
    notes = [a_note(), a_note("1" * 32), a_note(key=None)]
    for _ in range(2):
        store.trail.put(notes)
        store.trail.put(notes[:1])
    assert sorted(store.trail.told(PLACE, most=10).notes, key=str) == sorted(notes, key=str)
    assert store.trail.told(Place(ADMIN, "01K-carol2"), most=10).notes == ()


def test_more_notes_than_one_call_takes_are_put_and_no_more_read_than_are_asked_for(store: Store) -> None:
    notes = [a_note(f"{number:032x}") for number in range(60)]
    store.trail.put(notes)
    assert len(store.trail.told(PLACE, most=60).notes) == 60
    assert store.trail.told(PLACE, most=60).whole
    few = store.trail.told(PLACE, most=59)
    assert (few.notes, few.whole) == (tuple(notes[:59]), False)


def test_a_session_on_the_record_is_found_by_its_role_and_name_as_it_is_now(store: Store) -> None:
    lent, other = store.issued(), store.issued("02K-carol")
    assert store.trail.lent([PLACE, Place(ADMIN, "none"), other.place]) == {PLACE: lent, other.place: other}
    noted = a_note()
    store.trail.put([noted])
    told = store.trail.told(PLACE, most=1)
    assert (told.lent, told.notes, told.whole) == (lent, (noted,), True)


def test_a_session_is_waited_for_from_half_an_hour_after_it_was_issued_until_it_is_settled(store: Store) -> None:
    lent = store.issued()
    assert store.trail.unseen(now=NOW + SEEN_WITHIN - SECOND) == []
    assert store.trail.unseen(now=NOW + SEEN_WITHIN) == [lent]
    store.trail.settled(lent)
    store.trail.settled(lent)
    assert store.trail.unseen(now=NOW + SEEN_WITHIN) == []
    assert store.trail.lent([PLACE]) == {PLACE: lent}


def test_a_session_that_was_begun_only_is_not_waited_for(store: Store) -> None:
    change = a_submission(a_request(role_arn=ADMIN))
    store.requests.submit(change, claim=None, max_open=9, now=NOW)
    store.put(change.after, Session(id="01K", session_name="01K-carol", begun_at=NOW))
    assert store.trail.unseen(now=NOW + timedelta(days=1)) == []


def test_what_is_suspected_is_due_once_however_often_it_is_told(store: Store) -> None:
    first, second = a_suspicion(), a_suspicion("zoe2", access_key_id=None, begun_at=NOW)
    store.trail.suspect(second, due=NOW + SECOND)
    for due in (NOW, NOW + MINUTE, NOW - MINUTE):
        store.trail.suspect(first, due=due)
    assert store.trail.suspicions(now=NOW - SECOND) == []
    assert store.trail.suspicions(now=NOW) == [first]
    assert store.trail.suspicions(now=NOW + MINUTE) == [first, second]
    store.trail.judged(first, bypass=True)
    store.trail.suspect(first, due=NOW)
    assert store.trail.suspicions(now=NOW + MINUTE) == [second]


def test_what_was_no_bypass_may_be_suspected_again(store: Store) -> None:
    store.trail.suspect(a_suspicion(), due=NOW)
    store.trail.judged(a_suspicion(), bypass=False)
    assert store.trail.suspicions(now=NOW) == []
    for due in (NOW + MINUTE, NOW):
        store.trail.suspect(a_suspicion(), due=due)
    assert store.trail.suspicions(now=NOW) == []
    assert store.trail.suspicions(now=NOW + MINUTE) == [a_suspicion()]


def test_where_the_table_is_out_nothing_is_told(connect: Callable[..., Table], closed_port: str) -> None:
    trail = TrailNotes(connect("nowhere", host=closed_port))
    for act in (
        lambda: trail.put([a_note()]),
        lambda: trail.told(PLACE, most=1),
        lambda: trail.lent([PLACE]),
        lambda: trail.suspect(a_suspicion(), due=NOW),
        lambda: trail.suspicions(now=NOW),
        lambda: trail.unseen(now=NOW),
    ):
        with pytest.raises(Unavailable):
            act()
