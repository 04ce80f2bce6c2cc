"""What of the dependencies never gets into the zip: tests/test_zip.py runs the function without it."""

from __future__ import annotations

import re

SERVICES = frozenset(
    {
        "dynamodb", "events", "iam", "identitystore", "kms", "lambda", "s3", "secretsmanager", "sns", "sqs", "ssm",
        "sts",
    }
)  # fmt: skip
"""Those that the function makes clients of: botocore's data of all the others is more than half of Chalice's zip."""

UNUSED = (
    r"aws_lambda_powertools/(event_handler|utilities/(?!jmespath_utils/|__init__)[^/]+)",
    r"cffi",  # cryptography needs its compiled backend alone, which lies beside it
    r"dateutil/zoneinfo",
    r"pycparser",
    r"pydantic/(mypy|v1)",
    r"slack",
    r"slack_bolt/(.+/)?async_[^/]+",
    r"slack_bolt/adapter/(?!aws_lambda/|__init__)[^/]+",
    r"slack_sdk/(audit_logs|rtm_v2|scim|socket_mode)",
    r"slack_sdk/web/(async|legacy)_[^/]+",
)
"""Packages and modules, by their path without `.py`, that nothing of ours and nothing that we call ever imports."""

# For type checkers, installers and readers. A package's METADATA is read while running, by importlib.metadata.
_NOT_FOR_RUNNING = re.compile(
    r".*\.pyi|[^/]+\.dist-info/(RECORD|WHEEL|INSTALLER|REQUESTED|direct_url\.json)|[^/]+\.data/.*|(.*/)?__pycache__/.*"
    r"|boto3/(data|examples)/.*|botocore/data/.*/examples-1\.json(\.gz)?"
)
_SERVICE = re.compile(r"botocore/data/(?P<service>[^/]+)/.*")
_UNUSED = re.compile(rf"({'|'.join(UNUSED)})(\.py|/.*)")


def needless(path: str) -> bool:
    """Whether a file of Chalice's zip is left out. path: its name there."""
    service = _SERVICE.fullmatch(path)
    if service and service["service"] not in SERVICES:
        return True
    return any(left_out.fullmatch(path) for left_out in (_NOT_FOR_RUNNING, _UNUSED))
