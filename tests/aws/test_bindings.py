"""The rules of `ports.Bindings`, which the table and its fake both keep."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.aws.bindings import Bindings as StoredBindings
from chalicelib.broker.ports import Bindings, Stale
from chalicelib.core.binding import Binding, Offer, SlackUser, digest
from chalicelib.core.principal import Kind
from tests.builders import NOW, SECOND, a_request, a_submission, an_id, instants, names, texts
from tests.fakes import FakeBindings, FakeRequests

MINUTE = timedelta(minutes=1)

both = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
bindings = st.builds(
    Binding,
    user=st.builds(SlackUser, team=st.builds(an_id), id=names),
    email=names,
    principal_id=names,
    kind=st.sampled_from(Kind),
    groups=st.frozensets(texts, max_size=3),
    issuer=names,
    confirmed_at=instants,
)


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return FakeBindings(FakeRequests())
    return StoredBindings(request.getfixturevalue("table"))


def a_user(team: str = "T1") -> SlackUser:
    return SlackUser(team, f"U{an_id()}")


def a_binding(**changed: Any) -> Binding:
    binding = Binding(
        user=a_user(),
        email="carol@example.com",
        principal_id=f"{an_id()}@example.com",
        kind=Kind.HUMAN,
        groups=frozenset({"sre", "oncall"}),
        issuer="local-people",
        confirmed_at=NOW,
    )
    return replace(binding, **changed)


def offered(store: Bindings, user: SlackUser, **changed: Any) -> str:
    code = digest(an_id())
    store.offer(code, replace(Offer(user=user, email="carol@example.com", until=NOW + 10 * MINUTE), **changed))
    return code


def bound(store: Bindings, **changed: Any) -> Binding:
    binding = a_binding(**changed)
    assert store.bind(offered(store, binding.user), binding) is None
    return binding


@both
@given(binding=bindings)
def test_any_binding_comes_back_exactly_as_it_was_stored(store: Bindings, binding: Binding) -> None:
    code = offered(store, binding.user, until=binding.confirmed_at + SECOND)
    store.bind(code, binding)
    assert store.bound(binding.user) == (binding, None)


def test_a_code_comes_back_and_afterwards_says_who_used_it(store: Bindings) -> None:
    binding = a_binding()
    code = offered(store, binding.user)
    assert store.offered(code) == Offer(user=binding.user, email="carol@example.com", until=NOW + 10 * MINUTE)
    store.bind(code, binding)
    used = store.offered(code)
    assert used is not None
    assert used.used_by == binding.principal_id
    assert store.offered(digest("another")) is None


def test_a_binding_and_the_request_that_its_user_acts_on_come_together(store: Any) -> None:
    change = a_submission(a_request())
    requests = store.requests if isinstance(store, FakeBindings) else store._table
    requests.submit(change, claim=None, max_open=9, now=NOW)
    binding = bound(store)
    assert store.bound(binding.user, change.after.id) == (binding, change.after)
    assert store.bound(a_user(), change.after.id) == (None, change.after)
    assert store.bound(binding.user, an_id()) == (binding, None)


def test_the_same_id_in_another_team_is_another_user(store: Bindings) -> None:
    binding = bound(store)
    assert store.bound(SlackUser("T2", binding.user.id)) == (None, None)


@pytest.mark.parametrize("late", [10 * MINUTE, 11 * MINUTE])
def test_a_code_that_is_over_binds_nobody(store: Bindings, late: timedelta) -> None:
    binding = a_binding(confirmed_at=NOW + late)
    with pytest.raises(Stale):
        store.bind(offered(store, binding.user), binding)
    assert store.bound(binding.user) == (None, None)


def test_a_code_binds_once_also_where_two_confirm_it_at_the_same_moment(store: Bindings) -> None:
    user = a_user()
    code, barrier = offered(store, user), Barrier(2)

    def confirmed(binding: Binding) -> bool:
        barrier.wait()
        try:
            store.bind(code, binding)
        except Stale:
            return False
        return True

    rivals = [a_binding(user=user), a_binding(user=user)]
    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(confirmed, rivals))
    assert sorted(won) == [False, True]
    assert store.bound(user) == (rivals[won.index(True)], None)


def test_a_new_user_of_the_same_team_replaces_the_one_before_and_is_told_so(store: Bindings) -> None:
    first = bound(store)
    second = replace(first, user=a_user(), confirmed_at=NOW + MINUTE)
    assert store.bind(offered(store, second.user), second) == first.user
    assert store.bound(second.user) == (second, None)
    assert store.bound(first.user) == (replace(first, ended_at=NOW + MINUTE), None)
    elsewhere = replace(first, user=a_user("T2"))
    assert store.bind(offered(store, elsewhere.user), elsewhere) is None
    assert store.bound(second.user) == (second, None)


def test_the_same_user_confirmed_again_replaces_nobody(store: Bindings) -> None:
    first = bound(store)
    again = replace(first, groups=frozenset({"sre"}), confirmed_at=NOW + MINUTE)
    assert store.bind(offered(store, again.user), again) is None
    assert store.bound(first.user) == (again, None)


def test_a_user_who_is_somebody_elses_by_now_stays_theirs(store: Bindings) -> None:
    first = bound(store)
    theirs = bound(store, user=first.user)
    moved = replace(first, user=a_user())
    assert store.bind(offered(store, moved.user), moved) is None
    assert store.bound(first.user) == (theirs, None)
    assert store.bound(moved.user) == (moved, None)


def test_who_ends_their_bindings_is_nobody_in_slack_until_they_confirm_again(store: Bindings) -> None:
    here = bound(store)
    there = replace(here, user=a_user("T2"))
    other = bound(store)
    store.bind(offered(store, there.user), there)
    assert sorted(map(str, store.unbind(here.principal_id, NOW + MINUTE))) == sorted(map(str, (here.user, there.user)))
    for binding in (here, there):
        assert store.bound(binding.user) == (replace(binding, ended_at=NOW + MINUTE), None)
    assert store.bound(other.user) == (other, None)
    assert store.unbind(here.principal_id, NOW + 2 * MINUTE) == ()
    again = replace(here, confirmed_at=NOW + 3 * MINUTE)
    assert store.bind(offered(store, again.user), again) is None
    assert store.bound(here.user) == (again, None)


def test_who_bound_nobody_or_lost_the_user_to_somebody_else_ends_nothing(store: Bindings) -> None:
    first = bound(store)
    theirs = bound(store, user=first.user)
    assert store.unbind(first.principal_id, NOW) == ()
    assert store.unbind("nobody@example.com", NOW) == ()
    assert store.bound(first.user) == (theirs, None)


def test_a_principal_is_told_where_they_are_bound_in_one_team(table: Any) -> None:
    store = StoredBindings(table)
    carol, dave = a_binding(), a_binding()
    for binding in (carol, dave, replace(dave, user=a_user("T2"))):
        store.bind(offered(store, binding.user), binding)
    assert store.users_of([carol.principal_id, dave.principal_id, "nobody@example.com"]) == {
        carol.principal_id: carol.user.id
    }


def test_nobody_is_told_anything_where_they_ended_their_binding(table: Any) -> None:
    store = StoredBindings(table)
    carol = a_binding()
    store.bind(offered(store, carol.user), carol)
    store.unbind(carol.principal_id, NOW)
    assert store.users_of([carol.principal_id]) == {}


def test_given_a_user_became_somebody_elses_then_nothing_of_the_first_is_told_there(table: Any) -> None:
    store = StoredBindings(table)
    carol = a_binding()
    dave = a_binding(user=carol.user)
    for binding in (carol, dave):
        store.bind(offered(store, binding.user), binding)
    assert store.users_of([carol.principal_id, dave.principal_id]) == {dave.principal_id: carol.user.id}
