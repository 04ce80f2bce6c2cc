"""The IAM door: requests are signed as AWS verifies them, as the profile that DAYPASS_IAM names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from daypass.client import Client, DaypassError
from daypass.signing import Signer
from tests.daypass.conftest import REQUEST_ID, Asked, Said, Server, a_request, problem

ROOT = Path(__file__).parents[2]
KEY, SECRET, SESSION = "AKIAEXAMPLEEXAMPLE00", "canary-secret", "canary-session"
REGION = "eu-central-1"


@pytest.fixture(autouse=True)
def aws(tmp_path, monkeypatch):
    """An AWS configuration with the profiles `ci` and `empty`, and nothing else that AWS's order could find."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(
        f"[profile ci]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {SESSION}\n"
        f"region = {REGION}\n[profile empty]\nregion = {REGION}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return config


def is_signed(asked: Asked, url: str) -> bool:
    """As API Gateway verifies it: the signature is made again, by what arrived."""
    given = asked.headers["Authorization"]
    signed = given.split("SignedHeaders=")[1].split(",")[0].split(";")
    lower = {name.lower(): value for name, value in asked.headers.items()}
    again = AWSRequest(asked.method, url + asked.target, headers={name: lower[name] for name in signed}, data=asked.raw)
    auth = SigV4Auth(Credentials(KEY, SECRET, SESSION), "execute-api", REGION)
    again.context["timestamp"] = lower["x-amz-date"]
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    scope = f"Credential={KEY}/{lower['x-amz-date'][:8]}/{REGION}/execute-api/aws4_request"
    return given.endswith(f"Signature={signature}") and scope in given and lower["x-amz-security-token"] == SESSION


def a_client(server: Server, profile: str = "ci") -> Client:
    return Client(server.url, sign=Signer(server.url, profile), sleep=lambda _: None)


def test_every_request_is_signed_over_path_query_and_body(server):
    server.answers["GET", "/iam/v1/roles"] = Said(body={"items": [], "next_cursor": None})
    server.answers["POST", "/iam/v1/requests"] = Said(201, a_request())
    server.answers["POST", f"/iam/v1/requests/{REQUEST_ID}/cancel"] = Said(body=a_request())
    client = a_client(server)
    list(client.roles("a b/c+d=é~*"))
    client.ask("deploy", 3600, "release – né")
    client.cancel(REQUEST_ID)
    assert len(server.asked) == 3
    assert all(is_signed(asked, server.url) for asked in server.asked)
    assert "canary-secret" not in str(server.asked)


def test_what_was_tampered_with_is_not_signed(server):
    server.answers["POST", "/iam/v1/requests"] = Said(201, a_request())
    a_client(server).ask("deploy", 3600, "release")
    [asked] = server.asked
    changed: list[dict[str, Any]] = [{"raw": b"{}"}, {"target": "/iam/v1/roles"}, {"method": "PUT"}]
    assert is_signed(asked, server.url)
    assert not any(is_signed(Asked(**{**vars(asked), **change}), server.url) for change in changed)


def test_a_repetition_is_signed_anew(server):
    server.answers["GET", "/iam/v1/me"] = [problem(503, "unavailable", "Not now."), Said(body={"id": "robot"})]
    assert a_client(server).me() == {"id": "robot"}
    assert all(is_signed(asked, server.url) for asked in server.asked)


def test_1_is_what_awss_own_order_finds(server, monkeypatch):
    server.answers["GET", "/iam/v1/me"] = Said(body={"id": "robot"})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    monkeypatch.setenv("AWS_REGION", REGION)
    a_client(server, "1").me()
    assert is_signed(server.asked[0], server.url)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://abc123.execute-api.ap-southeast-2.amazonaws.com/prod", "ap-southeast-2"),
        ("https://abc123.execute-api.cn-north-1.amazonaws.com.cn/prod", "cn-north-1"),
        ("https://daypass.example.com", REGION),
        ("https://abc123.execute-api.us-east-1.amazonaws.com.example.com", REGION),
    ],
)
def test_the_region_is_the_apis_else_the_profiles(url, region):
    headers = Signer(url, "ci")("GET", f"{url}/iam/v1/me", {}, None)
    assert f"/{region}/execute-api/" in headers["Authorization"]


@pytest.mark.parametrize(
    ("profile", "words"), [("none", "ProfileNotFound"), ("empty", "finds no AWS credentials"), ("1", "finds no AWS")]
)
def test_who_cannot_sign_hears_why(server, profile, words):
    with pytest.raises(DaypassError, match=words):
        a_client(server, profile).me()
    assert server.asked == []


def test_without_a_region_it_asks_for_one(server, aws):
    aws.write_text(aws.read_text().replace(f"region = {REGION}\n", ""))
    with pytest.raises(DaypassError, match="AWS_REGION"):
        a_client(server).me()


def test_without_botocore_it_says_what_to_install():
    script = (
        "import sys, importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'botocore' else found(name, *rest)\n"
        "from daypass.commands import run\n"
        "sys.exit(run(['whoami']))\n"
    )
    env = {"PATH": os.environ["PATH"], "DAYPASS_IAM": "1", "DAYPASS_URL": "http://127.0.0.1:9", "HOME": os.devnull}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'daypass[iam]'" in done.stderr


def test_a_profile_whose_credentials_come_from_daypass_does_not_go_round_for_ever(server, aws):
    with aws.open("a") as config:
        config.write(
            f"[profile round]\nregion = {REGION}\n"
            f"credential_process = {sys.executable} -m daypass.commands credentials payments-admin\n"
        )
    env = {**os.environ, "DAYPASS_IAM": "round", "DAYPASS_URL": server.url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "daypass.commands", "whoami"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, server.asked) == (1, "", [])
    assert "CredentialRetrievalError" in done.stderr
