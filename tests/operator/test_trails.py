"""The event history of an account as a book: what it tells, and what it cannot be blamed for not telling."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.aws.trail_lookup import EventHistory
from chalicelib.core.known import Known, Record
from chalicelib.core.reckoning import under_daypass
from daypass.operator import reconcile_shown
from daypass.operator.trails import HISTORY, Days, NoTrail, Reading, looked_up
from tests.trails import (
    ADMIN,
    DEPLOY,
    HUB,
    MINUTE,
    NOON,
    SIGNING_KEY,
    TARGET,
    Json,
    a_denial,
    a_pair,
    a_session,
    a_signing,
    a_use,
    an_issuance,
)

CAROL, CHAINED, ZOE = "ASIACAROL00000000001", "ASIACHAINED000000001", "ASIAZOE0000000000001"
DAY = Days(date(2026, 11, 23), date(2026, 11, 23))
LATER = NOON + timedelta(days=1)
ZOES = {"type": "IAMUser", "arn": f"arn:aws:iam::{TARGET}:user/zoe", "accountId": TARGET, "accessKeyId": "AKIAZOE"}


class Trail:
    """LookupEvents over records of one account. asked: by which attribute and value, in order."""

    def __init__(self, *records: Json) -> None:
        self.records = records
        self.asked: list[tuple[str, str]] = []

    def lookup_events(self, **asked: Any) -> Mapping[str, Any]:
        [one] = asked["LookupAttributes"]
        attribute, value = one["AttributeKey"], one["AttributeValue"]
        self.asked.append((attribute, value))
        return {"Events": [{"CloudTrailEvent": json.dumps(each)} for each in self._found(attribute, value)]}

    def _found(self, attribute: str, value: str) -> Iterator[Json]:
        for each in self.records:
            if value == (each["eventName"] if attribute == "EventName" else each["userIdentity"].get("accessKeyId")):
                yield each


def reading(trail: Trail, record: Record | None = None, keys: tuple[str, ...] = ()) -> Reading:
    return looked_up(EventHistory(trail, lambda: None), DAY, LATER, record, keys, under_daypass)


def a_known(key: str, role_arn: str = ADMIN, **changed: Any) -> Known:
    told: dict[str, Any] = {"request_id": f"01K{key}", "session_name": f"01K-{key}", "begun_at": NOON}
    return Known(role_arn=role_arn, access_key_id=key, **{**told, **changed})


def test_a_bypass_is_found_with_all_that_it_went_on_to() -> None:
    trail = Trail(
        a_pair(CAROL)[1],
        a_use(CAROL),
        an_issuance(ZOE, by=ZOES, name="zoe"),
        an_issuance(CHAINED, DEPLOY, "cdk", NOON + MINUTE, by=a_session(ZOE, name="zoe")),
        a_use(None, session=a_session(CHAINED, DEPLOY, "cdk", NOON + MINUTE)),
        a_denial(by=ZOES),
    )
    found = reading(trail, Record([a_known(CAROL)]))
    told = {each.access_key_id: (each.bypass, each.events) for each in found.accounts(under_daypass)}
    assert told == {CAROL: (False, 1), ZOE: (True, 1), CHAINED: (True, 1)}
    assert (found.files, len(list(found.books.denials()))) == (0, 1)
    assert [value for attribute, value in trail.asked if attribute == "AccessKeyId"] == [CAROL, ZOE, CHAINED]


def test_nothing_is_missed_that_only_other_accounts_tell_of() -> None:
    """The role's account tells nothing of the hub's half, nor of roles elsewhere; of its own roles it tells all."""
    elsewhere = a_known("ASIAELSEWHERE0000001", ADMIN.replace(TARGET, "333333333333"))
    missing = a_known("ASIAMISSING000000001")
    found = reading(Trail(a_pair(CAROL)[1]), Record([a_known(CAROL), elsewhere, missing]))
    accounts = found.accounts(under_daypass)
    assert {each.access_key_id for each in accounts} == {CAROL, missing.access_key_id}
    shown = reconcile_shown.everything(found, accounts, [])
    assert shown.partition("though it should be:")[2].count("01K") == 2  # the missing one's request and session
    assert HUB not in shown


def test_signatures_are_looked_for_where_a_key_is_told() -> None:
    trail = Trail(an_issuance(CAROL), a_signing("kms-1", by=ZOES))
    found = reading(trail, Record([a_known(CAROL)]), (SIGNING_KEY,))
    assert found.books.signatures is not None
    assert [each.request_id for each in found.books.signatures.unexplained()] == ["kms-1"]

    silent = Trail(an_issuance(CAROL))
    reading(silent, Record([]))
    assert ("EventName", "Sign") not in silent.asked


def test_a_history_that_tells_nothing_is_the_wrong_regions() -> None:
    with pytest.raises(NoTrail, match="region"):
        reading(Trail())


def test_days_that_it_has_forgotten_are_not_asked_for() -> None:
    trail = Trail(an_issuance(CAROL))
    history = EventHistory(trail, lambda: None)
    midnight = NOON - timedelta(hours=12)
    looked_up(history, DAY, midnight + HISTORY, None, (), under_daypass)
    asked = list(trail.asked)
    with pytest.raises(NoTrail, match="90 days"):
        looked_up(history, DAY, midnight + HISTORY + MINUTE, None, (), under_daypass)
    assert trail.asked == asked


def test_what_must_have_been_told_by_now_leaves_cloudtrail_its_time() -> None:
    begin, end = DAY.span
    assert end - begin == timedelta(days=1)
    assert DAY.due(end + timedelta(hours=1)) == (begin, end)
    assert DAY.due(NOON) == (begin, NOON - 30 * MINUTE)
