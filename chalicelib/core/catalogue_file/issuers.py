"""The issuers of the catalogue file: whose tokens the bearer door believes, about whom."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from chalicelib.core.catalogue_file.mistakes import Say, entry
from chalicelib.core.catalogue_file.people import IAM
from chalicelib.core.catalogue_file.shape import IssuerShape
from chalicelib.core.principal import Kind
from chalicelib.core.vouching import Issuer, MfaClaim, VerifiedBy

_NAME = re.compile(r"[a-z0-9-]{1,32}")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~!&'()*+,;=:@%/-]*)?"
)
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
_OF_PEOPLE = ("principal", "domains", "verified_by")


def read_issuers(shapes: Sequence[IssuerShape | None], say: Say, *, local: bool) -> tuple[Issuer, ...]:
    placed = [(entry("issuers", number, shape.name), shape) for number, shape in enumerate(shapes) if shape]
    names: dict[str, str] = {}
    urls: dict[str, str] = {}
    domains: dict[str, str] = {}
    for place, shape in placed:
        if (first := names.setdefault(shape.name, place)) != place:
            say(f"{place}.name", f"is the name of {first}")
        if (first := urls.setdefault(shape.url.rstrip("/"), place)) != place:
            say(f"{place}.url", f"is the url of {first}")
        for number, domain in enumerate(shape.domains or ()):
            if (first := domains.setdefault(domain, place)) != place:
                say(f"{place}.domains[{number}]", f"{domain!r:.80} is a domain of {first}: one person has one issuer")
    return tuple(_issuer(shape, place, say, local=local) for place, shape in placed)


def _issuer(shape: IssuerShape, place: str, say: Say, *, local: bool) -> Issuer:
    if not _NAME.fullmatch(shape.name):
        say(f"{place}.name", "must be 1 to 32 lower-case letters, digits and -")
    elif shape.name == IAM.name:
        say(f"{place}.name", f"{IAM.name} is what the IAM door is called")
    if problem := _url_problem(shape.url, local=local):
        say(f"{place}.url", problem)
    for key, message in _kind_problems(shape):
        say(f"{place}.{key}", message)
    given = {key: getattr(shape, key) for key in ("principal", "scopes") if getattr(shape, key) is not None}
    return Issuer(
        name=shape.name,
        url=shape.url,
        audience=shape.audience,
        kind=Kind(shape.kind),
        client_id=shape.client_id,
        redirect_port=shape.redirect_port,
        groups=shape.groups,
        domains=frozenset(shape.domains or ()),
        verified_by=VerifiedBy(shape.verified_by or VerifiedBy.EMAIL_VERIFIED),
        subjects=shape.subjects or (),
        mfa=_mfa(shape.mfa, f"{place}.mfa", say),
        **given,
    )


def _url_problem(url: str, *, local: bool) -> str | None:
    match = _URL.fullmatch(url)
    if match is None:
        return "must be an https URL: a host in lower case, no query, no fragment"
    if match["scheme"] == "http" and not (local and _LOOPBACK.fullmatch(match["host"])):
        return "must be https: http is for `daypass local` on this machine"
    return None


def _kind_problems(shape: IssuerShape) -> Iterator[tuple[str, str]]:
    if shape.kind == "workload":
        if shape.subjects is None:
            yield "subjects", "is missing: list the subjects that may sign in"
        for key in _OF_PEOPLE:
            if getattr(shape, key) is not None:
                yield key, "is for people: a workload is known by its issuer and subject"
        return
    if shape.domains is None:
        yield "domains", "is missing: list the e-mail domains that this issuer vouches for"
    if shape.subjects is not None:
        yield "subjects", "is for workloads: people are known by their e-mail address"
    for number, domain in enumerate(shape.domains or ()):
        if not _DOMAIN.fullmatch(domain):
            yield f"domains[{number}]", f"{domain!r:.80} is not a domain in lower case such as example.com"


def _mfa(given: object, place: str, say: Say) -> MfaClaim | str | None:
    match given:
        case None | "issuer":
            return given
        case {"claim": str(claim), "any_of": [_, *_] as values, **others} if (
            claim and not others and all(isinstance(value, str) and value for value in values)
        ):
            return MfaClaim(claim=claim, any_of=frozenset(values))
        case _:
            say(place, 'must be "issuer" or, as an example, { claim = "amr", any_of = ["mfa", "hwk"] }')
            return None
