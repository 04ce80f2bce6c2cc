"""Reading and joining CloudTrail's log files beside plain `json.loads` of them; and memory as the files become many."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.stage import ROOT
from benchmarks.tables import Row
from chalicelib.core.joining import Books

ROUNDS = 15
FILES = (1, 10, 100, 1_000)
EVENTS_A_FILE = 100
SESSIONS = 50
_BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)
_ROLE = "arn:aws:iam::222222222222:role/daypass/Admin"


def rows() -> list[Row]:
    return [*speed(), *memory()]


def speed() -> list[Row]:
    """The files' texts are decompressed beforehand: gzip is the same for both."""
    mixed, worst = ([gzip.decompress(zipped(number, every)) for number in range(20)] for every in (4, 1))
    return [
        *_speed("one event in four a session's", mixed, 2),
        *_speed("every event a session's", worst, None),
        *(_speed("real files", real, 2) if (real := _real_texts()) else []),
    ]


def _speed(what: str, texts: list[bytes], target: float | None) -> Iterator[Row]:
    events = sum(len(json.loads(text)["Records"]) for text in texts)
    plain, joined = [], []
    for _ in range(ROUNDS):
        plain.append(_seconds(_load, texts))
        joined.append(_seconds(_join, texts))
    yield Row(f"{what}: json.loads", events / median(plain) / 1e3, "k events/s")
    yield Row(f"{what}: read and joined", events / median(joined) / 1e3, "k events/s")
    beside = median(ours / theirs for ours, theirs in zip(joined, plain, strict=True))
    yield Row(f"{what}: time beside json.loads", beside, "x", target)


def _seconds(call: Callable[[list[bytes]], None], texts: list[bytes]) -> float:
    begun = time.process_time()
    call(texts)
    return time.process_time() - begun


def _load(texts: list[bytes]) -> None:
    for text in texts:
        json.loads(text)


def _join(texts: list[bytes]) -> None:
    books = Books()
    for number, text in enumerate(texts):
        books.take_file(b"%d" % number, json.loads(text)["Records"])


def _real_texts() -> list[bytes]:
    """Those beside the checkout, if they are there."""
    for parent in ROOT.parents:
        if found := sorted((parent / "shared" / "data" / "cloudtrail" / "AWSLogs").rglob("*.json.gz")):
            return [gzip.decompress(path.read_bytes()) for path in found]
    return []


def memory() -> list[Row]:
    """What a process that reads so many files holds at most. They tell of the same sessions: those may grow."""
    with tempfile.TemporaryDirectory(prefix="daypass-bench-") as temporary:
        held = {}
        for count in FILES:
            folder = Path(temporary, str(count))
            folder.mkdir()
            for number in range(count):
                minute = _BEGUN + number * timedelta(minutes=1)
                name = f"222222222222_CloudTrail_us-east-1_{minute:%Y%m%dT%H%MZ}_0000000000000000.json.gz"
                (folder / name).write_bytes(zipped(number))
            held[count] = _held(folder)
    return [
        *(Row(f"{count:,} files: memory", value, "MiB") for count, value in held.items()),
        Row("1,000 files beside 1", held[1_000] / held[1], "x", 1.5),
    ]


# Not `ru_maxrss`, which a child begins with its parent's.
_IN_A_FRESH_INTERPRETER = """
import re, sys
from pathlib import Path
from chalicelib.aws.trail_files import in_folder
from daypass.operator.trails import joined
reading = joined(in_folder(Path(sys.argv[1])), None)
print(reading.files, re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""


def _held(folder: Path) -> float:
    """MiB, of Linux."""
    command = [sys.executable, "-c", _IN_A_FRESH_INTERPRETER, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1]) / 1024


def zipped(number: int, every: int = 1) -> bytes:
    """A log file: in the first one the sessions are issued; what follows is their use, or each `every`th event is."""
    issued = [_issuance(session) for session in range(SESSIONS)] if number == 0 else []
    ids = range(number * EVENTS_A_FILE, (number + 1) * EVENTS_A_FILE - len(issued))
    uses = [_use(id, **({} if id % every == 0 else _USERS)) for id in ids]
    return gzip.compress(json.dumps({"Records": [*issued, *uses]}).encode(), compresslevel=1)


def _record(id: int, **changed: Any) -> dict[str, Any]:
    at = _BEGUN + timedelta(seconds=id % 3_000)
    return {
        "eventVersion": "1.11",
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/linux#6.1 md/arch#aarch64 lang/python#3.13.7",
        "responseElements": None,
        "requestID": f"{id:08d}-0000-4000-8000-00000000000r",
        "eventID": f"{id:08d}-0000-4000-8000-000000000000",
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "222222222222",
        "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
        **changed,
    }


_USERS = {"type": "IAMUser", "arn": "arn:aws:iam::222222222222:user/zoe", "sessionContext": {}}


def _use(id: int, **changed: Any) -> dict[str, Any]:
    name = f"01K{id % SESSIONS:023d}-carol@example.com"
    identity = {
        "type": "AssumedRole",
        "principalId": f"AROAADMINADMINADMIN00:{name}",
        "arn": f"arn:aws:sts::222222222222:assumed-role/Admin/{name}",
        "accountId": "222222222222",
        "accessKeyId": f"ASIA{id % SESSIONS:016d}",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAADMINADMINADMIN00",
                "arn": _ROLE,
                "accountId": "222222222222",
                "userName": "Admin",
            },
            "attributes": {"creationDate": f"{_BEGUN:%Y-%m-%dT%H:%M:%SZ}", "mfaAuthenticated": "false"},
            "sourceIdentity": "carol@example.com",
        },
        **changed,
    }
    asked = {"bucketName": "payments-files", "Host": "payments-files.s3.us-east-1.amazonaws.com", "key": f"{id}.csv"}
    return _record(
        id, userIdentity=identity, eventSource="s3.amazonaws.com", eventName="GetObject", requestParameters=asked
    )


def _issuance(session: int) -> dict[str, Any]:
    name = f"01K{session:023d}-carol@example.com"
    lent = {
        "credentials": {"accessKeyId": f"ASIA{session:016d}", "expiration": "Nov 23, 2026, 1:00:00 PM"},
        "assumedRoleUser": {"assumedRoleId": f"AROAADMINADMINADMIN00:{name}"},
    }
    return _record(
        10**8 - session,
        userIdentity={"type": "AWSAccount", "principalId": "AROABROKER:daypass", "accountId": "123456789012"},
        eventSource="sts.amazonaws.com",
        eventName="AssumeRole",
        requestParameters={"roleArn": _ROLE, "roleSessionName": name, "durationSeconds": 3600},
        responseElements=lent,
    )
