"""Revoking: taken away on the record first, then cut at the role; what is told is what is known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.broker import deciding, ending, lending, revoking, sweeping
from chalicelib.core import denies, revocation
from chalicelib.core.denies import AHEAD, NEEDED
from chalicelib.core.life import State, Status
from chalicelib.core.refusals import MayNotApprove, NotActive, NotFound, Unavailable
from chalicelib.core.request import Covers, Request
from chalicelib.core.revocation import AGAIN, LATE
from tests.builders import HOUR, NOW, SECOND, a_principal
from tests.fakes import Effect
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK, ROBOT, now_in
from tests.stage import Stage, an_ask, with_role, with_rules

CDK = "arn:aws:iam::*:role/cdk-*"


def used(stage: Stage) -> Request:
    request = stage.approved()
    stage.lent(request)
    return stage.request(request.id)


def revoke(stage: Stage, request: Request, who=FRANK) -> Request:
    return revoking.revoke(stage.world, who, request.id, comment="that was not the ledger")


def settle(stage: Stage, request: Request) -> Request:
    return revoking.settle(stage.world, stage.request(request.id), stage.now)


def denied(stage: Stage, request: Request) -> bool:
    return (request.role_arn, request.id) in stage.revoker.denied


def test_what_is_in_use_is_taken_away_and_its_sessions_are_denied() -> None:
    stage = Stage()
    request = revoke(stage, used(stage))
    assert (request.state(NOW), request.decided_by) == (State.REVOKED, FRANK.id)
    assert denied(stage, request)
    assert request.revocation is not None
    [deny] = request.revocation.denies
    assert (request.revocation.stopped_at, deny.role_arn, deny.written_at) == (NOW, request.role_arn, NOW)
    assert stage.types(request.id)[-2:] == ["request.revoked", "deny.written"]
    assert stage.request(request.id) == request
    with pytest.raises(NotActive):
        stage.lent(request)


def test_the_record_holds_a_commitment_to_the_comment_and_who_revoked_and_what_was_written() -> None:
    stage = Stage()
    request = revoke(stage, used(stage))
    event, written = stage.history(request.id)[-2:]
    assert (event.actor, set(event.details)) == (FRANK.id, {"comment_sha256"})
    assert (written.actor, written.details["policy"]) == (revoking.BROKER, f"daypass-deny-{request.id}")


def test_what_was_not_used_is_taken_away_without_a_call_to_aws() -> None:
    stage = Stage()
    request = revoke(stage, stage.approved())
    assert (request.status, stage.revoker.denied, request.due_at()) == (Status.REVOKED, set(), None)
    assert request.revocation is not None
    assert request.revocation.denies == ()


@pytest.mark.parametrize("who", [BOB, FRANK, DAVE], ids=lambda who: who.id)
def test_who_may_approve_who_approved_and_auditors_may(who) -> None:
    stage = Stage()
    assert revoke(stage, used(stage), who).status is Status.REVOKED


def test_who_approved_may_also_where_no_rule_asks_them_any_more() -> None:
    stage = Stage()
    request = used(stage)
    stage.catalogue = with_rules(("sre administer payments", {"roles": ("nothing-such",)}))
    with pytest.raises(NotFound):
        revoke(stage, request, FRANK)
    assert revoke(stage, request, BOB).status is Status.REVOKED


def test_the_requester_returns_instead_unless_an_auditor() -> None:
    stage = Stage()
    request = used(stage)
    with pytest.raises(MayNotApprove, match="return"):
        revoke(stage, request, now_in(CAROL, "sre", "sre-leads"))
    assert revoke(stage, request, now_in(CAROL, "security")).status is Status.REVOKED


def test_a_workload_revokes_nothing_whatever_its_groups_and_to_strangers_there_is_nothing() -> None:
    stage = Stage()
    lent = lending.ask_and_lend(stage.world, ROBOT, an_ask("deploy"), None)
    assert isinstance(lent, lending.Credentials)
    for machine in (ROBOT, now_in(ROBOT, "security", "sre-leads")):
        with pytest.raises(MayNotApprove, match="workload"):
            revoke(stage, stage.request(lent.request_id), machine)
    with pytest.raises(NotFound):
        revoke(stage, used(stage), ALICE)


def test_what_waits_is_denied_instead_and_what_is_over_stays_as_it_is() -> None:
    stage = Stage()
    request = stage.asked()
    with pytest.raises(NotActive, match="deny it"):
        revoke(stage, request)
    deciding.deny(stage.world, FRANK, request.id, comment="no")
    in_use = used(stage)
    revoked = revoke(stage, used(stage))
    stage.pass_time(HOUR)
    for over in (request, in_use, revoked):
        with pytest.raises(NotActive, match="nothing left"):
            revoke(stage, over)


def test_a_return_leaves_sessions_alive_unless_it_cuts_them() -> None:
    stage = Stage()
    kept, cut = used(stage), used(stage)
    kept = ending.give_back(stage.world, CAROL, kept.id)
    cut = ending.give_back(stage.world, CAROL, cut.id, cut=True)
    assert (kept.status, denied(stage, kept), kept.revocation) == (Status.RETURNED, False, None)
    assert (cut.status, denied(stage, cut)) == (Status.RETURNED, True)
    assert stage.types(cut.id)[-2:] == ["request.returned", "deny.written"]


def test_returning_does_not_save_live_sessions_from_being_revoked() -> None:
    stage = Stage()
    request = ending.give_back(stage.world, CAROL, used(stage).id)
    after = revoke(stage, request)
    assert (after.status, denied(stage, request)) == (Status.RETURNED, True)
    assert stage.types(request.id)[-3:] == ["request.returned", "request.revoked", "deny.written"]
    with pytest.raises(NotActive, match="nothing left"):
        revoke(stage, request)


def test_what_was_returned_an_hour_ago_has_no_sessions_to_revoke() -> None:
    stage = Stage()
    request = ending.give_back(stage.world, CAROL, used(stage).id)
    stage.pass_time(HOUR + LATE)
    with pytest.raises(NotActive, match="nothing left"):
        revoke(stage, request)


def test_two_revocations_on_one_role_are_both_in_force_and_neither_touches_a_third() -> None:
    stage = Stage()
    first, second, third = used(stage), used(stage), used(stage)
    for request in (first, second):
        revoke(stage, request)
    assert [denied(stage, request) for request in (first, second, third)] == [True, True, False]
    stage.pass_time(HOUR + LATE)
    settle(stage, first)
    assert [denied(stage, request) for request in (first, second, third)] == [False, True, False]


def test_given_the_deny_cannot_be_written_then_the_access_is_taken_away_and_the_reason_told() -> None:
    stage = Stage()
    request = used(stage)
    stage.revoker.fail_next("LimitExceeded")
    request = revoke(stage, request)
    assert request.status is Status.REVOKED
    assert request.revocation is not None
    [deny] = request.revocation.denies
    assert (deny.written_at, str(deny.error).partition(":")[0]) == (None, "LimitExceeded")
    event = stage.history(request.id)[-1]
    assert (event.type, event.details["code"], event.details["step"]) == ("deny.failed", "LimitExceeded", "write")


@pytest.mark.parametrize("who", [FRANK, BOB, DAVE], ids=lambda who: who.id)
def test_revoking_again_tries_at_once_what_could_not_be_cut_and_adds_nothing_to_the_record_but_the_outcome(who) -> None:
    stage = Stage()
    request = used(stage)
    stage.revoker.fail_next("no-answer")
    first = revoke(stage, request)
    again = revoking.revoke(stage.world, who, request.id, comment="is it gone?")
    assert denied(stage, request)
    assert again.revocation is not None
    assert again.revocation.denies[0].written_at == NOW
    assert stage.types(request.id)[-3:] == ["request.revoked", "deny.failed", "deny.written"]
    assert (again.decided_by, again.decision_comment) == (first.decided_by, first.decision_comment)
    with pytest.raises(NotActive, match="nothing left"):
        revoke(stage, request)


def test_revoking_again_may_fail_again_and_says_so() -> None:
    stage = Stage()
    request = used(stage)
    for _ in range(3):
        stage.revoker.fail_next("AccessDenied")
        told = revoke(stage, request)
        assert told.revocation is not None
        assert str(told.revocation.denies[0].error).startswith("AccessDenied")
    assert stage.types(request.id)[-4:] == ["request.revoked", *["deny.failed"] * 3]


def test_what_was_returned_and_could_not_be_cut_is_cut_by_who_revokes_it() -> None:
    stage = Stage()
    request = used(stage)
    stage.revoker.fail_next()
    ending.give_back(stage.world, CAROL, request.id, cut=True)
    assert revoke(stage, request).status is Status.RETURNED
    assert denied(stage, request)
    assert stage.types(request.id)[-3:] == ["request.returned", "deny.failed", "deny.written"]


def test_whoever_may_not_revoke_may_not_try_again_either_and_once_its_sessions_are_over_nobody_has_to() -> None:
    stage = Stage()
    request = used(stage)
    stage.revoker.fail_next()
    revoke(stage, request)
    for who, refusal in ((CAROL, MayNotApprove), (ROBOT, NotFound), (ALICE, NotFound)):
        with pytest.raises(refusal):
            revoke(stage, request, who)
    stage.pass_time(HOUR + LATE)
    with pytest.raises(NotActive, match="nothing left"):
        revoke(stage, request)


@pytest.mark.parametrize("covers", [Covers.PERSON, Covers.ROLE])
def test_a_deny_that_had_to_be_wider_is_on_the_record_as_such_and_stays_as_long_as_it_is_needed(covers) -> None:
    stage = Stage()
    stage.revoker.covers = covers
    request = revoke(stage, used(stage))
    assert request.revocation is not None
    [deny] = request.revocation.denies
    standing = denies.named(revocation.cut(request, deny), covers)
    assert deny.covers is covers
    assert stage.history(request.id)[-1].details == {
        "role_arn": request.role_arn,
        "policy": standing.name,
        "covers": covers.value,
    }
    stage.pass_time(AHEAD + NEEDED - SECOND)
    assert settle(stage, request) == request
    stage.pass_time(SECOND)
    assert settle(stage, request).due_at() is None
    assert not denied(stage, request)


def test_of_a_deny_that_nobody_knows_to_be_written_it_is_taken_to_be_as_wide_as_can_be() -> None:
    stage = Stage()
    request = used(stage)
    stage.revoker.fail_next("no-answer", Effect.AFTER)
    request = revoke(stage, request)
    asked: list[Covers] = []
    stage.revoker.allow_again = lambda cut, covers, now: asked.append(covers)  # type: ignore[method-assign]
    stage.pass_time(HOUR + LATE)
    settle(stage, request)
    assert asked == [Covers.ROLE]


def test_settling_tries_a_failed_deny_again_but_not_before_its_time() -> None:
    stage = Stage()
    request = used(stage)
    stage.revoker.fail_next("no-answer")
    request = revoke(stage, request)
    assert settle(stage, request) == request
    stage.pass_time(AGAIN)
    request = settle(stage, request)
    assert denied(stage, request)
    assert request.revocation is not None
    [deny] = request.revocation.denies
    assert (deny.written_at, deny.error) == (NOW + AGAIN, None)
    assert stage.types(request.id)[-2:] == ["deny.failed", "deny.written"]


def test_settling_removes_the_deny_once_its_sessions_are_over_and_then_never_again() -> None:
    stage = Stage()
    request = revoke(stage, used(stage))
    over = HOUR + LATE
    stage.pass_time(over - SECOND)
    assert settle(stage, request) == request
    stage.pass_time(SECOND)
    request = settle(stage, request)
    assert not denied(stage, request)
    assert request.revocation is not None
    assert (request.revocation.denies[0].removed_at, request.due_at()) == (NOW + over, None)
    assert settle(stage, request) == request
    assert stage.types(request.id)[-2:] == ["deny.written", "deny.removed"]


def test_settling_what_has_nothing_due_makes_no_call() -> None:
    stage = Stage()
    request = used(stage)
    stage.requests.fail_next(Effect.BEFORE)
    assert settle(stage, request) == request


@pytest.mark.parametrize("effect", list(Effect))
def test_given_the_outcome_cannot_be_put_down_then_the_access_is_gone_and_settling_finds_out(effect) -> None:
    stage = Stage()
    request = used(stage)
    stage.requests.fail_next(effect, after=1)
    assert revoke(stage, request).status is Status.REVOKED
    assert settle(stage, request).revocation == stage.request(request.id).revocation
    assert stage.types(request.id).count("deny.written") == 1
    assert denied(stage, request)


def test_given_two_settle_at_once_then_the_outcome_is_on_the_record_once() -> None:
    stage = Stage()
    request = used(stage)
    stage.requests.fail_next(Effect.BEFORE, after=1)
    revoked = revoke(stage, request)
    stage.requests.meanwhile(lambda: revoking.settle(stage.world, revoked, NOW))
    settle(stage, revoked)
    assert stage.types(request.id).count("deny.written") == 1


def test_given_a_session_of_it_fails_meanwhile_then_the_outcome_is_put_down_all_the_same() -> None:
    stage = Stage()
    request = used(stage)

    def revoked_meanwhile(plan):
        revoke(stage, request)
        raise Unavailable("STS did not answer.")

    stage.lender.lend = revoked_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        stage.lent(request)
    assert stage.types(request.id)[-3:] == ["request.revoked", "deny.written", "session.failed"]


def test_what_the_sessions_may_have_chained_into_is_named() -> None:
    stage = Stage(catalogue=with_role("payments-admin", chaining=(CDK,)))
    request = revoke(stage, used(stage))
    assert request.revocation is not None
    assert request.revocation.not_covered == (CDK,)


def test_a_revoked_request_makes_room_in_the_quota() -> None:
    stage = Stage()
    lead = a_principal("lead@example.com", groups=frozenset({"sre-leads"}))
    for _ in range(25):
        revoke(stage, stage.approved(by=lead), lead)


def test_the_sweeper_writes_a_failed_deny_again_and_removes_it_when_its_sessions_are_over() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lent(request)
    stage.revoker.fail_next()
    revoking.revoke(stage.world, FRANK, request.id, comment="no more")
    assert stage.revoker.denied == set()
    stage.pass_time(timedelta(minutes=5))
    assert sweeping.sweep(stage.world).outcomes == {sweeping.Outcome.SETTLED: 1}
    assert {id for _, id in stage.revoker.denied} == {request.id}
    stage.pass_time(timedelta(hours=2))
    assert sweeping.sweep(stage.world).outcomes == {sweeping.Outcome.SETTLED: 1}
    assert stage.revoker.denied == set()
    stage.pass_time(timedelta(hours=2))
    assert sweeping.sweep(stage.world).outcomes == {}
