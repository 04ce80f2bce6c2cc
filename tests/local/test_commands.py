"""`daypass local` and `daypass token` as processes, which is what they are."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from daypass.local import example, tour
from daypass.local.embedded_aws import HUB_ACCOUNT
from daypass.local.folder import Folder, Stage

ROOT = Path(__file__).resolve().parents[2]
DAYPASS = [sys.executable, "-m", "daypass.commands"]
FREE = ["--port", "0", "--aws-port", "0"]


def _environment(**more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAYPASS_"))}
    return {**ours, **more}


class Running:
    def __init__(self, process: subprocess.Popen[str], stage: Stage, told: list[str]) -> None:
        self.process, self.stage, self.told = process, stage, told
        self._more = threading.Condition()

    def listen(self) -> None:
        for line in self.process.stdout or []:
            with self._more:
                self.told.append(line.rstrip())
                self._more.notify_all()

    def told_until(self, end: str) -> list[str]:
        """What was said up to a line that ends so: an answer may be here before its line is."""
        with self._more:
            assert self._more.wait_for(lambda: any(line.endswith(end) for line in self.told), timeout=30), self.told
            return list(self.told)

    def asked(self, path: str, *, token: str | None = None, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        call = urllib.request.Request(self.stage.api + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(call, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def token(self, name: str) -> str:
        done = _told("token", name, "--data", str(self.stage.folder.path))
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def stopped(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def running(data: Path, *more: str, **environment: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [*DAYPASS, "local", *FREE, "--data", str(data), *more],
        cwd=ROOT,
        env=_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    guard = threading.Timer(60, process.kill)
    guard.start()
    told: list[str] = []
    for line in process.stdout:
        told.append(line.rstrip())
        if told[-1] == tour.READY:
            break
    guard.cancel()
    stage = Folder(data).stage()
    assert stage is not None, "\n".join(told)
    started = Running(process, stage, told)
    rest = threading.Thread(target=started.listen, daemon=True)
    rest.start()
    try:
        yield started
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        rest.join(10)


def _told(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DAYPASS, *words],
        cwd=ROOT,
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Iterator[Running]:
    """A stage started in a shell that is full of somebody's real AWS."""
    shell = {
        "AWS_ACCESS_KEY_ID": "AKIAREALLYREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_PROFILE": "production",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "DAYPASS_TABLE": "production",
    }
    with running(tmp_path_factory.mktemp("local") / "data", **shell) as started:
        yield started


def _ask(role: str) -> dict[str, Any]:
    return {"role": role, "duration_seconds": 3600, "reason": "a test of the local stage"}


def test_a_person_is_who_the_token_says(local):
    assert local.asked("/v1/me", token=local.token("bob"))[1]["id"] == "bob@example.com"
    assert (
        local.asked("/v1/me", token=local.token("robot"))[1]["id"] == "local-cluster/system:serviceaccount:ci:deployer"
    )


def test_the_provider_publishes_what_verifies_its_keys_signatures_and_what_the_operators_command_would(local, tmp_path):
    hub = {"AWS_ACCESS_KEY_ID": HUB_ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": local.stage.aws}
    catalogue = str(local.stage.folder.catalogue)
    publish = ("issuer", "publish", catalogue, "--to", str(tmp_path), "--local", "--hub-account", HUB_ACCOUNT)
    assert _told(*publish, **hub).returncode == 0
    provider = "/local/issuers/provider"
    discovery = local.asked(f"{provider}/.well-known/openid-configuration")[1]
    assert discovery["issuer"] == local.stage.api + provider
    [key] = local.asked(discovery["jwks_uri"].removeprefix(local.stage.api))[1]["keys"]
    assert json.loads((tmp_path / ".well-known" / "jwks.json").read_text()) == {"keys": [key]}
    kms = example.kms_of_the_hub(local.stage.aws)
    signature = kms.sign(
        KeyId=example.provider_key(local.stage.aws), Message=b"x", SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256"
    )["Signature"]
    public: Any = jwt.PyJWK(key).key
    public.verify(signature, b"x", PKCS1v15(), SHA256())


def test_the_local_catalogue_passes_the_operators_check(local):
    checked = _told("check", str(local.stage.folder.catalogue), "--local", "--hub-account", HUB_ACCOUNT)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_whole_way_gives_credentials_of_the_broker_alone(local):
    """Whatever AWS the shell had: the session is lent by the broker's role, and it works."""
    status, lent = local.asked("/v1/credentials", token=local.token("alice"), body=_ask("sandbox-admin"))
    assert status == 200
    assert lent["AssumedRoleUser"]["Arn"].startswith("arn:aws:sts::111111111111:assumed-role/SandboxAdmin/")


def test_there_is_one_tidy_line_for_a_request(local):
    local.asked("/v1/roles?q=secret-in-query", token=local.token("alice"))
    local.asked("/v1/health")
    local.asked("/v1/me")
    told = local.told_until("GET /v1/me 401")
    assert [line.split(maxsplit=1)[1] for line in told if "/v1/roles" in line] == ["GET /v1/roles 200"]
    assert not [line for line in told if "/v1/health" in line or "secret-in-query" in line]


def test_an_emergency_its_review_and_a_revocation_are_announced_at_the_terminal(local):
    fire = {**_ask("payments-admin"), "reason": "payments are down for everybody", "break_glass": True}
    _, lent = local.asked("/v1/credentials", token=local.token("carol"), body=fire)
    path, id = f"/v1/requests/{lent['RequestId']}", lent["RequestId"][-8:]
    found = {"verdict": "justified", "comment": "saw it on the pager"}
    assert local.asked(f"{path}/review", token=local.token("dave"), body=found)[0] == 200
    assert local.asked(f"{path}/revoke", token=local.token("dave"), body={"comment": "it is over"})[0] == 200
    told = [line for line in local.told_until(f"from carol@example.com, {id}") if id in line]
    timed = [line.split(maxsplit=1)[1] for line in told if line[:1].isdigit()]
    announced = [line for line in timed if not line.startswith(("GET", "POST"))]
    assert [line.partition(":")[0] for line in announced] == ["BREAK-GLASS", "REVIEWED", "REVOKED"]
    assert '"level":"CRITICAL"' in next(
        line for line in local.stage.folder.api_log.read_text().splitlines() if "break_glass_opened" in line
    )


def test_the_sweeper_runs_as_it_does_in_lambda(local):
    """Also the first time: what ran out while nobody served is announced when somebody does."""
    swept: list[str] = []
    for _ in range(1000):  # it began when the server did, and takes as long as a few calls
        assert local.asked("/v1/health")[0] == 200
        swept = [line for line in local.stage.folder.api_log.read_text().splitlines() if '"swept"' in line]
        if swept:
            break
    assert [json.loads(line)["finished"] for line in swept] == [True]


def test_nothing_secret_reaches_terminal_or_log(local):
    token = local.token("carol")
    _, lent = local.asked("/v1/credentials", token=local.token("alice"), body=_ask("payments-read"))
    local.asked("/v1/me", token=token)
    everything = "\n".join(local.told) + local.stage.folder.api_log.read_text()
    for secret in (token, token.rpartition(".")[2], lent["SecretAccessKey"], lent["SessionToken"]):
        assert secret not in everything


def test_an_approval_is_shown_as_slack_would_and_followed_to_its_end(local):
    carol, frank = local.token("carol"), local.token("frank")
    _, asked = local.asked("/v1/requests", token=carol, body=_ask("payments-admin"))
    local.told_until(f"Request {asked['id']}")
    approve = f"/v1/requests/{asked['id']}/approve"
    assert local.asked(approve, token=frank, body={"comment": "go ahead"})[0] == 200
    local.told_until("> go ahead")
    assert local.asked(f"/v1/requests/{asked['id']}/cancel", token=carol, body={})[0] == 200
    local.told_until("carol@example.com no longer asks for payments-admin")
    messages = _messages(local.told_until(f"Request {asked['id']}"), asked["id"])
    assert [(message[0], message[1]) for message in messages] == [
        ("  ┌ Slack #sre-approvals", "  │ ⏳ carol@example.com asks for payments-admin"),
        ("  ┌ Slack #sre-approvals, the same message", "  │ ✅ carol@example.com may use payments-admin"),
        ("  ┌ Slack #sre-approvals, the same message", "  │ ↩️ carol@example.com no longer asks for payments-admin"),
    ]
    assert ["  │ [Approve] [Shorten…] [Deny]" in message for message in messages] == [True, False, False]


def _messages(told: list[str], id: str) -> list[list[str]]:
    """What Slack is told of a request, a message at a time, as the terminal shows it."""
    frames: list[list[str]] = []
    for line in told:
        if line.startswith("  ┌"):
            frames.append([])
        if line.startswith(("  ┌", "  │")):
            frames[-1].append(line)
    return [frame for frame in frames if f"  │ Request {id}" in frame]


def test_the_issuers_publish_what_verifies_their_tokens(local):
    token = local.token("frank")
    issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
    path = issuer.removeprefix(local.stage.api)
    discovery = local.asked(f"{path}/.well-known/openid-configuration")[1]
    assert discovery["issuer"] == issuer
    keys = jwt.PyJWKSet.from_dict(local.asked(discovery["jwks_uri"].removeprefix(local.stage.api))[1])
    assert (
        jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], ["ES256"], audience="daypass")["sub"]
        == "frank"
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": "many"}, 400),
        ({"Content-Length": "-1"}, 400),
        ({"Content-Length": "99999999999"}, 413),
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(local, headers, status):
    connection = http.client.HTTPConnection(local.stage.api.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v1/requests")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_the_tour_is_printed_with_the_real_addresses(local):
    printed = "\n".join(local.told)
    assert f"export DAYPASS_URL={local.stage.api} DAYPASS_DATA={local.stage.folder.path}" in printed
    assert f"endpoint_url = {local.stage.aws}" in printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_requests_survive_every_way_of_stopping_but_fresh(tmp_path, number):
    """After a kill -9 too: the embedded AWS outlives us for the moment that its last snapshot takes."""
    data = tmp_path / "data"
    with running(data) as first:
        _, asked = first.asked("/v1/requests", token=first.token("alice"), body=_ask("payments-read"))
        assert first.stopped(number) == (-number if number == signal.SIGKILL else 0)
        assert (first.told[-1] == "Stopped.") == (number != signal.SIGKILL)
    _wait_for_the_lock(data / "aws" / "lock")
    with running(data) as second:
        _, found = second.asked(f"/v1/requests/{asked['id']}", token=second.token("alice"))
        assert found["state"] == "ready"
        assert second.stopped(signal.SIGTERM) == 0
    with running(data, "--fresh") as third:
        assert third.asked(f"/v1/requests/{asked['id']}", token=third.token("alice"))[0] == 404


def _wait_for_the_lock(path: Path) -> None:
    import fcntl

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_a_token_is_printed_and_nothing_else(local):
    done = _told("token", "alice", DAYPASS_DATA=str(local.stage.folder.path))
    assert done.stderr == ""
    assert jwt.decode(done.stdout.rstrip("\n"), options={"verify_signature": False})["email"] == "alice@example.com"
    assert done.stdout.count("\n") == 1


def test_an_unknown_name_gets_the_list_of_names(local):
    done = _told("token", "mallory", "--data", str(local.stage.folder.path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "alice, bob, carol, dave, eve, frank, robot" in done.stderr


def test_without_a_data_folder_there_is_no_token(tmp_path):
    done = _told("token", "alice", "--data", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "start `daypass local`" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--port", "--aws-port"])
def test_a_taken_port_is_one_clear_sentence(tmp_path, option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _told("local", *FREE, option, port, "--data", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Port {port} on 127.0.0.1 is taken" in done.stderr
    assert done.stderr.count("\n") == 1


def test_fresh_refuses_a_foreign_folder(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = _told("local", *FREE, "--data", str(tmp_path), "--fresh")
    assert done.returncode == 1
    assert "nothing was touched" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_start_in_the_same_folder_is_refused(local):
    done = _told("local", *FREE, "--data", str(local.stage.folder.path), "--fresh")
    assert done.returncode == 1
    assert "Another `daypass local`" in done.stderr
    assert local.asked("/v1/me", token=local.token("alice"))[0] == 200
