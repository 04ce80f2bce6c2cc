"""Deciding: one person, one yes; the last yes that a rule waits for makes a grant."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.broker import deciding, seeing
from chalicelib.broker.ports import Stale
from chalicelib.broker.seeing import Filters
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.catalogue import Who
from chalicelib.core.life import State, Status
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import (
    AlreadyApprovedByYou,
    ChangedMeanwhile,
    Invalid,
    MayNotApprove,
    NotEligible,
    NotFound,
    NotPending,
)
from chalicelib.core.request import Change, ScopeChoice
from tests.builders import HOUR, NOW, SECOND, a_principal
from tests.fakes import FakeRequests
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK, now_in
from tests.stage import Stage, an_ask, with_role, with_rules

RULE = "sre administer payments"
EXPORT = an_ask("data-export", scope=ScopeChoice("one-bucket", {"bucket": "data-files"}))


def approve(stage: Stage, who, id: str, comment: str | None = None, duration: timedelta | None = None):
    return deciding.approve(stage.world, who, id, comment=comment, duration=duration)


def test_given_one_approval_is_due_when_a_lead_approves_then_the_request_is_ready() -> None:
    stage = Stage()
    request = approve(stage, FRANK, stage.asked().id, comment="go")
    assert request.state(NOW) is State.READY
    assert (request.decided_by, request.decision_comment) == (FRANK.id, "go")
    assert [stage_.approved_by for stage_ in request.stages] == [(FRANK.id,)]
    assert request.use_by == NOW + 8 * HOUR
    assert stage.types(request.id) == ["request.submitted", "request.approved"]


def test_nobody_approves_their_own_request_even_with_the_group() -> None:
    stage = Stage()
    request = stage.asked(BOB)
    with pytest.raises(MayNotApprove, match="own request"):
        approve(stage, BOB, request.id)
    assert stage.request(request.id) == request


def test_who_no_rule_asks_cannot_even_see_the_request() -> None:
    stage = Stage()
    for stranger in (ALICE, EVE):
        with pytest.raises(NotFound):
            approve(stage, stranger, stage.asked().id)


def test_an_auditor_sees_it_but_may_not_approve_it() -> None:
    stage = Stage()
    with pytest.raises(MayNotApprove):
        approve(stage, DAVE, stage.asked().id)


def test_a_workload_never_approves_whatever_its_groups() -> None:
    stage = Stage()
    machine = a_principal("local-cluster/x", kind=Kind.WORKLOAD, groups=frozenset({"sre-leads", "security"}))
    with pytest.raises(MayNotApprove, match="workload"):
        approve(stage, machine, stage.asked().id)


def test_two_stages_want_two_people_in_either_order() -> None:
    for first, second in ((FRANK, DAVE), (DAVE, FRANK)):
        stage = Stage()
        request = approve(stage, first, stage.asked(ALICE, EXPORT).id)
        assert request.state(NOW) is State.PENDING
        assert approve(stage, second, request.id).state(NOW) is State.READY


def test_one_person_in_both_groups_fills_one_stage_only() -> None:
    stage = Stage()
    both = now_in(FRANK, "sre-leads", "security")
    request = approve(stage, both, stage.asked(ALICE, EXPORT).id)
    assert request.state(NOW) is State.PENDING
    with pytest.raises(AlreadyApprovedByYou):
        approve(stage, both, request.id)


def test_a_second_yes_for_a_stage_that_is_filled_is_refused_as_useless() -> None:
    stage = Stage()
    request = approve(stage, FRANK, stage.asked(ALICE, EXPORT).id)
    with pytest.raises(MayNotApprove, match="filled"):
        approve(stage, BOB, request.id)


def test_an_approver_may_shorten_but_never_lengthen() -> None:
    stage = Stage()
    request = stage.asked(wish=an_ask(duration=2 * HOUR))
    with pytest.raises(Invalid, match="2 h is what is left"):
        approve(stage, FRANK, request.id, duration=3 * HOUR)
    assert approve(stage, FRANK, request.id, duration=HOUR).duration == HOUR


def test_a_shortened_request_can_be_let_in_by_a_rule_that_is_shorter() -> None:
    strict = (RuleStage(1, Who(groups=frozenset({"sre-leads"}))), RuleStage(1, Who(groups=frozenset({"security"}))))
    catalogue = with_rules((RULE, {"stages": strict}))
    shorter = with_rules((RULE, {"max_duration": HOUR, "name": "short"}))
    short = next(rule for rule in shorter.rules if rule.name == "short")
    stage = Stage(catalogue=replace(catalogue, rules=(*catalogue.rules, short)))
    request = stage.asked(wish=an_ask(duration=3 * HOUR))
    approved = approve(stage, FRANK, request.id, duration=HOUR)
    assert (approved.state(NOW), approved.rule) == (State.READY, "short")


def test_a_no_is_final() -> None:
    stage = Stage()
    request = deciding.deny(stage.world, FRANK, stage.asked().id, comment="not today")
    assert (request.state(NOW), request.decided_by, request.decision_comment) == (State.DENIED, FRANK.id, "not today")
    for decide in (
        lambda: approve(stage, BOB, request.id),
        lambda: deciding.deny(stage.world, BOB, request.id, comment="x"),
    ):
        with pytest.raises(NotPending):
            decide()


def test_who_has_approved_may_still_change_their_mind_while_it_waits() -> None:
    stage = Stage()
    request = approve(stage, FRANK, stage.asked(ALICE, EXPORT).id)
    assert deciding.deny(stage.world, FRANK, request.id, comment="wait").state(NOW) is State.DENIED


def test_the_second_approver_of_a_request_that_is_approved_hears_that_it_is() -> None:
    stage = Stage()
    request = stage.approved(by=BOB)
    with pytest.raises(NotPending, match="ready"):
        approve(stage, FRANK, request.id)


def test_given_nobody_answers_within_eight_hours_then_it_has_expired_to_the_second() -> None:
    stage = Stage()
    request = stage.asked()
    stage.pass_time(8 * HOUR)
    with pytest.raises(NotPending, match="by 2031-03-05T20:00:00Z: it has expired"):
        approve(stage, FRANK, request.id)
    stage.pass_time(-SECOND)
    assert approve(stage, FRANK, request.id).state(stage.now) is State.READY


def test_given_the_rule_was_taken_out_of_the_catalogue_then_its_approvers_see_the_request_no_more() -> None:
    stage = Stage()
    request = stage.asked()
    stage.catalogue = with_rules((RULE, {"roles": ("nothing",)}))
    with pytest.raises(NotFound):
        approve(stage, FRANK, request.id)


def test_given_the_requester_was_denied_since_then_nobody_can_approve() -> None:
    stage = Stage()
    request = stage.asked()
    stage.catalogue = with_rules(
        ("contractors never administer payments", {"who": Who(ids=(CAROL.id,))}),
    )
    with pytest.raises(NotFound):
        approve(stage, FRANK, request.id)


def test_given_the_stage_changed_hands_since_then_an_earlier_yes_does_not_count_for_it() -> None:
    stage = Stage()
    request = approve(stage, FRANK, stage.asked(ALICE, EXPORT).id)
    owners = (RuleStage(1, Who(groups=frozenset({"owners"}))), RuleStage(1, Who(groups=frozenset({"security"}))))
    stage.catalogue = with_rules(("engineers export data", {"stages": owners}))
    assert approve(stage, DAVE, request.id).state(NOW) is State.PENDING


def test_given_another_yes_came_between_then_both_count() -> None:
    stage = Stage()
    request = stage.asked(ALICE, EXPORT)
    stage.requests.meanwhile(lambda: approve(stage, DAVE, request.id))
    assert approve(stage, FRANK, request.id).state(NOW) is State.READY
    assert {approval.by for approval in stage.request(request.id).approvals} == {FRANK.id, DAVE.id}


def test_given_a_no_came_between_then_the_yes_hears_of_it() -> None:
    stage = Stage()
    request = stage.asked()
    stage.requests.meanwhile(lambda: deciding.deny(stage.world, BOB, request.id, comment="no"))
    with pytest.raises(NotPending, match="denied"):
        approve(stage, FRANK, request.id)
    assert stage.types(request.id) == ["request.submitted", "request.denied"]


class AlwaysSlower(FakeRequests):
    """A table on which somebody else is always faster."""

    def commit(self, change: Change, *further: Change) -> None:
        raise Stale


def test_given_others_always_win_then_the_caller_is_told_in_the_end() -> None:
    stage = Stage(requests=AlwaysSlower())
    with pytest.raises(ChangedMeanwhile):
        approve(stage, FRANK, stage.asked().id)


def test_given_the_rule_wants_fewer_approvals_by_now_then_the_next_yes_completes_it() -> None:
    two = (RuleStage(2, Who(groups=frozenset({"sre-leads"}))),)
    stage = Stage(catalogue=with_rules((RULE, {"stages": two})))
    request = approve(stage, FRANK, stage.asked().id)
    stage.catalogue = with_rules()
    assert approve(stage, BOB, request.id).state(NOW) is State.READY


def test_no_order_of_a_full_yes_and_a_shortening_one_leaves_a_request_waiting() -> None:
    both = (RuleStage(1, Who(groups=frozenset({"sre-leads"}))), RuleStage(1, Who(groups=frozenset({"security"}))))
    strict = with_rules((RULE, {"stages": both}))
    short = next(
        rule for rule in with_rules((RULE, {"max_duration": HOUR, "name": "short"})).rules if rule.name == "short"
    )
    for order in ([(FRANK, None), (BOB, HOUR)], [(BOB, HOUR)]):
        stage = Stage(catalogue=replace(strict, rules=(*strict.rules, short)))
        request = stage.asked(wish=an_ask(duration=3 * HOUR))
        for who, cut in order:
            request = approve(stage, who, request.id, duration=cut)
        assert (request.state(NOW), request.rule) == (State.READY, "short")


def test_given_the_scope_is_gone_then_nobody_approves_it_any_more() -> None:
    stage = Stage()
    request = stage.asked(ALICE, EXPORT)
    stage.catalogue = with_role("data-export", scopes={})
    with pytest.raises(NotEligible, match="anew"):
        approve(stage, FRANK, request.id)
    assert deciding.deny(stage.world, FRANK, request.id, comment="gone").state(NOW) is State.DENIED


def test_a_no_can_be_said_to_what_could_not_be_lent() -> None:
    stage = Stage()
    request = stage.asked(wish=an_ask(duration=HOUR / 6))
    stage.catalogue = with_role("payments-admin", identity_use=True)
    assert deciding.deny(stage.world, FRANK, request.id, comment="too short").state(NOW) is State.DENIED


def test_what_i_said_yes_to_and_still_waits_for_others_is_not_listed_for_me_again() -> None:
    two = (RuleStage(2, Who(groups=frozenset({"sre-leads"}))),)
    stage = Stage(catalogue=with_rules((RULE, {"stages": two})))
    request = approve(stage, FRANK, stage.asked().id)
    for who, waiting in ((FRANK, ()), (BOB, (request.id,))):
        page = seeing.listed(stage.world, who, seeing.Filters(to_approve=True), after=None, limit=10)
        assert tuple(item.id for item in page.items) == waiting


def test_an_approver_without_a_second_factor_is_sent_to_get_one_where_the_rule_asks_for_it() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    with pytest.raises(MayNotApprove, match="second factor"):
        deciding.approve(stage.world, replace(FRANK, mfa=False), request.id, comment=None, duration=None)
    assert stage.request(request.id) == request
    assert (
        seeing.listed(stage.world, replace(FRANK, mfa=False), Filters(to_approve=True), after=None, limit=9).items == ()
    )
    deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)


def test_a_no_needs_no_second_factor() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    denied = deciding.deny(stage.world, replace(FRANK, mfa=False), request.id, comment="no")
    assert denied.status is Status.DENIED


def test_who_may_decide_is_told_before_a_form_is_filled_in() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    assert deciding.decidable(stage.world, FRANK, request.id) == request
    with pytest.raises(MayNotApprove):
        deciding.decidable(stage.world, CAROL, request.id)
    deciding.deny(stage.world, BOB, request.id, comment="no")
    with pytest.raises(NotPending, match="denied already"):
        deciding.decidable(stage.world, FRANK, request.id)
