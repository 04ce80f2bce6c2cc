"""What Slack did not sign, or cannot have meant: 401, the table as it was, and never a 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from tests.builders import SECOND
from tests.people import CAROL
from tests.slack.fake_slack import SIGNING_SECRET, TEAM, FakeSlack, Said
from tests.slack.team import Workspace

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def body(team: Workspace) -> str:
    return urlencode(
        {
            "team_id": TEAM,
            "user_id": "U0CAROL",
            "command": "/daypass",
            "text": "payments-read 1h counting refunds",
            "trigger_id": team.slack.trigger(),
            "response_url": team.slack.response_url(),
        }
    )


def minutes(slack: FakeSlack, count: float) -> float:
    return slack.seconds() + 60 * count


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


FORGERIES: dict[str, Callable[[FakeSlack, str], tuple[dict[str, str], str | bytes]]] = {
    "no headers": lambda slack, body: ({}, body),
    "no signature": lambda slack, body: (without(slack.signed(body), "X-Slack-Signature"), body),
    "no timestamp": lambda slack, body: (without(slack.signed(body), "X-Slack-Request-Timestamp"), body),
    "an empty signature": lambda slack, body: ({**slack.signed(body), "X-Slack-Signature": ""}, body),
    "another scheme": lambda slack, body: (
        {name: value.replace("v0=", "v1=") for name, value in slack.signed(body).items()},
        body,
    ),
    "the signature in capitals": lambda slack, body: (
        {**slack.signed(body), "X-Slack-Signature": slack.signed(body)["X-Slack-Signature"].upper()},
        body,
    ),
    "a signature of other letters": lambda slack, body: (
        {**slack.signed(body), "X-Slack-Signature": "v0=\xe9\xff"},
        body,
    ),
    "a word for a timestamp": lambda slack, body: ({**slack.signed(body), "X-Slack-Request-Timestamp": "now"}, body),
    "a fraction for a timestamp": lambda slack, body: (
        {**slack.signed(body), "X-Slack-Request-Timestamp": f"{slack.seconds()}"},
        body,
    ),
    "digits of another script": lambda slack, body: (
        {**slack.signed(body), "X-Slack-Request-Timestamp": "\xb2\xb3"},
        body,
    ),
    "an endless timestamp": lambda slack, body: ({**slack.signed(body), "X-Slack-Request-Timestamp": "9" * 5000}, body),
    "a timestamp below zero": lambda slack, body: ({**slack.signed(body), "X-Slack-Request-Timestamp": "-1"}, body),
    "stale by a second": lambda slack, body: (slack.signed(body, at=minutes(slack, -5) - 1), body),
    "stale by ten minutes": lambda slack, body: (slack.signed(body, at=minutes(slack, -10)), body),
    "from the future": lambda slack, body: (slack.signed(body, at=minutes(slack, 5) + 1), body),
    "a fresh timestamp on an old signature": lambda slack, body: (
        {**slack.signed(body, at=minutes(slack, -10)), "X-Slack-Request-Timestamp": str(int(slack.seconds()))},
        body,
    ),
    "another secret": lambda slack, body: (slack.signed(body, secret="another"), body),
    "an empty secret": lambda slack, body: (slack.signed(body, secret=" "), body),
    "a truncated body": lambda slack, body: (slack.signed(body), body[:-1]),
    "a longer body": lambda slack, body: (slack.signed(body), body + "&user_id=U0BOB"),
    "no body": lambda slack, body: (slack.signed(body), ""),
    "bytes that are no text": lambda slack, body: (slack.signed(body), b"\xff\xfe" + body.encode()),
    "another content type": lambda slack, body: ({**slack.signed(body), "Content-Type": "text/plain"}, body),
    "no content type": lambda slack, body: ({**slack.signed(body), "Content-Type": ""}, body),
    "xml": lambda slack, body: ({**slack.signed(body), "Content-Type": "application/xml"}, body),
    "multipart": lambda slack, body: ({**slack.signed(body), "Content-Type": "multipart/form-data; boundary=x"}, body),
}


def refused(said: Said) -> None:
    assert (said.status, said.json["type"]) == (401, "urn:daypass:problem:unauthenticated"), said
    assert SIGNING_SECRET not in said.body


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_slack_did_not_sign_is_a_401_and_changes_nothing(team: Workspace, forgery: str) -> None:
    team.person(CAROL)
    before = len(team.stage.requests._requests), dict(team.stage.bindings.offers)
    headers, sent = FORGERIES[forgery](team.slack, body(team))
    refused(team.slack.post({**FORM, **headers}, sent))
    assert (len(team.stage.requests._requests), team.stage.bindings.offers) == before
    assert team.slack.calls == []


def test_the_same_request_signed_in_time_is_taken(team: Workspace) -> None:
    team.person(CAROL)
    sent = body(team)
    assert team.slack.post({**FORM, **team.slack.signed(sent)}, sent).status == 200
    late = body(team)
    assert team.slack.post({**FORM, **team.slack.signed(late, at=minutes(team.slack, -5))}, late).status == 200
    assert len(team.stage.requests._requests) == 2


def test_a_replay_after_five_minutes_is_refused_and_before_changes_nothing(team: Workspace) -> None:
    carol = team.person(CAROL)
    told = carol.reads("payments-read 1h counting refunds")
    assert team.slack.repeat().json["blocks"][0]["text"]["text"].split()[0] == told.split()[0]
    assert len(team.stage.requests._requests) == 1
    team.stage.pass_time(301 * SECOND)
    refused(team.slack.repeat())


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("application/json", "{"),
        ("application/json", "[]"),
        ("application/json", "7"),
        ("application/json", "null"),
        ("application/json", "[" * 50_000),
        ("application/x-www-form-urlencoded", "payload=%7B"),
        ("application/x-www-form-urlencoded", "payload=[]"),
        ("application/x-www-form-urlencoded", "payload=" + "[" * 50_000),
    ],
)
def test_what_is_signed_and_still_no_sense_is_a_422(team: Workspace, kind: str, sent: str) -> None:
    said = team.slack.post({"Content-Type": kind, **team.slack.signed(sent)}, sent)
    assert (said.status, said.json["type"]) == (422, "urn:daypass:problem:invalid")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "nonsense"},
        {"type": "event_callback", "team_id": TEAM, "event": {"type": "message", "user": "U0CAROL", "text": "hi"}},
        {"type": "block_actions", "team": {"id": TEAM}, "user": {"id": "U0CAROL"}, "actions": [{"action_id": "other"}]},
        {"type": "view_submission", "team": {"id": TEAM}, "user": {"id": "U0CAROL"}, "view": {"callback_id": "other"}},
        {"type": "block_actions", "team": "T", "user": "U", "actions": "x"},
        {"type": "block_actions", "team": [1], "user": {"id": {}}, "actions": [1]},
        {
            "type": "view_closed",
            "team": {"id": TEAM},
            "user": {"id": "U0CAROL"},
            "view": {"callback_id": "daypass_form_ask"},
        },
    ],
)
def test_what_is_signed_and_not_for_us_is_a_404_and_never_a_500(team: Workspace, payload: dict[str, object]) -> None:
    sent = urlencode({"payload": json.dumps(payload)})
    assert team.slack.post({**FORM, **team.slack.signed(sent)}, sent).status == 404
    as_json = json.dumps(payload)
    headers = {"Content-Type": "application/json", **team.slack.signed(as_json)}
    assert team.slack.post(headers, as_json).status == 404


def test_slack_verifies_the_address(team: Workspace) -> None:
    sent = json.dumps(
        {"type": "url_verification", "token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
    )
    headers = {"Content-Type": "application/json; charset=utf-8", **team.slack.signed(sent)}
    said = team.slack.post(headers, sent)
    assert (said.status, said.json["challenge"]) == (200, json.loads(sent)["challenge"])
    refused(team.slack.post({**headers, "X-Slack-Signature": "v0=00"}, sent))


def test_a_rotated_secret_is_believed_once_the_door_has_it(team: Workspace) -> None:
    carol = team.person(CAROL)
    team.slack.secret = "the-new-secret"
    refused(carol.types("list"))
    team.secrets.append("the-new-secret")
    assert carol.types("list").status == 200
