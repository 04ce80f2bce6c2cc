from __future__ import annotations

import os
from pathlib import Path

import boto3
import pytest

from chalicelib import settings
from daypass.local import server
from daypass.local.embedded_aws import CannotStart
from daypass.local.folder import Folder, Stage, write_private

SHELL = {
    "PATH": "/bin",
    "HOME": "/home/ann",
    "AWS_ACCESS_KEY_ID": "AKIAREALLYREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL_DYNAMODB": "https://dynamodb.us-east-1.amazonaws.com",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/real",
    "AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/real",
    "DAYPASS_TABLE": "production",
    "DAYPASS_API_ID": "real",
    "DAYPASS_DEBUG": "1",
    "DAYPASS_SLACK_SIGNING_SECRET": "s",
    "DAYPASS_SLACK_BOT_TOKEN": "t",
    "DAYPASS_SLACK_API": "http://127.0.0.1:9/api/",
    "DAYPASS_SLACK": "production",
    "HTTPS_PROXY": "http://proxy.example",
    "http_proxy": "http://proxy.example",
}


def test_nothing_of_the_shells_aws_gets_through(tmp_path):
    environment = server.environment(SHELL, Folder(tmp_path))
    assert not [name for name, value in environment.items() if "real" in value or "production" in value]
    assert not [name for name in environment if name.lower().endswith("_proxy")]
    assert {name: environment[name] for name in ("PATH", "HOME", "DAYPASS_DEBUG")} == {
        "PATH": "/bin",
        "HOME": "/home/ann",
        "DAYPASS_DEBUG": "1",
    }


def test_slacks_secrets_of_the_shell_are_meant_for_here(tmp_path):
    environment = server.environment(SHELL, Folder(tmp_path))
    assert {name: value for name, value in environment.items() if "SLACK" in name} == {
        "DAYPASS_SLACK_SIGNING_SECRET": "s",
        "DAYPASS_SLACK_BOT_TOKEN": "t",
        "DAYPASS_SLACK_API": "http://127.0.0.1:9/api/",
    }
    assert settings.read(environment).slack_door is not None


def test_the_profile_makes_its_reader_the_brokers_role(aws, tmp_path, monkeypatch):
    data = Folder(tmp_path)
    write_private(data.broker_profile, server.broker_profile(aws.url))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment({}, data).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    sts = boto3.Session().client("sts")
    assert sts.get_caller_identity()["Arn"] == "arn:aws:sts::123456789012:assumed-role/daypass-broker/daypass-local"
    assert data.broker_profile.stat().st_mode & 0o777 == 0o600


def test_the_stage_has_an_emergency_queue_and_its_key_and_a_sign_in(aws, tmp_path, monkeypatch):
    for name in ("DAYPASS_EMERGENCY_QUEUE", "DAYPASS_EMERGENCY_KEY", "DAYPASS_SIGNIN"):
        monkeypatch.setenv(name, "unset")
    folder = Folder(tmp_path)
    server._furnish(Stage(folder, "http://127.0.0.1:8000", aws.url))
    ours = {
        name: value for name, value in os.environ.items() if name.startswith(("DAYPASS_EMERGENCY_", "DAYPASS_SIGNIN"))
    }
    read = settings.read({**server.environment({}, folder), **ours})
    assert read.emergency_queue == f"{aws.url}/123456789012/daypass-emergencies.fifo"
    assert (read.emergency_key or "").startswith("arn:aws:kms:us-east-1:123456789012:key/")
    assert read.signin == "http://127.0.0.1:8000/aws-console/federation"


def test_without_a_checkout_it_says_so(tmp_path: Path):
    with pytest.raises(CannotStart, match="needs a checkout"):
        server.loaded(tmp_path)
