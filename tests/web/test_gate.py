"""The gate: every route passes it, or stands on the short open list."""

import pytest
from chalice.app import IAMAuthorizer

import app as deployed
from chalicelib.core.refusals import NotEligible, Unauthenticated
from chalicelib.identity import sigv4
from chalicelib.web.endpoints import ENDPOINTS
from chalicelib.web.gate import Gate
from tests.builders import NOW
from tests.people import ALICE
from tests.stage import CATALOGUE
from tests.web.api import Api, by_name

OPEN = {("GET", "/v1/health"), ("GET", "/v1/login"), ("GET", "/v1/openapi.json")}
ROUTES = sorted((method, path) for path, methods in deployed.app.routes.items() for method in methods)
ID = "01K00000000000000000000001"


def refuses(*_: object):
    raise Unauthenticated("no")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_passes_the_gate_or_stands_on_the_open_list(method: str, path: str) -> None:
    api = Api(gate=Gate(bearer=refuses, iam=refuses))
    answer = api.call(method, path.replace("{id}", ID), {})
    if (method, path) in OPEN:
        assert answer.status == 200
    else:
        assert (answer.status, answer.slug) == (401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_any_proof_nobody_gets_in(method: str, path: str) -> None:
    answer = Api().call(method, path.replace("{id}", ID), {}, who=None)
    assert answer.status == (200 if (method, path) in OPEN else 401)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_only_the_iam_doors_routes_have_api_gateway_verify_the_signature_and_all_of_them_do(method, path) -> None:
    authorizer = deployed.app.routes[path][method].authorizer
    assert isinstance(authorizer, IAMAuthorizer) == path.startswith("/iam/v1/")


def test_both_doors_open_on_the_same_api() -> None:
    by_door = {
        prefix: {(method, path.removeprefix(prefix)) for method, path in ROUTES if path.startswith(prefix)}
        for prefix in ("/v1", "/iam/v1")
    }
    open_ones = {(method, path.removeprefix("/v1")) for method, path in OPEN}
    assert by_door["/v1"] - open_ones == by_door["/iam/v1"] == {(e.method, e.path) for e in ENDPOINTS}


@pytest.mark.parametrize("header", ["", "alice", "Basic alice", "Bearer", "Bearer ", "bearer\talice"])
def test_a_header_that_holds_no_bearer_token_is_refused(header: str) -> None:
    assert Api().call("GET", "/v1/me", headers={"authorization": header}).status == 401


def test_an_unauthenticated_answer_says_how_to_authenticate() -> None:
    assert Api().call("GET", "/v1/me", who=None).headers["WWW-Authenticate"] == 'Bearer realm="daypass"'


def test_a_bearer_token_does_not_open_the_iam_door_and_a_signature_not_the_bearer_door() -> None:
    def from_iam(context):
        return sigv4.verify(context, catalogue=CATALOGUE, api_id="api", stage="prod", organization_id="o-1", now=NOW)

    api = Api(gate=Gate(bearer=by_name, iam=from_iam))
    identity = {
        "userArn": "arn:aws:sts::444444444444:assumed-role/ci/session",
        "accountId": "444444444444",
        "principalOrgId": "o-1",
    }
    assert api.call("GET", "/iam/v1/me", who=ALICE).status == 401
    assert api.call("GET", "/v1/me", who=None, identity=identity).status == 401


def test_a_forbidden_caller_is_told_the_same_for_every_role_that_is_not_theirs() -> None:
    api = Api()
    bodies = [
        api.call("POST", "/v1/requests", {"role": role, "duration_seconds": 60, "reason": "why not"}, who=ALICE)
        for role in ("payments-admin", "nothing-such")
    ]
    said = [body.body.replace("payments-admin", "R").replace("nothing-such", "R") for body in bodies]
    assert said[0] == said[1]
    assert {body.status for body in bodies} == {403}
    assert bodies[0].slug == NotEligible.slug
