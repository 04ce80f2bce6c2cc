"""Bad input: a clear problem that names what was wrong; nothing recorded, never a stack trace."""

import json
import logging

import pytest

from chalicelib.web.gate import Gate
from tests.people import CAROL, DAVE
from tests.web.api import ASK, Api

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


def nothing_is_recorded(api: Api) -> bool:
    return not api.call("GET", "/v1/requests", who=DAVE).json["items"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"role": "Payments"}, "role"),
        ({"role": "payments-admin\n"}, "role"),
        ({"role": "а-cyrillic"}, "role"),
        ({"role": 7}, "role"),
        ({"duration_seconds": "3600"}, "duration_seconds"),
        ({"duration_seconds": 59}, "duration_seconds"),
        ({"duration_seconds": 3600.5}, "duration_seconds"),
        ({"duration_seconds": True}, "duration_seconds"),
        ({"duration_seconds": 10**30}, "duration_seconds"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "bell\u0007"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "     "}, "reason"),
        ({"reason": "\u200b\u200b\u200b"}, "reason"),
        ({"ticket": "has space"}, "ticket"),
        ({"ticket": ""}, "ticket"),
        ({"surprise": 1}, "surprise"),
        ({"scope": {"name": "x", "parameters": {"a": 1}}}, "scope.parameters.a"),
        ({"scope": {"name": "x", "more": 1}}, "scope.more"),
        ({"session_policy": 7}, "session_policy"),
        ({"session_policy": "not json"}, "session_policy"),
        ({"session_policy": {**POLICY, "Principal": "*"}}, "session_policy"),
        ({"break_glass": "yes"}, "break_glass"),
        ({"starts_at": "2031-03-05T12:00:60Z"}, "starts_at"),
        ({"starts_at": "2031-03-05T14:00:00"}, "starts_at"),
        ({"starts_at": "2031-03-05T14:00:00.5Z"}, "starts_at"),
        ({"starts_at": ""}, "starts_at"),
        ({"starts_at": 1930485600}, "starts_at"),
        ({"starts_at": "2031-03-05T11:59:59Z"}, "starts_at"),
        ({"starts_at": "2031-04-04T12:00:01Z"}, "starts_at"),
        ({"starts_at": "9999-12-31T23:59:59-23:59"}, "starts_at"),
    ],
)
def test_a_field_that_does_not_fit_is_named(changes, field) -> None:
    api = Api()
    answer = api.call("POST", "/v1/requests", {**ASK, **changes})
    assert (answer.status, answer.slug) == (422, "invalid"), answer.body
    assert any(error["field"].startswith(field) for error in answer.json["errors"]), answer.json["errors"]
    assert nothing_is_recorded(api)


def test_every_mistake_is_named_at_once() -> None:
    errors = Api().call("POST", "/v1/requests", {"duration_seconds": 1, "surprise": 1}).json["errors"]
    assert {error["field"] for error in errors} == {"role", "duration_seconds", "reason", "surprise"}


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '"x"',
        "NaN",
        '{"role": "\\ud800"}',
        '{"role": "a", "role": "b"}',
        "{" * 5000,
        "[" * 60_000,
        "\x00",
        "ÿ",
    ],
)
def test_a_body_that_is_no_ask_is_refused(raw: str) -> None:
    answer = Api().call("POST", "/v1/requests", raw=raw)
    assert (answer.status, answer.slug) == (422, "invalid")


def test_a_body_over_64_kib_is_refused_and_one_of_64_kib_is_read() -> None:
    api = Api()
    reason = json.dumps({**ASK, "reason": "x"})
    padded = reason[:-1] + " " * (64 * 1024 - len(reason)) + "}"
    assert api.call("POST", "/v1/requests", raw=padded).status == 422
    too_large = api.call("POST", "/v1/requests", raw=padded + " ")
    assert (too_large.status, too_large.slug) == (413, "too-large")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_another_content_type_is_refused(content_type: str) -> None:
    answer = Api().call("POST", "/v1/requests", ASK, headers={"content-type": content_type})
    assert (answer.status, answer.slug) == (415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_read_under_any_of_its_spellings(content_type: str) -> None:
    assert Api().call("POST", "/v1/requests", ASK, headers={"content-type": content_type}).status == 201


@pytest.mark.parametrize(
    "query",
    [
        "surprise=1",
        "limit=0",
        "limit=51",
        "limit=x",
        "limit=1&limit=2",
        "mine=1",
        "mine=yes",
        "state=nonsense",
        "cursor=%00",
        "cursor=bm90IGEgcG9zaXRpb24",
        "cursor=",
    ],
)
def test_a_query_that_does_not_fit_is_refused(query: str) -> None:
    answer = Api().call("GET", f"/v1/requests?{query}")
    assert (answer.status, answer.slug) == (422, "invalid")


@pytest.mark.parametrize("key", ["", "x" * 256, "kéy", "a\tb"])
def test_an_idempotency_key_that_does_not_fit_is_refused(key: str) -> None:
    answer = Api().call("POST", "/v1/requests", ASK, headers={"idempotency-key": key})
    assert (answer.status, answer.slug) == (422, "invalid")
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"


def test_reasons_arrive_unharmed_whatever_script_they_are_in() -> None:
    api = Api()
    for reason in ("שלום ‏RTL‏ <!channel> *bold*", "line\nbreak\tand tab", "💥 `rm -rf /` {{x}} ${y}"):
        assert api.call("POST", "/v1/requests", {**ASK, "reason": reason}).json["reason"] == reason


def test_a_method_that_an_address_does_not_know_is_a_problem_too() -> None:
    answer = Api().call("DELETE", "/v1/requests")
    assert (answer.status, answer.slug) == (405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}
    assert (answer.headers["X-Request-Id"], answer.headers["Cache-Control"]) == ("http-1", "no-store")


def test_a_bug_is_a_500_that_says_nothing_of_it() -> None:
    def broken(token: str):
        raise RuntimeError("internals: bob's diary")

    answer = Api(gate=Gate(bearer=broken, iam=None)).call("GET", "/v1/me")
    assert (answer.status, answer.slug) == (500, "internal-error")
    assert "diary" not in answer.body


def test_every_answer_and_its_log_line_carry_the_same_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    api = Api()
    for answer in (api.call("GET", "/v1/me"), api.call("GET", "/v1/me", who=None), api.call("GET", "/v1/health")):
        assert answer.headers["X-Request-Id"] == "http-1"


def test_one_log_line_tells_the_whole_story_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="daypass"):
        Api().call("POST", "/v1/requests", {**ASK, "duration_seconds": 99999}, who=CAROL)
    [line] = [record for record in caplog.records if record.message == "request_answered"]
    told = vars(line)
    assert (told["http_request_id"], told["method"], told["path"]) == ("http-1", "POST", "/v1/requests")
    assert (told["status"], told["slug"], told["principal"]) == (422, "too-long", CAROL.id)


@pytest.mark.parametrize("id", ["", "01K", "01k00000000000000000000000", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", 1, [], {}])
def test_what_is_no_id_is_extended_by_nothing(id: object) -> None:
    answer = Api().call("POST", "/v1/requests", {"extends": id, "duration_seconds": 3600, "reason": "it takes longer"})
    assert (answer.status, answer.slug) == (422, "invalid")
    assert [error["field"] for error in answer.json["errors"]] == ["extends"]


@pytest.mark.parametrize("role", [{}, {"role": None}])
def test_without_a_role_there_is_something_to_extend(role: dict[str, None]) -> None:
    answer = Api().call("POST", "/v1/requests", {**role, "duration_seconds": 3600, "reason": "it takes longer"})
    assert (answer.status, answer.slug) == (422, "invalid")
    assert [error["field"] for error in answer.json["errors"]] == ["role"]
