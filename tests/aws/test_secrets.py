"""Secrets by ARN: fetched once, kept for a while, asked anew when they do not fit, and shown to nobody."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.aws.secrets import Secrets
from chalicelib.core.refusals import Unavailable
from daypass.local.embedded_aws import EmbeddedAws
from daypass.local.example import REGION, root

SECRET = "CANARY-signing-secret"
NEWER = "CANARY-newer-secret"


class Kept:
    """A secret as an operator keeps it, and the session of one container, which counts its calls."""

    def __init__(self, aws: EmbeddedAws, service: str, name: str) -> None:
        self.seconds = 0.0
        self.calls: Counter[str] = Counter()
        self.service, self.name = service, name
        self.operator: Any = botocore.session.Session().create_client(
            service, region_name=REGION, **root("123456789012", aws.url)
        )
        session = botocore.session.Session()
        session.set_credentials("123456789012", "test")
        session.register("before-send.*.*", lambda **event: self.calls.update([event["event_name"].rpartition(".")[2]]))
        self.session = session
        self.arn = self._put(SECRET)
        self.secrets = Secrets(session, clock=lambda: self.seconds)

    def _put(self, text: str) -> str:
        if self.service == "secretsmanager":
            return str(self.operator.create_secret(Name=self.name, SecretString=text)["ARN"])
        self.operator.put_parameter(Name=f"/{self.name}", Value=text, Type="SecureString")
        return f"arn:aws:ssm:{REGION}:123456789012:parameter/{self.name}"

    def rotate(self, text: str = NEWER) -> None:
        if self.service == "secretsmanager":
            self.operator.put_secret_value(SecretId=self.name, SecretString=text)
        else:
            self.operator.put_parameter(Name=f"/{self.name}", Value=text, Type="SecureString", Overwrite=True)

    def fail(self, with_: object) -> None:
        self.session.register("before-send.*.*", lambda **_: _raised(with_))


def _raised(error: object) -> Any:
    assert isinstance(error, BaseException)
    raise error


@pytest.fixture(params=["secretsmanager", "ssm"])
def kept(request: pytest.FixtureRequest, embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Kept:
    for service in ("SECRETS_MANAGER", "SSM"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", embedded_aws.url)
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return Kept(embedded_aws, str(request.param), f"daypass/{name}")


def test_a_secret_is_fetched_once_in_five_minutes(kept: Kept) -> None:
    for seconds in (0, 1, 299.9):
        kept.seconds = seconds
        assert kept.secrets.get(kept.arn).value == SECRET
    assert kept.calls.total() == 1
    kept.rotate()
    kept.seconds = 300
    assert kept.secrets.get(kept.arn).value == NEWER
    assert kept.calls.total() == 2


def test_one_that_does_not_fit_any_more_is_asked_anew_once_a_minute(kept: Kept) -> None:
    assert kept.secrets.get(kept.arn).value == SECRET
    assert kept.secrets.changed(kept.arn) is None
    kept.rotate()
    kept.seconds = 59.9
    assert kept.secrets.changed(kept.arn) is None
    assert kept.calls.total() == 2
    kept.seconds = 60
    changed = kept.secrets.changed(kept.arn)
    assert changed is not None
    assert changed.value == NEWER
    assert kept.secrets.get(kept.arn).value == NEWER
    assert kept.calls.total() == 3


def test_where_aws_does_not_answer_the_old_one_is_used_and_without_one_it_says_so(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept.secrets.get(kept.arn).value == SECRET
    kept.fail(ReadTimeoutError(endpoint_url="http://127.0.0.1"))
    kept.seconds = 301
    with caplog.at_level(logging.ERROR, logger="daypass"):
        assert kept.secrets.get(kept.arn).value == SECRET
        with pytest.raises(Unavailable, match="log says which"):
            Secrets(kept.session).get(kept.arn)
    ours = [line for line in caplog.records if line.name == "daypass"]
    assert [(line.message, vars(line)["code"]) for line in ours] == [("secret_not_read", "ReadTimeoutError")] * 2


def test_a_secret_that_is_not_there_is_named_in_the_log_by_its_arn_and_code(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    missing = kept.arn.replace(kept.name, f"{kept.name}-missing")
    with caplog.at_level(logging.ERROR, logger="daypass"), pytest.raises(Unavailable):
        kept.secrets.get(missing)
    [line] = caplog.records
    assert vars(line)["arn"] == missing
    assert vars(line)["code"] in ("ResourceNotFoundException", "ParameterNotFound")


def test_an_empty_secret_is_none(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.rotate("  ")
    with pytest.raises(Unavailable):
        kept.secrets.get(kept.arn)


def test_neither_a_secret_nor_what_keeps_it_shows_it(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="daypass"):
        secret = kept.secrets.get(kept.arn)
    for shown in (repr(secret), str(secret), f"{secret}", repr(kept.secrets), repr(vars(kept.secrets)), caplog.text):
        assert "CANARY" not in shown


def test_what_is_no_arn_is_the_secret_itself_without_a_call() -> None:
    session: Any = None
    assert Secrets(session).get("plain").value == "plain"
