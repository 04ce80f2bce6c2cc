"""The bearer door: an OIDC token, verified, becomes a principal.

Nothing in a token is believed before its signature is; until then `iss` only chooses among the catalogue's issuers.
Sources: RFC 7515, RFC 7519, RFC 8725; https://openid.net/specs/openid-connect-core-1_0.html section 3.1.3.7.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.patterns import glob
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import GroupsOverage, Unauthenticated
from chalicelib.core.times import stamp
from chalicelib.core.vouching import Issuer, MfaClaim, VerifiedBy
from chalicelib.identity.keys import ALGORITHMS, Key, Keys, read_object
from chalicelib.identity.passes import refuse_pass

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

LEEWAY = timedelta(seconds=60)
LONGEST = 16 * 1024

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)
# Headers by which a token would choose how, or by which key, it is to be verified.
_PRESUMPTUOUS = ("crit", "b64", "jwk", "jku", "x5u", "x5c")
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+=?^_`{|}~-]{1,64}@([a-z0-9.-]{1,189})", re.ASCII)
_SUBJECT = re.compile(r"[ -~]{1,1024}", re.ASCII)
_LAST_INSTANT = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def verify(token: str, *, catalogue: Catalogue, keys: Keys, now: datetime) -> Principal:
    """Who the bearer of a token (what comes after `Bearer `) is.

    Raises Unauthenticated with the one thing that is wrong, GroupsOverage, PassAsksForPass, and Unavailable where the
    issuer's keys cannot be had. No error holds the token.
    """
    header, claims = _read(token)
    issuer = _issuer(claims, catalogue)
    key = keys.find(issuer, *_signing(header), now=now)
    _check_signature(token, header["alg"], key)
    _check_audience(claims, issuer)
    issued_at = _check_times(claims, now)
    return Principal(
        id=_human(claims, issuer) if issuer.kind is Kind.HUMAN else _workload(claims, issuer, catalogue),
        kind=issuer.kind,
        groups=catalogue.told_by_tokens(_groups(claims, issuer.groups)),
        issuer=issuer.name,
        mfa=_mfa(claims, issuer),
        authenticated_at=_past(claims, "auth_time", now) if "auth_time" in claims else issued_at,
    )


def _read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not verified."""
    if len(token) > LONGEST:
        raise Unauthenticated(f"The token is longer than {LONGEST // 1024} KiB.")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise Unauthenticated("The token is not a signed JWT: three parts in base64url with dots between them.")
    try:
        return _decoded(parts[1]), _decoded(parts[2])
    except ValueError:
        raise Unauthenticated("The token is damaged: its header or its claims are not a proper JSON object.") from None


def _decoded(part: str) -> dict[str, Any]:
    return read_object(_bytes(part))


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _issuer(claims: Mapping[str, Any], catalogue: Catalogue) -> Issuer:
    url = claims.get("iss")
    for issuer in catalogue.issuers:
        if issuer.url == url:
            return issuer
    raise Unauthenticated(f"No issuer of the catalogue is {_shown(url)}.")


def _signing(header: Mapping[str, Any]) -> tuple[str | None, str]:
    """The key id and the algorithm that the header names."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Unauthenticated(f"The token is signed by {_shown(algorithm)}, which Daypass does not take.")
    if presumed := [name for name in _PRESUMPTUOUS if name in header]:
        raise Unauthenticated(f"The token's header says {presumed[0]}, which Daypass does not take.")
    if "kid" in header and not isinstance(kid, str):
        raise Unauthenticated("The token's key id (kid) is not a text.")
    return kid, algorithm


def _check_signature(token: str, algorithm: str, key: Key) -> None:
    signed, _, signature = token.rpartition(".")
    try:
        genuine = _verifier(algorithm).verify(signed.encode(), key.public, _bytes(signature))
    except ValueError:
        genuine = False
    if not genuine:
        raise Unauthenticated("The token's signature is not its issuer's.")


@cache
def _verifier(algorithm: str) -> Algorithm:
    from jwt import get_algorithm_by_name

    return get_algorithm_by_name(algorithm)


def _check_audience(claims: Mapping[str, Any], issuer: Issuer) -> None:
    if issuer.audience not in _texts(claims.get("aud")):
        raise Unauthenticated(f"The token is not for Daypass: its audience (aud) lacks {issuer.audience!r}.")


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    """When the token was issued, once it is clear that it is valid at `now`, give or take a minute."""
    expires_at = _instant(claims, "exp")
    if now - LEEWAY >= expires_at:
        raise Unauthenticated(f"The token expired at {stamp(expires_at)}.")
    if "nbf" in claims:
        _past(claims, "nbf", now)
    return _past(claims, "iat", now)


def _past(claims: Mapping[str, Any], name: str, now: datetime) -> datetime:
    instant = _instant(claims, name)
    if instant - LEEWAY > now:
        raise Unauthenticated(f"The token is from the future: its {name} is {stamp(instant)}, and it is {stamp(now)}.")
    return instant


def _instant(claims: Mapping[str, Any], name: str) -> datetime:
    seconds = claims.get(name)
    # A boolean is an int to Python. 1e999 is JSON, and infinite.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LAST_INSTANT:
        raise Unauthenticated(f"The token has no proper {name}: seconds since 1970.")
    return datetime.fromtimestamp(seconds, UTC)


def _human(claims: Mapping[str, Any], issuer: Issuer) -> str:
    """The e-mail address that a person goes by. ASCII first, then lower case: the Kelvin sign's lower case is a k."""
    address = claims.get(issuer.principal)
    match = _EMAIL.fullmatch(address.lower()) if isinstance(address, str) and address.isascii() else None
    if match is None:
        raise Unauthenticated(f"The token's {issuer.principal} is not an e-mail address in plain ASCII.")
    if match[1] not in issuer.domains:
        raise Unauthenticated(f"The issuer {issuer.name} does not speak for the domain {match[1]}.")
    if issuer.verified_by is VerifiedBy.EMAIL_VERIFIED and not _is_verified(claims, match[0]):
        raise Unauthenticated(f"The issuer {issuer.name} has not verified the address {match[0]} (email_verified).")
    return match[0]


def _is_verified(claims: Mapping[str, Any], address: str) -> bool:
    """`email_verified` speaks of the claim `email` and of no other."""
    email = claims.get("email")
    return claims.get("email_verified") is True and isinstance(email, str) and email.lower() == address


def _workload(claims: Mapping[str, Any], issuer: Issuer, catalogue: Catalogue) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise Unauthenticated("The token's subject (sub) is not a plain ASCII text.")
    refuse_pass(subject, catalogue)
    if not any(glob(pattern).fullmatch(subject) for pattern in issuer.subjects):
        raise Unauthenticated(f"The issuer {issuer.name} has no subject like {_shown(subject)} in the catalogue.")
    return f"{issuer.name}/{subject}"


def _groups(claims: Mapping[str, Any], name: str | None) -> frozenset[str]:
    """The groups of the claim of that name. A missing claim is no group; one that overflowed must not look like it.

    Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference#groups-overage-claim.
    """
    if name is None:
        return frozenset()
    elsewhere = claims.get("_claim_names")
    if (isinstance(elsewhere, dict) and name in elsewhere) or claims.get("hasgroups", False) is not False:
        raise GroupsOverage(
            "You are in more groups than the token can list. Have the issuer send only the groups assigned to Daypass."
        )
    groups = claims.get(name, [])
    if not isinstance(groups, list) or not all(isinstance(group, str) and group.isprintable() for group in groups):
        raise Unauthenticated(f"The token's {name} is not a list of group names.")
    return frozenset(groups)


def _mfa(claims: Mapping[str, Any], issuer: Issuer) -> bool:
    if not isinstance(issuer.mfa, MfaClaim):
        return issuer.mfa == "issuer"
    return not issuer.mfa.any_of.isdisjoint(_texts(claims.get(issuer.mfa.claim)))


def _texts(value: object) -> list[str]:
    """A text or a list of texts as a list; anything else is none."""
    values: list[object] = value if isinstance(value, list) else [value]
    texts = [item for item in values if isinstance(item, str)]
    return texts if len(texts) == len(values) else []


def _shown(value: object) -> str:
    """A value of a token as an error may show it: a short text, escaped."""
    return ascii(value)[:200] if isinstance(value, str) else "what the token says"
