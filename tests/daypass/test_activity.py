"""`daypass activity` and `daypass used`: what they ask for, and what people and programs see."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.policy import LONGEST as STS_TAKES
from chalicelib.core.policy import with_wall
from chalicelib.core.policy_grammar import read_policy
from daypass.narrowing import LONGEST, OWN, Used, narrowed
from daypass.saying import DONE, ERROR
from tests.daypass.conftest import REQUEST_ID, Daypass, Said, a_request

PATH = ("GET", f"/v1/requests/{REQUEST_ID}/activity")
SESSION = "01KAZ3TBJ4M7Y5QZ9V8N2D4E6F"
DAYS = ("--from", "2026-11-23", "--to", "2026-11-24")


def a_session(**changed: object) -> dict[str, object]:
    return {
        "id": SESSION,
        "status": "issued",
        "issued_at": "2026-11-23T12:00:00Z",
        "role_arn": "arn:aws:iam::222222222222:role/daypass/Admin",
        "session_name": f"{SESSION}-carol",
        "seen": True,
        "seen_in": ["123456789012"],
        "used": True,
        "first_use": "2026-11-23T12:01:00Z",
        "last_use": "2026-11-23T12:02:00Z",
        "events": 9,
        "unlisted": 7,
        "services": ["iam", "s3"],
        "actions": {"s3:ListBuckets": 8, "iam:CreateUser": 1},
        "denied": {"iam:CreateUser": 1},
        "errors": {"AccessDenied": 1},
        "regions": {},
        "addresses": {},
        "went_on_to": [],
        **changed,
    }


def an_act(minute: int, **changed: object) -> dict[str, object]:
    return {
        "at": f"2026-11-23T12:{minute:02d}:00Z",
        "action": "s3:ListBuckets",
        "event_id": f"e{minute}",
        "session": SESSION,
        "role_arn": "arn:aws:iam::222222222222:role/daypass/Admin",
        "session_name": f"{SESSION}-carol",
        "read_only": True,
        "region": "us-east-1",
        "address": "192.0.2.1",
        **changed,
    }


@pytest.fixture
def daypass(server) -> Daypass:
    return Daypass(server)


@pytest.fixture
def told(server):
    onward = a_session(role_arn="arn:aws:iam::222222222222:role/cdk", services=["ec2"], denied={}, unlisted=0)
    sessions = [a_session(went_on_to=[onward]), a_session(id="01K" + "0" * 23, used=False, seen=False, events=0)]
    first, second = [an_act(1)], [an_act(2, action="iam:CreateUser", error="AccessDenied", read_only=False)]
    rest = {"sessions": sessions, "summary": "9 calls\nof \u202eevil"}
    server.answers[PATH] = lambda asked: Said(
        body={"items": second if "cursor" in asked.query else first, **rest}
        | {"next_cursor": None if "cursor" in asked.query else "more"}
    )


def test_activity_is_a_summary_a_line_for_each_session_and_one_for_each_call(daypass, server, told):
    ran = daypass("activity", REQUEST_ID)
    assert ran.code == DONE
    summary, table, calls, more = ran.out.rstrip().split("\n\n")
    assert summary == "9 calls of \ufffdevil"
    assert [line.split() for line in table.splitlines()] == [
        ["SESSION", "TOLD", "CALLS", "FIRST", "LAST", "DENIED", "WITH"],
        [SESSION[-8:], "used", "9", "2026-11-23T12:01:00Z", "2026-11-23T12:02:00Z", "1", "iam,", "s3"],
        ["→", "cdk", "used", "9", "2026-11-23T12:01:00Z", "2026-11-23T12:02:00Z", "ec2"],
        ["00000000", "not", "seen", "0", "2026-11-23T12:01:00Z", "2026-11-23T12:02:00Z", "1", "iam,", "s3"],
    ]
    assert [line.split() for line in calls.splitlines()][1:] == [
        ["2026-11-23T12:01:00Z", "s3:ListBuckets", "read", "192.0.2.1", "us-east-1", SESSION[-8:], "Admin"],
        ["2026-11-23T12:02:00Z", "iam:CreateUser", "AccessDenied", "192.0.2.1", "us-east-1", SESSION[-8:], "Admin"],
    ]
    assert more == "14 more calls are counted above and not listed."


def test_activity_for_programs_is_the_whole_answer(daypass, server, told):
    said = json.loads(daypass("activity", REQUEST_ID, "--json").out)
    assert [item["event_id"] for item in said["items"]] == ["e1", "e2"]
    assert set(said) == {"items", "sessions", "summary", "next_cursor"}


def test_where_nothing_is_told_yet_it_says_when_it_may_be(daypass, server):
    server.answers[PATH] = Said(body={"items": [], "sessions": [], "summary": "No session.", "next_cursor": None})
    ran = daypass("activity", REQUEST_ID)
    assert (ran.out, "about five minutes" in ran.err) == ("No session.\n", True)


def test_showing_a_request_says_where_to_look_once_there_is_a_session(daypass, server):
    session = {"id": SESSION, "session_name": "s", "issued_at": "2026-11-23T12:00:00Z", "expires_at": "x"}
    server.answers["GET", f"/v1/requests/{REQUEST_ID}/events"] = Said(body={"items": [], "next_cursor": None})
    for sessions in ([], [session]):
        server.answers["GET", f"/v1/requests/{REQUEST_ID}"] = Said(body=a_request(sessions=sessions))
        says = f"daypass activity {REQUEST_ID[-8:]}" in daypass("show", REQUEST_ID).out
        assert says is bool(sessions)


def used_of(server, *requests: dict[str, object]) -> None:
    items = [
        a_request(**{"starts_at": "2026-11-23T12:00:00Z", "ends_at": "2026-11-23T13:00:00Z", **r}) for r in requests
    ]
    server.answers["GET", "/v1/requests"] = Said(body={"items": items, "next_cursor": None})
    server.answers[PATH] = Said(body={"items": [], "sessions": [a_session()], "summary": "", "next_cursor": None})


def test_used_suggests_a_policy_of_what_was_not_only_denied_and_says_what_it_took_for_what(daypass, server):
    used_of(server, {})
    ran = daypass("used", "payments-admin", *DAYS)
    assert ran.code == DONE
    assert server.asked[0].query["role"] == "payments-admin"
    policy = next(line for line in ran.out.splitlines() if line.startswith("{"))
    assert json.loads(policy)["Statement"] == [{"Effect": "Allow", "Action": ["s3:ListAllMyBuckets"], "Resource": "*"}]
    for said in ("s3:ListBuckets is s3:ListAllMyBuckets", "1 of them only ever denied", "It fits.", "Data events"):
        assert said in ran.out


def test_used_for_programs(daypass, server):
    used_of(server, {})
    said = json.loads(daypass("used", "payments-admin", *DAYS, "--json").out)
    assert (said["requests"], said["sessions"], said["fits"]) == (1, 1, True)
    assert (said["mapped"], said["taken"]) == ({"s3:ListBuckets": ["s3:ListAllMyBuckets"]}, [])


@pytest.mark.parametrize(
    ("changed", "sessions"),
    [
        ({}, 1),
        ({"starts_at": "2026-11-25T00:00:00Z", "ends_at": "2026-11-25T01:00:00Z"}, 0),
        ({"starts_at": "2026-11-20T00:00:00Z", "ends_at": "2026-11-20T01:00:00Z"}, 0),
        ({"starts_at": None, "ends_at": None}, 0),
        ({"scope": {"name": "other", "parameters": {}}}, 0),
        ({"scope": {"name": "one-bucket", "parameters": {}}}, 1),
        ({"created_at": "2026-09-01T00:00:00Z"}, 0),
    ],
)
def test_used_counts_the_requests_of_these_days_and_that_scope_only(daypass, server, changed, sessions):
    used_of(server, changed)
    scope = ["--scope", "one-bucket"] if changed.get("scope") else []
    assert json.loads(daypass("used", "data-export", *DAYS, *scope, "--json").out)["sessions"] == sessions


def test_used_counts_sessions_that_began_on_these_days_only(daypass, server):
    used_of(server, {"ends_at": "2026-11-25T13:00:00Z"})
    ran = daypass("used", "payments-admin", "--from", "2026-11-24", "--to", "2026-11-24")
    assert "0, 0 of them never used" in ran.out
    assert "Nothing was used" in ran.out


def test_days_that_are_none_are_refused(daypass):
    for days in (("--from", "x", "--to", "2026-11-24"), ("--from", "2026-11-24", "--to", "2026-11-23")):
        assert daypass("used", "payments-admin", *days).code == ERROR


def test_what_cannot_be_an_action_of_iams_is_left_out_and_what_everybody_may_is_not_asked_for():
    narrow = narrowed(["…", "?:?", "sts:GetCallerIdentity", "s3:x", "lambda:GetFunction20150331v2", "ec2:RunInstances"])
    assert narrow.left_out == ("?:?", "s3:x", "…")
    assert narrow.mapped == {"lambda:GetFunction20150331v2": ("lambda:GetFunction",)}
    assert narrow.taken == ("ec2:RunInstances",)


@given(st.lists(st.text() | st.from_regex(r"[a-z0-9]{1,9}:[A-Z][A-Za-z]{0,30}", fullmatch=True)))
def test_whatever_was_used_comes_to_a_policy_that_daypass_takes_where_it_says_that_it_fits(actions):
    narrow = narrowed(actions)
    if narrow.policy is not None:
        read_policy(narrow.policy, "session_policy")
    if narrow.policy is not None and narrow.fits:
        assert len(with_wall(narrow.policy, ends_at=datetime.now(UTC), chaining=())) <= STS_TAKES


def test_what_daypass_adds_is_what_it_says_and_one_action_too_many_does_not_fit():
    assert LONGEST == STS_TAKES
    own = with_wall(narrowed(["s3:GetObject"]).policy, ends_at=datetime.now(UTC), chaining=())
    assert len(own) - len(narrowed(["s3:GetObject"]).policy or "") == OWN
    actions: list[str] = []
    while narrowed(actions).fits:
        actions.append(f"ec2:DescribeSomething{len(actions):05d}")
    assert len(narrowed(actions).policy or "") + OWN > LONGEST >= len(narrowed(actions[:-1]).policy or "") + OWN


def test_requests_are_summed_up():
    used = Used()
    used.add([a_session(), a_session(used=False, actions={}, denied={}, partial=True)])
    used.add([a_session(denied={})])
    assert (used.requests, used.sessions, used.unused, used.partial) == (2, 3, 1, 1)
    assert used.succeeded == ["iam:CreateUser", "s3:ListBuckets"]
