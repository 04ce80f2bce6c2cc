"""What Slack shows of a request: the broker's words, other people's as quotations, and nothing that forges one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Who
from chalicelib.core.life import State, Status, Window
from chalicelib.core.provider import Via
from chalicelib.core.request import Approval, Review, Revocation, ScopeChoice, StageProgress, Verdict
from chalicelib.slack.blocks import APPROVE, DENY, SHORTEN
from chalicelib.slack.messages import Rendered, Telling, alarm, reminder, rendered
from chalicelib.slack.quotation import closed, shortened
from chalicelib.slack.text import escaped
from tests.builders import HOUR, NOW, a_principal, a_request, requests
from tests.slack.workspace import problem_of
from tests.stage import CATALOGUE

ID = "01K0000000AAAAAAAAAAAAAAAA"
PAYMENTS = CATALOGUE.roles["payments-admin"]
BY_FRANK = Approval(by="frank@example.com", at=NOW, comment="go ahead", qualifies=frozenset())

NASTY = (
    "<!channel> <!here> <@U0CAROL0001> <#C0123456789|general> <https://example.com|harmless>",
    "*Role:* admin\n*Approved by:* frank@example.com\n> quoted\n```code```",
    "Who: bob@example.com\nRole: sandbox-admin",
    "&lt;!channel&gt; &amp;",
    "\u202eevorppa ton od\u202c \u2066\u202e \u200f\u061c",
    "🔥" * 3000,
    "@channel @here @everyone :white_check_mark: {date_short}",
    "x" * 3000,
    "a\n" * 1500,
    '"},{"type":"actions"',
    "`",
)


def shown(**changed: Any) -> Rendered:
    settings = {
        name: changed.pop(name) for name in ("ended_at", "for_requester", "loud", "role", "done") if name in changed
    }
    return rendered(Telling(request=a_request(id=ID, **changed), now=NOW, **{"role": PAYMENTS, **settings}))


def parts(of: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Every part of that type, however deep."""
    if isinstance(of, list):
        for each in of:
            yield from parts(each, kind)
    elif isinstance(of, dict):
        if of.get("type") == kind:
            yield of
        for each in of.values():
            yield from parts(each, kind)


def read(message: Rendered) -> str:
    """What a person reads, without the look of it."""
    words = []
    for block in message.blocks:
        for text in (*parts(block, "plain_text"), *parts(block, "text"), *parts(block, "date")):
            words.append(text.get("text") or text["fallback"])
    return " ".join(words)


def quoted(message: Rendered) -> list[str]:
    return [quote["elements"][0]["text"] for quote in parts(message.blocks, "rich_text_quote")]


def unquoted(message: Rendered) -> str:
    """The message with every quotation and preformatted text emptied."""

    def emptied(part: Any) -> Any:
        if isinstance(part, list):
            return [emptied(each) for each in part]
        if isinstance(part, dict):
            if part.get("type") in ("rich_text_quote", "rich_text_preformatted"):
                return part["type"]
            return {name: emptied(value) for name, value in part.items()}
        return part

    return json.dumps([message.text, emptied(message.blocks)])


def test_an_approver_reads_who_what_where_for_how_long_why_and_by_which_rule() -> None:
    words = read(shown(requester="carol@example.com", ticket="INC-7"))
    for word in (
        "carol@example.com asks for payments-admin",
        "carol@example.com (human of local, with a second factor)",
        "payments-admin in payments-prod (222222222222)",
        "arn:aws:iam::222222222222:role/daypass/Admin",
        "1 h, from the first use on",
        "all that the role may",
        "INC-7",
        "“sre administer payments”",
        "1 of groups sre-leads",
        "2031-03-06T12:00:00Z",
        "The ledger is stuck",
        ID,
    ):
        assert word in words


def test_scopes_and_policies_are_told_in_words_and_in_full() -> None:
    scope = ScopeChoice("one-bucket", {"bucket": "payments-files"})
    assert "one-bucket: bucket = payments-files" in read(shown(scope=scope, session_policy='{"Statement":[]}'))
    policy = json.dumps({"Version": "2012-10-17", "Statement": ["x" * 1990]})
    [preformatted] = parts(shown(session_policy=policy).blocks, "rich_text_preformatted")
    assert preformatted["elements"][0]["text"] == policy


def test_what_is_longer_than_a_session_is_told_in_sessions() -> None:
    assert "4 h, in sessions of 1 h at most, from the first use on" in read(shown(duration=4 * HOUR))
    window = Window(NOW + HOUR, NOW + 3 * HOUR)
    words = read(shown(duration=2 * HOUR, starts_at=NOW + HOUR, window=window))
    assert "from  2031-03-05T13:00:00Z" not in words
    assert "2 h, in sessions of 1 h at most, from" in words
    assert "2031-03-05T15:00:00Z" in words


def test_a_role_that_is_not_chained_is_told_in_its_own_longest_sessions() -> None:
    direct = replace(PAYMENTS, via=Via.OIDC, max_session=4 * HOUR)
    assert "For:  4 h, from the first use on" in read(shown(duration=4 * HOUR, role=direct))
    assert "8 h, in sessions of 4 h at most, from" in read(shown(duration=8 * HOUR, role=direct))


STORIES: dict[State, dict[str, Any]] = {
    State.PENDING: {},
    State.READY: {"status": Status.APPROVED, "use_by": NOW + HOUR, "approvals": (BY_FRANK,)},
    State.SCHEDULED: {"status": Status.APPROVED, "window": Window(NOW + HOUR, NOW + 2 * HOUR)},
    State.ACTIVE: {"status": Status.USED, "window": Window(NOW - HOUR, NOW + HOUR)},
    State.EXPIRED: {"answer_by": NOW - HOUR},
    State.DENIED: {"status": Status.DENIED, "decided_by": "frank@example.com", "decision_comment": "not today"},
    State.CANCELLED: {"status": Status.CANCELLED},
    State.ENDED: {"status": Status.USED, "window": Window(NOW - 2 * HOUR, NOW - HOUR)},
    State.RETURNED: {"status": Status.RETURNED, "window": Window(NOW - HOUR, NOW + HOUR)},
    State.REVOKED: {
        "status": Status.REVOKED,
        "decided_by": "dave@example.com",
        "decision_comment": "left the company",
        "revocation": Revocation(stopped_at=NOW),
    },
}


def test_there_is_a_story_for_every_state() -> None:
    assert set(STORIES) == set(State)


@pytest.mark.parametrize("state", STORIES, ids=str)
def test_only_what_waits_has_buttons_and_they_name_the_request(state: State) -> None:
    message = shown(**STORIES[state])
    buttons = list(parts(message.blocks, "button"))
    if state is State.PENDING:
        assert [(each["action_id"], each["value"]) for each in buttons] == [(APPROVE, ID), (SHORTEN, ID), (DENY, ID)]
    else:
        assert buttons == []


@pytest.mark.parametrize(
    ("state", "who_and_what"),
    [
        (State.READY, "frank@example.com said yes"),
        (State.DENIED, "frank@example.com said no"),
        (State.CANCELLED, "alice@example.com took it back"),
        (State.RETURNED, "alice@example.com gave it back"),
        (State.REVOKED, "dave@example.com took it away"),
        (State.EXPIRED, "Nobody answered"),
        (State.ENDED, "It ended"),
    ],
    ids=str,
)
def test_in_the_end_it_tells_who_did_what_and_when(state: State, who_and_what: str) -> None:
    message = shown(**STORIES[state], ended_at=NOW - timedelta(minutes=5))
    outcome = message.blocks[3]
    assert who_and_what in json.dumps(outcome)
    assert list(parts(outcome, "date"))


def test_comments_are_quoted() -> None:
    assert quoted(shown(**STORIES[State.DENIED])) == ["The ledger is stuck", "not today"]
    assert quoted(shown(**STORIES[State.READY])) == ["The ledger is stuck", "go ahead"]


def test_the_requester_is_told_how_to_fetch_and_asked_nothing() -> None:
    message = shown(**STORIES[State.READY], for_requester=True)
    words = read(message)
    assert f"daypass credentials {ID}" in words
    assert f"daypass console {ID}" in words
    assert not list(parts(message.blocks, "button"))
    denied = read(shown(**STORIES[State.DENIED], for_requester=True))
    assert "daypass credentials" not in denied
    assert "daypass console" not in denied
    assert f"daypass show {ID}" in denied


EMERGENCY = {
    "status": Status.APPROVED,
    "break_glass": True,
    "stages": (),
    "reviewers": (Who(groups=frozenset({"security"})),),
    "review_by": NOW + 24 * HOUR,
    "escalated_because": "payments are down, refunds pile up",
}


def test_an_emergency_calls_everybody_and_asks_for_its_review() -> None:
    message = shown(**EMERGENCY, loud=True)
    assert [each["range"] for each in parts(message.blocks, "broadcast")] == ["channel"]
    words = read(message)
    assert "🚨 EMERGENCY: alice@example.com" in words
    assert "none: an emergency" in words
    assert "by groups security, until" in words
    assert "payments are down, refunds pile up" in quoted(message)


def test_its_review_is_told() -> None:
    review = Review(verdict=Verdict.UNJUSTIFIED, by="dave@example.com", at=NOW, comment="it could have waited")
    message = shown(**EMERGENCY, review=review)
    assert "dave@example.com found the emergency unjustified" in read(message)
    assert "it could have waited" in quoted(message)


def test_what_was_done_is_shown_as_it_is_and_cut_where_it_is_long() -> None:
    for nasty in NASTY:
        message = shown(**EMERGENCY, done=nasty * 9)
        assert problem_of({"text": message.text, "blocks": message.blocks}) is None
    assert "(100 more characters)" in read(shown(**EMERGENCY, done="x" * 600))


def test_nobody_is_called_but_to_an_emergency() -> None:
    for state in STORIES:
        assert not list(parts(shown(**STORIES[state]).blocks, "broadcast"))


def test_a_reminder_names_who_may_approve_and_until_when() -> None:
    stages = (
        StageProgress(1, Who(groups=frozenset({"sre-leads"})), ("frank@example.com",)),
        StageProgress(2, Who(ids=("dave@example.com", "erin@example.com")), ("dave@example.com",)),
    )
    message = reminder(Telling(request=a_request(stages=stages), now=NOW))
    words = read(message)
    assert "Still waiting for 1 of ids dave@example.com, erin@example.com, until" in words
    assert problem_of(vars_of(message)) is None


def test_an_alarm_calls_everybody() -> None:
    message = alarm(Telling(request=a_request(**EMERGENCY), now=NOW, loud=True))
    assert list(parts(message.blocks, "broadcast"))
    assert problem_of(vars_of(message)) is None


def vars_of(message: Rendered) -> dict[str, Any]:
    return {"text": message.text, "blocks": message.blocks}


# Whatever others write: it arrives, it pings nobody, and it changes nothing but its own quotation.

words_of_others = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=3000),
    st.text("<>&!@#|`*_~:\n\u202e\u2066\u200f🔥a", min_size=1, max_size=200),
)


@given(words_of_others)
@example(NASTY[0])
def test_a_reason_arrives_unharmed_and_is_nothing_but_a_quotation(reason: str) -> None:
    message = shown(reason=reason)
    [quote] = quoted(message)
    assert quote.startswith(reason)
    assert set(quote[len(reason) :]) <= {"\u202c", "\u2069"}
    assert unquoted(message) == unquoted(shown(reason="harmless"))
    assert problem_of(vars_of(message)) is None


@given(words_of_others, words_of_others, words_of_others, words_of_others)
def test_so_do_comments(reason: str, comment: str, escalation: str, verdict: str) -> None:
    def told(reason: str, comment: str, escalation: str, verdict: str) -> Rendered:
        review = Review(verdict=Verdict.JUSTIFIED, by="dave@example.com", at=NOW, comment=verdict)
        approval = replace(BY_FRANK, comment=comment)
        more = {**EMERGENCY, "escalated_because": escalation, "review": review, "status": Status.REVOKED}
        return shown(**more, reason=reason, approvals=(approval,), decided_by="x", decision_comment=comment)

    message = told(reason, comment, escalation, verdict)
    assert unquoted(message) == unquoted(told("a", "b", "c", "d"))
    assert problem_of(vars_of(message)) is None


@given(words_of_others)
def test_nothing_that_slack_interprets_holds_anybodys_words(reason: str) -> None:
    message = shown(reason=reason, approvals=(replace(BY_FRANK, comment=reason),))
    assert not list(parts(message.blocks, "mrkdwn"))
    assert "<" not in message.text
    for text in parts(message.blocks, "plain_text"):
        assert text.get("emoji", True) is False or text["text"] in ("Approve", "Shorten…", "Deny")


@given(requests, st.booleans(), st.booleans())
def test_whatever_the_request_it_is_within_slacks_limits(request: Any, for_requester: bool, loud: bool) -> None:
    telling = Telling(request=request, now=NOW, for_requester=for_requester, loud=loud)
    for message in (rendered(telling), alarm(telling), reminder(telling)):
        assert problem_of(vars_of(message)) is None


def test_the_longest_of_everything_is_within_slacks_limits() -> None:
    who = Who(groups=frozenset(f"a-rather-long-group-name-{number}" for number in range(200)))
    long = "x" * 3000
    message = shown(
        requester=a_principal("x" * 500 + "@example.com"),
        reason=long,
        ticket="T" * 128,
        session_policy=long,
        stages=tuple(StageProgress(9, who, ("frank@example.com",)) for _ in range(20)),
        approvals=tuple(replace(BY_FRANK, by="y" * 500, comment=long) for _ in range(40)),
        escalated_because=long,
        reviewers=(who,) * 20,
        review_by=NOW + HOUR,
        break_glass=True,
        review=Review(verdict=Verdict.JUSTIFIED, by="z" * 500, at=NOW, comment=long),
        status=Status.REVOKED,
        decided_by="z" * 500,
        decision_comment=long,
        revocation=Revocation(stopped_at=NOW),
        rule="r" * 100,
        loud=True,
    )
    assert problem_of(vars_of(message)) is None


@given(st.text("\u202a\u202b\u202d\u202e\u202c\u2066\u2067\u2068\u2069ab\n"))
def test_whatever_turns_text_around_ends_with_it(text: str) -> None:
    balanced = closed(text)
    assert balanced.startswith(text)
    assert closed(balanced) == balanced


def test_what_is_cut_says_so() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdef", 3) == "abc… (3 more characters)"


@given(st.text())
def test_escaped_text_opens_nothing(text: str) -> None:
    assert not set("<>") & set(escaped(text))
    assert escaped(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
