"""The app that operators create in Slack is the one that the door expects."""

import re
from pathlib import Path

import app as deployed
from tests.slack.fake_slack import COMMAND

MANIFEST = (Path(__file__).parents[2] / "infra" / "slack-app.yaml").read_text()


def test_the_command_the_buttons_and_the_searches_all_come_to_the_one_address() -> None:
    addresses = re.findall(r"url: https://daypass\.example\.com(\S+)", MANIFEST)
    assert addresses == ["/slack/events"] * 3
    assert list(deployed.app.routes["/slack/events"]) == ["POST"]


OUTBOX = (Path(__file__).parents[2] / "docs" / "outbox.md").read_text()


def test_it_has_the_command_and_the_scopes_that_the_door_and_the_outbox_need() -> None:
    assert f"command: {COMMAND}\n" in MANIFEST
    scopes = set(re.findall(r"^ {6}- (\S+)$", MANIFEST, re.MULTILINE))
    told = set(re.findall(r"`([a-z.:]+:[a-z.]+)`", OUTBOX.partition("The app needs the scopes")[2].partition(".\n")[0]))
    assert scopes == {"commands", "users:read", "users:read.email"} | told
