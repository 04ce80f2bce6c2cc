"""The client: what it sends, what it repeats, and what it makes of everything but an answer."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

import daypass
from daypass.client import LARGEST_ANSWER, Client, DaypassError
from tests.daypass.conftest import CREDENTIALS, REQUEST_ID, ROOT, TOKEN, Said, Server, a_request, problem

REQUESTS = ("POST", "/v1/requests")


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(server: Server, slept: list[float]) -> Client:
    return Client(server.url, TOKEN, sleep=slept.append)


def refusal(call, *args, **named) -> DaypassError:
    with pytest.raises(DaypassError) as caught:
        call(*args, **named)
    assert TOKEN not in f"{caught.value} {caught.value!r} {caught.value.errors}"
    return caught.value


def test_an_ask_carries_the_token_and_an_idempotency_key_and_only_what_was_given(server, client):
    server.answers[REQUESTS] = Said(201, a_request())
    assert client.ask("payments-admin", 3600, "rotate the key")["id"] == REQUEST_ID
    (asked,) = server.asked
    assert asked.body == {"role": "payments-admin", "duration_seconds": 3600, "reason": "rotate the key"}
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert len(asked.headers["Idempotency-Key"]) == 36


def test_given_a_lost_answer_when_asking_then_it_is_repeated_with_the_same_key(server, client):
    server.answers[REQUESTS] = [Said(hang_up=True), Said(200, a_request())]
    assert client.ask("payments-admin", 3600, "rotate the key")["state"] == "pending"
    first, second = server.asked
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body


def test_an_extension_says_what_it_extends_and_is_repeated_with_the_same_key(server, client):
    server.answers[REQUESTS] = [Said(hang_up=True), Said(200, a_request(extends=REQUEST_ID))]
    assert client.extend(REQUEST_ID, 3600, "it takes longer")["extends"] == REQUEST_ID
    first, second = server.asked
    assert first.body == {"extends": REQUEST_ID, "duration_seconds": 3600, "reason": "it takes longer"}
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    client.extend(REQUEST_ID, 3600, "it takes longer", ticket="OPS-2", dry_run=True)
    assert (server.asked[2].query, server.asked[2].body["ticket"]) == ({"dry_run": "true"}, "OPS-2")
    assert "Idempotency-Key" not in server.asked[2].headers


def test_two_asks_have_two_keys(server, client):
    server.answers[REQUESTS] = Said(201, a_request())
    for _ in range(2):
        client.ask("payments-admin", 3600, "rotate the key")
    first, second = server.asked
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]


def test_given_503_with_retry_after_then_it_waits_as_long_as_it_was_told(server, client, slept):
    busy = problem(503, "unavailable", "The table does not answer.", {"Retry-After": "5"})
    server.answers[REQUESTS] = [busy, Said(201, a_request())]
    client.ask("payments-admin", 3600, "rotate the key")
    assert slept == [5.0]


def test_given_503_for_ever_then_it_gives_up_after_three_attempts(server, client):
    server.answers[REQUESTS] = problem(503, "unavailable", "The table does not answer.", {"Retry-After": "1"})
    error = refusal(client.ask, "payments-admin", 3600, "rotate the key")
    assert (error.status, error.slug, str(error)) == (503, "unavailable", "The table does not answer.")
    assert len(server.asked) == 3


def test_given_a_long_retry_after_then_it_does_not_wait(server, client, slept):
    server.answers["GET", "/v1/me"] = problem(503, "unavailable", "Later.", {"Retry-After": "3600"})
    assert refusal(client.me).retry_after == 3600
    assert slept == []


@pytest.mark.parametrize("lost", [Said(hang_up=True), problem(503, "unavailable", "Not now.", {"Retry-After": "1"})])
def test_an_answer_to_somebody_is_never_given_twice(server, client, lost):
    for move in ("approve", "deny", "cancel", "return"):
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/{move}"] = lost
    refusal(client.approve, REQUEST_ID)
    refusal(client.deny, REQUEST_ID, "no")
    refusal(client.cancel, REQUEST_ID)
    refusal(client.give_back, REQUEST_ID)
    assert len(server.asked) == 4


def test_a_lost_session_is_asked_for_anew(server, client):
    path = f"/v1/requests/{REQUEST_ID}/credentials"
    server.answers["POST", path] = [Said(hang_up=True), Said(200, CREDENTIALS)]
    assert client.credentials(REQUEST_ID) == CREDENTIALS


def test_a_list_is_read_to_its_end_over_pages_that_are_empty(server, client):
    server.answers["GET", "/v1/requests"] = [
        Said(body={"items": [a_request(id="A")], "next_cursor": "1"}),
        Said(body={"items": [], "next_cursor": "2"}),
        Said(body={"items": [a_request(id="B")], "next_cursor": None}),
    ]
    assert [item["id"] for item in client.requests(mine=True, state="pending")] == ["A", "B"]
    assert [asked.query for asked in server.asked] == [
        {"mine": "true", "state": "pending", "limit": "50"},
        {"mine": "true", "state": "pending", "limit": "50", "cursor": "1"},
        {"mine": "true", "state": "pending", "limit": "50", "cursor": "2"},
    ]


def test_a_day_is_read_to_its_end(server, client):
    server.answers["GET", "/v1/events"] = [
        Said(body={"items": [{"seq": 1, "request_id": "A"}], "next_cursor": "1"}),
        Said(body={"items": [{"seq": 2, "request_id": "A"}], "next_cursor": None}),
    ]
    assert [event["seq"] for event in client.day("2026-11-23")] == [1, 2]
    assert [asked.query for asked in server.asked] == [
        {"day": "2026-11-23", "limit": "50"},
        {"day": "2026-11-23", "limit": "50", "cursor": "1"},
    ]


def test_a_list_stops_where_enough_was_read(server, client):
    server.answers["GET", "/v1/requests"] = Said(body={"items": [a_request()] * 3, "next_cursor": "more"})
    assert len(list(client.requests(limit=2))) == 2
    assert [asked.query["limit"] for asked in server.asked] == ["2"]


def test_a_list_that_turns_in_circles_ends(server, client):
    server.answers["GET", "/v1/requests"] = Said(body={"items": [], "next_cursor": "again"})
    assert refusal(list, client.requests()).slug == "not-daypass"


class TestTokens:
    """What gives a token is asked when one is needed, and once more where the server refuses it."""

    def refuses(self, *refused: str):
        def answer(asked):
            token = asked.headers["Authorization"].removeprefix("Bearer ")
            return problem(401, "unauthenticated", f"No {token}.") if token in refused else Said(201, a_request())

        return answer

    def test_it_is_asked_once_for_all_calls(self, server):
        given = iter(["one"])
        client = Client(server.url, lambda: next(given))
        server.answers["GET", "/v1/me"] = Said(body={"id": "carol"})
        client.me()
        client.me()
        assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer one"] * 2

    def test_after_401_the_next_one_is_tried_even_for_what_is_never_repeated(self, server):
        given = iter(["old", "new"])
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/approve"] = self.refuses("old")
        assert Client(server.url, lambda: next(given)).approve(REQUEST_ID)["id"] == REQUEST_ID
        assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer old", "Bearer new"]

    def test_a_second_401_is_the_answer(self, server):
        given = iter(["old", "older", "never"])
        server.answers["GET", "/v1/me"] = self.refuses("old", "older")
        assert "No •••." in str(refusal(Client(server.url, lambda: next(given)).me))
        assert len(server.asked) == 2

    def test_a_token_that_was_given_as_such_is_sent_once(self, server, client):
        server.answers["GET", "/v1/me"] = self.refuses(TOKEN)
        refusal(client.me)
        assert len(server.asked) == 1

    def test_what_it_cannot_give_is_never_sent(self, server):
        assert refusal(Client(server.url, lambda: "two words").me).slug == "not-configured"
        assert server.asked == []

    def test_without_one_only_what_is_open_is_asked(self, server):
        server.answers["GET", "/v1/login"] = Said(body={"issuers": [{"name": "okta"}]})
        assert Client(server.url).logins() == [{"name": "okta"}]
        assert "Authorization" not in server.asked[0].headers


class TestFinding:
    IDS = ("01KAZ3TBJ4M7Y5QZ9V8N2D4E6F", "01KAZ3TBJ4M7Y5QZ9V8N2D4X6F", "01KAZ3TBJ4M7Y5QZ9V8N2D4EZZ")

    @pytest.fixture(autouse=True)
    def three(self, server):
        items = [a_request(id=known) for known in self.IDS]
        server.answers["GET", "/v1/requests"] = Said(body={"items": items, "next_cursor": None})

    def test_any_ending_that_no_other_has_will_do_in_any_case(self, client):
        assert client.find("4e6f") == self.IDS[0]
        assert client.find("Z") == self.IDS[2]

    def test_an_ending_of_several_says_which(self, client):
        error = refusal(client.find, "6F")
        assert error.slug == "ambiguous"
        assert all(known in str(error) for known in self.IDS[:2])
        assert self.IDS[2] not in str(error)

    def test_an_ending_of_none_says_so(self, client):
        assert refusal(client.find, "QQQ").slug == "no-such-request"

    def test_a_whole_id_is_not_looked_up(self, client, server):
        assert client.find(self.IDS[0].lower()) == self.IDS[0]
        assert server.asked == []


@pytest.mark.parametrize("forged", ["..", "../me", "a/b", "a?b=c", "é", ""])
def test_an_id_is_never_a_path(client, server, forged):
    assert refusal(client.request, forged).slug == "no-such-request"
    assert server.asked == []


HTML = {"Content-Type": "text/html; charset=utf-8"}
GATEWAY = {"message": "Forbidden"}


@pytest.mark.parametrize(
    ("said", "slug", "sentence"),
    [
        (Said(200, raw=b"<html>Sign in</html>", headers=HTML), "not-daypass", "a web page"),
        (Said(200, raw=b'{"id": '), "not-daypass", "broken JSON"),
        (Said(200, raw=b"[1]"), "not-daypass", "broken JSON"),
        (Said(200, raw=b""), "not-daypass", "nothing"),
        (Said(200, raw=b"\x89PNG", headers={"Content-Type": "image/png"}), "not-daypass", "else than JSON"),
        (Said(200, raw=b"{}", headers={"Content-Length": "400"}), "unreachable", "broke"),
        (Said(302, raw=b"", headers={"Location": "https://example.com/"}), "not-daypass", "302"),
        (Said(401, GATEWAY), "unauthenticated", "token"),
        (Said(403, GATEWAY), "not-daypass", "DAYPASS_URL"),
        (Said(403, raw=b"<html>blocked</html>", headers=HTML), "not-daypass", "DAYPASS_URL"),
        (Said(404, raw=b"<h1>404</h1>", headers=HTML), "not-daypass", "no Daypass"),
        (Said(418, GATEWAY), "not-daypass", "418"),
        (Said(429, GATEWAY), "throttled", "too many"),
        (Said(500, GATEWAY), "not-daypass", "500"),
        (Said(502, GATEWAY), "not-daypass", "502"),
        (Said(503, raw=b"<h1>busy</h1>", headers=HTML), "unavailable", "503"),
        (Said(504, GATEWAY), "slow", "504"),
        (problem(401, "unauthenticated", "The token has expired."), "unauthenticated", "The token has expired."),
        (problem(403, "not-eligible", "You may not have it."), "not-eligible", "You may not have it."),
        (problem(409, "not-active", "It has ended."), "not-active", "It has ended."),
        (problem(502, "sts-refused", "The trust policy."), "sts-refused", "The trust policy."),
        (Said(409, {"type": "urn:daypass:problem:x", "detail": None}), "x", "409"),
    ],
)
def test_anything_but_an_answer_is_one_sentence(server, client, said, slug, sentence):
    server.answers["GET", "/v1/me"] = said
    error = refusal(client.me)
    assert error.slug == slug
    assert sentence in str(error)
    assert "\n" not in str(error)


def test_422_names_the_fields(server, client):
    errors = [{"field": "duration_seconds", "message": "at least 60"}, "junk"]
    server.answers[REQUESTS] = problem(422, "invalid", "It makes no sense.", errors=errors)
    error = refusal(client.ask, "r", 1, "why")
    assert error.errors == ({"field": "duration_seconds", "message": "at least 60"}, {"field": "", "message": ""})


def test_a_server_that_repeats_the_token_does_not_make_us_print_it(server, client):
    server.answers["GET", "/v1/me"] = problem(
        400, "invalid", f"Bad header: Bearer {TOKEN}", title=TOKEN, errors=[{"field": TOKEN, "message": TOKEN}]
    )
    error = refusal(client.me)
    assert TOKEN not in error.title
    assert "•••" in str(error)


def test_a_redirect_does_not_carry_the_token_elsewhere(server, client):
    elsewhere = Server()
    server.answers["GET", "/v1/me"] = Said(307, raw=b"", headers={"Location": f"{elsewhere.url}/v1/me"})
    refusal(client.me)
    assert elsewhere.asked == []
    elsewhere.stop()


def test_given_nobody_listens_then_it_says_where_it_looked(slept):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        error = refusal(Client(url, TOKEN, sleep=slept.append).me)
    assert error.slug == "unreachable"
    assert url in str(error)
    assert len(slept) == 2


def test_given_a_server_that_never_answers_then_it_gives_up(slept):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        error = refusal(Client(url, TOKEN, patience=0.2, sleep=slept.append).me)
    assert error.slug == "slow"
    assert slept == []


@pytest.mark.parametrize("told", [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_given_a_server_that_drips_then_it_gives_up(slept, told):
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(told)
            while not over.wait(0.02):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        error = refusal(Client(url, TOKEN, patience=0.3, sleep=slept.append).me)
        over.set()
        thread.join()
    assert error.slug == "slow"


def test_given_an_answer_without_end_then_it_is_not_read(server, client):
    server.answers["GET", "/v1/me"] = Said(raw=b"[" + b"1," * LARGEST_ANSWER + b"1]")
    assert "without end" in str(refusal(client.me))


@pytest.mark.parametrize(
    "url",
    [
        *("", "daypass", "example.com", "ftp://example.com", "https://", "https://example.com?x=1"),
        *("http://example.com", "http://10.0.0.1:8000", "http://127.0.0.1:port", "https://user:password@example.com"),
        *("http://localhost.example.com", "http://127.0.0.1.example.com"),
    ],
)
def test_an_address_that_would_not_do_is_refused_before_the_token_is_sent(url):
    error = refusal(Client, url, TOKEN)
    assert error.slug == "not-configured"
    assert "password" not in str(error)


@pytest.mark.parametrize(
    "url", ["https://example.com/api/", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"]
)
def test_tls_or_this_machine_will_do(url):
    assert url.rstrip("/") in repr(Client(url, TOKEN))


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ümlaut", "\x00"])
def test_a_token_that_no_header_can_carry_is_refused_without_saying_it(server, token):
    with pytest.raises(DaypassError) as caught:
        Client(server.url, token)
    assert not token or token not in str(caught.value)


def test_the_client_does_not_show_its_token(client):
    assert TOKEN not in repr(client)


def test_an_address_with_a_stage_is_kept(server, slept):
    server.answers["GET", "/api/v1/me"] = Said(body={"id": "x"})
    assert Client(f"{server.url}/api/", TOKEN, sleep=slept.append).me() == {"id": "x"}


def test_programs_find_the_client_at_the_top_and_load_nothing_that_they_do_not_ask_for() -> None:
    assert daypass.Client is Client
    assert daypass.DaypassError is DaypassError
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        daypass.Nobody
    loaded = "import sys, daypass; print('daypass.client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
