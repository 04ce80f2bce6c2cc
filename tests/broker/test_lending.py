"""Lending: on the record first, then lent, and handed out only once that is on the record too."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.broker import deciding, ending, lending
from chalicelib.broker.asking import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import NothingLent
from chalicelib.core.catalogue import Rule, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.life import State, Status, Window
from chalicelib.core.refusals import (
    NotActive,
    NotEligible,
    NotFound,
    NotYours,
    StsRefused,
    TooManySessions,
    Unavailable,
)
from chalicelib.core.request import Request, ScopeChoice, SessionStatus
from tests.builders import HOUR, NOW, SECOND
from tests.fakes import Effect, FakeLender
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK, now_in
from tests.stage import Stage, an_ask, via_oidc, with_role, with_rules

RULE = "sre administer payments"
SANDBOX = an_ask("sandbox-admin", 8 * HOUR)
MINUTE = timedelta(minutes=1)
KEY = IdempotencyKey("POST /credentials", "k-1")


def ask_and_lend(stage: Stage, who=ALICE, wish=SANDBOX, key=None):
    return lending.ask_and_lend(stage.world, who, wish, key)


def wall(stage: Stage) -> str:
    """The instant of the last plan's Deny."""
    statements = json.loads(stage.lender.plans[-1].policy)["Statement"]
    [instant] = [
        statement["Condition"]["DateGreaterThanEquals"]["aws:CurrentTime"]
        for statement in statements
        if "DateGreaterThanEquals" in statement.get("Condition", {})
    ]
    return str(instant)


def test_given_an_approved_request_when_fetching_then_the_window_opens_now_not_at_the_approval() -> None:
    stage = Stage()
    request = stage.approved()
    stage.pass_time(2 * HOUR)
    lent = stage.lent(request)
    assert stage.request(request.id).window == Window(NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert lent.expiration == NOW + 3 * HOUR
    assert stage.types(request.id)[-2:] == ["session.issuing", "session.issued"]


def test_the_record_of_a_session_holds_cloudtrails_join_keys_and_no_secret() -> None:
    stage = Stage()
    request = stage.approved()
    lent = stage.lent(request)
    [session] = stage.sessions(request.id)
    [answer] = stage.lender.lent
    assert (session.access_key_id, session.assumed_role_id, session.sts_request_id, session.sts_region) == (
        answer.access_key_id,
        answer.assumed_role_id,
        answer.request_id,
        "us-east-1",
    )
    assert (session.status, session.issued_at, session.expires_at) == (SessionStatus.ISSUED, NOW, NOW + HOUR)
    told = str([event.as_json() for event in stage.history(request.id)]) + str(stage.requests.story(request.id))
    assert lent.secret_access_key.value not in told
    assert lent.session_token.value not in told


def test_what_sts_is_asked_for() -> None:
    stage = Stage(catalogue=with_role("payments-admin", external_id="ext-1"))
    request = stage.approved(wish=an_ask(ticket="INC-7"))
    lent = stage.lent(request)
    [plan] = stage.lender.plans
    [session] = stage.sessions(request.id)
    assert plan.role_arn == "arn:aws:iam::222222222222:role/daypass/PaymentsAdmin"
    assert plan.session_name == f"{session.id}-carol@example.com" == lent.session_name
    assert plan.source_identity == "carol@example.com" == lent.source_identity
    assert plan.tags == {"daypass:request": request.id, "daypass:ticket": "INC-7"}
    assert (plan.transitive, plan.external_id) == ((), "ext-1")


def test_tags_follow_a_chain_only_where_the_role_may_chain() -> None:
    stage = Stage(catalogue=with_role("payments-admin", chaining=("arn:aws:iam::*:role/cdk-*",)))
    stage.lent(stage.approved())
    assert stage.lender.plans[0].transitive == ("daypass:request",)


@pytest.mark.parametrize(
    ("window", "used_for", "planned", "shown"),
    [
        (8 * HOUR, timedelta(0), HOUR, HOUR),
        (8 * HOUR, 7 * HOUR + 30 * MINUTE, 30 * MINUTE, 30 * MINUTE),
        (8 * HOUR, 7 * HOUR + 50 * MINUTE, 15 * MINUTE, 10 * MINUTE),
        (60 * SECOND, timedelta(0), 15 * MINUTE, 60 * SECOND),
        (60 * SECOND, 59 * SECOND, 15 * MINUTE, SECOND),
    ],
)
def test_a_session_is_planned_with_what_remains_within_what_sts_lends(window, used_for, planned, shown) -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin", window))
    stage.lent(request, ALICE)
    stage.pass_time(used_for)
    lent = stage.lent(request, ALICE)
    assert stage.lender.plans[-1].duration == planned
    assert lent.expiration == stage.now + shown
    assert wall(stage) == (NOW + window).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_roles_own_maximum_shortens_a_session() -> None:
    stage = Stage(catalogue=with_role("sandbox-admin", max_session=30 * MINUTE))
    ask_and_lend(stage)
    assert stage.lender.plans[0].duration == 30 * MINUTE


def test_where_the_provider_vouches_a_session_lasts_as_long_as_the_window() -> None:
    stage = Stage(catalogue=via_oidc("sandbox-admin"))
    lent = ask_and_lend(stage)
    [plan] = stage.lender.plans
    assert (plan.duration, lent.expiration, wall(stage)) == (8 * HOUR, NOW + 8 * HOUR, "2031-03-05T20:00:00Z")
    assert stage.request(lent.request_id).lent_until == NOW + 8 * HOUR


def test_the_history_tells_which_way_a_session_was_lent_and_what_finds_it_in_cloudtrail() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lent(request)
    stage.catalogue = via_oidc("payments-admin")
    stage.lent(request)
    chained, _, vouched, issued = stage.history(request.id)[-4:]
    provider = stage.catalogue.provider
    assert provider is not None
    assert (chained.details["via"], "kid" in chained.details) == ("role", False)
    assert (vouched.details["via"], vouched.details["issuer"], vouched.details["kid"]) == (
        "oidc",
        provider.issuer,
        provider.keys[0].kid,
    )
    assert issued.details["kms_request_id"] == "00000000-0000-4000-9000-000000000002"


def test_when_the_last_session_ends_is_remembered_whatever_the_next_one_asks_for() -> None:
    stage = Stage(catalogue=via_oidc("sandbox-admin", max_session=2 * HOUR))
    request = stage.asked(ALICE, SANDBOX)
    stage.lent(request, ALICE)
    stage.catalogue = via_oidc("sandbox-admin", max_session=15 * MINUTE)
    stage.pass_time(HOUR)
    stage.lent(request, ALICE)
    assert stage.request(request.id).lent_until == NOW + 2 * HOUR
    stage.pass_time(HOUR)
    stage.lent(request, ALICE)
    assert stage.request(request.id).lent_until == NOW + 2 * HOUR + 15 * MINUTE


def test_nobody_else_fetches_the_credentials_not_even_who_approved() -> None:
    stage = Stage()
    request = stage.approved(by=FRANK)
    for other in (FRANK, BOB, DAVE):
        with pytest.raises(NotYours):
            stage.lent(request, other)
    for stranger in (ALICE, EVE):
        with pytest.raises(NotFound):
            stage.lent(request, stranger)
    assert stage.lender.plans == []


def test_before_the_approval_there_is_nothing_to_fetch() -> None:
    stage = Stage()
    with pytest.raises(NotActive, match="not approved yet: rule 'sre administer payments' asks for 1 more"):
        stage.lent(stage.asked())


def test_an_approval_that_is_not_used_within_eight_hours_has_lapsed() -> None:
    stage = Stage()
    request = stage.approved()
    stage.pass_time(8 * HOUR)
    with pytest.raises(NotActive, match="not used by 2031-03-05T20:00:00Z and has lapsed"):
        stage.lent(request)


def test_at_the_windows_end_it_is_over_to_the_second() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lent(request)
    stage.pass_time(HOUR - SECOND)
    assert stage.lent(request)
    stage.pass_time(SECOND)
    with pytest.raises(NotActive, match="ended"):
        stage.lent(request)


def test_given_the_rule_was_taken_away_since_then_nothing_is_lent() -> None:
    stage = Stage()
    request = stage.approved()
    stage.catalogue = with_rules((RULE, {"roles": ("nothing",)}))
    with pytest.raises(NotEligible):
        stage.lent(request)
    assert stage.lender.plans == []


def test_given_the_requester_left_the_group_since_then_nothing_is_lent() -> None:
    stage = Stage()
    request = stage.approved()
    with pytest.raises(NotEligible):
        stage.lent(request, now_in(CAROL, "engineering"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"require_mfa": True}, f"Rule '{RULE}' asks for a second factor"),
        ({"ticket": "INC-[0-9]+"}, f"rule '{RULE}' asks for a ticket of the form INC-[0-9]+"),
        ({"roles": ("nothing",)}, "no rule gives it to you"),
    ],
)
def test_what_todays_rule_asks_for_besides_is_named_with_it(change, told: str) -> None:
    stage = Stage()
    request = stage.approved()
    stage.catalogue = with_rules((RULE, change))
    with pytest.raises(NotEligible, match=re.escape(told)):
        stage.lent(request, replace(CAROL, mfa="require_mfa" not in change))


def test_given_the_requester_came_under_a_deny_since_then_nothing_is_lent() -> None:
    stage = Stage()
    request = stage.approved()
    with pytest.raises(NotEligible):
        stage.lent(request, now_in(CAROL, "sre", "contractors"))


def test_given_the_rule_wants_more_approvals_by_now_then_nothing_is_lent() -> None:
    stage = Stage()
    request = stage.approved()
    stage.catalogue = with_rules((RULE, {"stages": (RuleStage(2, Who(groups=frozenset({"sre-leads"}))),)}))
    with pytest.raises(NotEligible, match=f"Rule '{RULE}' asks for 1 approval by now that this request was not given"):
        stage.lent(request)


def test_given_the_rule_allows_less_by_now_then_the_access_ends_that_much_earlier() -> None:
    stage = Stage()
    request = stage.asked(ALICE, SANDBOX)
    stage.lent(request, ALICE)
    stage.catalogue = with_rules(("engineers administer the sandbox", {"max_duration": 2 * HOUR}))
    stage.pass_time(HOUR)
    assert stage.lent(request, ALICE).expiration == NOW + 2 * HOUR
    stage.pass_time(HOUR)
    with pytest.raises(NotActive, match="allows less than it did, 2 h: this access ended at 2031-03-05T14:00:00Z"):
        stage.lent(request, ALICE)


def test_given_the_scope_changed_since_the_approval_then_what_was_approved_is_not_replaced() -> None:
    scope = ScopeChoice("one-bucket", {"bucket": "data-files"})
    stage = Stage()
    request = stage.asked(ALICE, an_ask("data-export", scope=scope))
    for who in (FRANK, DAVE):
        deciding.approve(stage.world, who, request.id, comment=None, duration=None)
    role = stage.catalogue.roles["data-export"]
    wider = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "${bucket}"}]}
    changed = replace(role.scopes["one-bucket"], policy=wider)
    before = stage.catalogue
    stage.catalogue = with_role("data-export", scopes={"one-bucket": changed})
    with pytest.raises(NotEligible, match="scope 'one-bucket' was changed"):
        stage.lent(request, ALICE)
    stage.catalogue = before
    stage.lent(request, ALICE)
    assert '"arn:aws:s3:::data-files/*"' in stage.lender.plans[0].policy


def test_given_the_role_moved_to_another_account_since_then_nothing_is_lent() -> None:
    stage = Stage()
    request = stage.approved()
    stage.catalogue = with_role("payments-admin", role_name="daypass/Other")
    with pytest.raises(NotEligible):
        stage.lent(request)


def test_ten_sessions_a_minute_and_no_more() -> None:
    stage = Stage()
    request = stage.asked(ALICE, SANDBOX)
    for _ in range(10):
        stage.lent(request, ALICE)
        stage.pass_time(SECOND)
    with pytest.raises(TooManySessions) as refusal:
        stage.lent(request, ALICE)
    assert refusal.value.retry_after == 50 * SECOND
    stage.pass_time(50 * SECOND)
    assert stage.lent(request, ALICE)


def test_five_hundred_sessions_in_all_and_no_more() -> None:
    stage = Stage()
    request = stage.asked(ALICE, SANDBOX)
    for _ in range(500):
        stage.lent(request, ALICE)
        stage.pass_time(30 * SECOND)
    with pytest.raises(TooManySessions) as refusal:
        stage.lent(request, ALICE)
    assert refusal.value.retry_after is None
    assert len(stage.sessions(request.id)) == 50


def test_given_sts_refuses_the_first_use_then_the_window_shuts_again() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(request)
    after = stage.request(request.id)
    assert (after.status, after.window, after.state(NOW)) == (Status.APPROVED, None, State.READY)
    assert stage.types(request.id)[-2:] == ["session.issuing", "session.failed"]
    stage.pass_time(HOUR)
    assert stage.lent(request).expiration == NOW + 2 * HOUR


@pytest.mark.parametrize(
    "no",
    [
        StsRefused("no", "AccessDenied", {"kms_request_id": "kms-1", "sts_request_id": "sts-1"}),
        NothingLent("not now", "IDPCommunicationError", {"kms_request_id": "kms-1", "sts_request_id": "sts-1"}),
        Unavailable("STS failed", calls={"kms_request_id": "kms-1"}),
        StsRefused("no", "AccessDenied"),
    ],
)
def test_what_was_asked_in_vain_is_on_the_record_by_the_ids_that_cloudtrail_has_of_it(no) -> None:
    class Lender(FakeLender):
        def lend(self, plan):
            raise no

    stage = Stage(catalogue=via_oidc("payments-admin"))
    stage.lender = Lender(lambda: stage.now)
    request = stage.approved()
    with pytest.raises(StsRefused if isinstance(no, StsRefused) else Unavailable):
        stage.lent(request)
    failed = stage.history(request.id)[-1]
    assert failed.type == "session.failed"
    assert failed.details["code"] == getattr(no, "code", "no-answer")
    assert {name: id for name, id in failed.details.items() if name.endswith("request_id")} == no.calls


@pytest.mark.parametrize("effect", list(Effect))
def test_given_sts_does_not_answer_the_first_use_then_the_window_stays_open(effect) -> None:
    stage = Stage()
    request = stage.approved()
    stage.lender.time_out_next(effect)
    with pytest.raises(Unavailable):
        stage.lent(request)
    assert stage.request(request.id).window == Window(NOW, NOW + HOUR)
    stage.pass_time(30 * MINUTE)
    assert stage.lent(request).expiration == NOW + HOUR


def test_given_nothing_was_signed_for_the_first_use_then_the_window_shuts_again_and_trying_again_helps() -> None:
    stage = Stage(catalogue=via_oidc("payments-admin"))
    request = stage.approved()
    stage.lender.lend_nothing_next("ThrottlingException")
    with pytest.raises(Unavailable, match="told not to sign"):
        stage.lent(request)
    after = stage.request(request.id)
    assert (after.status, after.window, after.lent_until) == (Status.APPROVED, None, None)
    assert stage.history(request.id)[-1].details["code"] == "ThrottlingException"
    assert stage.lent(request)


def test_given_sts_refuses_a_later_use_then_the_window_stays_as_it_is() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lent(request)
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.lent(request)
    assert stage.request(request.id).window == Window(NOW, NOW + HOUR)


def test_given_the_request_is_returned_while_sts_lends_then_nothing_is_handed_out() -> None:
    stage = Stage()
    request = stage.approved()
    lend = stage.lender.lend

    def lend_while_it_is_returned(plan):
        ending.give_back(stage.world, CAROL, request.id)
        return lend(plan)

    stage.lender.lend = lend_while_it_is_returned  # type: ignore[method-assign]
    with pytest.raises(NotActive, match="returned while"):
        stage.lent(request)
    assert stage.types(request.id)[-3:] == ["session.issuing", "request.returned", "session.failed"]
    details, lent = stage.history(request.id)[-1].details, stage.lender.lent[0]
    assert (details["access_key_id"], details["sts_request_id"]) == (lent.access_key_id, lent.request_id)


def test_given_another_session_is_issued_at_the_same_time_then_both_are() -> None:
    stage = Stage()
    request = stage.asked(ALICE, SANDBOX)
    stage.requests.meanwhile(lambda: stage.lent(request, ALICE))
    assert stage.lent(request, ALICE)
    assert stage.types(request.id).count("session.issued") == 2
    assert stage.request(request.id).window == Window(NOW, NOW + 8 * HOUR)


def test_given_the_opener_fails_while_another_session_was_begun_then_the_window_stays_open() -> None:
    stage = Stage()
    request = stage.approved()
    lend = stage.lender.lend

    def lend_second_first(plan):
        stage.lender.lend = lend  # type: ignore[method-assign]
        stage.lent(request)
        raise StsRefused("no", "AccessDenied")

    stage.lender.lend = lend_second_first  # type: ignore[method-assign]
    with pytest.raises(StsRefused):
        stage.lent(request)
    assert stage.request(request.id).window == Window(NOW, NOW + HOUR)


def test_given_the_outcome_cannot_be_recorded_then_the_credentials_are_not_returned() -> None:
    for effect in Effect:
        stage = Stage()
        request = stage.approved()
        stage.requests.fail_next(effect, after=1)
        with pytest.raises(Unavailable):
            stage.lent(request)
        assert len(stage.lender.lent) == 1


def test_given_the_beginning_cannot_be_recorded_then_sts_is_not_asked() -> None:
    for effect in Effect:
        stage = Stage()
        request = stage.approved()
        stage.requests.fail_next(effect)
        with pytest.raises(Unavailable):
            stage.lent(request)
        assert stage.lender.plans == []


def test_ask_and_lend_where_no_approval_is_due_is_one_call() -> None:
    stage = Stage()
    lent = ask_and_lend(stage)
    assert isinstance(lent, Credentials)
    assert stage.types(lent.request_id) == ["request.submitted", "session.issuing", "session.issued"]


def test_ask_and_lend_where_an_approval_is_due_leaves_a_pending_request() -> None:
    stage = Stage()
    request = ask_and_lend(stage, CAROL, an_ask())
    assert isinstance(request, Request)
    assert request.state(NOW) is State.PENDING
    assert stage.lender.plans == []


def test_the_same_key_gives_the_same_request_and_a_new_session() -> None:
    stage = Stage()
    first, again = ask_and_lend(stage, key=KEY), ask_and_lend(stage, key=KEY)
    assert isinstance(first, Credentials)
    assert isinstance(again, Credentials)
    assert first.request_id == again.request_id
    assert first.access_key_id != again.access_key_id


def test_the_same_key_waits_while_it_is_pending_and_receives_once_it_is_approved() -> None:
    stage = Stage()
    waiting = ask_and_lend(stage, CAROL, an_ask(), KEY)
    assert isinstance(waiting, Request)
    assert ask_and_lend(stage, CAROL, an_ask(), KEY) == waiting
    deciding.approve(stage.world, FRANK, waiting.id, comment=None, duration=None)
    assert isinstance(ask_and_lend(stage, CAROL, an_ask(), KEY), Credentials)


def test_given_sts_refuses_ask_and_lend_then_the_same_key_can_try_again() -> None:
    stage = Stage()
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        ask_and_lend(stage, key=KEY)
    lent = ask_and_lend(stage, key=KEY)
    assert isinstance(lent, Credentials)
    assert stage.types(lent.request_id) == [
        "request.submitted",
        "session.issuing",
        "session.failed",
        "session.issuing",
        "session.issued",
    ]


def test_credentials_do_not_show_their_secrets_to_who_only_prints_them() -> None:
    lent = ask_and_lend(Stage())
    assert isinstance(lent, Credentials)
    for shown in (repr(lent), str(lent), f"{lent.secret_access_key} {lent.session_token}"):
        assert lent.secret_access_key.value not in shown
        assert lent.session_token.value not in shown


def test_of_several_filled_rules_the_longest_lets_the_access_last() -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin", 2 * HOUR))
    stage.lent(request, ALICE)
    engineers = Who(groups=frozenset({"engineering"}))
    short = Rule(name="a short one", who=engineers, roles=("sandbox-admin",), max_duration=HOUR)
    stage.catalogue = replace(stage.catalogue, rules=(short, *stage.catalogue.rules))
    stage.pass_time(90 * MINUTE)
    assert stage.lent(request, ALICE).expiration == NOW + 2 * HOUR


def test_a_first_use_that_is_refused_again_and_again_shuts_the_window_each_time() -> None:
    stage = Stage()
    request = stage.approved()
    for _ in range(3):
        stage.lender.refuse_next()
        with pytest.raises(StsRefused):
            stage.lent(request)
        assert (stage.request(request.id).window, stage.request(request.id).sessions_begun) == (None, 0)


def test_a_return_that_races_a_refusal_of_the_only_session_stands() -> None:
    stage = Stage()
    request = stage.approved()

    def returned_and_refused(plan):
        ending.give_back(stage.world, CAROL, request.id)
        raise StsRefused("no", "AccessDenied")

    stage.lender.lend = returned_and_refused  # type: ignore[method-assign]
    with pytest.raises(StsRefused):
        stage.lent(request)
    assert stage.request(request.id).status is Status.RETURNED


def test_a_role_that_logs_in_elsewhere_lends_nothing_that_todays_rule_cuts_too_short() -> None:
    stage = Stage()
    request = stage.approved()
    cut = with_rules((RULE, {"max_duration": 2 * MINUTE}))
    stage.catalogue = replace(cut, roles=with_role("payments-admin", identity_use=True).roles)
    with pytest.raises(NotEligible, match=f"Rule '{RULE}' leaves too little today: .* 15 min at least"):
        stage.lent(request)
    assert stage.lender.plans == []


@pytest.mark.parametrize("change", [{"scopes": {}}, {"require_scope": True}])
def test_a_scope_that_is_gone_or_demanded_by_now_voids_the_request(change) -> None:
    scope = ScopeChoice("one-bucket", {"bucket": "data-files"}) if "scopes" in change else None
    role = "data-export" if scope else "sandbox-admin"
    stage = Stage(catalogue=with_rules(("engineers export data", {"stages": ()})))
    request = stage.asked(ALICE, an_ask(role, scope=scope))
    stage.catalogue = replace(stage.catalogue, roles=with_role(role, **change).roles)
    with pytest.raises(NotEligible, match="ask again"):
        stage.lent(request, ALICE)


def test_a_session_that_sts_made_after_the_windows_end_is_not_handed_out() -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin", 60 * SECOND))
    lend = stage.lender.lend

    def slowly(plan):
        stage.pass_time(61 * SECOND)
        return lend(plan)

    stage.lender.lend = slowly  # type: ignore[method-assign]
    with pytest.raises(NotActive, match="ended while"):
        stage.lent(request, ALICE)


@pytest.mark.parametrize(("catalogue", "patience"), [(None, 10), (via_oidc("payments-admin"), 7)])
def test_where_a_token_has_to_be_signed_patience_ends_earlier(catalogue, patience) -> None:
    stage = Stage(catalogue=catalogue or Stage().catalogue)
    for wait in (patience, patience + 1):
        request = stage.approved()
        stage.requests.meanwhile(lambda wait=wait: stage.pass_time(wait * SECOND))  # type: ignore[misc]
        if wait == patience:
            assert stage.lent(request)
        else:
            with pytest.raises(Unavailable, match="STS was not asked"):
                stage.lent(request)


def test_given_the_table_took_too_long_then_sts_is_not_asked_and_the_window_shuts() -> None:
    stage = Stage()
    request = stage.approved()
    stage.requests.meanwhile(lambda: stage.pass_time(lending.PATIENCE + SECOND))
    with pytest.raises(Unavailable, match="STS was not asked"):
        stage.lent(request)
    assert stage.lender.plans == []
    assert stage.request(request.id).window is None
