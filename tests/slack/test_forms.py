"""The form for asking: the role among any number, and then what its rules want to know."""

from dataclasses import replace

import pytest

from chalicelib.core.catalogue import Catalogue, Scope
from chalicelib.core.life import State
from chalicelib.core.request import Request, ScopeChoice
from tests.builders import HOUR, SECOND
from tests.fakes import Effect
from tests.people import ALICE, CAROL
from tests.slack.fake_slack import Form, Person
from tests.slack.team import Workspace
from tests.stage import CATALOGUE, with_role, with_rules

RULE = "sre administer payments"


def the_one(team: Workspace) -> Request:
    [request] = team.stage.requests._requests.values()
    return request


def filled(person: Person, role: str, **fields: str) -> Form:
    form = person.opens()
    person.chooses(form, "role", role)
    for name, value in fields.items():
        if form.block(name)["element"]["type"] == "static_select":
            person.chooses(form, name, value)
        else:
            person.writes(form, name, value)
    return form


def test_the_form_asks_for_the_role_first_and_then_for_what_its_rules_want(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = alice.opens()
    assert form.asks_for() == ["role"]
    alice.chooses(form, "role", "sandbox-admin")
    assert form.asks_for() == ["role", "duration:sandbox-admin", "reason"]
    assert "`sandbox-admin` in `sandbox`: `up to 8 h, at once`" in form.text
    alice.chooses(form, "duration", "7200")
    alice.writes(form, "reason", "trying <things> out,\nall of `them`")
    assert alice.sends(form).status == 200
    request = the_one(team)
    assert (request.role, request.duration, request.reason) == (
        "sandbox-admin",
        2 * HOUR,
        "trying <things> out,\nall of `them`",
    )
    assert "*ready*" in form.text
    assert f"`daypass credentials {request.id[-8:]}`" in form.text


def test_the_choices_of_a_length_end_with_what_the_rule_allows(team: Workspace) -> None:
    team.stage.catalogue = with_rules(("engineers administer the sandbox", {"max_duration": HOUR * 1.25}))
    form = filled(team.person(ALICE), "sandbox-admin")
    options = form.block("duration")["element"]["options"]
    assert [option["text"]["text"] for option in options] == ["15 min", "30 min", "45 min", "1 h", "1 h 15 min"]


def test_another_role_asks_for_a_length_anew_and_keeps_the_reason(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = filled(alice, "sandbox-admin", duration="28800", reason="counting refunds")
    alice.chooses(form, "role", "payments-read")
    assert set(form.values) == {"role", "reason"}
    alice.chooses(form, "duration", "3600")
    alice.sends(form)
    assert (the_one(team).role, the_one(team).reason) == ("payments-read", "counting refunds")


def test_roles_are_searched_by_a_part_of_their_or_their_accounts_name(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = alice.opens()
    found = {
        text: [option["value"] for option in alice.searches(form, text)]
        for text in ("", "PAY ", "sandbox", "admin", "x y")
    }
    assert found == {
        "": ["data-export", "payments-read", "sandbox-admin"],
        "PAY ": ["payments-read"],
        "sandbox": ["sandbox-admin"],
        "admin": ["sandbox-admin"],
        "x y": [],
    }
    [option] = alice.searches(form, "sandbox")
    assert option["text"]["text"] == "sandbox-admin in sandbox"
    assert option["description"]["text"] == "up to 8 h, at once"


def many(count: int) -> Catalogue:
    role = CATALOGUE.roles["sandbox-admin"]
    roles = {f"sandbox-{number:04d}@{'x' * 60}": role for number in range(count)}
    rules = [replace(rule, roles=("sandbox-*",)) for rule in CATALOGUE.rules if rule.name.endswith("the sandbox")]
    named = {name: replace(role, name=name) for name, role in roles.items()}
    return replace(CATALOGUE, roles={**CATALOGUE.roles, **named}, rules=(*CATALOGUE.rules, *rules))


def test_of_a_thousand_roles_a_hundred_are_offered_and_every_one_is_found_by_typing(team: Workspace) -> None:
    team.stage.catalogue = many(1000)
    alice = team.person(ALICE)
    form = alice.opens()
    assert len(alice.searches(form, "")) == 100
    assert len(alice.searches(form, "sandbox")) == 100
    [option] = alice.searches(form, "sandbox-0999")
    assert len(option["text"]["text"]) == 75
    alice.chooses(form, "role", option["value"])
    alice.chooses(form, "duration", "900")
    alice.writes(form, "reason", "trying things out")
    alice.sends(form)
    assert the_one(team).role == option["value"]


def test_a_ticket_is_asked_for_where_a_rule_wants_one(team: Workspace) -> None:
    team.stage.catalogue = with_rules((RULE, {"require_mfa": False, "ticket": "[A-Z]+-[0-9]+"}))
    carol = team.person(CAROL)
    form = filled(carol, "payments-admin", duration="3600", reason="disk full")
    assert not form.block("ticket")["optional"]
    assert form.block("ticket")["hint"]["text"] == "Of the form [A-Z]+-[0-9]+"
    carol.writes(form, "ticket", "nonsense")
    said = carol.sends(form)
    assert said.json["response_action"] == "errors"
    assert "asks for a ticket of the form" in said.json["errors"]["ticket"]
    carol.writes(form, "ticket", "INC-7")
    carol.sends(form)
    assert (the_one(team).ticket, the_one(team).state(team.stage.now)) == ("INC-7", State.PENDING)
    assert "It waits for 1 of `groups sre-leads`" in form.text


def test_a_scope_asks_for_its_parameters(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = filled(alice, "data-export", duration="3600", reason="quarterly report")
    assert not form.block("scope")["optional"]
    alice.chooses(form, "scope", "one-bucket")
    assert form.asks_for()[-1] == "parameter:one-bucket:bucket"
    assert form.block("parameter")["hint"]["text"] == "Of the form [a-z0-9.-]{3,63}"
    assert form.values["reason"]["value"]["value"] == "quarterly report"
    alice.writes(form, "parameter", "Not A Bucket")
    said = alice.sends(form)
    assert list(said.json["errors"]) == ["parameter:one-bucket:bucket"]
    alice.writes(form, "parameter", "data-files")
    alice.sends(form)
    assert the_one(team).scope == ScopeChoice("one-bucket", {"bucket": "data-files"})
    assert "scope `one-bucket bucket=data-files`" in form.text


def test_another_scope_forgets_the_parameters_of_the_first(team: Workspace) -> None:
    scope = CATALOGUE.roles["data-export"].scopes["one-bucket"]
    team.stage.catalogue = with_role(
        "data-export",
        scopes={"one-bucket": scope, "whole": Scope(name="whole", policy={"Statement": []}, parameters={})},
    )
    alice = team.person(ALICE)
    form = filled(alice, "data-export", duration="3600", reason="quarterly report")
    alice.chooses(form, "scope", "one-bucket")
    alice.writes(form, "parameter", "data-files")
    alice.chooses(form, "scope", "whole")
    assert [block for block in form.asks_for() if block.startswith("parameter")] == []
    assert not any(block.startswith("parameter") for block in form.values)


def test_a_role_for_emergencies_only_says_so(team: Workspace) -> None:
    rules = tuple(
        replace(rule, who=replace(rule.who, groups=frozenset({"nobody"}))) if rule.name == RULE else rule
        for rule in CATALOGUE.rules
    )
    team.stage.catalogue = replace(CATALOGUE, rules=rules)
    carol = team.person(CAROL)
    form = carol.opens()
    [option] = carol.searches(form, "payments-admin")
    assert option["description"]["text"] == "in an emergency only"
    carol.chooses(form, "role", "payments-admin")
    assert form.asks_for() == ["role"]


def test_what_is_refused_after_all_is_read_in_the_form(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = filled(alice, "sandbox-admin", duration="3600", reason="trying things out")
    team.stage.catalogue = replace(CATALOGUE, rules=())
    alice.sends(form)
    assert "You may not request 'sandbox-admin'" in form.view["blocks"][0]["text"]["text"]
    assert team.stage.requests._requests == {}


def test_a_role_that_is_gone_when_it_is_chosen_says_so(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = alice.opens()
    option = {"type": "external_select", "selected_option": {"value": "nonsense"}}
    form.values["role"] = {"daypass_role": option}
    alice._interacts(
        "block_actions",
        actions=[{**option, "action_id": "daypass_role", "block_id": "role"}],
        view=alice._sent(form),
        trigger_id="x",
    )
    assert "You may not request 'nonsense'" in form.view["blocks"][0]["text"]["text"]


def test_a_form_that_is_sent_before_it_asked_for_all_says_so(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = alice.opens()
    form.values["role"] = {"daypass_role": {"type": "external_select", "selected_option": {"value": "sandbox-admin"}}}
    alice.sends(form)
    assert "Choose a role, and for how long" in form.view["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("reason", ["x", "  ", "\u200b\u200b\u200b"])
def test_a_reason_that_says_nothing_is_refused_at_its_field(team: Workspace, reason: str) -> None:
    alice = team.person(ALICE)
    form = filled(alice, "sandbox-admin", duration="3600", reason=reason)
    said = alice.sends(form)
    assert list(said.json["errors"]) == ["reason"]


def test_a_second_factor_is_asked_for_by_the_command(team: Workspace) -> None:
    carol = team.person(CAROL)
    form = filled(carol, "payments-admin", duration="3600", reason="disk full")
    carol.sends(form)
    assert "`daypass request payments-admin 1h 'disk full'`" in form.text
    assert team.stage.requests._requests == {}


def test_a_form_that_is_sent_twice_is_one_request(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = filled(alice, "sandbox-admin", duration="3600", reason="trying things out")
    first = alice.sends(form)
    assert team.slack.repeat().json == first.json
    assert the_one(team).version == 1


def test_a_form_that_is_sent_again_with_other_words_says_what_became_of_the_first(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = filled(alice, "sandbox-admin", duration="3600", reason="trying things out")
    team.stage.requests.fail_next(Effect.AFTER)
    asked, filled_in = form.view, dict(form.values)
    alice.sends(form)
    form.view, form.values = asked, filled_in
    alice.writes(form, "reason", "something else")
    alice.sends(form)
    assert "This was sent before, with other words" in form.view["blocks"][0]["text"]["text"]
    assert the_one(team).reason == "trying things out"


def test_every_step_of_the_form_costs_one_call_of_slack_and_opening_it_at_most_two(team: Workspace) -> None:
    alice = team.person(ALICE)
    team.stage.pass_time(61 * SECOND)
    form = alice.opens()
    assert team.slack.methods() == ["users.info", "views.open"]
    team.stage.pass_time(61 * SECOND)
    team.slack.calls.clear()
    alice.searches(form, "")
    assert team.slack.methods() == ["users.info"]
    team.slack.calls.clear()
    alice.chooses(form, "role", "sandbox-admin")
    assert team.slack.methods() == ["views.update"]
    alice.chooses(form, "duration", "3600")
    alice.writes(form, "reason", "trying things out")
    team.stage.pass_time(61 * SECOND)
    team.slack.calls.clear()
    alice.sends(form)
    assert team.slack.methods() == ["users.info"]
