"""`daypass reconcile`: what a person and a program see of it, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daypass.operator.reconcile import BYPASSED
from daypass.saying import DONE, ERROR, NOT_ELIGIBLE
from tests.core.test_known import ISSUED, ISSUING
from tests.daypass.conftest import Daypass, Ran, Said, problem
from tests.trails import (
    ADMIN,
    DEPLOY,
    MINUTE,
    NOON,
    SIGNING_KEY,
    TARGET,
    TOKEN,
    a_denial,
    a_folder,
    a_pair,
    a_record,
    a_session,
    a_signing,
    a_use,
    a_vouched,
    an_issuance,
    file_name,
    real_files,
    stamp,
    zipped,
)

ROOT = Path(__file__).parents[2]
CAROL, ZOE = "ASIACAROL00000000001", "ASIAZOE0000000000001"
TAGS = {"daypass:request": "01KREQUEST"}
ZOES = {
    "type": "IAMUser",
    "arn": f"arn:aws:iam::{TARGET}:user/zoe",
    "accountId": TARGET,
    "accessKeyId": "AKIAZOE0000000000001",
}
SIGNED = {**ISSUED["details"], "kms_request_id": "kms-1"}
TWO_DAYS = ["--from", "=2026-11-23", "--to", "=2026-11-24"]
BYPASS = [an_issuance(ZOE, by=ZOES, name="zoe"), a_use(ZOE, session=a_session(ZOE, name="zoe"))]


def reconcile(*arguments: object) -> Ran:
    command = [sys.executable, "-m", "daypass.commands", "reconcile", *map(str, arguments)]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def told(*arguments: object) -> dict[str, Any]:
    ran = reconcile(*arguments, "--json")
    assert ran.err == ""
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


def test_it_says_what_is_in_the_real_files() -> None:
    answer = told("--logs", real_files() / "AWSLogs", "--all-roles")
    sessions = answer.pop("sessions")
    assert answer == {
        "files": 70,
        "events": 1296,
        "duplicates": 0,
        "set_aside": [],
        "assume_role": {"issued": 29, "denied": 4, "distinct_keys": 29},
        "uses": {"events": 58, "keys": 5, "before_their_issuance": 0},
    }
    issued = [session for session in sessions if session["issued_at"]]
    assert len(issued) == len({session["access_key_id"] for session in issued}) == 29
    assert all(session["bypass"] for session in sessions)


def test_its_json_is_this_to_the_letter(tmp_path: Path) -> None:
    hub, target = a_pair(CAROL, tags=TAGS)
    use = a_use(CAROL, errorCode="AccessDenied")
    a_folder(tmp_path, [use], [hub, use, a_denial()], [target, *BYPASS, {**a_record(), "eventVersion": "2.0"}])
    assert told("--logs", tmp_path) == {
        "files": 3,
        "events": 6,
        "duplicates": 1,
        "set_aside": [{"file": file_name(NOON + 2 * MINUTE), "why": "1 record: an unknown eventVersion: 1.x is known"}],
        "assume_role": {"issued": 3, "denied": 1, "distinct_keys": 2},
        "uses": {"events": 2, "keys": 2, "before_their_issuance": 1},
        "sessions": [
            {
                "session_name": "01K-carol",
                "role_arn": ADMIN,
                "access_key_id": CAROL,
                "issued_at": stamp(NOON),
                "first_use": stamp(NOON + MINUTE),
                "last_use": stamp(NOON + MINUTE),
                "events": 1,
                "actions": {"s3:GetObject": 1},
                "errors": {"AccessDenied": 1},
                "request_id": "01KREQUEST",
                "bypass": False,
            },
            {
                "session_name": "zoe",
                "role_arn": ADMIN,
                "access_key_id": ZOE,
                "issued_at": stamp(NOON),
                "first_use": stamp(NOON + MINUTE),
                "last_use": stamp(NOON + MINUTE),
                "events": 1,
                "actions": {"s3:GetObject": 1},
                "errors": {},
                "bypass": True,
            },
        ],
    }


class TestExitCodes:
    def test_all_is_well_where_every_session_has_its_request(self, tmp_path):
        ran = reconcile("--logs", a_folder(tmp_path, a_pair(CAROL, tags=TAGS)))
        assert (ran.code, ran.err) == (DONE, "")
        assert "bypass" not in ran.out

    def test_a_bypass_has_a_code_of_its_own(self, tmp_path):
        assert reconcile("--logs", a_folder(tmp_path, BYPASS)).code == BYPASSED
        assert reconcile("--logs", tmp_path, "--json").code == BYPASSED

    def test_with_all_roles_only_beside_a_ledger(self, tmp_path):
        logs, ledger = a_folder(tmp_path / "logs", [an_issuance(ZOE, DEPLOY, by=ZOES)]), tmp_path / "ledger.jsonl"
        ledger.write_text("")
        assert reconcile("--logs", logs).code == DONE
        assert reconcile("--logs", logs, "--all-roles").code == DONE
        assert reconcile("--logs", logs, "--all-roles", "--ledger", ledger).code == BYPASSED

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--logs", "nowhere"], "nowhere cannot be read: No such file or directory."),
            (["--logs", ".", "--ledger", "nowhere"], "nowhere cannot be read: No such file or directory."),
            (["--logs", ".", "--ledger", "broken"], "broken: line 2 is no JSON."),
            (["--logs", ".", "--ledger", "listed"], "listed: line 1 is no event."),
            (["--logs", ".", "--ledger", "binary"], "binary is not text."),
            (["--logs", ".", "--ledger", "odd"], "odd: event 1 is of a session, but not as Daypass writes it."),
            ([], "Name one of --logs DIR, --trail s3://BUCKET and --lookup."),
            (["--logs", ".", "--lookup"], "Name one of --logs DIR, --trail s3://BUCKET and --lookup."),
            (
                ["--logs", ".", *TWO_DAYS[:2]],
                "Say from when to when: --from DAY --to DAY, as in --from 2026-11-23 --to 2026-11-24.",
            ),
            (
                ["--trail", "=s3://b-1"],
                "Say from when to when: --from DAY --to DAY, as in --from 2026-11-23 --to 2026-11-24.",
            ),
            (
                ["--logs", ".", "--from", "=x", "--to", "=y"],
                "--from x --to y are no days: write them as in 2026-11-23.",
            ),
            (
                ["--logs", ".", "--from", "=2026-11-24", "--to", "=2026-11-23"],
                "--to 2026-11-23 comes before --from 2026-11-24.",
            ),
            (
                ["--trail", "=bucket", *TWO_DAYS],
                "--trail bucket is no bucket: write s3://BUCKET or s3://BUCKET/PREFIX.",
            ),
            (
                ["--trail", "=s3://b-1/x/AWSLogs/1", *TWO_DAYS],
                "--trail s3://b-1/x/AWSLogs/1 goes too far: write it without AWSLogs and what comes after.",
            ),
            (
                ["--lookup", "--region", "=us-east-1", "--from", "=2024-01-01", "--to", "=2024-01-02"],
                "--from 2024-01-01 is too long ago: CloudTrail's event history is of 90 days.",
            ),
            (["--lookup", *TWO_DAYS], "You must specify a region."),
            *(
                (
                    ["--logs", ".", "--from", f"={first}", "--to", f"={last}"],
                    f"--from {first} --to {last}: CloudTrail tells from 2013-11-13 to today, in UTC.",
                )
                for first, last in (("2026-11-23", "9999-12-31"), ("0001-01-01", "2026-11-23"))
            ),
            (
                ["--logs", ".", "--roles", "empty"],
                "empty holds no roles: `aws iam list-roles > empty/ACCOUNT.json` writes them.",
            ),
            (
                ["--logs", ".", "--roles", "wrong"],
                "wrong/x.json is not what `aws iam get-role` or `list-roles` prints.",
            ),
            (
                ["--logs", ".", "--signing-key", f"={SIGNING_KEY}"],
                "--signing-key needs a ledger: nothing else says what was signed for whom.",
            ),
            (
                ["--logs", ".", "--signing-key", "=alias/x"],
                "--signing-key alias/x is no key's ARN: arn:aws:kms:REGION:ACCOUNT:key/ID.",
            ),
        ],
    )
    def test_what_cannot_be_done_is_one_sentence(self, tmp_path, arguments, said):
        (tmp_path / "broken").write_text('{"type": "request.submitted"}\n{"type": \n')
        (tmp_path / "listed").write_text("[]\n")
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        (tmp_path / "odd").write_text('{"type": "session.issuing"}')
        (tmp_path / "empty").mkdir()
        (tmp_path / "wrong").mkdir()
        (tmp_path / "wrong" / "x.json").write_text('{"Role": {"Arn": "x"}}')
        plain = ("--", "=")  # what is no path below the folder
        ran = reconcile(*(each.lstrip("=") if each.startswith(plain) else tmp_path / each for each in arguments))
        assert (ran.code, ran.out) == (ERROR, "")
        assert ran.err.replace(f"{tmp_path}/", "").endswith(f"{said}\n")
        assert ran.err.count("\n") == 1

    def test_an_empty_folder_is_no_error(self, tmp_path):
        ran = reconcile("--logs", tmp_path)
        assert ran.code == DONE
        assert ran.out.startswith("0 files, 0 events")


def test_beside_a_ledger_only_that_says_whose_a_session_is(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("\n".join(json.dumps(each) for each in (ISSUING, ISSUED)) + "\n\n")
    forged = [an_issuance(ZOE, by=ZOES, name="zoe", tags=TAGS)]
    logs = a_folder(tmp_path / "logs", a_pair("ASIA1", name="01KS1-carol"), forged)
    sessions = {session["access_key_id"]: session for session in told("--logs", logs, "--ledger", ledger)["sessions"]}
    assert (sessions["ASIA1"]["request_id"], sessions["ASIA1"]["bypass"]) == ("01KREQUEST", False)
    assert ("request_id" in sessions[ZOE], sessions[ZOE]["bypass"]) == (False, True)
    ran = reconcile("--logs", logs, "--ledger", ledger)
    assert "claims request 01KREQUEST" in ran.out


class TestDays:
    def test_files_are_those_that_may_tell_of_the_days(self, tmp_path):
        a_folder(tmp_path, [a_record()], [a_record()])
        assert told("--logs", tmp_path, "--from", "2026-11-23", "--to", "2026-11-23")["files"] == 2
        assert told("--logs", tmp_path, "--from", "2026-11-24", "--to", "2026-11-24")["files"] == 0

    def test_a_session_of_another_day_explains_what_is_and_is_not_missed(self, tmp_path):
        ledger = tmp_path / "ledger.jsonl"
        ledger.write_text("\n".join(json.dumps(each) for each in (ISSUING, ISSUED)))
        logs = a_folder(tmp_path / "logs", [a_record()])
        days = {day: ("--from", day, "--to", day) for day in ("2026-11-23", "2026-11-24")}
        assert len(told("--logs", logs, "--ledger", ledger, *days["2026-11-23"])["sessions"]) == 1
        assert told("--logs", logs, "--ledger", ledger, *days["2026-11-24"])["sessions"] == []

    def test_daypass_itself_is_asked_for_its_events_of_the_days_and_of_those_beside_them(self, tmp_path, server):
        server.answers["GET", "/v1/events"] = lambda asked: Said(
            body={"items": [ISSUING, ISSUED] if asked.query["day"] == "2026-11-23" else [], "next_cursor": None}
        )
        logs = a_folder(tmp_path, a_pair("ASIA1", name="01KS1-carol"), BYPASS)
        ran = Daypass(server)("reconcile", "--logs", str(logs), "--from", "2026-11-23", "--to", "2026-11-23", "--json")
        assert (ran.code, ran.err) == (BYPASSED, "")
        assert [asked.query["day"] for asked in server.asked] == ["2026-11-22", "2026-11-23", "2026-11-24"]
        assert [session.get("request_id") for session in json.loads(ran.out)["sessions"]] == ["01KREQUEST", None]

    def test_who_may_not_read_them_is_told_so(self, tmp_path, server):
        server.answers["GET", "/v1/events"] = problem(403, "not-eligible", "Only auditors read everybody's events.")
        ran = Daypass(server)("reconcile", "--logs", str(tmp_path), "--from", "2026-11-23", "--to", "2026-11-23")
        assert (ran.code, ran.out) == (NOT_ELIGIBLE, "")
        assert "Only auditors" in ran.err


def test_what_aws_says_no_to_is_one_sentence(server) -> None:
    server.answers["GET", "/v1/events"] = Said(body={"items": [], "next_cursor": None})
    server.answers["POST", "/"] = Said(400, {"__type": "AccessDeniedException", "Message": "No."})
    day = str(datetime.now(UTC).date())
    env = {"AWS_ENDPOINT_URL_CLOUDTRAIL": server.url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    how = ("reconcile", "--lookup", "--region", "us-east-1", "--from", day, "--to", day)
    ran = Daypass(server)(*how, **env)
    assert (ran.code, ran.out) == (ERROR, "")
    assert "AccessDeniedException" in ran.err
    assert ran.err.count("\n") == 1
    assert server.asked[-1].body["LookupAttributes"] == [{"AttributeKey": "EventName", "AttributeValue": "AssumeRole"}]


class TestSignatures:
    def test_who_else_signed_is_named_and_exits_like_a_bypass(self, tmp_path):
        ledger = tmp_path / "ledger.jsonl"
        ledger.write_text("\n".join(json.dumps(each) for each in (ISSUING, {**ISSUED, "details": SIGNED})))
        how = ("--ledger", ledger, "--signing-key", SIGNING_KEY)
        ours = [a_vouched("ASIA1", name="01KS1-carol"), a_signing("kms-1")]
        assert reconcile("--logs", a_folder(tmp_path / "ours", ours), *how).code == DONE
        refused = a_signing("kms-3", by=ZOES, errorCode="AccessDenied")
        assert reconcile("--logs", a_folder(tmp_path / "tried", [*ours, refused]), *how).code == DONE
        logs = a_folder(tmp_path / "theirs", [ours[0], a_signing("kms-2", by=ZOES)])
        ran = reconcile("--logs", logs, *how)
        assert ran.code == BYPASSED
        line = next(line for line in ran.out.splitlines() if ZOES["arn"] in line)
        for part in (stamp(NOON), "signed", "192.0.2.1", ZOES["accessKeyId"], SIGNING_KEY):
            assert part in line
        assert "its kms:Sign, in the hub's trail" in ran.out
        assert told("--logs", logs, *how)["signatures"] == {
            "of_sessions": 0,
            "unexplained": [
                {
                    "at": stamp(NOON),
                    "key": SIGNING_KEY,
                    "kms_request_id": "kms-2",
                    "error": None,
                    "caller": ZOES["arn"],
                    "access_key_id": ZOES["accessKeyId"],
                    "address": "192.0.2.1",
                }
            ],
            "unseen": [{"request_id": "01KREQUEST", "session_name": "01KS1-carol", "kms_request_id": "kms-1"}],
        }


class TestForPeople:
    def test_a_bypass_is_told_with_who_when_from_where_and_which_key(self, tmp_path):
        out = reconcile("--logs", a_folder(tmp_path, BYPASS)).out
        assert "1 bypass, of which no request is known:" in out
        line = next(line for line in out.splitlines() if ZOES["arn"] in line)
        for part in (stamp(NOON), ZOE, "192.0.2.1", "no request in its tags or on the record"):
            assert part in line

    def test_the_statement_that_let_it_in_is_named_where_the_roles_are_told(self, tmp_path):
        logs, roles = a_folder(tmp_path / "logs", BYPASS), tmp_path / "roles"
        roles.mkdir()
        statement = {"Sid": "Admins", "Effect": "Allow", "Principal": {"AWS": TARGET}, "Action": "sts:AssumeRole"}
        policy = {"Statement": [{**statement, "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}]}
        (roles / "222.json").write_text(json.dumps({"Roles": [{"Arn": ADMIN, "AssumeRolePolicyDocument": policy}]}))
        out = reconcile("--logs", logs, "--roles", roles).out
        assert "LET IN BY" in out
        assert "Admins, if its conditions held" in next(line for line in out.splitlines() if ZOES["arn"] in line)
        assert told("--logs", logs, "--roles", roles)["sessions"][0]["let_in_by"] == ["Admins, if its conditions held"]
        assert "LET IN BY" not in reconcile("--logs", logs).out

    def test_what_one_book_has_and_the_other_has_not_is_told(self, tmp_path):
        ledger = tmp_path / "ledger.jsonl"
        ledger.write_text("\n".join(json.dumps(each) for each in (ISSUING, ISSUED)))
        hub, _ = a_pair(CAROL, tags=TAGS)
        logs = a_folder(tmp_path / "logs", [hub])
        out = reconcile("--logs", logs, "--ledger", ledger).out
        assert "Not in these files, though it should be:" in out
        assert "anything of it" in out
        assert f"its AssumeRole, in the trail of {TARGET}" in reconcile("--logs", logs).out

    def test_denied_attempts_and_files_set_aside_are_told(self, tmp_path):
        logs = a_folder(tmp_path, [a_denial(by=ZOES)])
        (tmp_path / "notes.txt").write_text("x")
        out = reconcile("--logs", logs).out
        assert "Denied:" in out
        assert "a role that CloudTrail does not tell" in out
        assert "notes.txt  no gzip, or a damaged one" in out

    def test_nothing_in_a_log_forges_a_line_or_moves_the_cursor(self, tmp_path):
        evil = "\x1b[2J\nASIA fine  \u202e\ud800 all well"
        by = {"type": "IAMUser", "arn": evil, "accessKeyId": evil}
        forged = an_issuance(evil[:60], by=by, name=evil, tags={"daypass:x": evil}, sourceIPAddress=evil)
        out = reconcile("--logs", a_folder(tmp_path, [forged, a_denial(by=by, errorCode=evil)])).out
        assert out.count("ASIA fine") == out.count(" ASIA fine")
        assert not {"\x1b", "\u202e"} & set(out)
        assert told("--logs", tmp_path)["sessions"][0]["session_name"] == evil

    def test_progress_goes_to_the_terminal_and_only_where_there_is_one(self, tmp_path):
        a_folder(tmp_path, *[[a_record()] for _ in range(60)])
        assert reconcile("--logs", tmp_path).err == ""
        parent, child = pty.openpty()
        command = [sys.executable, "-m", "daypass.commands", "reconcile", "--logs", str(tmp_path)]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=child, timeout=60, check=False)
        os.close(child)
        assert b"60 of 60 files" in os.read(parent, 100_000)
        assert done.stdout.startswith(b"60 files")
        os.close(parent)


def test_it_is_in_the_help() -> None:
    command = [sys.executable, "-m", "daypass.commands", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "reconcile" in done.stdout
    assert "Exits with 4" in reconcile("--help").out


def test_a_file_delivered_twice_under_another_name_changes_nothing(tmp_path: Path) -> None:
    logs = a_folder(tmp_path, a_pair(CAROL, tags=TAGS), [a_use(CAROL)])
    once = told("--logs", logs)
    (tmp_path / "copy.json.gz").write_bytes(zipped([json.loads(json.dumps(a_record()))]))
    again = logs / file_name(NOON + 9 * MINUTE)
    again.write_bytes((logs / file_name(NOON)).read_bytes())
    twice = told("--logs", logs)
    assert twice["sessions"] == once["sessions"]
    assert (twice["files"], twice["events"], twice["duplicates"]) == (4, 4, 2)
