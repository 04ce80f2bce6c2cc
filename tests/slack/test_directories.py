"""Directories behind the Slack door: a group that only a directory tells counts at every step of a form or a click."""

from dataclasses import replace

import pytest

from chalicelib.core.catalogue import Catalogue, Rule, Stage, Who
from chalicelib.core.life import State
from chalicelib.core.vouching import Directory
from tests.builders import HOUR
from tests.people import ALICE, CAROL, DAVE
from tests.slack.team import Workspace
from tests.stage import CATALOGUE

ONCALL = Who(groups=frozenset({"oncall@hook"}))
HOOK = Directory(name="hook", function="arn:aws:lambda:eu-central-1:123456789012:function:facts")
RULE = "sre administer payments"


def with_directory(*rules: Rule, **changes: object) -> Catalogue:
    """changes: of the rule that Carol asks by."""
    known = tuple(replace(rule, **changes) if rule.name == RULE else rule for rule in CATALOGUE.rules)  # type: ignore[arg-type]
    return replace(CATALOGUE, directories={"hook": HOOK}, rules=(*known, *rules))


def decided_on_call(team: Workspace, **changes: object) -> None:
    """Whoever the directory says is on call decides on Carol's asks: Dave."""
    team.stage.catalogue = with_directory(stages=(Stage(1, ONCALL),), **changes)
    team.stage.directories.members = {"oncall@hook": {DAVE.id}}


def test_a_role_that_a_directory_gives_is_offered_and_can_be_chosen(team: Workspace) -> None:
    team.stage.catalogue = with_directory(
        Rule(name="on call writes", who=ONCALL, roles=("sandbox-admin",), max_duration=HOUR, ticket="#[0-9]+")
    )
    team.stage.directories.members = {"oncall@hook": {CAROL.id}}
    carol = team.person(CAROL)
    form = carol.opens()
    assert "sandbox-admin" in [option["value"] for option in carol.searches(form, "sandbox")]
    carol.chooses(form, "role", "sandbox-admin")
    assert form.asks_for() == ["role", "duration:sandbox-admin", "reason", "ticket"]


def test_a_ticket_of_the_form_that_such_a_rule_wants_is_one(team: Workspace) -> None:
    team.stage.catalogue = with_directory(
        Rule(name="on call writes", who=ONCALL, roles=("sandbox-admin",), max_duration=HOUR, ticket="#[0-9]+")
    )
    team.stage.directories.members = {"oncall@hook": {CAROL.id}}
    team.person(CAROL).reads("sandbox-admin 1h #42 the disk is full")
    [request] = team.stage.requests._requests.values()
    assert (request.ticket, request.reason) == ("#42", "the disk is full")


@pytest.mark.parametrize("action", ["daypass_shorten", "daypass_deny"])
def test_a_button_opens_its_form_for_whom_a_directory_lets_decide(team: Workspace, action: str) -> None:
    decided_on_call(team, require_mfa=False)
    dave, request = team.person(DAVE), team.stage.asked(CAROL)
    dave.presses(action, request.id)
    assert len(team.slack.forms) == 1
    assert team.slack.told == []


def test_a_yes_counts_of_whom_a_directory_lets_decide(team: Workspace) -> None:
    decided_on_call(team, require_mfa=False)
    dave, request = team.person(DAVE), team.stage.asked(CAROL)
    dave.presses("daypass_approve", request.id)
    assert team.stage.request(request.id).state(team.stage.now) is State.READY


def test_they_too_are_answered_with_the_command_where_a_second_factor_is_asked_for(team: Workspace) -> None:
    decided_on_call(team)
    dave, request = team.person(DAVE), team.stage.asked(CAROL)
    dave.presses("daypass_approve", request.id)
    [told] = team.slack.told
    assert f"daypass approve {request.id[-8:]}" in str(told)


def test_a_silent_directory_offers_nothing_and_opens_no_form(team: Workspace) -> None:
    decided_on_call(team, require_mfa=False)
    dave, request = team.person(DAVE), team.stage.asked(CAROL)
    team.stage.directories.silent.add("hook")
    assert dave.presses("daypass_shorten", request.id).status == 200
    assert team.slack.forms == {}
    assert team.person(ALICE).reads("list") == "You have no requests, and none waits for your answer."
