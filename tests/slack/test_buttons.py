"""The buttons of an approval message: the clicker's own rights, at the moment of the click, and one transition."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.broker import deciding, ending
from chalicelib.core.catalogue import Rule, Stage, Who
from chalicelib.core.life import State, Status
from chalicelib.core.request import Request
from tests.builders import HOUR, SECOND, an_id
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK
from tests.slack.fake_slack import Form, Person
from tests.slack.team import Workspace
from tests.stage import CATALOGUE, an_ask, with_rules

APPROVE, SHORTEN, DENY = "daypass_approve", "daypass_shorten", "daypass_deny"
RULE = "sre administer payments"


@pytest.fixture
def team(team: Workspace) -> Workspace:
    """Rules that ask for no second factor: what the buttons do where they may."""
    team.stage.catalogue = with_rules((RULE, {"require_mfa": False}))
    return team


def told(team: Workspace) -> str:
    [message] = team.slack.told
    return "\n".join(block["text"]["text"] for block in message["blocks"])


def now(team: Workspace, request: Request) -> State:
    return team.stage.request(request.id).state(team.stage.now)


def test_a_yes_is_recorded_as_the_clickers_and_the_message_is_left_to_the_outbox(team: Workspace) -> None:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    said = frank.presses(APPROVE, request.id)
    assert (said.status, said.body, team.slack.told) == (200, "", [])
    [approval] = team.stage.request(request.id).approvals
    assert (approval.by, approval.mfa) == (FRANK.id, False)
    assert now(team, request) is State.READY
    assert team.stage.history(request.id)[-1].details["mfa"] == "no"


def test_two_people_click_at_once_one_approves_and_the_other_hears_it(team: Workspace) -> None:
    frank, bob, request = team.person(FRANK), team.person(BOB), team.stage.asked(CAROL)
    team.stage.requests.meanwhile(
        lambda: deciding.approve(team.stage.world, FRANK, request.id, comment=None, duration=None)
    )
    assert bob.presses(APPROVE, request.id).status == 200
    assert told(team) == "The request is ready already."
    assert [each.by for each in team.stage.request(request.id).approvals] == [FRANK.id]
    assert frank.presses(APPROVE, request.id).status == 200


def test_a_second_click_of_the_same_person_changes_nothing(team: Workspace) -> None:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    frank.presses(APPROVE, request.id)
    approved = team.stage.request(request.id)
    assert team.slack.repeat().status == 200
    assert frank.presses(APPROVE, request.id).status == 200
    assert team.stage.request(request.id) == approved
    assert {each["blocks"][0]["text"]["text"] for each in team.slack.told} == {
        "You have approved this request already; one person counts once."
    }


FINISHED: dict[str, tuple[Callable[[Workspace, Request], object], str]] = {
    "denied": (lambda team, r: deciding.deny(team.stage.world, BOB, r.id, comment="no"), "denied already"),
    "cancelled": (lambda team, r: ending.cancel(team.stage.world, CAROL, r.id), "cancelled already"),
    "approved": (
        lambda team, r: deciding.approve(team.stage.world, BOB, r.id, comment=None, duration=None),
        "ready already",
    ),
    "expired": (lambda team, r: team.stage.pass_time(8 * HOUR), "it has expired"),
}


@pytest.mark.parametrize("action", [APPROVE, SHORTEN, DENY])
@pytest.mark.parametrize("how", FINISHED)
def test_an_old_button_answers_with_the_state(team: Workspace, action: str, how: str) -> None:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    finish, says = FINISHED[how]
    finish(team, request)
    before = team.stage.request(request.id)
    assert frank.presses(action, request.id).status == 200
    assert says in told(team)
    assert team.slack.forms == {}
    assert team.stage.request(request.id) == before


@pytest.mark.parametrize("action", [APPROVE, SHORTEN, DENY])
@pytest.mark.parametrize(
    ("who", "says"),
    [
        (CAROL, "This is your own request"),
        (DAVE, "No rule asks you to decide"),
        (ALICE, "There is no request"),
    ],
)
def test_the_clickers_own_rights_decide(team: Workspace, action: str, who, says: str) -> None:
    person, request = team.person(who), team.stage.asked(CAROL)
    assert person.presses(action, request.id).status == 200
    assert says in told(team)
    assert team.stage.request(request.id) == request


@pytest.mark.parametrize("value", ["", "nonsense", "<!channel>", "x" * 2000])
def test_a_button_without_a_request_is_answered(team: Workspace, value: str) -> None:
    assert team.person(FRANK).presses(APPROVE, value or an_id()).status == 200
    assert "There is no request" in told(team)


def test_a_frozen_catalogue_is_told(team: Workspace) -> None:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    team.stage.catalogue = replace(team.stage.catalogue, frozen=True)
    frank.presses(APPROVE, request.id)
    assert "The catalogue is frozen" in told(team)


# For less, and no.


def opened(team: Workspace, action: str) -> tuple[Person, Request, Form]:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    return frank, request, frank.press_opens(action, request.id)


def test_a_yes_for_less_gives_the_chosen_time(team: Workspace) -> None:
    frank, request, form = opened(team, SHORTEN)
    assert "`payments-admin` for `carol@example.com`, who asked for 1 h." in form.text
    frank.chooses(form, "duration_seconds", "1800")
    frank.writes(form, "comment", "half will do")
    assert (frank.sends(form).status, form.closed) == (200, True)
    stored = team.stage.request(request.id)
    assert (stored.duration, stored.status, stored.approvals[0].comment) == (HOUR / 2, Status.APPROVED, "half will do")


def test_only_less_than_was_asked_can_be_chosen(team: Workspace) -> None:
    _, _, form = opened(team, SHORTEN)
    offered = [int(option["value"]) for option in form.block("duration_seconds")["element"]["options"]]
    assert offered == [900, 1800, 2700]


def test_what_is_short_already_has_no_form(team: Workspace) -> None:
    frank = team.person(FRANK)
    request = team.stage.asked(CAROL, an_ask(duration=timedelta(minutes=10)))
    frank.presses(SHORTEN, request.id)
    assert "This is as short as it gets here" in told(team)


def test_a_no_needs_a_comment_and_is_final(team: Workspace) -> None:
    frank, request, form = opened(team, DENY)
    assert not form.block("comment").get("optional")
    frank.writes(form, "comment", "not <today>, `please`")
    frank.sends(form)
    stored = team.stage.request(request.id)
    assert (stored.status, stored.decision_comment) == (Status.DENIED, "not <today>, `please`")
    assert form.closed


def test_a_comment_that_cannot_be_read_is_refused_at_its_field(team: Workspace) -> None:
    frank, request, form = opened(team, DENY)
    frank.writes(form, "comment", "\u200b\u200b")
    said = frank.sends(form)
    assert said.json["response_action"] == "errors"
    assert "can be read" in said.json["errors"]["comment"]
    assert (form.closed, now(team, request)) == (False, State.PENDING)


@pytest.mark.parametrize("action", [SHORTEN, DENY])
def test_who_was_too_late_with_a_form_reads_it_there(team: Workspace, action: str) -> None:
    frank, request, form = opened(team, action)
    if action == SHORTEN:
        frank.chooses(form, "duration_seconds", "900")
    else:
        frank.writes(form, "comment", "no")
    deciding.deny(team.stage.world, BOB, request.id, comment="I was first")
    frank.sends(form)
    assert "The request is denied already." in form.text
    assert team.stage.request(request.id).decided_by == BOB.id


@pytest.mark.parametrize("action", [SHORTEN, DENY])
def test_a_form_that_slack_sends_twice_is_done_once(team: Workspace, action: str) -> None:
    frank, request, form = opened(team, action)
    if action == SHORTEN:
        frank.chooses(form, "duration_seconds", "900")
    else:
        frank.writes(form, "comment", "no")
    frank.sends(form)
    before = team.stage.request(request.id)
    assert team.slack.repeat().status == 200
    assert team.stage.request(request.id) == before


# A second factor.


def test_a_rule_that_asks_for_a_second_factor_is_answered_with_the_command(team: Workspace) -> None:
    team.stage.catalogue = CATALOGUE
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    assert frank.presses(APPROVE, request.id).status == 200
    assert "Approving this needs a second factor. Slack cannot prove one." in told(team)
    assert f"`daypass approve {request.id[-8:]}`" in told(team)
    form = frank.press_opens(SHORTEN, request.id)
    frank.chooses(form, "duration_seconds", "900")
    frank.sends(form)
    assert f"`daypass approve {request.id[-8:]}`" in form.text
    assert team.stage.request(request.id) == request


def test_a_no_needs_no_second_factor(team: Workspace) -> None:
    team.stage.catalogue = CATALOGUE
    frank, request, form = opened(team, DENY)
    frank.writes(form, "comment", "no")
    frank.sends(form)
    assert now(team, request) is State.DENIED


def test_a_yes_counts_only_where_no_second_factor_is_asked_for(team: Workspace) -> None:
    leads = Stage(1, Who(groups=frozenset({"sre-leads"})))
    careful, two = CATALOGUE.rules[2], Stage(1, Who(groups=frozenset({"security"})))
    assert careful.name == RULE
    lax = Rule(name="lax", who=careful.who, roles=careful.roles, max_duration=4 * HOUR, stages=(leads, two))
    team.stage.catalogue = replace(CATALOGUE, rules=(*CATALOGUE.rules, lax))
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    frank.presses(APPROVE, request.id)
    stored = team.stage.request(request.id)
    assert (stored.status, len(stored.approvals), stored.stages[0].approved_by) == (Status.PENDING, 1, ())
    deciding.approve(team.stage.world, BOB, request.id, comment=None, duration=None)
    assert (team.stage.request(request.id).status, team.stage.request(request.id).rule) == (Status.APPROVED, RULE)


# Who is asked what, and how often.


def test_a_click_costs_one_call_of_slack_whether_it_is_taken_or_refused(team: Workspace) -> None:
    frank, first, second = team.person(FRANK), team.stage.asked(CAROL), team.stage.asked(BOB)
    team.stage.pass_time(61 * SECOND)
    frank.presses(APPROVE, first.id)
    assert team.slack.methods() == ["users.info"]
    team.slack.calls.clear()
    team.stage.pass_time(61 * SECOND)
    frank.presses(APPROVE, first.id)
    assert team.slack.methods() == ["response_url"]
    team.slack.calls.clear()
    frank.presses(DENY, second.id)
    assert team.slack.methods() == ["views.open"]
