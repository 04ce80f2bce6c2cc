"""Asking: a request on the record, or a refusal that leaves none."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.broker import asking, lending
from chalicelib.broker.claiming import KEY_LASTS, IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import Rule, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.ledger import commitment
from chalicelib.core.life import State, Status
from chalicelib.core.refusals import (
    IdempotencyKeyReused,
    Invalid,
    NotEligible,
    Refusal,
    TooLong,
    TooManyOpen,
)
from chalicelib.core.request import ScopeChoice
from tests.builders import HOUR, NOW, SECOND
from tests.people import ALICE, BOB, CAROL, EVE, FRANK, ROBOT, now_in
from tests.stage import CATALOGUE, Stage, an_ask, with_role, with_rules

KEY = IdempotencyKey("POST /requests", "k-1")
BUCKET = ScopeChoice("one-bucket", {"bucket": "data-files"})


def test_given_an_approval_is_due_when_asking_then_the_request_waits_and_says_for_whom() -> None:
    request = Stage().asked(CAROL)
    assert request.state(NOW) is State.PENDING
    assert request.rule == "sre administer payments"
    assert [(stage.count, stage.who.groups, stage.approved_by) for stage in request.stages] == [
        (1, frozenset({"sre-leads"}), ())
    ]
    assert request.answer_by == NOW + 8 * HOUR


def test_given_no_approval_is_due_when_asking_then_it_is_ready_and_the_history_names_the_rule() -> None:
    stage = Stage()
    request = stage.asked(ALICE, an_ask("sandbox-admin"))
    assert (request.state(NOW), request.use_by) == (State.READY, NOW + 8 * HOUR)
    [submitted] = stage.history(request.id)
    assert submitted.details["rule"] == "engineers administer the sandbox"


def test_the_history_commits_to_the_reason_without_telling_it() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    [submitted] = stage.history(request.id)
    assert submitted.details["reason_sha256"] == commitment("disk full on db-3", request.salt)
    assert "disk full" not in str(submitted.as_json())


@pytest.mark.parametrize(
    ("who", "role"),
    [(ALICE, "payments-admin"), (FRANK, "payments-admin"), (ROBOT, "sandbox-admin"), (ALICE, "nothing-such")],
)
def test_who_is_not_eligible_is_refused_and_nothing_is_recorded(who, role) -> None:
    stage = Stage()
    with pytest.raises(NotEligible):
        stage.asked(who, an_ask(role))
    assert stage.requests.everything(after=None, limit=10).items == ()


def test_a_denied_group_beats_every_allowing_one() -> None:
    with pytest.raises(NotEligible):
        Stage().asked(now_in(EVE, "sre", "sre-leads", "contractors"))


def test_more_than_the_rule_allows_is_refused_with_its_limit() -> None:
    with pytest.raises(TooLong, match=r"5 h asked, 4 h allowed by rule 'sre administer payments'"):
        Stage().asked(CAROL, an_ask(duration=5 * HOUR))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (an_ask("data-export"), "scope"),
        (an_ask("data-export", scope=ScopeChoice("nothing-such", {})), "scope.name"),
        (an_ask("data-export", scope=ScopeChoice("one-bucket", {})), "scope.parameters.bucket"),
        (an_ask("data-export", scope=ScopeChoice("one-bucket", {"bucket": "a*"})), "scope.parameters.bucket"),
        (an_ask("data-export", scope=BUCKET, session_policy="{}"), "session_policy"),
        (an_ask("data-export", session_policy="{}"), "scope"),
        (an_ask("sandbox-admin", session_policy="{"), "session_policy"),
    ],
)
def test_a_scope_or_policy_that_does_not_fit_is_named_before_anybody_is_asked(wish, field) -> None:
    stage = Stage()
    with pytest.raises(Invalid) as refusal:
        stage.asked(ALICE, wish)
    assert refusal.value.errors[0].field.startswith(field)
    assert stage.requests.everything(after=None, limit=10).items == ()


def test_a_policy_that_is_too_long_once_the_wall_is_added_is_refused_when_asking() -> None:
    resources = ",".join(f'"arn:aws:s3:::bucket-{n:04}/*"' for n in range(60))
    policy = f'{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":[{resources}]}}}}'
    with pytest.raises(Invalid, match="2048"):
        Stage().asked(ALICE, an_ask("sandbox-admin", session_policy=policy))


def test_the_policy_that_approvers_see_is_the_scope_filled_in() -> None:
    request = Stage().asked(ALICE, an_ask("data-export", scope=BUCKET))
    assert request.session_policy is not None
    assert '"arn:aws:s3:::data-files/*"' in request.session_policy


def test_a_role_used_to_log_in_elsewhere_refuses_what_its_wall_could_not_end() -> None:
    stage = Stage(catalogue=with_role("sandbox-admin", identity_use=True))
    with pytest.raises(Invalid, match="15 min"):
        stage.asked(ALICE, an_ask("sandbox-admin", timedelta(seconds=899)))
    assert stage.asked(ALICE, an_ask("sandbox-admin", timedelta(seconds=900)))


def test_the_same_key_and_body_is_the_same_request() -> None:
    stage = Stage()
    first = asking.ask(stage.world, CAROL, an_ask(), KEY)
    again = asking.ask(stage.world, CAROL, an_ask(), KEY)
    assert (first.replayed, again.replayed, again.request) == (False, True, first.request)


def test_the_same_key_with_another_body_is_refused() -> None:
    stage = Stage()
    asking.ask(stage.world, CAROL, an_ask(), KEY)
    with pytest.raises(IdempotencyKeyReused):
        asking.ask(stage.world, CAROL, an_ask(duration=2 * HOUR), KEY)


def test_the_same_key_finds_its_request_also_where_a_new_one_is_refused_by_now() -> None:
    stage = Stage()
    soon = an_ask(starts_at=NOW + SECOND)
    first = asking.ask(stage.world, CAROL, soon, KEY)
    lent = lending.ask_and_lend(stage.world, ALICE, an_ask("sandbox-admin"), KEY)
    assert isinstance(lent, Credentials)
    stage.pass_time(HOUR / 2)
    stage.catalogue = with_rules(("engineers administer the sandbox", {"who": Who(groups=frozenset({"nobody"}))}))
    again = asking.ask(stage.world, CAROL, soon, KEY)
    assert (again.request.id, again.replayed) == (first.request.id, True)
    with pytest.raises(Invalid, match="is past"):
        asking.ask(stage.world, CAROL, soon, None)
    with pytest.raises(NotEligible, match="nothing lets you use this request"):
        lending.ask_and_lend(stage.world, ALICE, an_ask("sandbox-admin"), KEY)
    with pytest.raises(IdempotencyKeyReused):
        asking.ask(stage.world, CAROL, replace(soon, reason="something else"), KEY)


def test_the_key_of_somebody_else_or_of_another_address_is_another_key() -> None:
    stage = Stage()
    first = asking.ask(stage.world, CAROL, an_ask(), KEY)
    others = asking.ask(stage.world, BOB, an_ask(), KEY)
    elsewhere = asking.ask(stage.world, CAROL, an_ask(), IdempotencyKey("POST /credentials", "k-1"))
    assert len({first.request.id, others.request.id, elsewhere.request.id}) == 3


def test_a_key_is_forgotten_after_a_day_to_the_second() -> None:
    stage = Stage()
    first = asking.ask(stage.world, CAROL, an_ask(), KEY)
    stage.pass_time(KEY_LASTS - SECOND)
    assert asking.ask(stage.world, CAROL, an_ask(), KEY).request.id == first.request.id
    stage.pass_time(SECOND)
    assert asking.ask(stage.world, CAROL, an_ask(), KEY).request.id != first.request.id


def test_nobody_has_more_open_requests_than_the_quota_and_time_frees_them() -> None:
    stage = Stage()
    for _ in range(CATALOGUE.quotas.open_requests):
        stage.asked(CAROL)
    with pytest.raises(TooManyOpen):
        stage.asked(CAROL)
    assert stage.asked(BOB)
    stage.pass_time(8 * HOUR)
    assert stage.asked(CAROL)


def test_a_dry_run_tells_the_terms_and_records_nothing() -> None:
    stage = Stage()
    dry = asking.dry_run(stage.world, CAROL, an_ask())
    assert (dry.would, dry.rule, dry.max_duration) == ("needs-approval", "sre administer payments", 4 * HOUR)
    assert [stage_.count for stage_ in dry.stages] == [1]
    assert stage.requests.everything(after=None, limit=10).items == ()


def test_a_dry_run_without_approvals_says_so() -> None:
    assert asking.dry_run(Stage().world, ALICE, an_ask("sandbox-admin")).would == "auto-approved"


@pytest.mark.parametrize("role", ["payments-admin", "nothing-such"])
def test_a_dry_run_tells_who_is_not_eligible_no_more_than_the_refusal_would(role) -> None:
    dry = asking.dry_run(Stage().world, ALICE, an_ask(role))
    assert (dry.would, dry.rule, dry.stages, dry.max_duration, dry.session_policy) == (
        "not-eligible",
        None,
        (),
        None,
        None,
    )
    with pytest.raises(NotEligible) as refusal:
        Stage().asked(ALICE, an_ask(role))
    assert dry.why == (refusal.value.detail,)


def test_a_dry_run_and_an_ask_agree_about_what_is_wrong() -> None:
    stage = Stage(catalogue=with_rules(("sre administer payments", {"ticket": "INC-[0-9]+"})))
    for wish in (an_ask(), an_ask(ticket="other"), an_ask(duration=9 * HOUR, ticket="INC-1")):
        with pytest.raises(Refusal) as asked:
            stage.asked(CAROL, wish)
        with pytest.raises(Refusal) as dry:
            asking.dry_run(stage.world, CAROL, wish)
        assert (type(asked.value), asked.value.detail) == (type(dry.value), dry.value.detail)


def test_a_new_request_has_no_session_and_no_window() -> None:
    request = Stage().asked(ALICE, an_ask("sandbox-admin"))
    assert (request.status, request.window, request.sessions_begun) == (Status.APPROVED, None, 0)


def test_a_dry_run_tells_of_the_rules_that_are_for_the_caller_and_of_no_other() -> None:
    more = Rule(name="only for dbas", who=Who(groups=frozenset({"dbas"})), roles=("payments-admin",), max_duration=HOUR)
    longer = Rule(name="longer", who=Who(groups=frozenset({"sre"})), roles=("payments-admin",), max_duration=6 * HOUR)
    waits = replace(longer, stages=(RuleStage(3, Who(groups=frozenset({"sre-leads"}))),))
    stage = Stage(catalogue=replace(CATALOGUE, rules=(*CATALOGUE.rules, more, waits)))
    dry = asking.dry_run(stage.world, CAROL, an_ask())
    assert "dbas" not in " ".join(dry.why)
    assert (len(dry.why), dry.rule, dry.max_duration) == (2, "sre administer payments", 6 * HOUR)
