"""Logging in at an issuer that nobody of Daypass wrote (npm's oidc-provider), up to Daypass's own bearer door.

It is in build/oidc-provider where `make test` found npm's registry; else these tests are skipped, and in CI they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import Unauthenticated
from chalicelib.core.vouching import Issuer
from chalicelib.identity.bearer import verify
from chalicelib.identity.fetch import fetch
from chalicelib.identity.keys import Keys
from chalicelib.web.views.people import LoginIssuer, LoginView, PrincipalView
from daypass.client import Client, DaypassError
from daypass.entering import chosen
from daypass.flows import by_device, refreshed, revoke
from daypass.issuer import Offer
from daypass.logins import Logins, folder
from tests.daypass.conftest import Asked, Said, Server, problem
from tests.daypass.person import sign_in
from tests.oidc_provider.install import INSTALLED, SOURCE, is_installed, node

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The URL of a running one."""
    if not is_installed():
        missing = "oidc-provider is not in build/oidc-provider: `make test` puts it there, with npm and its registry"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    program = shutil.copy(SOURCE / "issuer.mjs", INSTALLED)  # it imports what lies beside it
    with subprocess.Popen(
        [node() or "node", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        yield running.stdout.readline().strip()
        running.stdin.close()


@dataclass
class Doors:
    """A Daypass whose bearer door is the real one, with the issuer in its catalogue."""

    server: Server
    issuer: Issuer

    def __post_init__(self) -> None:
        self._catalogue = Catalogue(digest="0" * 64, roles={}, issuers=(self.issuer,))
        self._keys = Keys(fetch)
        login = LoginView(issuers=[LoginIssuer.of(self.issuer)])
        self.server.answers["GET", "/v1/login"] = Said(body=login.model_dump(mode="json", exclude_unset=True))
        self.server.answers["GET", "/v1/me"] = self._me

    def _me(self, asked: Asked) -> Said:
        token = asked.headers["Authorization"].removeprefix("Bearer ")
        try:
            who = verify(token, catalogue=self._catalogue, keys=self._keys, now=datetime.now(UTC))
        except Unauthenticated as refusal:
            return problem(401, "unauthenticated", str(refusal))
        return Said(body=PrincipalView.of(who).model_dump(mode="json"))


@pytest.fixture
def doors(server, issuer) -> Doors:
    believed = Issuer(
        name="idp",
        url=issuer,
        audience="daypass",
        client_id="daypass",
        kind=Kind.HUMAN,
        groups="groups",
        domains=frozenset({"example.com"}),
    )
    return Doors(server, believed)


@pytest.fixture
def offer(doors) -> Offer:
    return chosen(doors.server.url, Client(doors.server.url).logins(), None)


class Person:
    """Runs `daypass` with a browser and a home, and without a word of configuration."""

    def __init__(self, home: Path) -> None:
        browser = f"{sys.executable} -m tests.daypass.person %s"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "BROWSER": browser, "PYTHONPATH": str(ROOT)}
        self.logins = Logins(folder(self.env))

    def __call__(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "daypass.commands", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        for server in self.logins.servers():
            login = self.logins.find(server)
            assert login is not None
            assert login.token not in done.stdout + done.stderr
            assert str(login.refresh_token) not in done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def person(tmp_path) -> Person:
    return Person(tmp_path)


def whoami(doors: Doors, token: str) -> Any:
    return Client(doors.server.url, token).me()


def test_by_the_browser_and_then_every_command_knows_where_and_who(person, doors):
    url = doors.server.url
    assert f"Logged in at {url} as carol@example.com until " in person("login", url)
    told = json.loads(person("whoami", "--json"))
    assert (told["id"], told["groups"], told["issuer"]) == ("carol@example.com", ["oncall", "sre"], "idp")
    assert "renewed by itself" in person("whoami")
    assert person("logout") == f"Logged out at {url}.\n"
    assert person.logins.servers() == []


def test_logging_out_ends_it_at_the_issuer_too(person, doors):
    person("login", doors.server.url)
    login = person.logins.find(doors.server.url)
    person("logout")
    with pytest.raises(DaypassError, match="invalid_grant"):
        refreshed(login, clock=time.time)


def test_by_a_code_on_another_machine(doors, offer):
    """Whoever waits is the one who types it: no time has to pass."""
    shown: list[str] = []
    typed: list[str] = []

    def show(address: str, code: str, complete: str | None) -> None:
        assert code
        shown.append(complete or address)

    def wait(seconds: float) -> None:
        assert seconds >= 5
        if shown and not typed:
            typed.append("refused once")
        elif shown:
            sign_in(shown.pop())

    login = by_device(doors.server.url, offer, show=show, sleep=wait, clock=time.time)
    assert whoami(doors, login.token)["id"] == "carol@example.com"


def test_each_refresh_gives_a_token_that_daypass_takes(person, doors):
    person("login", doors.server.url)
    first = person.logins.find(doors.server.url)
    second = refreshed(first, clock=time.time)
    third = refreshed(second, clock=time.time)
    assert whoami(doors, third.token)["id"] == "carol@example.com"
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert revoke(third)
    with pytest.raises(DaypassError, match="invalid_grant"):
        refreshed(third, clock=time.time)


def test_a_code_that_nobody_was_asked_for_is_refused(doors, offer):
    """PKCE: the issuer itself refuses a code whose verifier is another."""
    from daypass.issuer import buy, discover

    with pytest.raises(DaypassError, match="invalid_grant"):
        buy(discover(offer.url), "grant_type=authorization_code&client_id=daypass&code=x&code_verifier=" + "v" * 43)
