"""What a fresh interpreter needs to be the Lambda function: environment, events, a token and the stub."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from daypass.local import issuers

ROOT = Path(__file__).resolve().parents[1]
_TEMPLATE_URL = "http://127.0.0.1:8000"
_SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


@dataclass(frozen=True, slots=True)
class Stage:
    url: str
    token: str
    environment: dict[str, str]

    def calls(self) -> dict[str, int]:
        """The AWS calls since this was asked last."""
        with urllib.request.urlopen(f"{self.url}/calls", timeout=5) as answer:
            told: dict[str, int] = json.loads(answer.read())
        return told


@contextmanager
def running() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="daypass-bench-") as temporary:
        folder = Path(temporary)
        stub = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stub", temporary],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert stub.stdout is not None
        try:
            yield _stage(folder, f"http://127.0.0.1:{int(stub.stdout.readline())}")
        finally:
            stub.communicate()


def _stage(folder: Path, url: str) -> Stage:
    catalogue = folder / "catalogue.toml"
    template = files("daypass.local").joinpath("example_catalogue.toml").read_text(encoding="utf-8")
    catalogue.write_text(template.replace(_TEMPLATE_URL, url))
    token = issuers.mint(issuers.keys(folder), url, "alice", now=datetime.now(UTC))
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLEEXAMPLE00",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": url,
        "DAYPASS_TABLE": "daypass",
        "DAYPASS_CATALOGUE": str(catalogue),
        "DAYPASS_HUB_ACCOUNT": "123456789012",
        "DAYPASS_LOCAL": "true",
        "DAYPASS_SLACK_SIGNING_SECRET": _SIGNING_SECRET,
        "DAYPASS_SLACK_BOT_TOKEN": "xoxb-example",
        "DAYPASS_SLACK_API": f"{url}/slack/",
    }
    return Stage(url, token, environment)


def event(method: str, path: str, token: str | None = None, body: object = None) -> dict[str, Any]:
    """An event of API Gateway's REST APIs."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "apiId": "abcdefghij",
            "stage": "api",
            "resourcePath": path,
            "httpMethod": method,
            "path": f"/api{path}",
            "requestId": "00000000-0000-0000-0000-000000000000",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "benchmark"},
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def health() -> dict[str, Any]:
    return event("GET", "/v1/health")


def ask_and_issue(token: str) -> dict[str, Any]:
    ask = {"role": "payments-read", "duration_seconds": 3600, "reason": "measuring how long this takes"}
    return event("POST", "/v1/credentials", token, ask)


def slack_command(url: str) -> dict[str, Any]:
    """`/daypass list` of somebody whom Daypass does not know yet: one read, one call of Slack, one write."""
    typed = {"command": "/daypass", "text": "list", "team_id": "T0EXAMPLE", "user_id": "U0ALICE0001"}
    body = urlencode({**typed, "response_url": f"{url}/slack/response"})
    at = str(int(time.time()))
    right = hmac.new(_SIGNING_SECRET.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": f"v0={right}",
    }
    multiple = {name: [value] for name, value in headers.items()}
    knock = event("POST", "/slack/events")
    return {**knock, "headers": headers, "multiValueHeaders": multiple, "body": body}


class Context:
    """The second argument of a Lambda handler, as far as anybody looks at it."""

    function_name = "daypass-bench"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:daypass-bench"
    aws_request_id = "00000000-0000-0000-0000-000000000001"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000
