"""What the provider publishes, so that no rotation leaves a gap: whoever verifies knows a key before it signs.

A key is published AHEAD of its first signature and for as long after its last: what anybody fetched of the keys may be
kept for a while, STS's own copy too. When it was published, a third document beside the keys remembers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.provider import Provider, ProviderKey
from chalicelib.core.times import read_stamp, stamp
from chalicelib.core.token import SOURCE_IDENTITY, TAGS

AHEAD = timedelta(hours=24)

DISCOVERY = ".well-known/openid-configuration"
JWKS = ".well-known/jwks.json"
HISTORY = ".well-known/daypass-keys.json"
PATHS = (JWKS, DISCOVERY, HISTORY)
"""In the order of writing: a key whose history got lost on the way is believed to be as old as it may be."""

Documents = Mapping[str, bytes]
"""By path below the issuer."""

_NOTHING = b'{"keys": []}'


class NotOurs(Exception):
    """What is published there was not written by `daypass issuer publish`; `str` of it is for people."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was published of a key, and when for the first time. None: nobody knows, or for signed_until: never.

    signed_until: when it signed last, where that does not follow from the turns any more since they were changed.
    """

    published_at: datetime | None = None
    signs_from: datetime | None = None
    signed_until: datetime | None = None


def known(published: Documents) -> Mapping[str, Known]:
    """The keys that are published, by kid. Raises NotOurs."""
    try:
        kids = [key["kid"] for key in json.loads(published.get(JWKS, _NOTHING))["keys"]]
        history = {key["kid"]: _remembered(key) for key in json.loads(published.get(HISTORY, _NOTHING))["keys"]}
    except (ValueError, TypeError, KeyError):
        raise NotOurs("What is published there cannot be read: publish elsewhere, or look at it first.") from None
    return {kid: history.get(kid, Known()) for kid in kids}


def _remembered(key: Mapping[str, str]) -> Known:
    until = key.get("signed_until")
    return Known(read_stamp(key["published_at"]), read_stamp(key["signs_from"]), read_stamp(until) if until else None)


def documents(
    provider: Provider, keys: Mapping[str, Mapping[str, str]], published: Documents, now: datetime
) -> Documents:
    """All there is to publish, the same bytes for the same keys. keys: the public ones as JWK, by kid."""
    earlier = known(published)
    in_turn = sorted(provider.keys, key=lambda key: key.signs_from)
    written: Mapping[str, object] = {
        JWKS: {"keys": [keys[key.kid] for key in in_turn]},
        DISCOVERY: _discovery(provider.issuer),
        HISTORY: {"keys": [_history(key, provider, earlier, now) for key in in_turn]},
    }
    return {path: json.dumps(written[path], indent=2).encode() + b"\n" for path in PATHS}


def _history(key: ProviderKey, provider: Provider, earlier: Mapping[str, Known], now: datetime) -> Mapping[str, str]:
    before = earlier.get(key.kid, Known())
    told = {
        "kid": key.kid,
        "published_at": stamp(before.published_at or now),
        "signs_from": stamp(key.signs_from),
    }
    signed = _signed_until(before, earlier, now)
    follows = _end_of_turn(key.signs_from, [each.signs_from for each in provider.keys], now)
    if signed and (follows is None or follows < signed):
        told["signed_until"] = stamp(signed)
    return told


def _signed_until(key: Known, among: Mapping[str, Known], now: datetime) -> datetime | None:
    """When a published key signed last, `now` where it still does; None: never."""
    turns = [each.signs_from for each in among.values() if each.signs_from]
    ended = _end_of_turn(key.signs_from, turns, now) if key.signs_from else None
    return max((at for at in (ended, key.signed_until) if at), default=None)


def _end_of_turn(begins: datetime, turns: Iterable[datetime], now: datetime) -> datetime | None:
    """When the turn that began then ended, `now` where it still lasts; None where it has not begun."""
    return min((turn for turn in turns if begins < turn <= now), default=now) if begins <= now else None


def _discovery(issuer: str) -> Mapping[str, object]:
    """Source: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata."""
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/{JWKS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["iss", "sub", "aud", "iat", "exp", "jti", SOURCE_IDENTITY, TAGS],
    }


def objections(provider: Provider, published: Documents, now: datetime) -> tuple[str, ...]:
    """Why the provider's keys must not be published like this over what is published; empty where they may.

    What was never published can have been fetched by nobody, so the first time everything goes. Raises NotOurs.
    """
    earlier = known(published)
    return (
        *_another_issuer(provider, published),
        *(_too_soon(provider.keys, earlier, now) if earlier else ()),
        *_gone_too_soon(provider, earlier, now),
    )


def _another_issuer(provider: Provider, published: Documents) -> Iterator[str]:
    try:
        there = json.loads(published[DISCOVERY])["issuer"] if DISCOVERY in published else provider.issuer
    except (ValueError, TypeError, KeyError):
        raise NotOurs(f"{DISCOVERY} cannot be read: publish elsewhere, or look at it first.") from None
    if there != provider.issuer:
        yield f"Another issuer is published there, {there}: publish {provider.issuer} at a place of its own."


def _too_soon(keys: tuple[ProviderKey, ...], earlier: Mapping[str, Known], now: datetime) -> Iterator[str]:
    for key in keys:
        before = earlier.get(key.kid)
        if before and before.signs_from in (None, key.signs_from):
            continue
        soonest = ((before and before.published_at) or now) + AHEAD
        if key.signs_from < soonest:
            yield (
                f"{key.arn} would sign from {stamp(key.signs_from)}, before everybody can know it: "
                f"let it sign from {stamp(soonest)} or later, and publish again."
            )


def _gone_too_soon(provider: Provider, earlier: Mapping[str, Known], now: datetime) -> Iterator[str]:
    for kid in sorted(earlier.keys() - {key.kid for key in provider.keys}):
        if earlier[kid].signs_from is None:
            yield f"The key {kid} is published, and nobody knows when it signed: put it back into the catalogue."
            continue
        signed = _signed_until(earlier[kid], earlier, now)
        if signed == now:
            yield f"The key {kid} still signs: put it back, let another take over, and drop it a day after that."
        elif signed and now < signed + AHEAD:
            gone = stamp(signed + AHEAD)
            yield f"The key {kid} signed until {stamp(signed)}: put it back, and drop it from {gone} on."
