"""cfn-lint: every template is valid as CloudFormation and its services describe it, and so are the policies in it.

It knows IAM's grammar and every action that IAM knows (E3510 to E3514, W3037), from data of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cloudformation import ROOT, TEMPLATES
from tests.test_template import STAGES, template

api = pytest.importorskip("cfnlint.api", reason="cfn-lint comes with the extra `dev`")


def findings(text: str) -> list[str]:
    return [f"{found.rule.id} {found.message}" for found in api.lint(text)]


def test_there_are_templates():
    assert TEMPLATES == ["emergency.yaml", "hub.yaml", "issuer.yaml", "observability.yaml", "target-account.yaml"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_nothing_to_find(name):
    assert findings((ROOT / "infra" / name).read_text("utf-8")) == []


@pytest.mark.parametrize("stage", STAGES)
def test_the_package_has_nothing_to_find_with_ours_in_it(stage, tmp_path: Path, monkeypatch):
    (tmp_path / "deployment.zip").touch()
    monkeypatch.chdir(tmp_path)
    assert findings(json.dumps(template(stage))) == []


SMALL = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      MaxSessionDuration: 3600
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub "arn:${AWS::Partition}:iam::123456789012:root"}
            Action: sts:SetSourceIdentity
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("sts:SetSourceIdentity", "sts:SetSourceIdentiti"),
        ("Effect: Allow", "Effect: Permit"),
        ("MaxSessionDuration", "MaxSessionLength"),
        ("AWS::Partition", "Partition"),
    ],
)
def test_a_mistake_would_be_found(right, wrong):
    assert findings(SMALL) == []
    assert findings(SMALL.replace(right, wrong)) != []
