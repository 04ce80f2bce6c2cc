"""The revoker: the rules of `ports.Revoker`, which IAM and its fake both keep; then what becomes of IAM's answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from chalicelib.aws import clients
from chalicelib.aws.revoker import IamRevoker
from chalicelib.broker import asking, deciding, lending, revoking
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import CannotDeny, Revoker
from chalicelib.core.revocation import LATE
from daypass.local import example
from tests.builders import HOUR, an_id
from tests.fakes import FakeRevoker
from tests.hub import Hub, broker_session
from tests.local.accounts import PAYMENTS, as_root, as_session, broker, lent
from tests.people import BOB, CAROL, FRANK
from tests.stage import an_ask

READ, ADMIN, NOBODY = (f"arn:aws:iam::{PAYMENTS}:role/daypass/{n}" for n in ("PaymentsRead", "PaymentsAdmin", "Nobody"))
TOKEN = "the-revokers-token"


@dataclass(frozen=True)
class Target:
    """A revoker, and what an administrator of the target account sees of its work."""

    revoker: Revoker
    denied: Callable[[str], set[str]]


@pytest.fixture(params=["memory", "iam"])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "memory":
        fake = FakeRevoker({READ, ADMIN})
        return Target(fake, lambda arn: {id for role, id in fake.denied if role == arn})
    aws = request.getfixturevalue("seeded")
    for service in ("STS", "IAM"):
        request.getfixturevalue("monkeypatch").setenv(f"AWS_ENDPOINT_URL_{service}", aws.url)
    iam = as_root("iam", aws.url, PAYMENTS)

    def denied(arn: str) -> set[str]:
        names = iam.list_role_policies(RoleName=arn.rpartition("/")[2])["PolicyNames"]
        return {name.removeprefix("daypass-deny-") for name in names if name.startswith("daypass-deny-")}

    return Target(IamRevoker(broker_session(aws.url), example.REGION), denied)


def test_a_deny_is_at_its_role_and_at_no_other_until_it_is_taken_away(target: Target) -> None:
    id, other = an_id(), an_id()
    target.revoker.deny(READ, id)
    target.revoker.deny(READ, other)
    assert {id, other} <= target.denied(READ)
    assert target.denied(ADMIN).isdisjoint({id, other})
    target.revoker.allow_again(READ, id)
    assert target.denied(READ) & {id, other} == {other}
    target.revoker.allow_again(READ, other)


def test_both_may_be_done_twice(target: Target) -> None:
    id = an_id()
    for _ in range(2):
        target.revoker.deny(READ, id)
        assert id in target.denied(READ)
    for _ in range(2):
        target.revoker.allow_again(READ, id)
        assert id not in target.denied(READ)


def test_where_there_is_no_such_role_there_is_none_under_daypass_and_so_the_revoker_may_not(target: Target) -> None:
    for act in (target.revoker.deny, target.revoker.allow_again):
        with pytest.raises(CannotDeny, match="AccessDenied") as caught:
            act(NOBODY, an_id())
        assert caught.value.code == "AccessDenied"


# What it does to people.


@pytest.fixture
def keys(hub: Hub) -> Callable[[Any, Any], Credentials]:
    """A live session on payments-admin of somebody whom a lead approved."""

    def of(who, lead) -> Credentials:
        id = asking.ask(hub.world, who, an_ask(), None).request.id
        deciding.approve(hub.world, lead, id, comment=None, duration=None)
        return lending.lend(hub.world, who, id)

    return of


def reads(seeded, given: Credentials) -> bool:
    keys = {
        "AccessKeyId": given.access_key_id,
        "SecretAccessKey": given.secret_access_key.value,
        "SessionToken": given.session_token.value,
    }
    try:
        as_session("s3", seeded.url, keys).list_objects_v2(Bucket="payments-files")
    except ClientError as denied:
        if "explicit deny" not in str(denied):
            raise
        return False
    return True


def test_of_two_people_with_live_sessions_on_one_role_the_revoked_one_is_refused_by_s3_and_the_other_works(
    hub: Hub, seeded, keys
) -> None:
    carols, bobs = keys(CAROL, FRANK), keys(BOB, FRANK)
    assert reads(seeded, carols)
    assert reads(seeded, bobs)
    revoking.revoke(hub.world, FRANK, carols.request_id, comment="that was not the ledger")
    assert not reads(seeded, carols)
    assert reads(seeded, bobs)
    revoking.revoke(hub.world, FRANK, bobs.request_id, comment="nor was that")
    assert (reads(seeded, carols), reads(seeded, bobs)) == (False, False), "both are in force"


def test_all_sessions_of_a_request_are_cut_and_a_new_request_of_the_same_person_is_not(hub: Hub, seeded, keys) -> None:
    first = keys(CAROL, FRANK)
    second = lending.lend(hub.world, CAROL, first.request_id)
    revoking.revoke(hub.world, FRANK, first.request_id, comment="no")
    assert (reads(seeded, first), reads(seeded, second)) == (False, False)
    assert reads(seeded, keys(CAROL, FRANK))


def test_the_deny_is_gone_from_the_role_once_its_sessions_are_over(hub: Hub, seeded, keys) -> None:
    given = keys(CAROL, FRANK)
    request = revoking.revoke(hub.world, FRANK, given.request_id, comment="no")
    iam = as_root("iam", seeded.url, PAYMENTS)
    name = f"daypass-deny-{request.id}"
    assert name in iam.list_role_policies(RoleName="PaymentsAdmin")["PolicyNames"]
    settled = revoking.settle(hub.world, request, hub.world.now() + HOUR + LATE)
    assert name not in iam.list_role_policies(RoleName="PaymentsAdmin")["PolicyNames"]
    assert hub.world.requests.get(request.id) == settled
    assert settled.due_at() is None


def test_a_session_that_is_not_daypasss_is_not_touched(hub: Hub, seeded, keys) -> None:
    revoking.revoke(hub.world, FRANK, keys(CAROL, FRANK).request_id, comment="no")
    others = lent(as_session("sts", seeded.url, broker(seeded.url)), "payments-admin")
    assert as_session("s3", seeded.url, others).list_objects_v2(Bucket="payments-files")["KeyCount"]


# What it asks of AWS, and what becomes of the answers.


@pytest.fixture
def stubbed() -> Iterator[tuple[IamRevoker, Stubber, Stubber]]:
    """A revoker whose two clients answer as they are told."""
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLEEX", "test")
    sts = Stubber(clients.hurried_sts_client(session, "eu-central-1"))
    iam = Stubber(clients.hurried_iam_client(session, "eu-central-1", CREDENTIALS))  # type: ignore[arg-type]
    revoker = IamRevoker(session, "eu-central-1", iam=lambda *_: iam.client)  # type: ignore[arg-type]
    revoker.__dict__["_sts"] = sts.client
    with sts, iam:
        yield revoker, sts, iam


CREDENTIALS = {
    "AccessKeyId": "ASIAEXAMPLEEXAMPLEEX",
    "SecretAccessKey": "the-revokers-secret",
    "SessionToken": TOKEN,
    "Expiration": "2026-11-23T12:15:00Z",
}
ASSUMED = {"Credentials": CREDENTIALS}


def test_the_revoker_is_assumed_by_its_own_name_for_one_action_on_one_role(stubbed) -> None:
    revoker, sts, iam = stubbed
    only = {"Effect": "Allow", "Action": "iam:PutRolePolicy", "Resource": ADMIN}
    sts.add_response(
        "assume_role",
        ASSUMED,
        {
            "RoleArn": f"arn:aws:iam::{PAYMENTS}:role/daypass-revoker/DaypassRevoker",
            "RoleSessionName": "daypass-deny-01K0000000000000000000000B",
            "DurationSeconds": 900,
            "Policy": json.dumps({"Version": "2012-10-17", "Statement": [only]}, separators=(",", ":")),
        },
    )
    iam.add_response(
        "put_role_policy",
        {},
        {
            "RoleName": "PaymentsAdmin",
            "PolicyName": "daypass-deny-01K0000000000000000000000B",
            "PolicyDocument": ANY,
        },
    )
    revoker.deny(ADMIN, "01K0000000000000000000000B")


def test_another_partition_has_its_own_revoker(stubbed) -> None:
    revoker, sts, iam = stubbed
    arn = "arn:aws-cn:iam::222222222222:role/daypass-revoker/DaypassRevoker"
    named = {"RoleArn": arn, "RoleSessionName": ANY, "DurationSeconds": 900, "Policy": ANY}
    sts.add_response("assume_role", ASSUMED, named)
    iam.add_response("put_role_policy", {})
    revoker.deny(ADMIN.replace("arn:aws:", "arn:aws-cn:"), "01K")


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("AccessDenied", 403, "may write inline policies on arn:aws:iam::222222222222:role/daypass/PaymentsAdmin"),
        ("LimitExceeded", 409, "10,240"),
        ("NoSuchEntity", 404, "no arn:aws:iam::222222222222:role/daypass/PaymentsAdmin any more"),
        ("Throttling", 400, "not known"),
        ("ServiceFailure", 500, "not known"),
    ],
)
def test_a_no_is_told_with_its_code_and_without_awss_words(stubbed, code, status, says) -> None:
    revoker, sts, iam = stubbed
    sts.add_response("assume_role", ASSUMED)
    iam.add_client_error("put_role_policy", code, f"x-amz-security-token:{TOKEN}", status)
    with pytest.raises(CannotDeny, match=f"^{code}: ") as caught:
        revoker.deny(ADMIN, "01K")
    assert caught.value.code == code
    assert says in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__  # nor in a traceback


def test_an_account_without_a_revoker_is_told_as_such(stubbed) -> None:
    revoker, sts, _ = stubbed
    sts.add_client_error("assume_role", "AccessDenied", "…", 403)
    with pytest.raises(CannotDeny, match="DaypassRevoker exists, trusts the broker"):
        revoker.deny(ADMIN, "01K")


def test_only_a_missing_role_or_policy_is_fine_when_removing(stubbed) -> None:
    revoker, sts, iam = stubbed
    for code in ("NoSuchEntity", "AccessDenied"):
        sts.add_response("assume_role", ASSUMED)
        iam.add_client_error("delete_role_policy", code, "…", 403)
    revoker.allow_again(ADMIN, "01K")
    with pytest.raises(CannotDeny, match="AccessDenied"):
        revoker.allow_again(ADMIN, "01K")


def test_where_nobody_answers_that_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLEEX", "test")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(CannotDeny) as caught:
            IamRevoker(session, "eu-central-1").deny(ADMIN, "01K")
    assert caught.value.code == "no-answer"


def test_both_calls_together_give_up_within_five_seconds(stubbed) -> None:
    _, sts, iam = stubbed
    waits = 0.0
    for client in (sts.client, iam.client):
        config: Any = client.meta.config
        assert config.retries["total_max_attempts"] == 1
        waits += config.connect_timeout + config.read_timeout
    assert waits <= 5
