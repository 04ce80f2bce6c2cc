"""Binding a Slack user: a code that is given to one and confirmed by the other, who has to be the same person."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.broker import binding
from chalicelib.broker.ports import Stale
from chalicelib.core.binding import SlackUser, digest
from chalicelib.core.refusals import Invalid, NotEligible, NotFound
from chalicelib.identity.slack_user import not_bound
from tests.builders import SECOND
from tests.people import ALICE, BOB, ROBOT
from tests.stage import Stage

USER = SlackUser("T1", "U1")
MINUTES = timedelta(minutes=10)


def offered(stage: Stage, email: str = ALICE.id, user: SlackUser = USER) -> str:
    return binding.offer(stage.world, user, email)


def test_who_confirms_a_code_is_bound_with_the_groups_of_the_sign_in() -> None:
    stage = Stage()
    bound = binding.confirm(stage.world, ALICE, offered(stage))
    assert (bound.binding.user, bound.binding.principal_id, bound.replaced) == (USER, ALICE.id, None)
    assert (bound.binding.groups, bound.binding.issuer, bound.binding.confirmed_at) == (
        ALICE.groups,
        ALICE.issuer,
        stage.now,
    )
    assert stage.bindings.bound(USER) == (bound.binding, None)


def test_of_a_code_only_its_digest_is_kept() -> None:
    stage = Stage()
    code = offered(stage)
    assert list(stage.bindings.offers) == [digest(code)]


@pytest.mark.parametrize("late", [MINUTES, MINUTES + SECOND])
def test_a_code_is_over_at_its_end(late: timedelta) -> None:
    stage = Stage()
    code = offered(stage)
    stage.pass_time(late)
    with pytest.raises(NotFound, match="10 minutes are over"):
        binding.confirm(stage.world, ALICE, code)


def test_a_code_that_somebody_else_used_is_none() -> None:
    stage = Stage()
    code = offered(stage)
    binding.confirm(stage.world, ALICE, code)
    with pytest.raises(NotFound):
        binding.confirm(stage.world, BOB, code, email=ALICE.id)


def test_a_code_that_is_used_at_the_same_moment_is_none() -> None:
    stage = Stage()
    code = offered(stage)

    def bind(*_: object) -> None:
        raise Stale

    stage.bindings.bind = bind  # type: ignore[assignment, method-assign]
    with pytest.raises(NotFound):
        binding.confirm(stage.world, ALICE, code)


def test_a_code_that_its_user_lost_to_somebody_else_since_is_none_any_more() -> None:
    stage = Stage()
    code = offered(stage)
    binding.confirm(stage.world, ALICE, code)
    binding.confirm(stage.world, BOB, offered(stage, BOB.id))
    with pytest.raises(NotFound):
        binding.confirm(stage.world, ALICE, code)


@pytest.mark.parametrize("email", [None, "", ALICE.id, "bob@example.com"])
def test_somebody_elses_slack_user_is_bound_only_by_who_names_its_address(email: str | None) -> None:
    stage = Stage()
    code = offered(stage, "mallory@example.com")
    with pytest.raises(Invalid, match=r"Slack knows this user as mallory@example\.com"):
        binding.confirm(stage.world, ALICE, code, email=email)
    assert stage.bindings.bindings == {}
    assert binding.confirm(stage.world, ALICE, code, email="Mallory@Example.com").binding.email == "mallory@example.com"


def test_workloads_have_no_slack_user() -> None:
    stage = Stage()
    with pytest.raises(NotEligible, match="Only people"):
        binding.confirm(stage.world, ROBOT, offered(stage))


def test_who_ends_it_is_nobody_in_slack_from_then_on() -> None:
    stage = Stage()
    binding.confirm(stage.world, ALICE, offered(stage))
    stage.pass_time(SECOND)
    assert binding.unbind(stage.world, BOB) == ()
    assert binding.unbind(stage.world, ALICE) == (USER,)
    known, _ = stage.bindings.bound(USER)
    assert "You ended your binding" in str(not_bound(known, stage.catalogue, stage.now))


def test_another_slack_user_of_the_same_person_replaces_the_first() -> None:
    stage = Stage()
    first = binding.confirm(stage.world, ALICE, offered(stage)).binding
    bound = binding.confirm(stage.world, ALICE, offered(stage, user=SlackUser("T1", "U2")))
    assert bound.replaced == USER
    assert stage.bindings.bindings[USER] == replace(first, ended_at=stage.now)
