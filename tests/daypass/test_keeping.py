"""What `daypass credentials` keeps: for whom, until when, and what happens to it when many come at once."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daypass import keeping, tokens
from daypass.client import DaypassError
from daypass.saying import ERROR
from tests.daypass.conftest import CREDENTIALS, REQUEST_ID, TOKEN, Asked, Said, Server, a_request, problem
from tests.daypass.test_tokens import DAYPASS, a_login

ROOT = Path(__file__).parents[2]
FIELDS = ("Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId")
PROCESS = {name: CREDENTIALS[name] for name in FIELDS}
NOW = 1_900_000_000.0
QUARTER = keeping.FRESH_SECONDS
HOUR = 3600.0


def a_token(**claims: str) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def place(tmp_path: Path) -> str:
    found = keeping.place({"DAYPASS_CACHE": str(tmp_path / "kept"), "HOME": str(tmp_path)}, "payments-admin")
    assert found is not None
    return found


def keep(place: str, left: float, *, ends_in: float | None = None, ahead: float = 0.0, role: str = "r") -> float:
    """Minted now, for so long; tells when."""
    now = time.time()
    about = {"server": "http://127.0.0.1:8000", "role": role}
    ends_at = None if ends_in is None else now + ends_in
    keeping.keep(place, PROCESS, expires_at=now + left, ends_at=ends_at, ahead=ahead, about=about)
    return now


class TestHowLong:
    def test_keys_are_handed_out_again_until_a_quarter_of_an_hour_is_left(self, place):
        now = keep(place, HOUR, ends_in=2 * HOUR)
        assert keeping.kept(place, now + HOUR - QUARTER - 2) == PROCESS
        assert keeping.kept(place, now + HOUR - QUARTER + 1) is None

    def test_those_that_end_with_the_window_are_handed_out_to_its_end_and_never_after(self, place):
        now = keep(place, HOUR, ends_in=HOUR)
        assert keeping.kept(place, now + HOUR - 2) == PROCESS
        assert keeping.kept(place, now + HOUR + 1) is None

    def test_less_than_aws_lends_is_the_windows_rest_whether_its_end_is_known_or_not(self, place):
        now = keep(place, QUARTER - 60)
        assert keeping.kept(place, now + QUARTER - 62) == PROCESS

    def test_of_two_clocks_the_one_that_is_ahead_decides(self, place):
        now = keep(place, HOUR, ends_in=HOUR, ahead=600)
        assert keeping.kept(place, now + HOUR - 602) == PROCESS
        assert keeping.kept(place, now + HOUR - 599) is None
        now = keep(place, HOUR, ends_in=HOUR, ahead=-600)
        assert keeping.kept(place, now + HOUR + 1) is None

    def test_after_the_clock_was_set_back_nothing_that_is_kept_is_believed(self, place):
        now = keep(place, HOUR, ends_in=HOUR)
        assert keeping.kept(place, now - 600) is None

    @given(st.floats(1, 12 * HOUR), st.floats(0, 24 * HOUR), st.none() | st.floats(1, 24 * HOUR), st.floats(-900, 900))
    def test_whatever_the_clocks_say_nothing_is_handed_out_at_or_after_its_end(self, left, passed, ends_in, ahead):
        """By the server's clock, as long as nobody sets this machine's."""
        with tempfile.TemporaryDirectory() as folder:
            found = str(keeping.place({"DAYPASS_CACHE": folder, "HOME": folder}, "x"))
            now = keep(found, left, ends_in=ends_in, ahead=ahead)
            handed_out = keeping.kept(found, now + passed)
        if handed_out:
            assert passed + max(ahead, 0) < left + 1


class TestWhose:
    def test_each_server_person_and_request_or_role_has_a_place_of_its_own(self, tmp_path):
        ours = {
            "DAYPASS_CACHE": str(tmp_path),
            "DAYPASS_URL": "https://a.example",
            "DAYPASS_TOKEN": a_token(iss="i", sub="s"),
        }
        others = [
            ({**ours, "DAYPASS_URL": "https://b.example"}, "role"),
            ({**ours, "DAYPASS_TOKEN": a_token(iss="i", sub="t")}, "role"),
            ({**ours, "DAYPASS_TOKEN": a_token(iss="j", sub="s")}, "role"),
            ({**ours, "DAYPASS_TOKEN": "opaque"}, "role"),
            ({**ours, "DAYPASS_TOKEN": "another"}, "role"),
            ({**ours, "DAYPASS_TOKEN": "", "DAYPASS_TOKEN_COMMAND": "one"}, "role"),
            ({**ours, "DAYPASS_TOKEN": "", "DAYPASS_TOKEN_COMMAND": "other"}, "role"),
            ({**ours, "DAYPASS_TOKEN": "", "DAYPASS_TOKEN_FILE": "one"}, "role"),
            ({**ours, "DAYPASS_IAM": "profile"}, "role"),
            (ours, "another-role"),
        ]
        places = [keeping.place(environment, what) for environment, what in [(ours, "role"), *others]]
        assert len(set(places)) == len(places)

    def test_a_new_token_of_the_same_person_finds_what_the_old_one_kept(self, tmp_path):
        bearers = (a_token(iss="i", sub="s", exp=at) for at in ("1", "2"))
        places = {keeping.place({"DAYPASS_CACHE": str(tmp_path), "DAYPASS_TOKEN": token}, "r") for token in bearers}
        assert len(places) == 1

    def test_who_logs_in_after_somebody_else_finds_nothing_of_theirs(self, tmp_path):
        environment = {"DAYPASS_CACHE": str(tmp_path / "kept"), "HOME": str(tmp_path)}
        before = keeping.place({**environment, "DAYPASS_URL": DAYPASS}, "r")
        places: list[str | None] = []
        for subject in ("one", "other", "one"):
            tokens.logins(environment).keep(a_login(subject=subject, token=a_token(sub=subject, jti=str(len(places)))))
            places.append(keeping.place(environment, "r"))  # the one login that is stored says which server is meant
        assert places[0] == places[2]
        assert len({before, *places}) == 3

    def test_where_several_servers_could_be_meant_nothing_is_handed_out(self, tmp_path):
        environment = {"DAYPASS_CACHE": str(tmp_path / "kept"), "HOME": str(tmp_path)}
        for server in (DAYPASS, "https://other.example.com"):
            tokens.logins(environment).keep(a_login(server=server))
        with pytest.raises(DaypassError, match="DAYPASS_URL says which one"):
            keeping.place(environment, "r")

    def test_no_name_of_a_file_tells_a_token(self, place):
        assert len(Path(place).stem) == 64

    def test_where_nothing_shall_be_kept_there_is_no_place(self):
        assert keeping.place({"DAYPASS_CACHE": "off"}, "r") is None

    def test_a_file_that_others_can_read_is_not_believed_and_replaced(self, place):
        now = keep(place, HOUR)
        assert Path(place).stat().st_mode & 0o777 == 0o600
        assert Path(place).parent.stat().st_mode & 0o777 == 0o700
        os.chmod(place, 0o640)
        assert keeping.kept(place, now + 1) is None
        keep(place, HOUR)
        assert Path(place).stat().st_mode & 0o777 == 0o600

    def test_whatever_else_lies_in_the_folder_stays_there(self, tmp_path):
        environment = {"DAYPASS_CACHE": str(tmp_path), "HOME": str(tmp_path)}
        foreign = {"package.json": "{}", "broken.json": "{", "theirs.half": "", f"{'a' * 63}.json": "{}"}
        for name, content in foreign.items():
            (tmp_path / name).write_text(content)
            os.utime(tmp_path / name, (0, 0))
        keep(str(keeping.place(environment, "one")), HOUR)
        keeping.forget(environment, "one")
        assert {name: (tmp_path / name).read_text() for name in foreign} == foreign

    @pytest.mark.parametrize(
        ("way", "beside"),
        [
            ({"DAYPASS_IAM": "1"}, "AWS_PROFILE"),
            ({"DAYPASS_IAM": "1"}, "AWS_ACCESS_KEY_ID"),
            ({"DAYPASS_IAM": "1"}, "AWS_ROLE_ARN"),
            ({"DAYPASS_IAM": "1"}, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            ({"DAYPASS_TOKEN_COMMAND": "daypass token alice"}, "DAYPASS_DATA"),
        ],
    )
    def test_what_says_whose_token_or_signature_it_is_parts_places(self, tmp_path, way, beside):
        ours = {"DAYPASS_CACHE": str(tmp_path), **way}
        places = {keeping.place({**ours, beside: who}, "r") for who in ("", "one", "other")}
        assert len(places) == 3

    def test_what_is_kept_of_a_role_is_forgotten_with_it_and_no_other(self, tmp_path):
        environment = {"DAYPASS_CACHE": str(tmp_path), "HOME": str(tmp_path)}
        places = {role: str(keeping.place(environment, role)) for role in ("one", "other", "unknown")}
        for role, at in places.items():
            now = keep(at, HOUR, role="" if role == "unknown" else role)
        keeping.forget({**environment, "DAYPASS_URL": "https://elsewhere.example"}, "one")
        assert all(keeping.kept(at, now + 1) for at in places.values())
        keeping.forget(environment, "one")
        assert [role for role, at in places.items() if keeping.kept(at, now + 1)] == ["other"]


DAMAGED = [b"", b"{", b"[]", b"null", b"\xff", b'{"process": 5}', b"[" * 100_000, b'{"expires_at": "x"}']


class TestDamage:
    @pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
    def test_what_is_damaged_is_as_if_it_was_not_there(self, place, content):
        keep(place, HOUR)
        Path(place).write_bytes(content)
        assert keeping.kept(place, time.time()) is None
        now = keep(place, HOUR)
        assert keeping.kept(place, now + 1) == PROCESS

    @pytest.mark.parametrize(
        "half", [{"process": {}}, {"process": {"Version": 2}}, {"ahead": None}, {"last": 1, "minted_at": "x"}]
    )
    def test_so_is_what_another_version_wrote(self, place, half):
        now = keep(place, HOUR)
        Path(place).write_text(json.dumps({**json.loads(Path(place).read_text()), **half}))
        assert keeping.kept(place, now + 1) is None

    def test_what_has_expired_or_was_left_half_written_is_removed_by_the_next(self, place, tmp_path):
        old = str(keeping.place({"DAYPASS_CACHE": str(tmp_path / "kept"), "HOME": str(tmp_path)}, "another"))
        keep(old, 0)
        half = Path(place).with_name("daypass-x.half")
        half.write_text("secret")
        os.utime(half, (0, 0))
        keep(place, HOUR)
        assert sorted(path.suffix for path in Path(place).parent.iterdir()) == [".json"]


class TestTheArguments:
    @pytest.mark.parametrize(
        ("arguments", "what"),
        [
            (["credentials", "r"], "r"),
            (["credentials", "r", "--format", "process"], "r"),
            (["credentials", "--format", "process", "r"], "r"),
            (["credentials", "r", "--format", "env"], None),
            (["credentials", "r", "--fresh"], None),
            (["credentials", "--help"], None),
            (["credentials"], None),
            (["console", "r"], None),
            ([], None),
        ],
    )
    def test_only_what_may_be_kept_is_answered_without_the_command(self, arguments, what):
        assert keeping.asked(arguments) == what


class Daypass:
    """Runs the command as an SDK would, with a folder to keep things in."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        ours = {"DAYPASS_URL": server.url, "DAYPASS_TOKEN": TOKEN, "DAYPASS_CACHE": str(folder)}
        self.env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **ours}
        self.number = 0
        server.answers["GET", "/v1/requests"] = Said(body={"items": [a_request(state="active")], "next_cursor": None})
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = self.mint
        self.lasts(HOUR, window=2 * HOUR)

    def lasts(self, seconds: float, *, window: float) -> None:
        now = time.time()
        self.expires_at = now + seconds
        whole = a_request(state="active", ends_at=stamp(now + window), sessions=[])
        self.server.answers["GET", f"/v1/requests/{REQUEST_ID}"] = Said(body=whole)
        for move in ("return", "cancel"):
            self.server.answers["POST", f"/v1/requests/{REQUEST_ID}/{move}"] = Said(body=whole)
        self.server.answers["POST", "/v1/requests"] = Said(201, whole)

    def mint(self, asked: Asked) -> Said:
        self.number += 1
        key = {"AccessKeyId": f"ASIA{self.number:016d}", "Expiration": stamp(self.expires_at)}
        return Said(body={**CREDENTIALS, **key})

    @property
    def minted(self) -> int:
        return sum(asked.path.endswith("/credentials") for asked in self.server.asked)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "daypass.start", *arguments],
            cwd=ROOT,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **env: str) -> tuple[int, Any, str]:
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return process.returncode, json.loads(out) if out else None, err


@pytest.fixture
def daypass(server: Server, tmp_path: Path) -> Daypass:
    return Daypass(server, tmp_path / "kept")


class TestTheCommand:
    def test_the_second_call_asks_nobody(self, daypass, server):
        first = daypass("credentials", "payments-admin")
        asked = len(server.asked)
        assert first[0] == 0
        assert daypass("credentials", "payments-admin") == first
        assert (len(server.asked), daypass.minted) == (asked, 1)
        server.stop()
        assert daypass("credentials", "payments-admin") == first

    def test_fresh_ones_are_taken_and_kept_where_they_are_wanted(self, daypass):
        _, first, _ = daypass("credentials", "payments-admin")
        _, second, _ = daypass("credentials", "payments-admin", "--fresh")
        assert first["AccessKeyId"] != second["AccessKeyId"]
        assert daypass("credentials", "payments-admin")[1] == second

    def test_with_nothing_kept_every_call_takes_new_ones(self, daypass):
        keys = {daypass("credentials", "payments-admin", DAYPASS_CACHE="off")[1]["AccessKeyId"] for _ in range(2)}
        assert len(keys) == 2
        assert not daypass.folder.exists()

    def test_in_the_last_quarter_of_an_hour_new_ones_are_taken_while_there_are_longer_ones(self, daypass):
        daypass.lasts(QUARTER - 5, window=HOUR)  # by a rule that allows less today, say
        daypass("credentials", "payments-admin")
        assert daypass("credentials", "payments-admin")[0] == 0
        assert daypass.minted == 1, "no session is lent for less: these are the last"

    @pytest.mark.parametrize("move", ["return", "cancel"])
    def test_what_is_given_back_is_kept_no_longer(self, daypass, move):
        daypass("credentials", "payments-admin")
        done = daypass.start(move, REQUEST_ID)
        done.communicate(timeout=120)
        assert done.returncode == 0
        assert not list(daypass.folder.glob("*.json"))

    @pytest.mark.parametrize("ask", [["request"], ["break-glass"]])
    def test_who_asks_anew_is_not_handed_out_what_was_before(self, daypass, ask):
        daypass("credentials", "payments-admin")
        daypass.start(*ask, "payments-admin", "1h", "everything burns, I need to look").communicate(timeout=120)
        daypass("credentials", "payments-admin")
        assert daypass.minted == 2

    def test_a_dry_run_forgets_nothing(self, daypass):
        daypass("credentials", "payments-admin")
        daypass.start("request", "payments-admin", "1h", "what if", "--dry-run").communicate(timeout=120)
        assert list(daypass.folder.glob("*.json"))

    def test_a_no_is_not_kept(self, daypass, server):
        path = "POST", f"/v1/requests/{REQUEST_ID}/credentials"
        mint, server.answers[path] = server.answers[path], problem(429, "too-many-sessions", "Slow down.")
        assert daypass("credentials", "payments-admin") == (ERROR, None, "daypass: Slow down.\n")
        server.answers[path] = mint
        assert daypass("credentials", "payments-admin")[0] == 0

    def test_where_the_request_cannot_be_looked_at_the_keys_are_kept_all_the_same(self, daypass, server):
        server.answers["GET", f"/v1/requests/{REQUEST_ID}"] = problem(404, "not-found", "No.")
        assert daypass("credentials", "payments-admin") == daypass("credentials", "payments-admin")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
    def test_a_folder_that_cannot_be_written_is_told_and_no_reason_to_hand_nothing_out(self, daypass):
        daypass.folder.mkdir(mode=0o500)
        code, process, err = daypass("credentials", "payments-admin")
        assert (code, process["Version"]) == (0, 1)
        assert "every call takes a new session" in err
        assert err.count("\n") == 1

    def test_nor_is_one_that_is_none(self, daypass):
        daypass.folder.write_text("a file")
        code, process, err = daypass("credentials", "payments-admin")
        assert (code, process["Version"]) == (0, 1)
        assert "Set DAYPASS_CACHE" in err

    def test_a_server_whose_clock_is_ahead_decides_when_it_is_over(self, daypass, server):
        """Ten minutes ahead: what this machine takes for twenty minutes is ten."""
        daypass.lasts(1200, window=1200)

        def later(said: Said) -> Said:
            return Said(said.status, said.body, {"Date": formatdate(time.time() + 600, usegmt=True)})

        whole = server.answers["GET", f"/v1/requests/{REQUEST_ID}"]
        server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = lambda asked: later(daypass.mint(asked))
        server.answers["GET", f"/v1/requests/{REQUEST_ID}"] = lambda asked: later(whole)
        daypass("credentials", "payments-admin")
        [file] = daypass.folder.glob("*.json")
        assert 590 <= json.loads(file.read_text())["ahead"] <= 601
        assert keeping.kept(str(file), time.time())
        assert keeping.kept(str(file), time.time() + 660) is None


class TestManyAtOnce:
    def test_twenty_processes_make_one_issuance(self, daypass, server):
        started = [daypass.start("credentials", "payments-admin") for _ in range(20)]
        answers = [json.loads(process.communicate(timeout=120)[0]) for process in started]
        assert all(answer == answers[0] for answer in answers)
        assert daypass.minted == 1

    def test_a_lock_that_somebody_left_behind_keeps_nobody_out(self, daypass):
        daypass.folder.mkdir(mode=0o700)
        for number in range(256):
            (daypass.folder / f"lock-{number:02x}").write_text("4711")
        assert daypass("credentials", "payments-admin")[0] == 0

    def test_who_dies_with_the_lock_lets_the_next_one_through(self, daypass, server):
        asked, release = threading.Event(), threading.Event()
        path = "POST", f"/v1/requests/{REQUEST_ID}/credentials"

        def hang(call: Asked) -> Said:
            server.answers[path] = daypass.mint
            asked.set()
            release.wait(30)
            return Said(hang_up=True)

        server.answers[path] = hang
        first = daypass.start("credentials", "payments-admin")
        assert asked.wait(30)
        second = daypass.start("credentials", "payments-admin")
        first.kill()
        first.communicate()
        assert json.loads(second.communicate(timeout=120)[0])["AccessKeyId"] == "ASIA0000000000000001"
        release.set()

    def test_others_wait_only_for_so_long(self, place):
        with keeping.alone(place), keeping.alone(place, wait_seconds=0.1):
            pass


HELPER = """
import sys, time
from pathlib import Path
real, later = time.time, float(Path({later!r}).read_text())
time.time = lambda: real() + later
from daypass.start import main
main()
"""
SDK = """
import sys
from datetime import timedelta
import botocore.session
credentials = botocore.session.get_session().get_credentials()
real = credentials._time_fetcher
for line in sys.stdin:
    credentials._time_fetcher = lambda: real() + timedelta(seconds=float(line))
    print(credentials.get_frozen_credentials().access_key, flush=True)
"""


def test_an_sdk_refreshes_across_three_short_sessions_of_one_window(daypass, server, tmp_path) -> None:
    """One process, whose clock and whose helper's are put on; the last session ends with the window, at 2 h 30 min."""
    later, helper, config = (tmp_path / name for name in ("later", "helper.py", "config"))
    helper.write_text(HELPER.format(later=str(later)))
    config.write_text(f"[default]\ncredential_process = {sys.executable} {helper} credentials payments-admin\n")
    begun, window = time.time(), 150 * 60
    daypass.lasts(window, window=window)

    def mint(asked: Asked) -> Said:
        daypass.expires_at = min(begun + float(later.read_text()) + HOUR, begun + window)
        said: Said = daypass.mint(asked)
        return said

    server.answers["POST", f"/v1/requests/{REQUEST_ID}/credentials"] = mint
    env = {**daypass.env, "AWS_CONFIG_FILE": str(config), "HOME": str(tmp_path)}
    later.write_text("0")
    sdk = subprocess.Popen(
        [sys.executable, "-c", SDK], env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert sdk.stdin is not None
    assert sdk.stdout is not None
    seen = []
    for minute in (0, 44, 46, 90, 92, 134, 136, 141, 149):
        later.write_text(str(minute * 60))
        sdk.stdin.write(f"{minute * 60}\n")
        sdk.stdin.flush()
        seen.append(int(sdk.stdout.readline().strip().removeprefix("ASIA")))
    sdk.stdin.close()
    sdk.wait(timeout=30)
    sdk.stdout.close()
    assert seen == [1, 1, 2, 2, 3, 3, 3, 3, 3]
    assert daypass.minted == 3


def test_what_is_kept_is_answered_without_anything_slow(daypass) -> None:
    daypass("credentials", "payments-admin")
    command = [sys.executable, "-X", "importtime", "-m", "daypass.start", "credentials", "payments-admin"]
    told = subprocess.run(command, cwd=ROOT, env=daypass.env, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in told.splitlines() if "|" in line}
    slow = {
        "typer",
        "click",
        "rich",
        "pydantic",
        "urllib3",
        "urllib",
        "http",
        "email",
        "boto3",
        "datetime",
        "subprocess",
    }
    assert imported & slow == set()


def test_it_takes_at_most_120_ms_more_than_python_alone(daypass) -> None:
    """Of the processor's time, and the quickest of some: what else this machine does is not ours."""
    daypass("credentials", "payments-admin")

    def milliseconds(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=daypass.env, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3

    alone = min(milliseconds("-c", "pass") for _ in range(5))
    kept = min(milliseconds("-m", "daypass.start", "credentials", "payments-admin") for _ in range(5))
    assert kept - alone <= 120
