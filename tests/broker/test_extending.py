"""Extending: more of the same, from where the one before ends; and what ends with what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.broker import asking, deciding, emergency, ending, extending, lending, revoking, seeing
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import Catalogue, Extensions, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.life import State, Status, Window
from chalicelib.core.refusals import (
    AlreadyExtended,
    IdempotencyKeyReused,
    Invalid,
    MayNotApprove,
    NotActive,
    NotEligible,
    NotFound,
    NotYours,
    Refusal,
    StsRefused,
    TooLong,
    TooManyOpen,
    Unavailable,
)
from chalicelib.core.request import Request, ScopeChoice
from chalicelib.core.session import REQUEST_TAG
from tests.builders import HOUR, NOW, SECOND
from tests.fakes import Effect
from tests.iam import allowed
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK, ROBOT, now_in
from tests.stage import CATALOGUE, Stage, an_ask, more_of, with_role, with_rules

MINUTE = timedelta(minutes=1)
RULE = "sre administer payments"
LEADS = Who(groups=frozenset({"sre-leads"}))
SECURITY = Who(groups=frozenset({"security"}))
AGAIN = with_rules((RULE, {"extensions": Extensions(max=2, stages=(RuleStage(1, LEADS),))}))
KEY = IdempotencyKey("POST /credentials", "k-1")


def extends_less(most: int) -> Catalogue:
    return with_rules((RULE, {"extensions": Extensions(max=most, stages=())}))


def active(stage: Stage, duration: timedelta = HOUR) -> Request:
    request = stage.approved(wish=an_ask(duration=duration))
    stage.lent(request)
    return stage.request(request.id)


def approve(stage: Stage, request: Request, duration: timedelta | None = None) -> Request:
    return deciding.approve(stage.world, FRANK, request.id, comment=None, duration=duration)


def revoke(stage: Stage, request: Request, who=FRANK) -> Request:
    return revoking.revoke(stage.world, who, request.id, comment="no more")


def now(stage: Stage, request: Request) -> tuple[Status, State]:
    known = stage.request(request.id)
    return known.status, known.state(stage.now)


# From where an open window ends.


def test_what_is_active_goes_on_where_it_ends_and_is_not_touched_itself() -> None:
    stage = Stage()
    base = active(stage)
    stage.pass_time(10 * MINUTE)
    extension = stage.extended(base)
    assert extension.window == Window(NOW + HOUR, NOW + 2 * HOUR)
    assert (extension.state(stage.now), extension.stages, extension.use_by) == (State.SCHEDULED, (), None)
    assert (extension.role, extension.requester, extension.reason) == (base.role, CAROL, "it takes longer")
    after = stage.request(base.id)
    assert (after.window, after.status, after.sessions_begun) == (base.window, base.status, base.sessions_begun)
    assert stage.lent(base).expiration == NOW + HOUR


def test_both_say_so_in_their_histories() -> None:
    stage = Stage()
    base = active(stage)
    extension = stage.extended(base)
    submitted, extended = stage.history(extension.id)[-1], stage.history(base.id)[-1]
    assert (submitted.type, submitted.details["extends"]) == ("request.submitted", base.id)
    assert (submitted.details["starts_at"], submitted.details["rule"]) == ("2031-03-05T13:00:00Z", RULE)
    assert (extended.type, extended.actor, extended.details) == (
        "request.extended",
        CAROL.id,
        {"extension": extension.id},
    )
    assert (stage.request(base.id).extended_by, extension.link and extension.link.base) == (extension.id, base.id)


def test_there_is_no_hole_and_no_overlap_to_the_second() -> None:
    stage = Stage()
    base = active(stage)
    extension = stage.extended(base)
    stage.now = NOW + HOUR - SECOND
    assert stage.lent(base).expiration == NOW + HOUR
    with pytest.raises(NotActive, match="begins at 2031-03-05T13:00:00Z"):
        stage.lent(extension)
    stage.now = NOW + HOUR
    assert stage.lent(extension).expiration == NOW + 2 * HOUR
    with pytest.raises(NotActive, match="ended"):
        stage.lent(base)
    stage.now = NOW + 2 * HOUR
    with pytest.raises(NotActive, match="ended"):
        stage.lent(extension)


def test_an_extension_has_an_id_a_tag_and_sessions_of_its_own() -> None:
    stage = Stage()
    base = active(stage)
    extension = stage.extended(base)
    stage.now = NOW + HOUR
    stage.lent(extension)
    assert [plan.tags[REQUEST_TAG] for plan in stage.lender.plans] == [base.id, extension.id]
    assert (len(stage.sessions(base.id)), len(stage.sessions(extension.id))) == (1, 1)


def test_an_extension_takes_a_place_of_its_own_among_the_open_requests() -> None:
    stage = Stage()
    base = active(stage)
    for _ in range(19):
        stage.asked()
    with pytest.raises(TooManyOpen):
        stage.extended(base)
    assert stage.request(base.id) == base


def test_scope_policy_and_ticket_are_the_bases() -> None:
    stage = Stage()
    scope = ScopeChoice("one-bucket", {"bucket": "data-files"})
    export = stage.asked(ALICE, an_ask("data-export", scope=scope, ticket="OPS-1"))
    for lead in (FRANK, DAVE):
        deciding.approve(stage.world, lead, export.id, comment=None, duration=None)
    stage.lent(export, ALICE)
    extension = stage.extended(export, ALICE)
    assert (extension.scope, extension.session_policy) == (scope, export.session_policy)
    assert (extension.ticket, extension.state(NOW)) == ("OPS-1", State.PENDING)
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    own = stage.asked(ALICE, an_ask("sandbox-admin", session_policy=policy))
    assert stage.extended(own, ALICE).session_policy == policy


# From where a window will end that is not open yet.


def test_what_is_ready_goes_on_where_it_will_end_once_it_was_used() -> None:
    stage = Stage()
    base = stage.approved(wish=an_ask(duration=2 * HOUR))
    extension = stage.extended(base)
    assert (extension.state(NOW), extension.window) == (State.READY, None)
    with pytest.raises(NotActive, match=f"{base.id} ends, which is ready and was not used: use that one first"):
        stage.lent(extension)
    stage.pass_time(HOUR)
    stage.lent(base)
    with pytest.raises(NotActive, match="begins at 2031-03-05T15:00:00Z"):
        stage.lent(extension)
    stage.now = NOW + 3 * HOUR
    assert stage.lent(extension).expiration == NOW + 4 * HOUR
    assert stage.request(extension.id).window == Window(NOW + 3 * HOUR, NOW + 4 * HOUR)
    stage.now = NOW + 4 * HOUR
    with pytest.raises(NotActive, match="ended"):
        stage.lent(extension)


def test_a_first_use_late_in_it_gets_what_is_left_and_after_its_end_nothing() -> None:
    stage = Stage()
    base = stage.approved()
    extension, late = stage.extended(base), NOW + 2 * HOUR
    stage.lent(base)
    stage.now = late - SECOND
    assert stage.lent(extension).expiration == late
    other = stage.approved()
    missed = stage.extended(other)
    stage.lent(other)
    stage.pass_time(2 * HOUR)
    with pytest.raises(NotActive, match="ended"):
        stage.lent(missed)
    assert stage.request(missed.id).window is None


def test_it_does_not_lapse_before_its_base_could_end_and_lapses_when_it_could() -> None:
    stage = Stage()
    base = stage.approved()
    extension = stage.extended(base)
    stage.now = NOW + 8 * HOUR - SECOND
    stage.lent(base)
    stage.now += 2 * HOUR - SECOND
    assert stage.lent(extension)
    assert extension.use_by == NOW + 10 * HOUR


def test_it_goes_on_from_nothing_where_the_base_was_never_used() -> None:
    stage = Stage()
    base = stage.approved()
    extension = stage.extended(base)
    stage.now = NOW + 8 * HOUR
    with pytest.raises(NotActive, match="expired and was not used: there is nothing to go on from"):
        stage.lent(extension)


def test_approvers_may_not_use_it_and_hear_that_first() -> None:
    stage = Stage()
    extension = stage.extended(stage.approved())
    with pytest.raises(NotYours):
        stage.lent(extension, BOB)


# Approvals.


def test_where_the_rule_wants_approvals_an_extension_waits_for_them_and_may_be_longer_than_its_base() -> None:
    stage = Stage(catalogue=AGAIN)
    extension = stage.extended(active(stage), duration=3 * HOUR)
    assert (extension.state(NOW), extension.answer_by) == (State.PENDING, NOW + 4 * HOUR)
    assert [stage.who for stage in extension.stages] == [LEADS]
    with pytest.raises(NotActive):
        stage.lent(extension)
    approved = approve(stage, extension)
    assert (approved.state(NOW), approved.window) == (State.SCHEDULED, Window(NOW + HOUR, NOW + 4 * HOUR))


def test_an_answer_counts_for_eight_hours_or_until_the_extension_would_be_over() -> None:
    stage = Stage(catalogue=AGAIN)
    assert stage.extended(active(stage, 4 * HOUR), duration=4 * HOUR).answer_by == NOW + 8 * HOUR
    unopened = stage.approved()
    stage.pass_time(7 * HOUR)
    extension = stage.extended(unopened)
    assert extension.answer_by == extension.use_by == NOW + 10 * HOUR


def test_however_late_the_answer_comes_the_window_is_the_one_that_was_asked_for() -> None:
    stage = Stage(catalogue=AGAIN)
    extension = stage.extended(active(stage))
    stage.now = NOW + 90 * MINUTE
    approved = approve(stage, extension)
    assert (approved.state(stage.now), approved.window) == (State.ACTIVE, Window(NOW + HOUR, NOW + 2 * HOUR))


@pytest.mark.parametrize("use_base_first", [True, False])
def test_an_approvers_cut_takes_from_its_end(use_base_first: bool) -> None:
    stage = Stage(catalogue=AGAIN)
    base = active(stage) if use_base_first else stage.approved()
    extension = approve(stage, stage.extended(base, duration=2 * HOUR), 30 * MINUTE)
    if not use_base_first:
        assert extension.use_by == NOW + 11 * HOUR  # nothing lapses earlier by a cut
        stage.lent(base)
    stage.now = NOW + HOUR
    assert stage.lent(extension).expiration == NOW + 90 * MINUTE


@pytest.mark.parametrize("who", [BOB, FRANK, DAVE], ids=["who approved", "who might have", "an auditor"])
def test_who_may_take_the_first_request_away_sees_and_may_take_away_what_goes_on_from_it(who) -> None:
    stage = Stage()
    extension = stage.extended(stage.approved(by=BOB))
    assert seeing.found(stage.world, who, extension.id) == extension
    with pytest.raises(NotFound):
        seeing.found(stage.world, ALICE, extension.id)
    assert revoke(stage, extension, who).status is Status.REVOKED


def test_who_approved_the_first_request_may_also_where_no_rule_asks_them_any_more() -> None:
    stage = Stage()
    extension = stage.extended(stage.approved(by=BOB))
    stage.catalogue = with_rules((RULE, {"roles": ("nothing-such",)}))
    with pytest.raises(NotFound):
        revoke(stage, extension, FRANK)
    assert revoke(stage, extension, BOB).status is Status.REVOKED


def test_what_is_over_tells_what_went_on_from_it_to_whoever_would_use_extend_return_or_revoke_it() -> None:
    stage = Stage()
    base = active(stage)
    extension = stage.extended(base)
    stage.now = NOW + HOUR
    for act in (
        lambda: stage.lent(base),
        lambda: stage.extended(base),
        lambda: ending.give_back(stage.world, CAROL, base.id),
        lambda: revoke(stage, base),
    ):
        with pytest.raises(NotActive, match=f"ended.*It was extended by {extension.id}."):
            act()


def test_nobody_approves_an_extension_by_having_approved_the_base() -> None:
    stage = Stage(catalogue=AGAIN)
    extension = stage.extended(stage.approved(by=BOB))
    assert extension.approvals == ()
    with pytest.raises(MayNotApprove):
        deciding.approve(stage.world, CAROL, extension.id, comment=None, duration=None)
    assert deciding.approve(stage.world, BOB, extension.id, comment=None, duration=None).state(NOW) is State.READY


# Chains.


def test_an_extension_is_extended_as_any_other_request_up_to_the_rules_number() -> None:
    stage = Stage()
    first = stage.extended(active(stage))
    with pytest.raises(NotActive, match="begins at 2031-03-05T13:00:00Z"):
        stage.extended(first)
    stage.now = NOW + HOUR
    second = stage.extended(first)
    assert second.window == Window(NOW + 2 * HOUR, NOW + 3 * HOUR)
    stage.now = NOW + 2 * HOUR
    with pytest.raises(NotEligible, match="allows 2 extensions in a row, and this would be number 3"):
        stage.extended(second)


def test_a_whole_chain_may_be_asked_for_before_anything_is_used() -> None:
    stage = Stage()
    base = stage.approved()
    first = stage.extended(base)
    second = stage.extended(first)
    stage.lent(base)
    stage.now = NOW + HOUR
    with pytest.raises(NotActive, match=first.id):
        stage.lent(second)
    stage.lent(first)
    stage.now = NOW + 2 * HOUR
    assert stage.lent(second).expiration == NOW + 3 * HOUR


@pytest.mark.parametrize("catalogue", [CATALOGUE, AGAIN], ids=["at once", "pending"])
@pytest.mark.parametrize("used", [True, False])
def test_what_is_extended_already_is_refused_and_the_extension_named(catalogue: Catalogue, used: bool) -> None:
    stage = Stage(catalogue=catalogue)
    base = active(stage) if used else stage.approved()
    first = stage.extended(base)
    with pytest.raises(AlreadyExtended, match=f"extended by {first.id} already, which is {first.state(NOW)}"):
        stage.extended(base)


def test_what_became_of_an_extension_that_ended_early_does_not_stand_in_the_way_of_another() -> None:
    stage = Stage(catalogue=AGAIN)
    base = active(stage)
    first = stage.extended(base)
    deciding.deny(stage.world, FRANK, first.id, comment="not so long")
    second = stage.extended(base, duration=30 * MINUTE)
    ending.cancel(stage.world, CAROL, second.id)
    third = approve(stage, stage.extended(base))
    assert (third.window, third.link and third.link.number) == (Window(NOW + HOUR, NOW + 2 * HOUR), 1)
    assert stage.request(base.id).extended_by == third.id


# What is refused.


def test_only_ones_own_and_to_strangers_there_is_nothing() -> None:
    stage = Stage()
    base = active(stage)
    with pytest.raises(NotYours):
        stage.extended(base, BOB)
    for who, id in ((ALICE, base.id), (CAROL, "01K99999999999999999999999")):
        with pytest.raises(NotFound):
            extending.extend(stage.world, who, more_of(replace(base, id=id)), None)


def test_what_is_pending_or_over_is_refused_and_nothing_is_recorded() -> None:
    stage = Stage()
    pending, over = stage.asked(), active(stage)
    stage.pass_time(HOUR)
    for request, words in ((pending, "Nobody has approved"), (over, "is ended")):
        with pytest.raises(NotActive, match=words):
            stage.extended(request)
    assert len(stage.requests.everything(after=None, limit=10).items) == 2


def test_an_emergency_is_never_extended() -> None:
    stage = Stage()
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    lent = lending.ask_and_lend(stage.world, CAROL, fire, None)
    assert isinstance(lent, Credentials)
    with pytest.raises(NotEligible, match="emergency is never extended"):
        stage.extended(stage.request(lent.request_id))


@pytest.mark.parametrize(
    "changed",
    [
        {"role": "payments-read"},
        {"scope": ScopeChoice("one-bucket", {})},
        {"session_policy": "{}"},
        {"starts_at": NOW + HOUR},
        {"break_glass": True},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_the_base_says_is_refused_by_the_fields_name(changed: dict[str, Any]) -> None:
    stage = Stage()
    base = active(stage)
    with pytest.raises(Invalid) as refusal:
        stage.extended(base, **changed)
    assert [error.field for error in refusal.value.errors] == list(changed)
    assert stage.request(base.id) == base


def test_a_parameter_is_refused_whatever_its_name_also_with_a_key() -> None:
    stage = Stage()
    base = active(stage)
    with pytest.raises(Invalid, match="scope: it is its base's"):
        stage.extended(base, key="k-1", scope=ScopeChoice("one-bucket", {"größe": "1"}))


def test_the_bases_own_role_may_be_said() -> None:
    stage = Stage()
    assert stage.extended(active(stage), role="payments-admin")


def test_a_rule_that_says_nothing_of_extensions_extends_nothing() -> None:
    stage = Stage()
    lent = lending.ask_and_lend(stage.world, ROBOT, an_ask("deploy"), None)
    assert isinstance(lent, Credentials)
    with pytest.raises(NotEligible, match="'the pipeline deploys payments' extends nothing"):
        stage.extended(stage.request(lent.request_id), ROBOT)


def test_without_approvals_no_more_than_the_base_was_approved_for_not_than_it_was_asked_for() -> None:
    stage = Stage()
    base = approve(stage, stage.asked(wish=an_ask(duration=2 * HOUR)), HOUR)
    with pytest.raises(TooLong, match=f"2 h asked, 1 h allowed for this extension by rule '{RULE}'"):
        stage.extended(base, duration=2 * HOUR)
    assert stage.extended(base)


def test_who_lost_the_group_since_does_not_extend() -> None:
    stage = Stage()
    with pytest.raises(NotEligible):
        stage.extended(active(stage), now_in(CAROL, "engineering"))


def test_a_scope_that_was_changed_since_is_not_lent_on_the_approvals_of_the_old_one() -> None:
    stage = Stage()
    policy = CATALOGUE.roles["data-export"].scopes["one-bucket"]
    wider: Any = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "${bucket}"}],
    }
    scope = ScopeChoice("one-bucket", {"bucket": "data-files"})
    base = stage.asked(ALICE, an_ask("data-export", scope=scope))
    for lead in (FRANK, DAVE):
        deciding.approve(stage.world, lead, base.id, comment=None, duration=None)
    stage.catalogue = with_role("data-export", scopes={"one-bucket": replace(policy, policy=wider)})
    with pytest.raises(NotEligible, match=f"changed since {base.id} was asked for"):
        stage.extended(base, ALICE)


# Judged again.


def test_at_the_ask_todays_rule_bounds_the_whole_chain() -> None:
    stage = Stage()
    base = active(stage, 4 * HOUR)
    stage.catalogue = with_rules((RULE, {"max_duration": 90 * MINUTE}))  # 4 h 30 min, all in all
    with pytest.raises(TooLong, match="1 h asked, 30 min allowed for this extension"):
        stage.extended(base)
    assert stage.extended(base, duration=30 * MINUTE)
    stage.catalogue = with_rules((RULE, {"max_duration": HOUR}))
    other = active(stage, HOUR)
    assert stage.extended(other).window == Window(NOW + HOUR, NOW + 2 * HOUR)


def test_at_each_issuance_todays_rule_bounds_where_the_wall_of_the_whole_chain_stands() -> None:
    stage = Stage()
    extension = stage.extended(active(stage, 3 * HOUR), duration=3 * HOUR)
    stage.catalogue = with_rules((RULE, {"max_duration": 80 * MINUTE}))  # 4 h, all in all
    stage.now = NOW + 3 * HOUR
    assert stage.lent(extension).expiration == NOW + 4 * HOUR
    stage.now = NOW + 4 * HOUR
    with pytest.raises(NotActive, match="allows less than it did"):
        stage.lent(extension)
    stage.catalogue = with_rules((RULE, {"max_duration": HOUR}))
    with pytest.raises(NotEligible):
        stage.lent(extension)


@pytest.mark.parametrize(
    "changed",
    [
        {"extensions": None},
        {"extensions": Extensions(max=2, stages=(RuleStage(1, SECURITY),))},
        {"stages": (RuleStage(2, LEADS),)},
        {"who": Who(groups=frozenset({"security"}))},
    ],
    ids=["extends no more", "wants an approval", "wants two for the first", "is for others"],
)
def test_at_each_issuance_the_rule_has_to_extend_and_all_approvals_to_fill_it(changed: dict[str, Any]) -> None:
    stage = Stage()
    extension = stage.extended(active(stage))
    stage.now = NOW + HOUR
    stage.lent(extension)
    stage.catalogue = with_rules((RULE, changed))
    with pytest.raises(NotEligible):
        stage.lent(extension)


def test_a_rule_that_extends_less_often_lends_to_those_that_are_within_it() -> None:
    stage = Stage()
    first = stage.extended(active(stage))
    stage.now = NOW + HOUR
    second = stage.extended(first)
    stage.catalogue = extends_less(1)
    assert stage.lent(first)
    stage.now = NOW + 2 * HOUR
    with pytest.raises(NotEligible):
        stage.lent(second)


def test_an_approval_is_given_by_the_terms_of_that_day() -> None:
    stage = Stage(catalogue=AGAIN)
    extension = stage.extended(active(stage), duration=3 * HOUR)
    security = Extensions(max=2, stages=(RuleStage(1, SECURITY),))
    stage.catalogue = with_rules((RULE, {"extensions": security}))
    with pytest.raises(MayNotApprove):
        approve(stage, extension)
    assert [each.who for each in seeing.current(stage.world, extension).stages] == [SECURITY]
    approved = deciding.approve(stage.world, DAVE, extension.id, comment=None, duration=None)
    assert approved.state(NOW) is State.SCHEDULED


# The same key.


def test_the_same_key_finds_the_extension_that_now_stands_in_its_own_way() -> None:
    stage = Stage()
    base = active(stage)
    first = stage.extended(base, key="k-1")
    again = extending.extend(stage.world, CAROL, more_of(base), IdempotencyKey("POST /requests", "k-1"))
    assert (again.request, again.replayed) == (first, True)
    stage.pass_time(3 * HOUR)
    assert stage.extended(base, key="k-1") == first
    with pytest.raises(IdempotencyKeyReused):
        stage.extended(base, key="k-1", duration=30 * MINUTE)
    with pytest.raises(NotActive):
        stage.extended(base, key="k-2")
    stage.pass_time(24 * HOUR)
    with pytest.raises(NotActive):
        stage.extended(base, key="k-1")


def test_which_request_it_extends_is_part_of_what_a_key_binds() -> None:
    stage = Stage()
    stage.extended(active(stage), key="k-1")
    with pytest.raises(IdempotencyKeyReused):
        stage.extended(active(stage), key="k-1")


def test_asking_and_receiving_in_one_call_is_the_request_until_it_begins_and_then_a_session_of_it() -> None:
    stage = Stage()
    base = active(stage)
    first, again = (lending.ask_and_lend(stage.world, CAROL, more_of(base), KEY) for _ in range(2))
    assert isinstance(first, Request)
    assert (first.state(NOW), again) == (State.SCHEDULED, first)
    stage.now = NOW + HOUR
    lent = lending.ask_and_lend(stage.world, CAROL, more_of(base), KEY)
    assert isinstance(lent, Credentials)
    assert lent.request_id == first.id


def test_asking_and_receiving_waits_for_an_approval_too() -> None:
    stage = Stage(catalogue=AGAIN)
    base = stage.approved()
    first, again = (lending.ask_and_lend(stage.world, CAROL, more_of(base), KEY) for _ in range(2))
    assert isinstance(first, Request)
    assert (first.state(NOW), again) == (State.PENDING, first)
    approve(stage, first)
    with pytest.raises(NotActive, match="use that one first"):
        lending.ask_and_lend(stage.world, CAROL, more_of(base), KEY)


# A dry run.


def test_a_dry_run_says_what_would_become_of_it_and_records_nothing() -> None:
    stage = Stage()
    base = active(stage)
    dry = extending.dry_run(stage.world, CAROL, more_of(base))
    assert (dry.would, dry.rule, dry.stages, dry.max_duration) == ("auto-approved", RULE, (), HOUR)
    assert dry.why == (f"{RULE!r} admits this without an approval, up to 1 h.",)
    stage.catalogue = AGAIN
    again = extending.dry_run(stage.world, CAROL, more_of(base))
    assert (again.would, again.max_duration) == ("needs-approval", 4 * HOUR)
    stage.catalogue = with_rules((RULE, {"extensions": None}))
    never = extending.dry_run(stage.world, CAROL, more_of(base))
    assert (never.would, never.why) == (
        "not-eligible",
        (f"Request {base.id} cannot be extended: {RULE!r} extends nothing. Ask anew.",),
    )
    assert stage.requests.everything(after=None, limit=10).items == (base,)


# Somebody else was faster.


def test_given_the_base_is_revoked_meanwhile_then_the_ask_is_judged_anew_and_refused() -> None:
    stage = Stage()
    base = active(stage)
    stage.requests.meanwhile(lambda: revoke(stage, base))
    with pytest.raises(NotActive, match="is revoked"):
        stage.extended(base)
    assert len(stage.requests.everything(after=None, limit=10).items) == 1


def test_given_the_base_is_used_meanwhile_then_the_extension_begins_at_its_end() -> None:
    stage = Stage()
    base = stage.approved()
    stage.requests.meanwhile(lambda: stage.lent(base))
    assert stage.extended(base).window == Window(NOW + HOUR, NOW + 2 * HOUR)


def test_given_the_base_is_extended_meanwhile_then_the_second_is_refused() -> None:
    stage = Stage()
    base = active(stage)
    stage.requests.meanwhile(lambda: stage.extended(base))
    with pytest.raises(AlreadyExtended):
        stage.extended(base)


def test_given_an_extension_is_asked_for_meanwhile_then_it_ends_with_its_base_all_the_same() -> None:
    stage = Stage()
    base, extensions = active(stage), []
    stage.requests.meanwhile(lambda: extensions.append(stage.extended(base)))
    revoke(stage, base)
    assert [now(stage, extension)[0] for extension in extensions] == [Status.REVOKED]


# The base's first use goes wrong.


def test_given_sts_refuses_the_first_use_after_an_extension_counts_on_its_window_then_the_window_stays() -> None:
    stage = Stage()
    base, extensions = stage.approved(), []

    def extended_meanwhile(plan):
        extensions.append(stage.extended(base))
        raise StsRefused("No.", "AccessDenied")

    lend, stage.lender.lend = stage.lender.lend, extended_meanwhile  # type: ignore[method-assign]
    with pytest.raises(StsRefused):
        stage.lent(base)
    stage.lender.lend = lend  # type: ignore[method-assign]
    assert now(stage, base) == (Status.APPROVED, State.ACTIVE)
    stage.pass_time(30 * MINUTE)
    assert stage.lent(base).expiration == NOW + HOUR
    assert extensions[0].window == Window(NOW + HOUR, NOW + 2 * HOUR)


def test_given_sts_refuses_the_first_use_of_what_was_extended_unopened_then_the_window_shuts_and_opens_later() -> None:
    stage = Stage()
    base = stage.approved()
    extension = stage.extended(base)
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(base)
    assert now(stage, base) == (Status.APPROVED, State.READY)
    stage.pass_time(HOUR)
    stage.lent(base)
    stage.pass_time(HOUR)
    assert stage.lent(extension).expiration == NOW + 3 * HOUR


def test_given_sts_refuses_the_extensions_first_use_then_it_begins_where_it_would_have_begun() -> None:
    stage = Stage()
    base = stage.approved()
    extension = stage.extended(base)
    stage.lent(base)
    stage.now = NOW + HOUR
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(extension)
    assert now(stage, extension) == (Status.APPROVED, State.READY)
    stage.pass_time(30 * MINUTE)
    assert stage.lent(extension).expiration == NOW + 2 * HOUR


# The wall.


@given(
    durations=st.lists(st.integers(60, 3600), min_size=2, max_size=3).map(lambda each: sorted(each, reverse=True)),
    used_after=st.integers(0, 3599),
    beyond=st.integers(0, 10**6),
)
def test_no_session_of_a_link_lets_anything_through_at_or_after_the_links_end(durations, used_after, beyond) -> None:
    stage = Stage()
    link, ends_at = active(stage, durations[0] * SECOND), NOW + durations[0] * SECOND
    ends = [ends_at]
    for seconds in durations[1:]:
        link = stage.extended(link, duration=seconds * SECOND)
        stage.now = ends_at + (used_after % seconds) * SECOND
        stage.lent(link)
        ends_at += seconds * SECOND
        ends.append(ends_at)
    for plan, end in zip(stage.lender.plans, ends, strict=True):
        assert allowed(plan.policy, "s3:GetObject", "arn:aws:s3:::x/y", end - SECOND)
        assert not allowed(plan.policy, "s3:GetObject", "arn:aws:s3:::x/y", end + beyond * SECOND)


# What ends with what.


def chain(stage: Stage, *, used: bool = True) -> tuple[Request, Request, Request]:
    """Three links: the second waits for its start, or is ready like the first; the third waits for an approval."""
    base = active(stage) if used else stage.approved()
    stage.catalogue = CATALOGUE
    first = stage.extended(base)
    if used:
        stage.now = NOW + HOUR
    stage.catalogue = AGAIN
    second = stage.extended(first)
    stage.now = NOW + HOUR - SECOND if used else NOW  # a clock behind: the first link is active, the second scheduled
    return base, first, second


def test_revoking_ends_every_later_link_with_the_same_words() -> None:
    stage = Stage()
    base, first, second = chain(stage)
    revoked = revoke(stage, base)
    assert revoked.state(stage.now) is State.REVOKED
    assert [now(stage, link)[0] for link in (first, second)] == [Status.REVOKED, Status.CANCELLED]
    for link, kind in ((first, "request.revoked"), (second, "request.cancelled")):
        known, event = stage.request(link.id), stage.history(link.id)[-1]
        assert (known.decided_by, known.decision_comment) == (FRANK.id, "no more")
        assert (event.type, event.actor, event.details["ended_with"]) == (kind, FRANK.id, base.id)
        with pytest.raises(NotActive):
            stage.lent(link)


@pytest.mark.parametrize("cut", [False, True])
def test_returning_ends_every_later_link(cut: bool) -> None:
    stage = Stage()
    base, first, second = chain(stage)
    returned = ending.give_back(stage.world, CAROL, base.id, cut=cut)
    assert (returned.status, returned.revocation is not None) == (Status.RETURNED, cut)
    assert [now(stage, link)[0] for link in (first, second)] == [Status.CANCELLED, Status.CANCELLED]
    assert stage.history(second.id)[-1].details == {"ended_with": base.id}
    assert {id for _, id in stage.revoker.denied} == ({base.id} if cut else set())


def test_cancelling_what_is_ready_cancels_every_later_link() -> None:
    stage = Stage()
    base, first, second = chain(stage, used=False)
    ending.cancel(stage.world, CAROL, base.id)
    assert [now(stage, link)[0] for link in (base, first, second)] == [Status.CANCELLED] * 3


def test_ending_a_link_leaves_those_before_it_as_they_are() -> None:
    stage = Stage()
    base, first, second = chain(stage)
    revoke(stage, first, BOB)
    assert [now(stage, link)[0] for link in (base, first, second)] == [Status.USED, Status.REVOKED, Status.CANCELLED]
    assert stage.lent(base).expiration == NOW + HOUR
    assert stage.revoker.denied == set()


def test_links_that_were_over_before_stay_as_they_were() -> None:
    stage = Stage(catalogue=AGAIN)
    base = active(stage)
    denied = stage.extended(base)
    deciding.deny(stage.world, FRANK, denied.id, comment="no")
    before = stage.request(denied.id)
    revoke(stage, base)
    assert stage.request(denied.id) == before


@pytest.mark.parametrize("how", ["revoke", "return and cut", "return"])
def test_live_sessions_of_a_later_link_are_cut_as_its_own(how: str) -> None:
    """Only where clocks differ is a later link in use while an earlier one can still be taken away."""
    stage = Stage()
    base = active(stage)
    extension = stage.extended(base)
    stage.now = NOW + HOUR
    stage.lent(extension)
    stage.now = NOW + HOUR - SECOND
    if how == "revoke":
        revoke(stage, base)
    else:
        ending.give_back(stage.world, CAROL, base.id, cut=how == "return and cut")
    expected = Status.REVOKED if how == "revoke" else Status.RETURNED
    assert [now(stage, link)[0] for link in (base, extension)] == [expected, expected]
    assert {id for _, id in stage.revoker.denied} == (set() if how == "return" else {base.id, extension.id})
    assert stage.types(extension.id)[-1] == ("request.returned" if how == "return" else "deny.written")


def test_a_deny_that_cannot_be_written_keeps_none_from_being_written() -> None:
    stage = Stage()
    base = active(stage)
    extension = stage.extended(base)
    stage.now = NOW + HOUR
    stage.lent(extension)
    stage.now = NOW + HOUR - SECOND
    stage.revoker.fail_next("LimitExceeded")
    revoke(stage, base)
    assert {id for _, id in stage.revoker.denied} == {extension.id}


def test_revoking_an_extension_in_use_cuts_its_sessions_and_no_others() -> None:
    stage = Stage()
    base, other = active(stage), active(stage)
    extension = stage.extended(base)
    stage.now = NOW + HOUR
    stage.lent(extension)
    revoke(stage, extension, BOB)
    assert {id for _, id in stage.revoker.denied} == {extension.id}
    assert now(stage, base) == (Status.USED, State.ENDED)
    assert now(stage, other) == (Status.USED, State.ENDED)


def test_overlapping_grants_of_one_person_do_not_disturb_one_another() -> None:
    stage = Stage()
    base, other = active(stage), active(stage, 3 * HOUR)
    extension = stage.extended(base)
    elsewhere = stage.extended(other, duration=2 * HOUR)
    stage.now = NOW + HOUR
    assert stage.lent(extension).request_id == extension.id
    assert stage.lent(other).request_id == other.id
    revoke(stage, other, BOB)
    assert stage.lent(extension).expiration == NOW + 2 * HOUR
    assert [now(stage, each)[0] for each in (base, extension, elsewhere)] == [Status.USED, Status.USED, Status.REVOKED]


# An emergency made of one.


def test_a_pending_extension_that_is_escalated_is_an_emergency_of_its_own_and_in_no_chain() -> None:
    stage = Stage(catalogue=AGAIN)
    base = active(stage)
    extension = stage.extended(base)
    burning = emergency.escalate(stage.world, CAROL, extension.id, reason="nobody answers and it burns")
    assert (burning.break_glass, burning.link, burning.window, burning.starts_at) == (True, None, None, None)
    assert stage.lent(burning).expiration == NOW + HOUR
    revoke(stage, base)
    assert now(stage, burning) == (Status.USED, State.ACTIVE)
    with pytest.raises(NotEligible, match="never extended"):
        stage.extended(burning)


def test_what_left_the_chain_does_not_stand_in_the_way_of_an_extension() -> None:
    stage = Stage(catalogue=AGAIN)
    base = active(stage)
    emergency.escalate(stage.world, CAROL, stage.extended(base).id, reason="nobody answers and it burns")
    assert stage.extended(base).state(NOW) is State.PENDING


# An outage.


@pytest.mark.parametrize("effect", list(Effect))
def test_given_the_table_does_not_answer_then_both_are_recorded_or_neither_and_the_same_key_finds_out(effect) -> None:
    stage = Stage()
    base = active(stage)
    stage.requests.fail_next(effect)
    with pytest.raises(Unavailable):
        stage.extended(base, key="k-1")
    extensions = [each for each in stage.requests.everything(after=None, limit=10).items if each.link]
    assert stage.request(base.id).extended_by == (extensions[0].id if extensions else None)
    assert bool(extensions) == (effect is Effect.AFTER)
    assert stage.extended(base, key="k-1").link
    assert len(stage.requests.everything(after=None, limit=10).items) == 2


def test_asking_for_an_extension_of_nothing_is_no_ordinary_ask() -> None:
    with pytest.raises(Refusal):
        asking.ask(Stage().world, CAROL, replace(an_ask(), role=""), None)
