"""Denies near the limit of a role's inline policies: wider ones, that nobody's race or failure can lose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.revoker import WITHIN, IamRevoker
from chalicelib.aws.role_policies import LONGEST_CALL
from chalicelib.broker.ports import CannotDeny
from chalicelib.core import denies
from chalicelib.core.denies import NEEDED, PERSON_ABOVE, ROLE_ABOVE, Cut, Standing
from chalicelib.core.request import Covers
from chalicelib.core.times import stamp
from tests import iam as judge
from tests.aws.fake_iam import LIMIT, FakeIam, a_revoker, says, silence
from tests.builders import HOUR, NOW, SECOND, an_id
from tests.turns import Order, Turns, both, orders

ROLE_ARN = "arn:aws:iam::222222222222:role/daypass/PaymentsAdmin"


def a_cut(who: str = "carol@example.com", before=NOW) -> Cut:
    return Cut(role_arn=ROLE_ARN, request_id=an_id(), source_identity=who, before=before)


def cuts(iam: FakeIam, cut: Cut) -> bool:
    """Whether the role's policies cut the last session that the request can have."""
    session = {
        "aws:PrincipalTag/daypass:request": cut.request_id,
        "aws:SourceIdentity": cut.source_identity,
        "aws:TokenIssueTime": stamp(cut.before - SECOND),
    }
    return judge.cut([text for name, text in iam.policies.items() if denies.read(name)], session)


def nearly_full(characters: int, *standing: tuple[Cut, Covers]) -> FakeIam:
    """A role that will hold so many characters with one more request's deny."""
    iam = FakeIam()
    for each in standing:
        iam.hold(*each)
    own = denies.room(denies.named(a_cut(), Covers.REQUEST))
    iam.fill(characters - own)
    return iam


def ours(iam: FakeIam) -> list[str]:
    return sorted(name for name in iam.policies if denies.read(name))


@pytest.mark.parametrize(
    ("characters", "covers"),
    [
        (1_000, Covers.REQUEST),
        (PERSON_ABOVE, Covers.REQUEST),
        (PERSON_ABOVE + 1, Covers.PERSON),
        (ROLE_ABOVE, Covers.PERSON),
        (ROLE_ABOVE + 1, Covers.ROLE),
        (LIMIT - 200, Covers.ROLE),
    ],
)
def test_the_fuller_the_role_the_wider_the_deny_and_it_stands_alone(characters: int, covers: Covers) -> None:
    iam, cut = nearly_full(characters), a_cut()
    assert a_revoker(iam).deny(cut) == denies.named(cut, covers)
    assert ours(iam) == [denies.named(cut, covers).name]
    assert cuts(iam, cut)
    others = [cuts(iam, a_cut("carol@example.com")), cuts(iam, a_cut("bob@example.com"))]
    assert others == [covers is not Covers.REQUEST, covers is Covers.ROLE]


def test_the_requests_own_deny_is_written_before_anything_is_looked_at() -> None:
    iam, cut = nearly_full(PERSON_ABOVE + 1), a_cut()
    a_revoker(iam).deny(cut)
    own, wide = (denies.named(cut, covers).name for covers in (Covers.REQUEST, Covers.PERSON))
    assert iam.calls == [f"put {own}", "list", "get permissions", f"put {wide}", f"delete {own}"]


def test_some_forty_denies_of_requests_find_room_and_the_next_ones_are_of_persons_and_of_the_role() -> None:
    iam = FakeIam()
    revoker, told = a_revoker(iam), []
    for number in range(70):
        cut = a_cut(f"person-{number}@example.com", NOW + number * SECOND)
        told.append(revoker.deny(cut).covers)
        assert cuts(iam, cut)
    narrow = told.count(Covers.REQUEST)
    # One for the role takes the place of those for persons, so that these come again.
    assert (set(told[:narrow]), set(told[narrow:])) == ({Covers.REQUEST}, {Covers.PERSON, Covers.ROLE})
    assert narrow in range(40, 50)
    assert sum(map(len, iam.policies.values())) < LIMIT


def test_the_list_is_read_to_its_end() -> None:
    iam, cut = FakeIam(page=7), a_cut()
    for number in range(52):
        iam.hold(a_cut(f"person-{number}@example.com"), Covers.REQUEST)
    assert a_revoker(iam).deny(cut).covers is Covers.ROLE
    assert iam.calls.count("list") == 8


def test_policies_of_others_are_measured_some_of_them() -> None:
    iam = FakeIam()
    for number in range(40):
        iam.policies[f"permissions-{number}"] = '"x"'
    a_revoker(iam).deny(a_cut())
    assert sum(call.startswith("get") for call in iam.calls) == 10


def test_a_wide_deny_takes_the_place_of_the_earlier_ones_that_it_stands_for_and_of_no_other() -> None:
    earlier, later, bobs = a_cut(before=NOW - HOUR), a_cut(before=NOW + HOUR), a_cut("bob@example.com", NOW - HOUR)
    stood = [(each, covers) for each in (earlier, later, bobs) for covers in (Covers.PERSON, Covers.REQUEST)]
    iam, cut = nearly_full(PERSON_ABOVE + 1, *[each for each in stood if each != (later, Covers.PERSON)]), a_cut()
    before = ours(iam)
    a_revoker(iam).deny(cut)
    gone, new = denies.named(earlier, Covers.PERSON).name, denies.named(cut, Covers.PERSON).name
    assert ours(iam) == sorted({*before, new} - {gone})
    assert [cuts(iam, each) for each in (earlier, later, bobs)] == [True, True, True]


def test_one_for_the_role_takes_the_place_of_those_for_persons() -> None:
    bobs = a_cut("bob@example.com", NOW - HOUR)
    iam, cut = nearly_full(ROLE_ABOVE + 1, (bobs, Covers.PERSON)), a_cut()
    a_revoker(iam).deny(cut)
    assert ours(iam) == [denies.named(cut, Covers.ROLE).name]
    assert cuts(iam, bobs)


@pytest.mark.parametrize("covers", [Covers.PERSON, Covers.ROLE])
@pytest.mark.parametrize("characters", [PERSON_ABOVE + 1, LIMIT + 1])
def test_what_a_later_wide_deny_cuts_already_needs_none_of_its_own(covers: Covers, characters: int) -> None:
    there = a_cut(before=NOW + SECOND)
    iam, cut = nearly_full(characters, (there, covers)), a_cut()
    assert a_revoker(iam).deny(cut) == denies.named(there, covers)
    assert ours(iam) == [denies.named(there, covers).name]
    assert cuts(iam, cut)


def test_where_there_is_no_room_for_the_requests_own_the_roles_is_written() -> None:
    iam, cut = nearly_full(LIMIT + 1), a_cut()
    assert a_revoker(iam).deny(cut) == denies.named(cut, Covers.ROLE)
    assert cuts(iam, cut)


def test_where_there_is_no_room_at_all_that_is_told() -> None:
    iam = FakeIam()
    iam.fill(LIMIT)
    with pytest.raises(CannotDeny, match="10,240") as caught:
        a_revoker(iam).deny(a_cut())
    assert caught.value.code == "LimitExceeded"


@pytest.mark.parametrize("characters", [1_000, PERSON_ABOVE + 1, ROLE_ABOVE + 1, LIMIT + 1])
def test_doing_it_twice_changes_nothing(characters: int) -> None:
    iam, cut = nearly_full(characters), a_cut()
    first, policies = a_revoker(iam).deny(cut), dict(iam.policies)
    assert (a_revoker(iam).deny(cut), iam.policies) == (first, policies)


# Removal.


def test_the_requests_own_is_removed_at_its_time_and_nothing_is_listed_for_it() -> None:
    iam, cut, other = FakeIam(), a_cut(), a_cut()
    for each in (cut, other):
        iam.hold(each, Covers.REQUEST)
    a_revoker(iam).allow_again(cut, Covers.REQUEST, NOW)
    assert (iam.calls, cuts(iam, other)) == ([f"delete {denies.named(cut, Covers.REQUEST).name}"], True)


def test_of_the_wide_ones_only_what_nobody_needs_any_more_is_removed() -> None:
    cut, other, fresh = a_cut(), a_cut("bob@example.com"), a_cut(before=NOW + SECOND)
    iam = FakeIam()
    for each in [(cut, Covers.REQUEST), (cut, Covers.PERSON), (other, Covers.ROLE), (fresh, Covers.ROLE)]:
        iam.hold(*each)
    iam.fill(5_000)
    a_revoker(iam).allow_again(cut, Covers.ROLE, NOW + NEEDED)
    assert sorted(iam.policies) == [denies.named(fresh, Covers.ROLE).name, "permissions"]
    a_revoker(iam).allow_again(fresh, Covers.ROLE, NOW + NEEDED + SECOND)
    assert sorted(iam.policies) == ["permissions"]


@pytest.mark.parametrize("covers", Covers)
def test_removing_is_fine_where_there_is_nothing(covers: Covers) -> None:
    a_revoker(FakeIam()).allow_again(a_cut(), covers, NOW)


# Two at once, in every order of their calls. What was cut once stays cut at every moment.


@dataclass
class Side:
    """One writer's client: each call waits for its turn, and after each nobody may be less cut than before."""

    iam: FakeIam
    turns: Turns
    name: str
    watched: list[Cut]
    once: set[str] = field(default_factory=set)

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def act(**asked: Any) -> Any:
            with self.turns.turn(self.name):
                try:
                    return getattr(self.iam, call)(**asked)
                finally:
                    now = {cut.request_id for cut in self.watched if cuts(self.iam, cut)}
                    assert self.once <= now, "what was cut is let through again"
                    self.once |= now

        return act


LATER = [timedelta(0), SECOND, timedelta(minutes=5)]
SITUATIONS = {
    "persons, one person": (PERSON_ABOVE + 1, "carol@example.com"),
    "persons, two persons": (PERSON_ABOVE + 1, "bob@example.com"),
    "the role's": (ROLE_ABOVE + 1, "bob@example.com"),
    "no room for their own": (LIMIT + 1, "bob@example.com"),
}


@pytest.mark.parametrize("later", LATER, ids=str)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_two_revocations_at_once_are_both_in_force_whatever_the_order_of_their_calls(situation, later) -> None:
    characters, who = SITUATIONS[situation]
    for order in orders(A=5, B=5):
        old = a_cut(before=NOW - SECOND)
        iam = nearly_full(characters, (old, Covers.PERSON))
        a, b = a_cut(), a_cut(who, NOW + later)
        turns, once = Turns(order), set[str]()
        sides = [Side(iam, turns, name, [old, a, b], once) for name in "AB"]
        first, second = (a_revoker(side) for side in sides)
        told = both(turns, A=lambda: denied(first, a), B=lambda: denied(second, b))
        assert cuts(iam, old)
        for cut, outcome in zip((a, b), told, strict=True):
            assert isinstance(outcome, Standing) <= cuts(iam, cut), order
        assert situation == "no room for their own" or all(isinstance(outcome, Standing) for outcome in told)


def denied(revoker: IamRevoker, cut: Cut) -> Standing | str:
    try:
        return revoker.deny(cut)
    except CannotDeny as cannot:
        return cannot.code


@pytest.mark.parametrize("order", orders(A=5, R=4), ids="".join)
def test_a_removal_at_the_same_time_takes_nothing_that_is_needed(order: Order) -> None:
    over = a_cut("bob@example.com", NOW - NEEDED)
    iam = nearly_full(ROLE_ABOVE + 500, (over, Covers.REQUEST), (over, Covers.ROLE))
    cut = a_cut()
    turns, once = Turns(order), set[str]()
    writer, remover = (a_revoker(Side(iam, turns, name, [cut], once)) for name in "AR")
    both(turns, A=lambda: writer.deny(cut), R=lambda: remover.allow_again(over, Covers.ROLE, NOW))
    assert cuts(iam, cut)
    assert ours(iam) == [denies.named(cut, Covers.ROLE).name]


# Each call fails in every way.


class Broken:
    """A client of which one call, by its number, goes wrong."""

    def __init__(self, iam: FakeIam, fails_at: int, error: Callable[[], Exception], *, done: bool) -> None:
        self.iam, self.fails_at, self.error, self.done = iam, fails_at, error, done
        self.number = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def act(**asked: Any) -> Any:
            self.number += 1
            if self.number != self.fails_at:
                return getattr(self.iam, name)(**asked)
            if self.done:
                getattr(self.iam, name)(**asked)
            raise self.error()

        return act


FAULTS: dict[str, tuple[Callable[[], Exception], bool]] = {
    "AWS said no": (lambda: says("AccessDenied", 403), False),
    "AWS failed": (lambda: says("ServiceFailure", 500), False),
    "AWS failed, having done it": (lambda: says("ServiceFailure", 500), True),
    "nobody answered": (silence, False),
    "nobody answered, but it was done": (silence, True),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("characters", [1_000, PERSON_ABOVE + 1, ROLE_ABOVE + 1, LIMIT + 1])
@pytest.mark.parametrize("number", range(1, 7))
def test_given_one_call_fails_then_what_is_told_stands_and_nothing_wider_than_told(fault, characters, number) -> None:
    old = a_cut("bob@example.com", NOW - SECOND)
    iam, cut = nearly_full(characters, (old, Covers.PERSON)), a_cut()
    error, done = FAULTS[fault]
    try:
        told = a_revoker(Broken(iam, number, error, done=done)).deny(cut)
    except CannotDeny:
        pass
    else:
        assert cuts(iam, cut)
        widest = max(
            (list(Covers).index(s.covers) for s in map(denies.read, ours(iam)) if s and s.before == NOW), default=0
        )
        assert list(Covers).index(told.covers) >= widest
    assert cuts(iam, old)
    again = a_revoker(iam).deny(cut)
    assert cuts(iam, cut)
    assert again.name in ours(iam)
    a_revoker(iam).allow_again(cut, Covers.ROLE, NOW + NEEDED)
    assert ours(iam) == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", range(1, 5))
def test_given_one_call_of_a_removal_fails_then_that_is_told_and_the_next_one_removes_the_rest(fault, number) -> None:
    iam, cut = FakeIam(), a_cut()
    for covers in Covers:
        iam.hold(cut, covers)
    error, done = FAULTS[fault]
    with pytest.raises(CannotDeny):
        a_revoker(Broken(iam, number, error, done=done)).allow_again(cut, Covers.ROLE, NOW + NEEDED)
    a_revoker(iam).allow_again(cut, Covers.ROLE, NOW + NEEDED)
    assert ours(iam) == []


# Time: the calls' own, as long as the clients' patience lets them be.


class Slow:
    """A client whose calls last as told, on a clock that only they move."""

    def __init__(self, iam: FakeIam, seconds: list[float]) -> None:
        self.iam, self.seconds, self.now = iam, list(seconds), 0.0

    def pass_time(self) -> None:
        self.now += self.seconds.pop(0) if self.seconds else LONGEST_CALL

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def act(**asked: Any) -> Any:
            self.pass_time()
            return getattr(self.iam, name)(**asked)

        return act


def slow_revoker(slow: Slow) -> Any:
    revoker = a_revoker(slow, clock=lambda: slow.now)
    assume_role = revoker._sts.assume_role

    def slowly(**asked: Any) -> Any:
        slow.pass_time()
        return assume_role(**asked)

    revoker._sts.assume_role = slowly  # type: ignore[method-assign]
    return revoker


lasting = st.lists(st.floats(0, LONGEST_CALL), min_size=2, max_size=8)


@given(seconds=lasting, characters=st.sampled_from([1_000, PERSON_ABOVE + 1, ROLE_ABOVE + 1]))
def test_a_deny_is_written_and_all_is_over_within_five_seconds_however_slow_iam_is(seconds, characters) -> None:
    iam, cut = nearly_full(characters), a_cut()
    slow = Slow(iam, seconds)
    told = slow_revoker(slow).deny(cut)
    assert slow.now <= WITHIN
    assert cuts(iam, cut)
    assert told.name in ours(iam)


@given(seconds=lasting, covers=st.sampled_from(Covers))
def test_a_removal_is_over_within_five_seconds_and_says_where_it_was_not_all(seconds, covers) -> None:
    iam, cut = FakeIam(), a_cut()
    for each in {Covers.REQUEST, covers}:
        iam.hold(cut, each)
    slow = Slow(iam, seconds)
    told = None
    try:
        slow_revoker(slow).allow_again(cut, covers, NOW + NEEDED)
    except CannotDeny as cannot:
        told = cannot.code
    assert (told, ours(iam) == []) in ((None, True), ("no-time", False))
    assert slow.now <= WITHIN


def test_where_sts_takes_longer_than_it_may_the_requests_own_deny_is_tried_all_the_same() -> None:
    slow = Slow(FakeIam(), [30.0, 0.1])
    cut = a_cut()
    assert slow_revoker(slow).deny(cut) == denies.named(cut, Covers.REQUEST)
    assert cuts(slow.iam, cut)


def test_a_revoker_that_may_not_list_still_denies_and_says_why_nothing_was_merged(caplog) -> None:
    iam, cut = nearly_full(ROLE_ABOVE + 1), a_cut()
    told = a_revoker(Broken(iam, 2, lambda: says("AccessDenied", 403), done=False)).deny(cut)
    assert told == denies.named(cut, Covers.REQUEST)
    [line] = [record for record in caplog.records if record.message == "deny_not_widened"]
    assert vars(line)["code"] == "AccessDenied"
