"""`daypass login`, `logout` and `whoami`: what a person sees, what is kept, and that no secret is seen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from daypass.client import DaypassError
from daypass.entering import chosen
from daypass.logins import Login, Logins, folder
from daypass.saying import DONE, ERROR
from tests.daypass.conftest import Said, Server, problem
from tests.daypass.issuer import CLIENT, SUBJECT, FakeIssuer
from tests.daypass.test_tokens import a_login

ROOT = Path(__file__).parents[2]
ME = {"id": "carol@example.com", "kind": "human", "issuer": "okta", "groups": ["sre"], "mfa": True}


class Person:
    """Runs `daypass` with a home and a browser; no secret is ever printed, nor stands in an argument."""

    def __init__(self, home: Path, server: Server) -> None:
        browser = f"{sys.executable} -m tests.daypass.person %s"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "BROWSER": browser, "PYTHONPATH": str(ROOT)}
        self.url = server.url
        self.logins = Logins(folder(self.env))

    def __call__(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "daypass.commands", *arguments]
        kept = {name: value for name, value in {**self.env, **env}.items() if value}
        done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=120, check=False)
        assert "canary" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    @property
    def login(self) -> Login | None:
        return self.logins.find(self.url)


@pytest.fixture
def person(tmp_path, server) -> Person:
    return Person(tmp_path, server)


@pytest.fixture
def issuer(server) -> FakeIssuer:
    """An issuer and the Daypass that believes it, on one server."""
    server.answers["GET", "/v1/login"] = Said(body={"issuers": [an_offer(server)]})
    server.answers["GET", "/v1/me"] = Said(body=ME)
    return FakeIssuer(server)


def an_offer(server: Server, **changed: Any) -> dict[str, Any]:
    told = {"name": "okta", "url": server.url, "client_id": CLIENT, "audience": CLIENT, "scopes": ["openid", "email"]}
    return {**told, **changed}


def test_a_login_needs_nothing_but_the_address(person, issuer):
    code, out, err = person("login", person.url + "/")
    assert code == DONE, err
    assert out.startswith(f"Logged in at {person.url} as carol@example.com until 20")
    assert f"{issuer.url}/authorize?tenant=t&response_type=code&" in err
    assert person.login.subject == SUBJECT


def test_from_then_on_neither_address_nor_token_is_needed(person, issuer):
    person("login", person.url)
    issuer.server.asked.clear()
    code, out, _ = person("whoami")
    assert (code, "carol@example.com" in out, "renewed by itself" in out) == (DONE, True, True)
    assert [asked.path for asked in issuer.server.asked] == ["/v1/me"]
    assert issuer.server.asked[0].headers["Authorization"] == f"Bearer {person.login.token}"


def test_logging_in_again_needs_no_address_either(person, issuer):
    person("login", person.url)
    issuer.sold.clear()
    assert person("login")[0] == DONE


def test_by_a_code_the_address_and_the_code_are_shown(person, issuer):
    begun = issuer.server.answers["POST", "/device"]
    begun.body["interval"] = 0.01
    issuer.polls = [{"error": "authorization_pending"}]
    code, out, err = person("login", person.url, "--device")
    assert (code, out.startswith("Logged in")) == (DONE, True)
    assert f"open {issuer.url}/activate and type WDJB-MJHT" in err


def test_a_machine_without_a_screen_uses_a_code(person, issuer):
    begun = issuer.server.answers["POST", "/device"]
    begun.body["interval"] = 0.01
    assert person("login", person.url, BROWSER="")[0] == DONE
    assert issuer.asked == {}


def test_what_daypass_does_not_take_is_not_kept(person, issuer):
    issuer.server.answers["GET", "/v1/me"] = problem(401, "unauthenticated", "The issuer does not speak for x.com.")
    code, out, err = person("login", person.url)
    assert (code, out) == (ERROR, "")
    assert "does not speak for x.com" in err
    assert person.login is None


@pytest.mark.parametrize(
    ("issuers", "words"),
    [
        ([], "offers no login"),
        ([{"client_id": None}], "offers no login"),
        ([{}, {"name": "entra"}], "knows the issuers okta, entra: name one by --issuer"),
    ],
)
def test_where_it_is_not_clear_who_signs_in_it_says_so(person, server, issuers, words):
    told = [an_offer(server, **changed) for changed in issuers]
    server.answers["GET", "/v1/login"] = Said(body={"issuers": told})
    code, out, err = person("login", person.url)
    assert (code, out, err.count("\n")) == (ERROR, "", 1)
    assert words in err


def test_an_issuer_is_chosen_by_its_name(server):
    told = [an_offer(server), an_offer(server, name="entra", scopes=None), an_offer(server, name="ci", client_id=None)]
    assert chosen(server.url, told, "entra").name == "entra"
    assert chosen(server.url, told[:1], None).scopes == ("openid", "email")
    assert chosen(server.url, [an_offer(server, redirect_port=8912)], None).redirect_port == 8912
    assert chosen(server.url, [an_offer(server, redirect_port="80")], None).redirect_port == 0


def test_a_daypass_elsewhere_sends_nobody_to_an_issuer_on_this_machine(server):
    with pytest.raises(DaypassError, match="without https"):
        chosen("https://daypass.example.com", [an_offer(server)], None)


def test_a_server_that_is_no_daypass(person, server):
    server.answers["GET", "/v1/login"] = Said(body={"hello": 1})
    assert "not as Daypass does" in person("login", person.url)[2]
    assert "is not an address" in person("login", "daypass")[2]
    assert "use https" in person("login", "http://daypass.example.com")[2]


def test_logging_out_forgets_and_revokes(person, issuer):
    person("login", person.url)
    assert person("logout") == (DONE, f"Logged out at {person.url}.\n", "")
    assert person.login is None
    assert [form["token"] for form in issuer.forms("/revoke")] == ["canary-refresh-0"]
    assert person("logout", person.url) == (DONE, f"You were not logged in at {person.url}.\n", "")


def test_an_issuer_that_does_not_revoke_keeps_nobody_logged_in_here(person, issuer):
    person("login", person.url)
    issuer.server.answers["POST", "/revoke"] = Said(400, {"error": "invalid_request"})
    code, out, err = person("logout")
    assert (code, out) == (ERROR, f"Logged out at {person.url}.\n")
    assert "perhaps not at the issuer" in err
    assert person.login is None


def test_a_login_that_cannot_be_read_can_still_be_forgotten(person, issuer):
    person("login", person.url)
    [file] = folder(person.env).glob("*.json")
    file.chmod(0o644)
    code, _, err = person("whoami", DAYPASS_URL=person.url)
    assert (code, err.count("\n")) == (ERROR, 1)
    person("logout", person.url)
    assert person.login is None


def test_where_nothing_can_be_removed_it_does_not_say_so(person, issuer):
    (Path(person.env["HOME"]) / ".local").write_text("a file")
    code, out, err = person("logout", person.url)
    assert (code, out) == (ERROR, "")
    assert "XDG_STATE_HOME" in err


def test_without_a_refresh_token_it_says_what_comes_after(person, issuer):
    issuer.more = {"refresh_token": None}
    person("login", person.url)
    assert f"then: daypass login {person.url}" in person("whoami")[1]


def test_a_fresh_login_costs_no_library_of_oauth(person, server):
    person.logins.keep(a_login(server=server.url, ends_at=time.time() + 3600))
    server.answers["GET", "/v1/me"] = Said(body=ME)
    command = [sys.executable, "-X", "importtime", "-m", "daypass.commands", "whoami"]
    told = subprocess.run(command, cwd=ROOT, env=person.env, capture_output=True, text=True, check=True).stderr
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in told.splitlines() if "|" in line}
    assert loaded & {"oauthlib", "botocore", "chalicelib", "cryptography"} == set()


def test_the_environments_word_is_stronger_than_a_login(person, issuer):
    person("login", person.url)
    issuer.server.asked.clear()
    code, out, _ = person("whoami", DAYPASS_URL=person.url, DAYPASS_TOKEN="told")
    assert (code, "renewed" in out) == (DONE, False)
    assert issuer.server.asked[0].headers["Authorization"] == "Bearer told"
