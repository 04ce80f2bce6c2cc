"""What the provider publishes, and what it must not: every rotation is one that nobody notices."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.provider import Provider, ProviderKey
from chalicelib.core.times import stamp
from daypass.operator.documents import AHEAD, DISCOVERY, HISTORY, JWKS, NotOurs, documents, known, objections
from tests.builders import HOUR, NOW, SECOND

ISSUER = "https://id.example.com/daypass"
OLD, NEW, NEXT = (f"arn:aws:kms:eu-central-1:123456789012:key/{name}" for name in ("old", "new", "next"))


def provider(**begins) -> Provider:
    """Keys by name, each with the instant from which it signs."""
    arns = {"old": OLD, "new": NEW, "next": NEXT}
    return Provider(ISSUER, tuple(ProviderKey(arns[name], at) for name, at in begins.items()))


def publish(keys: Provider, published=None, now=NOW):
    """The documents after a publication that nothing stands against."""
    published = published or {}
    assert objections(keys, published, now) == ()
    return documents(keys, {key.kid: {"kid": key.kid} for key in keys.keys}, published, now)


def kids(published) -> list[str]:
    return [key["kid"] for key in json.loads(published[JWKS])["keys"]]


def kid(arn: str) -> str:
    return ProviderKey(arn, NOW).kid


FIRST = publish(provider(old=NOW - HOUR))


class TestDocuments:
    def test_discovery_leads_to_the_keys(self):
        told = json.loads(FIRST[DISCOVERY])
        assert (told["issuer"], told["jwks_uri"]) == (ISSUER, f"{ISSUER}/{JWKS}")
        assert told["id_token_signing_alg_values_supported"] == ["RS256"]

    def test_the_keys_are_in_the_order_of_their_turns(self):
        assert kids(publish(provider(new=NOW + HOUR, old=NOW - HOUR))) == [kid(OLD), kid(NEW)]

    def test_publishing_again_changes_nothing(self):
        assert publish(provider(old=NOW - HOUR), FIRST, NOW + 100 * HOUR) == FIRST

    def test_a_key_keeps_the_day_it_was_published_first(self):
        later = NOW + 100 * HOUR
        second = publish(provider(old=NOW - HOUR, new=later + AHEAD), FIRST, later)
        assert [known(second)[kid(arn)].published_at for arn in (OLD, NEW)] == [NOW, later]

    def test_no_account_is_in_them(self):
        assert not any(b"123456789012" in document for document in FIRST.values())


class TestAKeyIsPublishedADayBeforeItSigns:
    def test_the_first_keys_may_sign_at_once_for_nobody_fetched_any(self):
        assert objections(provider(old=NOW - HOUR, new=NOW + HOUR), {}, NOW) == ()

    def test_a_new_one_may_not_sign_within_a_day(self):
        [objection] = objections(provider(old=NOW - HOUR, new=NOW + AHEAD - SECOND), FIRST, NOW)
        assert objection.startswith(f"{NEW} would sign from 2031-03-06T11:59:59Z")
        assert "let it sign from 2031-03-06T12:00:00Z or later" in objection
        assert objections(provider(old=NOW - HOUR, new=NOW + AHEAD), FIRST, NOW) == ()

    def test_one_that_waits_may_not_be_hurried(self):
        takes_over = NOW + 10 * AHEAD
        waiting = publish(provider(old=NOW - HOUR, new=takes_over), FIRST, NOW)
        [objection] = objections(provider(old=NOW - HOUR, new=NOW + 2 * HOUR), waiting, NOW + HOUR)
        assert "let it sign from 2031-03-06T12:00:00Z or later" in objection
        assert objections(provider(old=NOW - HOUR, new=NOW + AHEAD), waiting, NOW + HOUR) == ()
        assert objections(provider(old=NOW - HOUR, new=takes_over + AHEAD), waiting, NOW + HOUR) == ()

    def test_one_that_was_dropped_and_comes_back_is_new(self):
        waiting = publish(provider(old=NOW - HOUR, new=NOW + 10 * AHEAD), FIRST, NOW)
        dropped = publish(provider(old=NOW - HOUR), waiting, NOW + HOUR)
        again = NOW + 9 * AHEAD + HOUR
        [objection] = objections(provider(old=NOW - HOUR, new=NOW + 10 * AHEAD), dropped, again)
        assert NEW in objection


class TestAKeyStaysForADayAfterItSigned:
    rotated = publish(provider(old=NOW - HOUR, new=NOW + AHEAD), FIRST)

    @pytest.mark.parametrize("now", [NOW, NOW + AHEAD - SECOND])
    def test_one_that_signs_may_not_go(self, now):
        [objection] = objections(provider(new=NOW + AHEAD), self.rotated, now)
        assert objection.startswith(f"The key {kid(OLD)} still signs")

    @pytest.mark.parametrize("now", [NOW + AHEAD + SECOND, NOW + 2 * AHEAD - SECOND])
    def test_one_that_signed_a_moment_ago_may_not_go_and_it_says_until_when(self, now):
        [objection] = objections(provider(new=NOW + AHEAD), self.rotated, now)
        assert "drop it from 2031-03-07T12:00:00Z on" in objection

    def test_then_it_may(self):
        assert kids(publish(provider(new=NOW + AHEAD), self.rotated, NOW + 2 * AHEAD)) == [kid(NEW)]

    def test_one_whose_time_has_not_come_may_go(self):
        assert kids(publish(provider(old=NOW - HOUR), self.rotated, NOW + HOUR)) == [kid(OLD)]

    def test_giving_one_another_turn_does_not_make_it_one_that_never_signed(self):
        moved = publish(provider(old=NOW + 100 * HOUR, new=NOW + AHEAD), self.rotated, NOW + HOUR)
        assert publish(provider(old=NOW + 100 * HOUR, new=NOW + AHEAD), moved, NOW + 2 * HOUR) == moved
        [objection] = objections(provider(new=NOW + AHEAD), moved, NOW + 2 * HOUR)
        assert f"signed until {stamp(NOW + HOUR)}" in objection
        assert kids(publish(provider(new=NOW + AHEAD), moved, NOW + HOUR + AHEAD)) == [kid(NEW)]

    def test_one_that_signed_before_may_take_over_again_at_once(self):
        later = NOW + 2 * AHEAD
        back = publish(provider(old=later, new=NOW + AHEAD), self.rotated, later)
        assert kids(back) == [kid(NEW), kid(OLD)]

    def test_one_that_nobody_remembers_may_not(self):
        forgotten = {path: document for path, document in FIRST.items() if path != HISTORY}
        [objection] = objections(provider(new=NOW + AHEAD), forgotten, NOW)
        assert "nobody knows when it signed" in objection
        assert known(publish(provider(old=NOW - HOUR), forgotten, NOW))[kid(OLD)].published_at == NOW


class TestWhatIsNotOurs:
    def test_another_issuers_place_is_left_alone(self):
        [objection] = objections(
            Provider("https://other.example.com", provider(old=NOW).keys), {DISCOVERY: FIRST[DISCOVERY]}, NOW
        )
        assert ISSUER in objection

    @pytest.mark.parametrize("path", [JWKS, HISTORY, DISCOVERY])
    @pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b'{"keys": [1]}', b'{"keys": [{}]}', b"\xff"])
    def test_and_so_is_what_cannot_be_read(self, path, document):
        with pytest.raises(NotOurs):
            objections(provider(old=NOW - HOUR), {**FIRST, path: document}, NOW)


# A coarse grid, on which turns, publications and the ends of their days often meet.
GRID = 8 * HOUR
instants = st.integers(0, 12).map(lambda number: NOW + number * GRID)
catalogues = st.dictionaries(st.sampled_from(["old", "new", "next"]), instants, min_size=1).filter(
    lambda begins: len(set(begins.values())) == len(begins)
)


@settings(max_examples=200)
@given(steps=st.lists(st.tuples(st.integers(0, 5), catalogues), min_size=1, max_size=8))
def test_whoever_fetched_the_keys_within_a_day_of_a_token_can_verify_it(steps):
    """The broker signs by the catalogue that was published last; what was published first, nobody can have missed."""
    published: dict[str, bytes] = {}
    versions, now = [], NOW
    for wait, begins in steps:
        now += wait * GRID
        keys = provider(**begins)
        if objections(keys, published, now) == ():
            published = dict(publish(keys, published, now))
            versions.append((now, keys, set(kids(published))))
    first, end = versions[0][0], now + 2 * AHEAD
    for step in range(int((end - first) / GRID)):
        at = first + step * GRID
        signing = [keys for began, keys, _ in versions if began <= at][-1].signing(at)
        current = [known for began, _, known in versions if began <= max(at - AHEAD, first)][-1]
        meanwhile = [known for began, _, known in versions if at - AHEAD < began < at + AHEAD]
        assert signing is None or all(signing.kid in known for known in (current, *meanwhile))
