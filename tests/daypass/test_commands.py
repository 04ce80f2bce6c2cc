"""The command: what people and programs see of it, on both outputs and by its exit code."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib.core.request import Ask, ScopeChoice
from chalicelib.slack.words import by_command
from daypass.saying import DENIED, DONE, ERROR, NOT_ELIGIBLE
from tests.daypass.conftest import (
    CREDENTIALS,
    ENDING,
    LINK,
    REQUEST_ID,
    ROOT,
    TOKEN,
    Ran,
    Said,
    a_request,
    problem,
)


@pytest.fixture
def known(server):
    """The server knows one request, and whatever is done to it."""

    def knows(**changed):
        whole = a_request(session_policy=None, sessions=[], **changed)
        events = [{"seq": 1, "type": "request.submitted", "at": "2026-11-23T12:00:00Z", "actor": "carol@example.com"}]
        server.answers["GET", "/v1/requests"] = Said(body={"items": [a_request(**changed)], "next_cursor": None})
        server.answers["GET", f"/v1/requests/{REQUEST_ID}"] = Said(body=whole)
        server.answers["GET", f"/v1/requests/{REQUEST_ID}/events"] = Said(body={"items": events, "next_cursor": None})
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = Said(body=CREDENTIALS)
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/console"] = Said(body=LINK)
        for move in ("approve", "deny", "cancel", "return", "revoke", "erase"):
            server.answers["POST", f"/v1/requests/{REQUEST_ID}/{move}"] = Said(body=whole)

    return knows


class TestRequest:
    @pytest.fixture(autouse=True)
    def accepts(self, server):
        server.answers["POST", "/v1/requests"] = Said(201, a_request())

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("2h", 7200), ("90m", 5400), ("3600", 3600), ("45s", 45), ("1h30m", 5400), ("1H", 3600), ("1h1m1s", 3661)],
    )
    def test_a_duration_is_written_as_people_do(self, daypass, server, text, seconds):
        assert daypass("request", "payments-admin", text, "why not").code == DONE
        assert server.asked[0].body["duration_seconds"] == seconds

    @pytest.mark.parametrize("text", ["", "h", "2 h", "2d", "-5", "1.5h", "٣h", "m90"])
    def test_anything_else_is_no_duration(self, daypass, server, text):
        ran = daypass("request", "--", "payments-admin", text, "why not")
        assert (ran.code, server.asked) == (ERROR, [])
        assert "is not a duration" in ran.err

    def test_the_words_of_a_reason_need_no_quotation_marks(self, daypass, server):
        daypass("request", "payments-admin", "1h", "rotate", "the", "key", "--ticket", "OPS-1")
        assert server.asked[0].body["reason"] == "rotate the key"
        assert server.asked[0].body["ticket"] == "OPS-1"

    def test_a_start_is_sent_as_it_was_written_and_told_with_what_to_do_then(self, daypass, server):
        begins = "2026-12-01T09:00:00+01:00"
        server.answers["POST", "/v1/requests"] = Said(
            201, a_request(state="scheduled", starts_at="2026-12-01T08:00:00Z")
        )
        ran = daypass("request", "payments-admin", "1h", "the", "release", "--starts-at", begins)
        assert server.asked[0].body["starts_at"] == begins
        assert f"It is yours from 2026-12-01T08:00:00Z on: daypass credentials {ENDING}" in ran.err
        daypass("request", "payments-admin", "1h", "the release", "--starts-at", begins, "--dry-run")
        assert (server.asked[1].query, server.asked[1].body["starts_at"]) == ({"dry_run": "true"}, begins)

    def test_a_scope_takes_parameters(self, daypass, server):
        daypass("request", "data-export", "1h", "why", "--scope", "one-bucket", "--param", "bucket=a=b")
        assert server.asked[0].body["scope"] == {"name": "one-bucket", "parameters": {"bucket": "a=b"}}

    @pytest.mark.parametrize("options", [["--param", "bucket=x"], ["--scope", "s", "--param", "bucket"]])
    def test_half_a_parameter_is_refused(self, daypass, server, options):
        assert daypass("request", "data-export", "1h", "why", *options).code == ERROR
        assert server.asked == []

    def test_a_policy_comes_from_a_file_or_from_standard_input(self, daypass, server, tmp_path):
        file = tmp_path / "policy.json"
        file.write_text('{"Version": "2012-10-17"}')
        daypass("request", "payments-admin", "1h", "why", "--session-policy", str(file))
        daypass("request", "payments-admin", "1h", "why", "--session-policy", "-", stdin="{}")
        assert [asked.body["session_policy"] for asked in server.asked] == ['{"Version": "2012-10-17"}', "{}"]
        assert daypass("request", "r", "1h", "why", "--session-policy", str(tmp_path / "none")).code == ERROR
        assert daypass("request", "r", "1h", "why", "--session-policy", str(tmp_path)).code == ERROR

    def test_it_says_what_happened_and_how_to_go_on(self, daypass):
        ran = daypass("request", "payments-admin", "1h", "rotate the key")
        assert REQUEST_ID in ran.out
        assert "“rotate the key”" in ran.out
        assert f"waits for 1 of groups sre-leads, who may say: daypass approve {ENDING}" in ran.err

    def test_where_no_approval_is_due_it_says_how_to_use_it(self, daypass, server):
        server.answers["POST", "/v1/requests"] = Said(201, a_request(state="ready", stages=[]))
        assert f"daypass credentials {ENDING}" in daypass("request", "deploy", "1h", "release").err

    def test_json_is_the_answer_and_nothing_else(self, daypass):
        assert json.loads(daypass("request", "payments-admin", "1h", "rotate the key", "--json").out) == a_request()

    def test_not_eligible_has_an_exit_code_of_its_own(self, daypass, server):
        server.answers["POST", "/v1/requests"] = problem(403, "not-eligible", "You may not have this role.")
        ran = daypass("request", "payments-admin", "1h", "rotate the key")
        assert ran == Ran(NOT_ELIGIBLE, "", "daypass: You may not have this role.\n")

    @pytest.mark.parametrize(("would", "code"), [("needs-approval", DONE), ("not-eligible", NOT_ELIGIBLE)])
    def test_a_dry_run_records_nothing_and_says_what_would_be(self, daypass, server, would, code):
        dry = {"would": would, "rule": "r", "stages": a_request()["stages"], "max_duration_seconds": 14400}
        server.answers["POST", "/v1/requests"] = Said(200, {**dry, "session_policy": None, "why": ["because"]})
        ran = daypass("request", "payments-admin", "1h", "rotate the key", "--dry-run")
        assert (ran.code, server.asked[0].query) == (code, {"dry_run": "true"})
        assert would in ran.out
        assert "4 h" in ran.out
        assert "because" in ran.out


class TestExtend:
    NEW = "01KAZ3TBJ4M7Y5QZ9V8N2DNEW0"

    @pytest.fixture(autouse=True)
    def accepts(self, server, known):
        known(state="active")
        begins = "2026-11-23T13:00:00Z"
        extension = a_request(id=self.NEW, state="scheduled", starts_at=begins, extends=REQUEST_ID, stages=[])
        server.answers["POST", "/v1/requests"] = Said(201, extension)

    def test_more_of_the_same_needs_a_request_a_duration_and_a_reason(self, daypass, server):
        ran = daypass("extend", ENDING, "1h30m", "it", "takes", "longer", "--ticket", "OPS-2")
        assert (ran.code, server.asked[-1].path) == (DONE, "/v1/requests")
        assert server.asked[-1].body == {
            "extends": REQUEST_ID,
            "duration_seconds": 5400,
            "reason": "it takes longer",
            "ticket": "OPS-2",
        }
        assert len(server.asked[-1].headers["Idempotency-Key"]) == 36

    def test_it_says_what_it_goes_on_from_and_from_when_on_it_may_be_used(self, daypass):
        ran = daypass("extend", ENDING, "1h", "it takes longer")
        assert f"goes on from  {REQUEST_ID}" in ran.out
        assert f"It is yours from 2026-11-23T13:00:00Z on: daypass credentials {self.NEW[-8:]}" in ran.err

    def test_what_goes_on_from_what_is_not_used_yet_says_so(self, daypass, server):
        extension = a_request(id=self.NEW, state="ready", extends=REQUEST_ID, stages=[])
        server.answers["POST", "/v1/requests"] = Said(201, extension)
        assert f"goes on where {ENDING} ends, once that one was used" in daypass("extend", ENDING, "1h", "why").err

    def test_where_an_approval_is_due_it_says_from_whom(self, daypass, server):
        server.answers["POST", "/v1/requests"] = Said(201, a_request(id=self.NEW, extends=REQUEST_ID))
        assert "waits for 1 of groups sre-leads" in daypass("extend", ENDING, "1h", "why").err

    def test_a_dry_run_records_nothing_and_says_what_would_be(self, daypass, server):
        dry = {"would": "not-eligible", "rule": None, "stages": [], "max_duration_seconds": None, "why": ["no more"]}
        server.answers["POST", "/v1/requests"] = Said(200, {**dry, "session_policy": None})
        ran = daypass("extend", ENDING, "1h", "it takes longer", "--dry-run")
        assert (ran.code, server.asked[-1].query) == (NOT_ELIGIBLE, {"dry_run": "true"})
        assert "no more" in ran.out

    def test_what_is_extended_already_says_by_what(self, daypass, server):
        server.answers["POST", "/v1/requests"] = problem(409, "already-extended", "Request A is extended by B already.")
        assert daypass("extend", ENDING, "1h", "why") == Ran(
            ERROR, "", "daypass: Request A is extended by B already.\n"
        )


BOUND = {
    "team": "T1",
    "user": "U1",
    "email": "carol@example.com",
    "principal": "carol@example.com",
    "groups": ["oncall", "sre"],
    "confirmed_at": "2026-11-23T12:00:00Z",
    "until": "2026-11-24T12:00:00Z",
    "replaced": "U0",
}


class TestSlack:
    def test_binding_says_which_user_acts_as_whom_and_until_when(self, daypass, server):
        server.answers["POST", "/v1/slack/bind"] = Said(body=BOUND)
        ran = daypass("slack-bind", "4f2a")
        assert (ran.code, server.asked[0].body) == (DONE, {"code": "4f2a"})
        for told in ("U1 of team T1, carol@example.com", "oncall, sre", "2026-11-24T12:00:00Z", "U0, who is nobody"):
            assert told in ran.out
        assert json.loads(daypass("slack-bind", "4f2a", "--json").out) == BOUND

    @pytest.mark.parametrize("reason", ["--help", "-1 disk left", "it's full; rm -rf /", "$(id) `id`", "a\nb"])
    def test_the_line_that_slack_gives_asks_for_the_same_whatever_the_reason(self, daypass, server, reason):
        server.answers["POST", "/v1/requests"] = Said(201, a_request())
        scope = ScopeChoice("one-bucket", {"bucket": "-files"})
        wish = Ask(role="payments-admin", duration=timedelta(minutes=90), reason=reason, ticket="INC-7", scope=scope)
        line = shlex.split(by_command(wish))
        assert line[0] == "daypass"
        assert daypass(*line[1:]).code == DONE
        assert server.asked[0].body == {
            "role": "payments-admin",
            "duration_seconds": 5400,
            "reason": reason,
            "ticket": "INC-7",
            "scope": {"name": "one-bucket", "parameters": {"bucket": "-files"}},
        }

    def test_unbinding_says_who_is_nobody_from_then_on(self, daypass, server):
        ended = {"ended": [{"team": "T1", "user": "U1"}, {"team": "T2", "user": "U2\x1b[2J"}]}
        server.answers["POST", "/v1/slack/unbind"] = Said(body=ended)
        assert daypass("slack-unbind") == Ran(DONE, "Not you any more: U1 of team T1, U2\ufffd[2J of team T2.\n", "")
        assert json.loads(daypass("slack-unbind", "--json").out) == ended
        server.answers["POST", "/v1/slack/unbind"] = Said(body={"ended": []})
        assert daypass("slack-unbind").out == "No Slack user was you.\n"

    def test_another_address_is_named_and_a_warning_is_told(self, daypass, server):
        server.answers["POST", "/v1/slack/bind"] = problem(422, "invalid", "email: somebody wants to act in your name.")
        ran = daypass("slack-bind", "4f2a", "--email", "c@other.example")
        assert (ran.code, server.asked[0].body) == (ERROR, {"code": "4f2a", "email": "c@other.example"})
        assert "somebody wants to act in your name" in ran.err


class TestAnswering:
    @pytest.fixture(autouse=True)
    def one(self, known):
        known()

    @pytest.mark.parametrize(
        ("arguments", "move", "body"),
        [
            (["approve", ENDING], "approve", {}),
            (["approve", ENDING, "--comment", "fine", "--duration", "30m"], "approve", None),
            (["deny", ENDING, "not", "today"], "deny", {"comment": "not today"}),
            (["cancel", ENDING.lower()], "cancel", {}),
            (["return", ENDING], "return", {}),
            (["return", ENDING, "--cut"], "return", {"cut": True}),
            (["revoke", ENDING, "not", "the", "ledger"], "revoke", {"comment": "not the ledger"}),
            (["erase", ENDING], "erase", {}),
        ],
    )
    def test_any_ending_of_an_id_will_do(self, daypass, server, arguments, move, body):
        assert daypass(*arguments).code == DONE
        assert server.asked[-1].path == f"/v1/requests/{REQUEST_ID}/{move}"
        assert server.asked[-1].body == ({"comment": "fine", "duration_seconds": 1800} if body is None else body)

    def test_an_ending_of_none_is_an_error(self, daypass):
        assert daypass("approve", "QQQQ") == Ran(ERROR, "", "daypass: No request that you may see ends in QQQQ.\n")

    @pytest.mark.parametrize("no", ["deny", "revoke"])
    def test_a_no_needs_words(self, daypass, server, no):
        assert daypass(no, ENDING).code == ERROR
        assert server.asked == []

    @pytest.mark.parametrize(
        ("deny", "words"),
        [
            ({"written_at": "2026-11-23T12:30:00Z"}, "written at 2026-11-23T12:30:00Z  arn:role"),
            ({"error": "LimitExceeded: full."}, "NOT known to be written (LimitExceeded: full.)  arn:role"),
            ({}, "NOT known to be written  arn:role"),
            (
                {"written_at": "2026-11-23T12:30:00Z", "covers": "person"},
                "also cut   every other session that this person had at the role",
            ),
            (
                {"written_at": "2026-11-23T12:30:00Z", "covers": "role"},
                "also cut   EVERYBODY's sessions at the role",
            ),
            (
                {"written_at": "2026-11-23T12:30:00Z", "removed_at": "2026-11-23T13:01:00Z"},
                "removed at 2026-11-23T13:01:00Z: its sessions are over  arn:role",
            ),
        ],
    )
    def test_what_became_of_the_live_sessions_is_told_as_far_as_it_is_known(self, daypass, known, deny, words):
        revocation = {"stopped_at": "2026-11-23T12:30:00Z", "denies": [{"role_arn": "arn:role", **deny}]}
        known(state="revoked", revocation={**revocation, "not_covered": ["arn:cdk-*"]})
        told = daypass("revoke", ENDING, "no more").out
        assert words in told
        assert "not cut    arn:cdk-*" in told

    def test_a_deny_that_cut_nobody_else_says_nothing_of_others(self, daypass, known):
        deny = {"role_arn": "arn:role", "written_at": "2026-11-23T12:30:00Z", "covers": "request"}
        known(state="revoked", revocation={"stopped_at": "2026-11-23T12:30:00Z", "denies": [deny], "not_covered": []})
        assert "also cut" not in daypass("show", ENDING).out


class TestSeeing:
    def test_show_has_the_history(self, daypass, known):
        known(approvals=[{"by": "bob@example.com", "at": "2026-11-23T12:01:00Z", "comment": "ok"}])
        ran = daypass("show", ENDING)
        assert "request.submitted" in ran.out
        assert "bob@example.com at 2026-11-23T12:01:00Z “ok”" in ran.out
        assert json.loads(daypass("show", ENDING, "--json").out)["events"][0]["seq"] == 1

    def test_show_tells_the_chain(self, daypass, known):
        known(extends="01KAZ3TBJ4M7Y5QZ9V8N2DBASE", extended_by="01KAZ3TBJ4M7Y5QZ9V8N2DNEW0")
        out = daypass("show", ENDING).out
        assert "goes on from  01KAZ3TBJ4M7Y5QZ9V8N2DBASE" in out
        assert "extended by   01KAZ3TBJ4M7Y5QZ9V8N2DNEW0" in out

    def test_columns_are_aligned(self, daypass, server):
        items = [
            a_request(),
            a_request(id="01KAZ3TBJ4M7Y5QZ9V8N2D4AAA", state="active", requester="å@b", reason="日本"),
        ]
        server.answers["GET", "/v1/requests"] = Said(body={"items": items, "next_cursor": None})
        head, *lines = daypass("list").out.splitlines()
        assert [line.index("payments-admin") for line in lines] == [head.index("ROLE")] * 2
        assert [line.index("1 h") for line in lines] == [head.index("FOR")] * 2

    def test_no_words_of_others_can_forge_a_line_or_a_colour(self, daypass, server):
        forged = "fine”\nactive  \x1b[32mAPPROVED\x1b[0m\u202e\x9b2J\r"
        server.answers["GET", "/v1/requests"] = Said(body={"items": [a_request(reason=forged)], "next_cursor": None})
        out = daypass("list").out
        assert len(out.splitlines()) == 2
        assert out.count("”") == 1
        assert all(character.isprintable() or character == "\n" for character in out)

    def test_filters_are_the_servers(self, daypass, server):
        server.answers["GET", "/v1/requests"] = Said(body={"items": [], "next_cursor": None})
        ran = daypass("list", "--mine", "--to-approve", "--state", "ready", "--role", "deploy", "--limit", "7")
        assert server.asked[0].query == {
            "mine": "true", "to_approve": "true", "state": "ready", "role": "deploy", "limit": "7"
        }  # fmt: skip
        assert ran == Ran(DONE, "", "No requests.\n")

    def test_colour_is_for_terminals(self, daypass, server):
        server.answers["GET", "/v1/requests"] = Said(body={"items": [a_request()], "next_cursor": None})
        assert "\x1b[" not in daypass("list").out

        def on_a_terminal(**env: str) -> bytes:
            ours, theirs = pty.openpty()
            command = [sys.executable, "-m", "daypass.commands", "list"]
            subprocess.run(command, cwd=ROOT, env={**daypass.env, **env}, stdout=theirs, timeout=60, check=True)
            os.close(theirs)
            seen = os.read(ours, 65536)
            os.close(ours)
            return seen

        assert b"\x1b[33mpending" in on_a_terminal(TERM="xterm")
        assert b"\x1b[" not in on_a_terminal(TERM="xterm", NO_COLOR="1")

    def test_roles_say_on_which_terms(self, daypass, server):
        terms = [{"rule": "r", "max_duration_seconds": 14400, "stages": a_request()["stages"], "mfa": False}]
        role = {"role": "payments-admin", "account": "payments-prod", "account_id": "2" * 12, "role_arn": "arn"}
        items = [{**role, "require_scope": True, "scopes": [{"name": "one-bucket", "parameters": {}}], "terms": terms}]
        server.answers["GET", "/v1/roles"] = Said(body={"items": items, "next_cursor": None})
        out = daypass("roles", "--q", "pay").out
        assert "payments-admin  payments-prod (222222222222)  4 h" in out
        assert "1 of groups sre-leads; needs a scope: one-bucket" in out
        assert server.asked[0].query == {"q": "pay", "limit": "50"}

    def test_roles_say_how_much_a_day_and_in_which_hours(self, daypass, server):
        free = {"rule": "r", "max_duration_seconds": 7200, "stages": [], "mfa": False, "max_per_day_seconds": 14400}
        asks = {**free, "stages": a_request()["stages"], "hours": "mon,tue 08:00-18:00 UTC"}
        del asks["max_per_day_seconds"]
        item = {"role": "read", "account": "p", "account_id": "2" * 12, "role_arn": "arn", "terms": [free, asks]}
        server.answers["GET", "/v1/roles"] = Said(body={"items": [item], "next_cursor": None})
        told = "at once, 4 h a day or 1 of groups sre-leads, mon,tue 08:00-18:00 UTC"
        assert daypass("roles").out.splitlines()[1].endswith(told)

    @pytest.mark.parametrize(
        ("changed", "when"),
        [
            ({}, "asked 2026-11-23T12:00:00Z"),
            ({"state": "scheduled"}, "from 2026-12-01T08:00:00Z"),
            ({"state": "pending"}, "from 2026-12-01T08:00:00Z"),
            ({"state": "active"}, "until 2026-12-01T09:00:00Z"),
            ({"state": "ended"}, "until 2026-12-01T09:00:00Z"),
        ],
    )
    def test_a_list_says_when_what_is_scheduled_begins_and_when_all_else_ends(self, daypass, known, changed, when):
        window = {"starts_at": "2026-12-01T08:00:00Z", "ends_at": "2026-12-01T09:00:00Z"} if changed else {}
        known(**changed, **window)
        assert when in daypass("list").out
        shown = daypass("show", ENDING).out
        assert all(instant in shown for instant in window.values())

    def test_whoami(self, daypass, server):
        me = {"id": "carol@example.com", "kind": "human", "groups": ["oncall", "sre"], "issuer": "people", "mfa": True}
        server.answers["GET", "/v1/me"] = Said(body=me)
        out = daypass("whoami").out
        assert "carol@example.com" in out
        assert "oncall, sre" in out


class TestCredentials:
    PROCESS = ("Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId")

    @pytest.mark.parametrize("what", [REQUEST_ID, ENDING, "payments-admin"])
    def test_process_is_what_credential_process_reads_and_no_more(self, daypass, known, what):
        known(state="ready")
        ran = daypass("credentials", what)
        assert json.loads(ran.out) == {name: CREDENTIALS[name] for name in self.PROCESS}
        assert (ran.code, ran.err) == (DONE, "")

    def test_env_can_be_evaluated_by_a_shell(self, daypass, known):
        known(state="active")
        exported = daypass("credentials", ENDING, "--format", "env").out
        script = exported + 'printf "%s|%s" "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN"'
        said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
        assert said == f"{CREDENTIALS['SecretAccessKey']}|{CREDENTIALS['SessionToken']}"

    def test_json_is_the_whole_answer(self, daypass, known):
        known(state="active")
        assert json.loads(daypass("credentials", ENDING, "--format", "json").out) == CREDENTIALS

    def test_a_role_means_the_most_usable_of_ones_own_requests_for_it(self, daypass, server, known):
        known(state="active")
        older = [a_request(id="01KAZ3TBJ4M7Y5QZ9V8N2DNEW0", state="ended"), a_request(id="1" * 26, state="pending")]
        items = [*older, a_request(state="active")]
        server.answers["GET", "/v1/requests"] = Said(body={"items": items, "next_cursor": None})
        assert daypass("credentials", "payments-admin").code == DONE
        assert server.asked[0].query == {"mine": "true", "role": "payments-admin", "limit": "50"}
        assert server.asked[-1].path.startswith(f"/v1/requests/{REQUEST_ID}/")

    @pytest.mark.parametrize(
        ("states", "meant"),
        [
            (["ready", "active"], 1),
            (["scheduled", "active"], 1),
            (["ready", "ready"], 1),
            (["ready", "ended"], 0),
            (["active", "ended"], 0),
            (["ready", "ready", "ended"], 1),
            (["ready", "ready", "ready"], 2),
        ],
    )
    def test_of_a_chain_a_role_means_the_link_whose_turn_it_is(self, daypass, server, known, states, meant):
        ids = [f"01KAZ3TBJ4M7Y5QZ9V8N2D000{number}" for number in range(len(states))]  # the newest first
        items = [
            a_request(id=id, state=state, extends=None if id == ids[-1] else "01K")
            for id, state in zip(ids, states, strict=True)
        ]
        server.answers["GET", "/v1/requests"] = Said(body={"items": items, "next_cursor": None})
        server.answers["POST", f"/v1/requests/{ids[meant]}/credentials"] = Said(body=CREDENTIALS)
        assert daypass("credentials", "payments-admin").code == DONE

    @pytest.mark.parametrize("state", ["ready", "active"])
    def test_where_the_reason_is_not_in_its_state_it_says_what_the_server_says(self, daypass, server, known, state):
        known(state=state)
        refused = problem(409, "not-active", "This goes on where request X ends: use that one first.")
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = refused
        ran = daypass("credentials", ENDING)
        assert ran == Ran(ERROR, "", "daypass: This goes on where request X ends: use that one first.\n")

    @pytest.mark.parametrize(
        ("changed", "code", "words"),
        [
            ({"state": "pending"}, ERROR, "still waits for 1 of groups sre-leads"),
            ({"state": "expired"}, ERROR, "is expired. Ask again"),
            ({"state": "ended"}, ERROR, "is ended. Ask again"),
            ({"state": "ended", "extended_by": "01KNEW0000"}, ERROR, "was extended: daypass credentials KNEW0000"),
            ({"state": "scheduled", "starts_at": "2026-12-01T00:00:00Z"}, ERROR, "begins at 2026-12-01"),
            ({"state": "denied", "decided_by": "bob@x", "decision_comment": "no\n!"}, DENIED, "by bob@x: “no !”"),
            ({"state": "revoked"}, DENIED, "was revoked"),
        ],
    )
    def test_where_there_is_nothing_to_have_it_says_why(self, daypass, server, known, changed, code, words):
        known(**changed)
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = problem(409, "not-active", "Not now.")
        for what in (REQUEST_ID, ENDING, "payments-admin"):
            ran = daypass("credentials", what)
            assert (ran.code, ran.out) == (code, "")
            assert words in ran.err
            assert ran.err.count("\n") == 1

    def test_a_role_never_asked_for_says_how_to_ask(self, daypass, server):
        server.answers["GET", "/v1/requests"] = Said(body={"items": [], "next_cursor": None})
        ran = daypass("credentials", "payments-read")
        assert (ran.code, ran.out) == (ERROR, "")
        assert "daypass request payments-read" in ran.err

    def test_no_longer_eligible_is_3(self, daypass, server, known):
        known(state="ready")
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = problem(403, "not-eligible", "Not any more.")
        assert daypass("credentials", ENDING) == Ran(NOT_ELIGIBLE, "", "daypass: Not any more.\n")

    def test_half_an_answer_is_not_credentials(self, daypass, server, known):
        known(state="ready")
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = Said(body={"Version": 1})
        ran = daypass("credentials", ENDING)
        assert (ran.code, ran.out) == (ERROR, "")

    def test_it_is_a_credential_process_for_botocore(self, daypass, known, tmp_path):
        known(state="ready")
        config = tmp_path / "config"
        config.write_text(
            f"[default]\ncredential_process = {sys.executable} -m daypass.commands credentials {ENDING}\n"
        )
        env = {**daypass.env, "AWS_CONFIG_FILE": str(config), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
        script = "import botocore.session as b; print(*b.get_session().get_credentials().get_frozen_credentials()[:3])"
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        wanted = [CREDENTIALS[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
        assert done.stdout.split() == wanted, done.stderr


class TestConsole:
    @pytest.fixture
    def browser(self, tmp_path):
        """A browser that writes down where it was sent; what it has to say is for nobody."""
        script = tmp_path / "browser"
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/opened\nexit "${{FAILS:-0}}"\n')
        script.chmod(0o700)
        return script

    def opened(self, browser: Path) -> list[str]:
        seen = browser.with_name("opened")
        return seen.read_text().splitlines() if seen.exists() else []

    @pytest.mark.parametrize("what", [REQUEST_ID, ENDING, "payments-admin"])
    def test_it_opens_in_the_browser_and_the_link_is_printed_nowhere(self, daypass, known, browser, what):
        known(state="active")
        ran = daypass("console", what, BROWSER=f"{browser} %s")
        assert (ran.code, ran.out, ran.err) == (DONE, "", "The AWS console opens in your browser.\n")
        assert self.opened(browser) == [LINK["url"]]

    @pytest.mark.parametrize(("options", "out"), [(["--print"], LINK["url"]), (["--json"], json.dumps(LINK, indent=2))])
    def test_what_is_printed_is_not_opened(self, daypass, known, browser, options, out):
        known(state="active")
        assert daypass("console", ENDING, *options, BROWSER=f"{browser} %s") == Ran(DONE, out + "\n", "")
        assert self.opened(browser) == []

    @pytest.mark.parametrize("env", [{}, {"BROWSER": "{} %s", "FAILS": "1"}, {"BROWSER": "/nowhere/browser %s"}])
    def test_without_a_browser_the_link_is_printed_with_what_it_is(self, daypass, known, browser, env):
        known(state="active")
        ran = daypass("console", ENDING, **{name: value.format(browser) for name, value in env.items()})
        assert (ran.code, ran.out) == (DONE, LINK["url"] + "\n")
        assert "follow this link before 2099-11-23T12:15:00Z; it signs in whoever has it" in ran.err

    def test_a_page_to_begin_with_is_the_servers_to_judge(self, daypass, known, server):
        known(state="active")
        path = f"/v1/requests/{REQUEST_ID}/console"
        daypass("console", REQUEST_ID, "--print", "--destination", "/s3/home")
        assert [asked.body for asked in server.asked if asked.path == path] == [{"destination": "/s3/home"}]
        error = {"field": "destination", "message": "a page of the console"}
        server.answers["POST", path] = problem(422, "invalid", "destination: a page of the console.", errors=[error])
        ran = daypass("console", REQUEST_ID, "--destination", "https://evil.example/")
        assert ran == Ran(ERROR, "", "daypass: destination: a page of the console.\n")

    @pytest.mark.parametrize(
        "url",
        [
            None, 7, "", "javascript:alert(1)", "file:///etc/passwd", "http://signin.example/", "https://", "-help",
            "https://signin.example/ --new-window", "https://signin.example/\x1b[31m", "https://[", "https://é/",
        ],
    )  # fmt: skip
    def test_a_browser_is_sent_to_the_web_and_nowhere_else(self, daypass, known, server, browser, url):
        known(state="active")
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/console"] = Said(body={**LINK, "url": url})
        ran = daypass("console", ENDING, BROWSER=f"{browser} %s")
        assert (ran.code, ran.out) == (ERROR, "")
        assert "a link that is none" in ran.err
        assert self.opened(browser) == []

    def test_where_there_is_nothing_to_have_it_says_why(self, daypass, known, server):
        known(state="pending")
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/console"] = problem(409, "not-active", "Not now.")
        ran = daypass("console", ENDING)
        assert (ran.code, ran.out) == (ERROR, "")
        assert "still waits for 1 of groups sre-leads" in ran.err

    @pytest.mark.parametrize(
        "said",
        [
            problem(502, "console-refused", "AWS's sign-in did not take the session (400)."),
            problem(503, "unavailable", "AWS's sign-in did not answer.", {"Retry-After": "1"}),
            Said(hang_up=True),
        ],
    )
    def test_where_it_fails_it_says_so_and_makes_no_second_session(self, daypass, known, server, said):
        known(state="active")
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/console"] = said
        ran = daypass("console", ENDING)
        assert (ran.code, ran.out, ran.err.count("\n")) == (ERROR, "", 1)
        assert sum(asked.path.endswith("/console") for asked in server.asked) == 1


class TestToken:
    def test_it_may_come_from_a_command(self, daypass, server):
        server.answers["GET", "/v1/me"] = Said(body={"id": "carol"})
        assert daypass("whoami", DAYPASS_TOKEN="", DAYPASS_TOKEN_COMMAND=f"echo '{TOKEN}'").code == DONE
        assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"

    def test_no_shell_reads_the_command(self, daypass, server, tmp_path):
        server.answers["GET", "/v1/me"] = Said(body={"id": "carol"})
        daypass("whoami", DAYPASS_TOKEN="", DAYPASS_TOKEN_COMMAND=f"echo x;touch${{IFS}}{tmp_path}/shell")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("", "You are not logged in at"),
            ("false", "failed with exit code 1"),
            ("true", "printed nothing"),
            ("/no/such/command", "does not run"),
            ("echo 'open", "not a command line"),
            ("echo two words", "no token has"),
            (f"sh -c 'echo {TOKEN}; exit 3'", "exit code 3"),
        ],
    )
    def test_where_it_fails_that_is_the_error(self, daypass, server, command, words):
        ran = daypass("whoami", DAYPASS_TOKEN="", DAYPASS_TOKEN_COMMAND=command)
        assert (ran.code, ran.out, server.asked) == (ERROR, "", [])
        assert words in ran.err
        assert ran.err.count("\n") == 1


EVERY = [
    ["request", "payments-admin", "1h", "why not"],
    ["request", "payments-admin", "1h", "why not", "--dry-run"],
    ["approve", REQUEST_ID],
    ["deny", REQUEST_ID, "no"],
    ["cancel", ENDING],
    ["return", ENDING],
    ["revoke", REQUEST_ID, "no more"],
    ["list"],
    ["show", REQUEST_ID],
    ["roles"],
    ["whoami"],
    ["credentials", "payments-admin"],
    ["console", "payments-admin"],
]
HTML = {"Content-Type": "text/html"}


class TestWhateverGoesWrong:
    @pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
    def test_every_command_says_it_in_one_sentence(self, daypass, server, arguments):
        for said in (
            Said(200, raw=b"<html>Sign in</html>", headers=HTML),
            Said(200, raw=b'{"id": '),
            problem(401, "unauthenticated", f"No such token: {TOKEN}"),
        ):
            server.otherwise = said
            ran = daypass(*arguments)
            assert (ran.code, ran.out) == (ERROR, "")
            assert ran.err.startswith("daypass: ")
            assert ran.err.count("\n") == 1

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            (Said(hang_up=True), ERROR),
            (Said(403, {"message": "Forbidden"}), ERROR),
            (problem(403, "may-not-approve", "You may not."), ERROR),
            (problem(409, "not-pending", "Too late."), ERROR),
            (problem(422, "invalid", "No.", errors=[{"field": "role", "message": "unknown"}]), ERROR),
            (problem(429, "too-many-sessions", "Slow down.", {"Retry-After": "60"}), ERROR),
            (problem(503, "unavailable", "Not now.", {"Retry-After": "60"}), ERROR),
            (Said(504, {"message": "Endpoint request timed out"}), ERROR),
            (Said(200, [1, 2]), ERROR),
            (Said(200, {"items": 5}), ERROR),
            (Said(200, {"items": [5]}), ERROR),
        ],
    )
    def test_every_failure_has_a_sentence_and_an_exit_code(self, daypass, server, said, code):
        server.otherwise = said
        ran = daypass("list")
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)

    @pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
    def test_given_strange_json_then_no_traceback(self, daypass, server, arguments):
        server.otherwise = Said(200, {"items": [{"id": None, "stages": 5, "terms": "x"}], "next_cursor": None})
        assert daypass(*arguments).code in (DONE, ERROR)

    def test_nobody_listens(self, daypass):
        ran = daypass("list", DAYPASS_URL="http://127.0.0.1:9")
        assert (ran.code, ran.out) == (ERROR, "")
        assert "Nothing answers at http://127.0.0.1:9" in ran.err

    @pytest.mark.parametrize("arguments", [["nonsense"], ["approve"], ["list", "--limit", "x"], ["--nonsense"]])
    def test_misuse_is_1_and_not_denied(self, daypass, arguments):
        ran = daypass(*arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (ERROR, "", 1)

    def test_a_reader_who_has_enough_hears_no_complaint(self, daypass, server):
        server.answers["GET", "/v1/requests"] = Said(body={"items": [a_request()] * 50, "next_cursor": None})
        line = f"{sys.executable} -m daypass.commands list --json | head -c 1"
        done = subprocess.run(["/bin/sh", "-c", line], cwd=ROOT, env=daypass.env, capture_output=True, check=False)
        assert (done.stdout, done.stderr) == (b"[", b"")


class TestStartUp:
    def imported(self, daypass, *arguments: str) -> set[str]:
        command = [sys.executable, "-X", "importtime", "-m", "daypass.commands", *arguments]
        told = subprocess.run(command, cwd=ROOT, env=daypass.env, capture_output=True, text=True, check=True).stderr
        return {line.rpartition("|")[2].strip().split(".")[0] for line in told.splitlines() if "|" in line}

    HEAVY = frozenset({"rich", "boto3", "botocore", "chalice", "chalicelib", "ministack", "pynamodb", "jwt"})

    def test_help_loads_nothing_heavy(self, daypass):
        assert self.imported(daypass, "--help") & (self.HEAVY | {"urllib3", "pydantic"}) == set()

    def test_credentials_load_nothing_heavy(self, daypass, known):
        known(state="ready")
        assert self.imported(daypass, "credentials", ENDING) & self.HEAVY == set()  # Typer itself loads pydantic


class TestLocal:
    def test_without_the_local_engine_it_says_what_to_install(self, daypass, tmp_path):
        script = (
            "import sys, importlib.util as util\n"
            "found = util.find_spec\n"
            "util.find_spec = lambda name, *rest: None if name == 'ministack' else found(name, *rest)\n"
            "from daypass.commands import run\n"
            "sys.exit(run(['token', 'alice']))\n"
        )
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (ERROR, "")
        assert "pip install 'daypass[local]'" in done.stderr


@pytest.mark.parametrize("command", ["show", "return", "approve", "cancel", "credentials", "console"])
def test_an_empty_id_names_nothing(command, daypass, known):
    known()
    done = daypass(command, "")
    assert done.code == ERROR
    assert (
        "what was given is empty" if command in ("credentials", "console") else "'' is no ending of an id"
    ) in done.err
