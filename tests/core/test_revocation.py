"""What is due of a revocation, and when: decided from the record and the clock alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core import denies, revocation
from chalicelib.core.denies import AHEAD, NEEDED
from chalicelib.core.life import Status, Window
from chalicelib.core.request import Covers, Request
from chalicelib.core.revocation import AGAIN, LATE, Step
from tests.builders import HOUR, NOW, SECOND, a_request
from tests.stage import CATALOGUE, with_role

EIGHT_HOURS = Window(NOW, NOW + 8 * HOUR)


def used(**changed) -> Request:
    role_arn = CATALOGUE.roles["payments-admin"].arn
    request = a_request(status=Status.USED, window=EIGHT_HOURS, sessions_begun=1, last_begun=(NOW,), role_arn=role_arn)
    return replace(request, lent_until=NOW + HOUR, **changed)


def revoked(request: Request, at=NOW, catalogue=CATALOGUE) -> Request:
    return replace(request, status=Status.REVOKED, revocation=revocation.begun(request, catalogue, at))


def steps(request: Request, now) -> list[Step]:
    return [step for step, _ in revocation.due(request, now)]


def written(request: Request, now, covers=Covers.REQUEST) -> Request:
    [(step, deny)] = revocation.due(request, now)
    assert step is Step.WRITE
    by = denies.named(revocation.cut(request, deny), covers)
    return replace(request, revocation=revocation.written(request, deny, by, now))


def removed(request: Request, now) -> Request:
    [(step, deny)] = revocation.due(request, now)
    assert step is Step.REMOVE
    return replace(request, revocation=revocation.removed(request, deny, now))


def failed(request: Request, now) -> Request:
    [(step, deny)] = revocation.due(request, now)
    return replace(request, revocation=revocation.failed(request, deny, step, "AccessDenied: no.", now))


@pytest.mark.parametrize("until", [NOW + HOUR, NOW + 60 * SECOND, NOW + 8 * HOUR])
def test_sessions_are_over_when_the_last_of_them_ends(until) -> None:
    request = replace(used(), lent_until=until)
    assert revocation.over_at(request) == until + LATE
    assert revocation.lives(request, until + LATE - SECOND)
    assert not revocation.lives(request, until + LATE)


def test_of_a_request_that_was_lent_from_before_this_was_put_down_they_are_over_by_the_wall() -> None:
    request = replace(used(), lent_until=None)
    assert revocation.over_at(request) == EIGHT_HOURS.ends_at + LATE


def test_where_no_session_lives_nothing_is_denied() -> None:
    for request in (a_request(status=Status.APPROVED), used(sessions_begun=0, last_begun=()), used(last_begun=(NOW,))):
        begun = revocation.begun(request, CATALOGUE, NOW + 3 * HOUR)
        assert (begun.stopped_at, begun.denies, begun.not_covered) == (NOW + 3 * HOUR, (), ())


def test_a_deny_is_due_at_once_then_at_the_end_of_its_sessions_then_never() -> None:
    request = revoked(used())
    assert (request.due_at(), steps(request, NOW)) == (NOW, [Step.WRITE])
    request = written(request, NOW + SECOND)
    over = NOW + HOUR + LATE
    assert (request.due_at(), steps(request, over - SECOND), steps(request, over)) == (over, [], [Step.REMOVE])
    request = removed(request, over)
    assert (request.due_at(), steps(request, over + 1000 * HOUR)) == (None, [])


@pytest.mark.parametrize("covers", [Covers.PERSON, Covers.ROLE])
def test_a_wide_deny_is_needed_as_long_as_anything_that_it_cuts_whenever_its_own_sessions_are_over(covers) -> None:
    minutes = used(window=Window(NOW, NOW + 60 * SECOND))
    request = written(revoked(minutes), NOW + SECOND, covers)
    over = NOW + AHEAD + NEEDED
    assert (request.due_at(), steps(request, over - SECOND), steps(request, over)) == (over, [], [Step.REMOVE])
    assert request.revocation is not None
    assert request.revocation.denies[0].covers is covers


def test_what_a_later_wide_deny_cuts_already_is_over_when_that_one_is() -> None:
    request = revoked(used())
    [(_, deny)] = revocation.due(request, NOW)
    cut = revocation.cut(request, deny)
    by = denies.named(replace(cut, before=cut.before + 60 * SECOND), Covers.ROLE)
    assert revocation.written(request, deny, by, NOW).due_at() == NOW + AHEAD + 60 * SECOND + NEEDED


def test_what_is_to_be_cut_does_not_depend_on_when_it_is_tried() -> None:
    request = revoked(used())
    [(_, deny)] = revocation.due(request, NOW)
    again = failed(request, NOW + SECOND)
    [(_, same)] = revocation.due(again, NOW + HOUR)
    assert revocation.cut(again, same) == revocation.cut(request, deny)
    assert revocation.cut(request, deny).before == NOW + AHEAD


def test_a_deny_that_failed_is_due_again_in_a_minute_until_its_sessions_are_over() -> None:
    request = failed(revoked(used()), NOW)
    assert (request.due_at(), steps(request, NOW + AGAIN)) == (NOW + AGAIN, [Step.WRITE])
    # It may have been written all the same: so at the end it is removed, whatever is known of it.
    assert steps(request, NOW + HOUR + LATE) == [Step.REMOVE]


def test_what_is_not_known_to_be_written_can_be_tried_before_it_is_due_again_and_what_is_written_cannot() -> None:
    request = revoked(used())
    for unwritten in (request, failed(request, NOW)):
        assert [step for step, _ in revocation.unwritten(unwritten, NOW)] == [Step.WRITE]
        assert revocation.unwritten(unwritten, NOW + HOUR + LATE) == ()
    assert revocation.unwritten(written(request, NOW), NOW) == ()


def test_a_deny_that_nobody_knows_anything_of_is_removed_too() -> None:
    assert steps(revoked(used()), NOW + HOUR + LATE) == [Step.REMOVE]


@pytest.mark.parametrize(("covers", "over"), [(Covers.REQUEST, HOUR + LATE), (Covers.ROLE, AHEAD + NEEDED)])
def test_a_removal_that_fails_is_tried_less_and_less_often(covers, over) -> None:
    request = written(revoked(used()), NOW, covers)
    waits, now = [], NOW + over
    for _ in range(5):
        request = failed(request, now)
        due = request.due_at()
        assert due is not None
        waits.append((due - now) / timedelta(minutes=1))
        now = due
    assert waits == [1, 1, 2, 4, 8]


def test_what_sessions_may_chain_into_is_named_where_they_live() -> None:
    chaining = with_role("payments-admin", chaining=("arn:aws:iam::*:role/cdk-*",))
    assert revocation.begun(used(), chaining, NOW).not_covered == ("arn:aws:iam::*:role/cdk-*",)
    moved = with_role("payments-admin", chaining=("arn:aws:iam::*:role/cdk-*",), role_name="daypass/Other")
    assert revocation.begun(used(), moved, NOW).not_covered == ()
