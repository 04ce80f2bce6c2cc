"""The log: what stays out of it, whoever switches DEBUG on for all."""

import logging

import pytest

from chalicelib.aws.table import Table
from tests.builders import NOW, a_request, a_submission


def test_given_all_is_logged_then_no_text_that_goes_to_the_table_is(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    change = a_submission(a_request(reason="CANARY-reason"))
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("somebody").debug("all is logged")
        table.submit(change, claim=None, max_open=1, now=NOW)
        assert table.get(change.after.id) == change.after
    assert "all is logged" in caplog.text
    assert "CANARY" not in caplog.text
