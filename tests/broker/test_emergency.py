"""Emergencies: access now, approval never, review afterwards."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.broker import asking, deciding, emergency, ending, lending, revoking, seeing
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import BreakGlass, Catalogue, Effect, Rule, Who
from chalicelib.core.ledger import commitment
from chalicelib.core.life import State
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import (
    AlreadyReviewed,
    Invalid,
    MayNotReview,
    NotEligible,
    NotFound,
    NotPending,
    NotYours,
    Refusal,
    ReviewOverdue,
    TooLong,
)
from chalicelib.core.request import Request, Verdict
from tests.builders import HOUR, NOW, SECOND, a_principal
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK, now_in
from tests.stage import CATALOGUE, Stage, an_ask, with_rules

RULE = "sre administer payments"
FIRE = an_ask(reason="payments are down for everybody", break_glass=True)
GLASS = next(rule.break_glass for rule in CATALOGUE.rules if rule.break_glass)
KEY = IdempotencyKey("POST /credentials", "k-1")


def broken(stage: Stage, who=CAROL, wish=FIRE) -> Credentials:
    outcome = lending.ask_and_lend(stage.world, who, wish, None)
    assert isinstance(outcome, Credentials)
    return outcome


def reviewed(stage: Stage, id: str, who=DAVE, verdict=Verdict.JUSTIFIED) -> Request:
    return emergency.review(stage.world, who, id, verdict=verdict, comment="I saw the pages")


def with_glass(*more: Rule, **changes) -> Catalogue:
    catalogue = with_rules((RULE, {"break_glass": replace(GLASS, **changes)}))
    return replace(catalogue, rules=(*catalogue.rules, *more))


def test_given_an_emergency_when_asking_then_the_credentials_come_in_one_call_and_the_record_says_critical() -> None:
    stage = Stage()
    lent = broken(stage)
    assert lent.expiration == NOW + HOUR
    assert stage.types(lent.request_id) == [
        "request.submitted",
        "break_glass.opened",
        "session.issuing",
        "session.issued",
    ]
    opened = stage.history(lent.request_id)[1]
    assert (opened.details["severity"], opened.details["rule"]) == ("critical", RULE)
    request = stage.request(lent.request_id)
    assert (request.break_glass, request.review_by, request.approvals) == (True, NOW + 24 * HOUR, ())
    assert stage.lender.plans[0].tags["daypass:break-glass"] == "true"


def test_an_ordinary_session_carries_no_tag_of_an_emergency() -> None:
    stage = Stage()
    stage.lent(stage.approved())
    assert "daypass:break-glass" not in stage.lender.plans[0].tags


@pytest.mark.parametrize("who", [ALICE, BOB, FRANK, EVE, DAVE])
def test_only_whom_the_rule_lets_break_the_glass_may(who) -> None:
    with pytest.raises(NotEligible):
        broken(Stage(), who)


def test_its_who_replaces_the_rules_own() -> None:
    assert broken(Stage(), now_in(EVE, "oncall"))


def test_a_workload_never_breaks_the_glass() -> None:
    machine = a_principal("local-cluster/x", kind=Kind.WORKLOAD, groups=frozenset({"oncall", "sre"}))
    with pytest.raises(NotEligible):
        broken(Stage(), machine)


def test_a_deny_holds_in_an_emergency_too() -> None:
    with pytest.raises(NotEligible):
        broken(Stage(), now_in(CAROL, "sre", "oncall", "contractors"))


@pytest.mark.parametrize("reason", ["x" * 19, "short", " " * 30 + "short"])
def test_a_reason_is_twenty_characters_long_at_least(reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        broken(Stage(), wish=replace(FIRE, reason=reason))
    assert refusal.value.errors[0].field == "reason"


def test_longer_than_the_rules_emergency_is_refused_with_its_limit() -> None:
    with pytest.raises(TooLong, match=r"2 h asked, 1 h in an emergency allowed by rule 'sre administer payments'"):
        broken(Stage(), wish=replace(FIRE, duration=2 * HOUR))


def test_a_second_factor_is_wanted_unless_the_rule_says_otherwise() -> None:
    without = replace(CAROL, mfa=False)
    with pytest.raises(NotEligible, match="second factor"):
        broken(Stage(), without)
    assert broken(Stage(catalogue=with_glass(require_mfa=False)), without)


def test_a_ticket_is_wanted_only_where_the_emergency_itself_asks_for_one() -> None:
    assert broken(Stage(catalogue=with_rules((RULE, {"ticket": "INC-[0-9]+"}))))
    stage = Stage(catalogue=with_glass(require_ticket=True))
    with pytest.raises(Invalid, match="ticket"):
        broken(stage)
    assert broken(stage, wish=replace(FIRE, ticket="INC-1"))


def test_of_several_the_longest_decides_and_the_reviewers_of_all_may_review() -> None:
    longer = Rule(
        name="a longer one",
        who=Who(groups=frozenset({"nobody"})),
        roles=("payments-admin",),
        effect=Effect.ALLOW,
        max_duration=HOUR,
        break_glass=BreakGlass(
            who=Who(groups=frozenset({"oncall"})),
            max_duration=2 * HOUR,
            reviewers=Who(groups=frozenset({"owners"})),
            review_within=HOUR,
        ),
    )
    stage = Stage(catalogue=with_glass(longer))
    lent = broken(stage, wish=replace(FIRE, duration=2 * HOUR))
    request = stage.request(lent.request_id)
    assert (request.rule, request.review_by) == ("a longer one", NOW + HOUR)
    owner = a_principal("olga@example.com", groups=frozenset({"owners"}))
    for reviewer in (DAVE, owner):
        assert seeing.may_see(stage.catalogue, request, reviewer)
    assert reviewed(stage, request.id, owner).review


def test_it_is_judged_again_at_each_session() -> None:
    stage = Stage()
    request = stage.request(broken(stage).request_id)
    assert stage.lent(request)
    with pytest.raises(NotEligible):
        stage.lent(request, now_in(CAROL, "sre"))
    stage.catalogue = with_rules((RULE, {"break_glass": None}))
    with pytest.raises(NotEligible):
        stage.lent(request)


def test_the_same_key_is_the_same_emergency_and_an_ask_without_it_is_another_body() -> None:
    stage = Stage()
    first = lending.ask_and_lend(stage.world, CAROL, FIRE, KEY)
    again = lending.ask_and_lend(stage.world, CAROL, FIRE, KEY)
    assert isinstance(first, Credentials)
    assert isinstance(again, Credentials)
    assert first.request_id == again.request_id
    with pytest.raises(Refusal):
        lending.ask_and_lend(stage.world, CAROL, replace(FIRE, break_glass=False), KEY)


def test_a_dry_run_says_break_glass() -> None:
    dry = asking.dry_run(Stage().world, CAROL, FIRE)
    assert (dry.would, dry.rule, dry.max_duration, dry.stages) == ("break-glass", RULE, HOUR, ())


def test_an_unreviewed_emergency_past_its_time_bars_the_next_and_is_named() -> None:
    stage = Stage()
    first = broken(stage)
    stage.pass_time(24 * HOUR - SECOND)
    second = broken(stage)
    stage.pass_time(SECOND)
    with pytest.raises(ReviewOverdue, match=f"{first.request_id} was to be reviewed by 2031-03-06T12:00:00Z"):
        broken(stage)
    assert broken(stage, now_in(BOB, "oncall")), "it bars nobody else"
    reviewed(stage, first.request_id)
    assert broken(stage)
    stage.pass_time(24 * HOUR)
    with pytest.raises(ReviewOverdue, match=second.request_id):
        broken(stage)


def test_an_ordinary_request_is_not_barred_by_it() -> None:
    stage = Stage()
    broken(stage)
    stage.pass_time(25 * HOUR)
    assert stage.asked(CAROL)


def test_a_review_is_somebody_elses_and_final() -> None:
    stage = Stage()
    id = broken(stage).request_id
    with pytest.raises(MayNotReview, match="your own"):
        reviewed(stage, id, now_in(CAROL, "security"))
    with pytest.raises(NotFound):
        reviewed(stage, id, EVE)
    machine = a_principal("local-cluster/x", kind=Kind.WORKLOAD, groups=frozenset({"security"}))
    with pytest.raises(MayNotReview, match="workload"):
        reviewed(stage, id, machine)
    request = reviewed(stage, id, verdict=Verdict.UNJUSTIFIED)
    assert request.review
    assert (request.review.verdict, request.review.by) == (Verdict.UNJUSTIFIED, DAVE.id)
    told = stage.history(id)[-1]
    assert told.details == {
        "verdict": "unjustified",
        "comment_sha256": commitment("I saw the pages", request.salt),
    }
    with pytest.raises(AlreadyReviewed, match="unjustified"):
        reviewed(stage, id)


def test_an_ordinary_request_is_not_reviewed() -> None:
    stage = Stage()
    with pytest.raises(MayNotReview, match="approved by others"):
        reviewed(stage, stage.approved().id)


def test_it_can_be_reviewed_after_it_ended_and_while_it_is_used() -> None:
    for later in (timedelta(0), 30 * 24 * HOUR):
        stage = Stage()
        id = broken(stage).request_id
        stage.pass_time(later)
        assert reviewed(stage, id).review


def test_escalating_makes_an_emergency_of_ones_own_pending_request_and_the_trail_stays() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    escalated = emergency.escalate(stage.world, CAROL, request.id, reason="nobody answers and it burns")
    assert escalated.state(NOW) is State.READY
    assert (escalated.break_glass, escalated.reason, escalated.escalated_because) == (
        True,
        request.reason,
        "nobody answers and it burns",
    )
    assert stage.types(request.id) == ["request.submitted", "request.escalated", "break_glass.opened"]
    assert stage.lent(escalated).expiration == NOW + HOUR


def test_nobody_escalates_what_is_not_theirs_not_pending_or_not_allowed() -> None:
    stage = Stage()
    why = "nobody answers and it burns"
    request = stage.asked(CAROL)
    with pytest.raises(NotYours):
        emergency.escalate(stage.world, FRANK, request.id, reason=why)
    with pytest.raises(Invalid):
        emergency.escalate(stage.world, CAROL, request.id, reason="quick")
    with pytest.raises(NotEligible):
        emergency.escalate(stage.world, BOB, stage.asked(BOB).id, reason=why)
    with pytest.raises(TooLong):
        emergency.escalate(stage.world, CAROL, stage.asked(wish=an_ask(duration=2 * HOUR)).id, reason=why)
    ending.cancel(stage.world, CAROL, request.id)
    with pytest.raises(NotPending):
        emergency.escalate(stage.world, CAROL, request.id, reason=why)


def test_an_overdue_review_bars_escalating_too() -> None:
    stage = Stage()
    first = broken(stage)
    stage.pass_time(24 * HOUR)
    request = stage.asked(CAROL)
    with pytest.raises(ReviewOverdue, match=first.request_id):
        emergency.escalate(stage.world, CAROL, request.id, reason="nobody answers and it burns")
    assert stage.request(request.id).state(stage.now) is State.PENDING


def test_an_approval_that_came_first_wins_over_the_escalation() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    stage.requests.meanwhile(lambda: deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None))
    with pytest.raises(NotPending):
        emergency.escalate(stage.world, CAROL, request.id, reason="nobody answers and it burns")


def test_reviewers_and_auditors_see_an_emergency_and_strangers_do_not() -> None:
    stage = Stage()
    id = broken(stage).request_id
    assert seeing.found(stage.world, DAVE, id)
    for stranger in (ALICE, EVE):
        with pytest.raises(NotFound):
            seeing.found(stage.world, stranger, id)


def test_neither_a_freeze_nor_hours_stand_in_an_emergencys_way() -> None:
    stage = Stage(catalogue=replace(CATALOGUE, frozen=True))
    lent = broken(stage)
    assert stage.lent(stage.request(lent.request_id)).expiration == NOW + HOUR


def test_an_emergency_begins_now() -> None:
    with pytest.raises(Invalid) as refusal:
        asking.ask(Stage().world, CAROL, replace(FIRE, starts_at=NOW + HOUR), None)
    assert refusal.value.errors[0].field == "starts_at"


def test_escalating_what_was_to_begin_later_begins_at_the_first_use() -> None:
    stage = Stage()
    request = stage.asked(CAROL, an_ask(starts_at=NOW + 2 * HOUR))
    escalated = emergency.escalate(stage.world, CAROL, request.id, reason="nobody answers and it burns")
    assert (escalated.starts_at, escalated.window, escalated.state(NOW)) == (None, None, State.READY)
    assert stage.lent(escalated).expiration == NOW + HOUR


def test_who_reviews_an_emergency_may_take_it_away() -> None:
    owners = replace(GLASS, reviewers=Who(groups=frozenset({"owners"})))
    stage = Stage(catalogue=with_rules((RULE, {"break_glass": owners})))
    id = broken(stage).request_id
    owner = a_principal("olga@example.com", groups=frozenset({"owners"}))
    revoked = revoking.revoke(stage.world, owner, id, comment="not an emergency at all")
    assert revoked.state(NOW) is State.REVOKED
    assert revoked.revocation
    assert revoked.revocation.denies[0].written_at == NOW
