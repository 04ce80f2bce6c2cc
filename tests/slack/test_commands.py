"""The slash command: asking, looking, being done. Every answer is for the one who typed it."""

from dataclasses import replace

import pytest

from chalicelib.broker import deciding, lending
from chalicelib.core.catalogue import BreakGlass, Catalogue, Extensions
from chalicelib.core.life import State
from chalicelib.core.request import Request
from tests.builders import HOUR
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK
from tests.slack.fake_slack import BOT_TOKEN, SIGNING_SECRET
from tests.slack.team import Workspace
from tests.stage import CATALOGUE, with_rules

RULE = "sre administer payments"
WITHOUT_MFA = with_rules((RULE, {"require_mfa": False}))


def requests(team: Workspace) -> list[Request]:
    return list(team.stage.requests._requests.values())


def the_one(team: Workspace) -> Request:
    [request] = requests(team)
    return request


# Asking.


def test_asking_in_one_line_tells_what_became_of_it_and_how_to_use_it(team: Workspace) -> None:
    told = team.person(ALICE).reads("sandbox-admin 2h trying things out")
    request = the_one(team)
    assert (request.role, request.duration, request.reason, request.ticket) == (
        "sandbox-admin",
        2 * HOUR,
        "trying things out",
        None,
    )
    assert (request.requester.id, request.requester.mfa) == (ALICE.id, False)
    assert request.state(team.stage.now) is State.READY
    assert "*ready*" in told
    assert f"`daypass credentials {request.id[-8:]}`" in told


def test_what_waits_for_others_says_for_whom_and_until_when(team: Workspace) -> None:
    team.stage.catalogue = WITHOUT_MFA
    told = team.person(CAROL).reads("payments-admin 1h30m disk full on db-3")
    assert the_one(team).duration == 1.5 * HOUR
    assert "It waits for 1 of `groups sre-leads`, until 2031-03-05T20:00:00Z." in told


@pytest.mark.parametrize(
    ("pattern", "words", "ticket", "reason"),
    [
        (None, "INC-123 disk full", "INC-123", "disk full"),
        (None, "OPS2-7 disk full", "OPS2-7", "disk full"),
        (None, "disk full INC-123", None, "disk full INC-123"),
        (None, "inc-123 disk full", None, "inc-123 disk full"),
        (None, "INC-123: disk full", None, "INC-123: disk full"),
        (None, "UTF-8 is broken", "UTF-8", "is broken"),
        (None, "INC-123   disk  full ", "INC-123", "disk  full"),
        (None, "a  b   c", None, "a  b   c"),
        ("#[0-9]+", "#42 disk full", "#42", "disk full"),
        ("[A-Z]+-[0-9]+", "INC-123 disk full", "INC-123", "disk full"),
    ],
)
def test_a_ticket_is_told_by_its_form(team: Workspace, pattern, words, ticket, reason) -> None:
    team.stage.catalogue = with_rules((RULE, {"require_mfa": False, "ticket": pattern}))
    team.person(CAROL).reads(f"payments-admin 1h {words}")
    assert (the_one(team).ticket, the_one(team).reason) == (ticket, reason)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("payments-admin", "Write the role, how long, and why"),
        ("payments-admin 2h", "Write the role, how long, and why"),
        ("payments-admin soon disk full", "'soon' is no length"),
        ("payments-admin 2 disk full", "'2' is no length"),
        ("payments-admin 10s disk full", "'10s' is no length"),
        ("payments-admin 0h disk full", "greater than or equal to 60"),
        ("payments-admin 2h x", "at least 3 characters"),
        ("payments-admin 2h INC-123 x", "at least 3 characters"),
        ("payments-admin 2h " + "x" * 3000, "at most 500 characters"),
        ("payments-admin 9h disk full", "4 h allowed"),
        ("Payments-Admin 2h disk full", "String should match pattern"),
        ("nonsense 2h disk full", "You may not request 'nonsense'"),
        ("data-export 1h quarterly report", "scope"),
        ("<!channel> 2h disk full", "String should match pattern"),
        ("show", "Write which request"),
        ("show a b", "Write which request"),
        ("show <!channel>", "letters and digits"),
        ("show 4XK2Q9ZD", "No request that you may see ends in 4XK2Q9ZD"),
        ("done 4XK2Q9ZD", "No request that you may see ends in 4XK2Q9ZD"),
        ("revoke 4XK2Q9ZD", "Write which request and why"),
        ("revoke", "Write which request and why"),
        ("break-glass", "Write the role, how long, and why"),
        ("break-glass payments-admin 30m", "Write the role, how long, and why"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence_and_leaves_nothing(team: Workspace, text: str, says: str) -> None:
    team.stage.catalogue = replace(
        WITHOUT_MFA, rules=tuple(replace(rule, require_mfa=False) for rule in CATALOGUE.rules)
    )
    who = ALICE if text.startswith("data-export") else CAROL
    assert says in team.person(who).reads(text)
    assert requests(team) == []


def test_what_somebody_types_arrives_as_they_typed_it(team: Workspace) -> None:
    reason = "a <b> & c: <!channel> *bold* `code` &amp; שלום 🎉 https://evil.example"
    told = team.person(ALICE).reads(f"sandbox-admin 1h {reason}")
    assert the_one(team).reason == reason
    assert "&lt;!channel&gt; *bold* ˋcodeˋ &amp;amp;" in told


def test_asked_twice_by_slack_it_is_one_request_and_the_same_answer(team: Workspace) -> None:
    alice = team.person(ALICE)
    told = alice.types("sandbox-admin 2h trying things out")
    for number in (1, 2, 3):
        assert team.slack.repeat(number).json == told.json
    assert len(requests(team)) == 1
    alice.types("sandbox-admin 2h trying things out")
    assert len(requests(team)) == 2


def test_a_rule_that_asks_for_a_second_factor_is_answered_with_the_command(team: Workspace) -> None:
    told = team.person(CAROL).reads("payments-admin 2h INC-7 it's full")
    assert "This needs a second factor. Slack cannot prove one." in told
    command = """`daypass request --ticket INC-7 payments-admin 2h 'it'"'"'s full'`"""
    assert command in told
    assert requests(team) == []


def test_the_command_is_not_told_where_a_second_factor_would_not_help(team: Workspace) -> None:
    told = team.person(ALICE).reads("payments-admin 2h disk full")
    assert "You may not request" in told
    assert "second factor" not in told


# Looking.


def test_the_list_has_ones_own_and_what_waits_for_ones_answer(team: Workspace) -> None:
    team.stage.catalogue = WITHOUT_MFA
    carol, bob = team.person(CAROL), team.person(BOB)
    assert "You have no requests" in bob.reads("list")
    carol.reads("payments-admin 1h disk full on db-3")
    bob.reads("payments-read 1h counting refunds")
    told = bob.reads("list").split("\n")
    assert told[0] == "*Yours*"
    assert "payments-read" in told[1]
    assert told[3] == "*Waiting for your answer*"
    assert "payments-admin" in told[4]
    assert "`carol@example.com`" in told[4]
    assert told[5] == "`disk full on db-3`"


def test_a_request_that_needs_a_second_factor_does_not_wait_for_an_answer_in_slack(team: Workspace) -> None:
    team.stage.asked(CAROL)
    assert "none waits for your answer" in team.person(FRANK).reads("list")


@pytest.mark.parametrize("ending", [26, 10, 8])
def test_any_ending_of_an_id_will_do(team: Workspace, ending: int) -> None:
    alice = team.person(ALICE)
    for _ in range(3):
        alice.reads("sandbox-admin 1h trying things out")
    wanted = requests(team)[1].id
    assert f"`{wanted}`" in alice.reads(f"show {wanted[-ending:].lower()}")


def test_an_ending_that_several_have_is_refused(team: Workspace) -> None:
    alice = team.person(ALICE)
    for _ in range(11):  # of eleven numbers two end in the same digit
        alice.reads("sandbox-admin 1h trying things out")
    assert "requests end in" in alice.reads(f"show {requests(team)[0].id[-1]}")


def test_what_somebody_may_not_see_is_not_there(team: Workspace) -> None:
    request = team.stage.asked(CAROL)
    alice = team.person(ALICE)
    assert "There is no request" in alice.reads(f"show {request.id}")
    assert "No request that you may see" in alice.reads(f"show {request.id[-8:]}")
    assert "*pending*" in team.person(DAVE).reads(f"show {request.id[-8:]}")


def test_show_tells_who_decided_and_what_they_said(team: Workspace) -> None:
    request = team.stage.asked(CAROL)
    deciding.deny(team.stage.world, FRANK, request.id, comment="not `today`")
    told = team.person(CAROL).reads(f"show {request.id}")
    assert "*denied*" in told
    assert "Denied by `frank@example.com`: `not ˋtodayˋ`" in told


# Being done.


def test_done_gives_back_what_is_used_and_takes_back_what_is_not(team: Workspace) -> None:
    alice = team.person(ALICE)
    alice.reads("sandbox-admin 1h trying things out")
    alice.reads("payments-read 1h counting refunds")
    unused, used = requests(team)
    lending.lend(team.stage.world, ALICE, used.id)
    assert "*cancelled*" in alice.reads(f"done {unused.id[-8:]}")
    assert "*returned*" in alice.reads(f"done {used.id[-8:]}")
    assert "cancelled already" in alice.reads(f"done {unused.id[-8:]}")
    assert team.stage.types(used.id)[-1] == "request.returned"


def test_done_twice_by_slack_is_done_once(team: Workspace) -> None:
    alice = team.person(ALICE)
    alice.reads("sandbox-admin 1h trying things out")
    alice.reads(f"done {the_one(team).id}")
    history = team.stage.types(the_one(team).id)
    assert team.slack.repeat().status == 200
    assert team.stage.types(the_one(team).id) == history


def test_nobody_is_done_with_what_is_somebody_elses(team: Workspace) -> None:
    request = team.stage.asked(CAROL)
    dave = team.person(DAVE)
    assert "Only the person who asked" in dave.reads(f"done {request.id}")
    assert "No request that you may see" in dave.reads(f"done {request.id[-8:]}")


def test_revoking_takes_it_away_and_tells_what_became_of_its_sessions(team: Workspace) -> None:
    request = team.stage.approved(CAROL)
    team.stage.lent(request)
    told = team.person(DAVE).reads(f"revoke {request.id[-8:]} that was not the ledger")
    assert "*revoked*" in told
    assert "Its sessions are being cut." in told
    assert team.stage.request(request.id).decision_comment == "that was not the ledger"
    assert "There is no request" in team.person(ALICE).reads(f"revoke {request.id} no more")


def test_where_sessions_could_not_be_cut_it_says_so(team: Workspace) -> None:
    request = team.stage.approved(CAROL)
    team.stage.lent(request)
    team.stage.revoker.fail_next()
    assert "could not be cut yet" in team.person(DAVE).reads(f"revoke {request.id} no more")


def test_done_and_revoke_take_what_extends_it_along(team: Workspace) -> None:
    team.stage.catalogue = with_rules((RULE, {"require_mfa": False, "extensions": Extensions(max=1, stages=())}))
    for act, who, ends in (("done {}", CAROL, State.CANCELLED), ("revoke {} no more", FRANK, State.REVOKED)):
        base = team.stage.approved(CAROL)
        team.stage.lent(base)
        extension = team.stage.extended(team.stage.request(base.id))
        team.person(who).reads(act.format(base.id))
        assert team.stage.request(base.id).state(team.stage.now) in (State.RETURNED, State.REVOKED)
        assert team.stage.request(extension.id).state(team.stage.now) is ends


def test_help_names_every_verb_and_the_command_as_it_is_called(team: Workspace) -> None:
    said = team.person(ALICE).types("help", command="/daypass-dev")
    told = said.json["blocks"][0]["text"]["text"]
    for verb in ("list", "show", "done", "revoke", "break-glass"):
        assert f"`/daypass-dev {verb}" in told


# Emergencies.


def with_glass(**changes) -> Catalogue:
    [rule] = [rule for rule in CATALOGUE.rules if rule.name == RULE]
    assert isinstance(rule.break_glass, BreakGlass)
    return with_rules((RULE, {"break_glass": replace(rule.break_glass, **changes)}))


WHY = "payments are down for everybody"


def test_an_emergency_is_confirmed_by_who_has_read_whom_it_tells(team: Workspace) -> None:
    team.stage.catalogue = with_glass(require_mfa=False)
    carol = team.person(CAROL)
    form = carol.opens(f"break-glass payments-admin 30m INC-7 {WHY}")
    assert "Nobody approves this." in form.text
    assert "`groups security` are told" in form.text
    assert "within 24 h" in form.text
    assert f"`{WHY}`" in form.text
    assert requests(team) == []
    carol.sends(form)
    request = the_one(team)
    assert (request.break_glass, request.reason, request.ticket) == (True, WHY, "INC-7")
    assert request.duration == HOUR / 2
    assert "an emergency: nobody approved it" in form.text
    assert f"`daypass credentials {request.id[-8:]}`" in form.text


@pytest.mark.parametrize("letter", ["💥", '"', "<", "\\", "é"])
def test_the_longest_reason_comes_back_with_the_confirmation(team: Workspace, letter: str) -> None:
    team.stage.catalogue = with_glass(require_mfa=False)
    carol = team.person(CAROL)
    carol.sends(carol.opens(f"break-glass payments-admin 30m {letter * 500}"))
    assert the_one(team).reason == letter * 500


def test_an_emergency_that_is_sent_twice_is_one(team: Workspace) -> None:
    team.stage.catalogue = with_glass(require_mfa=False)
    carol = team.person(CAROL)
    carol.sends(carol.opens(f"break-glass payments-admin 30m {WHY}"))
    assert team.slack.repeat().status == 200
    assert the_one(team).version == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"break-glass payments-admin 2h {WHY}", "1 h in an emergency allowed"),
        ("break-glass payments-admin 30m it burns", "at least 20 characters"),
        (f"break-glass sandbox-admin 30m {WHY}", "You may not request 'sandbox-admin'"),
    ],
)
def test_an_emergency_that_cannot_be_opens_no_form(team: Workspace, text: str, says: str) -> None:
    team.stage.catalogue = with_glass(require_mfa=False)
    assert says in team.person(CAROL).reads(text)
    assert team.slack.forms == {}


def test_an_emergency_that_needs_a_second_factor_is_answered_with_the_command(team: Workspace) -> None:
    told = team.person(CAROL).reads(f"break-glass payments-admin 30m {WHY}")
    assert f"`daypass break-glass payments-admin 30m '{WHY}'`" in told
    assert team.slack.forms == {}


def test_an_emergency_is_judged_anew_when_it_is_confirmed(team: Workspace) -> None:
    team.stage.catalogue = with_glass(require_mfa=False)
    carol = team.person(CAROL)
    form = carol.opens(f"break-glass payments-admin 30m {WHY}")
    team.stage.catalogue = with_glass(require_mfa=True)
    carol.sends(form)
    assert "This needs a second factor" in form.text
    assert requests(team) == []


def test_no_answer_holds_a_secret(team: Workspace) -> None:
    alice = team.person(ALICE)
    for text in ("", "help", "list", "sandbox-admin 1h trying things out", "show 1", "nonsense"):
        said = alice.types(text)
        for secret in (SIGNING_SECRET, BOT_TOKEN, "CANARY"):
            assert secret not in said.body
