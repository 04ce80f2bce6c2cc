"""The whole of it: `daypass local` with its embedded AWS, a Slack beside it, and a person with both."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.local.test_commands import DAYPASS, ROOT, Running, _environment, running
from tests.slack.fake_slack import BOT_TOKEN, SIGNING_SECRET, FakeSlack, Person, serving


def confirmed(local: Running, person: Person, name: str) -> str:
    """Confirm the code that somebody reads in Slack, by the command that they read there too."""
    [line] = [line for line in person.reads("").split("\n") if "slack-bind" in line]
    words = line.strip("`").split()
    assert words[:2] == ["daypass", "slack-bind"]
    done = subprocess.run(
        [*DAYPASS, *words[1:]],
        cwd=ROOT,
        env=_environment(DAYPASS_URL=local.stage.api, DAYPASS_TOKEN=local.token(name)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_a_person_confirms_asks_in_slack_and_fetches_what_slack_never_sees(tmp_path: Path) -> None:
    slack = FakeSlack(time.time)
    alice, bob = slack.join("alice"), slack.join("bob")
    with (
        serving(slack),
        running(
            tmp_path,
            DAYPASS_SLACK_SIGNING_SECRET=SIGNING_SECRET,
            DAYPASS_SLACK_BOT_TOKEN=BOT_TOKEN,
            DAYPASS_SLACK_API=f"{slack.url}/api/",
        ) as local,
    ):
        slack.app = local.stage.api
        assert "U0ALICE of team" in confirmed(local, alice, "alice")
        confirmed(local, bob, "bob")

        form = alice.opens()
        alice.chooses(form, "role", "data-export")
        alice.chooses(form, "duration", "3600")
        alice.writes(form, "reason", "the <quarterly> report")
        alice.chooses(form, "scope", "one-bucket")
        alice.writes(form, "parameter", "data-files")
        alice.sends(form)
        assert "It waits for 1 of `groups sre-leads` and 1 of `groups security`" in form.text

        [request] = local.asked("/v1/requests?mine=true", token=local.token("alice"))[1]["items"]
        assert bob.presses("daypass_approve", request["id"]).status == 200
        assert local.asked(f"/v1/requests/{request['id']}/approve", token=local.token("dave"), body={})[0] == 200
        assert bob.presses("daypass_deny", request["id"]).status == 200
        assert "is ready already" in slack.told[-1]["blocks"][0]["text"]["text"]
        [first, second] = local.asked(f"/v1/requests/{request['id']}", token=local.token("alice"))[1]["approvals"]
        assert (first["by"], first["mfa"], second["by"], "mfa" in second) == (
            "bob@example.com",
            False,
            "dave@example.com",
            False,
        )

        assert f"`daypass credentials {request['id'][-8:]}`" in alice.reads(f"show {request['id'][-8:]}")
        status, lent = local.asked(f"/v1/requests/{request['id']}/credentials", token=local.token("alice"), body={})
        assert status == 200
        assert "*returned*" in alice.reads(f"done {request['id'][-8:]}")
        heard = repr(slack.told) + repr(slack.calls) + repr(slack.forms)
        for secret in (lent["SecretAccessKey"], lent["SessionToken"], SIGNING_SECRET, BOT_TOKEN):
            assert secret not in heard
            assert secret not in local.stage.folder.api_log.read_text()
        assert alice.types("list").status == 200
        slack.secret = "another"
        assert alice.types("list").status == 401
