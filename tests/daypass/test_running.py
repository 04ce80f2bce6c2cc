"""The environment of a command that is run with lent credentials: these, and no other way to any."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from daypass.running import environment, variables
from tests.daypass.conftest import CREDENTIALS


def test_the_command_has_the_lent_credentials_and_no_other_way_to_any() -> None:
    shell = {
        "PATH": "/bin",
        "AWS_REGION": "eu-central-1",
        "AWS_PROFILE": "mine",
        "AWS_ACCESS_KEY_ID": "AKIAMINE",
        "AWS_SECURITY_TOKEN": "old",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/x",
        "AWS_ROLE_ARN": "arn:aws:iam::111111111111:role/x",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x",
    }
    assert environment(shell, variables(CREDENTIALS)) == {
        "PATH": "/bin",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": CREDENTIALS["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["SecretAccessKey"],
        "AWS_SESSION_TOKEN": CREDENTIALS["SessionToken"],
        "AWS_CREDENTIAL_EXPIRATION": CREDENTIALS["Expiration"],
    }


def test_whatever_the_shell_had_sdks_take_the_lent_ones(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::111111111111:role/x\nsource_profile = default\n"
    )
    shell = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "none", "AWS_ROLE_ARN": "x", "PATH": ""}
    asks = "import botocore.session as s; c = s.Session().get_credentials(); print(c.access_key, c.method)"
    done = subprocess.run(
        [sys.executable, "-c", asks],
        env=environment(shell, variables(CREDENTIALS)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [CREDENTIALS["AccessKeyId"], "env"]
