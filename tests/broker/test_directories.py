"""Stories with a directory: groups that no token tells, and a directory that tells nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.broker import asking, deciding, emergency, lending, revoking, seeing
from chalicelib.broker.ports import About
from chalicelib.core.catalogue import Effect, Extensions, Rule, Who
from chalicelib.core.catalogue import Stage as RuleStage
from chalicelib.core.life import Status
from chalicelib.core.refusals import MayNotApprove, NotEligible, NotFound
from chalicelib.core.request import Verdict
from chalicelib.core.vouching import Directory
from tests.builders import HOUR
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK
from tests.stage import CATALOGUE, Stage, an_ask

ONCALL = Who(groups=frozenset({"oncall@hook"}))
HOOK = Directory(name="hook", function="arn:aws:lambda:eu-central-1:123456789012:function:facts")
READS = Rule(name="on call reads data", who=ONCALL, roles=("data-export",), max_duration=HOUR)
LEADS = Rule(
    name="leads decide",
    who=Who(groups=frozenset({"engineering"})),
    roles=("payments-admin",),
    max_duration=HOUR,
    stages=(RuleStage(1, ONCALL),),
)
KEEPS_OUT = Rule(name="who is ill rests", effect=Effect.DENY, who=Who(groups=frozenset({"ill@hook"})), roles=("*",))


def a_stage(*rules: Rule, **members: set[str]) -> Stage:
    role = replace(CATALOGUE.roles["data-export"], require_scope=False)
    catalogue = replace(
        CATALOGUE,
        directories={"hook": HOOK},
        rules=(*CATALOGUE.rules, *rules),
        roles={**CATALOGUE.roles, "data-export": role},
    )
    stage = Stage(catalogue=catalogue)
    stage.directories.members = {f"{group}@hook": people for group, people in members.items()}
    return stage


EXPORT = an_ask("data-export", HOUR, ticket="OPS-1")


def test_a_group_of_a_directory_lets_in_at_the_ask_and_again_at_each_issuance() -> None:
    stage = a_stage(READS, oncall={CAROL.id})
    request = stage.asked(CAROL, EXPORT)
    assert stage.lent(request)
    stage.directories.members.clear()
    with pytest.raises(NotEligible):
        stage.lent(request)


def test_the_directory_is_told_who_asks_for_what() -> None:
    stage = a_stage(READS, oncall={CAROL.id})
    stage.asked(CAROL, EXPORT)
    about = About(role="data-export", account_id="333333333333", duration=HOUR, ticket="OPS-1")
    assert stage.directories.asked == [("hook", CAROL.id, about)]


def test_what_no_rule_asks_of_a_directory_is_not_asked() -> None:
    stage = a_stage()
    assert stage.asked(ALICE, an_ask("sandbox-admin")).status is Status.APPROVED
    assert stage.directories.asked == []


def test_a_silent_directory_lets_nobody_in_by_its_groups() -> None:
    stage = a_stage(READS, oncall={CAROL.id})
    stage.directories.silent.add("hook")
    with pytest.raises(NotEligible):
        stage.asked(CAROL, EXPORT)
    assert asking.dry_run(stage.world, CAROL, EXPORT).would == "not-eligible"
    assert [item.role.name for item in seeing.requestable(stage.world, CAROL, q="", after=None, limit=9).items] == [
        "payments-admin",
        "payments-read",
    ]


def test_a_silent_directory_is_no_way_in_by_what_was_known_of_somebody_before() -> None:
    stage = a_stage(READS)
    stage.directories.silent.add("hook")
    before = replace(CAROL, groups=CAROL.groups | {"oncall@hook"})
    with pytest.raises(NotEligible):
        stage.asked(before, EXPORT)


def test_a_silent_directory_takes_away_nothing_that_does_not_hang_on_it() -> None:
    stage = a_stage(READS)
    stage.directories.silent.add("hook")
    assert stage.lent(stage.asked(ALICE, an_ask("sandbox-admin")), ALICE)


def test_a_silent_directory_is_no_way_past_a_deny_that_hangs_on_it() -> None:
    stage = a_stage(KEEPS_OUT)
    request = stage.asked(ALICE, an_ask("sandbox-admin"))
    stage.directories.silent.add("hook")
    with pytest.raises(NotEligible):
        stage.lent(request, ALICE)
    with pytest.raises(NotEligible):
        stage.asked(ALICE, an_ask("sandbox-admin"))
    stage.directories.silent.clear()
    assert stage.lent(request, ALICE)


def test_in_an_emergency_no_directory_is_asked_from_the_ask_to_the_last_credentials() -> None:
    stage = a_stage(READS, KEEPS_OUT, oncall={CAROL.id}, ill={CAROL.id})
    stage.directories.silent.add("hook")
    wish = an_ask("payments-admin", HOUR, break_glass=True, reason="payments are down, refunds pile up")
    assert lending.ask_and_lend(stage.world, CAROL, wish, None)
    request = stage.asked(CAROL, wish)
    assert stage.lent(request)
    assert stage.directories.asked == []


def test_escalating_asks_no_directory() -> None:
    stage = a_stage(READS)
    request = stage.asked(CAROL, an_ask("payments-admin"))
    stage.directories.asked.clear()
    emergency.escalate(stage.world, CAROL, request.id, reason="nobody answers, and payments are down")
    assert stage.lent(request)
    assert stage.directories.asked == []


def test_who_decides_may_be_told_by_a_directory_and_is_asked_at_every_click() -> None:
    stage = a_stage(LEADS, oncall={FRANK.id})
    request = stage.asked(ALICE, an_ask("payments-admin"))
    stage.directories.members = {}
    with pytest.raises(NotFound):
        deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    stage.directories.members = {"oncall@hook": {FRANK.id}}
    approved = deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert approved.status is Status.APPROVED
    assert stage.directories.asked[-1] == (
        "hook",
        FRANK.id,
        About(role="payments-admin", account_id="222222222222", duration=HOUR, ticket=None),
    )


def test_who_may_decide_by_a_directory_sees_it_lists_it_denies_it_and_revokes_it() -> None:
    stage = a_stage(LEADS, oncall={FRANK.id})
    first, second = (stage.asked(ALICE, an_ask("payments-admin")) for _ in range(2))
    mine = seeing.listed(stage.world, FRANK, seeing.Filters(to_approve=True), after=None, limit=9)
    assert {request.id for request in mine.items} == {first.id, second.id}
    assert deciding.deny(stage.world, FRANK, first.id, comment="no").status is Status.DENIED
    deciding.approve(stage.world, FRANK, second.id, comment=None, duration=None)
    assert revoking.revoke(stage.world, FRANK, second.id, comment="enough").status is Status.REVOKED


def test_a_reviewer_may_be_told_by_a_directory() -> None:
    rules = tuple(
        replace(rule, break_glass=replace(rule.break_glass, reviewers=ONCALL)) if rule.break_glass else rule
        for rule in CATALOGUE.rules
    )
    stage = a_stage(oncall={BOB.id})
    stage.catalogue = replace(stage.catalogue, rules=rules)
    request = stage.asked(CAROL, an_ask(break_glass=True, reason="payments are down, refunds pile up"))
    reviewed = emergency.review(stage.world, BOB, request.id, verdict=Verdict.JUSTIFIED, comment="seen")
    assert reviewed.review
    assert reviewed.review.by == BOB.id


def test_an_auditor_who_is_no_decider_stays_none() -> None:
    stage = a_stage(LEADS, oncall={FRANK.id})
    request = stage.asked(ALICE, an_ask("payments-admin"))
    with pytest.raises(MayNotApprove):
        deciding.approve(stage.world, DAVE, request.id, comment=None, duration=None)


def test_who_approves_extensions_only_may_be_told_by_a_directory() -> None:
    stage = a_stage()
    by_oncall = Extensions(max=1, stages=(RuleStage(1, ONCALL),))
    rules = [replace(rule, extensions=by_oncall) if rule.stages else rule for rule in stage.catalogue.rules]
    stage.catalogue = replace(stage.catalogue, rules=tuple(rules))
    stage.directories.members = {"oncall@hook": {DAVE.id}}
    base = stage.approved()
    stage.lent(base)
    extension = stage.extended(stage.request(base.id))
    assert deciding.approve(stage.world, DAVE, extension.id, comment=None, duration=None).status is Status.APPROVED
