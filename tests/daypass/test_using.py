"""`exec`, `configure` and `--wait`: from a request to a command that runs with what was lent, and nothing beside it."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest

from daypass.saying import DENIED, DONE, ERROR, INTERRUPTED, NOT_ELIGIBLE, TIMED_OUT
from tests.daypass.conftest import (
    CREDENTIALS,
    ENDING,
    REQUEST_ID,
    ROOT,
    TOKEN,
    Daypass,
    Said,
    Server,
    a_request,
    problem,
)

ASK = "/v1/requests"
ONE = f"/v1/requests/{REQUEST_ID}"
SHOWS = ("--", sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))")
GIVEN = {
    "AWS_ACCESS_KEY_ID": CREDENTIALS["AccessKeyId"],
    "AWS_SECRET_ACCESS_KEY": CREDENTIALS["SecretAccessKey"],
    "AWS_SESSION_TOKEN": CREDENTIALS["SessionToken"],
    "AWS_CREDENTIAL_EXPIRATION": CREDENTIALS["Expiration"],
}


class Shell(Daypass):
    """As a person's: what a command that was run prints may well be a secret."""

    def ran(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "daypass.commands", *arguments]
        kept = {**self.env, "PYTHONPATH": str(ROOT), **env}
        return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def shell(server: Server) -> Shell:
    return Shell(server)


def lends(server: Server, *states: str) -> None:
    """The one request, in these states one after the other; the last one for good."""
    server.answers["GET", ASK] = Said(body={"items": [a_request(state=states[0])], "next_cursor": None})
    server.answers["GET", ONE] = [Said(body=a_request(state=state)) for state in states]
    server.answers["POST", f"{ONE}/credentials"] = Said(body=CREDENTIALS)


def asked(server: Server) -> list[tuple[str, str]]:
    return [(each.method, each.path) for each in server.asked if each.method == "POST"]


class TestExec:
    @pytest.mark.parametrize("what", ["payments-admin", ENDING, REQUEST_ID])
    def test_a_command_has_what_was_lent_and_no_other_way_to_credentials(self, shell, server, what):
        lends(server, "ready")
        done = shell.ran("exec", what, *SHOWS, AWS_PROFILE="mine", AWS_SECURITY_TOKEN="old", AWS_REGION="eu-west-1")
        told = json.loads(done.stdout)
        assert {name: value for name, value in told.items() if name.startswith("AWS_")} == {
            **GIVEN,
            "AWS_REGION": "eu-west-1",
        }
        assert (done.returncode, done.stderr) == (DONE, "")

    @pytest.mark.parametrize("code", [0, 1, 42])
    def test_its_exit_code_is_the_commands(self, shell, server, code):
        lends(server, "active")
        assert shell.ran("exec", ENDING, "--", "sh", "-c", f"exit {code}").returncode == code

    def test_options_of_the_command_are_the_commands(self, shell, server):
        lends(server, "active")
        assert shell.ran("exec", ENDING, "--", "echo", "--help", "--reason", "x").stdout == "--help --reason x\n"

    def test_what_cannot_be_run_is_127_as_in_a_shell(self, daypass, server):
        lends(server, "active")
        ran = daypass("exec", ENDING, "--", "/nowhere/aws", "s3", "ls")
        assert ran.code == 127
        assert ran.err == "daypass: /nowhere/aws cannot be run: No such file or directory.\n"

    def test_where_there_is_no_request_one_is_made_with_a_reason_and_waited_for(self, shell, server):
        lends(server, "ready")
        server.answers["GET", ASK] = Said(body={"items": [], "next_cursor": None})
        server.answers["POST", ASK] = Said(201, a_request(state="ready"))
        options = ("--reason", "the disk is full", "--for", "30m", "--ticket", "INC-7")
        assert shell.ran("exec", "payments-admin", *options, "--", "true").returncode == DONE
        assert asked(server) == [("POST", ASK), ("POST", f"{ONE}/credentials")]
        [ask, _] = [each.body for each in server.asked if each.method == "POST"]
        assert ask == {
            "role": "payments-admin",
            "duration_seconds": 1800,
            "reason": "the disk is full",
            "ticket": "INC-7",
        }

    def test_what_is_over_is_asked_for_anew(self, shell, server):
        lends(server, "ended")
        server.answers["POST", ASK] = Said(201, a_request(state="ready"))
        assert shell.ran("exec", "payments-admin", "--reason", "again", "--", "true").returncode == DONE
        assert asked(server)[0] == ("POST", ASK)

    @pytest.mark.parametrize("state", ["ready", "active"])
    def test_what_is_there_to_use_is_used_also_with_a_reason(self, shell, server, state):
        lends(server, state)
        assert shell.ran("exec", "payments-admin", "--reason", "x", "--", "true").returncode == DONE
        assert asked(server) == [("POST", f"{ONE}/credentials")]

    def test_where_there_is_nothing_and_no_reason_it_says_that_it_would_ask(self, daypass, server):
        server.answers["GET", ASK] = Said(body={"items": [], "next_cursor": None})
        ran = daypass("exec", "payments-admin", "--", "true")
        assert (ran.code, asked(server)) == (ERROR, [])
        assert ran.err.endswith("daypass request payments-admin … With --reason this asks for it.\n")

    def test_without_a_reason_nothing_is_asked_for(self, daypass, server):
        lends(server, "ended")
        ran = daypass("exec", "payments-admin", "--", "true")
        assert (ran.code, asked(server)) == (ERROR, [])
        assert "daypass request payments-admin" in ran.err

    def test_what_is_denied_meanwhile_is_2_and_nothing_runs(self, daypass, server):
        lends(server, "pending", "denied")
        server.answers["GET", ONE] = [
            Said(503, {}, headers={"Retry-After": "0"}),
            Said(body=a_request(state="denied", decided_by="frank@example.com", decision_comment="no")),
        ]
        ran = daypass("exec", "payments-admin", "--", "echo", "ran")
        assert (ran.code, ran.out) == (DENIED, "")
        assert "was denied by frank@example.com" in ran.err

    def test_not_eligible_is_3(self, daypass, server):
        lends(server, "ended")
        server.answers["POST", ASK] = problem(403, "not-eligible", "No rule lets you.")
        assert daypass("exec", "payments-admin", "--reason", "x", "--", "true").code == NOT_ELIGIBLE


class TestWaiting:
    def test_an_answer_that_is_there_is_not_waited_for(self, daypass, server):
        server.answers["POST", ASK] = Said(201, a_request(state="ready"))
        ran = daypass("request", "payments-admin", "1h", "why", "--wait", "--json")
        assert (ran.code, json.loads(ran.out)["state"]) == (DONE, "ready")
        assert len(server.asked) == 1

    def test_time_that_is_up_is_4_and_the_request_stands(self, daypass, server):
        server.answers["POST", ASK] = Said(201, a_request())
        ran = daypass("request", "payments-admin", "1h", "why", "--timeout", "0s")
        assert (ran.code, ran.out) == (TIMED_OUT, "")
        assert ran.err.startswith("Waiting for 1 of groups sre-leads, for ")
        assert f"Nobody answered in time. Request {ENDING} stands: daypass show {ENDING}" in ran.err

    def test_nobody_in_time_is_4(self, daypass, server):
        server.answers["POST", ASK] = Said(201, a_request(state="expired", expired_because="unanswered"))
        assert daypass("request", "payments-admin", "1h", "why", "--wait").code == TIMED_OUT

    def test_ctrl_c_leaves_the_request_standing_and_says_how_to_come_back(self, daypass, server):
        server.answers["POST", ASK] = Said(201, a_request())
        server.answers["GET", ONE] = Said(body=a_request())
        # As in a terminal: what is started in the background, as by CI, inherits that SIGINT is ignored.
        as_in_front = (
            "import signal as s; s.signal(s.SIGINT, s.default_int_handler); import daypass.commands as c; c.main()"
        )
        command = [sys.executable, "-c", as_in_front, "request", "payments-admin", "1h", "why", "--wait"]
        ours, theirs = pty.openpty()
        with subprocess.Popen(command, cwd=ROOT, env=daypass.env, stdout=subprocess.PIPE, stderr=theirs) as waiting:
            seen = b""
            while b"Ctrl-C leaves it standing." not in seen:
                seen += os.read(ours, 4096)
            waiting.send_signal(signal.SIGINT)
            try:
                assert waiting.wait(30) == INTERRUPTED
            finally:
                waiting.kill()
        os.close(theirs)
        seen += os.read(ours, 4096)
        os.close(ours)
        assert b"Nobody waits any more. Request " + ENDING.encode() in seen
        assert [path for _, path in asked(server)] == [ASK]


class TestConfigure:
    EXISTING = "# mine\n[default]\nregion = eu-west-1\n"

    def configured(self, daypass: Daypass, file: Path, *arguments: str, **env: str):
        where = {"AWS_CONFIG_FILE": str(file), "AWS_SHARED_CREDENTIALS_FILE": str(file.with_name("credentials"))}
        return daypass("configure", *arguments, **where, **env)

    def test_botocore_fetches_by_it_without_anything_in_the_environment(self, daypass, server, tmp_path):
        lends(server, "active")
        file = tmp_path / "config"
        file.write_text(self.EXISTING)
        prints = tmp_path / "prints"
        prints.write_text(f"#!/bin/sh\necho '{TOKEN}'\n")
        prints.chmod(0o700)
        command = f"{prints} 'with a space'"
        ran = self.configured(daypass, file, "payments-admin", DAYPASS_TOKEN="", DAYPASS_TOKEN_COMMAND=command)
        assert (ran.code, ran.out) == (DONE, "")
        assert f"{file} has the profile payments-admin: aws --profile payments-admin" in ran.err
        text = file.read_text()
        assert text.startswith(self.EXISTING)
        assert TOKEN not in text
        asks = "import botocore.session as s; print(s.Session(profile='payments-admin').get_credentials().access_key)"
        env = {"AWS_CONFIG_FILE": str(file), "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", asks], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [CREDENTIALS["AccessKeyId"]]

    def test_said_twice_it_is_there_once(self, daypass, tmp_path):
        file = tmp_path / "new" / "config"
        for _ in range(2):
            assert self.configured(daypass, file, "payments-admin", "--region", "us-east-1").code == DONE
        assert file.read_text().count("[profile payments-admin]") == 1
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("config", "credentials", "why"),
        [
            ("[profile payments-admin]\nsso_session = x\n", "", "has sso_session already"),
            ("", "[payments-admin]\naws_access_key_id = x\n", "has keys for the profile payments-admin"),
        ],
    )
    def test_a_profile_that_gets_its_keys_otherwise_is_left_alone(self, daypass, tmp_path, config, credentials, why):
        file = tmp_path / "config"
        file.write_text(config)
        file.with_name("credentials").write_text(credentials)
        ran = self.configured(daypass, file, "payments-admin")
        assert (ran.code, file.read_text()) == (ERROR, config)
        assert why in ran.err
        assert "--profile gives it another name" in ran.err

    @pytest.mark.parametrize("name", ["", "a b", "x]", "[x", "a\nb", "é"])
    def test_a_name_that_no_profile_can_have_is_refused(self, daypass, tmp_path, name):
        ran = self.configured(daypass, tmp_path / "config", "payments-admin", "--profile", name)
        assert (ran.code == DONE) == (name == "")
        assert name == "" or "is no name for a profile" in ran.err

    def test_a_file_that_is_no_text_or_no_file_is_told(self, daypass, tmp_path):
        (tmp_path / "config").write_bytes(b"\xff\xfe[default]")
        assert "it is not text" in self.configured(daypass, tmp_path / "config", "payments-admin").err
        assert "cannot be read or written" in self.configured(daypass, tmp_path, "payments-admin").err


def test_botocore_knows_no_other_profile_than_those_that_are_there(tmp_path: Path) -> None:
    """The tests above would say nothing if botocore found credentials without the profile."""
    assert botocore.session.Session().get_config_variable("profile") is None
