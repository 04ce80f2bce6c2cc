"""A log file's notes, and what the notes of all files come to, in whatever order and however often they came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.activity import Doings, doings, listed, of_onward, of_session, onward_of
from chalicelib.core.noting import MOST_DEEDS, MOST_NAMES, OTHERS, Note, Noted, Place, denied, note
from chalicelib.core.request import Session, SessionStatus
from tests.trails import (
    ADMIN,
    DEPLOY,
    HUB,
    MINUTE,
    NOON,
    TARGET,
    TOKEN,
    Json,
    a_denial,
    a_pair,
    a_record,
    a_session,
    a_use,
    an_issuance,
)

KEY, CHAINED, ZOES = "ASIA0000000000000001", "ASIACHAINED000000001", "ASIAZOE0000000000001"
PLACE = Place(ADMIN, "01K-carol")
SESSION = Session(
    id="01K",
    session_name="01K-carol",
    begun_at=NOON,
    status=SessionStatus.ISSUED,
    access_key_id=KEY,
    assumed_role_id="AROA:01K-carol",
    issued_at=NOON,
    expires_at=NOON + 60 * MINUTE,
)


def notes_of(*files: Sequence[object]) -> tuple[Note, ...]:
    return tuple(each for number, records in enumerate(files) for each in note(f"{number:032x}", records).notes)


def at(notes: Sequence[Note], place: Place = PLACE) -> tuple[Note, ...]:
    return tuple(each for each in notes if each.place == place)


def of(notes: Sequence[Note]) -> Doings:
    return doings(of_session(SESSION, at(notes)))


def a_story() -> list[Json]:
    """A session that is used, without its key too, is denied something, and goes on to another role."""
    session = a_session(KEY)
    chained = a_session(CHAINED, DEPLOY, "cdk", NOON + 2 * MINUTE)
    return [
        *a_pair(KEY),
        a_use(KEY, NOON + MINUTE),
        a_use(KEY, NOON + 3 * MINUTE, action="s3:PutObject", readOnly=False),
        a_use(None, NOON + 4 * MINUTE, session=a_session(None), action="kms:Decrypt"),
        a_use("ASIASERVICE000000001", NOON + 4 * MINUTE, action="kms:Decrypt"),
        a_use(KEY, NOON + 5 * MINUTE, action="iam:CreateUser", errorCode="AccessDenied", awsRegion="us-west-2"),
        a_denial(NOON + 6 * MINUTE, by=session, recipientAccountId=TARGET),
        an_issuance(CHAINED, DEPLOY, "cdk", NOON + 2 * MINUTE, by=session),
        a_use(None, NOON + 7 * MINUTE, session=chained, action="cloudformation:CreateStack"),
        a_use(KEY, NOON + 8 * MINUTE, sourceIPAddress="192.0.2.9"),
        a_record(),
        a_use("ASIAOTHER00000000001", session=a_session("ASIAOTHER00000000001", name="somebody-else")),
    ]


def test_a_session_is_told_with_all_that_was_done_with_it() -> None:
    told = of(notes_of(a_story()))
    assert told.seen_in == {HUB, TARGET}
    assert (told.issued_at, told.first_use, told.last_use) == (NOON, NOON + MINUTE, NOON + 8 * MINUTE)
    assert told.actions == {
        "iam:CreateUser": 1,
        "kms:Decrypt": 2,
        "s3:GetObject": 2,
        "s3:PutObject": 1,
        "sts:AssumeRole": 2,
    }
    assert told.services == ["iam", "kms", "s3", "sts"]
    assert (told.errors, told.denied) == ({"AccessDenied": 2}, {"iam:CreateUser": 1, "sts:AssumeRole": 1})
    assert told.regions == {"us-east-1": 7, "us-west-2": 1}
    assert told.addresses == {"192.0.2.1": 7, "192.0.2.9": 1}
    assert (told.events, told.unlisted, told.whole) == (8, 0, True)


def test_a_session_that_nothing_was_done_with_is_seen_and_not_used() -> None:
    told = of(notes_of(a_pair(KEY)))
    assert (told.seen_in, told.first_use, told.events) == (frozenset({HUB, TARGET}), None, 0)
    assert of(()).seen_in == frozenset()


def test_what_it_went_on_to_is_followed() -> None:
    notes = notes_of(a_story())
    [onward] = onward_of(of_session(SESSION, at(notes)))
    assert (onward.role_arn, onward.session_name, onward.access_key_id) == (DEPLOY, "cdk", CHAINED)
    other = notes_of([an_issuance(ZOES, DEPLOY, "cdk", NOON, by=a_session("ASIAX000000000000001"))])
    told = doings(of_onward(onward, at((*notes, *other), onward.place)))
    assert told.actions == {"cloudformation:CreateStack": 1}


@given(st.data())
def test_in_whatever_files_order_and_number_it_comes_to_the_same(data: st.DataObject) -> None:
    """A use comes before its AssumeRole, a chained session's before the one it was come to from, a file comes twice."""
    story = a_story()
    order = data.draw(st.permutations(story))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(story)), max_size=6)))
    files = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(story)], strict=True)]
    again = data.draw(st.permutations([*range(len(files)), *data.draw(st.lists(st.sampled_from(range(len(files)))))]))
    stored: dict[tuple[str, Place, object], Note] = {}
    for number in again:
        for each in note(f"{number:032x}", files[number]).notes:
            stored[each.file, each.place, each.access_key_id or each.begun_at] = each
    notes = tuple(data.draw(st.permutations(list(stored.values()))))
    assert of(notes) == of(notes_of(story))
    assert listed(of_session(SESSION, at(notes))) == listed(of_session(SESSION, at(notes_of(story))))
    assert onward_of(of_session(SESSION, at(notes))) == onward_of(of_session(SESSION, at(notes_of(story))))


def test_a_call_that_two_files_tell_counts_once() -> None:
    use = a_use(KEY)
    assert of(notes_of([use, use], [use], [a_use(KEY)])).events == 2


def test_an_addendum_and_what_it_repairs_are_one_call_and_its_word_counts() -> None:
    use = a_use(KEY, awsRegion="us-west-2")
    repaired = a_use(KEY, addendum={"reason": "UPDATED_DATA", "originalEventID": use["eventID"]})
    for files in ([[use], [repaired]], [[repaired], [use]], [[use, repaired]], [[repaired, use]]):
        told = of(notes_of(*files))
        assert (told.events, told.regions) == (1, {"us-east-1": 1})


def test_a_bypass_that_bears_the_sessions_name_is_not_the_session() -> None:
    bypass = [an_issuance(ZOES, by=a_session("ASIAY000000000000001", name="y")), a_use(ZOES, action="iam:CreateUser")]
    assert of(notes_of(a_story(), bypass)) == of(notes_of(a_story()))
    later = [a_use(ZOES, session=a_session(ZOES, begun_at=NOON + timedelta(hours=3)))]
    assert of(notes_of(a_story(), later)) == of(notes_of(a_story()))


def test_a_session_whose_answer_got_lost_is_known_by_its_name_where_one_has_it() -> None:
    lost = Session(id="01K", session_name="01K-carol", begun_at=NOON, status=SessionStatus.FAILED)
    own = notes_of(a_pair(KEY), [a_use(KEY)])
    assert doings(of_session(lost, own)).events == 1
    assert of_session(lost, (*own, *notes_of([an_issuance(ZOES)]))) == ()


def test_of_many_calls_those_that_failed_or_changed_something_are_listed_and_all_are_counted() -> None:
    reads = [a_use(KEY, NOON + MINUTE, action=f"s3:Get{n % 300}", readOnly=True) for n in range(3 * MOST_DEEDS)]
    writes = [a_use(KEY, NOON + 2 * MINUTE, action="s3:PutObject", readOnly=False) for _ in range(MOST_DEEDS - 2)]
    failed = [a_use(KEY, NOON + 3 * MINUTE, readOnly=True, errorCode="AccessDenied") for _ in range(2)]
    [told] = notes_of([*reads, *writes, *failed])
    assert [deed.action for deed in told.deeds] == ["s3:PutObject"] * (MOST_DEEDS - 2) + ["s3:GetObject"] * 2
    assert (told.more.events, len(told.more.actions)) == (3 * MOST_DEEDS, MOST_NAMES + 1)
    assert told.more.actions[OTHERS] == 300 - MOST_NAMES
    come_to = doings([told])
    assert (come_to.events, come_to.unlisted, come_to.denied) == (4 * MOST_DEEDS, 3 * MOST_DEEDS, {"s3:GetObject": 2})
    assert sum(come_to.actions.values()) == come_to.events
    assert come_to.first_use == NOON + MINUTE


@pytest.mark.parametrize(
    "hostile",
    [
        a_use("A" * 129),
        a_use(KEY, session=a_session(KEY, "arn:aws:iam::222222222222:role/daypass/" + "a" * 700)),
        a_use(KEY, session=a_session(KEY, name="n" * 200)),
        a_use(KEY, session=a_session(KEY, name="café")),
        a_use(KEY, session=a_session(KEY, principalId="nothing")),
        {"eventVersion": "2.0", "eventID": "e"},
        None,
    ],
)
def test_what_cannot_be_kept_is_counted_with_the_reason_and_the_rest_is_noted(hostile: Any) -> None:
    noted = note("0" * 32, [hostile, a_use(KEY)])
    assert sum(noted.set_aside.values()) == 1
    assert doings(noted.notes).events == 1


def test_half_a_character_is_kept_as_a_question_mark() -> None:
    noted = note(
        "0" * 32, [a_use(KEY, sourceIPAddress="\ud800", errorCode="\udfff"), an_issuance(ZOES, by=a_session("\ud800"))]
    )
    assert "?" in doings(noted.notes).addresses
    repr(noted).encode()


def test_nobodys_sessions_are_not_noted_and_no_token_is() -> None:
    plain = a_session("ASIA1", "arn:aws:iam::222222222222:role/other", "x")
    del plain["sessionContext"]["sourceIdentity"]
    lent = an_issuance("ASIA2", "arn:aws:iam::222222222222:role/other", "y", by=plain, asked={"sourceIdentity": None})
    del lent["responseElements"]["sourceIdentity"]
    assert note("0" * 32, [a_record(), a_use(None, session=plain), lent]) == Noted((), 3, {})
    assert TOKEN not in repr(note("0" * 32, a_story()))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        ("AccessDenied", True),
        ("AccessDeniedException", True),
        ("Client.UnauthorizedOperation", True),
        ("AuthorizationError", False),
        ("NoSuchBucket", False),
        (None, False),
    ],
)
def test_denied_is_what_services_call_so(error: str | None, is_one: bool) -> None:
    assert denied(error) is is_one
