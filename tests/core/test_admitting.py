"""Which statement of a trust policy could have let somebody in, as far as CloudTrail tells who they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.admitting import could_admit
from chalicelib.core.trail import Caller, Issuance, read
from tests.trails import ADMIN, BROKER, HUB, TARGET, a_pair, a_vouched

KEY = "ASIACAROL00000000001"
ZOE = Caller("IAMUser", f"arn:aws:iam::{TARGET}:user/zoe", TARGET, "AKIAZOE")
SESSION = Caller("AssumedRole", f"arn:aws:sts::{HUB}:assumed-role/daypass-broker/daypass-api", HUB, "ASIAX")
SERVICE = Caller("AWSService", "ec2.amazonaws.com", None, None)
SAML = Caller("SAMLUser", "xyz:zoe", None, None)


def caller_in(record: dict[str, Any]) -> Caller:
    fact = read(record)
    assert isinstance(fact, Issuance)
    return fact.caller


ELSEWHERE = caller_in(a_pair(KEY)[1])  # as the role's account is told of the hub's role
VOUCHED = caller_in(a_vouched(KEY))
PROVIDER = f"arn:aws:iam::{TARGET}:oidc-provider/id.example.com/daypass"


def trusting(principal: Any, action: Any = "sts:AssumeRole", **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": action, **more}]}


@pytest.mark.parametrize(
    ("principal", "caller"),
    [
        ("*", ZOE),
        ({"AWS": "*"}, ZOE),
        ({"AWS": TARGET}, ZOE),
        ({"AWS": f"arn:aws:iam::{TARGET}:root"}, ZOE),
        ({"AWS": [BROKER, ZOE.name]}, ZOE),
        ({"AWS": BROKER}, SESSION),
        ({"AWS": BROKER.replace("role/", "role/with/a/path/")}, SESSION),
        ({"AWS": SESSION.name}, SESSION),
        ({"AWS": BROKER}, ELSEWHERE),
        ({"AWS": f"arn:aws:iam::{HUB}:root"}, ELSEWHERE),
        ({"Service": "ec2.amazonaws.com"}, SERVICE),
    ],
)
def test_a_statement_that_names_the_caller_could_have_let_them_in(principal, caller) -> None:
    assert could_admit(trusting(principal), caller) == ["statement 1"]


@pytest.mark.parametrize(
    ("principal", "caller"),
    [
        ({"AWS": HUB}, ZOE),
        ({"AWS": BROKER}, ZOE),
        ({"AWS": BROKER + "-2"}, SESSION),
        ({"AWS": BROKER.replace(HUB, TARGET)}, SESSION),
        ({"AWS": BROKER.replace("role/", "user/")}, SESSION),
        ({"AWS": ADMIN}, ELSEWHERE),
        ({"AWS": "*"[:0]}, ZOE),
        ({"Service": "lambda.amazonaws.com"}, SERVICE),
        ({"Federated": PROVIDER}, ZOE),
        (None, ZOE),
        (7, ZOE),
    ],
)
def test_one_that_names_others_could_not(principal, caller) -> None:
    assert could_admit(trusting(principal), caller) == []


@pytest.mark.parametrize(
    "action", ["sts:AssumeRole", "sts:*", "*", "STS:assumeRole", ["sts:TagSession", "sts:Assume*"]]
)
def test_actions_may_be_patterns_whatever_their_case(action) -> None:
    assert could_admit(trusting({"AWS": TARGET}, action), ZOE)


@pytest.mark.parametrize("action", ["sts:TagSession", "s3:*", [], None, "sts:AssumeRoleWithWebIdentity"])
def test_other_actions_let_nobody_in(action) -> None:
    assert could_admit(trusting({"AWS": TARGET}, action), ZOE) == []


def test_a_web_identity_comes_by_its_provider_and_a_saml_user_by_any() -> None:
    by_token = trusting({"Federated": PROVIDER}, "sts:AssumeRoleWithWebIdentity")
    assert could_admit(by_token, VOUCHED) == ["statement 1"]
    assert could_admit(trusting({"Federated": f"{PROVIDER}-2"}, "sts:AssumeRoleWithWebIdentity"), VOUCHED) == []
    saml = trusting({"Federated": f"arn:aws:iam::{TARGET}:saml-provider/okta"}, "sts:AssumeRoleWithSAML")
    assert (could_admit(saml, SAML), could_admit(by_token, SAML)) == (["statement 1"], [])


def test_every_such_statement_is_named_and_that_it_has_conditions_is_said() -> None:
    policy = {
        "Statement": [
            {"Sid": "Broker", "Effect": "Allow", "Principal": {"AWS": BROKER}, "Action": "sts:AssumeRole"},
            {"Sid": "Zoe", "Effect": "Allow", "Principal": {"AWS": ZOE.name}, "Action": "sts:AssumeRole"},
            {"Effect": "Deny", "Principal": "*", "Action": "*"},
            {
                "Effect": "Allow",
                "Principal": {"AWS": TARGET},
                "Action": "sts:AssumeRole",
                "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            },
            {"Effect": "Allow", "NotPrincipal": {"AWS": HUB}, "NotAction": "s3:*"},
        ]
    }
    assert could_admit(policy, ZOE) == ["Zoe", "statement 4, if its conditions held", "statement 5"]


@pytest.mark.parametrize("policy", [None, [], {}, {"Statement": None}, {"Statement": ["x"]}, {"Statement": {}}])
def test_what_is_no_policy_names_nobody(policy) -> None:
    assert could_admit(policy, ZOE) == []


@given(
    st.text(max_size=40), st.sampled_from([ZOE, SESSION, ELSEWHERE, SERVICE, VOUCHED, Caller(None, None, None, None)])
)
def test_whatever_a_statement_says_it_is_read(text, caller) -> None:
    for policy in (trusting({"AWS": text}), trusting({"Service": [text]}), trusting("*", text), trusting({text: text})):
        could_admit(json.loads(json.dumps(policy)), caller)
