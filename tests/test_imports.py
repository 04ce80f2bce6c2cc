"""What importing the function costs: the packages that `app.py` loads, and those that wait until they are needed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What the user fixed and what these bring along; Powertools for its logger; python-ulid for ids.
ALLOWED = {
    "annotated_types", "aws_lambda_powertools", "botocore", "certifi", "chalice", "dateutil", "jmespath", "pydantic",
    "pydantic_core", "pynamodb", "six", "typing_extensions", "typing_inspection", "ulid", "urllib3",
}  # fmt: skip

# Each would be paid for at every cold start, whether the request needs it or not.
NEVER = {"boto3", "cryptography", "jwt", "ministack", "rich", "slack_bolt", "slack_sdk", "typer"}

LISTED = """
import sys
import app
import importlib.metadata
installed = set(importlib.metadata.packages_distributions())
print(*sorted({name.partition(".")[0] for name in sys.modules} & installed))
"""


OUTBOX = """
import sys
import app
outbox = ("chalicelib.outbox.", "chalicelib.slack.", "chalicelib.aws.bus.")
trail = ("chalicelib.aws.trail_", "chalicelib.core.trail.", "chalicelib.core.noting.", "chalicelib.core.activity.")
print(*(name for name in sys.modules if f"{name}.".startswith((*outbox, *trail))))
"""


def told(script: str) -> set[str]:
    """What a script prints in an environment without any setting, word by word."""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, env={"PATH": ""}
    )
    return set(ran.stdout.split())


def loaded() -> set[str]:
    """The packages that importing the app loads."""
    return told(LISTED) - {"app", "chalicelib", "_distutils_hack"}


def test_the_app_imports_what_it_may_and_nothing_else() -> None:
    assert loaded() - ALLOWED == set()


def test_the_app_never_imports_what_only_some_requests_need() -> None:
    assert loaded() & NEVER == set()


def test_a_requests_path_pays_neither_for_the_outbox_nor_for_cloudtrail() -> None:
    assert told(OUTBOX) == set()


KNOCKED = r"""
import sys
import app
from types import SimpleNamespace
event = {
    "httpMethod": "POST", "headers": {"content-type": "application/x-www-form-urlencoded"}, "pathParameters": None,
    "multiValueQueryStringParameters": None, "stageVariables": None, "isBase64Encoded": False, "body": "text=list",
    "requestContext": {"resourcePath": "/slack/events", "httpMethod": "POST"},
}
before = set(sys.modules)
status = app.app(event, SimpleNamespace(aws_request_id="lambda-1"))["statusCode"]
print(status, *sorted({name for name in set(sys.modules) - before if name.startswith(("slack", "boto3"))}), sep="\n")
"""


def test_what_slack_did_not_sign_is_refused_without_bolt() -> None:
    environment = {
        "PATH": "",
        "DAYPASS_TABLE": "daypass",
        "DAYPASS_CATALOGUE": "nowhere.toml",
        "DAYPASS_HUB_ACCOUNT": "123456789012",
        "DAYPASS_SLACK_SIGNING_SECRET": "arn:aws:ssm:eu-central-1:123456789012:parameter/one",
        "DAYPASS_SLACK_BOT_TOKEN": "arn:aws:ssm:eu-central-1:123456789012:parameter/two",
        "AWS_REGION": "eu-central-1",
    }
    command = [sys.executable, "-c", KNOCKED]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment).stdout
    assert [line for line in told.split("\n") if line and not line.startswith("{")] == ["401"]
