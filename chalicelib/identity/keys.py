"""The public keys of OIDC issuers: fetched, kept while they are fresh, and a while longer where the issuer is down.

    age of the keys     a key that is known         a key that is not
    under 10 min        used                        fetched again, at most once a minute; still unknown: refused
    10 min to 24 h      fetched again; issuer       fetched again; issuer down: Unavailable
                        down: used
    24 h, or none       fetched again; issuer       fetched again; issuer down: Unavailable
                        down: Unavailable

An issuer that did not answer is asked again after ten seconds. While one caller fetches, another waits only where what
is known does not serve it, and then for the same answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chalicelib.core.refusals import Unauthenticated, Unavailable
from chalicelib.core.vouching import Issuer

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys

REFRESH_AFTER = timedelta(minutes=10)
UNKNOWN_KEY_PAUSE = timedelta(minutes=1)
FAILURE_PAUSE = timedelta(seconds=10)
KEEP_FOR = timedelta(hours=24)

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_ALGORITHMS: Mapping[tuple[object, object], frozenset[str]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
"""Which algorithms go with a key of which `kty` and `crv`. Source: RFC 7518 sections 3.1 and 6, RFC 8037."""

ALGORITHMS = frozenset[str]().union(*_ALGORITHMS.values())
"""Every algorithm a token may be signed with: asymmetric ones only."""

_PUBLIC = ("kty", "crv", "n", "e", "x", "y")
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS = range(2048, 8192 + 1)
_LONGEST_NUMBER = 2048
"""Characters of base64url: room for 8192 bits, and too little to keep the function busy."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Fetch = Callable[[str], bytes]
"""Gets the document at a URL. Raises NotFetched where it cannot."""


class NotFetched(Exception):
    """A document could not be had, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of an issuer. algorithms: those that a signature made with it may name."""

    kid: str | None
    algorithms: frozenset[str]
    public: AllowedPublicKeys


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of an issuer's keys. tried_at: when they were last asked for; fetched_at: when they were last had.

    trouble: why they could not be had at the last try; None where they could.
    """

    keys: tuple[Key, ...] = ()
    fetched_at: datetime | None = None
    tried_at: datetime | None = None
    trouble: str | None = None

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The one key that the token may mean; None where there is none, or more than one."""
        named = [key for key in self.keys if key.kid == kid]
        if kid is None:
            named = list(self.keys) if len(self.keys) == 1 else []
        fitting = [key for key in named if algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None

    def due(self, *, found: bool, now: datetime) -> bool:
        if self.tried_at is None:
            return True
        if self.fetched_at is None or now - self.fetched_at >= REFRESH_AFTER:
            return now - self.tried_at >= FAILURE_PAUSE
        return not found and now - self.tried_at >= UNKNOWN_KEY_PAUSE

    def usable(self, now: datetime) -> bool:
        return self.fetched_at is not None and now - self.fetched_at < KEEP_FOR


@dataclass(slots=True)
class _Shelf:
    """The place of one issuer's keys. fetching: held by the one who fetches."""

    known: _Known = _Known()
    fetching: threading.Lock = field(default_factory=threading.Lock)


class Keys:
    """The keys of every issuer that was asked for. Safe to share between threads."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._shelves: dict[str, _Shelf] = {}

    def find(self, issuer: Issuer, kid: str | None, algorithm: str, *, now: datetime) -> Key:
        """The issuer's key of that id for that algorithm; without an id, the only key it has.

        Raises Unauthenticated where the issuer has no such key, Unavailable where the issuer does not tell.
        """
        shelf = self._shelves.setdefault(issuer.url, _Shelf())
        known = shelf.known
        found = known.find(kid, algorithm) is not None
        if known.due(found=found, now=now):
            known = self._asked(shelf, known, issuer, wait=not (found and known.usable(now)), now=now)
        key = known.find(kid, algorithm)
        if not known.usable(now) or (key is None and known.trouble):
            raise Unavailable(f"The keys of the issuer {issuer.name} cannot be had: {known.trouble}.", FAILURE_PAUSE)
        if key is None:
            raise Unauthenticated(f"The issuer {issuer.name} has no key with the token's key id for its algorithm.")
        return key

    def _asked(self, shelf: _Shelf, seen: _Known, issuer: Issuer, *, wait: bool, now: datetime) -> _Known:
        """What is known once the issuer was asked: by us, or by whoever was asking while we waited."""
        if not shelf.fetching.acquire(blocking=wait):
            return seen
        try:
            if shelf.known is seen:
                shelf.known = self._fetched(seen, issuer, now)
            return shelf.known
        finally:
            shelf.fetching.release()

    def _fetched(self, seen: _Known, issuer: Issuer, now: datetime) -> _Known:
        try:
            return _Known(keys=self._keys(issuer), fetched_at=now, tried_at=now)
        except NotFetched as error:
            return replace(seen, tried_at=now, trouble=str(error))

    def _keys(self, issuer: Issuer) -> tuple[Key, ...]:
        """Discovery, then the key set. Source: https://openid.net/specs/openid-connect-discovery-1_0.html section 4."""
        discovery = self._document(issuer.url.rstrip("/") + "/.well-known/openid-configuration", issuer)
        if discovery.get("issuer") != issuer.url:
            raise NotFetched("its discovery document is another issuer's")
        return read_keys(self._document(discovery.get("jwks_uri"), issuer))

    def _document(self, url: object, issuer: Issuer) -> dict[str, Any]:
        if not isinstance(url, str) or not _trustworthy(url, issuer):
            raise NotFetched("they are not behind https")
        try:
            return read_object(self._fetch(url))
        except ValueError as error:
            raise NotFetched(f"{url} is not a JSON object") from error


def _trustworthy(url: str, issuer: Issuer) -> bool:
    """https; http only on this very machine, and only for an issuer that is there itself."""
    return _scheme(url) == "https" or (_scheme(url) == "loopback" == _scheme(issuer.url))


def _scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "none"
    if parts.scheme == "http" and host in _LOOPBACK:
        return "loopback"
    return parts.scheme if host else "none"


def read_object(text: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8. Raises ValueError for anything else, a name that comes twice, NaN and Infinity."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_each_name_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name that comes twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_keys(document: Mapping[str, Any]) -> tuple[Key, ...]:
    """The keys of a JWK set that a token may be signed with; all others are left out. Raises NotFetched for no set.

    An issuer that lists no key has none: what it listed before counts no more.
    Source: RFC 7517 section 5.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise NotFetched("its key set is none")
    return tuple(key for entry in entries if isinstance(entry, dict) and (key := _read_key(entry)))


def _read_key(entry: Mapping[str, Any]) -> Key | None:
    """The signing key of an entry; None for one of another use, and for a weak, symmetric, private or broken one."""
    from jwt import PyJWK, PyJWTError

    algorithms = _algorithms(entry)
    kid = entry.get("kid")
    public = {name: entry[name] for name in _PUBLIC if name in entry}
    if not algorithms or _PRIVATE & entry.keys() or not (kid is None or isinstance(kid, str)):
        return None
    if not all(isinstance(value, str) and len(value) <= _LONGEST_NUMBER for value in public.values()):
        return None
    try:
        key = PyJWK(public, min(algorithms)).key
    except (PyJWTError, ValueError):
        return None
    if algorithms <= _RSA and key.key_size not in _RSA_BITS:
        return None
    return Key(kid, algorithms, key)


def _algorithms(entry: Mapping[str, Any]) -> frozenset[str]:
    """What the entry may be used for: by `kty` and `crv`, narrowed by `alg`, `use` and `key_ops` where it has them."""
    shape = (entry.get("kty"), entry.get("crv"))
    operations = entry.get("key_ops", ["verify"])
    if not all(part is None or isinstance(part, str) for part in shape):
        return frozenset()
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return frozenset()
    fitting = _ALGORITHMS.get(shape, frozenset())
    return frozenset(name for name in fitting if entry.get("alg", name) == name)
