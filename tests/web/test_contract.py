"""The HTTP contract, call by call."""

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from chalicelib.broker import balancing
from chalicelib.core.catalogue import Quotas
from chalicelib.core.hours import Hours
from chalicelib.core.ledger import EventType
from chalicelib.core.refusals import ConsoleRefused, Refusal, Unavailable
from chalicelib.core.request import Covers
from chalicelib.core.verifying import Chains
from chalicelib.web.problems import STATUS
from tests.builders import HOUR, NOW
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK, ROBOT
from tests.stage import CATALOGUE, with_rules
from tests.trails import HUB, MINUTE, TARGET, a_pair, a_session, a_use
from tests.watching import counted
from tests.web.api import ASK, SANDBOX, Api

REQUEST_KEYS = {
    "id", "state", "requester", "role", "account_id", "account", "role_arn", "duration_seconds", "reason", "ticket",
    "scope", "session_policy", "break_glass", "rule", "stages", "approvals", "created_at", "answer_by", "sessions",
    "catalogue_digest", "version",
}  # fmt: skip
CREDENTIALS_KEYS = {
    "Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId", "AssumedRoleUser",
    "SourceIdentity", "RequestId", "SessionName",
}  # fmt: skip

SOON = "2031-03-05T14:00:00Z"
IN_AN_HOUR = "2031-03-05T13:00:00Z"


NO_MORE = {"comment": "that was not the ledger"}


def asked(api: Api, body=ASK, who=CAROL) -> str:
    answer = api.call("POST", "/v1/requests", body, who=who)
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


def approved(api: Api) -> str:
    id = asked(api)
    assert api.call("POST", f"/v1/requests/{id}/approve", {}, who=FRANK).status == 200
    return id


def active(api: Api) -> str:
    id = approved(api)
    assert api.call("POST", f"/v1/requests/{id}/credentials").status == 200
    return id


def extend(api: Api, id: str, where: str = "/v1/requests", who=CAROL, headers=None, **more):
    body = {"extends": id, "duration_seconds": 3600, "reason": "it takes longer", **more}
    return api.call("POST", where, body, who=who, headers=headers)


FIRE = {**ASK, "reason": "payments are down for everybody", "break_glass": True}
WHY = {"reason": "nobody answers and it burns"}
REVIEW = {"verdict": "justified", "comment": "I saw the pages"}


def reviewed(api: Api) -> str:
    id = asked(api, FIRE)
    assert api.call("POST", f"/v1/requests/{id}/review", REVIEW, who=DAVE).status == 200
    return id


def test_what_was_done_with_a_request_is_told_call_by_call_and_summed_up() -> None:
    api = Api()
    id = active(api)
    [session] = api.stage.sessions(id)
    role_arn = api.stage.request(id).role_arn
    assert session.access_key_id
    identity = a_session(session.access_key_id, role_arn, session.session_name, NOW)
    uses = [
        a_use(None, NOW, session=identity, readOnly=True),
        a_use(None, NOW + MINUTE, session=identity, action="iam:CreateUser", errorCode="AccessDenied"),
    ]
    pair = a_pair(session.access_key_id, role_arn, session.session_name, NOW)
    balancing.take(api.stage.trail, "0" * 32, [*pair, *uses], NOW)
    told = api.call("GET", f"/v1/requests/{id}/activity?limit=1", who=DAVE)
    assert (told.status, set(told.json)) == (200, {"items", "next_cursor", "sessions", "summary"})
    assert told.json["items"] == [
        {
            "at": "2031-03-05T12:00:00Z",
            "action": "s3:GetObject",
            "event_id": uses[0]["eventID"],
            "session": session.id,
            "role_arn": role_arn,
            "session_name": session.session_name,
            "access_key_id": session.access_key_id,
            "read_only": True,
            "region": "us-east-1",
            "address": "192.0.2.1",
        }
    ]
    [account] = told.json["sessions"]
    assert {name: account[name] for name in ("id", "status", "seen", "used", "first_use", "last_use", "events")} == {
        "id": session.id,
        "status": "issued",
        "seen": True,
        "used": True,
        "first_use": "2031-03-05T12:00:00Z",
        "last_use": "2031-03-05T12:01:00Z",
        "events": 2,
    }
    assert (account["services"], account["denied"]) == (["iam", "s3"], {"iam:CreateUser": 1})
    assert (account["seen_in"], account["went_on_to"]) == ([HUB, TARGET], [])
    rest = api.call("GET", f"/v1/requests/{id}/activity?limit=1&cursor={told.json['next_cursor']}")
    assert [item["error"] for item in rest.json["items"]] == ["AccessDenied"]
    assert rest.json["next_cursor"] is None
    for url, status in (
        (f"/v1/requests/{id}/activity?limit=501", 422),
        (f"/v1/requests/{id}/activity?cursor=none", 422),
        ("/v1/requests/01K99999999999999999999999/activity", 404),
    ):
        assert api.call("GET", url).status == status
    assert api.call("GET", f"/v1/requests/{id}/activity", who=EVE).slug == "not-found"


def test_an_emergency_is_asked_for_used_and_reviewed() -> None:
    api = Api()
    lent = api.call("POST", "/v1/credentials", FIRE)
    assert (lent.status, set(lent.json)) == (200, CREDENTIALS_KEYS)
    id = lent.json["RequestId"]
    shown = api.call("GET", f"/v1/requests/{id}", who=DAVE).json
    assert (shown["break_glass"], shown["review_by"], shown["stages"]) == (True, "2031-03-06T12:00:00Z", [])
    assert "review" not in shown
    found = api.call("POST", f"/v1/requests/{id}/review", REVIEW, who=DAVE).json["review"]
    assert found == {**REVIEW, "by": DAVE.id, "at": "2031-03-05T12:00:00Z"}


def test_a_pending_request_is_escalated() -> None:
    api = Api()
    answer = api.call("POST", f"/v1/requests/{asked(api)}/escalate", WHY).json
    assert (answer["state"], answer["break_glass"], answer["escalated_because"]) == ("ready", True, WHY["reason"])


def test_an_overdue_review_is_a_409_that_names_it() -> None:
    api = Api()
    id = asked(api, FIRE)
    api.stage.pass_time(24 * HOUR)
    answer = api.call("POST", "/v1/credentials", FIRE)
    assert (answer.status, answer.slug) == (409, "review-overdue")
    assert id in answer.json["detail"]


def test_every_refusal_has_a_status() -> None:
    assert set(STATUS) == set(Refusal.__subclasses__())


def test_health_and_login_and_me() -> None:
    api = Api()
    assert api.call("GET", "/v1/health", who=None).json == {
        "status": "ok",
        "version": "0.1.0",
        "catalogue_digest": api.stage.catalogue.digest,
    }
    api.stage.catalogue = replace(api.stage.catalogue, serial=7, doubt="It is not known whether it is the newest.")
    health = api.call("GET", "/v1/health", who=None).json
    assert health["catalogue_serial"] == 7
    assert health["catalogue_doubt"] == "It is not known whether it is the newest."
    stale = api.call("POST", "/v1/credentials", SANDBOX, who=ALICE)
    assert (stale.status, stale.slug, stale.headers["Retry-After"]) == (503, "catalogue-stale", "60")
    [issuer] = api.call("GET", "/v1/login", who=None).json["issuers"]
    assert (issuer["name"], issuer["audience"]) == ("local-people", "daypass")
    me = api.call("GET", "/v1/me", who=CAROL).json
    assert (me["id"], me["kind"], me["groups"], me["mfa"]) == ("carol@example.com", "human", ["oncall", "sre"], True)


def test_asking_answers_201_with_location_and_the_whole_request() -> None:
    api = Api()
    answer = api.call("POST", "/v1/requests", ASK)
    assert (answer.status, answer.headers["Location"]) == (201, f"/v1/requests/{answer.json['id']}")
    assert set(answer.json) == REQUEST_KEYS
    assert answer.json["stages"] == [{"count": 1, "from": {"groups": ["sre-leads"]}, "approved_by": []}]
    assert (answer.json["state"], answer.json["break_glass"], answer.json["sessions"]) == ("pending", False, [])


def test_the_same_idempotency_key_answers_200_with_the_same_request() -> None:
    api = Api()
    headers = {"idempotency-key": "k-1"}
    first = api.call("POST", "/v1/requests", ASK, headers=headers)
    again = api.call("POST", "/v1/requests", ASK, headers=headers)
    assert (first.status, again.status, again.json) == (201, 200, first.json)
    other = api.call("POST", "/v1/requests", {**ASK, "reason": "another"}, headers=headers)
    assert (other.status, other.slug) == (409, "idempotency-key-reused")


def test_a_dry_run_answers_200_and_records_nothing() -> None:
    api = Api()
    dry = api.call("POST", "/v1/requests?dry_run=true", ASK).json
    assert set(dry) == {"would", "rule", "stages", "max_duration_seconds", "session_policy", "why"}
    assert (dry["would"], dry["max_duration_seconds"]) == ("needs-approval", 14400)
    not_mine = api.call("POST", "/v1/requests?dry_run=true", ASK, who=ALICE)
    assert (not_mine.status, not_mine.json["would"]) == (200, "not-eligible")
    assert api.call("GET", "/v1/requests", who=DAVE).json == {"items": [], "next_cursor": None}


def test_the_story_ask_approve_fetch_return() -> None:
    api = Api()
    id = asked(api)
    approval = api.call("POST", f"/v1/requests/{id}/approve", {"comment": "go"}, who=FRANK).json
    assert (approval["state"], approval["decided_by"], approval["decision_comment"]) == ("ready", FRANK.id, "go")
    assert approval["approvals"] == [{"by": FRANK.id, "at": "2031-03-05T12:00:00Z", "comment": "go"}]
    credentials = api.call("POST", f"/v1/requests/{id}/credentials")
    assert (credentials.status, credentials.headers["Cache-Control"]) == (200, "no-store")
    assert set(credentials.json) == CREDENTIALS_KEYS
    assert set(credentials.json["AssumedRoleUser"]) == {"Arn", "AssumedRoleId"}
    assert (credentials.json["Version"], credentials.json["RequestId"]) == (1, id)
    assert credentials.json["Expiration"] == "2031-03-05T13:00:00Z"
    shown = api.call("GET", f"/v1/requests/{id}").json
    assert (shown["state"], shown["starts_at"], shown["ends_at"]) == (
        "active",
        "2031-03-05T12:00:00Z",
        "2031-03-05T13:00:00Z",
    )
    [session] = shown["sessions"]
    assert set(session) == {"id", "session_name", "access_key_id", "issued_at", "expires_at"}
    returned = api.call("POST", f"/v1/requests/{id}/return", {}).json
    assert (returned["state"], returned["sessions"]) == ("returned", [session])
    events = api.call("GET", f"/v1/requests/{id}/events", who=FRANK).json["items"]
    assert [event["type"] for event in events] == [
        "request.submitted", "request.approved", "session.issuing", "session.issued", "request.returned",
    ]  # fmt: skip
    assert set(events[0]) == {"seq", "type", "at", "actor", "details", "prev_hash", "hash"}


def test_the_console_is_a_link_and_until_when_and_the_history_says_so() -> None:
    api = Api()
    id = approved(api)
    link = api.call("POST", f"/v1/requests/{id}/console", {"destination": "/s3/home"})
    assert (link.status, link.headers["Cache-Control"]) == (200, "no-store")
    assert set(link.json) == {"url", "expires_at"}
    assert link.json["url"].startswith("https://us-east-1.signin.example/federation?Action=login&SigninToken=")
    assert link.json["expires_at"] == "2031-03-05T12:15:00Z"
    assert api.call("POST", f"/v1/requests/{id}/console").status == 200
    events = api.call("GET", f"/v1/requests/{id}/events", who=FRANK)
    assert [event["type"] for event in events.json["items"]][-3:] == [
        "session.issuing", "session.issued", "console.opened",
    ]  # fmt: skip
    assert "SigninToken" not in events.body


def test_no_link_leads_out_of_the_console_and_none_is_for_workloads_or_others() -> None:
    api = Api()
    id = approved(api)
    path = f"/v1/requests/{id}/console"
    away = api.call("POST", path, {"destination": "https://evil.example/"})
    assert (away.status, away.json["errors"][0]["field"]) == (422, "destination")
    assert api.call("POST", path, {"destination": ""}).status == 422
    assert api.call("POST", path, {"page": "/s3/home"}).status == 422
    assert (api.call("POST", path, who=ROBOT).status, api.call("POST", path, who=ALICE).status) == (403, 404)
    assert api.call("POST", path, who=FRANK).slug == "not-yours"
    assert api.stage.lender.plans == []


@pytest.mark.parametrize(
    ("refusal", "status", "slug"),
    [(ConsoleRefused("AWS said no."), 502, "console-refused"), (Unavailable("AWS said nothing."), 503, "unavailable")],
)
def test_a_sign_in_that_refuses_is_a_502_and_one_that_is_silent_a_503_with_retry_after(refusal, status, slug) -> None:
    api = Api()
    id = approved(api)
    assert api.stage.console is not None
    api.stage.console.fail_next(refusal)
    answer = api.call("POST", f"/v1/requests/{id}/console")
    assert (answer.status, answer.slug, answer.headers.get("Retry-After")) == (
        status, slug, "5" if status == 503 else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "metrics"),
    [
        (lambda api: api.call("GET", "/v1/me"), {}),
        (lambda api: api.call("GET", "/v1/me", who=None), {"Refusals slug=unauthenticated": 1}),
        (lambda api: api.call("GET", "/v1/requests/x"), {"Refusals slug=not-found": 1}),
        (
            lambda api: (api.stage.lender.refuse_next(), api.call("POST", "/v1/credentials", SANDBOX, who=ALICE)),
            {"Refusals slug=sts-refused": 1, "StsRefused": 1},
        ),
        (
            lambda api: (
                api.call("POST", "/v1/requests", FIRE),
                api.stage.pass_time(24 * HOUR),
                api.call("POST", "/v1/requests", FIRE),
            ),
            {"Refusals slug=review-overdue": 1, "ReviewOverdue": 1},
        ),
    ],
)
def test_every_refusal_is_counted_by_its_slug_and_some_by_themselves(ask, metrics, capsys) -> None:
    api = Api()
    ask(api)
    assert counted(capsys.readouterr().out) == metrics


def test_what_was_erased_is_said_to_be() -> None:
    api = Api()
    id = asked(api)
    api.call("POST", f"/v1/requests/{id}/deny", {"comment": "no, not for Jane Doe"}, who=FRANK)
    shown = api.call("POST", f"/v1/requests/{id}/erase", {}, who=DAVE).json
    assert (shown["reason"], shown["decision_comment"]) == ("(erased)", "(erased)")
    assert shown["erased_at"] == "2031-03-05T12:00:00Z"
    assert api.call("GET", "/v1/requests").json["items"][0]["reason"] == "(erased)"


def test_revoking_answers_with_what_is_known_of_the_live_sessions() -> None:
    api = Api()
    id = approved(api)
    assert api.call("POST", f"/v1/requests/{id}/credentials").status == 200
    shown = api.call("POST", f"/v1/requests/{id}/revoke", NO_MORE, who=FRANK).json
    assert (shown["state"], shown["decided_by"], shown["decision_comment"]) == ("revoked", FRANK.id, NO_MORE["comment"])
    deny = {"role_arn": shown["role_arn"], "written_at": "2031-03-05T12:00:00Z", "covers": "request"}
    assert shown["revocation"] == {"stopped_at": "2031-03-05T12:00:00Z", "denies": [deny], "not_covered": []}
    assert api.call("GET", f"/v1/requests/{id}").json["revocation"] == shown["revocation"]
    assert "revocation" not in api.call("GET", "/v1/requests").json["items"][0]
    assert api.call("POST", f"/v1/requests/{id}/credentials").slug == "not-active"


def test_a_deny_that_had_to_be_wider_says_so() -> None:
    api = Api()
    id = approved(api)
    assert api.call("POST", f"/v1/requests/{id}/credentials").status == 200
    api.stage.revoker.covers = Covers.PERSON
    shown = api.call("POST", f"/v1/requests/{id}/revoke", NO_MORE, who=FRANK).json
    assert [deny["covers"] for deny in shown["revocation"]["denies"]] == ["person"]


def test_revoking_again_what_could_not_be_cut_tries_again_and_answers_with_what_is_known() -> None:
    api = Api()
    id = approved(api)
    assert api.call("POST", f"/v1/requests/{id}/credentials").status == 200
    api.stage.revoker.fail_next()
    first = api.call("POST", f"/v1/requests/{id}/revoke", NO_MORE, who=FRANK)
    again = api.call("POST", f"/v1/requests/{id}/revoke", {"comment": "is it gone?"}, who=BOB)
    assert (first.status, again.status) == (200, 200)
    assert [["error" in d, "written_at" in d] for a in (first, again) for d in a.json["revocation"]["denies"]] == [
        [True, False],
        [False, True],
    ]
    assert (again.json["decided_by"], again.json["decision_comment"]) == (FRANK.id, NO_MORE["comment"])
    assert api.call("POST", f"/v1/requests/{id}/revoke", NO_MORE, who=FRANK).slug == "not-active"


def test_a_return_may_cut_too_and_says_so_where_the_deny_could_not_be_written() -> None:
    api = Api()
    id = approved(api)
    assert api.call("POST", f"/v1/requests/{id}/credentials").status == 200
    api.stage.revoker.fail_next("LimitExceeded")
    shown = api.call("POST", f"/v1/requests/{id}/return", {"cut": True}).json
    [deny] = shown["revocation"]["denies"]
    assert (shown["state"], set(deny)) == ("returned", {"role_arn", "error"})
    assert deny["error"].startswith("LimitExceeded")


def test_a_history_is_paged() -> None:
    api = Api()
    id = approved(api)
    first = api.call("GET", f"/v1/requests/{id}/events?limit=1").json
    rest = api.call("GET", f"/v1/requests/{id}/events?limit=1&cursor={first['next_cursor']}").json
    assert [first["items"][0]["seq"], rest["items"][0]["seq"], rest["next_cursor"]] == [1, 2, None]


def test_lists_hold_no_policy_and_no_sessions_and_lead_on() -> None:
    api = Api()
    ids = [asked(api) for _ in range(3)]
    first = api.call("GET", "/v1/requests?limit=2&mine=true").json
    rest = api.call("GET", f"/v1/requests?limit=2&mine=true&cursor={first['next_cursor']}").json
    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert set(first["items"][0]) == REQUEST_KEYS - {"session_policy", "sessions"}


def test_the_lists_of_what_waits_are_paged_too() -> None:
    api = Api()
    ids = [asked(api) for _ in range(3)]
    seen, cursor = [], ""
    while True:
        page = api.call("GET", f"/v1/requests?to_approve=true&limit=1{cursor}", who=FRANK).json
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids


def test_roles_tell_the_terms() -> None:
    [admin, _] = Api().call("GET", "/v1/roles").json["items"]
    assert (admin["role"], admin["account"], admin["account_id"]) == ("payments-admin", "payments-prod", "222222222222")
    [terms] = admin["terms"]
    assert (terms["rule"], terms["max_duration_seconds"], terms["mfa"]) == ("sre administer payments", 14400, True)
    assert admin["break_glass"] == {
        "max_duration_seconds": 3600,
        "review_within_seconds": 86400,
        "mfa": True,
        "ticket": False,
    }
    [export] = Api().call("GET", "/v1/roles?q=export", who=ALICE).json["items"]
    assert export["scopes"] == [{"name": "one-bucket", "parameters": {"bucket": "[a-z0-9.-]{3,63}"}}]
    assert "external" not in json.dumps([admin, export])


def test_ask_and_issue_answers_200_with_credentials_or_202_with_the_request() -> None:
    api = Api()
    assert set(api.call("POST", "/v1/credentials", SANDBOX, who=ALICE).json) == CREDENTIALS_KEYS
    waiting = api.call("POST", "/v1/credentials", ASK)
    assert (waiting.status, waiting.json["state"]) == (202, "pending")
    assert waiting.headers["Location"] == f"/v1/requests/{waiting.json['id']}"


@pytest.mark.parametrize(
    ("call", "status", "slug"),
    [
        (lambda api: api.call("POST", "/v1/requests", ASK, who=ALICE), 403, "not-eligible"),
        (lambda api: api.call("POST", "/v1/requests", {**ASK, "duration_seconds": 99999}), 422, "too-long"),
        (lambda api: api.call("GET", f"/v1/requests/{asked(api)}", who=EVE), 404, "not-found"),
        (lambda api: api.call("GET", "/v1/requests/nonsense"), 404, "not-found"),
        (lambda api: api.call("GET", "/v1/requests/01K99999999999999999999999"), 404, "not-found"),
        (
            lambda api: api.call("POST", f"/v1/requests/{asked(api, who=BOB)}/approve", {}, who=BOB),
            403,
            "may-not-approve",
        ),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/approve", {}, who=BOB), 409, "not-pending"),
        (
            lambda api: api.call("POST", f"/v1/requests/{approved(api)}/approve", {}, who=FRANK),
            409,
            "already-approved-by-you",
        ),
        (lambda api: api.call("POST", f"/v1/requests/{asked(api)}/credentials"), 409, "not-active"),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/credentials", who=FRANK), 403, "not-yours"),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/return", {}), 409, "not-active"),
        (lambda api: api.call("POST", "/v1/requests", {**FIRE, "reason": "too short"}), 422, "invalid"),
        (lambda api: api.call("POST", "/v1/requests", FIRE, who=BOB), 403, "not-eligible"),
        (lambda api: api.call("POST", f"/v1/requests/{asked(api, FIRE)}/review", REVIEW), 403, "may-not-review"),
        (
            lambda api: api.call("POST", f"/v1/requests/{reviewed(api)}/review", REVIEW, who=DAVE),
            409,
            "already-reviewed",
        ),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/escalate", WHY), 409, "not-pending"),
        (lambda api: api.call("POST", f"/v1/requests/{asked(api)}/escalate", WHY, who=FRANK), 403, "not-yours"),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/return", {"cut": True}), 409, "not-active"),
        (lambda api: api.call("POST", f"/v1/requests/{asked(api)}/revoke", NO_MORE, who=FRANK), 409, "not-active"),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/revoke", NO_MORE), 403, "may-not-approve"),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/revoke", NO_MORE, who=ALICE), 404, "not-found"),
        (lambda api: api.call("POST", f"/v1/requests/{approved(api)}/revoke", {}, who=FRANK), 422, "invalid"),
        (lambda api: api.call("POST", f"/v1/requests/{asked(api)}/erase", {}, who=DAVE), 409, "not-over"),
        (lambda api: api.call("POST", f"/v1/requests/{asked(api)}/erase", {}), 403, "not-eligible"),
        (lambda api: api.call("POST", "/v1/requests", {**ASK, "extends": "01K"}), 422, "invalid"),
        (lambda api: extend(api, "01K99999999999999999999999"), 404, "not-found"),
        (lambda api: extend(api, active(api), who=ALICE), 404, "not-found"),
        (lambda api: extend(api, active(api), who=FRANK), 403, "not-yours"),
        (lambda api: extend(api, asked(api)), 409, "not-active"),
        (lambda api: extend(api, asked(api, FIRE)), 403, "not-eligible"),
        (lambda api: extend(api, active(api), duration_seconds=7200), 422, "too-long"),
        (lambda api: api.call("POST", "/v1/requests", {**ASK, "starts_at": "2031-01-01T00:00:00Z"}), 422, "invalid"),
        (lambda api: api.call("POST", "/v1/credentials", {**SANDBOX, "starts_at": SOON}), 422, "invalid"),
    ],
)
def test_refusals_and_their_slugs(call, status, slug) -> None:
    answer = call(Api())
    assert (answer.status, answer.slug) == (status, slug)
    assert answer.json["status"] == status
    assert answer.json["title"]
    assert answer.json["detail"]


def test_a_yes_twice_from_two_stages_is_told_apart() -> None:
    api = Api()
    body = {**ASK, "role": "data-export", "scope": {"name": "one-bucket", "parameters": {"bucket": "data-files"}}}
    id = asked(api, body, ALICE)
    shown = api.call("POST", f"/v1/requests/{id}/approve", {}, who=FRANK).json
    assert [stage["approved_by"] for stage in shown["stages"]] == [[FRANK.id], []]
    assert shown["session_policy"] is not None
    assert api.call("POST", f"/v1/requests/{id}/approve", {}, who=FRANK).slug == "already-approved-by-you"
    assert api.call("POST", f"/v1/requests/{id}/approve", {}, who=DAVE).json["state"] == "ready"


def test_sts_refusing_is_a_502_with_its_code_and_sts_silent_a_503_with_retry_after() -> None:
    from tests.fakes import Effect

    api = Api()
    id = approved(api)
    api.stage.lender.refuse_next("AccessDenied")
    refused = api.call("POST", f"/v1/requests/{id}/credentials")
    assert (refused.status, refused.slug, refused.json["code"]) == (502, "sts-refused", "AccessDenied")
    api.stage.lender.time_out_next(Effect.AFTER)
    silent = api.call("POST", f"/v1/requests/{id}/credentials")
    assert (silent.status, silent.slug, silent.headers["Retry-After"]) == (503, "unavailable", "5")


def test_too_many_sessions_is_a_429_with_retry_after() -> None:
    api = Api()
    id = approved(api)
    for _ in range(10):
        assert api.call("POST", f"/v1/requests/{id}/credentials").status == 200
    answer = api.call("POST", f"/v1/requests/{id}/credentials")
    assert (answer.status, answer.slug, answer.headers["Retry-After"]) == (429, "too-many-sessions", "60")


def test_a_start_that_is_asked_for_is_the_windows_whoever_answers_when() -> None:
    api = Api()
    for written in (SOON, "2031-03-05T15:00:00+01:00", "2031-03-05T14:00:00.000Z"):
        answer = api.call("POST", "/v1/requests", {**ASK, "starts_at": written})
        assert answer.status == 201
        assert set(answer.json) == REQUEST_KEYS | {"starts_at", "ends_at"}
    shown = api.call("POST", f"/v1/requests/{answer.json['id']}/approve", {}, who=FRANK).json
    assert (shown["state"], shown["starts_at"], shown["ends_at"]) == ("scheduled", SOON, "2031-03-05T15:00:00Z")
    early = api.call("POST", f"/v1/requests/{shown['id']}/credentials")
    assert (early.status, early.slug) == (409, "not-active")
    assert SOON in early.json["detail"]
    [listed] = api.call("GET", "/v1/requests?state=scheduled").json["items"]
    assert listed["id"] == shown["id"]
    api.stage.pass_time(2 * HOUR)
    assert api.call("POST", f"/v1/requests/{shown['id']}/credentials").json["Expiration"] == "2031-03-05T15:00:00Z"


def test_what_is_extended_and_its_extension_tell_of_each_other() -> None:
    api = Api()
    id = active(api)
    answer = extend(api, id)
    assert (answer.status, answer.headers["Location"]) == (201, f"/v1/requests/{answer.json['id']}")
    assert set(answer.json) == REQUEST_KEYS | {"starts_at", "ends_at", "extends"}
    assert (answer.json["extends"], answer.json["state"], answer.json["role"]) == (id, "scheduled", "payments-admin")
    assert (answer.json["starts_at"], answer.json["ends_at"]) == (IN_AN_HOUR, SOON)
    shown = api.call("GET", f"/v1/requests/{id}").json
    assert (shown["extended_by"], shown["ends_at"]) == (answer.json["id"], IN_AN_HOUR)
    assert [event["type"] for event in api.call("GET", f"/v1/requests/{id}/events").json["items"]][-1] == (
        "request.extended"
    )
    [extension, base] = api.call("GET", "/v1/requests").json["items"]
    assert (extension["extends"], base["extended_by"]) == (id, answer.json["id"])


def test_what_is_extended_already_is_a_409_that_names_the_extension() -> None:
    api = Api()
    id = active(api)
    first = extend(api, id, headers={"idempotency-key": "k-1"})
    again = extend(api, id, headers={"idempotency-key": "k-1"})
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    second = extend(api, id)
    assert (second.status, second.slug) == (409, "already-extended")
    assert first.json["id"] in second.json["detail"]


@pytest.mark.parametrize("where", ["/v1/requests", "/v1/credentials", "/v1/requests?dry_run=true"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "payments-read"),
        ("scope", {"name": "one-bucket", "parameters": {}}),
        ("session_policy", "{}"),
        ("break_glass", True),
        ("starts_at", SOON),
    ],
)
def test_what_the_base_says_is_a_422_that_names_the_field(where: str, field: str, value: object) -> None:
    api = Api()
    answer = extend(api, active(api), where, **{field: value})
    assert (answer.status, answer.slug) == (422, "invalid")
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_an_extension_in_one_call_is_a_202_until_it_begins_and_then_credentials() -> None:
    api = Api()
    id, key = active(api), {"idempotency-key": "k-1"}
    waiting = extend(api, id, "/v1/credentials", headers=key)
    assert (waiting.status, waiting.json["extends"], waiting.json["state"]) == (202, id, "scheduled")
    api.stage.pass_time(HOUR)
    lent = extend(api, id, "/v1/credentials", headers=key)
    assert (lent.status, lent.json["RequestId"]) == (200, waiting.json["id"])


def test_a_dry_run_of_an_extension_tells_its_own_terms_and_roles_tell_them_too() -> None:
    api = Api()
    dry = extend(api, active(api), "/v1/requests?dry_run=true").json
    assert (dry["would"], dry["max_duration_seconds"], dry["stages"]) == ("auto-approved", 3600, [])
    [admin, _] = api.call("GET", "/v1/roles").json["items"]
    assert admin["terms"][0]["extensions"] == {"max": 2, "stages": []}
    [deploy] = api.call("GET", "/v1/roles", who=ROBOT).json["items"]
    assert "extensions" not in deploy["terms"][0]


def test_revoking_the_base_takes_the_extension_with_it() -> None:
    api = Api()
    id = active(api)
    extension = extend(api, id).json["id"]
    assert api.call("POST", f"/v1/requests/{id}/revoke", NO_MORE, who=FRANK).json["state"] == "revoked"
    shown = api.call("GET", f"/v1/requests/{extension}").json
    assert (shown["state"], shown["decided_by"], shown["decision_comment"]) == ("revoked", FRANK.id, NO_MORE["comment"])
    assert shown["revocation"] == {"stopped_at": "2031-03-05T12:00:00Z", "denies": [], "not_covered": []}


def test_a_freeze_is_a_403_and_what_is_outside_of_its_hours_a_409() -> None:
    api = Api()
    pending, ready = asked(api), approved(api)
    hours = Hours(days=frozenset({"sun"}), opens=HOUR, closes=2 * HOUR, zone=ZoneInfo("UTC"))
    api.stage.catalogue = with_rules(("sre administer payments", {"hours": hours}))
    closed = api.call("POST", f"/v1/requests/{ready}/credentials")
    assert (closed.status, closed.slug) == (409, "not-active")
    assert "sun 01:00-02:00 UTC" in closed.json["detail"]
    [admin, _] = api.call("GET", "/v1/roles").json["items"]
    assert admin["terms"][0]["hours"] == "sun 01:00-02:00 UTC"
    api.stage.catalogue = replace(CATALOGUE, frozen=True)
    for answer in (
        api.call("POST", f"/v1/requests/{pending}/approve", {}, who=FRANK),
        api.call("POST", f"/v1/requests/{ready}/credentials"),
        api.call("POST", "/v1/credentials", SANDBOX, who=ALICE),
    ):
        assert (answer.status, answer.slug) == (403, "not-eligible")
        assert answer.json["detail"].startswith("The catalogue is frozen: ")
    assert api.call("POST", "/v1/requests", ASK).status == 201


def test_what_a_day_has_no_room_for_is_a_409_that_says_what_is_left_and_roles_tell_the_limit() -> None:
    api = Api()
    a_day = {"max_duration": HOUR, "max_per_day": 2 * HOUR}
    api.stage.catalogue = replace(
        with_rules(("engineers administer the sandbox", a_day)), quotas=Quotas(open_requests=4, break_glass_per_day=1)
    )
    [_, sandbox] = api.call("GET", "/v1/roles?q=a", who=ALICE).json["items"][-2:]
    assert sandbox["terms"][0]["max_per_day_seconds"] == 7200
    for _ in range(2):
        assert api.call("POST", "/v1/credentials", SANDBOX, who=ALICE).status == 200
    for address in ("/v1/credentials", "/v1/requests"):
        used = api.call("POST", address, SANDBOX, who=ALICE)
        assert (used.status, used.slug) == (409, "quota-used")
        assert "1 h asked, 0 s left on 2031-03-05 (UTC) of 2 h a day" in used.json["detail"]
    fire = {**ASK, "reason": "payments are down for everybody", "break_glass": True}
    assert api.call("POST", "/v1/credentials", fire).status == 200
    again = api.call("POST", "/v1/credentials", fire)
    assert (again.status, again.slug) == (409, "quota-used")
    pending = asked(api)
    burning = api.call("POST", f"/v1/requests/{pending}/escalate", {"reason": "payments are down for everybody"})
    assert (burning.status, burning.slug) == (409, "quota-used")


def test_what_lapsed_is_reported_by_the_clock_alone() -> None:
    api = Api()
    id = asked(api)
    api.stage.pass_time(8 * HOUR)
    shown = api.call("GET", f"/v1/requests/{id}").json
    assert (shown["state"], shown["expired_because"]) == ("expired", "unanswered")


def test_auditors_read_everybodys_events_of_a_day_page_by_page() -> None:
    api = Api()
    mine, others = active(api), asked(api, SANDBOX, who=ALICE)
    told = api.stage.world.day_chains().append(EventType.ACTIVITY_READ, at=NOW, actor="dave", details={"request": mine})
    read, cursor = [], ""
    while cursor is not None:
        page = api.call("GET", f"/v1/events?day=2031-03-05&limit=2{cursor and f'&cursor={cursor}'}", who=DAVE).json
        read += page["items"]
        cursor = page["next_cursor"]
    assert [each for each in read if "request_id" not in each] == [{**told.event.as_json(), "chain": told.chain}]
    assert {event["request_id"] for event in read if "chain" not in event} == {mine, others}
    for id in (mine, others):
        history = api.call("GET", f"/v1/requests/{id}/events", who=DAVE).json["items"]
        assert [e for e in read if e.get("request_id") == id] == [{**e, "request_id": id} for e in history]
    chains = Chains()
    for event in read:
        chains.take(event)
    assert (chains.requests, chains.day_chains, chains.breaks()) == (2, 1, [])
    assert api.call("GET", "/v1/events?day=2031-03-04", who=DAVE).json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("who", [ALICE, BOB, CAROL, EVE, FRANK, ROBOT], ids=lambda who: who.id)
def test_nobody_else_reads_them(who) -> None:
    api = Api()
    asked(api)
    answer = api.call("GET", "/v1/events?day=2031-03-05", who=who)
    assert (answer.status, answer.slug) == (403, "not-eligible")
    assert "[auditors]" in answer.json["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "day"),
        ("?day=", "day"),
        ("?day=today", "day"),
        ("?day=2031-02-29", "day"),
        ("?day=20310305", "day"),
        ("?day=1930000000", "day"),
        ("?day=2031-03-05T12:00:00Z", "day"),
        ("?day=%D9%A22031-03-05", "day"),
        ("?day=2031-03-05&day=2031-03-06", "day"),
        ("?day=2031-03-05&limit=51", "limit"),
        ("?day=2031-03-05&cursor=MQ", "cursor"),
        ("?day=2031-03-05&from=2031-03-05", "from"),
    ],
)
def test_a_wrong_day_limit_or_cursor_is_a_422_that_names_it(query: str, field: str) -> None:
    answer = Api().call("GET", f"/v1/events{query}", who=DAVE)
    assert (answer.status, answer.slug, [error["field"] for error in answer.json["errors"]]) == (
        422,
        "invalid",
        [field],
    )
