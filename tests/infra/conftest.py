"""Stacks on the embedded AWS: CloudFormation makes them, as far as ministack's does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests.cloudformation import ROOT
from tests.local.accounts import as_root

Deploy = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def organization(embedded_aws: EmbeddedAws) -> str:
    """The hub's organization, as aws:PrincipalOrgID tells it."""
    answer = as_root("organizations", embedded_aws.url, HUB_ACCOUNT).describe_organization()
    return str(answer["Organization"]["Id"])


@pytest.fixture(scope="session")
def deploy(embedded_aws: EmbeddedAws) -> Deploy:
    """Makes a stack of a template in an account. Returns its outputs."""

    def made(name: str, account: str, stack: str, **parameters: str) -> dict[str, str]:
        cloudformation = as_root("cloudformation", embedded_aws.url, account)
        cloudformation.create_stack(
            StackName=stack,
            TemplateBody=(ROOT / "infra" / name).read_text("utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        described: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        return {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}

    return made
