"""CloudTrail's event history: page after page, two calls a second, and no clock but the one that is given."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from chalicelib.aws.trail_lookup import A_CALL, EventHistory, Pace, told
from chalicelib.core.joining import Books
from chalicelib.core.reckoning import under_daypass
from chalicelib.core.trail import Unreadable, read
from tests.trails import DEPLOY, NOON, TARGET, a_pair, a_session, a_use, an_issuance

KEY = "ASIACAROL00000000001"
LATER = NOON + timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client() -> Any:
    session = botocore.session.Session()
    return session.create_client(
        "cloudtrail", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def asked(attribute: str, value: str, **more: Any) -> dict[str, Any]:
    one = [{"AttributeKey": attribute, "AttributeValue": value}]
    return {"LookupAttributes": one, "StartTime": NOON, "EndTime": LATER, "MaxResults": 50, **more}


def page(*records: Any, token: str | None = None) -> dict[str, Any]:
    events = [{"EventId": "x", "CloudTrailEvent": json.dumps(record)} for record in records]
    return {"Events": events, **({"NextToken": token} if token else {})}


def test_every_page_is_asked_for_no_sooner_than_aws_lets_it(client, clock) -> None:
    uses = [a_use(KEY) for _ in range(5)]
    history = EventHistory(client, Pace(clock, clock.sleep))
    with Stubber(client) as stub:
        stub.add_response("lookup_events", page(*uses[:2], token="t1"), asked("AccessKeyId", KEY))
        stub.add_response("lookup_events", page(token="t2"), asked("AccessKeyId", KEY, NextToken="t1"))
        stub.add_response("lookup_events", page(*uses[2:]), asked("AccessKeyId", KEY, NextToken="t2"))
        assert list(history.uses(KEY, NOON, LATER)) == uses
        stub.assert_no_pending_responses()
    assert clock.slept == [A_CALL, A_CALL]


def test_the_pace_is_that_of_all_questions_together_and_waits_no_longer_than_it_must(client, clock) -> None:
    history = EventHistory(client, Pace(clock, clock.sleep))
    with Stubber(client) as stub:
        for attribute, value in (("EventName", "AssumeRole"), ("AccessKeyId", "ASIAZOE"), ("AccessKeyId", KEY)):
            stub.add_response("lookup_events", page(), asked(attribute, value))
        assert list(history.called("AssumeRole", NOON, LATER)) == []
        clock.now += 0.2
        assert list(history.uses("ASIAZOE", NOON, LATER)) == []
        clock.now += 10
        assert list(history.uses(KEY, NOON, LATER)) == []
    assert clock.slept == pytest.approx([A_CALL - 0.2])


def test_what_it_tells_is_joined_as_files_are_and_what_it_tells_twice_counts_once(client, clock) -> None:
    hub, target = a_pair(KEY, tags={"daypass:request": "01KREQUEST"})
    use = a_use(KEY)
    history = EventHistory(client, Pace(clock, clock.sleep))
    books = Books()
    with Stubber(client) as stub:
        stub.add_response("lookup_events", page(use, use, target), asked("EventName", "AssumeRole"))
        stub.add_response("lookup_events", page(use), asked("AccessKeyId", KEY))
        for record in (*history.called("AssumeRole", NOON, LATER), *history.uses(KEY, NOON, LATER), hub):
            books.take(read(record))
    (session,) = books.accounts(under_daypass)
    assert (session.request_id, session.events, books.totals().duplicates) == ("01KREQUEST", 1, 2)
    assert TARGET in session.seen_in


def test_every_assume_role_is_asked_for_and_then_the_uses_of_each_key_that_is_daypasss_business(client, clock) -> None:
    lent, chained = a_pair(KEY)[1], an_issuance("ASIACHAINED000000001", DEPLOY, "cdk", by=a_session(KEY))
    others = an_issuance("ASIAOTHERS0000000001", DEPLOY, "ci", by={"type": "AWSService", "invokedBy": "x"})
    used, further = a_use(KEY), a_use(None, session=a_session("ASIACHAINED000000001", DEPLOY, "cdk"))
    known = "ASIAKNOWN00000000001"
    history = EventHistory(client, Pace(clock, clock.sleep))
    with Stubber(client) as stub:
        stub.add_response("lookup_events", page(others, {"eventVersion": "9"}, lent), asked("EventName", "AssumeRole"))
        stub.add_response("lookup_events", page(), asked("EventName", "Sign"))
        stub.add_response("lookup_events", page(), asked("AccessKeyId", known))
        stub.add_response("lookup_events", page(used, chained), asked("AccessKeyId", KEY))
        stub.add_response("lookup_events", page(further), asked("AccessKeyId", "ASIACHAINED000000001"))
        records = list(told(history, ["AssumeRole", "Sign"], [known], under_daypass, (NOON, LATER)))
        stub.assert_no_pending_responses()
    assert records == [others, {"eventVersion": "9"}, lent, used, chained, further]


@pytest.mark.parametrize("event", [{}, {"CloudTrailEvent": "{"}, {"CloudTrailEvent": "[" * 100_000}])
def test_an_event_without_its_record_is_unreadable_like_any_other(client, clock, event) -> None:
    with Stubber(client) as stub:
        stub.add_response("lookup_events", {"Events": [event]}, asked("AccessKeyId", KEY))
        (record,) = EventHistory(client, Pace(clock, clock.sleep)).uses(KEY, NOON, LATER)
    with pytest.raises(Unreadable):
        read(record)


def test_what_cloudtrail_refuses_is_raised(client, clock) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("lookup_events", "ThrottlingException")
        with pytest.raises(ClientError, match="ThrottlingException"):
            list(EventHistory(client, Pace(clock, clock.sleep)).uses(KEY, NOON, LATER))
