"""The revoker: the rules of `ports.Revoker`, which IAM and its fake both keep; then what becomes of IAM's answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from chalicelib.aws import clients
from chalicelib.aws.revoker import WITHIN, IamRevoker
from chalicelib.aws.role_policies import LONGEST_CALL
from chalicelib.broker import asking, deciding, lending, revoking
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import CannotDeny, Revoker
from chalicelib.core import denies
from chalicelib.core.denies import AHEAD, NEEDED, PERSON_ABOVE, ROLE_ABOVE, Cut
from chalicelib.core.policy_grammar import minified
from chalicelib.core.request import Covers
from chalicelib.core.revocation import LATE
from daypass.local import example
from tests.builders import HOUR, NOW, SECOND, an_id
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

    # Its 5 s are not this machine's, which may be busy; tests/aws/test_widening.py counts them.
    return Target(IamRevoker(broker_session(aws.url), example.REGION, clock=lambda: 0.0), denied)


def a_cut(role_arn: str = ADMIN, id: str | None = None, **changed: Any) -> Cut:
    cut = Cut(role_arn=role_arn, request_id=id or an_id(), source_identity="carol@example.com", before=NOW)
    return replace(cut, **changed)


def test_a_deny_is_at_its_role_and_at_no_other_until_it_is_taken_away(target: Target) -> None:
    cut, other = a_cut(READ), a_cut(READ)
    ids = {cut.request_id, other.request_id}
    for each in (cut, other):
        assert target.revoker.deny(each) == denies.named(each, Covers.REQUEST)
    assert ids <= target.denied(READ)
    assert target.denied(ADMIN).isdisjoint(ids)
    target.revoker.allow_again(cut, Covers.REQUEST, NOW)
    assert target.denied(READ) & ids == {other.request_id}
    target.revoker.allow_again(other, Covers.REQUEST, NOW)


def test_both_may_be_done_twice(target: Target) -> None:
    cut = a_cut(READ)
    for _ in range(2):
        target.revoker.deny(cut)
        assert cut.request_id in target.denied(READ)
    for _ in range(2):
        target.revoker.allow_again(cut, Covers.REQUEST, NOW)
        assert cut.request_id not in target.denied(READ)


def test_where_there_is_no_such_role_there_is_none_under_daypass_and_so_the_revoker_may_not(target: Target) -> None:
    cut = a_cut(NOBODY)
    for act in (lambda: target.revoker.deny(cut), lambda: target.revoker.allow_again(cut, Covers.REQUEST, NOW)):
        with pytest.raises(CannotDeny, match="AccessDenied") as caught:
            act()
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


# Near the limit of what a role's inline policies may hold, which the embedded AWS does not have.


@pytest.fixture
def nearly_full(seeded) -> Iterator[Callable[[int], Any]]:
    """Fills payments-admin with somebody else's policies up to so many characters; tells the account's IAM."""
    iam = as_root("iam", seeded.url, PAYMENTS)
    role = "PaymentsAdmin"

    def fill(characters: int) -> Any:
        there = iam.list_role_policies(RoleName=role)["PolicyNames"]
        used = sum(len(minified(iam.get_role_policy(RoleName=role, PolicyName=n)["PolicyDocument"])) for n in there)
        put = {"RoleName": role, "PolicyName": "filler"}
        bare = len(minified(json.loads(filler(0))))
        # With white space, which does not count.
        iam.put_role_policy(**put, PolicyDocument=json.dumps(json.loads(filler(characters - used - bare)), indent=4))
        return iam

    def empty() -> None:
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            if name != "daypass":
                iam.delete_role_policy(RoleName=role, PolicyName=name)

    empty()  # other tests leave their denies
    yield fill
    empty()


def filler(length: int) -> str:
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + "x" * length}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


@pytest.mark.parametrize(
    ("characters", "covers"),
    [(PERSON_ABOVE - 200, Covers.REQUEST), (PERSON_ABOVE, Covers.PERSON), (ROLE_ABOVE, Covers.ROLE)],
)
def test_a_nearly_full_role_gets_a_wider_deny_by_the_name_and_words_that_are_judged_elsewhere(
    hub: Hub, nearly_full, characters: int, covers: Covers
) -> None:
    iam, cut = nearly_full(characters), a_cut()
    standing = hub.world.revoker.deny(cut)
    assert standing == denies.named(cut, covers)
    assert set(iam.list_role_policies(RoleName="PaymentsAdmin")["PolicyNames"]) >= {standing.name, "daypass", "filler"}
    written = iam.get_role_policy(RoleName="PaymentsAdmin", PolicyName=standing.name)["PolicyDocument"]
    assert written == json.loads(denies.document(cut, covers))
    own = denies.named(cut, Covers.REQUEST).name in iam.list_role_policies(RoleName="PaymentsAdmin")["PolicyNames"]
    assert own == (covers is Covers.REQUEST)
    hub.world.revoker.allow_again(cut, covers, cut.before + NEEDED)
    assert set(iam.list_role_policies(RoleName="PaymentsAdmin")["PolicyNames"]) == {"daypass", "filler"}


def test_a_deny_of_the_whole_role_cuts_everybodys_sessions_and_who_is_lent_anew_works(
    hub: Hub, seeded, keys, nearly_full
) -> None:
    carols, bobs = keys(CAROL, FRANK), keys(BOB, FRANK)
    nearly_full(ROLE_ABOVE)
    # The instant is half a minute after the revocation: to see what is lent after it, this one was revoked before that.
    now = hub.world.now
    earlier = replace(hub.world, now=lambda: now() - AHEAD + SECOND)
    request = revoking.revoke(earlier, FRANK, carols.request_id, comment="no")
    assert request.revocation is not None
    [deny] = request.revocation.denies
    assert deny.covers is Covers.ROLE
    assert (reads(seeded, carols), reads(seeded, bobs)) == (False, False)
    while hub.world.now() < request.revocation.stopped_at + AHEAD:  # a second
        assert not reads(seeded, bobs)
    assert reads(seeded, lending.lend(hub.world, BOB, bobs.request_id))
    assert not reads(seeded, bobs)


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


NOTHING = {"PolicyNames": [], "IsTruncated": False}
TO_WRITE = ["iam:DeleteRolePolicy", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:PutRolePolicy"]
STEPS = {
    "write": (TO_WRITE, lambda revoker, cut: revoker.deny(cut)),
    "remove": (["iam:DeleteRolePolicy"], lambda revoker, cut: revoker.allow_again(cut, Covers.REQUEST, NOW)),
    "remove a wide one": (
        ["iam:DeleteRolePolicy", "iam:ListRolePolicies"],
        lambda revoker, cut: revoker.allow_again(cut, Covers.ROLE, NOW),
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_the_revoker_is_assumed_by_its_own_name_for_what_the_step_needs_on_one_role(stubbed, step: str) -> None:
    revoker, sts, iam = stubbed
    actions, act = STEPS[step]
    only = {"Effect": "Allow", "Action": actions, "Resource": ADMIN}
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
    own = {"RoleName": "PaymentsAdmin", "PolicyName": "daypass-deny-01K0000000000000000000000B"}
    if step == "write":
        iam.add_response("put_role_policy", {}, {**own, "PolicyDocument": ANY})
    if step != "remove":
        names = [own["PolicyName"]] if step == "remove a wide one" else []
        iam.add_response("list_role_policies", {**NOTHING, "PolicyNames": names}, {"RoleName": "PaymentsAdmin"})
    if step != "write":
        iam.add_response("delete_role_policy", {}, own)
    act(revoker, a_cut(id="01K0000000000000000000000B"))
    sts.assert_no_pending_responses()
    iam.assert_no_pending_responses()


def test_another_partition_has_its_own_revoker(stubbed) -> None:
    revoker, sts, iam = stubbed
    arn = "arn:aws-cn:iam::222222222222:role/daypass-revoker/DaypassRevoker"
    named = {"RoleArn": arn, "RoleSessionName": ANY, "DurationSeconds": 900, "Policy": ANY}
    sts.add_response("assume_role", ASSUMED, named)
    iam.add_response("put_role_policy", {})
    iam.add_response("list_role_policies", NOTHING)
    revoker.deny(a_cut(ADMIN.replace("arn:aws:", "arn:aws-cn:")))
    sts.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("AccessDenied", 403, "may write inline policies on arn:aws:iam::222222222222:role/daypass/PaymentsAdmin"),
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
        revoker.deny(a_cut())
    assert caught.value.code == code
    assert says in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__  # nor in a traceback


def test_an_account_without_a_revoker_is_told_as_such(stubbed) -> None:
    revoker, sts, _ = stubbed
    sts.add_client_error("assume_role", "AccessDenied", "…", 403)
    with pytest.raises(CannotDeny, match="DaypassRevoker exists, trusts the broker"):
        revoker.deny(a_cut())


def test_only_a_missing_role_or_policy_is_fine_when_removing(stubbed) -> None:
    revoker, sts, iam = stubbed
    for code in ("NoSuchEntity", "AccessDenied"):
        sts.add_response("assume_role", ASSUMED)
        iam.add_client_error("delete_role_policy", code, "…", 403)
    revoker.allow_again(a_cut(), Covers.REQUEST, NOW)
    with pytest.raises(CannotDeny, match="AccessDenied"):
        revoker.allow_again(a_cut(), Covers.REQUEST, NOW)


def test_where_nobody_answers_that_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLEEX", "test")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(CannotDeny) as caught:
            IamRevoker(session, "eu-central-1").deny(a_cut())
    assert caught.value.code == "no-answer"


def test_no_call_lasts_longer_than_is_reckoned_with(stubbed) -> None:
    _, sts, iam = stubbed
    for client in (sts.client, iam.client):
        config: Any = client.meta.config
        assert config.retries["total_max_attempts"] == 1
        assert config.connect_timeout + config.read_timeout <= LONGEST_CALL
    assert 2 * LONGEST_CALL <= WITHIN
