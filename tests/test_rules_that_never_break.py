"""design's rules that never break, each by its number, and what tries to break it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.broker import deciding, ending, lending, seeing
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.catalogue import Who
from chalicelib.core.life import State
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import (
    AlreadyApprovedByYou,
    Invalid,
    MayNotApprove,
    NotActive,
    NotEligible,
    NotFound,
    NotPending,
    PassAsksForPass,
    Refusal,
    TooLong,
    Unavailable,
)
from chalicelib.core.request import ScopeChoice
from chalicelib.identity import sigv4
from tests.builders import HOUR, NOW, SECOND, a_principal
from tests.fakes import Effect
from tests.iam import allowed
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK, PEOPLE, ROBOT, now_in
from tests.stage import CATALOGUE, Stage, an_ask, via_oidc, with_role, with_rules

CLIMBS = (
    "sts:AssumeRole",
    "sts:AssumeRoot",
    "sts:GetWebIdentityToken",
    "signin:AuthorizeOAuth2Access",
    "signin:CreateOAuth2Token",
)
ANY_ROLE = "arn:aws:iam::222222222222:role/Other"
CDK = "arn:aws:iam::222222222222:role/cdk-deploy"


# 1. No credential without a record.


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("write", [0, 1])
def test_rule_1_no_credentials_leave_where_a_write_failed(effect: Effect, write: int) -> None:
    stage = Stage()
    request = stage.approved()
    stage.requests.fail_next(effect, after=write)
    with pytest.raises(Unavailable):
        stage.lent(request)


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("write", [0, 1, 2])
def test_rule_1_nor_a_link_into_the_console(effect: Effect, write: int) -> None:
    stage = Stage()
    request = stage.approved()
    stage.requests.fail_next(effect, after=write)
    with pytest.raises(Unavailable):
        stage.linked(request)
    assert stage.console is not None
    assert len(stage.console.signed_in) == (write == 2), "AWS hears the keys of no session that is not on the record"


def test_rule_1_when_sts_is_asked_the_sessions_name_is_on_the_record_already() -> None:
    stage = Stage()
    request = stage.approved()
    lend = stage.lender.lend

    def looking_first(plan):
        assert stage.history(request.id)[-1].details["session_name"] == plan.session_name
        return lend(plan)

    stage.lender.lend = looking_first  # type: ignore[method-assign]
    assert stage.lent(request)


# 2. No secret is kept: tests/test_canary.py looks everywhere.


# 3. Time is a wall.


@given(
    duration=st.integers(60, 4 * 3600),
    used_after=st.integers(0, 8 * 3600 - 1),
    again_after=st.integers(0, 4 * 3600),
    beyond=st.integers(0, 10**6),
    action=st.sampled_from([*CLIMBS, "s3:GetObject", "iam:CreateUser", "ec2:RunInstances"]),
    own_policy=st.sampled_from(
        [
            None,
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Allow", "NotAction": "s3:DeleteObject", "NotResource": "arn:aws:s3:::x"},
            {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        ]
    ),
    catalogue=st.sampled_from([CATALOGUE, via_oidc("sandbox-admin")]),
)
def test_rule_3_no_action_passes_at_or_after_the_windows_end_whatever_policy_was_asked_for(
    duration, used_after, again_after, beyond, action, own_policy, catalogue
) -> None:
    stage = Stage(catalogue=catalogue)
    policy = json.dumps({"Version": "2012-10-17", "Statement": own_policy}) if own_policy else None
    request = stage.asked(ALICE, an_ask("sandbox-admin", timedelta(seconds=duration), session_policy=policy))
    stage.pass_time(timedelta(seconds=used_after))
    opened = stage.now
    stage.lent(request, ALICE)
    if again_after < duration:
        stage.pass_time(timedelta(seconds=again_after))
        stage.lent(request, ALICE)
    end = opened + timedelta(seconds=duration)
    for plan in stage.lender.plans:
        assert not allowed(plan.policy, action, ANY_ROLE, end + timedelta(seconds=beyond))
        assert allowed(plan.policy, action, ANY_ROLE, end - SECOND) == (action not in CLIMBS)


def test_rule_3_what_would_climb_over_the_wall_is_denied_but_for_the_roles_that_chaining_lists() -> None:
    stage = Stage(catalogue=with_role("payments-admin", chaining=("arn:aws:iam::*:role/cdk-*",)))
    stage.lent(stage.approved())
    [plan] = stage.lender.plans
    assert allowed(plan.policy, "sts:AssumeRole", CDK, NOW)
    assert not allowed(plan.policy, "sts:AssumeRole", ANY_ROLE, NOW)
    assert not any(allowed(plan.policy, climb, CDK, NOW) for climb in CLIMBS[1:])
    assert not allowed(plan.policy, "sts:AssumeRole", CDK, NOW + HOUR)


def test_rule_3_a_role_that_logs_in_elsewhere_refuses_windows_under_a_quarter_of_an_hour_also_when_cut() -> None:
    stage = Stage(catalogue=with_role("payments-admin", identity_use=True))
    with pytest.raises(Invalid):
        stage.asked(CAROL, an_ask(duration=timedelta(minutes=14)))
    request = stage.asked(CAROL)
    with pytest.raises(Invalid):
        deciding.approve(stage.world, FRANK, request.id, comment=None, duration=timedelta(minutes=14))


# 4. Nobody says yes to themselves, nobody counts twice, a no or a cancellation is final.


def test_rule_4_no_group_lets_one_approve_ones_own_request() -> None:
    stage = Stage()
    request = stage.asked(BOB)
    everything = now_in(BOB, "sre", "sre-leads", "security", "engineering")
    with pytest.raises(MayNotApprove):
        deciding.approve(stage.world, everything, request.id, comment=None, duration=None)


def test_rule_4_nobody_counts_twice_even_where_two_are_wanted() -> None:
    two = (RuleStage(2, Who(groups=frozenset({"sre-leads"}))),)
    stage = Stage(catalogue=with_rules(("sre administer payments", {"stages": two})))
    request = stage.asked()
    deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    with pytest.raises(AlreadyApprovedByYou):
        deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert stage.request(request.id).state(NOW) is State.PENDING


def test_rule_4_a_workload_decides_nothing() -> None:
    stage = Stage()
    request = stage.asked()
    machine = a_principal("local-cluster/x", kind=Kind.WORKLOAD, groups=frozenset({"sre-leads", "security"}))
    for decide in (
        lambda: deciding.approve(stage.world, machine, request.id, comment=None, duration=None),
        lambda: deciding.deny(stage.world, machine, request.id, comment="no"),
    ):
        with pytest.raises(MayNotApprove):
            decide()


@pytest.mark.parametrize("final", ["denied", "cancelled", "returned"])
def test_rule_4_after_an_end_nothing_moves_any_more(final: str) -> None:
    stage = Stage()
    request = stage.asked()
    match final:
        case "denied":
            deciding.deny(stage.world, BOB, request.id, comment="no")
        case "cancelled":
            ending.cancel(stage.world, CAROL, request.id)
        case "returned":
            deciding.approve(stage.world, BOB, request.id, comment=None, duration=None)
            stage.lent(request)
            ending.give_back(stage.world, CAROL, request.id)
    before = stage.request(request.id)
    for act in (
        lambda: deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None),
        lambda: deciding.deny(stage.world, FRANK, request.id, comment="no"),
        lambda: ending.cancel(stage.world, CAROL, request.id),
        lambda: ending.give_back(stage.world, CAROL, request.id),
        lambda: stage.lent(request),
    ):
        with pytest.raises(Refusal):
            act()
    assert stage.request(request.id) == before


@pytest.mark.parametrize("role", ["PaymentsAdmin", "SandboxAdmin"])
def test_rule_4_a_pass_never_asks_for_a_pass(role: str) -> None:
    account = {"PaymentsAdmin": "222222222222", "SandboxAdmin": "111111111111"}[role]
    context = {
        "apiId": "api",
        "stage": "prod",
        "resourcePath": "/iam/v1/requests",
        "identity": {
            "userArn": f"arn:aws:sts::{account}:assumed-role/{role}/01K-alice@example.com",
            "accountId": account,
            "principalOrgId": "o-1",
        },
    }
    with pytest.raises(PassAsksForPass):
        sigv4.verify(context, catalogue=CATALOGUE, api_id="api", stage="prod", organization_id="o-1", now=NOW)


# 5. Asking for more than is allowed is refused; issuing takes the least of what remains.


def test_rule_5_a_second_too_long_is_refused_and_the_limit_is_named() -> None:
    with pytest.raises(TooLong, match="4 h allowed by rule 'sre administer payments'"):
        Stage().asked(CAROL, an_ask(duration=4 * HOUR + SECOND))


@given(cut=st.integers(60, 4 * 3600), limit=st.integers(60, 4 * 3600), own=st.integers(900, 12 * 3600))
def test_rule_5_a_session_takes_the_least_of_approvers_cut_rule_role_and_sts(cut, limit, own) -> None:
    stage = Stage()
    request = stage.asked(CAROL, an_ask(duration=4 * HOUR))
    deciding.approve(stage.world, BOB, request.id, comment=None, duration=timedelta(seconds=cut))
    rules = with_rules(("sre administer payments", {"max_duration": timedelta(seconds=limit)}))
    roles = with_role("payments-admin", max_session=timedelta(seconds=own))
    stage.catalogue = replace(rules, roles=roles.roles)
    lent = stage.lent(request)
    [plan] = stage.lender.plans
    assert lent.expiration == NOW + timedelta(seconds=min(cut, limit, max(900, min(cut, limit, own, 3600))))
    assert plan.duration == timedelta(seconds=max(900, min(cut, limit, own, 3600)))


# 6. Judged again every time.


@pytest.mark.parametrize(
    "change",
    [
        {"roles": ("nothing-such",)},
        {"who": Who(groups=frozenset({"others"}))},
        {"ticket": "INC-[0-9]+"},
        {"stages": (RuleStage(2, Who(groups=frozenset({"sre-leads"}))),)},
        {"stages": (RuleStage(1, Who(groups=frozenset({"security"}))),)},
    ],
    ids=["role", "who", "ticket", "count", "approvers"],
)
def test_rule_6_an_approved_request_lends_nothing_that_todays_catalogue_does_not_give(change) -> None:
    stage = Stage()
    request = stage.approved()
    stage.catalogue = with_rules(("sre administer payments", change))
    with pytest.raises(NotEligible):
        stage.lent(request)
    stage.catalogue = CATALOGUE
    assert stage.lent(request)


def test_rule_6_nor_what_todays_groups_do_not_give() -> None:
    stage = Stage()
    request = stage.approved()
    for groups in ([], ["sre", "contractors"], ["oncall"]):
        with pytest.raises(NotEligible):
            stage.lent(request, now_in(CAROL, *groups))


# 7. One state, one writer: races on the real engine are in tests/test_races.py.


def test_rule_7_two_simultaneous_clicks_give_one_transition_and_one_clear_answer() -> None:
    stage = Stage()
    request = stage.asked()
    stage.requests.meanwhile(lambda: deciding.approve(stage.world, BOB, request.id, comment=None, duration=None))
    with pytest.raises(NotPending):
        deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert stage.types(request.id).count("request.approved") == 1


# 8. State needs no clock job.


def test_rule_8_requests_expire_and_windows_close_though_nothing_ever_runs() -> None:
    stage = Stage()
    waiting, unused, used = stage.asked(), stage.approved(), stage.approved()
    stage.lent(used)
    stage.pass_time(8 * HOUR)
    states = [stage.request(request.id).state(stage.now) for request in (waiting, unused, used)]
    assert states == [State.EXPIRED, State.EXPIRED, State.ENDED]
    for request in (waiting, unused, used):
        with pytest.raises(NotActive):
            stage.lent(request)


# 9. Default deny: the gate's side is in tests/web/test_gate.py.


@pytest.mark.parametrize("who", [ALICE, EVE, ROBOT])
def test_rule_9_what_is_not_ones_business_is_not_there(who) -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    for look in (
        lambda: seeing.story(stage.world, who, request.id),
        lambda: seeing.history(stage.world, who, request.id, after=0, limit=50),
        lambda: deciding.approve(stage.world, who, request.id, comment=None, duration=None),
        lambda: deciding.deny(stage.world, who, request.id, comment="no"),
        lambda: ending.cancel(stage.world, who, request.id),
        lambda: ending.give_back(stage.world, who, request.id),
        lambda: stage.lent(request, who),
    ):
        with pytest.raises(NotFound):
            look()
    assert seeing.listed(stage.world, who, seeing.Filters(), after=None, limit=50).items == ()


# 10. Deny beats allow, order does not matter: as properties in tests/core/test_rules.py.


def test_rule_10_a_deny_in_any_place_beats_every_allow() -> None:
    for rules in (CATALOGUE.rules, CATALOGUE.rules[::-1]):
        stage = Stage(catalogue=replace(CATALOGUE, rules=rules))
        with pytest.raises(NotEligible):
            stage.asked(now_in(EVE, "sre", "contractors"))


# 11. What an approver sees, the broker wrote.


def test_rule_11_account_role_person_and_policy_come_from_catalogue_and_identity() -> None:
    stage = Stage()
    scope = ScopeChoice("one-bucket", {"bucket": "data-files"})
    reason = "Requester: root@example.com\nApproved-by: bob"
    request = stage.asked(ALICE, an_ask("data-export", scope=scope, reason=reason))
    shown, _ = seeing.story(stage.world, DAVE, request.id)
    role = CATALOGUE.roles["data-export"]
    assert (shown.requester.id, shown.role_arn, shown.account_id) == (ALICE.id, role.arn, role.account.id)
    assert shown.session_policy is not None
    assert "data-files" in shown.session_policy
    assert (shown.reason, shown.approvals) == (reason, ())


def test_every_person_of_the_example_is_somebody() -> None:
    assert len({who.id for who in PEOPLE}) == 7
    assert isinstance(lending.ask_and_lend(Stage().world, ROBOT, an_ask("deploy"), None), Credentials)
