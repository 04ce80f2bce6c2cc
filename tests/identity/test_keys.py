"""The cache of issuers' keys: its time table, its manners in a crowd, and what it makes of a hostile key set."""

from __future__ import annotations

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.refusals import Refusal, Unauthenticated, Unavailable
from chalicelib.identity.keys import Keys, read_keys, read_object
from tests.identity.tokens import NOW, Idp, private_key, public_jwk

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Door:
    """One issuer and its cache; `at(age)` asks for a key at an age of the first fetch and tells how it went."""

    def __init__(self) -> None:
        self.idp = Idp()
        self.keys = Keys(self.idp.fetch)

    def at(self, age: timedelta, kid: str | None = "okta-1") -> str:
        try:
            return self.keys.find(self.idp.issuer(), kid, "ES256", now=NOW + age).kid or "no kid"
        except Refusal as refusal:
            return refusal.slug

    @property
    def fetches(self) -> int:
        """How often the issuer was asked: its discovery document begins each time."""
        return sum(url.endswith("openid-configuration") for url in self.idp.asked)


@pytest.fixture
def door() -> Door:
    return Door()


class TestTimeTable:
    def test_nothing_is_fetched_before_a_token_comes(self, door):
        assert door.fetches == 0

    def test_a_fresh_key_is_used_without_asking_again(self, door):
        for age in (0 * SECOND, 1 * SECOND, 10 * MINUTE - SECOND):
            assert door.at(age) == "okta-1"
        assert door.fetches == 1

    def test_after_ten_minutes_the_issuer_is_asked_again(self, door):
        assert [door.at(0 * MINUTE), door.at(10 * MINUTE), door.at(20 * MINUTE - SECOND)] == ["okta-1"] * 3
        assert door.fetches == 2

    def test_a_key_that_the_issuer_withdrew_is_gone_within_ten_minutes(self, door):
        door.at(0 * MINUTE)
        door.idp.kids = ["okta-2"]
        assert door.at(9 * MINUTE) == "okta-1"
        assert door.at(10 * MINUTE) == "unauthenticated"
        assert door.at(10 * MINUTE, "okta-2") == "okta-2"

    def test_an_unknown_key_asks_the_issuer_at_most_once_a_minute(self, door):
        assert door.at(0 * SECOND, "new") == "unauthenticated"
        assert door.at(59 * SECOND, "new") == "unauthenticated"
        assert door.fetches == 1
        door.idp.kids.append("new")
        assert door.at(60 * SECOND, "new") == "new"
        assert door.fetches == 2
        assert [door.at((60 + second) * SECOND, f"junk-{second}") for second in range(60)] == ["unauthenticated"] * 60
        assert door.fetches == 2
        assert door.at(120 * SECOND, "junk") == "unauthenticated"
        assert door.fetches == 3

    def test_while_the_issuer_is_down_known_keys_live_for_a_day(self, door):
        door.at(0 * MINUTE)
        door.idp.down = True
        for age in (9 * MINUTE, 10 * MINUTE, 1 * HOUR, 24 * HOUR - SECOND):
            assert door.at(age) == "okta-1"
        assert door.at(24 * HOUR) == "unavailable"
        assert door.at(25 * HOUR) == "unavailable"

    def test_the_day_counts_from_the_last_time_that_the_issuer_told(self, door):
        door.at(0 * HOUR)
        door.at(20 * HOUR)
        door.idp.down = True
        assert door.at(44 * HOUR - SECOND) == "okta-1"
        assert door.at(44 * HOUR) == "unavailable"

    def test_an_issuer_that_is_down_is_asked_every_ten_seconds(self, door):
        door.at(0 * MINUTE)
        door.idp.down = True
        for second in range(60):
            assert door.at(10 * MINUTE + second * SECOND) == "okta-1"
        assert door.fetches == 1 + 6

    def test_an_issuer_that_comes_back_is_believed_again(self, door):
        door.at(0 * MINUTE)
        door.idp.down = True
        assert door.at(30 * HOUR) == "unavailable"
        door.idp.down = False
        assert door.at(30 * HOUR + 9 * SECOND) == "unavailable"
        assert door.at(30 * HOUR + 10 * SECOND) == "okta-1"

    def test_an_issuer_that_never_answered_is_unavailable_and_nobody_is_a_liar(self, door):
        door.idp.down = True
        with pytest.raises(Unavailable, match="okta cannot be had: https://idp") as caught:
            door.keys.find(door.idp.issuer(), "okta-1", "ES256", now=NOW)
        assert caught.value.retry_after == 10 * SECOND
        assert door.at(9 * SECOND) == "unavailable"
        assert door.fetches == 1
        door.idp.down = False
        assert door.at(10 * SECOND) == "okta-1"

    def test_while_the_issuer_is_down_an_unknown_key_may_be_a_new_one(self, door):
        door.at(0 * MINUTE)
        door.idp.down = True
        assert door.at(59 * SECOND, "new") == "unauthenticated"  # the issuer said so a minute ago
        assert door.at(60 * SECOND, "new") == "unavailable"
        assert [door.at((61 + second) * SECOND, "new") for second in range(59)] == ["unavailable"] * 59
        assert door.fetches == 2
        assert door.at(61 * SECOND) == "okta-1"

    def test_a_clock_that_steps_back_fetches_nothing(self, door):
        door.at(0 * SECOND)
        assert door.at(-5 * MINUTE) == "okta-1"
        assert door.at(-5 * MINUTE, "new") == "unauthenticated"
        assert door.fetches == 1

    def test_each_issuer_has_keys_of_its_own(self):
        one, two = Idp(), Idp("https://two.example.com", name="two")
        keys = Keys(lambda url: (two if "two" in url else one).fetch(url))
        assert keys.find(one.issuer(), "okta-1", "ES256", now=NOW).kid == "okta-1"
        with pytest.raises(Unauthenticated):
            keys.find(two.issuer(), "okta-1", "ES256", now=NOW)
        one.down = True
        assert keys.find(two.issuer(), "two-1", "ES256", now=NOW + HOUR).kid == "two-1"


class Crowd:
    """An issuer whose answers are held back until `let_go`, and threads that ask meanwhile."""

    def __init__(self) -> None:
        self.idp = Idp()
        self.asked = threading.Event()
        self.let_go = threading.Event()
        self.held = True
        self.keys = Keys(self.fetch)
        self.threads = ThreadPoolExecutor(16)

    def fetch(self, url: str) -> bytes:
        if self.held:
            self.asked.set()
            assert self.let_go.wait(10)
        return self.idp.fetch(url)

    def find(self, age: timedelta, kid: str = "okta-1") -> str:
        try:
            return self.keys.find(self.idp.issuer(), kid, "ES256", now=NOW + age).kid or ""
        except Refusal as refusal:
            return refusal.slug


@pytest.fixture
def crowd():
    crowd = Crowd()
    yield crowd
    crowd.let_go.set()
    crowd.threads.shutdown()


class TestCrowd:
    @pytest.mark.parametrize(("down", "answer"), [(False, "okta-1"), (True, "unavailable")])
    def test_a_stampede_makes_one_fetch(self, crowd, down, answer):
        crowd.idp.down = down
        answers = [crowd.threads.submit(crowd.find, timedelta(0)) for _ in range(16)]
        assert crowd.asked.wait(10)
        crowd.let_go.set()
        assert [each.result(10) for each in answers] == [answer] * 16
        assert len(crowd.idp.asked) == (1 if down else 2)  # discovery, then keys

    def test_who_has_a_usable_key_does_not_wait_for_a_fetch(self, crowd):
        crowd.held = False
        assert crowd.find(timedelta(0)) == "okta-1"
        crowd.held = True
        first = crowd.threads.submit(crowd.find, 10 * MINUTE)
        assert crowd.asked.wait(10)
        assert crowd.find(10 * MINUTE) == "okta-1"  # and did not wait for let_go
        assert not first.done()
        crowd.let_go.set()
        assert first.result(10) == "okta-1"

    def test_who_has_none_waits_for_the_one_fetch(self, crowd):
        crowd.held = False
        assert crowd.find(timedelta(0)) == "okta-1"
        crowd.held = True
        crowd.idp.kids.append("new")
        waiting = [crowd.threads.submit(crowd.find, MINUTE, "new") for _ in range(8)]
        assert crowd.asked.wait(10)
        crowd.let_go.set()
        assert [each.result(10) for each in waiting] == ["new"] * 8
        assert len(crowd.idp.asked) == 4

    def test_a_fetch_that_breaks_does_not_lock_the_door(self):
        idp = Idp()
        broken = [RuntimeError("a bug")]

        def fetch(url: str) -> bytes:
            if broken:
                raise broken.pop()
            return idp.fetch(url)

        keys = Keys(fetch)
        with pytest.raises(RuntimeError):
            keys.find(idp.issuer(), "okta-1", "ES256", now=NOW)
        assert keys.find(idp.issuer(), "okta-1", "ES256", now=NOW).kid == "okta-1"


class TestDiscovery:
    @pytest.mark.parametrize(
        "discovery",
        [
            {"issuer": "https://idp.example.com/", "jwks_uri": "https://idp.example.com/keys"},
            {"issuer": "https://evil.example.com", "jwks_uri": "https://idp.example.com/keys"},
            {"jwks_uri": "https://idp.example.com/keys"},
            {"issuer": "https://idp.example.com"},
            *(
                {"issuer": "https://idp.example.com", "jwks_uri": uri}
                for uri in [
                    "http://idp.example.com/keys",
                    "http://127.0.0.1/keys",
                    "file:///etc/passwd",
                    "ftp://idp.example.com/keys",
                    "//idp.example.com/keys",
                    "/keys",
                    "https://",
                    "https://[::1",
                    "",
                    None,
                    7,
                    ["https://idp.example.com/keys"],
                ]
            ),
            [],
            b"<html>",
            b"\xff",
            b"[" * 5000,
        ],
    )
    def test_a_discovery_document_that_is_not_the_issuers(self, door, discovery):
        door.idp.discovery = discovery
        assert door.at(0 * SECOND) == "unavailable"
        assert len(door.idp.asked) == 1

    def test_an_issuer_whose_url_ends_in_a_slash(self):
        idp = Idp("https://tenant.example.com")
        idp.discovery = {"issuer": "https://tenant.example.com/", "jwks_uri": "https://tenant.example.com/keys"}
        issuer = idp.issuer(url="https://tenant.example.com/")
        assert Keys(idp.fetch).find(issuer, "okta-1", "ES256", now=NOW).kid == "okta-1"

    @pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
    def test_http_is_for_this_machine_only(self, host):
        idp = Idp(f"http://{host}/people")
        assert Keys(idp.fetch).find(idp.issuer(), "okta-1", "ES256", now=NOW).kid == "okta-1"

    @pytest.mark.parametrize(
        "url", ["http://idp.example.com", "http://127.0.0.1.evil.com", "http://127.0.0.1@evil.com", "idp"]
    )
    def test_an_issuer_elsewhere_is_never_asked_without_tls(self, url):
        idp = Idp(url)
        with pytest.raises(Unavailable, match="https"):
            Keys(idp.fetch).find(idp.issuer(), "okta-1", "ES256", now=NOW)
        assert idp.asked == []

    def test_a_local_issuer_may_not_point_at_the_network_without_tls(self):
        idp = Idp("http://127.0.0.1:8000")
        idp.discovery = {"issuer": idp.url, "jwks_uri": "http://10.0.0.1/keys"}
        with pytest.raises(Unavailable):
            Keys(idp.fetch).find(idp.issuer(), "okta-1", "ES256", now=NOW)
        assert len(idp.asked) == 1


GOOD = public_jwk("ES256", "good")


def rsa_jwk(**changes: Any) -> dict[str, Any]:
    return {**public_jwk("RS256", "rsa"), **changes}


class TestHostileKeySets:
    @pytest.mark.parametrize(
        "entry",
        [
            None,
            7,
            "key",
            [],
            {},
            {"kty": "oct", "kid": "x", "k": "c2VjcmV0", "alg": "HS256"},
            {"kty": "oct", "kid": "x", "k": "c2VjcmV0", "alg": "ES256"},
            {**GOOD, "kid": "x", "d": "AA"},  # a private key that was published is nobody's any more
            {**GOOD, "kid": "x", "k": "AA"},
            rsa_jwk(p="AQ", q="AQ"),
            {**GOOD, "kid": "x", "use": "enc"},
            {**GOOD, "kid": "x", "use": None},
            {**GOOD, "kid": "x", "key_ops": ["sign"]},
            {**GOOD, "kid": "x", "key_ops": []},
            {**GOOD, "kid": "x", "key_ops": "verify"},
            {**GOOD, "kid": "x", "alg": "HS256"},
            {**GOOD, "kid": "x", "alg": "none"},
            {**GOOD, "kid": "x", "alg": "ES384"},
            {**GOOD, "kid": "x", "alg": ["ES256"]},
            {**GOOD, "kid": 7},
            {**GOOD, "kid": ["x"]},
            {**GOOD, "kid": "x", "kty": ["EC"]},
            {**GOOD, "kid": "x", "crv": {"name": "P-256"}},
            {**GOOD, "kid": "x", "crv": "P-384"},
            {**GOOD, "kid": "x", "crv": "secp256k1", "alg": "ES256K"},
            {**GOOD, "kid": "x", "x": GOOD["y"]},  # not on the curve
            {**GOOD, "kid": "x", "x": "!!!"},
            {**GOOD, "kid": "x", "x": 7},
            {**GOOD, "kid": "x", "y": None},
            {name: value for name, value in GOOD.items() if name != "y"},
            rsa_jwk(n="AQ"),
            rsa_jwk(n=rsa_jwk()["n"][:170]),  # 1024 bits
            rsa_jwk(n="_" * 2048),  # 12288 bits
            rsa_jwk(n="_" * 400000),
            rsa_jwk(n=""),
            rsa_jwk(n=None),
            rsa_jwk(e="AA"),
            rsa_jwk(e="AQ"),
            rsa_jwk(e=7),
            rsa_jwk(crv="P-256"),
            {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "x"},
            {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "x"},
            {"kty": "RSA"},
        ],
    )
    def test_what_is_no_public_signing_key_is_left_out(self, entry):
        assert [key.kid for key in read_keys({"keys": [entry, GOOD, entry]})] == ["good"]

    def test_two_keys_of_one_id_are_neither(self):
        idp = Idp()
        idp.key_set = {"keys": [public_jwk("ES256", "okta-1"), public_jwk("ES256", "other", kid="okta-1"), GOOD]}
        keys = Keys(idp.fetch)
        with pytest.raises(Unauthenticated):
            keys.find(idp.issuer(), "okta-1", "ES256", now=NOW)
        assert keys.find(idp.issuer(), "good", "ES256", now=NOW).kid == "good"

    def test_two_keys_of_one_id_for_two_algorithms_are_both(self):
        idp = Idp()
        idp.key_set = {"keys": [public_jwk("ES256", "k"), public_jwk("RS256", "r", kid="k")]}
        keys = Keys(idp.fetch)
        assert keys.find(idp.issuer(), "k", "ES256", now=NOW).public == private_key("ES256", "k").public_key()
        assert keys.find(idp.issuer(), "k", "RS256", now=NOW).public == private_key("RS256", "r").public_key()

    def test_a_key_without_an_id_is_only_for_tokens_without_one(self):
        idp = Idp()
        jwk = public_jwk("ES256", "okta-1")
        del jwk["kid"]
        idp.key_set = {"keys": [jwk]}
        keys = Keys(idp.fetch)
        assert keys.find(idp.issuer(), None, "ES256", now=NOW).kid is None
        with pytest.raises(Unauthenticated):
            keys.find(idp.issuer(), "okta-1", "ES256", now=NOW)

    def test_a_token_without_an_id_means_the_only_key_and_none_of_two(self):
        idp = Idp()
        idp.key_set = {"keys": [public_jwk("ES256", "k"), public_jwk("RS256", "r")]}
        with pytest.raises(Unauthenticated):
            Keys(idp.fetch).find(idp.issuer(), None, "ES256", now=NOW)

    def test_an_issuer_that_lists_no_key_has_none(self):
        door = Door()
        door.at(0 * SECOND)
        door.idp.key_set = {"keys": []}
        assert door.at(10 * MINUTE) == "unauthenticated"

    @pytest.mark.parametrize(
        "key_set", [{"keys": None}, {"keys": {}}, {"nokeys": []}, [1], b"junk", b'{"keys":[],"keys":[]}']
    )
    def test_what_is_no_key_set_withdraws_nothing(self, key_set):
        door = Door()
        door.at(0 * SECOND)
        door.idp.key_set = key_set
        assert door.at(10 * MINUTE) == "okta-1"

    @settings(deadline=None)
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["kty", "crv", "alg", "use", "kid", "n", "e", "x", "y", "d", "key_ops"]),
                st.sampled_from(
                    [*GOOD.values(), *rsa_jwk().values(), "Ed25519", "OKP", "enc", "AA", "", None, 7, ["verify"]]
                )
                | st.text(max_size=60)
                | st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner, max_size=2), max_leaves=3),
            )
            | st.none()
            | st.integers()
            | st.text(),
            max_size=4,
        )
    )
    def test_any_key_set_at_all(self, entries):
        for key in read_keys({"keys": entries}):
            assert key.algorithms


class TestJson:
    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"null",
            b"[]",
            b"1",
            b'"a"',
            b'{"a":1,"a":1}',
            b'{"a":{"b":1,"b":2}}',
            b'{"a":NaN}',
            b'{"a":-Infinity}',
            b"\xff{}",
            b'{"a":' * 100000,
        ],
    )
    def test_no_proper_object(self, text):
        with pytest.raises(ValueError):
            read_object(text)

    @given(st.binary())
    def test_any_bytes_at_all(self, text):
        with contextlib.suppress(ValueError):
            assert isinstance(read_object(text), dict)

    @given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
    def test_a_proper_object(self, value):
        assert read_object(json.dumps(value).encode()) == value
