"""STS as the lender: what it is asked, and what becomes of each of its answers."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.stub import Stubber

from chalicelib.aws.clients import sts_client
from chalicelib.aws.sts import StsLender
from chalicelib.broker.ports import Lent
from chalicelib.core.refusals import StsRefused, Unavailable
from chalicelib.core.session import SessionPlan
from daypass.local import example
from tests.local import accounts

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient

ROLE = "arn:aws:iam::222222222222:role/daypass/Admin"
EXTERNAL_ID = "hall-pass-7f3a"
PLAN = SessionPlan(
    role_arn=ROLE,
    session_name="01K0000000000000000000000A-alice@example.com",
    source_identity="alice@example.com",
    tags={"daypass:request": "01K0000000000000000000000B", "daypass:ticket": "OPS-1"},
    transitive=("daypass:request",),
    external_id=EXTERNAL_ID,
    duration=timedelta(minutes=15),
    policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
)
CALL: dict[str, Any] = {
    "RoleArn": ROLE,
    "RoleSessionName": "01K0000000000000000000000A-alice@example.com",
    "SourceIdentity": "alice@example.com",
    "Tags": [
        {"Key": "daypass:request", "Value": "01K0000000000000000000000B"},
        {"Key": "daypass:ticket", "Value": "OPS-1"},
    ],
    "TransitiveTagKeys": ["daypass:request"],
    "ExternalId": EXTERNAL_ID,
    "DurationSeconds": 900,
    "Policy": '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
}
UNSIGNED: Any = None  # nothing is signed where a plan has no token
ANSWER = {
    "Credentials": {
        "AccessKeyId": "ASIAEXAMPLEEXAMPLEEX",
        "SecretAccessKey": "the-secret-key",
        "SessionToken": "the-session-token",
        "Expiration": datetime(2026, 11, 23, 12, 15, tzinfo=UTC),
    },
    "AssumedRoleUser": {
        "AssumedRoleId": "AROAEXAMPLEEXAMPLEEX:01K0000000000000000000000A-alice@example.com",
        "Arn": "arn:aws:sts::222222222222:assumed-role/Admin/01K0000000000000000000000A-alice@example.com",
    },
    "ResponseMetadata": {"RequestId": "a3ead691-6855-45ed-aa48-b3714ddcff1f", "HTTPStatusCode": 200},
}


@cache
def session() -> botocore.session.Session:
    """One for all: a client of another session would read botocore's models anew."""
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLEEX", "test")
    return session


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    with Stubber(sts_client(session(), "eu-central-1")) as stubber:
        yield stubber


def lend(stubber: Stubber, plan: SessionPlan = PLAN) -> Lent:
    return StsLender(cast("STSClient", stubber.client), UNSIGNED).lend(plan)


class TestCall:
    def test_the_whole_plan_is_asked_for_and_the_whole_answer_told(self, stubber):
        stubber.add_response("assume_role", ANSWER, CALL)
        lent = lend(stubber)
        assert (lent.access_key_id, lent.secret_access_key.value) == ("ASIAEXAMPLEEXAMPLEEX", "the-secret-key")
        assert (lent.session_token.value, lent.region) == ("the-session-token", "eu-central-1")
        assert lent.expiration == datetime(2026, 11, 23, 12, 15, tzinfo=UTC)
        assert lent.assumed_role_arn.endswith(":assumed-role/Admin/01K0000000000000000000000A-alice@example.com")
        assert lent.assumed_role_id.startswith("AROAEXAMPLEEXAMPLEEX:")
        assert lent.request_id == "a3ead691-6855-45ed-aa48-b3714ddcff1f"

    def test_what_is_not_planned_is_not_sent(self, stubber):
        bare = {key: value for key, value in CALL.items() if key not in ("TransitiveTagKeys", "ExternalId")}
        stubber.add_response("assume_role", ANSWER, bare)
        lend(stubber, replace(PLAN, transitive=(), external_id=None))

    def test_no_secret_is_printed(self, stubber):
        stubber.add_response("assume_role", ANSWER, CALL)
        printed = repr(lend(stubber))
        assert "the-secret-key" not in printed
        assert "the-session-token" not in printed

    @pytest.mark.parametrize(
        "beyond",
        [
            {"role_arn": "arn:aws:iam::222222222222:user/x"},
            {"session_name": "a" * 65},
            {"source_identity": "a"},
            {"tags": {"aws:x": "y"}},
            {"transitive": ("other",)},
            {"external_id": "a b"},
            {"duration": timedelta(seconds=899)},
            {"duration": timedelta(seconds=43201)},
            {"policy": "x" * 2049},
        ],
    )
    def test_a_plan_beyond_the_limits_is_a_bug_and_never_sent(self, stubber, beyond):
        with pytest.raises(ValueError):  # and not Stubber's complaint of a call that was not expected
            lend(stubber, replace(PLAN, **beyond))


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "status", "check"),
        [
            ("AccessDenied", 403, "sts:SetSourceIdentity"),
            ("ValidationError", 400, "maximum session duration"),
            ("MalformedPolicyDocument", 400, "policy or scope"),
            ("PackedPolicyTooLarge", 400, "too large"),
            ("PackedPolicyTooLargeException", 400, "too large"),
            ("RegionDisabledException", 403, "switched off"),
            ("InvalidClientTokenId", 403, "InvalidClientTokenId"),
            ("SignatureDoesNotMatch", 403, "SignatureDoesNotMatch"),
            ("SomethingNew", 418, "SomethingNew"),
        ],
    )
    def test_a_no_is_certain_and_says_what_to_check(self, stubber, code, status, check):
        stubber.add_client_error("assume_role", code, "…", status, expected_params=CALL)
        with pytest.raises(StsRefused, match=check) as caught:
            lend(stubber)
        assert caught.value.code == code
        assert EXTERNAL_ID not in caught.value.detail
        if not check.startswith(("policy", "too")):
            assert ROLE in caught.value.detail

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("ExpiredToken", 403),
            ("ExpiredTokenException", 400),
            ("Throttling", 400),
            ("ThrottlingException", 400),
            ("ThrottledException", 400),
            ("TooManyRequestsException", 429),
            ("RequestLimitExceeded", 503),
            ("ServiceUnavailable", 503),
            ("InternalFailure", 500),
            ("500", 500),
            ("Unknown", 502),
            ("AccessDenied", 500),
        ],
    )
    def test_a_silence_is_not_a_no(self, stubber, code, status):
        stubber.add_client_error("assume_role", code, "…", status, expected_params=CALL)
        with pytest.raises(Unavailable) as caught:
            lend(stubber)
        assert caught.value.retry_after > timedelta(0)

    @pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("Throttling", 400), ("Unknown", 502)])
    def test_an_answer_that_lends_nothing_carries_the_id_that_cloudtrail_has_of_it(self, stubber, code, status):
        stubber.add_client_error("assume_role", code, "…", status, response_meta={"RequestId": "sts-1"})
        with pytest.raises((StsRefused, Unavailable)) as caught:
            lend(stubber)
        assert isinstance(caught.value, StsRefused | Unavailable)
        assert caught.value.calls == {"sts_request_id": "sts-1"}

    def test_awss_own_words_are_passed_on(self, stubber):
        words = (
            f"User: arn:aws:sts::123456789012:assumed-role/b/s is not authorized to perform: sts:TagSession on {ROLE}"
        )
        stubber.add_client_error("assume_role", "AccessDenied", words, 403)
        with pytest.raises(StsRefused) as caught:
            lend(stubber)
        assert caught.value.detail.endswith(f"AWS said: {words}")

    def test_but_not_where_they_hold_the_external_id(self, stubber):
        words = f"Value '{EXTERNAL_ID}' at 'externalId' failed to satisfy constraint"
        stubber.add_client_error("assume_role", "ValidationError", words, 400)
        with pytest.raises(StsRefused) as caught:
            lend(stubber)
        assert EXTERNAL_ID not in caught.value.detail
        assert "AWS said" not in caught.value.detail

    def test_and_not_where_they_may_hold_the_brokers_own_token(self, stubber):
        words = "The Canonical String for this request should have been 'POST x-amz-security-token:the-brokers-token'"
        stubber.add_client_error("assume_role", "SignatureDoesNotMatch", words, 403)
        with pytest.raises(StsRefused) as caught:
            lend(stubber)
        assert "the-brokers-token" not in caught.value.detail
        assert caught.value.__suppress_context__  # nor in a traceback


class Wire(BaseHTTPRequestHandler):
    """Answers with the status, content type and body that its server was told."""

    def do_POST(self) -> None:
        status, kind, body = self.server.answer  # type: ignore[attr-defined]
        self.server.asked += 1  # type: ignore[attr-defined]
        if status == 0:
            self.server.done.wait(10)  # type: ignore[attr-defined]
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def wire() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Wire)
    server.asked = 0
    server.done = threading.Event()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    yield server
    server.done.set()
    server.shutdown()
    server.server_close()


def impatient(port: int) -> StsLender:
    """A lender over the real wire that tries once and waits a moment."""
    config = Config(connect_timeout=0.3, read_timeout=0.3, retries={"total_max_attempts": 1})
    client = session().create_client(
        "sts", region_name="eu-central-1", endpoint_url=f"http://127.0.0.1:{port}", config=config
    )
    return StsLender(cast("STSClient", client), UNSIGNED)


class TestWire:
    """Over HTTP, through botocore's own parser."""

    @pytest.mark.parametrize(
        "answer",
        [
            (0, "", b""),
            (503, "text/html", b"<html>sorry"),
            (500, "text/xml", b""),
            (200, "text/html", b"<html>a captive portal"),
            (200, "text/xml", b""),
            (504, "text/xml", b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"),
        ],
    )
    def test_no_proper_answer_leaves_it_open_whether_there_is_a_session(self, wire, answer):
        wire.answer = answer
        with pytest.raises(Unavailable):
            impatient(wire.server_port).lend(PLAN)

    def test_a_proper_no(self, wire):
        error = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        wire.answer = (403, "text/xml", error)
        with pytest.raises(StsRefused, match="AWS said: no"):
            impatient(wire.server_port).lend(PLAN)

    def test_nobody_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(Unavailable):
                impatient(taken.getsockname()[1]).lend(PLAN)

    def test_a_broker_without_credentials_of_its_own(self):
        anonymous = botocore.session.Session()
        anonymous.register_component("credential_provider", botocore.credentials.CredentialResolver([]))
        with pytest.raises(Unavailable, match="credentials of its own"):
            StsLender(sts_client(anonymous, "eu-central-1"), UNSIGNED).lend(PLAN)

    def test_a_call_that_botocore_finds_wrong_is_a_bug(self):
        class Strict:
            def assume_role(self, **call: object) -> None:
                raise ParamValidationError(report="…")

        with pytest.raises(ParamValidationError):
            StsLender(Strict(), UNSIGNED).lend(PLAN)  # type: ignore[arg-type]

    def test_given_an_answer_that_breaks_off_then_the_secret_in_it_is_in_no_traceback(self, wire):
        broken_off = b"<AssumeRoleResponse><SecretAccessKey>the-secret-key</Secr"
        wire.answer = (200, "text/xml", broken_off)
        with pytest.raises(Unavailable) as caught:
            impatient(wire.server_port).lend(PLAN)
        assert "the-secret-key" not in "".join(traceback.format_exception(caught.value))


class TestClient:
    def test_it_asks_the_region(self):
        for region in ("us-east-1", "eu-central-1", "ap-east-1"):
            assert sts_client(session(), region).meta.endpoint_url == f"https://sts.{region}.amazonaws.com"

    def test_it_gives_up_before_api_gateway_does(self):
        config: Any = sts_client(session(), "us-east-1").meta.config
        tries = config.retries["total_max_attempts"]
        assert config.retries["mode"] == "standard"
        assert tries * (config.connect_timeout + config.read_timeout) + (tries - 1) < 15

    def test_it_obeys_aws_endpoint_url(self, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8001")
        own = botocore.session.Session()
        assert sts_client(own, "us-east-1").meta.endpoint_url == "http://127.0.0.1:8001"


@pytest.fixture(scope="module")
def broker(embedded_aws) -> StsLender:
    """The broker of the example, in the embedded AWS."""
    example.seed(embedded_aws.url)
    keys = accounts.broker(embedded_aws.url)
    own = botocore.session.Session()
    own.set_credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    client = own.create_client("sts", region_name=example.REGION, endpoint_url=embedded_aws.url)
    return StsLender(cast("STSClient", client), UNSIGNED)


@pytest.fixture
def plan() -> SessionPlan:
    role = accounts.role("payments-read")
    arn = f"arn:aws:iam::{role.account_id}:role/{role.role_name}"
    return replace(PLAN, role_arn=arn, external_id=role.external_id, transitive=())


class TestEmbeddedAws:
    def test_a_session_is_lent(self, embedded_aws, broker, plan):
        lent = broker.lend(plan)
        keys = {
            "AccessKeyId": lent.access_key_id,
            "SecretAccessKey": lent.secret_access_key.value,
            "SessionToken": lent.session_token.value,
        }
        who = accounts.as_session("sts", embedded_aws.url, keys).get_caller_identity()
        assert who["Arn"] == lent.assumed_role_arn
        assert who["Arn"].endswith(f"/{PLAN.session_name}")
        assert lent.expiration.tzinfo is UTC
        assert lent.request_id

    def test_a_wrong_external_id_is_refused(self, broker, plan):
        with pytest.raises(StsRefused) as caught:
            broker.lend(replace(plan, external_id="wrong-external-id"))
        assert caught.value.code == "AccessDenied"
        assert caught.value.calls["sts_request_id"]
        assert "wrong-external-id" not in caught.value.detail

    def test_a_role_that_is_not_there_is_refused(self, broker, plan):
        with pytest.raises(StsRefused):
            broker.lend(replace(plan, role_arn="arn:aws:iam::222222222222:role/daypass/Nobody"))
