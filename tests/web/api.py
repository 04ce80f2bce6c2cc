"""The API in memory: the real routes and gate over the broker's stage, called as API Gateway calls them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chalice.app import Chalice

from chalicelib.core.principal import Principal
from chalicelib.core.refusals import Unauthenticated
from chalicelib.web.gate import Door, Gate
from chalicelib.web.routes import Inside, View, mount, mount_open, mount_raw
from tests.people import CAROL, PEOPLE
from tests.stage import Stage

TOKENS = {who.id.partition("@")[0]: who for who in PEOPLE}


def by_name(token: str) -> Principal:
    """The bearer's proof for tests that are about something else: the token is the person's name."""
    if token not in TOKENS:
        raise Unauthenticated("Nobody by that token.")
    return TOKENS[token]


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json"
        return str(self.json["type"]).removeprefix("urn:daypass:problem:")


def shut(request: Any, fields: dict[str, Any]) -> Any:
    raise Unauthenticated("The Slack door is shut here.")


@dataclass
class Api:
    """slack: what answers at the Slack door."""

    stage: Stage = field(default_factory=Stage)
    slack: View = shut
    gate: Gate = field(default_factory=lambda: Gate(bearer=by_name, iam=None))

    def __post_init__(self) -> None:
        self.app = Chalice(app_name="daypass-test")
        inside = Inside(
            world=lambda: self.stage.world,
            gate=lambda: self.gate,
            catalogue=lambda: self.stage.world.catalogue(),
            held=lambda: self.stage.catalogue,
        )
        mount_open(self.app, inside)
        mount(self.app, Door.BEARER, inside)
        mount(self.app, Door.IAM, inside)
        mount_raw(self.app, "POST", "/slack/events", lambda request, fields: self.slack(request, fields))

    def call(
        self,
        method: str,
        url: str,
        body: object = None,
        *,
        who: Principal | None = CAROL,
        raw: str | None = None,
        headers: Mapping[str, str] | None = None,
        identity: Mapping[str, Any] | None = None,
        typed: bool = True,
    ) -> HttpAnswer:
        """One request; `who` signs in by name, `raw` is a body that is not what json would write.

        typed: the body is declared as JSON unless `headers` say otherwise. Raises LookupError for an unknown address.
        """
        parts = urlsplit(url)
        resource, parameters = self._resource(parts.path)
        sent = {**({"content-type": "application/json"} if typed else {}), **(headers or {})}
        if who is not None:
            sent.setdefault("authorization", f"Bearer {who.id.partition('@')[0]}")
        query = parse_qs(parts.query, keep_blank_values=True)
        event = {
            "httpMethod": method,
            "path": parts.path,
            "resource": resource,
            "headers": sent,
            "multiValueHeaders": {name: [value] for name, value in sent.items()},
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "pathParameters": parameters,
            "stageVariables": None,
            "isBase64Encoded": False,
            "body": raw if raw is not None else (None if body is None else json.dumps(body)),
            "requestContext": {
                "resourcePath": resource,
                "httpMethod": method,
                "requestId": "http-1",
                "identity": identity or {},
            },
        }
        answer = self.app(event, SimpleNamespace(aws_request_id="lambda-1"))
        return HttpAnswer(answer["statusCode"], answer["headers"], answer["body"])

    def _resource(self, path: str) -> tuple[str, dict[str, str] | None]:
        """The route that API Gateway would choose, and its path parameters."""
        for route in self.app.routes:
            pattern, given = route.split("/"), path.split("/")
            if len(pattern) == len(given) and all(p in (g, "{id}") for p, g in zip(pattern, given, strict=True)):
                return route, ({"id": given[pattern.index("{id}")]} if "{id}" in pattern else None)
        raise LookupError(f"no route for {path}")


ASK = {"role": "payments-admin", "duration_seconds": 3600, "reason": "disk full on db-3"}
SANDBOX = {"role": "sandbox-admin", "duration_seconds": 3600, "reason": "trying things out"}
