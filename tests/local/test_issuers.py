from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from daypass.local import issuers
from daypass.local.people import EVERYBODY

API = "http://127.0.0.1:4711"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return issuers.keys(tmp_path_factory.mktemp("issuers"))


def _verified(token: str, keys, issuer: str):
    """The claims, verified the way a stranger would: by discovery and the key that the token names."""
    documents = issuers.documents(keys, API)
    path = f"{issuers.PREFIX}/{issuer}"
    discovery = json.loads(documents[f"{path}/.well-known/openid-configuration"])
    published = json.loads(documents[discovery["jwks_uri"].removeprefix(API)])
    kid = jwt.get_unverified_header(token)["kid"]
    key = next(key for key in published["keys"] if key["kid"] == kid)
    return jwt.decode(
        token, jwt.PyJWK(key), algorithms=["ES256"], audience=issuers.AUDIENCE, issuer=discovery["issuer"]
    )


@pytest.mark.parametrize("name", [name for name in EVERYBODY if name != "robot"])
def test_a_person_has_email_groups_and_mfa(keys, name):
    claims = _verified(issuers.mint(keys, API, name, now=NOW), keys, "people")
    assert claims["email"] == f"{name}@example.com"
    assert claims["email_verified"] is True
    assert tuple(claims["groups"]) == EVERYBODY[name].groups
    assert claims["amr"] == ["pwd", "mfa"]
    assert claims["exp"] == int((NOW + timedelta(hours=8)).timestamp())


def test_the_robot_has_a_subject_and_nothing_else(keys):
    claims = _verified(issuers.mint(keys, API, "robot", now=NOW), keys, "cluster")
    assert claims["sub"] == "system:serviceaccount:ci:deployer"
    assert set(claims) == {"iss", "sub", "aud", "iat", "nbf", "exp"}


def test_people_and_cluster_have_keys_of_their_own(keys):
    documents = issuers.documents(keys, API)
    kids = {
        json.loads(document)["keys"][0]["kid"] for path, document in documents.items() if path.endswith("jwks.json")
    }
    assert len(kids) == 2


def test_nothing_private_is_published(keys):
    for path, document in issuers.documents(keys, API).items():
        if path.endswith("jwks.json"):
            assert set(json.loads(document)["keys"][0]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_keys_stay_and_are_for_their_owner_only(tmp_path):
    first, second = issuers.keys(tmp_path), issuers.keys(tmp_path)
    assert issuers.documents(first, API) == issuers.documents(second, API)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_stranger_gets_no_token(keys):
    with pytest.raises(issuers.Unknown, match="mallory"):
        issuers.mint(keys, API, "mallory", now=NOW)
