"""The session plan, by either way of lending."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.provider import Provider, ProviderKey, Via
from chalicelib.core.refusals import Unavailable
from chalicelib.core.session import SessionPlan, plan, told
from tests.builders import HOUR, NOW, SECOND, a_request
from tests.stage import CATALOGUE, with_role

KEY = ProviderKey("arn:aws:kms:us-east-1:123456789012:key/1", NOW)
PROVIDER = Provider("https://daypass.example.com", (KEY,))
REQUEST = a_request(id="01K0000000000000000000000B", ticket="OPS-1")
ADMIN = CATALOGUE.roles["payments-admin"]
OIDC = replace(ADMIN, via=Via.OIDC, external_id=None, max_session=12 * HOUR)


def planned(role=OIDC, remaining=HOUR, now=NOW) -> SessionPlan:
    return plan(REQUEST, role, PROVIDER, session_id="01K0000000000000000000000A", ends_at=now + remaining, now=now)


@given(
    remaining=st.integers(1, 7 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds)),
    max_session=st.integers(900, 43200).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_a_session_is_as_long_as_what_remains_within_the_roles_own_and_without_a_token_within_an_hour(
    remaining, max_session
) -> None:
    least = timedelta(seconds=900)
    via_oidc = planned(replace(OIDC, max_session=max_session), remaining)
    chained = planned(replace(ADMIN, max_session=max_session), remaining)
    assert via_oidc.duration == max(min(remaining, max_session), least)
    assert chained.duration == max(min(remaining, max_session, HOUR), least)


def test_but_for_token_duration_and_external_id_both_ways_ask_for_the_same() -> None:
    via_oidc, chained = planned(), planned(replace(OIDC, via=Via.ROLE))
    assert (via_oidc.via, chained.via, chained.token) == (Via.OIDC, Via.ROLE, None)
    assert replace(via_oidc, token=None) == chained


def test_the_token_vouches_for_what_is_asked_for() -> None:
    role = replace(OIDC, chaining=("arn:aws:iam::*:role/cdk-*",))
    session = planned(role)
    assert session.token is not None
    assert (session.token.issuer, session.token.key) == (PROVIDER.issuer, KEY)
    said = session.token.claims
    assert (said["sub"], said["jti"]) == (f"daypass:role:{role.arn}", "01K0000000000000000000000A")
    assert said["https://aws.amazon.com/source_identity"] == session.source_identity
    assert said["https://aws.amazon.com/tags"] == {
        "principal_tags": {key: [value] for key, value in session.tags.items()},
        "transitive_tag_keys": list(session.transitive),
    }
    assert session.transitive == ("daypass:request", "daypass:ticket")


def test_before_any_key_signs_nothing_is_planned() -> None:
    with pytest.raises(Unavailable, match="signs before 2031-03-05T12:00:00Z") as refused:
        planned(now=NOW - 2 * SECOND)
    assert refused.value.retry_after == 2 * SECOND


def test_the_history_tells_the_way_and_of_a_token_who_signed_it() -> None:
    assert {"via": "role"}.items() <= told(planned(ADMIN)).items()
    assert told(planned(ADMIN)).keys() & {"issuer", "kid"} == set()
    assert {"via": "oidc", "issuer": PROVIDER.issuer, "kid": KEY.kid}.items() <= told(planned()).items()


def test_a_role_says_nothing_of_its_way_where_it_is_the_ordinary_one() -> None:
    assert with_role("payments-admin").roles["payments-admin"].via is Via.ROLE
