"""docs/deploying.md and docs/emergency-drill.md: what they have people type fits the templates."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import jmespath  # type: ignore[import-untyped]
import pytest

from chalicelib.core.catalogue_file import read_catalogue
from daypass.local.embedded_aws import HUB_ACCOUNT
from tests.cloudformation import ROOT, template
from tests.test_template import template as package

DEPLOYING = ROOT / "docs" / "deploying.md"
DRILL = ROOT / "docs" / "emergency-drill.md"


def blocks(document: Path, language: str) -> list[str]:
    text = "\n".join(line.removeprefix("   ") for line in document.read_text("utf-8").splitlines())
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def deployments(document: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The templates of ours that are deployed, each with the parameters that it is given."""
    for line in "".join(blocks(document, "sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        if "--template-file" not in words or "--parameter-overrides" not in words:
            continue
        named = words[words.index("--template-file") + 1]
        given = words[words.index("--parameter-overrides") + 1 :]
        if named.startswith("infra/"):
            yield named.removeprefix("infra/"), dict(each.split("=", 1) for each in given)


WRITTEN = [*deployments(DEPLOYING), *deployments(DRILL)]


def test_hub_target_and_emergency_are_deployed_in_the_docs():
    assert [name for name, _ in WRITTEN] == ["hub.yaml", "target-account.yaml", "emergency.yaml"]


@pytest.mark.parametrize(("name", "given"), WRITTEN, ids=[name for name, _ in WRITTEN])
def test_every_parameter_that_is_needed_is_given_as_the_template_takes_it(name: str, given: Mapping[str, str]):
    parameters = template(name)["Parameters"]
    needed = {each for each, parameter in parameters.items() if "Default" not in parameter}
    assert needed <= given.keys() <= parameters.keys()
    for each, value in given.items():
        pattern = parameters[each].get("AllowedPattern", ".*")
        assert re.fullmatch(pattern, value), each


def test_the_catalogue_is_one_and_asks_for_the_role_that_the_target_accounts_stack_makes():
    [text] = blocks(DEPLOYING, "toml")
    [role] = read_catalogue(text, hub_account=HUB_ACCOUNT).roles.values()
    given = dict(WRITTEN)["target-account.yaml"]
    assert role.role_name == f"daypass/{given['RoleName']}"
    assert role.external_id == given["ExternalId"]


def test_the_hubs_outputs_reach_the_functions_but_for_slacks():
    """The AWS CLI passes over what a template has no parameter for."""
    [query] = re.findall(r'--query "(Stacks\[0\].Outputs\[\?!.*?)"', DEPLOYING.read_text("utf-8"))
    outputs = [{"OutputKey": key, "OutputValue": "value"} for key in template("hub.yaml")["Outputs"]]
    passed = {each.split("=")[0] for each in jmespath.search(query, {"Stacks": [{"Outputs": outputs}]})}
    parameters = package("prod")["Parameters"]
    assert {name for name, each in parameters.items() if "Default" not in each} <= passed
    assert passed & parameters.keys() >= {"BrokerRole", "TableStream", "EmergencyQueue", "EmergencyKey", "EventBus"}
    assert not {name for name in passed if name.startswith("Slack")}


def test_the_functions_stack_is_called_as_the_hubs_policies_say():
    text = DEPLOYING.read_text("utf-8")
    assert f"--stack-name {template('hub.yaml')['Parameters']['ApiStack']['Default']}" in text
