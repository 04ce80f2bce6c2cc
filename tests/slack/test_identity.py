"""Who somebody in Slack is: a binding that they confirmed, and Slack's own word. Everybody else hears why not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.broker.ports import World
from chalicelib.core.binding import SlackUser
from tests.builders import HOUR, SECOND
from tests.people import ALICE, BOB, CAROL, FRANK, ROBOT, now_in
from tests.slack.fake_slack import TEAM
from tests.slack.team import Workspace
from tests.stage import CATALOGUE, with_rules
from tests.web import api

MINUTE = timedelta(minutes=1)
WITHOUT_MFA = with_rules(("sre administer payments", {"require_mfa": False}))


def bind(team: Workspace, code: str, who=ALICE, **body):
    return team.api.call("POST", "/v1/slack/bind", {"code": code, **body}, who=who)


# The code.


def test_somebody_new_is_given_a_code_and_is_somebody_once_it_is_confirmed(team: Workspace) -> None:
    alice = team.person(ALICE, bound=False)
    told = alice.reads("sandbox-admin 2h trying things out")
    assert "Daypass does not know yet who you are in Slack." in told
    assert "within 10 minutes" in told
    answer = team.confirm(alice, ALICE)
    assert answer.json == {
        "team": TEAM,
        "user": "U0ALICE",
        "email": "alice@example.com",
        "principal": "alice@example.com",
        "groups": ["engineering"],
        "confirmed_at": "2031-03-05T12:00:00Z",
        "until": "2031-03-06T12:00:00Z",
    }
    assert "*ready*" in alice.reads("sandbox-admin 2h trying things out")


def test_a_code_is_kept_only_as_its_hash_and_is_for_nobody_else_to_read(team: Workspace) -> None:
    alice = team.person(ALICE, bound=False)
    said = alice.types("")
    assert said.json["response_type"] == "ephemeral"
    code = team.code(alice)
    assert len(code) > 10
    assert code not in repr(team.stage.bindings)


def test_a_code_is_good_once_and_for_ten_minutes(team: Workspace) -> None:
    alice = team.person(ALICE, bound=False)
    late, code = team.code(alice), team.code(alice)
    team.stage.pass_time(10 * MINUTE - SECOND)
    assert bind(team, code).status == 200
    team.stage.pass_time(SECOND)
    for wrong in (late, "no-such-code"):
        answer = bind(team, wrong)
        assert (answer.status, answer.slug) == (404, "not-found")
        assert "10 minutes" in answer.json["detail"]


def test_the_same_person_may_confirm_twice_and_nobody_else_may(team: Workspace) -> None:
    alice = team.person(ALICE, bound=False)
    code = team.code(alice)
    first = bind(team, code)
    assert bind(team, code).json == first.json
    assert bind(team, code, who=BOB, email="alice@example.com").status == 404


@pytest.mark.parametrize("body", [{}, {"email": "bob@example.com"}, {"email": ""}])
def test_confirming_somebody_elses_code_is_refused_in_words_that_warn(team: Workspace, body) -> None:
    mallory = team.slack.join("mallory")
    answer = bind(team, team.code(mallory), **body)
    assert (answer.status, answer.slug) == (422, "invalid")
    assert "Slack knows this user as mallory@example.com, and you are alice@example.com" in answer.json["detail"]
    assert "confirm nothing" in answer.json["detail"]
    assert team.stage.bindings.bindings == {}


def test_who_goes_by_another_address_in_slack_names_it(team: Workspace) -> None:
    nick = team.slack.join("nick", profile={"email": "Nick@Other.example"})
    assert bind(team, team.code(nick), email="nick@OTHER.example").json["principal"] == ALICE.id
    assert "*ready*" in nick.reads("sandbox-admin 2h trying things out")


def test_workloads_are_nobody_in_slack(team: Workspace) -> None:
    answer = bind(team, team.code(team.person(ALICE, bound=False)), who=ROBOT)
    assert (answer.status, answer.slug) == (403, "not-eligible")


@pytest.mark.parametrize(
    "body", [{}, {"code": ""}, {"code": "a b"}, {"code": 7}, {"code": "x" * 65}, {"code": "x", "more": 1}]
)
def test_a_body_that_is_no_confirmation_is_refused(team: Workspace, body) -> None:
    assert team.api.call("POST", "/v1/slack/bind", body, who=ALICE).status == 422


def test_who_ends_it_in_a_terminal_is_nobody_in_slack_until_a_new_code(team: Workspace) -> None:
    alice = team.person(ALICE)
    assert team.api.call("POST", "/v1/slack/unbind", {}, who=BOB).json == {"ended": []}
    ended = team.api.call("POST", "/v1/slack/unbind", {}, who=ALICE)
    assert (ended.status, ended.json) == (200, {"ended": [{"team": TEAM, "user": "U0ALICE"}]})
    assert "You ended your binding" in alice.reads("list")
    bind(team, team.code(alice))
    assert "*ready*" in alice.reads("sandbox-admin 2h trying things out")


def test_a_new_slack_user_replaces_the_one_before_and_both_hear_it(team: Workspace) -> None:
    first = team.person(ALICE)
    second = team.slack.join("alice2", profile={"email": "alice@example.com"})
    assert bind(team, team.code(second)).json["replaced"] == "U0ALICE"
    assert "*ready*" in second.reads("sandbox-admin 2h trying things out")
    assert "You ended your binding, or have bound another Slack user of this team since." in first.reads("list")


# What breaks a binding.


def test_groups_are_those_of_the_sign_in_and_no_older_than_a_day(team: Workspace) -> None:
    carol = team.person(CAROL)
    team.stage.pass_time(24 * HOUR - SECOND)
    assert "*ready*" in carol.reads("payments-read 1h counting refunds")
    team.stage.pass_time(SECOND)
    told = carol.reads("payments-read 1h counting refunds")
    assert "Your groups were confirmed more than 24 hours ago." in told
    assert "daypass slack-bind" in told
    assert team.confirm(carol, CAROL).status == 200
    assert "*ready*" in carol.reads("payments-read 1h counting refunds")


def test_confirming_again_brings_the_groups_of_today(team: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    carol = team.person(CAROL)
    team.stage.pass_time(24 * HOUR)
    monkeypatch.setitem(api.TOKENS, "carol", now_in(CAROL, "engineering"))
    assert team.confirm(carol, CAROL).json["groups"] == ["engineering"]
    assert "*ready*" in carol.reads("sandbox-admin 1h trying things out")
    assert "You may not request" in carol.reads("payments-admin 1h disk full")


def test_an_issuer_that_is_gone_or_speaks_for_others_breaks_it(team: Workspace) -> None:
    carol = team.person(CAROL)
    [people, cluster] = CATALOGUE.issuers
    for issuers in (
        (cluster,),
        (replace(people, name="another"), cluster),
        (replace(people, domains=frozenset()), cluster),
    ):
        team.stage.catalogue = replace(CATALOGUE, issuers=issuers)
        assert "does not speak for you any more" in carol.reads("payments-read 1h counting refunds")
    assert team.stage.requests._requests == {}


def test_another_address_in_slack_breaks_it_until_it_is_confirmed_anew(team: Workspace) -> None:
    carol = team.person(CAROL)
    team.slack.users[carol.id]["profile"]["email"] = "somebody.else@example.com"
    team.stage.pass_time(60 * SECOND)
    told = carol.reads("payments-read 1h counting refunds")
    assert "Your e-mail address in Slack is another one" in told
    assert "daypass slack-bind" in told
    assert bind(team, team.code(carol), who=CAROL).status == 422
    assert team.stage.requests._requests == {}


KEPT_OUT: dict[str, tuple[dict[str, Any], str]] = {
    "deactivated": ({"deleted": True}, "Your Slack user is deactivated."),
    "bot": ({"is_bot": True}, "Bots and apps have no access"),
    "workflow": ({"is_workflow_bot": True}, "Bots and apps have no access"),
    "guest": ({"is_restricted": True}, "Guests of this Slack team have no access"),
    "single-channel guest": ({"is_restricted": True, "is_ultra_restricted": True}, "Guests of this Slack team"),
    "stranger": ({"is_stranger": True}, "You are of another Slack team"),
    "of another team": ({"team_id": "T0OTHER"}, "You are of another Slack team"),
    "without address": ({"profile": {"email": None}}, "lacks the scope users:read.email"),
}


@pytest.mark.parametrize("kind", KEPT_OUT)
@pytest.mark.parametrize("bound", [True, False])
def test_whom_slack_does_not_vouch_for_hears_why_and_is_given_no_code(team: Workspace, kind: str, bound: bool) -> None:
    carol = team.person(CAROL, bound=bound)
    changed, says = KEPT_OUT[kind]
    team.slack.users[carol.id] |= changed
    team.stage.pass_time(60 * SECOND)
    before = dict(team.stage.bindings.offers)
    for text in ("payments-read 1h counting refunds", "list", "show 1", "break-glass payments-admin 30m it burns"):
        told = carol.reads(text)
        assert says in told
        assert "slack-bind" not in told
    assert team.stage.bindings.offers == before
    assert team.stage.requests._requests == {}


@pytest.mark.parametrize("kind", KEPT_OUT)
def test_whom_slack_does_not_vouch_for_approves_and_shortens_and_denies_nothing(team: Workspace, kind: str) -> None:
    team.stage.catalogue = WITHOUT_MFA
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    shorten, deny = (frank.press_opens(f"daypass_{what}", request.id) for what in ("shorten", "deny"))
    frank.chooses(shorten, "duration_seconds", "900")
    frank.writes(deny, "comment", "no")
    changed, says = KEPT_OUT[kind]
    team.slack.users[frank.id] |= changed
    team.stage.pass_time(60 * SECOND)
    assert frank.presses("daypass_approve", request.id).status == 200
    assert says in team.slack.told[-1]["blocks"][0]["text"]["text"]
    for form in (shorten, deny):
        frank.sends(form)
        assert says in form.text
    assert team.stage.request(request.id) == request


def test_a_user_whom_slack_does_not_know_is_nobody(team: Workspace) -> None:
    carol = team.person(CAROL)
    del team.slack.users[carol.id]
    team.stage.pass_time(60 * SECOND)
    assert "Slack knows no such user." in carol.reads("list")


def test_somebody_of_an_organization_may_be_in_several_teams(team: Workspace) -> None:
    carol = team.person(CAROL)
    team.slack.users[carol.id] |= {"team_id": "T0HOME", "enterprise_user": {"teams": ["T0HOME", TEAM]}}
    team.stage.pass_time(60 * SECOND)
    assert "*ready*" in carol.reads("payments-read 1h counting refunds")


def test_slack_is_asked_who_somebody_is_once_a_minute(team: Workspace) -> None:
    carol = team.person(CAROL)
    for seconds in (0, 30, 29):
        team.stage.pass_time(seconds * SECOND)
        carol.reads("list")
    assert team.slack.methods() == []  # it was asked when the code was given
    team.stage.pass_time(SECOND)
    carol.reads("list")
    carol.reads("list")
    assert team.slack.methods() == ["users.info"]


def test_the_same_id_in_another_team_is_somebody_else(team: Workspace) -> None:
    team.person(CAROL)
    world: World = team.stage.world
    assert world.bindings().bound(SlackUser("T0OTHER", "U0CAROL")) == (None, None)


@pytest.mark.parametrize("action", ["daypass_approve", "daypass_shorten", "daypass_deny"])
def test_a_button_of_somebody_unknown_says_how_to_become_known(team: Workspace, action: str) -> None:
    frank, request = team.person(FRANK, bound=False), team.stage.asked(CAROL)
    assert frank.presses(action, request.id).status == 200
    [told] = team.slack.told
    assert "does not know yet who you are" in told["blocks"][0]["text"]["text"]
    assert "slash command" in told["blocks"][0]["text"]["text"]
    assert team.stage.request(request.id) == request
