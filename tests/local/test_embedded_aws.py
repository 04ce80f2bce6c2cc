from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from daypass.local.embedded_aws import HOST, CannotStart, EmbeddedAws
from tests.local.accounts import PAYMENTS, as_root, as_session, broker

ROOT = Path(__file__).resolve().parents[2]


def _until(true: Callable[[], bool]) -> bool:
    """Whether it becomes true within 20 s: what we wait for is another process, not time."""
    give_up = time.monotonic() + 20
    while not true():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def _listening(pid: int) -> set[str]:
    """The addresses, as /proc has them, that a process listens on."""
    inodes = {os.readlink(link).removeprefix("socket:[").rstrip("]") for link in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {line[1] for line in lines if line[3] == "0A" and line[9] in inodes}


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs Linux's /proc")
def test_it_listens_on_loopback_and_on_one_port_only(aws):
    assert _listening(aws.pid) == {f"0100007F:{aws.port:04X}"}


def test_any_account_answers_as_itself(aws):
    assert as_root("sts", aws.url, PAYMENTS).get_caller_identity()["Account"] == PAYMENTS


def test_a_session_needs_its_own_secret_and_token(aws):
    keys = broker(aws.url)
    for wrong, code in (
        ({"SecretAccessKey": "guess"}, "SignatureDoesNotMatch"),
        ({"SessionToken": "guess"}, "InvalidClientTokenId"),
    ):
        with pytest.raises(ClientError, match=code):
            as_session("sts", aws.url, {**keys, **wrong}).get_caller_identity()


def test_a_web_page_is_refused(aws):
    connection = http.client.HTTPConnection(HOST, aws.port, timeout=10)
    connection.request("POST", "/_ministack/reset", headers={"Origin": "https://evil.example"})
    assert connection.getresponse().status == 403
    connection.close()


def _put(aws: EmbeddedAws, key: str) -> None:
    s3 = as_root("s3", aws.url, PAYMENTS)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key=key, Body=b"kept")
    as_root("sqs", aws.url, PAYMENTS).create_queue(QueueName=key)


def _has(aws: EmbeddedAws, key: str) -> bool:
    found = as_root("s3", aws.url, PAYMENTS).get_object(Bucket="kept", Key=key)["Body"].read()
    queues = as_root("sqs", aws.url, PAYMENTS).list_queues().get("QueueUrls", [])
    return found == b"kept" and [queue.rpartition("/")[2] for queue in queues] == [key]


def test_state_survives_a_stop(tmp_path):
    with EmbeddedAws.started(data=tmp_path) as first:
        _put(first, "one")
    with EmbeddedAws.started(data=tmp_path) as second:
        assert _has(second, "one")


def test_state_survives_a_kill_after_a_snapshot(tmp_path):
    with EmbeddedAws.started(data=tmp_path) as first:
        _put(first, "one")
        snapshot = tmp_path / "aws" / "state" / "sqs.json"
        assert _until(lambda: snapshot.exists() and "one" in snapshot.read_text())
        os.kill(first.pid, signal.SIGKILL)
    with EmbeddedAws.started(data=tmp_path) as second:
        assert _has(second, "one")


def test_a_killed_parent_takes_it_along_and_the_state_is_kept(tmp_path):
    program = (
        "import sys; from pathlib import Path; from daypass.local.embedded_aws import EmbeddedAws\n"
        "aws = EmbeddedAws.started(data=Path(sys.argv[1])); print(aws.port, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    port = int(parent.stdout.readline())
    as_root("sqs", f"http://{HOST}:{port}", PAYMENTS).create_queue(QueueName="one")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    parent.stdin.close()

    def gone() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) != 0

    assert _until(gone)
    assert _until(lambda: "one" in (tmp_path / "aws" / "state" / "sqs.json").read_text())


def test_a_taken_port_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {port} on {HOST} is taken"):
            EmbeddedAws.started(data=tmp_path, port=port)


def test_one_folder_has_one_embedded_aws(tmp_path):
    with EmbeddedAws.started(data=tmp_path), pytest.raises(CannotStart, match="Another Daypass uses"):
        EmbeddedAws.started(data=tmp_path)


def test_a_child_that_dies_shows_its_last_lines(tmp_path):
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "lock").mkdir()  # where a file should be
    with pytest.raises(CannotStart, match="IsADirectoryError"):
        EmbeddedAws.started(data=tmp_path)


def test_stopping_twice_is_fine(tmp_path):
    aws = EmbeddedAws.started(data=tmp_path)
    aws.stop()
    aws.stop()


def test_the_state_is_for_its_owner_only(tmp_path):
    with EmbeddedAws.started(data=tmp_path) as aws:
        _put(aws, "one")
    assert [path for path in (tmp_path / "aws" / "state").iterdir() if path.stat().st_mode & 0o077] == []
