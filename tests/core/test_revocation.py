"""What is due of a revocation, and when: decided from the record and the clock alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core import revocation
from chalicelib.core.life import Status, Window
from chalicelib.core.request import Request
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


def after(request: Request, outcome, *more, now) -> Request:
    """The request after its one deny's next step turned out so."""
    [(step, deny)] = revocation.due(request, now)
    return replace(request, revocation=outcome(request, deny, step, *more, now))


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
    written = after(request, revocation.done, now=NOW + SECOND)
    over = NOW + HOUR + LATE
    assert (written.due_at(), steps(written, over - SECOND), steps(written, over)) == (over, [], [Step.REMOVE])
    removed = after(written, revocation.done, now=over)
    assert (removed.due_at(), steps(removed, over + 1000 * HOUR)) == (None, [])


def test_a_deny_that_failed_is_due_again_in_a_minute_until_its_sessions_are_over() -> None:
    request = after(revoked(used()), revocation.failed, "AccessDenied: no.", now=NOW)
    assert (request.due_at(), steps(request, NOW + AGAIN)) == (NOW + AGAIN, [Step.WRITE])
    # It may have been written all the same: so at the end it is removed, whatever is known of it.
    assert steps(request, NOW + HOUR + LATE) == [Step.REMOVE]


def test_a_deny_that_nobody_knows_anything_of_is_removed_too() -> None:
    assert steps(revoked(used()), NOW + HOUR + LATE) == [Step.REMOVE]


def test_a_removal_that_fails_is_tried_less_and_less_often() -> None:
    request = after(revoked(used()), revocation.done, now=NOW)
    waits, now = [], NOW + HOUR + LATE
    for _ in range(5):
        request = after(request, revocation.failed, "AccessDenied: no.", now=now)
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


def test_the_deny_is_of_everything_for_the_requests_tag_alone() -> None:
    [statement] = json.loads(revocation.policy("01K"))["Statement"]
    assert statement == {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalTag/daypass:request": "01K"}},
    }
    assert revocation.policy_name("01K") == "daypass-deny-01K"
