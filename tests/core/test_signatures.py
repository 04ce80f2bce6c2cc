"""The provider's keys: what they signed for sessions on the record, and what they signed for somebody else."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.joining import Books
from chalicelib.core.known import Known, Record
from chalicelib.core.reckoning import under_daypass
from chalicelib.core.signatures import MOST_UNEXPLAINED, Signatures
from chalicelib.core.trail import Unreadable
from tests.trails import (
    ADMIN,
    BROKER_KEY,
    BROKERS_OWN,
    MINUTE,
    NOON,
    SIGNING_KEY,
    TARGET,
    Json,
    a_record,
    a_session,
    a_signing,
    a_use,
    a_vouched,
)

KEY = "ASIACAROL00000000001"
KNOWN = Known(
    request_id="01KREQUEST",
    session_name="01K-carol",
    role_arn=ADMIN,
    begun_at=NOON,
    access_key_id=KEY,
    sts_request_id="sts-1",
    kms_request_id="kms-1",
)
OURS, OTHERS = a_signing("kms-1"), a_signing("kms-2", NOON + MINUTE)


def took(*records: Any, record: Record | None = None, keys: tuple[str, ...] = (SIGNING_KEY,)) -> Signatures:
    books = Books(record or Record([KNOWN]), keys=keys)
    books.take_file(b"", records)
    assert books.signatures is not None
    return books.signatures


def test_what_was_signed_for_a_session_on_the_record_is_explained() -> None:
    signatures = took(OURS)
    assert (signatures.explained, signatures.unexplained(), list(signatures.unseen())) == (1, [], [])


def test_what_no_session_explains_is_told_with_who_when_and_from_where() -> None:
    [told] = took(OURS, OTHERS).unexplained()
    assert (told.at, told.key, told.request_id, told.error_code) == (NOON + MINUTE, SIGNING_KEY, "kms-2", None)
    assert (told.caller.name, told.caller.access_key_id) == (BROKERS_OWN["arn"], BROKER_KEY)
    assert told.address == "192.0.2.1"


def test_that_the_broker_called_explains_nothing() -> None:
    """Whoever has the broker's credentials is whom this is about."""
    assert len(took(a_signing("kms-9", by=BROKERS_OWN)).unexplained()) == 1


def test_a_session_whose_signature_cloudtrail_does_not_tell_of_is_missed() -> None:
    assert list(took(OTHERS).unseen()) == [KNOWN]
    assert list(took(record=Record([replace(KNOWN, kms_request_id=None)])).unseen()) == []
    assert list(took(record=Record([KNOWN], span=(NOON + MINUTE, NOON + 2 * MINUTE))).unseen()) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"resources": [{"type": "AWS::KMS::Key", "ARN": SIGNING_KEY.replace("0d5d", "ffff")}]},
        {"eventName": "Verify"},
        {"eventSource": "evil.amazonaws.com"},
        {"resources": None, "requestParameters": None},
    ],
)
def test_other_keys_and_other_calls_are_nobodys_business(changed: Json) -> None:
    assert took(a_signing("kms-2", **changed)).unexplained() == []


@pytest.mark.parametrize("asked", [SIGNING_KEY, SIGNING_KEY.rpartition("/")[2]])
def test_a_call_that_kms_refused_is_known_by_how_the_key_was_asked_for(asked: str) -> None:
    refused = a_signing("kms-2", resources=None, requestParameters={"keyId": asked}, errorCode="AccessDenied")
    [told] = took(refused).unexplained()
    assert (told.key, told.error_code) == (SIGNING_KEY, "AccessDenied")


def test_order_and_repetition_change_nothing() -> None:
    records = [OURS, OTHERS, a_signing("kms-3")]
    told = took(*records).unexplained()
    for order in permutations([*records, OTHERS]):
        assert took(*order).unexplained() == told


def test_it_holds_no_more_than_it_says() -> None:
    signatures = took(*(a_signing(f"kms-x{number}") for number in range(MOST_UNEXPLAINED + 5)))
    assert len(signatures.unexplained()) == MOST_UNEXPLAINED


def test_without_a_record_or_a_key_nothing_can_be_told() -> None:
    assert Books(None, keys=(SIGNING_KEY,)).signatures is None
    assert Books(Record([KNOWN])).signatures is None


@given(
    st.sampled_from(["resources", "requestParameters", "userIdentity", "requestID", "eventTime", "errorCode"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=9)
    | st.lists(
        st.none()
        | st.dictionaries(st.sampled_from(["type", "ARN"]), st.none() | st.sampled_from(["AWS::KMS::Key", "x" * 5000])),
        max_size=2,
    ),
)
def test_whatever_stands_in_a_field_it_is_read_or_left(field: str, value: object) -> None:
    with suppress(Unreadable):
        signatures = took(json.loads(json.dumps({**OTHERS, field: value})), a_record())
        assert len(repr(signatures.unexplained())) < 3000


class TestVouchedSessions:
    """`via = "oidc"`: only the role's account tells of the session, and only the hub of the signature."""

    def told(self, *records: Json, record: Record) -> Any:
        books = Books(record, keys=(SIGNING_KEY,))
        books.take_file(b"", records)
        return books.accounts(under_daypass)

    def test_a_session_is_its_requests_and_missed_in_no_other_account(self) -> None:
        used = a_use(KEY, session=a_session(KEY))
        [account] = self.told(a_vouched(KEY), used, OURS, record=Record([KNOWN]))
        assert (account.request_id, account.bypass, account.events) == ("01KREQUEST", False, 1)
        assert (account.seen_in, account.unseen_in) == ({TARGET}, frozenset())

    def test_it_is_known_by_stss_request_id_too(self) -> None:
        known = replace(KNOWN, access_key_id=None)
        [account] = self.told(a_vouched(KEY, requestID="sts-1"), record=Record([known]))
        assert account.request_id == "01KREQUEST"

    def test_one_that_somebody_elses_token_made_is_a_bypass(self) -> None:
        told = self.told(a_vouched("ASIAZOE0000000000001", name="zoe"), record=Record([]))
        assert [(account.bypass, account.caller.kind) for account in told] == [(True, "WebIdentityUser")]
