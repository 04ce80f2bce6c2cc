"""One record of CloudTrail's: what it says, and what of it stays behind."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.trail import Caller, Denial, Issuance, Unreadable, Unrelated, Use, read
from chalicelib.core.trail_fields import expiration
from tests.trails import (
    ADMIN,
    BROKER,
    BROKER_KEY,
    HUB,
    MINUTE,
    NOON,
    TARGET,
    TOKEN,
    a_denial,
    a_pair,
    a_record,
    a_session,
    a_use,
    an_issuance,
    real_files,
    role_id,
)

KEY = "ASIACAROL00000000001"


def test_an_issuance_has_every_join_key() -> None:
    record = an_issuance(
        KEY,
        tags={"daypass:request": "01KREQUEST"},
        asked={"incomingTransitiveTags": {"team": "sre"}, "externalId": "x", "policy": "{}"},
        requestID="r-1",
        eventID="e-1",
    )
    fact = read(record)
    assert isinstance(fact, Issuance)
    own = read(a_use(None, NOON, session=record["userIdentity"], eventID="e-1"))
    assert isinstance(own, Use)
    assert fact.by == own._replace(action="sts:AssumeRole")
    assert fact == Issuance(
        event_id="e-1",
        at=NOON,
        request_id="r-1",
        role_arn=ADMIN,
        session_name="01K-carol",
        source_identity="carol@example.com",
        tags={"daypass:request": "01KREQUEST", "team": "sre"},
        access_key_id=KEY,
        assumed_role_id=f"{role_id(ADMIN)}:01K-carol",
        expires_at=NOON + timedelta(hours=1),
        caller=Caller("AssumedRole", f"arn:aws:sts::{HUB}:assumed-role/daypass-broker/daypass-api", HUB, BROKER_KEY),
        address="192.0.2.1",
        account_id=HUB,
        by=fact.by,
        corrects=None,
    )


def test_the_two_accounts_of_a_call_share_its_ids_and_the_target_is_not_told_the_callers_key() -> None:
    hub, target = map(read, a_pair(KEY))
    assert isinstance(hub, Issuance)
    assert isinstance(target, Issuance)
    assert (hub.request_id, hub.access_key_id) == (target.request_id, target.access_key_id)
    assert hub.event_id != target.event_id
    assert (hub.account_id, target.account_id) == (HUB, TARGET)
    assert target.caller == Caller("AWSAccount", f"{role_id(BROKER)}:daypass-api", HUB, None)
    assert (hub.by is not None, target.by) == (True, None)


def test_a_use_says_by_which_session_and_what_came_of_it() -> None:
    fact = read(a_use(KEY, eventID="e-1", errorCode="AccessDenied", readOnly=False, awsRegion="eu-west-1"))
    assert fact == Use(
        event_id="e-1",
        at=NOON + MINUTE,
        access_key_id=KEY,
        principal_id=f"{role_id(ADMIN)}:01K-carol",
        begun_at=NOON,
        role_arn=ADMIN,
        source_identity="carol@example.com",
        action="s3:GetObject",
        error_code="AccessDenied",
        read_only=False,
        region="eu-west-1",
        address="192.0.2.1",
        corrects=None,
    )


@pytest.mark.parametrize("key", ["", None, 7, "A" * 5000])
def test_a_key_that_is_empty_missing_or_absurd_is_none(key) -> None:
    fact = read(a_use(None, session=a_session(None, accessKeyId=key)))
    assert isinstance(fact, Use)
    assert fact.access_key_id is None
    assert fact.principal_id == f"{role_id(ADMIN)}:01K-carol"


def test_older_shapes_are_read_too() -> None:
    session = a_session(KEY)
    session["sessionContext"]["attributes"] = {"creationDate": "20131102T010628Z", "sourceIdentity": "carol"}
    del session["sessionContext"]["sourceIdentity"]
    use = read(a_use(None, session=session, eventVersion="1.0"))
    assert isinstance(use, Use)
    assert (use.begun_at, use.source_identity) == (datetime(2013, 11, 2, 1, 6, 28, tzinfo=UTC), "carol")
    record = an_issuance(KEY, by={"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, recipientAccountId=TARGET)
    del record["responseElements"]["assumedRoleUser"]
    issued = read(record)
    assert isinstance(issued, Issuance)
    assert (issued.assumed_role_id, issued.caller) == (None, Caller("AWSService", "ec2.amazonaws.com", None, None))


def test_a_denied_assume_role_names_no_session_and_a_role_only_where_awss_message_does() -> None:
    silent = read(a_denial(requestID="r-1"))
    assert isinstance(silent, Denial)
    assert (silent.request_id, silent.role_arn) == ("r-1", None)
    assert (silent.error_code, silent.caller.access_key_id) == ("AccessDenied", BROKER_KEY)
    spoken = read(a_denial(errorMessage=f"User: x is not authorized to perform: sts:AssumeRole on resource: {ADMIN}"))
    assert isinstance(spoken, Denial)
    assert spoken.role_arn == ADMIN


@pytest.mark.parametrize("code", ["A" * 100_000, 7, ["x"]])
def test_an_absurd_error_is_an_error_still(code) -> None:
    fact = read(a_denial(errorCode=code))
    assert isinstance(fact, Denial)
    assert len(fact.error_code) <= 128


def test_web_identities_and_saml_are_issuances_of_their_own_kind() -> None:
    for flow in ("AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):
        asked = {"principalTags": {"daypass:request": "01KREQUEST"}}
        by = {"type": "WebIdentityUser", "userName": "somebody"}
        fact = read(an_issuance(KEY, by={**by, "accountId": TARGET}, asked=asked, eventName=flow))
        assert isinstance(fact, Issuance)
        assert (fact.tags, fact.caller.name) == ({"daypass:request": "01KREQUEST"}, "somebody")


def test_what_only_looks_like_sts_is_not() -> None:
    assert isinstance(read(a_record(eventName="AssumeRole", eventSource="evil.amazonaws.com")), Unrelated)
    assert isinstance(read(a_record(eventName="GetCallerIdentity", eventSource="sts.amazonaws.com")), Unrelated)


@pytest.mark.parametrize("version", ["1.0", "1.05", "1.11", "1.99"])
def test_a_minor_version_may_be_any(version) -> None:
    assert isinstance(read(a_record(eventVersion=version)), Unrelated)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"eventVersion": "2.0"}, "an unknown eventVersion: 1.x is known"),
        ({"eventVersion": "1"}, "an unknown eventVersion: 1.x is known"),
        ({"eventVersion": "11.0"}, "an unknown eventVersion: 1.x is known"),
        ({"eventVersion": None}, "no eventVersion or eventID"),
        ({"eventVersion": 1.1}, "no eventVersion or eventID"),
        ({"eventID": ""}, "no eventVersion or eventID"),
        ({"eventID": "x" * 1000}, "no eventVersion or eventID"),
        ({"eventID": {}}, "no eventVersion or eventID"),
    ],
)
def test_a_record_of_another_kind_is_set_aside(changed, why) -> None:
    with pytest.raises(Unreadable, match=why):
        read(a_record(**changed))


@pytest.mark.parametrize("record", [None, [], "x", 7, True])
def test_what_is_no_record_at_all_is_set_aside(record) -> None:
    with pytest.raises(Unreadable, match="no JSON object"):
        read(record)


@pytest.mark.parametrize("at", [None, "", "yesterday", "2026-11-23T12:00:00", 7, "0001-01-01T00:00:00+14:00"])
def test_an_event_that_matters_and_has_no_time_is_set_aside(at) -> None:
    for record in (a_use(KEY), an_issuance(KEY), a_denial()):
        with pytest.raises(Unreadable, match="no eventTime"):
            read({**record, "eventTime": at})


@pytest.mark.parametrize("missing", ["requestParameters", "responseElements"])
def test_an_assume_role_without_its_outcome_is_set_aside_and_its_text_keeps_the_token_to_itself(missing) -> None:
    with pytest.raises(Unreadable, match="neither an error nor a role") as told:
        read({**an_issuance(KEY), missing: {"omitted": True}})
    assert TOKEN not in str(told.value)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Jul 10, 2023, 12:21:41 PM", datetime(2023, 7, 10, 12, 21, 41, tzinfo=UTC)),
        ("Jul 10, 2023, 12:21:41 AM", datetime(2023, 7, 10, 0, 21, 41, tzinfo=UTC)),
        ("Jul 18, 2014 4:07:39 PM", datetime(2014, 7, 18, 16, 7, 39, tzinfo=UTC)),
        ("Oct 2, 2019, 11:12:29\u202fPM", datetime(2019, 10, 2, 23, 12, 29, tzinfo=UTC)),
        ("Feb 30, 2024, 1:00:00 PM", None),
        ("Jul 10, 2023, 13:21:41 PM", None),
        ("Jul 10, 2023, 12:61:41 PM", None),
        ("2023-07-10T12:21:41Z", None),
        (7, None),
        (None, None),
    ],
)
def test_an_expiration_is_utc_without_saying_so(text, at) -> None:
    assert expiration(text) == at


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_expiration_that_aws_may_write_is_read(at) -> None:
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    hour = (at.hour - 1) % 12 + 1
    half = "AM" if at.hour < 12 else "PM"
    text = f"{months[at.month - 1]} {at.day}, {at.year:04}, {hour}:{at.minute:02}:{at.second:02} {half}"
    assert expiration(text) == at.replace(microsecond=0)


def test_an_addendum_names_the_event_that_it_repairs() -> None:
    addendum = {"reason": "UPDATED_DATA", "updatedFields": "errorCode", "originalEventID": "e-1"}
    assert read(a_use(KEY, addendum=addendum)).corrects == "e-1"  # type: ignore[union-attr]
    assert read(a_use(KEY, addendum={"reason": "DELIVERY_DELAY"})).corrects is None  # type: ignore[union-attr]


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just("x" * 300_000),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=6,
)
PLACES = [
    *((name,) for name in an_issuance(KEY)),
    ("addendum",),
    ("errorCode",),
    *(("userIdentity", name) for name in a_session(KEY)),
    *(("userIdentity", "sessionContext", name) for name in ("sessionIssuer", "attributes", "sourceIdentity")),
    *(
        ("requestParameters", name)
        for name in ("roleArn", "roleSessionName", "tags", "principalTags", "durationSeconds")
    ),
    *(("responseElements", name) for name in ("credentials", "assumedRoleUser")),
    ("responseElements", "credentials", "expiration"),
]


@given(st.sampled_from([an_issuance(KEY), a_use(KEY), a_denial()]), st.sampled_from(PLACES), hostile)
def test_whatever_stands_in_any_field_is_read_or_set_aside_and_stays_small(record, place, value) -> None:
    changed = json.loads(json.dumps(record))
    inside = changed
    for name in place[:-1]:
        inside = inside[name] if isinstance(inside.get(name), dict) else {}
    inside[place[-1]] = value
    with suppress(Unreadable):
        assert len(repr(read(changed))) < 30_000


def test_an_event_of_the_largest_size_is_read_and_left_behind() -> None:
    fact = read(
        a_use(KEY, requestParameters={"body": "x" * 256 * 1024}, additionalEventData={"y": ["z" * 1000] * 1000})
    )
    assert isinstance(fact, Use)
    assert len(repr(fact)) < 1000


def test_a_session_token_never_leaves_a_record() -> None:
    for record in (*a_pair(KEY), a_use(KEY), a_denial()):
        record["responseElements"] = {**(record["responseElements"] or {}), "token": TOKEN}
        assert TOKEN not in repr(read(record))


def test_awss_own_examples_are_read() -> None:
    examples = json.loads((real_files() / "doc-examples" / "sts-events.json").read_text("utf-8"))["Records"]
    user, across, chained, used, saml, web = map(read, examples)
    assert isinstance(used, Use)
    assert (used.action, used.access_key_id) == ("s3:DeleteBucket", "AKIAQRSTUVWXYZEXAMPLE")
    issued = [fact for fact in (user, across, chained, saml, web) if isinstance(fact, Issuance)]
    assert [fact.source_identity for fact in issued] == [*["JohnDoe"] * 3, "MySAMLUser", "MyWebIdentityUser"]
    first, second, third, fourth, fifth = issued
    assert first.request_id == second.request_id is not None
    assert (second.caller.kind, second.caller.access_key_id, second.account_id) == ("AWSAccount", None, None)
    assert third.tags == {
        "Department": "Engineering",
        "Email": "johndoe@example.com",
        "CostCenter": "12345",
    }
    assert third.by is not None
    assert third.by.access_key_id == "AKIAI44QH8DHBEXAMPLE"
    assert third.expires_at == datetime(2019, 10, 2, 23, 12, 29, tzinfo=UTC)
    assert fourth.tags == {"CostCenter": "987654", "Project": "Unicorn", "Department": "Engineering"}
    assert fifth.tags == {"CostCenter": "24680", "Project": "Pegasus"}
    assert "TOKEN" not in repr(issued)
    assert "session token" not in repr(issued)
