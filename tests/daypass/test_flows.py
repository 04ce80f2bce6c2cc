"""Signing in: what is sent to an issuer, what is believed of its answers, and that no secret gets out."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from daypass.client import DaypassError
from daypass.flows import by_browser, by_device, refreshed, revoke
from daypass.logins import Login
from daypass.loopback import Loopback
from tests.daypass.conftest import Said, Server
from tests.daypass.issuer import CLIENT, DISCOVERY, SUBJECT, FakeIssuer, jwt, never, visit

DAYPASS = "https://daypass.example.com"


@pytest.fixture
def issuer(server: Server) -> FakeIssuer:
    return FakeIssuer(server)


def browsed(issuer: FakeIssuer, **changed: Any) -> Login:
    return by_browser(
        DAYPASS, issuer.offer(**changed), show=issuer.browser, clock=time.time, patience=5 if issuer.answer else 30
    )


def typed(issuer: FakeIssuer, slept: list[float] | None = None, shown: list[Any] | None = None) -> Login:
    def show(*told: Any) -> None:
        (shown if shown is not None else []).append(told)

    sleep = (slept if slept is not None else []).append
    return by_device(DAYPASS, issuer.offer(), show=show, sleep=sleep, clock=time.time)


def failed(call: Any, *arguments: Any, **named: Any) -> str:
    """The sentence of a login that fails: for a person, and without a secret."""
    with pytest.raises(DaypassError) as caught:
        call(*arguments, **named)
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in str(error) + repr(error)
        error = error.__cause__
    return str(caught.value)


class TestByBrowser:
    def test_the_id_token_is_the_login(self, issuer):
        login = browsed(issuer)
        assert (login.server, login.issuer, login.client_id, login.subject) == (DAYPASS, issuer.url, CLIENT, SUBJECT)
        assert login.refresh_token == "canary-refresh-0"
        assert 3500 < login.ends_at - time.time() <= 3600
        assert "canary" not in repr(login)

    def test_the_issuer_is_asked_as_the_specifications_want(self, issuer):
        browsed(issuer)
        asked = issuer.asked
        assert (asked["response_type"], asked["client_id"], asked["tenant"]) == ("code", CLIENT, "t")
        assert asked["scope"] == "openid email offline_access"
        assert asked["code_challenge_method"] == "S256"
        assert min(len(asked["state"]), len(asked["nonce"]), len(asked["code_challenge"])) >= 43
        redirect = urlsplit(asked["redirect_uri"])
        assert (redirect.scheme, redirect.hostname, redirect.path) == ("http", "127.0.0.1", "/callback")
        assert "audience" not in asked

    def test_state_nonce_and_verifier_are_new_each_time(self, issuer):
        browsed(issuer)
        first, issuer.sold = issuer.asked, set()
        browsed(issuer)
        assert all(first[name] != issuer.asked[name] for name in ("state", "nonce", "code_challenge"))
        assert len({form["code_verifier"] for form in issuer.forms()}) == 2

    def test_an_issuer_that_offers_no_lasting_login_is_not_asked_for_one(self, issuer):
        issuer.document["scopes_supported"] = ["openid"]
        browsed(issuer)
        assert issuer.asked["scope"] == "openid email"

    def test_an_issuer_that_knows_one_port_sends_the_browser_to_that_one(self, issuer):
        with Loopback("x") as free:
            port = urlsplit(free.url).port or 0
        browsed(issuer, redirect_port=port)
        assert urlsplit(issuer.asked["redirect_uri"]).port == port
        with Loopback("x", port):
            assert f"Port {port}" in failed(browsed, issuer, redirect_port=port)

    @pytest.mark.parametrize("iss", ["https://evil.example.com", ""])
    def test_an_answer_of_another_issuer_is_refused_before_its_code_is_sent_anywhere(self, issuer, iss):
        issuer.answer = {"iss": iss}
        assert "another issuer" in failed(browsed, issuer)
        assert issuer.forms() == []

    def test_an_issuer_that_never_names_itself_need_not(self, issuer):
        issuer.document["authorization_response_iss_parameter_supported"] = False
        issuer.answer = {"iss": ""}
        assert browsed(issuer).subject == SUBJECT

    def test_a_person_who_says_no(self, issuer):
        issuer.answer = {"code": "", "error": "access_denied", "error_description": "The user\x1b[2J said no"}
        said = failed(browsed, issuer)
        assert "access_denied: The user[2J said no" in said
        assert issuer.forms() == []

    def test_no_code_is_no_login(self, issuer):
        issuer.answer = {"code": ""}
        assert "without a code" in failed(browsed, issuer)

    def test_nobody_who_comes_is_waited_for_for_ever(self, issuer):
        def call():
            by_browser(DAYPASS, issuer.offer(), show=lambda _: None, clock=time.time, patience=0.01)

        assert "Nobody signed in" in failed(call)

    def test_a_code_that_was_sold_already_is_refused_without_being_told(self, issuer):
        issuer.sold.add("canary-code")
        assert "invalid_grant: no •••" in failed(browsed, issuer)

    @pytest.mark.parametrize(
        ("claims", "named"),
        [
            ({"iss": "https://evil.example.com"}, "iss"),
            ({"aud": "another-client"}, "aud"),
            ({"aud": [CLIENT, "another"]}, "azp"),
            ({"azp": "another-client"}, "azp"),
            ({"nonce": "another"}, "nonce"),
            ({"nonce": None}, "nonce"),
            ({"exp": 1000}, "exp"),
            ({"exp": None}, "exp"),
            ({"exp": "soon"}, "exp"),
            ({"sub": ""}, "sub"),
            ({"sub": 7}, "sub"),
        ],
    )
    def test_an_id_token_of_another_sign_in_is_refused(self, issuer, claims, named):
        issuer.claims = claims
        assert f"{named}." in failed(browsed, issuer).replace(")", "")

    @pytest.mark.parametrize("token", ["canary", "a.canary.c", None, 7, {"canary": 1}])
    def test_what_is_no_id_token_is_none(self, issuer, token):
        issuer.more = {"id_token": token}
        failed(browsed, issuer)

    def test_where_daypass_is_an_api_of_its_own_the_access_token_is_taken(self, issuer):
        issuer.more = {"access_token": jwt({"aud": ["daypass"], "exp": time.time() + 600})}
        login = browsed(issuer, audience="daypass")
        assert login.token == issuer.more["access_token"]
        assert login.ends_at - time.time() < 601
        assert issuer.asked["audience"] == "daypass"

    def test_where_no_token_is_for_daypass_it_says_so(self, issuer):
        assert "is for daypass" in failed(browsed, issuer, audience="daypass")

    def test_by_a_clock_that_is_slow_the_token_still_ends_in_time(self, issuer):
        slow = time.time() - 600
        login = by_browser(DAYPASS, issuer.offer(), show=issuer.browser, clock=lambda: slow)
        assert login.ends_at <= slow + 3601


class TestByDevice:
    def test_the_code_is_shown_and_asked_about_until_it_was_typed(self, issuer):
        issuer.polls = [{"error": "authorization_pending"}, {"error": "authorization_pending"}]
        slept: list[float] = []
        shown: list[Any] = []
        assert typed(issuer, slept, shown).subject == SUBJECT
        assert shown == [(f"{issuer.url}/activate", "WDJB-MJHT", f"{issuer.url}/activate?user_code=WDJB-MJHT")]
        assert slept == [5, 5, 5]
        [begun] = issuer.forms("/device")
        assert begun == {"client_id": CLIENT, "scope": "openid email offline_access"}
        assert issuer.forms()[0] == {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": CLIENT,
            "device_code": "canary-device-code",
        }

    def test_who_is_told_to_slow_down_does_so_for_good(self, issuer):
        issuer.polls = [{"error": "slow_down"}, {"error": "authorization_pending"}]
        slept: list[float] = []
        typed(issuer, slept)
        assert slept == [5, 10, 10]

    def test_an_issuer_that_is_away_for_a_moment_is_asked_more_seldom(self, issuer):
        sell = issuer.server.answers["POST", "/token"]
        away = [Said(hang_up=True), Said(503, raw=b"<html>")]
        issuer.server.answers["POST", "/token"] = lambda asked: away.pop() if away else sell(asked)
        slept: list[float] = []
        typed(issuer, slept)
        assert slept == [5, 10, 20]

    @pytest.mark.parametrize(
        ("poll", "words"),
        [
            ({"error": "expired_token"}, "Nobody typed the code in time"),
            ({"error": "access_denied"}, "access_denied"),
            ({"error": "invalid_grant", "error_description": "canary-device-code"}, "invalid_grant: •••"),
            ({}, "HTTP 400"),
        ],
    )
    def test_where_it_fails_it_says_why_at_once(self, issuer, poll, words):
        issuer.polls = [poll]
        assert words in failed(typed, issuer)
        assert len(issuer.forms()) == 1

    def test_it_ends_when_the_code_does(self, issuer):
        issuer.polls = [{"error": "authorization_pending"}] * 50
        slept: list[float] = []
        assert "in time" in failed(typed, issuer, slept)
        assert sum(slept) == 60

    @pytest.mark.parametrize(
        "begun", [Said(400, {"error": "unauthorized_client"}), Said(body={}), Said(body={"device_code": 5})]
    )
    def test_without_a_code_there_is_nothing_to_type(self, issuer, begun):
        issuer.server.answers["POST", "/device"] = begun
        shown: list[Any] = []
        failed(typed, issuer, None, shown)
        assert shown == []

    def test_an_issuer_without_that_flow(self, issuer):
        del issuer.document["device_authorization_endpoint"]
        assert "without --device" in failed(typed, issuer)


class TestRefreshing:
    @pytest.fixture
    def login(self, issuer) -> Login:
        return browsed(issuer)

    def test_the_next_token_comes_with_the_next_refresh_token(self, issuer, login):
        new = refreshed(login, clock=time.time)
        assert (new.refresh_token, new.subject, new.server) == ("canary-refresh-1", SUBJECT, DAYPASS)
        assert new.token != login.token

    def test_where_it_is_not_rotated_it_is_kept(self, issuer, login):
        issuer.more = {"refresh_token": None}
        assert refreshed(login, clock=time.time).refresh_token == login.refresh_token

    @pytest.mark.parametrize("claims", [{"sub": "eve-1"}, {"iss": "https://evil.example.com"}, {"aud": "another"}])
    def test_somebody_elses_token_is_refused(self, issuer, login, claims):
        issuer.claims = claims
        assert "is not of this login" in failed(refreshed, login, clock=time.time)

    def test_without_an_id_token_there_is_no_login(self, issuer, login):
        issuer.more = {"id_token": None}
        assert "gave no id token: daypass login" in failed(refreshed, login, clock=time.time)

    def test_a_refresh_token_that_is_spent_is_not_told(self, issuer, login):
        refreshed(login, clock=time.time)
        assert "invalid_grant: no •••" in failed(refreshed, login, clock=time.time)

    def test_revoking(self, issuer, login):
        assert revoke(login)
        assert issuer.forms("/revoke") == [
            {"token": "canary-refresh-0", "token_type_hint": "refresh_token", "client_id": CLIENT}
        ]
        del issuer.document["revocation_endpoint"]
        assert not revoke(login)

    def test_an_issuer_that_does_not_revoke_says_so(self, issuer, login):
        issuer.server.answers["POST", "/revoke"] = Said(400, {"error": "unsupported_token_type"})
        assert "unsupported_token_type" in failed(revoke, login)


class TestDiscovery:
    @pytest.mark.parametrize(
        "changed",
        [
            {"issuer": "https://evil.example.com"},
            {"issuer": None},
            {"token_endpoint": None},
            {"token_endpoint": "http://idp.example.com/token"},
            {"token_endpoint": 7},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"device_authorization_endpoint": "http://[::1"},
            {"revocation_endpoint": "ftp://127.0.0.1/"},
        ],
    )
    def test_a_document_that_leads_elsewhere_is_refused_whole(self, issuer, changed):
        issuer.document |= changed
        failed(by_browser, DAYPASS, issuer.offer(), show=never, clock=time.time)
        assert issuer.forms() == []

    @pytest.mark.parametrize(
        "said",
        [
            Said(404, {}),
            Said(200, [1]),
            Said(200, raw=b"<html>"),
            Said(200, raw=b""),
            Said(302, {}, {"Location": "https://evil.example.com"}),
            Said(hang_up=True),
        ],
    )
    def test_no_document_is_no_login(self, issuer, said):
        issuer.server.answers["GET", DISCOVERY] = said
        failed(by_browser, DAYPASS, issuer.offer(), show=never, clock=time.time)

    @pytest.mark.parametrize("url", ["http://idp.example.com", "file:///etc/passwd", "", "idp.example.com"])
    def test_it_is_read_over_https_only(self, issuer, url):
        assert "https" in failed(by_browser, DAYPASS, issuer.offer(url=url), show=never, clock=time.time)


class TestLoopback:
    def test_only_the_answer_with_the_state_counts(self):
        with Loopback("the-state") as door:
            base = door.url.removesuffix("/callback")
            assert visit(f"{base}/favicon.ico")[0] == 404
            assert visit(f"{door.url}?code=x")[0] == 400
            assert visit(f"{door.url}?code=x&state=other")[0] == 400
            assert visit(f"{door.url}?code=x&state=the-state&state=other")[0] == 400
            status, page = visit(f"{door.url}?code=canary-code&state=the-state")
            assert visit(f"{door.url}?code=second&state=the-state")[0] == 409
            assert door.wait(5) == "code=canary-code&state=the-state"
        assert status == 200
        assert "canary" not in page
        assert "the-state" not in page

    def test_a_connection_that_says_nothing_holds_up_nobody(self):
        with Loopback("s") as door:
            with socket.create_connection(("127.0.0.1", urlsplit(door.url).port)):
                assert visit(f"{door.url}?state=s")[0] == 200
            assert door.wait(5) == "state=s"

    def test_afterwards_nobody_listens(self):
        with Loopback("s") as door:
            port = urlsplit(door.url).port or 0
        with Loopback("s", port):
            pass

    def test_the_answer_may_come_while_it_is_waited_for(self):
        with Loopback("s") as door:
            threading.Thread(target=visit, args=(f"{door.url}?state=s&code=c",)).start()
            assert parse_qs(door.wait(10))["code"] == ["c"]
