"""The denies at a role: what each cuts, and what their names alone tell of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import denies
from chalicelib.core.denies import NEEDED, PERSON_ABOVE, ROLE_ABOVE, Cut
from chalicelib.core.policy_grammar import minified
from chalicelib.core.principal import source_identity
from chalicelib.core.request import Covers
from chalicelib.core.times import stamp
from tests import iam
from tests.builders import NOW, SECOND, an_id, instants, names

CAROLS = Cut(role_arn="arn:role", request_id=an_id(), source_identity="carol@example.com", before=NOW)
BOBS = replace(CAROLS, request_id=an_id(), source_identity="bob@example.com")

cuts = st.builds(
    Cut, role_arn=st.just("arn:role"), request_id=st.builds(an_id), source_identity=names.map(source_identity),
    before=instants,
)  # fmt: skip


def session(cut: Cut, made=NOW - SECOND) -> dict[str, str]:
    """The condition keys that a session of it carries."""
    return {
        "aws:PrincipalTag/daypass:request": cut.request_id,
        "aws:SourceIdentity": cut.source_identity,
        "aws:TokenIssueTime": stamp(made),
    }


def test_each_width_cuts_the_request_and_of_the_others_what_it_says() -> None:
    another = replace(CAROLS, request_id=an_id())
    told = {
        covers: [iam.cut([denies.document(CAROLS, covers)], session(of)) for of in (CAROLS, another, BOBS)]
        for covers in Covers
    }
    assert told == {
        Covers.REQUEST: [True, False, False],
        Covers.PERSON: [True, True, False],
        Covers.ROLE: [True, True, True],
    }


@pytest.mark.parametrize("covers", [Covers.PERSON, Covers.ROLE])
def test_a_wide_one_cuts_what_was_made_before_its_instant_and_nothing_that_is_made_from_then_on(covers) -> None:
    policy = denies.document(CAROLS, covers)
    assert iam.cut([policy], session(CAROLS, NOW - SECOND))
    assert not iam.cut([policy], session(CAROLS, NOW))


@pytest.mark.parametrize("covers", Covers)
def test_a_session_that_is_not_daypasss_carries_no_tag_and_no_source_identity(covers) -> None:
    foreign = {"aws:TokenIssueTime": stamp(NOW - SECOND)}
    assert iam.cut([denies.document(CAROLS, covers)], foreign) == (covers is Covers.ROLE)


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringLike": {"aws:userid": "*"}}},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {}},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"aws:userid": "x"}}},
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:userid": "x"}}},
    ],
)
def test_the_judge_of_these_tests_takes_nothing_that_it_does_not_understand(statement) -> None:
    with pytest.raises(ValueError):
        iam.cut([denies.document(CAROLS, Covers.ROLE), json.dumps({"Statement": [statement]})], session(CAROLS))


@given(cut=cuts, covers=st.sampled_from(Covers))
def test_a_name_tells_all_but_whose_identity_it_is_and_iam_takes_it(cut: Cut, covers: Covers) -> None:
    standing = denies.named(cut, covers)
    assert denies.read(standing.name) == standing
    assert len(standing.name) <= 128
    assert set(standing.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


@given(cut=cuts, covers=st.sampled_from(Covers))
def test_the_room_that_a_name_tells_is_enough_and_seldom_too_much(cut: Cut, covers: Covers) -> None:
    policy = denies.document(cut, covers)
    assert policy == minified(json.loads(policy))
    spare = 64 - len(cut.source_identity) if covers is Covers.PERSON else 0
    assert denies.room(denies.named(cut, covers)) == len(policy) + spare


@pytest.mark.parametrize(
    "name",
    [
        "daypass",
        "daypass-deny-",
        "daypass-deny-x",
        "daypass-deny-role",
        "daypass-deny-role-20319999T120000Z",
        "daypass-deny-role-20310305T120000Z-x",
        "daypass-deny-person-20310305T120000Z",
        "daypass-deny-01K0000001000000000000000",
        "AWSRevokeOlderSessions",
    ],
)
def test_what_is_called_otherwise_is_not_ours(name: str) -> None:
    assert denies.read(name) is None


@given(first=names, second=names)
def test_two_people_never_share_a_policy(first: str, second: str) -> None:
    one, other = (
        denies.named(replace(CAROLS, source_identity=source_identity(who)), Covers.PERSON) for who in (first, second)
    )
    assert (one.name == other.name) == (first == second)


def test_denies_widen_before_the_role_is_full_and_a_wide_one_still_fits() -> None:
    widths = [denies.width(used) for used in (0, PERSON_ABOVE, PERSON_ABOVE + 1, ROLE_ABOVE, ROLE_ABOVE + 1, 10_240)]
    assert widths == [*[Covers.REQUEST] * 2, *[Covers.PERSON] * 2, *[Covers.ROLE] * 2]
    rooms = {covers: denies.room(denies.named(CAROLS, covers)) for covers in Covers}
    assert rooms[Covers.ROLE] < rooms[Covers.REQUEST] < rooms[Covers.PERSON]
    # Also for three at the same instant, each with its narrow one beside it.
    assert ROLE_ABOVE + 3 * (rooms[Covers.REQUEST] + rooms[Covers.ROLE]) < 10_240


# What stands for what. The instants of all are within a few seconds.

moments = st.integers(-3, 3).map(lambda seconds: NOW + timedelta(seconds=seconds))
near = st.builds(
    lambda who, before: replace(CAROLS, request_id=an_id(), source_identity=who, before=before),
    st.sampled_from(["carol@example.com", "bob@example.com"]),
    moments,
)
standings = st.lists(st.tuples(near, st.sampled_from(Covers)), max_size=6)


@given(cut=near, standing=standings, made=moments)
def test_what_covers_a_request_cuts_every_session_of_it(cut: Cut, standing, made) -> None:
    by = denies.covering(cut, [denies.named(*each) for each in standing])
    if by is not None and made < cut.before:
        policies = [denies.document(*each) for each in standing if denies.named(*each) == by]
        assert iam.cut(policies, session(cut, made))


@given(cut=near, covers=st.sampled_from(Covers), standing=standings, of=near, made=moments)
def test_whatever_a_superseded_deny_cuts_the_later_one_cuts_too(cut: Cut, covers: Covers, standing, of, made) -> None:
    by = denies.named(cut, covers)
    gone = set(denies.superseded(by, [denies.named(*each) for each in standing]))
    assert by not in gone
    for each in standing:
        if denies.named(*each) in gone and iam.cut([denies.document(*each)], session(of, made)):
            assert iam.cut([denies.document(cut, covers)], session(of, made))


@given(standing=standings)
def test_no_two_denies_supersede_each_other(standing) -> None:
    for one, other in itertools.combinations({denies.named(*each) for each in standing}, 2):
        assert not ({*denies.superseded(one, [other])} and {*denies.superseded(other, [one])})


@given(cut=near, covers=st.sampled_from(Covers), lasted=st.integers(0, 12 * 3600))
def test_a_wide_deny_is_needless_only_when_every_session_that_it_cuts_has_expired(cut, covers, lasted) -> None:
    standing = denies.named(cut, covers)
    last = cut.before - SECOND + timedelta(seconds=lasted)
    assert not denies.needless(standing, last)
    assert denies.needless(standing, cut.before + NEEDED) == (covers is not Covers.REQUEST)
