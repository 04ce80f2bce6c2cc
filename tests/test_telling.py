"""What is told to those who watch: only what is on the record, once, and nothing that people wrote."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta

import pytest

from chalicelib.aws.table import create
from chalicelib.broker import asking, deciding, emergency, ending, lending, revoking
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import Stale
from chalicelib.core.ledger import EventType
from chalicelib.core.refusals import StsRefused
from chalicelib.core.request import Verdict
from chalicelib.telling import ToldTable
from tests.builders import NOW, a_change, a_submission, an_id
from tests.people import CAROL, DAVE, FRANK
from tests.stage import Stage, an_ask
from tests.watching import counted, measured

FIRE = an_ask(reason="a secret reason that nobody else reads", break_glass=True)


@pytest.fixture
def stage(embedded_aws, capsys: pytest.CaptureFixture[str]) -> Stage:
    """Everything in memory but the table, which tells."""
    name, root = f"daypass-{an_id()}", "123456789012"
    table = ToldTable(name, region="us-east-1", host=embedded_aws.url, access_key_id=root, secret_access_key="test")
    create(table)
    return Stage(requests=table)  # type: ignore[arg-type]


def in_use(stage: Stage) -> str:
    id = asking.ask(stage.world, CAROL, an_ask(), None).request.id
    deciding.approve(stage.world, FRANK, id, comment="a secret comment", duration=None)
    lending.lend(stage.world, CAROL, id)
    return id


def burning(stage: Stage) -> str:
    lent = lending.ask_and_lend(stage.world, CAROL, FIRE, None)
    assert isinstance(lent, Credentials)
    return lent.request_id


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == name]


def test_the_last_approval_that_was_lacking_and_the_first_session_tell_how_long_it_took(stage, capsys) -> None:
    id = asking.ask(stage.world, CAROL, an_ask(), None).request.id
    stage.pass_time(timedelta(minutes=5))
    deciding.approve(stage.world, FRANK, id, comment=None, duration=None)
    stage.pass_time(timedelta(minutes=2))
    for _ in range(2):
        lending.lend(stage.world, CAROL, id)
    assert measured(capsys.readouterr().out) == [("TimeToApprove", 300), ("TimeToCredentials", 420)]


def test_an_emergency_is_one_critical_line_and_a_metric_and_so_is_its_session(stage, capsys, caplog) -> None:
    id = burning(stage)
    assert counted(capsys.readouterr().out) == {"BreakGlassOpened": 1, "SessionsIssued": 1}
    [line] = logged(caplog, "break_glass_opened")
    assert line.levelno == logging.CRITICAL
    told = {name: vars(line)[name] for name in ("id", "principal", "requester", "role", "account")}
    assert told == {
        "id": id,
        "principal": CAROL.id,
        "requester": CAROL.id,
        "role": "payments-admin",
        "account": "payments-prod",
    }


def test_a_request_that_became_an_emergency_is_told_too(stage, capsys, caplog) -> None:
    id = asking.ask(stage.world, CAROL, an_ask(), None).request.id
    emergency.escalate(stage.world, CAROL, id, reason="nobody answers and it burns")
    assert counted(capsys.readouterr().out) == {"BreakGlassOpened": 1}
    assert len(logged(caplog, "break_glass_opened")) == 1


def test_a_review_and_a_revocation_are_lines(stage, caplog) -> None:
    id = burning(stage)
    with caplog.at_level(logging.INFO, logger="daypass"):
        emergency.review(stage.world, DAVE, id, verdict=Verdict.UNJUSTIFIED, comment="a secret comment")
        revoking.revoke(stage.world, DAVE, id, comment="a secret comment")
    [reviewed], [revoked] = logged(caplog, "break_glass_reviewed"), logged(caplog, "access_revoked")
    assert (vars(reviewed)["verdict"], vars(reviewed)["principal"]) == ("unjustified", DAVE.id)
    assert (vars(revoked)["id"], vars(revoked)["requester"]) == (id, CAROL.id)
    assert "secret" not in str([vars(record) for record in caplog.records])


def test_a_deny_is_counted_by_what_became_of_it(stage, capsys) -> None:
    first, second = in_use(stage), in_use(stage)
    capsys.readouterr()
    revoking.revoke(stage.world, FRANK, first, comment="no")
    assert counted(capsys.readouterr().out) == {"DenyWritten": 1}
    stage.revoker.fail_next()
    revoking.revoke(stage.world, FRANK, second, comment="no")
    assert counted(capsys.readouterr().out) == {"DenyNotWritten": 1}


def test_a_removal_that_fails_is_no_deny_that_is_not_written(stage, capsys) -> None:
    request = ending.give_back(stage.world, CAROL, in_use(stage), cut=True)
    capsys.readouterr()
    stage.revoker.fail_next()
    stage.pass_time(request.duration * 2)
    revoking.settle(stage.world, request, stage.now)
    assert counted(capsys.readouterr().out) == {}


def test_what_sts_refuses_is_no_session(stage, capsys) -> None:
    id = in_use(stage)
    capsys.readouterr()
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        lending.lend(stage.world, CAROL, id)
    assert counted(capsys.readouterr().out) == {}


def test_what_was_not_stored_is_not_told(stage, capsys) -> None:
    submission = a_submission()
    stage.requests.submit(submission, claim=None, max_open=1, now=NOW)
    written = a_change(submission.after, EventType.DENY_WRITTEN)
    for change in (written, written):
        with suppress(Stale):
            stage.requests.commit(change)
    assert counted(capsys.readouterr().out) == {"DenyWritten": 1}


def test_nothing_that_people_wrote_and_nobodys_name_is_in_a_metric(stage, capsys) -> None:
    id = burning(stage)
    revoking.revoke(stage.world, DAVE, id, comment="a secret comment")
    printed = capsys.readouterr().out
    metrics = [line for line in printed.splitlines() if line.startswith('{"_aws"')]
    assert metrics
    for word in ("secret", CAROL.id, DAVE.id, id, "payments"):
        assert word not in "\n".join(metrics)
