"""Slack in the terminal: what would be posted, as it would read, in a frame that nobody's words can leave."""

from __future__ import annotations

from hypothesis import given

from chalicelib.slack.messages import Rendered, Telling, rendered
from chalicelib.slack.posting import Posted
from daypass.local.terminal_slack import TerminalSlack
from tests.builders import NOW, a_request
from tests.outbox.test_posting import FIRE
from tests.slack.test_messages import EMERGENCY, words_of_others


def shown(message: Rendered) -> list[str]:
    told: list[str] = []
    TerminalSlack(told.append).post("#sre-approvals", message, "01K")
    [text] = told
    return text.split("\n")


def test_an_approval_message_reads_as_in_slack() -> None:
    request = a_request(id="01K", requester="carol@example.com", reason="disk full\non db-3", ticket="OPS-7")
    assert shown(rendered(Telling(request=request, now=NOW))) == [
        "  ┌ Slack #sre-approvals",
        "  │ ⏳ carol@example.com asks for payments-admin",
        "  │ Who: carol@example.com (human of local, with a second factor)",
        "  │ Role: payments-admin in payments-prod (222222222222)",
        "  │ ARN: arn:aws:iam::222222222222:role/daypass/Admin",
        "  │ For: 1 h, from the first use on",
        "  │ Scope: all that the role may",
        "  │ Ticket: OPS-7",
        "  │ Rule: “sre administer payments”",
        "  │ Approvals: 1 of groups sre-leads",
        "  │ Answer by: 2031-03-06T12:00:00Z",
        "  │ Reason, in the requester's words:",
        "  │ > disk full",
        "  │ > on db-3",
        "  │ [Approve] [Shorten…] [Deny]",
        "  │ Request 01K",
        "  └",
    ]


def test_an_emergency_calls_everybody() -> None:
    message = rendered(Telling(request=a_request(**EMERGENCY, reason=FIRE), now=NOW, loud=True))
    assert any(line.startswith("  │ @channel The glass was broken") for line in shown(message))


def test_updates_and_answers_say_what_they_are() -> None:
    told: list[str] = []
    slack = TerminalSlack(told.append)
    message = rendered(Telling(request=a_request(), now=NOW))
    posted = slack.post("#sre-approvals", message, "01K")
    assert posted == Posted("#sre-approvals", "1.0")
    slack.update(posted, message)
    slack.reply(posted, message, to_all=True)
    slack.reply(posted, message, to_all=False)
    assert [text.partition("\n")[0] for text in told] == [
        "  ┌ Slack #sre-approvals",
        "  ┌ Slack #sre-approvals, the same message",
        "  ┌ Slack #sre-approvals, in the thread and to all",
        "  ┌ Slack #sre-approvals, in the thread",
    ]
    assert slack.find("#sre-approvals", "01K", NOW) is None


@given(words_of_others)
def test_nobodys_words_leave_the_frame(reason: str) -> None:
    first, *inside, last = shown(rendered(Telling(request=a_request(reason=reason), now=NOW)))
    assert (first[:3], last) == ("  ┌", "  └")
    for line in inside:
        assert line.startswith("  │")
        assert line.isprintable()
