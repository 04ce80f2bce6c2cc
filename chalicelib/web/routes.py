"""The routes: the contract's table mounted on a door, each row behind the gate.

Mounting is a function of the door, called once for each: one Blueprint registered twice would lose its authorizer.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chalice.app import Chalice, IAMAuthorizer, Response
from chalice.app import Request as HttpRequest
from pydantic import BaseModel

from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.refusals import (
    FieldError,
    Invalid,
    NotFound,
    Refusal,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from chalicelib.fields import ULID, parsed
from chalicelib.log import log
from chalicelib.metrics import count_refusal
from chalicelib.web.bodies import In
from chalicelib.web.contract import Answer, Call, Endpoint, OpenEndpoint
from chalicelib.web.endpoints import ENDPOINTS, OPEN
from chalicelib.web.gate import Door, Gate
from chalicelib.web.openapi import document
from chalicelib.web.problems import bug, in_our_words, problem

LARGEST_BODY = 64 * 1024
"""Bytes. Daypass's own limit: API Gateway would let 10 MB through."""

JSON = "application/json"

SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Inside:
    """What lies behind the doors; each is made at its first use.

    held: the catalogue as it is known without asking AWS for it; None where it is not.
    """

    world: Callable[[], World]
    gate: Callable[[], Gate]
    catalogue: Callable[[], Catalogue]
    held: Callable[[], Catalogue | None]


def mount_open(app: Chalice, inside: Inside) -> None:
    """Mount the addresses that need no proof."""
    app.register_middleware(_in_our_words, "http")
    for endpoint in OPEN:
        _route(app, "GET", Door.BEARER + endpoint.path, _open_view(endpoint, inside))
    _route(app, "GET", Door.BEARER + "/openapi.json", _described)


def _in_our_words(request: HttpRequest, get_response: Callable[[Any], Response]) -> Response:
    """Chalice middleware: every answer carries its request id; what Chalice answers by itself looks as if we had."""
    response = in_our_words(request, get_response)
    response.headers = {**SAFE, "X-Request-Id": _request_id(request), **response.headers}
    return response


def mount(app: Chalice, door: Door, inside: Inside) -> None:
    """Mount every other address of the contract on a door, behind the gate."""
    for endpoint in ENDPOINTS:
        authorizer = IAMAuthorizer() if door is Door.IAM else None
        _route(app, endpoint.method, door + endpoint.path, _gated_view(door, endpoint, inside), authorizer)


def mount_raw(app: Chalice, method: str, path: str, view: View) -> None:
    """Mount an address with a contract of its own, which reads headers and body itself; its refusals are problems."""
    _route(app, method, path, view)


Fields = dict[str, Any]
"""What the log line of one request will tell."""

View = Callable[[HttpRequest, Fields], Response]


def _route(app: Chalice, method: str, path: str, view: View, authorizer: IAMAuthorizer | None = None) -> None:
    def answer(**_: str) -> Response:
        request = app.current_request
        assert request is not None, "Chalice sets it before it calls a view"
        begun = time.perf_counter()
        fields: Fields = {
            "http_request_id": _request_id(request),
            "method": method,
            "path": path,
        }
        response = _explained(view, request, fields)
        fields |= {"status": response.status_code, "milliseconds": round((time.perf_counter() - begun) * 1e3)}
        log.info("request_answered", extra=fields)
        return response

    answer.__name__ = re.sub(r"\W+", "_", f"{method}{path}").strip("_").lower()
    # content_types: []: Daypass itself says what it reads, in its own words.
    app.route(path, methods=[method], authorizer=authorizer, content_types=[])(answer)


def _explained(view: View, request: HttpRequest, fields: Fields) -> Response:
    """The view's answer, or its refusal as a problem. What is not a Refusal is a bug: a 500 that says nothing."""
    try:
        return view(request, fields)
    except Refusal as refusal:
        fields |= {"slug": refusal.slug, "detail": refusal.detail}
        count_refusal(refusal.slug)
        return problem(refusal)
    except Exception:
        log.exception("request_failed", extra=fields)
        return bug()


def _request_id(request: HttpRequest) -> str:
    return str(request.context.get("requestId") or getattr(request.lambda_context, "aws_request_id", "") or "local")


def _open_view(endpoint: OpenEndpoint, inside: Inside) -> View:
    def view(request: HttpRequest, fields: Fields) -> Response:
        catalogue: Catalogue | None
        try:
            catalogue = inside.catalogue() if endpoint.looks else inside.held()
        except Unavailable:
            catalogue = None
        return _sent(Answer(200, endpoint.view(catalogue)))

    return view


def _described(request: HttpRequest, fields: Fields) -> Response:
    return Response(body=document(), headers={"Content-Type": JSON})


def _gated_view(door: Door, endpoint: Endpoint, inside: Inside) -> View:
    def view(request: HttpRequest, fields: Fields) -> Response:
        principal = inside.gate().principal(door, request.headers, request.context)
        fields["principal"] = principal.id
        if id := _id(request):
            fields["id"] = id
        call = Call(
            world=inside.world(),
            door=door,
            principal=principal,
            id=id,
            body=_body(endpoint.body, request) if endpoint.body else None,
            query=_query(endpoint.query, request),
            key=request.headers.get("idempotency-key"),
        )
        return _sent(endpoint.view(call))

    return view


def _sent(answer: Answer) -> Response:
    body = answer.body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Response(body=body, status_code=answer.status, headers={"Content-Type": JSON, **answer.headers})


def _id(request: HttpRequest) -> str:
    given = (request.uri_params or {}).get("id", "")
    if given and not re.fullmatch(ULID, given):
        raise NotFound("There is no such request: an id has 26 characters, as in a request's `id`.")
    return given


def _body(model: type[In], request: HttpRequest) -> BaseModel:
    raw = request.raw_body
    if len(raw) > LARGEST_BODY:
        raise TooLarge(f"The body holds {len(raw)} bytes; {LARGEST_BODY} is the most.")
    if raw and request.headers.get("content-type", JSON).partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMediaType("Send the body as JSON, with `Content-Type: application/json`.")
    _each_name_once(raw)
    return parsed("The body", lambda: model.model_validate_json(raw or b"{}"))


def _each_name_once(raw: str | bytes) -> None:
    """Raises Invalid where an object has a name twice: two readers could then read two different asks."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            message = "a name stands twice in one object"
            raise Invalid(f"The body is not understood: {message}.", (FieldError("body", message),))

    with suppress(ValueError, RecursionError):  # what is no JSON is told by the model
        json.loads(raw, object_pairs_hook=once)


def _query(model: type[In], request: HttpRequest) -> BaseModel:
    given = request.query_params
    values = {name: given.getlist(name) for name in given} if given else {}
    for name, several in values.items():
        if len(several) != 1:
            raise Invalid("The query is not understood.", (FieldError(name, "give it once"),))
    return parsed("The query", lambda: model.model_validate({name: one for name, [one] in values.items()}))
