"""The contract as OpenAPI 3.1, from the same table that is mounted and the same models that parse."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.core.refusals import Refusal
from chalicelib.fields import ULID
from chalicelib.version import VERSION
from chalicelib.web.contract import Endpoint, OpenEndpoint
from chalicelib.web.endpoints import BODY_REFUSES, ENDPOINTS, GATE_REFUSES, OPEN
from chalicelib.web.gate import Door
from chalicelib.web.problems import CONTENT_TYPE, STATUS
from chalicelib.web.views.problem import Problem

_REF = "#/components/schemas/{model}"

Json = dict[str, Any]


@cache
def document() -> Json:
    """The document of the bearer door; the IAM door answers the same under its own prefix, to SigV4."""
    paths: dict[str, Json] = {}
    for open_endpoint in OPEN:
        paths.setdefault(Door.BEARER + open_endpoint.path, {})["get"] = _open_operation(open_endpoint)
    paths[Door.BEARER + "/openapi.json"] = {"get": _openapi_operation()}
    for endpoint in ENDPOINTS:
        paths.setdefault(Door.BEARER + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Daypass",
            "version": VERSION,
            "description": "Temporary access to AWS roles. The same API answers SigV4 callers under `/iam/v1`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _schemas() -> Json:
    received = {endpoint.body for endpoint in ENDPOINTS if endpoint.body}
    sent = {model for endpoint in ENDPOINTS for models in endpoint.answers.values() for model in models}
    sent |= {endpoint.answer for endpoint in OPEN} | {Problem}
    named = sorted(received, key=lambda model: model.__name__), sorted(sent, key=lambda model: model.__name__)
    _, schema = models_json_schema(
        [(model, "validation") for model in named[0]] + [(model, "serialization") for model in named[1]],
        ref_template=_REF,
    )
    definitions: Json = schema["$defs"]
    return definitions


def _operation(endpoint: Endpoint) -> Json:
    refuses = (*GATE_REFUSES, *(BODY_REFUSES if endpoint.body else ()), *endpoint.refuses)
    operation: Json = {
        "operationId": endpoint.view.__name__,
        "summary": endpoint.summary,
        "security": [{"bearer": []}],
        "parameters": _parameters(endpoint),
        "responses": {
            **{str(status): _content(models) for status, models in endpoint.answers.items()},
            **_refusals(refuses),
        },
    }
    if endpoint.body:
        required = any(field.is_required() for field in endpoint.body.model_fields.values())
        operation["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": {"$ref": _REF.format(model=endpoint.body.__name__)}}},
        }
    return operation


def _open_operation(endpoint: OpenEndpoint) -> Json:
    return {
        "operationId": endpoint.view.__name__,
        "summary": endpoint.summary,
        "security": [],
        "responses": {"200": _content((endpoint.answer,)), **_refusals(endpoint.refuses)},
    }


def _openapi_operation() -> Json:
    answer = {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "operationId": "openapi",
        "summary": "This document",
        "security": [],
        "responses": {"200": answer, **_refusals(())},
    }


def _parameters(endpoint: Endpoint) -> list[Json]:
    parameters: list[Json] = []
    if "{id}" in endpoint.path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": ULID}})
    schema = endpoint.query.model_json_schema(ref_template=_REF)
    definitions = schema.get("$defs", {})
    needed = schema.get("required", [])
    for name, shape in schema.get("properties", {}).items():
        query = {"name": name, "in": "query", "required": name in needed, "schema": _inlined(shape, definitions)}
        parameters.append(query)
    if endpoint.takes_key:
        key = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": key})
    return parameters


def _inlined(shape: Json, definitions: Json) -> Json:
    """A query parameter's schema without references and without null, which a query cannot say."""
    options = [option for option in shape.get("anyOf", [shape]) if option.get("type") != "null"]
    [option] = options
    name = option.get("$ref", "").rpartition("/")[2]
    return dict(definitions[name]) if name else {key: value for key, value in option.items() if key != "default"}


def _content(models: tuple[type[BaseModel], ...]) -> Json:
    references = [{"$ref": _REF.format(model=model.__name__)} for model in models]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {
        "description": " or ".join(model.__name__ for model in models),
        "content": {"application/json": {"schema": schema}},
    }


def _refusals(refuses: Iterable[type[Refusal]]) -> Json:
    """The problems by status: several slugs may share one; and the 500 that is always a bug."""
    slugs: dict[int, set[str]] = {500: {"internal-error"}}
    for refusal in refuses:
        slugs.setdefault(STATUS[refusal], set()).add(refusal.slug)
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    return {
        str(status): {"description": ", ".join(sorted(slugs[status])), "content": {CONTENT_TYPE: {"schema": schema}}}
        for status in sorted(slugs)
    }
