"""CloudFormation templates as the tests read them: in long form, their functions resolved for given parameters.

Only what Daypass's templates use is known; anything else raises KeyError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = sorted(
    path.name for path in (ROOT / "infra").glob("*.yaml") if "AWSTemplateFormatVersion" in path.read_text("utf-8")
)
_NOTHING = object()


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms, which become long ones."""


def _long(loader: Any, tag: str, node: Any) -> Any:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long)


def template(name: str) -> dict[str, Any]:
    """A template of infra/ in long form."""
    loaded: dict[str, Any] = yaml.load((ROOT / "infra" / name).read_text("utf-8"), Loader=_Loader)
    return loaded


class Stack:
    """A template with values for its parameters: what CloudFormation would ask the services for.

    Attributes of resources that only exist once they are made are written `LogicalId.Attribute`.
    """

    def __init__(self, name: str, account: str, region: str = "us-east-1", /, **given: str) -> None:
        self._template = template(name)
        declared = self._template.get("Parameters", {})
        assert given.keys() <= declared.keys()
        values = {key: given.get(key, each.get("Default")) for key, each in declared.items()}
        lists = {key for key, each in declared.items() if each["Type"] == "CommaDelimitedList"}
        assert None not in values.values(), values
        self._values: dict[str, Any] = {
            "AWS::AccountId": account,
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": "daypass",
            "AWS::NoValue": _NOTHING,
            **{key: str(value).split(",") if key in lists else value for key, value in values.items()},
        }

    @property
    def resources(self) -> dict[str, Any]:
        """Of every resource that is made, its properties."""
        return {
            name: self._resolved(resource.get("Properties", {}))
            for name, resource in self._template["Resources"].items()
            if "Condition" not in resource or self._holds({"Condition": resource["Condition"]})
        }

    def _resolved(self, part: Any) -> Any:
        if isinstance(part, list):
            return [value for each in part if (value := self._resolved(each)) is not _NOTHING]
        if not isinstance(part, dict):
            return part
        for name, argument in part.items() if len(part) == 1 else ():
            if name == "Ref" or name.startswith("Fn::"):
                return self._called(name, argument)
        return {key: value for key, each in part.items() if (value := self._resolved(each)) is not _NOTHING}

    def _called(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._values.get(argument, argument)
            case "Fn::GetAtt":
                return ".".join(argument)
            case "Fn::Sub":
                filled = re.sub(r"\$\{([A-Za-z0-9:.]+)\}", lambda name: str(self._called("Ref", name[1])), argument)
                return filled.replace("${!", "${")
            case "Fn::If":
                return self._resolved(argument[1] if self._holds({"Condition": argument[0]}) else argument[2])
            case "Fn::Join":
                return argument[0].join(self._resolved(argument[1]))
        raise KeyError(function)

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        [(function, argument)] = condition.items()
        match function:
            case "Condition":
                return self._holds(self._template["Conditions"][argument])
            case "Fn::Equals":
                return bool(self._resolved(argument[0]) == self._resolved(argument[1]))
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(self._holds(each) for each in argument)
            case "Fn::Or":
                return any(self._holds(each) for each in argument)
        raise KeyError(function)


def document(policy: Any) -> dict[str, Any]:
    """A policy document, also where the template has it as text."""
    read: dict[str, Any] = json.loads(policy) if isinstance(policy, str) else policy
    return read
