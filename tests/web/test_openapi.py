"""The OpenAPI document tells the truth: schemathesis asks for all that it describes, and more, and believes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chalicelib.web.endpoints import ENDPOINTS, OPEN
from chalicelib.web.openapi import document
from tests.people import ALICE, BOB, CAROL, FRANK
from tests.web.api import ASK, SANDBOX, Api
from tests.web.wsgi import application

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

api = Api()
PENDING, READY, ACTIVE, REVOKED, EXTENDED = (str(api.call("POST", "/v1/requests", ASK).json["id"]) for _ in range(5))
for each in (READY, ACTIVE, REVOKED, EXTENDED):
    assert api.call("POST", f"/v1/requests/{each}/approve", {}, who=FRANK).status == 200
for each in (ACTIVE, REVOKED, EXTENDED):
    assert api.call("POST", f"/v1/requests/{each}/credentials").status == 200
assert api.call("POST", f"/v1/requests/{REVOKED}/revoke", {"comment": "no"}, who=FRANK).status == 200
MORE = {"duration_seconds": 3600, "reason": "it takes longer", "extends": EXTENDED}
SCHEDULED = str(api.call("POST", "/v1/requests", MORE).json["id"])

schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", application(api))


@pytest.mark.parametrize("who", [CAROL, BOB, ALICE], ids=lambda who: who.id)
@schema.parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_with_a_valid_token_nothing_undocumented_is_answered(case: Case, who: Any) -> None:
    case.call_and_validate(headers={"authorization": f"Bearer {who.id.partition('@')[0]}"}, checks=CHECKS)


@pytest.mark.parametrize(
    "id",
    [PENDING, READY, ACTIVE, REVOKED, SCHEDULED],
    ids=["pending", "ready", "active", "revoked", "scheduled"],
)
@schema.include(path_regex=r"\{id\}").parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_nor_about_requests_that_are_there(case: Case, id: str) -> None:
    case.path_parameters["id"] = id
    for who in ("alice", "bob", "carol", "dave"):
        case.call_and_validate(headers={"authorization": f"Bearer {who}"}, checks=CHECKS)


@pytest.mark.parametrize("body", [ASK, SANDBOX, MORE, {**MORE, "extends": READY}])
@schema.include(path_regex="/(requests|credentials)$", method="POST").parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_nor_when_an_ask_is_nearly_right(case: Case, body: dict[str, Any]) -> None:
    if isinstance(case.body, dict):
        case.body = {**case.body, **body}
    for who in ("alice", "carol"):
        case.call_and_validate(headers={"authorization": f"Bearer {who}"}, checks=CHECKS)


def test_every_address_is_described_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    mounted = {(method, path) for path, methods in api.app.routes.items() for method in methods}
    assert described == {(method, path) for method, path in mounted if path.startswith("/v1")}
    assert len(described) == len(ENDPOINTS) + len(OPEN) + 1


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [each["operationId"] for methods in document()["paths"].values() for each in methods.values()]
    assert len(set(names)) == len(names)


def test_a_parameter_that_must_be_there_is_described_so() -> None:
    parameters = document()["paths"]["/v1/events"]["get"]["parameters"]
    assert {each["name"]: each["required"] for each in parameters} == {"day": True, "limit": False, "cursor": False}


@schema.include(path="/v1/events").parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_nor_to_auditors(case: Case) -> None:
    case.query["day"] = "2031-03-05"
    case.call_and_validate(headers={"authorization": "Bearer dave"}, checks=CHECKS)
