"""The bearer door: what a proper token makes of its bearer, and every token that opens nothing."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.core.catalogue import Account, Catalogue, Role
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import GroupsOverage, PassAsksForPass, Refusal, Unauthenticated
from chalicelib.core.vouching import Directory, Issuer, MfaClaim, VerifiedBy
from chalicelib.identity.bearer import verify
from chalicelib.identity.keys import Keys
from tests.identity.tokens import NOW, Idp, base64url, compact, private_key, public_jwk, signer

IDP = Idp()
ALICE = Principal(
    id="alice@example.com",
    kind=Kind.HUMAN,
    groups=frozenset({"engineering"}),
    issuer="okta",
    mfa=False,
    authenticated_at=NOW,
)
ROLE = Role(
    name="payments-admin",
    account=Account("payments-prod", "222222222222"),
    role_name="daypass/team/Admin",
    partition="aws",
)


def catalogue(*issuers: Issuer) -> Catalogue:
    return Catalogue(digest="0" * 64, issuers=issuers or (IDP.issuer(),), roles={ROLE.name: ROLE})


def who(token: str, *, idp: Idp = IDP, issuer: Issuer | None = None, now: datetime = NOW) -> Principal:
    return verify(token, catalogue=catalogue(issuer or idp.issuer()), keys=Keys(idp.fetch), now=now)


def refused(token: str, **given: Any) -> str:
    with pytest.raises(Unauthenticated) as caught:
        who(token, **given)
    assert len(token) < 40 or token not in caught.value.detail
    return caught.value.detail


def test_a_proper_token_names_its_bearer():
    assert who(IDP.token()) == ALICE


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
def test_every_asymmetric_algorithm_is_taken(algorithm):
    idp = Idp(algorithm=algorithm)
    assert who(idp.token(), idp=idp) == ALICE


def test_importing_the_doors_loads_no_cryptography_and_no_http_client():
    heavy = "{'jwt', 'cryptography', 'urllib3'} & {name.partition('.')[0] for name in sys.modules}"
    program = (
        f"import sys, chalicelib.identity.bearer, chalicelib.identity.sigv4, chalicelib.identity.fetch\nprint({heavy})"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


class TestSignature:
    def test_none_is_no_algorithm(self):
        token = IDP.token(header={"alg": "none"})
        assert "'none'" in refused(token)
        refused(token.rpartition(".")[0] + ".")

    @pytest.mark.parametrize(
        "algorithm", ["None", "NONE", "HS256", "HS384", "HS512", "ES256K", "RS1", "", None, 7, ["ES256"]]
    )
    def test_algorithms_that_are_not_on_the_list(self, algorithm):
        assert "does not take" in refused(IDP.token(header={"alg": algorithm}))

    def test_a_missing_algorithm(self):
        assert "does not take" in refused(IDP.token(header={"alg": ...}))

    @pytest.mark.parametrize("claimed", ["HS256", "RS256"])
    @pytest.mark.parametrize("form", ["pem", "der", "jwk", "empty"])
    def test_the_public_key_is_no_secret(self, form, claimed):
        idp = Idp(algorithm="RS256")
        public = private_key("RS256", idp.kids[0]).public_key()
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        secret = {
            "pem": public.public_bytes(serialization.Encoding.PEM, info),
            "der": public.public_bytes(serialization.Encoding.DER, info),
            "jwk": json.dumps(public_jwk("RS256", idp.kids[0])).encode(),
            "empty": b"",
        }[form]

        def sign(text: bytes) -> bytes:
            return hmac.digest(secret, text, hashlib.sha256)

        header = json.dumps({"alg": claimed, "kid": idp.kids[0]}).encode()
        refused(compact(header, json.dumps(idp.claims()).encode(), sign), idp=idp)

    def test_an_algorithm_that_does_not_go_with_the_key(self):
        rsa = Idp(algorithm="RS256")
        assert "no key" in refused(rsa.token(algorithm="PS256"), idp=rsa)  # its jwk says alg RS256
        assert "no key" in refused(IDP.token(header={"alg": "ES384"}))
        assert "no key" in refused(IDP.token(header={"alg": "EdDSA"}))

    def test_without_alg_a_key_is_for_every_algorithm_of_its_type(self):
        idp = Idp(algorithm="RS256")
        jwk = public_jwk("RS256", idp.kids[0])
        del jwk["alg"]
        idp.key_set = {"keys": [jwk]}
        for algorithm in ("RS256", "RS512", "PS384"):
            header = json.dumps({"alg": algorithm, "kid": idp.kids[0]}).encode()
            sign = signer(algorithm, idp.kids[0], made_for="RS256")
            assert who(compact(header, json.dumps(idp.claims()).encode(), sign), idp=idp) == ALICE

    def test_a_foreign_key(self):
        assert "no key" in refused(IDP.token(kid="mallory-1"))
        assert "signature" in refused(IDP.token(kid="mallory-1", header={"kid": "okta-1"}))

    def test_another_issuers_key(self):
        other = Idp("https://other.example.com", name="other")
        keys = Keys(lambda url: (other if "other" in url else IDP).fetch(url))
        both = catalogue(IDP.issuer(), other.issuer(domains=frozenset({"example.net"})))
        token = other.token(iss=IDP.url)
        with pytest.raises(Unauthenticated, match="no key"):
            verify(token, catalogue=both, keys=keys, now=NOW)
        with pytest.raises(Unauthenticated, match="domain"):
            verify(other.token(), catalogue=both, keys=keys, now=NOW)

    @pytest.mark.parametrize("name", ["crit", "b64", "jwk", "jku", "x5u", "x5c"])
    def test_headers_that_choose_how_to_be_verified(self, name):
        mallory = public_jwk("ES256", "mallory-1")
        values = {
            "crit": ["exp"],
            "b64": True,
            "jwk": mallory,
            "jku": f"{IDP.url}/keys",
            "x5u": "https://m/",
            "x5c": ["MA"],
        }
        assert name in refused(IDP.token(header={name: values[name]}))
        refused(IDP.token(kid="mallory-1", header={name: values[name]}))

    def test_unencoded_payload(self):
        refused(IDP.token(header={"b64": False, "crit": ["b64"]}))

    @pytest.mark.parametrize("kid", [7, None, True, ["okta-1"], {"a": 1}])
    def test_a_key_id_that_is_no_text(self, kid):
        assert "kid" in refused(IDP.token(header={"kid": kid}))

    def test_no_key_id_will_do_where_there_is_one_key(self):
        idp = Idp()
        assert who(idp.token(header={"kid": ...}), idp=idp) == ALICE
        idp.kids.append("okta-2")
        assert "no key" in refused(idp.token(header={"kid": ...}), idp=idp)

    def test_a_signature_of_other_claims(self):
        head, _, signature = IDP.token().split(".")
        forged = base64url(json.dumps(IDP.claims(email="bob@example.com")).encode()).decode()
        assert "signature" in refused(f"{head}.{forged}.{signature}")


class TestShape:
    @pytest.mark.parametrize(
        "token", ["", ".", "..", "a.b", "a.b.c.d", "a.b.c.d.e", "Bearer a.b.c", "ä.b.c", "a.b.c\n", " a.b.c"]
    )
    def test_what_is_no_jwt(self, token):
        refused(token)

    def test_oversize(self):
        assert "16 KiB" in refused(IDP.token(padding="x" * 13000))
        assert who(IDP.token(padding="x" * 11000)) == ALICE

    @pytest.mark.parametrize(
        "claims", [b"", b"null", b"[]", b'"text"', b"7", b"{", b"\xff", b"\xef\xbb\xbf{}", b"[" * 9000, b'{"a":' * 2000]
    )
    def test_claims_that_are_no_object(self, claims):
        header = json.dumps({"alg": "ES256", "kid": "okta-1"}).encode()
        refused(compact(header, claims, signer("ES256", "okta-1")))
        refused(compact(claims, header, signer("ES256", "okta-1")))

    @pytest.mark.parametrize("extra", [b'"email":"bob@example.com"', b'"sub":{"a":1,"a":2}'])
    def test_a_claim_that_comes_twice(self, extra):
        claims = json.dumps(IDP.claims(sub=...)).encode()[:-1] + b"," + extra + b"}"
        assert "damaged" in refused(compact(b'{"alg":"ES256","kid":"okta-1"}', claims, signer("ES256", "okta-1")))

    def test_a_header_that_comes_twice(self):
        header = b'{"alg":"ES256","kid":"okta-1","alg":"ES256"}'
        assert "damaged" in refused(compact(header, json.dumps(IDP.claims()).encode(), signer("ES256", "okta-1")))

    def test_padding_is_not_taken(self):
        refused(IDP.token() + "==")


class TestIssuerAndAudience:
    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example.com",
            "https://idp.example.com/",
            "HTTPS://idp.example.com",
            "",
            None,
            7,
            [IDP.url],
            ...,
        ],
    )
    def test_only_the_exact_url_is_the_issuer(self, url):
        assert "No issuer of the catalogue" in refused(IDP.token(iss=url))

    def test_what_is_shown_of_a_foreign_issuer_is_short_and_escaped(self):
        assert len(refused(IDP.token(iss="\n\u202e" * 500))) < 300

    @pytest.mark.parametrize("audience", ["daypass", ["daypass"], ["other", "daypass"]])
    def test_the_audience_is_among_them(self, audience):
        assert who(IDP.token(aud=audience)) == ALICE

    @pytest.mark.parametrize(
        "audience",
        [
            "other",
            "daypass2",
            "DAYPASS",
            "",
            [],
            ["other"],
            [["daypass"]],
            ["daypass", 7],
            {"daypass": 1},
            None,
            True,
            ...,
        ],
    )
    def test_a_token_for_others(self, audience):
        assert "not for Daypass" in refused(IDP.token(aud=audience))


class TestTimes:
    def test_expired(self):
        now = NOW + timedelta(minutes=11)
        assert refused(IDP.token(), now=now) == "The token expired at 2026-11-23T12:10:00Z."
        assert who(IDP.token(), now=now - timedelta(seconds=1)).id == ALICE.id  # a minute's leeway

    def test_not_yet_valid(self):
        future = NOW.timestamp() + 61
        assert "its nbf is 2026-11-23T12:01:01Z" in refused(IDP.token(nbf=future))
        assert "its iat is 2026-11-23T12:01:01Z" in refused(IDP.token(iat=future))
        assert "its auth_time is 2026-11-23T12:01:01Z" in refused(IDP.token(auth_time=future))
        assert who(IDP.token(nbf=future - 1, iat=future - 1)).id == ALICE.id

    @pytest.mark.parametrize("name", ["exp", "iat", "nbf", "auth_time"])
    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            False,
            "1795435200",
            [1],
            {},
            -1,
            -1e300,
            1e300,
            10**400,
            253402300800,
            float("nan"),
            float("inf"),
        ],
    )
    def test_a_time_that_is_none(self, name, value):
        refused(IDP.token(**{name: value}))

    def test_a_number_too_large_for_any_float(self):
        claims = json.dumps(IDP.claims()).replace('"exp": ', '"exp": 1e999, "was": ').encode()
        assert "exp" in refused(compact(b'{"alg":"ES256","kid":"okta-1"}', claims, signer("ES256", "okta-1")))

    @pytest.mark.parametrize("name", ["exp", "iat"])
    def test_a_missing_time(self, name):
        missing: dict[str, Any] = {name: ...}
        assert name in refused(IDP.token(**missing))

    def test_fractions_of_a_second_are_times(self):
        assert who(IDP.token(iat=NOW.timestamp() - 0.5)).authenticated_at == NOW - timedelta(seconds=0.5)

    def test_authenticated_when_the_person_was(self):
        signed_in = NOW - timedelta(hours=3)
        assert who(IDP.token(auth_time=int(signed_in.timestamp()))).authenticated_at == signed_in


class TestHuman:
    def test_an_address_is_lower_cased(self):
        assert who(IDP.token(email="Alice@EXAMPLE.com")).id == "alice@example.com"

    @pytest.mark.parametrize(
        "address",
        [
            "аlice@example.com",  # a Cyrillic а
            "alice@exаmple.com",
            "\u212aalice@example.com",  # the Kelvin sign: its lower case is an ASCII k
            "ali\u017fce@example.com",  # the long s: its upper case is an ASCII S
            "alice@example.com\n",
            "alice@example.com\x00",
            " alice@example.com",
            "alice@@example.com",
            "a/lice@example.com",
            "okta:alice@example.com",
            "alice",
            "@example.com",
            "alice@",
            "",
            "a" * 65 + "@example.com",
            "alice@example.com" + ".example.com" * 20,
            None,
            7,
            True,
            ["alice@example.com"],
            ...,
        ],
    )
    def test_what_is_no_address_in_ascii(self, address):
        assert "not an e-mail address" in refused(IDP.token(email=address))

    @pytest.mark.parametrize(
        "domain", ["example.org", "evil-example.com", "sub.example.com", "example.com.evil.org", "example.com."]
    )
    def test_a_foreign_domain(self, domain):
        assert "domain" in refused(IDP.token(email=f"alice@{domain}"))

    def test_an_issuer_without_domains_speaks_for_nobody(self):
        assert "domain" in refused(IDP.token(), issuer=IDP.issuer(domains=frozenset()))

    @pytest.mark.parametrize("verified", [False, None, "true", "True", 1, [True], ...])
    def test_an_unverified_address(self, verified):
        assert "email_verified" in refused(IDP.token(email_verified=verified))

    def test_where_the_issuer_verifies_the_claim_is_not_needed(self):
        issuer = IDP.issuer(verified_by=VerifiedBy.ISSUER, principal="upn")
        token = IDP.token(email_verified=..., email=..., upn="alice@example.com")
        assert who(token, issuer=issuer) == ALICE

    def test_email_verified_says_nothing_of_another_claim(self):
        issuer = IDP.issuer(principal="preferred_username")
        assert "email_verified" in refused(IDP.token(preferred_username="bob@example.com"), issuer=issuer)
        assert who(IDP.token(preferred_username="alice@example.com"), issuer=issuer) == ALICE


class TestWorkload:
    IDP = Idp("https://cluster.example.com", name="local-cluster")
    ISSUER = IDP.workload_issuer(subjects=("system:serviceaccount:ci:*", "repo:acme/app:ref:refs/heads/main"))
    ROBOT = "system:serviceaccount:ci:deployer"

    def who(self, token: str, **changes: Any) -> Principal:
        return who(token, idp=self.IDP, issuer=replace(self.ISSUER, **changes))

    def test_a_workload_is_its_issuer_and_subject(self):
        assert self.who(self.IDP.token(sub=self.ROBOT)) == Principal(
            id=f"local-cluster/{self.ROBOT}",
            kind=Kind.WORKLOAD,
            groups=frozenset(),
            issuer="local-cluster",
            mfa=False,
            authenticated_at=NOW,
        )

    def test_groups_only_where_the_catalogue_says_so(self):
        token = self.IDP.token(sub=self.ROBOT, groups=["sre"])
        assert self.who(token).groups == frozenset()
        assert self.who(token, groups="groups").groups == {"sre"}

    @pytest.mark.parametrize(
        "subject",
        [
            "system:serviceaccount:prod:x",
            "system:serviceaccount:ci:a:b",
            "system:serviceaccount:ci:a/b",
            "repo:acme/app:ref:refs/heads/dev",
        ],
    )
    def test_subjects_that_the_catalogue_does_not_list(self, subject):
        assert "no subject" in refused(self.IDP.token(sub=subject), idp=self.IDP, issuer=self.ISSUER)

    @pytest.mark.parametrize(
        "subject",
        [
            "",
            "system:serviceaccount:ci:\n",
            "system:serviceaccount:ci:é",
            "system:serviceaccount:ci:\x7f",
            "x" * 1025,
            None,
            7,
            ["a"],
            ...,
        ],
    )
    def test_subjects_that_are_no_plain_text(self, subject):
        assert "subject" in refused(self.IDP.token(sub=subject), idp=self.IDP, issuer=self.ISSUER)

    def test_an_issuer_without_subjects_has_no_workloads(self):
        with pytest.raises(Unauthenticated, match="subject"):
            self.who(self.IDP.token(sub=self.ROBOT), subjects=())

    @pytest.mark.parametrize(
        "arn",
        [
            "arn:aws:iam::222222222222:role/daypass/team/Admin",
            "arn:aws:iam::222222222222:role/Admin",  # lent, told without its path
            "arn:aws:iam::999999999999:role/daypass/Other",  # not of the catalogue, but under the path
            "arn:aws-cn:iam::999999999999:role/daypass/Other",
            "arn:aws:sts::222222222222:assumed-role/Admin/whoever",
        ],
    )
    def test_a_pass_never_asks_for_a_pass(self, arn):
        with pytest.raises(PassAsksForPass):
            self.who(self.IDP.token(sub=arn), subjects=("arn:aws:iam::*:role/*", "arn:aws:iam::*:role/daypass/*"))

    @pytest.mark.parametrize("arn", ["arn:aws:iam::222222222222:role/Builder", "arn:aws:iam::111111111111:role/Admin"])
    def test_other_roles_are_workloads_like_any(self, arn):
        assert self.who(self.IDP.token(sub=arn), subjects=("arn:aws:iam::*:role/*",)).id == f"local-cluster/{arn}"


class TestGroups:
    def test_a_missing_claim_is_no_group(self):
        assert who(IDP.token(groups=...)).groups == frozenset()

    def test_no_token_claims_a_group_that_a_directory_tells(self):
        token = IDP.token(groups=["engineering", "oncall@hook", "team@example.com"])
        known = replace(catalogue(IDP.issuer()), directories={"hook": Directory(name="hook", function="arn")})
        found = verify(token, catalogue=known, keys=Keys(IDP.fetch), now=NOW)
        assert found.groups == {"engineering", "team@example.com"}

    def test_without_a_name_for_the_claim_nobody_has_groups(self):
        assert who(IDP.token(groups=7), issuer=IDP.issuer(groups=None)).groups == frozenset()

    @pytest.mark.parametrize(
        "groups", [None, "engineering", 7, True, {"a": 1}, [7], ["a", None], [["a"]], ["a\n"], ["\ud800"]]
    )
    def test_wrong_types(self, groups):
        assert "groups" in refused(IDP.token(groups=groups))

    @pytest.mark.parametrize(
        "claims",
        [
            {
                "groups": ...,
                "_claim_names": {"groups": "src1"},
                "_claim_sources": {"src1": {"endpoint": "https://graph"}},
            },
            {"groups": ..., "hasgroups": True},
            {"groups": ["engineering"], "hasgroups": True},
            {"groups": ["engineering"], "_claim_names": {"groups": "src1"}},
            {"groups": ..., "hasgroups": "true"},
        ],
    )
    def test_groups_that_overflowed_are_not_an_empty_list(self, claims):
        with pytest.raises(GroupsOverage):
            who(IDP.token(**claims))

    def test_what_overflowed_elsewhere_does_not_matter(self):
        assert who(IDP.token(_claim_names={"roles": "src1"}, hasgroups=False)) == ALICE


class TestMfa:
    CLAIM = MfaClaim(claim="amr", any_of=frozenset({"mfa", "hwk"}))

    @pytest.mark.parametrize(
        ("amr", "mfa"),
        [
            (["pwd", "mfa"], True),
            ("hwk", True),
            (["pwd"], False),
            ("pwd", False),
            ([], False),
            (True, False),
            ({"mfa": 1}, False),
            (["mfa", 7], False),
            (..., False),
        ],
    )
    def test_the_claim_tells(self, amr, mfa):
        assert who(IDP.token(amr=amr), issuer=IDP.issuer(mfa=self.CLAIM)).mfa is mfa

    def test_the_issuer_vouches(self):
        assert who(IDP.token(), issuer=IDP.issuer(mfa="issuer")).mfa is True

    def test_nothing_vouches(self):
        assert who(IDP.token(amr=["mfa"]), issuer=IDP.issuer(mfa=None)).mfa is False


KEYS = Keys(IDP.fetch)
VALID = IDP.token()
unhurried = settings(deadline=None)


def same_or_refused(token: str) -> None:
    """Whatever is made of Alice's token is Alice or nobody; and nothing but a refusal is ever raised."""
    with contextlib.suppress(Refusal):
        assert verify(token, catalogue=catalogue(), keys=KEYS, now=NOW) == ALICE


@unhurried
@given(at=st.integers(0, len(VALID) - 1), character=st.characters())
def test_one_character_changed(at, character):
    same_or_refused(VALID[:at] + character + VALID[at + 1 :])


@unhurried
@given(cut=st.integers(0, len(VALID) - 1), rest=st.integers(0, 60))
def test_a_piece_cut_out(cut, rest):
    same_or_refused(VALID[:cut] + VALID[cut + 1 + rest :])


@unhurried
@given(at=st.integers(0, len(VALID)), text=st.text(max_size=40))
def test_something_put_in(at, text):
    same_or_refused(VALID[:at] + text + VALID[at:])


@unhurried
@given(st.text() | st.binary().map(lambda junk: base64url(junk).decode()))
@example("\ud800.\ud800.\ud800")
def test_random_texts(text):
    same_or_refused(text)
    same_or_refused(".".join([text, text, text]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@unhurried
@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jwk", "crit", "b64"]), JSON, max_size=2),
    claims=st.dictionaries(
        st.sampled_from(["sub", "nonce", "azp", "amr", "acr", "auth_time", "nbf", "hasgroups"]), JSON
    ),
)
def test_well_signed_nonsense(header, claims):
    token = IDP.token(header=header, **claims)
    with contextlib.suppress(Refusal):
        assert replace(who(token), authenticated_at=NOW) == ALICE


@unhurried
@given(st.sampled_from(["iss", "aud", "exp", "iat", "email", "email_verified", "groups", "_claim_names"]), JSON)
def test_well_signed_nonsense_in_what_matters(name, value):
    try:
        principal = who(IDP.token(**{name: value}))
    except Refusal:
        return
    assert (principal.id, principal.kind, principal.issuer) == (ALICE.id, ALICE.kind, ALICE.issuer)
    assert principal.authenticated_at <= NOW + timedelta(minutes=1)
    assert principal.authenticated_at.tzinfo is UTC
