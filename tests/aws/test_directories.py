"""The directories: what an identity store and a function are asked, and what becomes of their answers."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from chalicelib.aws import clients
from chalicelib.aws.directories import AwsDirectories, hurried
from chalicelib.broker.ports import About
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import Unavailable
from chalicelib.core.vouching import Directory
from tests.builders import HOUR, a_principal

STORE = Directory(name="store", identity_store="d-1234567890")
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:facts"
HOOK = Directory(name="hook", function=FUNCTION)
UUID = "00000000-0000-4000-8000-000000000000"
OF_STORE = {"IdentityStoreId": "d-1234567890"}
ALICE = a_principal("alice@example.com")
ABOUT = About(role="payments-admin", account_id="222222222222", duration=HOUR, ticket="OPS-1")


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Aws:
    """Clients that answer what they were told to, in order, and nothing else."""

    def __init__(self) -> None:
        session = botocore.session.Session()
        session.set_credentials("AKIAEXAMPLE", "secret")
        self.made: list[tuple[str, str | None]] = []
        self.clients = {name: session.create_client(name, "us-east-1") for name in ("identitystore", "lambda")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def client(self, service: str, region: str | None) -> Any:
        self.made.append((service, region))
        return self.clients[service]

    def store(self, operation: str, answer: dict[str, Any], asked: dict[str, Any]) -> None:
        self.stubs["identitystore"].add_response(operation, answer, {**OF_STORE, **asked})

    def knows_alice(self) -> None:
        user = {**OF_STORE, "UserId": "user-1", "UserArn": f"arn:aws:identitystore:::user/{UUID}"}
        self.store("get_user_id", user, by("emails.value", "alice@example.com"))

    def knows_group(self, name: str, id: str) -> None:
        group = {**OF_STORE, "GroupId": id, "GroupArn": f"arn:aws:identitystore:::group/{UUID}"}
        self.store("get_group_id", group, by("displayName", name))

    def tells_members(self, *ids: str, of: list[str]) -> None:
        results = [{"GroupId": id, "MembershipExists": id in ids} for id in of]
        self.store("is_member_in_groups", {"Results": results}, {"MemberId": {"UserId": "user-1"}, "GroupIds": of})

    def hook(self, payload: bytes, **more: Any) -> None:
        self.stubs["lambda"].add_response("invoke", {"StatusCode": 200, "Payload": io.BytesIO(payload), **more})

    def all_was_asked(self) -> None:
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()


def by(path: str, value: str) -> dict[str, Any]:
    return {"AlternateIdentifier": {"UniqueAttribute": {"AttributePath": path, "AttributeValue": value}}}


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def real(aws: Aws, clock: Clock) -> AwsDirectories:
    return AwsDirectories(aws.client, clock)


def groups(*names: str) -> frozenset[str]:
    return frozenset(names)


# IAM Identity Center


def test_an_identity_store_tells_which_of_the_wanted_groups_a_person_is_in(real: AwsDirectories, aws: Aws) -> None:
    aws.knows_alice()
    aws.knows_group("oncall", "group-1")
    aws.knows_group("sre", "group-2")
    aws.tells_members("group-2", of=["group-1", "group-2"])
    assert real.groups(STORE, groups("sre@store", "oncall@store"), ALICE, None) == groups("sre@store")
    aws.all_was_asked()


def test_who_is_not_in_the_identity_store_is_in_none_of_its_groups(real: AwsDirectories, aws: Aws) -> None:
    aws.stubs["identitystore"].add_client_error("get_user_id", "ResourceNotFoundException", http_status_code=404)
    assert real.groups(STORE, groups("sre@store"), ALICE, None) == groups()


def test_a_group_that_is_not_in_the_identity_store_has_nobody(real: AwsDirectories, aws: Aws) -> None:
    aws.knows_alice()
    aws.stubs["identitystore"].add_client_error("get_group_id", "ResourceNotFoundException", http_status_code=404)
    assert real.groups(STORE, groups("sre@store"), ALICE, None) == groups()


def test_workloads_are_in_no_identity_store_and_none_is_asked(real: AwsDirectories, aws: Aws) -> None:
    robot = a_principal("local-cluster/system:serviceaccount:ci:deployer", kind=Kind.WORKLOAD)
    assert real.groups(STORE, groups("sre@store"), robot, None) == groups()


def test_more_groups_than_one_call_takes_are_asked_in_several(real: AwsDirectories, aws: Aws) -> None:
    names = [f"g{number:03d}" for number in range(101)]
    aws.knows_alice()
    for name in names:
        aws.knows_group(name, f"id-{name}")
    aws.tells_members("id-g000", of=[f"id-{name}" for name in names[:100]])
    aws.tells_members("id-g100", of=["id-g100"])
    wanted = groups(*(f"{name}@store" for name in names))
    assert real.groups(STORE, wanted, ALICE, None) == groups("g000@store", "g100@store")
    aws.all_was_asked()


def test_given_a_slow_identity_store_when_three_seconds_are_over_then_it_counts_as_silent(
    real: AwsDirectories, aws: Aws, clock: Clock
) -> None:
    aws.knows_alice()
    client = aws.clients["identitystore"]
    client.meta.events.register("after-call.*.*", lambda **_: setattr(clock, "now", clock.now + 3))
    with pytest.raises(Unavailable, match="too-slow"):
        real.groups(STORE, groups("sre@store"), ALICE, None)


# A function


def test_a_function_is_asked_in_its_own_region_for_what_it_is_to_tell(real: AwsDirectories, aws: Aws) -> None:
    question = {
        "schema": 1,
        "principal": {"id": "alice@example.com", "kind": "human", "issuer": "local", "mfa": True},
        "ask": {"role": "payments-admin", "account_id": "222222222222", "duration_seconds": 3600, "ticket": "OPS-1"},
        "groups": ["oncall", "ticket-open"],
    }
    answer = {"StatusCode": 200, "Payload": io.BytesIO(b'{"groups": ["oncall", "never-asked"]}')}
    aws.stubs["lambda"].add_response("invoke", answer, {"FunctionName": FUNCTION, "Payload": json.dumps(question)})
    wanted = groups("oncall@hook", "ticket-open@hook")
    assert real.groups(HOOK, wanted, ALICE, ABOUT) == groups("oncall@hook")
    assert aws.made == [("lambda", "eu-central-1")]


@pytest.mark.parametrize(
    "payload", [b"", b"not json", b"[]", b"{}", b'{"groups": "sre"}', b'{"groups": [1]}', b"[" * 100_000]
)
def test_what_is_no_answer_of_a_function_is_silence(real: AwsDirectories, aws: Aws, payload: bytes) -> None:
    aws.hook(payload)
    with pytest.raises(Unavailable):
        real.groups(HOOK, groups("oncall@hook"), ALICE, None)


def test_a_function_that_failed_is_silence_and_what_it_said_is_not_repeated(
    real: AwsDirectories, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.hook(b'{"errorMessage": "token=s3cret"}', FunctionError="Unhandled")
    with pytest.raises(Unavailable) as refused:
        real.groups(HOOK, groups("oncall@hook"), ALICE, None)
    assert "s3cret" not in str(refused.value) + capsys.readouterr().out


# Either


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalServerException"])
@pytest.mark.parametrize("directory", [STORE, HOOK], ids=["store", "hook"])
def test_given_an_error_of_aws_then_it_is_silence_and_nothing_is_kept_of_it(
    real: AwsDirectories, aws: Aws, directory: Directory, code: str
) -> None:
    service, operation = ("lambda", "invoke") if directory.function else ("identitystore", "get_user_id")
    aws.stubs[service].add_client_error(operation, code)
    wanted = groups(f"sre@{directory.name}")
    with pytest.raises(Unavailable, match=code):
        real.groups(directory, wanted, ALICE, None)
    if directory.function:
        aws.hook(b'{"groups": ["sre"]}')
    else:
        aws.knows_alice()
        aws.knows_group("sre", "group-1")
        aws.tells_members("group-1", of=["group-1"])
    assert real.groups(directory, wanted, ALICE, None) == wanted


def test_given_nobody_listening_then_it_is_silence() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLE", "secret")
    make: Callable[..., Any] = lambda service, region: session.create_client(  # noqa: E731
        service, "us-east-1", endpoint_url=nobody, config=clients._HURRIED
    )
    with pytest.raises(Unavailable, match="no-answer"):
        AwsDirectories(make).groups(HOOK, groups("sre@hook"), ALICE, None)


def test_what_was_told_is_kept_for_a_minute(real: AwsDirectories, aws: Aws, clock: Clock) -> None:
    aws.hook(b'{"groups": ["sre"]}')
    assert real.groups(HOOK, groups("sre@hook"), ALICE, ABOUT) == groups("sre@hook")
    clock.now += 59.9
    assert real.groups(HOOK, groups("sre@hook"), ALICE, ABOUT) == groups("sre@hook")
    clock.now += 0.1
    aws.hook(b'{"groups": []}')
    assert real.groups(HOOK, groups("sre@hook"), ALICE, ABOUT) == groups()


def test_what_was_told_serves_no_other_person_no_other_ask_and_no_group_that_was_not_asked_for(
    real: AwsDirectories, aws: Aws
) -> None:
    wanted = groups("sre@hook")
    aws.hook(b'{"groups": ["sre"]}')
    assert real.groups(HOOK, wanted, ALICE, ABOUT) == wanted
    aws.hook(b'{"groups": []}')
    assert real.groups(HOOK, wanted, a_principal("bob@example.com"), ABOUT) == groups()
    aws.hook(b'{"groups": []}')
    longer = About(role="payments-admin", account_id="222222222222", duration=HOUR + timedelta(1), ticket="OPS-1")
    assert real.groups(HOOK, wanted, ALICE, longer) == groups()
    aws.hook(b'{"groups": ["sre", "oncall"]}')
    more = groups("sre@hook", "oncall@hook")
    assert real.groups(HOOK, more, ALICE, ABOUT) == more
    aws.all_was_asked()


def test_the_ids_of_groups_are_kept_for_an_hour_that_of_a_missing_one_for_a_minute(
    real: AwsDirectories, aws: Aws, clock: Clock
) -> None:
    wanted = groups("oncall@store", "sre@store")
    aws.knows_alice()
    aws.stubs["identitystore"].add_client_error("get_group_id", "ResourceNotFoundException", http_status_code=404)
    aws.knows_group("sre", "group-2")
    aws.tells_members("group-2", of=["group-2"])
    assert real.groups(STORE, wanted, ALICE, None) == groups("sre@store")
    clock.now += 61
    aws.knows_alice()
    aws.knows_group("oncall", "group-1")
    aws.tells_members("group-1", "group-2", of=["group-1", "group-2"])
    assert real.groups(STORE, wanted, ALICE, None) == wanted
    aws.all_was_asked()


def test_clients_give_up_after_two_and_a_half_seconds_and_do_not_try_again() -> None:
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLE", "secret")
    config = hurried(session, "us-east-1")("lambda", "eu-central-1").meta.config
    assert config.connect_timeout + config.read_timeout == 2.5
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
