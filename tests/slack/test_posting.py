"""Telling Slack: the fake and the real client over HTTP make the same of everything that Slack answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalicelib.slack.messages import Rendered, Telling, rendered
from chalicelib.slack.posting import Posted, SaidNo, Silent, Slack, Throttled, WebApi
from tests.builders import NOW, a_request
from tests.slack.workspace import BOT_TOKEN, FakeSlack, Fault, Said, Workspace, serving

PLACE = "#sre-approvals"
CHANNEL = "C0SREAPPROVE"
BEFORE = NOW - timedelta(hours=1)


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture(params=["fake", "web api"])
def slack(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Slack]:
    if request.param == "fake":
        yield FakeSlack(workspace)
    else:
        with serving(workspace) as url:
            yield WebApi(lambda: BOT_TOKEN, url)


def a_message(text: str = "a request", id: str = "01K") -> Rendered:
    return Rendered(text, rendered(Telling(request=a_request(id=id), now=NOW)).blocks)


def test_a_message_is_posted_and_told_where_it_is(slack: Slack, workspace: Workspace) -> None:
    posted = slack.post(PLACE, a_message(), "01K")
    [said] = workspace.said
    assert posted == Posted(CHANNEL, said.ts)
    assert (said.text, said.blocks) == ("a request", a_message().blocks)


@pytest.mark.parametrize("place", [CHANNEL, PLACE])
def test_a_channel_goes_by_name_or_id(slack: Slack, place: str) -> None:
    assert slack.post(place, a_message(), "01K").channel == CHANNEL
    found = slack.find(place, "01K", BEFORE)
    assert found is not None
    assert found.channel == CHANNEL


def test_a_person_is_told_in_person(slack: Slack) -> None:
    posted = slack.post("U0FRANK0001", a_message(), "01K")
    assert posted.channel == "D0FRANK0001"
    assert slack.find("U0FRANK0001", "01K", BEFORE) == posted


def test_an_update_replaces_what_the_message_says(slack: Slack, workspace: Workspace) -> None:
    posted = slack.post(PLACE, a_message("before"), "01K")
    slack.update(posted, a_message("after"))
    [said] = workspace.said
    assert (said.text, said.edits) == ("after", 1)


@pytest.mark.parametrize("to_all", [True, False])
def test_an_answer_stands_in_the_thread(slack: Slack, workspace: Workspace, to_all: bool) -> None:
    posted = slack.post(PLACE, a_message(), "01K")
    slack.reply(posted, a_message("still waiting"), to_all=to_all)
    [reply] = workspace.replies()
    assert (reply.thread, reply.text, reply.to_all) == (posted.ts, "still waiting", to_all)


def test_a_message_is_found_by_its_request_and_nobody_elses_is(slack: Slack) -> None:
    first = slack.post(PLACE, a_message(id="01A"), "01A")
    slack.post(PLACE, a_message(id="01B"), "01B")
    slack.reply(first, a_message("in the thread"), to_all=False)
    assert slack.find(PLACE, "01A", BEFORE) == first
    assert slack.find(PLACE, "01C", BEFORE) is None
    assert slack.find(PLACE, "01A", BEFORE + timedelta(hours=2)) is None


@pytest.mark.parametrize(
    "code", ["channel_not_found", "not_in_channel", "missing_scope", "is_archived", "invalid_auth"]
)
def test_a_no_is_told_by_slacks_own_word(slack: Slack, workspace: Workspace, code: str) -> None:
    workspace.fail(Fault(error=code))
    with pytest.raises(SaidNo) as no:
        slack.post(PLACE, a_message(), "01K")
    assert no.value.code == code
    assert workspace.said == []


@pytest.mark.parametrize("place", ["#nowhere", "C0NOWHERE00"])
def test_what_is_not_there_is_a_no(slack: Slack, place: str) -> None:
    with pytest.raises(SaidNo, match="channel_not_found"):
        slack.post(place, a_message(), "01K")
    with pytest.raises(SaidNo, match="channel_not_found"):
        slack.find(place, "01K", BEFORE)
    with pytest.raises(SaidNo, match="message_not_found"):
        slack.update(Posted(CHANNEL, "1.0"), a_message())


def test_throttling_tells_for_how_long_and_did_nothing(slack: Slack, workspace: Workspace) -> None:
    workspace.fail(Fault(retry_after=30))
    with pytest.raises(Throttled) as throttled:
        slack.post(PLACE, a_message(), "01K")
    assert throttled.value.after == timedelta(seconds=30)
    assert workspace.said == []


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(silent=True),
        Fault(status=500, error="internal_error"),
        Fault(status=503, body="<html>upstream connect error</html>"),
        Fault(status=200, body="<html>maintenance</html>"),
        Fault(error="internal_error"),
        Fault(error="fatal_error"),
    ],
    ids=["hangs up", "500", "503 in HTML", "200 in HTML", "internal_error", "fatal_error"],
)
def test_no_answer_leaves_open_whether_it_was_done(
    slack: Slack, workspace: Workspace, fault: Fault, after: bool
) -> None:
    workspace.fail(Fault(**{**vars(fault), "after": after}))
    with pytest.raises(Silent) as silent:
        slack.post(PLACE, a_message(), "01K")
    assert "html" not in str(silent.value)
    assert (slack.find(PLACE, "01K", BEFORE) is not None) == after


def test_nothing_is_tried_again_by_itself(workspace: Workspace) -> None:
    with serving(workspace) as url:
        slack = WebApi(lambda: BOT_TOKEN, url)
        workspace.fail(Fault(silent=True, after=True))
        with pytest.raises(Silent):
            slack.post(PLACE, a_message(), "01K")
    assert workspace.calls == ["chat.postMessage"]


def test_where_nobody_listens_is_no_answer() -> None:
    with pytest.raises(Silent):
        WebApi(lambda: BOT_TOKEN, "http://127.0.0.1:9/api/").post(PLACE, a_message(), "01K")


def chatter(workspace: Workspace, messages: int) -> None:
    """What others say in the channel afterwards."""
    workspace.said += [Said(CHANNEL, f"{workspace.clock + 1000 + n:.6f}", "x", []) for n in range(messages)]


def test_history_is_read_page_by_page(workspace: Workspace) -> None:
    with serving(workspace) as url:
        slack = WebApi(lambda: BOT_TOKEN, url)
        wanted = slack.post(PLACE, a_message(), "01A")
        chatter(workspace, 450)
        workspace.calls.clear()
        assert slack.find(PLACE, "01A", BEFORE) == wanted
        assert workspace.calls == ["conversations.list", *["conversations.history"] * 3]


def test_the_search_has_an_end(workspace: Workspace) -> None:
    with serving(workspace) as url:
        slack = WebApi(lambda: BOT_TOKEN, url)
        slack.post(PLACE, a_message(), "01A")
        chatter(workspace, 3000)
        workspace.calls.clear()
        assert slack.find(CHANNEL, "01A", BEFORE) is None
        assert len(workspace.calls) == 5


def test_the_token_is_asked_for_once_and_told_to_nobody(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        return BOT_TOKEN

    caplog.set_level(logging.DEBUG)
    errors = []
    with serving(workspace) as url:
        slack = WebApi(token, url)
        assert asked == []
        slack.post(PLACE, a_message(), "01K")
        for fault in (
            Fault(error="invalid_auth"),
            Fault(silent=True),
            Fault(retry_after=1),
            Fault(status=500, body="x"),
        ):
            workspace.fail(fault)
            with pytest.raises((SaidNo, Silent, Throttled)) as error:
                slack.post(PLACE, a_message(), "01K")
            errors.append(error.getrepr(showlocals=False, chain=True))
    assert asked == [1, 1]  # once more after invalid_auth
    told = caplog.text + "".join(map(str, errors))
    assert "CANARY" not in told


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked", "token_expired", "not_authed", "account_inactive"])
def test_given_the_token_was_replaced_then_nothing_is_lost(workspace: Workspace, code: str) -> None:
    tokens = iter(["xoxb-before", BOT_TOKEN])
    with serving(workspace) as url:
        workspace.fail(Fault(error=code))
        posted = WebApi(lambda: next(tokens), url).post(PLACE, a_message(), "01K")
    assert posted.channel == CHANNEL
    assert len(workspace.said) == 1


def test_given_the_other_token_is_no_good_either_then_that_is_a_no_and_tried_once_more_only(
    workspace: Workspace,
) -> None:
    tokens = iter(["xoxb-before", "xoxb-wrong"])
    with serving(workspace) as url:
        workspace.fail(Fault(error="token_revoked"), Fault(error="invalid_auth"))
        with pytest.raises(SaidNo, match="invalid_auth"):
            WebApi(lambda: next(tokens), url).post(PLACE, a_message(), "01K")
    assert workspace.said == []
