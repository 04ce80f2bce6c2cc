"""What goes wrong on the way: Slack throttles or is silent, the table is, Daypass is slow or wrong. Each is told."""

import logging

import pytest

from chalicelib.core.denies import Cut, Standing
from tests.builders import SECOND
from tests.fakes import Effect
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.slack.fake_slack import Said
from tests.slack.team import Workspace
from tests.stage import with_rules
from tests.watching import counted

APPROVE, SHORTEN = "daypass_approve", "daypass_shorten"
SILENT = "Slack did not answer Daypass, so nothing was done."


@pytest.fixture
def team(team: Workspace) -> Workspace:
    team.stage.catalogue = with_rules(("sre administer payments", {"require_mfa": False}))
    return team


def words(said: Said) -> str:
    return str(said.json["blocks"][0]["text"]["text"])


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


FAILURES = {
    "throttled": (429, "ratelimited", {"Retry_After": "30"}),
    "without the scope": (200, "missing_scope", {}),
    "token revoked": (200, "token_revoked", {}),
    "down": (503, "service_unavailable", {}),
    "in error": (500, "internal_error", {}),
}


@pytest.mark.parametrize("how", FAILURES)
def test_where_slack_does_not_say_who_somebody_is_nothing_is_done(
    team: Workspace, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    alice, frank, request = team.person(ALICE), team.person(FRANK), team.stage.asked(CAROL)
    team.stage.pass_time(61 * SECOND)
    status, error, headers = FAILURES[how]
    team.slack.fail("users.info", status, error, **headers)
    with caplog.at_level(logging.ERROR, logger="daypass"):
        assert SILENT in words(alice.types("sandbox-admin 1h trying things out"))
    [line] = errors(caplog)
    assert (line.message, vars(line)["slack_method"], vars(line)["code"]) == ("slack_call_failed", "users.info", error)
    assert frank.presses(APPROVE, request.id).status == 200
    assert SILENT in team.slack.told[-1]["blocks"][0]["text"]["text"]
    assert team.stage.requests._requests == {request.id: request}
    team.slack.mend()
    assert "*ready*" in alice.reads("sandbox-admin 1h trying things out")


@pytest.mark.parametrize("how", FAILURES)
def test_where_slack_opens_no_form_it_says_so(team: Workspace, how: str) -> None:
    alice, frank, request = team.person(ALICE), team.person(FRANK), team.stage.asked(CAROL)
    status, error, headers = FAILURES[how]
    team.slack.fail("views.open", status, error, **headers)
    assert SILENT in words(alice.types(""))
    assert frank.presses(SHORTEN, request.id).status == 200
    assert SILENT in team.slack.told[-1]["blocks"][0]["text"]["text"]


def test_where_slack_cannot_even_be_told_the_button_is_marked(team: Workspace) -> None:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    frank.presses(APPROVE, request.id)
    for status in (404, 429, 500):
        team.slack.fail("response_url", status, "no_service")
        assert frank.presses(APPROVE, request.id).status == 503
    assert team.stage.types(request.id) == ["request.submitted", "request.approved"]


def test_where_a_form_cannot_be_changed_slack_marks_it(team: Workspace) -> None:
    alice = team.person(ALICE)
    form = alice.opens()
    team.slack.fail("views.update", 200, "hash_conflict")
    said = alice.chooses(form, "role", "sandbox-admin")
    assert said is not None
    assert said.status == 503


def test_a_response_url_is_used_at_most_once_for_each_deed(team: Workspace) -> None:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    frank.presses(APPROVE, request.id)
    for _ in range(5):
        frank.presses(APPROVE, request.id)
    assert len(team.slack.told) == 5
    assert max(len(uses) for uses in team.slack._response_urls.values()) == 2  # when it was made, and one use


@pytest.mark.parametrize("effect", Effect)
def test_where_the_table_is_silent_the_person_hears_it_and_may_say_it_again(team: Workspace, effect: Effect) -> None:
    alice = team.person(ALICE)
    team.stage.requests.fail_next(effect)
    assert "The fake was told not to answer" in words(alice.types("sandbox-admin 1h trying things out"))
    assert team.slack.repeat().status == 200
    [request] = team.stage.requests._requests.values()
    assert request.version == 1


@pytest.mark.parametrize("effect", Effect)
def test_a_click_that_the_table_did_not_answer_is_clicked_again_and_counts_once(
    team: Workspace, effect: Effect
) -> None:
    frank, request = team.person(FRANK), team.stage.asked(CAROL)
    team.stage.requests.fail_next(effect)
    frank.presses(APPROVE, request.id)
    assert "The fake was told not to answer" in team.slack.told[-1]["blocks"][0]["text"]["text"]
    frank.presses(APPROVE, request.id)
    assert team.stage.types(request.id) == ["request.submitted", "request.approved"]


def test_an_answer_that_came_too_late_is_said_once_more(team: Workspace) -> None:
    dave, request = team.person(DAVE), team.stage.approved(CAROL)
    team.stage.lent(request)
    deny = team.stage.revoker.deny

    def slowly(cut: Cut) -> Standing:
        team.stage.pass_time(4 * SECOND)
        return deny(cut)

    team.stage.revoker.deny = slowly  # type: ignore[method-assign]
    said = dave.types(f"revoke {request.id} no more of this")
    assert said.timed_out
    [told] = team.slack.told
    assert "*revoked*" in told["blocks"][0]["text"]["text"]


def test_an_answer_in_time_is_said_once(team: Workspace) -> None:
    assert not team.person(ALICE).types("list").timed_out
    assert team.slack.told == []


def test_a_form_whose_trigger_is_over_is_not_opened_and_the_person_hears_it(team: Workspace) -> None:
    alice = team.person(ALICE)
    catalogue = team.stage.catalogue

    class Slow:
        def __getattr__(self, name):
            team.stage.pass_time(4 * SECOND)
            return getattr(catalogue, name)

    team.stage.catalogue = Slow()  # type: ignore[assignment]
    said = alice.types("")
    assert (said.timed_out, SILENT in words(said), team.slack.forms) == (True, True, {})
    assert SILENT in team.slack.told[-1]["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("what", ["command", "button", "form", "choice", "options"])
def test_a_bug_is_one_sentence_and_a_line_in_the_log(
    team: Workspace, what: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    frank, alice, request = team.person(FRANK), team.person(ALICE), team.stage.asked(CAROL)
    form = alice.opens()
    deny = frank.press_opens("daypass_deny", request.id)
    frank.writes(deny, "comment", "no")

    class Broken:
        def __getattr__(self, name):
            raise RuntimeError("internals: bob's diary")

    team.stage.catalogue = Broken()  # type: ignore[assignment]
    says: str = ""
    with caplog.at_level(logging.ERROR, logger="daypass"):
        match what:
            case "command":
                says = words(alice.types("list"))
            case "button":
                assert frank.presses(APPROVE, request.id).status == 200
                says = team.slack.told[-1]["blocks"][0]["text"]["text"]
            case "form":
                frank.sends(deny)
                says = deny.view["blocks"][0]["text"]["text"]
            case "choice":
                form.values["role"] = {"daypass_role": {"type": "external_select", "selected_option": {"value": "x"}}}
                sent = alice._sent(form)
                action = {"action_id": "daypass_role", "block_id": "role", "type": "external_select"}
                assert alice._interacts("block_actions", actions=[action], view=sent).status == 503
            case "options":
                assert alice.searches(form, "") == []
    if what not in ("choice", "options"):
        assert "Something is wrong with Daypass itself" in says
    assert "diary" not in says
    assert [line.message for line in errors(caplog)] == ["slack_failed"]


def test_one_line_of_the_log_tells_who_did_what_and_what_came_of_it(
    team: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    carol = team.person(CAROL)
    with caplog.at_level(logging.INFO, logger="daypass"):
        carol.types("payments-admin 9h disk full")
    *_, line = (record for record in caplog.records if record.message == "request_answered")
    told = vars(line)
    assert (told["path"], told["principal"], told["slug"], told["status"]) == (
        "/slack/events",
        CAROL.id,
        "too-long",
        200,
    )


def test_a_refusal_in_slack_is_counted_as_at_every_door(team: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    carol = team.person(CAROL)
    capsys.readouterr()
    carol.types("payments-admin 9h disk full")
    assert counted(capsys.readouterr().out) == {"Refusals slug=too-long": 1}


def test_where_everybody_may_log_all_no_address_to_answer_at_is_written_down(
    team: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    carol, request = team.person(CAROL), team.stage.asked(CAROL)
    with caplog.at_level(logging.DEBUG):
        carol.presses(APPROVE, request.id)
    assert [name for name, _ in team.slack.calls][-1] == "response_url"
    assert [record.getMessage() for record in caplog.records if "/commands/" in record.getMessage()] == []


def test_bolt_is_silent_and_the_rest_of_the_log_is_not(team: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    alice = team.person(ALICE)
    with caplog.at_level(logging.DEBUG):
        alice.types("list")
        alice.types("list", command="not a command")
    assert logging.getLogger("daypass").isEnabledFor(logging.INFO)
    assert {record.name for record in caplog.records if "bolt" in record.name} == set()
    assert "request_answered" in {record.message for record in caplog.records}
