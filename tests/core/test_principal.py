"""What AWS is told of a principal: always what STS takes, and never the same of two."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import limits
from chalicelib.core.principal import session_name, source_identity

ULID = "01K0000000000000000000000A"

IDS = st.one_of(
    st.from_regex(r"[a-z0-9.+_=-]{1,64}@[a-z0-9.-]{1,60}", fullmatch=True),
    st.from_regex(r"[a-z0-9-]{1,32}/[!-~]{1,100}", fullmatch=True),
    st.from_regex(r"arn:aws:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]{1,200}", fullmatch=True),
    st.text("ab=-@./:", max_size=70),
    st.text(st.characters(codec="utf-8"), max_size=80),
)


def hashed(principal_id: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(principal_id.encode()).digest()).decode()
    assert digest.endswith("=")
    return digest[:43]


@pytest.mark.parametrize("principal_id", ["al", "alice@example.com", "a" * 64, "A_z0+,.@-"])
def test_an_id_that_fits_is_its_own_source_identity(principal_id):
    assert source_identity(principal_id) == principal_id


@pytest.mark.parametrize(
    ("principal_id", "readable"),
    [
        ("local-cluster/system:serviceaccount:ci:deployer", "local-cluster-system"),
        ("arn:aws:iam::111111111111:role/Builder", "arn-aws-iam--1111111"),
        ("alice=admin@example.com", "alice-admin@example."),
        ("a" * 65, "a" * 20),
        ("a", "a"),
        ("", ""),
        ("älice@example.com", "-lice@example.com"),
    ],
)
def test_any_other_id_is_told_by_its_beginning_and_its_hash(principal_id, readable):
    assert source_identity(principal_id) == f"{readable}={hashed(principal_id)}"


@given(IDS)
def test_a_source_identity_is_always_one(principal_id):
    assert limits.source_identity(source_identity(principal_id)) == source_identity(principal_id)


@given(IDS, IDS)
def test_two_principals_never_share_a_source_identity(one, other):
    assert (source_identity(one) == source_identity(other)) == (one == other)


@given(IDS)
def test_nobody_can_be_named_after_anothers_hash(principal_id):
    told = source_identity(principal_id)
    if told != principal_id:
        assert source_identity(told) != told  # it holds a `=`, so as an id it is hashed itself


@given(st.text("ab=/:", min_size=60, max_size=80))
def test_ids_that_differ_only_past_the_readable_part_differ(principal_id):
    assert source_identity(principal_id + "a") != source_identity(principal_id + "b")


@given(IDS)
def test_a_session_name_is_always_one_and_begins_with_its_session(principal_id):
    name = session_name(ULID, principal_id)
    assert limits.session_name(name) == name
    assert name.startswith(f"{ULID}-")


@given(IDS)
def test_sessions_of_one_principal_differ(principal_id):
    assert session_name(ULID, principal_id) != session_name(ULID[:-1] + "B", principal_id)


def test_a_session_name_is_readable():
    assert session_name(ULID, "alice@example.com") == f"{ULID}-alice@example.com"
    assert session_name(ULID, "local-cluster/system:serviceaccount:ci:deployer") == (
        f"{ULID}-local-cluster-system-serviceaccount-c"
    )
