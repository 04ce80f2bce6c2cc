"""Which token is sent: what the environment says, else the stored login, and how that one stays fresh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daypass.client import Client, DaypassError
from daypass.logins import Login, Logins, folder
from daypass.tokens import LOCAL, Stored, server, source, stored
from tests.daypass.conftest import Said, Server, problem
from tests.daypass.issuer import CLIENT, SUBJECT, FakeIssuer, jwt

ROOT = Path(__file__).parents[2]
DAYPASS = "https://daypass.example.com"
NOW = time.time()


def a_login(**changed: Any) -> Login:
    told: dict[str, Any] = {
        "server": DAYPASS,
        "issuer": "https://idp.example.com",
        "client_id": CLIENT,
        "audience": CLIENT,
        "subject": SUBJECT,
        "token": jwt({"n": "stored"}),
        "ends_at": NOW + 3600,
        "refresh_token": "canary-refresh-0",
    }
    return Login(**{**told, **changed})


@pytest.fixture
def env(tmp_path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path)}


@pytest.fixture
def logins(env) -> Logins:
    return Logins(folder(env))


def given(source: Any) -> str:
    return source if isinstance(source, str) else source()


class TestTheOrder:
    def test_of_the_four_the_first_that_is_there(self, env, logins, tmp_path):
        file = tmp_path / "token"
        file.write_text("of-file\n")
        logins.keep(a_login())
        names = {
            "DAYPASS_TOKEN": ("of-token", "of-token"),
            "DAYPASS_TOKEN_FILE": (str(file), "of-file"),
            "DAYPASS_TOKEN_COMMAND": ("echo of-command", "of-command"),
        }
        environment = {**env, **{name: told for name, (told, _) in names.items()}}
        for name, (_, wanted) in names.items():
            assert given(source(environment, DAYPASS)) == wanted
            environment[name] = " "  # as good as not set
        assert given(source(environment, DAYPASS)) == a_login().token

    def test_with_none_of_them_it_says_what_to_do(self, env):
        with pytest.raises(DaypassError, match=f"daypass login {DAYPASS}, or set DAYPASS_TOKEN") as caught:
            given(source(env, DAYPASS))
        assert caught.value.slug == "not-logged-in"

    def test_the_server_is_the_environments_else_the_logins_else_the_local_one(self, env, logins):
        assert server(env) == LOCAL
        logins.keep(a_login())
        assert server(env) == DAYPASS
        assert server({**env, "DAYPASS_URL": "https://other.example.com/"}) == "https://other.example.com"

    @pytest.mark.parametrize("name", ["DAYPASS_TOKEN", "DAYPASS_TOKEN_FILE", "DAYPASS_TOKEN_COMMAND", "DAYPASS_IAM"])
    def test_another_token_is_never_sent_where_only_a_login_points_to(self, env, logins, name):
        logins.keep(a_login())
        assert server({**env, name: "x"}) == LOCAL
        assert stored({**env, name: "x"}) is None

    def test_of_two_logins_one_has_to_be_named(self, env, logins):
        logins.keep(a_login())
        logins.keep(a_login(server="https://other.example.com"))
        with pytest.raises(DaypassError, match="DAYPASS_URL") as caught:
            server(env)
        assert "https://other.example.com" in str(caught.value)
        assert stored({**env, "DAYPASS_URL": DAYPASS}) == a_login()


class TestTheFile:
    def test_it_is_read_again_when_it_was_rotated(self, server, tmp_path):
        file = tmp_path / "token"
        file.write_text("first")
        client = Client(server.url, source({"DAYPASS_TOKEN_FILE": str(file)}, server.url))

        def only_the_newest(asked):
            fresh = asked.headers["Authorization"] == f"Bearer {file.read_text()}"
            return Said(body={"id": "robot"}) if fresh else problem(401, "unauthenticated", "Expired.")

        server.answers["GET", "/v1/me"] = only_the_newest
        client.me()
        file.write_text("second")
        assert client.me() == {"id": "robot"}
        assert [asked.headers["Authorization"][7:] for asked in server.asked] == ["first", "first", "second"]

    @pytest.mark.parametrize("text", ["", " \n"])
    def test_an_empty_one(self, tmp_path, text):
        file = tmp_path / "token"
        file.write_text(text)
        with pytest.raises(DaypassError, match="is empty"):
            given(source({"DAYPASS_TOKEN_FILE": str(file)}, DAYPASS))

    def test_one_that_is_not_there(self, tmp_path):
        with pytest.raises(DaypassError, match="No such file"):
            given(source({"DAYPASS_TOKEN_FILE": str(tmp_path / "none")}, DAYPASS))


class TestTheStore:
    def test_what_is_kept_is_found_by_its_owner_alone(self, logins, env):
        logins.keep(a_login())
        assert logins.find(DAYPASS) == a_login()
        [file] = folder(env).glob("*.json")
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert "canary" not in file.name + repr(logins.find(DAYPASS))

    def test_each_server_has_its_own(self, logins):
        logins.keep(a_login())
        other = a_login(server="https://daypass.example.com/stage", subject="another")
        logins.keep(other)
        assert (logins.find(DAYPASS), logins.find(other.server)) == (a_login(), other)
        logins.forget(DAYPASS)
        assert (logins.find(DAYPASS), logins.servers()) == (None, [other.server])

    @pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666])
    def test_what_others_can_read_is_not_used(self, logins, env, mode):
        logins.keep(a_login())
        [file] = folder(env).glob("*.json")
        file.chmod(mode)
        with pytest.raises(DaypassError, match="others can read it"):
            logins.find(DAYPASS)

    def test_a_link_is_not_followed(self, logins, env, tmp_path):
        logins.keep(a_login())
        [file] = folder(env).glob("*.json")
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(DaypassError, match="cannot be read"):
            logins.find(DAYPASS)

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"token": 1}', "\udcff".encode(errors="replace").decode()])
    def test_a_damaged_one_says_what_to_do(self, logins, env, text):
        logins.keep(a_login())
        [file] = folder(env).glob("*.json")
        file.write_text(text)
        with pytest.raises(DaypassError, match=f"is damaged: daypass login {DAYPASS}"):
            logins.find(DAYPASS)
        assert logins.servers() == []

    @pytest.mark.parametrize("name", ["server", "token", "ends_at", "refresh_token"])
    def test_a_field_of_another_kind_is_damage(self, logins, env, name):
        logins.keep(a_login())
        [file] = folder(env).glob("*.json")
        file.write_text(json.dumps({**json.loads(file.read_text()), name: ["canary"]}))
        with pytest.raises(DaypassError, match="is damaged") as caught:
            logins.find(DAYPASS)
        assert "canary" not in str(caught.value)

    def test_where_nothing_can_be_kept_it_says_what_to_do(self, tmp_path):
        (tmp_path / "daypass").write_text("a file")
        with pytest.raises(DaypassError, match="XDG_STATE_HOME"):
            Logins(folder({"XDG_STATE_HOME": str(tmp_path)})).keep(a_login())

    def test_it_is_under_the_home_where_nothing_else_is_said(self):
        assert folder({"HOME": "/home/carol"}) == Path("/home/carol/.local/state/daypass/logins")
        assert folder({"HOME": "/home/carol", "XDG_STATE_HOME": "relative"}) == folder({"HOME": "/home/carol"})


class TestRefreshing:
    @pytest.fixture
    def issuer(self, server: Server) -> FakeIssuer:
        return FakeIssuer(server)

    @pytest.mark.parametrize(("remains", "refreshes"), [(3600, 0), (61, 0), (60, 1), (0, 1), (-9999, 1)])
    def test_it_is_refreshed_when_it_ends_within_a_minute(self, logins, issuer, remains, refreshes):
        login = a_login(issuer=issuer.url, ends_at=NOW + remains)
        logins.keep(login)
        token = Stored(logins, DAYPASS, clock=lambda: NOW)()
        kept = logins.find(DAYPASS)
        assert (issuer.refreshed, kept.token) == (refreshes, token)
        assert kept.refresh_token == issuer.refresh_token
        assert (token == login.token) == (not refreshes)

    def test_what_the_server_refused_is_refreshed_whatever_the_clock_says(self, logins, issuer, server):
        login = a_login(issuer=issuer.url)
        logins.keep(login)

        def refuses_the_first(asked):
            is_first = asked.headers["Authorization"] == f"Bearer {login.token}"
            return problem(401, "unauthenticated", "Expired.") if is_first else Said(body={"id": "carol"})

        server.answers["GET", "/v1/me"] = refuses_the_first
        assert Client(server.url, Stored(logins, DAYPASS)).me() == {"id": "carol"}
        assert issuer.refreshed == 1

    def test_what_the_server_goes_on_refusing_is_refreshed_once(self, logins, issuer, server):
        logins.keep(a_login(issuer=issuer.url))
        server.answers["GET", "/v1/me"] = problem(401, "unauthenticated", "No issuer of the catalogue is that.")
        with pytest.raises(DaypassError, match="No issuer of the catalogue"):
            Client(server.url, Stored(logins, DAYPASS)).me()
        assert issuer.refreshed == 1

    def test_without_a_refresh_token_it_ends(self, logins, issuer):
        logins.keep(a_login(issuer=issuer.url, ends_at=NOW, refresh_token=None))
        with pytest.raises(DaypassError, match=f"is over .*: daypass login {DAYPASS}"):
            Stored(logins, DAYPASS)()

    def test_what_the_issuer_refuses_is_over_and_no_secret_is_told(self, logins, issuer):
        logins.keep(a_login(issuer=issuer.url, ends_at=NOW, refresh_token="canary-spent"))
        with pytest.raises(DaypassError, match=r"invalid_grant: no •••.*daypass login") as caught:
            Stored(logins, DAYPASS)()
        assert "canary" not in str(caught.value)

    def test_while_the_issuer_is_away_the_last_minute_serves(self, logins):
        login = a_login(issuer="http://127.0.0.1:9", ends_at=NOW + 30)
        logins.keep(login)
        assert Stored(logins, DAYPASS, clock=lambda: NOW)() == login.token
        with pytest.raises(DaypassError, match="cannot be reached"):
            Stored(logins, DAYPASS, clock=lambda: NOW + 31)()

    def test_an_issuer_that_cannot_answer_ends_no_login(self, logins, issuer):
        issuer.server.answers["POST", "/token"] = Said(503, raw=b"<html>")
        logins.keep(a_login(issuer=issuer.url, ends_at=NOW))
        with pytest.raises(DaypassError, match=r"at the moment \(HTTP 503\)"):
            Stored(logins, DAYPASS)()
        assert logins.find(DAYPASS).refresh_token == issuer.refresh_token

    def test_of_many_processes_at_once_one_refreshes(self, logins, issuer, env):
        logins.keep(a_login(issuer=issuer.url, ends_at=NOW))
        script = (
            "import os\nfrom daypass.tokens import source\n"
            f"sink = open(os.devnull, 'w'); print(source(os.environ, {DAYPASS!r})()[-60:], file=sink)"
        )
        environment = {**env, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", script]
        running = [subprocess.Popen(command, env=environment, cwd=ROOT) for _ in range(8)]
        assert [process.wait(timeout=120) for process in running] == [0] * 8
        assert issuer.refreshed == 1
        assert logins.find(DAYPASS).refresh_token == "canary-refresh-1"

    def test_a_process_that_waited_takes_what_the_other_one_got(self, logins, issuer):
        logins.keep(a_login(issuer=issuer.url, ends_at=NOW))
        first = Stored(logins, DAYPASS)()
        second = Stored(logins, DAYPASS)
        assert (second(), issuer.refreshed) == (first, 1)
        logins.keep(replace(logins.find(DAYPASS), token=jwt({"n": "another process"})))
        assert (second(), issuer.refreshed) == (jwt({"n": "another process"}), 1)
