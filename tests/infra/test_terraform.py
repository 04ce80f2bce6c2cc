"""infra/terraform: the same templates for people who use Terraform, with nothing of theirs left out or changed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cloudformation import ROOT, template

MODULES = ["hub", "target-account"]
LARGEST = 51_200
"""Bytes of a TemplateBody. https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html"""


def module(name: str) -> str:
    return (ROOT / "infra" / "terraform" / name / "main.tf").read_text("utf-8")


def variables(text: str) -> dict[str, dict[str, Any]]:
    found = {}
    for variable, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, flags=re.MULTILINE | re.DOTALL):
        pairs = re.findall(r"^  (\w+) += (.+)$", body, flags=re.MULTILINE)
        found[variable] = {key: value if key == "type" else json.loads(value) for key, value in pairs}
    return found


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("name", MODULES)
def test_a_variable_is_a_parameter_with_its_default_and_its_words(name):
    given = variables(module(name))
    assert given.pop("stack_name")
    parameters = template(f"{name}.yaml")["Parameters"]
    assert list(given) == [snake(parameter) for parameter in parameters]
    for parameter, declared in parameters.items():
        ours = given[snake(parameter)]
        assert ours["description"] == declared["Description"].strip()
        is_list = declared["Type"] == "CommaDelimitedList"
        assert ours.get("default") == ([] if is_list else declared.get("Default"))
        assert ours["type"] == {"Number": "number", "CommaDelimitedList": "list(string)"}.get(
            declared["Type"], "string"
        )


@pytest.mark.parametrize("name", MODULES)
def test_every_parameter_is_passed_on_to_the_template(name):
    passed = re.findall(r"^    (\w+) += (?:join\(\",\", |tostring\()?var\.(\w+)\)?$", module(name), flags=re.MULTILINE)
    assert [(parameter, snake(parameter)) for parameter in template(f"{name}.yaml")["Parameters"]] == passed
    assert f'template_body = file("${{path.module}}/../../{name}.yaml")' in module(name)
    assert (ROOT / "infra" / f"{name}.yaml").stat().st_size < LARGEST
