"""The people and workloads that a catalogue's issuers and the IAM door can vouch for: no rule is for anybody else."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from datetime import UTC, datetime

from chalicelib.core.catalogue import Who
from chalicelib.core.catalogue_file.mistakes import Say
from chalicelib.core.catalogue_file.shape import ExampleWhoShape, WhoShape
from chalicelib.core.patterns import glob
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.vouching import Issuer, directory_of

IAM = Issuer(name="iam", url="", audience="", kind=Kind.WORKLOAD)
"""The IAM door in the place of an issuer: it tells no groups."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_PATH_OR_NO_PRINCIPAL = re.compile(r"arn:[^:]*:(sts:.*|iam::[^:]*:(role/[^/]*/.*|root))")
_SIGNED_IN_AT = datetime(2000, 1, 1, tzinfo=UTC)


class People:
    """complete: whether the file tells of all issuers whom they vouch for; if not, nobody is said to be impossible."""

    def __init__(self, issuers: Sequence[Issuer], directories: Container[str], *, complete: bool) -> None:
        self._issuers = (*issuers, IAM)
        self._directories = directories
        self._complete = complete

    def who(self, shape: WhoShape, place: str, say: Say, *, deciding: bool = False) -> Who:
        """Reads a set of principals and says where nobody can be in it. deciding: only people do what this is for."""
        who = Who(
            groups=frozenset(shape.groups),
            ids=shape.ids,
            kind=Kind(shape.kind) if shape.kind else None,
            issuer=shape.issuer,
        )
        if who.is_empty():
            say(place, "is for nobody: give groups, ids, kind or issuer")
        elif self._complete:
            self._say_impossible(who, place, say, deciding=deciding)
        return who

    def in_an_emergency(self, shape: WhoShape, place: str, say: Say) -> Who:
        """Who may break the glass: nobody whom only a directory tells, since it may be what is down."""
        for group in shape.groups:
            if directory_of(group) in self._directories:
                say(f"{place}.groups", f"{group!r:.80} is told by a directory: no emergency waits for one")
        return self.who(shape, place, say, deciding=True)

    def _say_impossible(self, who: Who, place: str, say: Say, *, deciding: bool) -> None:
        if who.issuer and all(issuer.name != who.issuer for issuer in self._issuers):
            say(f"{place}.issuer", f"there is no issuer {who.issuer!r:.80}")
            return
        vouching = [issuer for issuer in self._vouching(who) if issuer.kind is Kind.HUMAN or not deciding]
        if not vouching:
            say(place, f"is for nobody: {_wanted(who, deciding=deciding)}")
            return
        for number, pattern in enumerate(who.ids):
            if problem := _id_problem(pattern, vouching):
                say(f"{place}.ids[{number}]", f"{pattern!r:.80} can never match: {problem}")

    def _vouching(self, who: Who) -> tuple[Issuer, ...]:
        """The issuers whose principals may be in the set, as far as its kind, issuer and groups tell."""
        return tuple(
            issuer
            for issuer in self._issuers
            if who.kind in (None, issuer.kind)
            and who.issuer in (None, issuer.name)
            and (issuer.groups or not who.groups or any(directory_of(each) in self._directories for each in who.groups))
        )

    def through(self, who: Who) -> tuple[str, ...]:
        """The names of the issuers, and of the IAM door, whose principals may be in the set."""
        return tuple(
            issuer.name
            for issuer in self._vouching(who)
            if not who.ids or any(_id_problem(pattern, [issuer]) is None for pattern in who.ids)
        )

    def signed_in(self, shape: ExampleWhoShape, place: str, say: Say) -> Principal:
        """The principal of a test; what it leaves out of kind and issuer, its id tells."""
        kind = Kind(shape.kind) if shape.kind else _kind_of(shape.id)
        issuer = shape.issuer or self._issuer_of(shape.id)
        if self._complete and not any(known.name == issuer and known.kind is kind for known in self._issuers):
            say(place, f"no issuer vouches for a {kind} {shape.id!r:.80}: give its issuer and kind")
        return Principal(
            id=shape.id,
            kind=kind,
            groups=frozenset(shape.groups),
            issuer=issuer or "",
            mfa=shape.mfa,
            authenticated_at=_SIGNED_IN_AT,
        )

    def _issuer_of(self, principal_id: str) -> str | None:
        if _kind_of(principal_id) is Kind.WORKLOAD:
            return IAM.name if principal_id.startswith("arn:") else principal_id.partition("/")[0]
        domain = principal_id.rpartition("@")[2]
        return next((issuer.name for issuer in self._issuers if domain in issuer.domains), None)


def _kind_of(id_or_pattern: str) -> Kind:
    """`/` and `:` are in every workload's id and in no person's, and no wildcard stands for them."""
    return Kind.WORKLOAD if "/" in id_or_pattern or ":" in id_or_pattern else Kind.HUMAN


def _wanted(who: Who, *, deciding: bool) -> str:
    conditions = [
        f"is called {who.issuer!r:.80}" if who.issuer else "",
        f"signs in a {who.kind}" if who.kind else "",
        "tells groups" if who.groups else "",
        "signs in people, who alone may do this" if deciding else "",
    ]
    return f"no issuer {' and '.join(filter(None, conditions))}"


def _id_problem(pattern: str, vouching: Sequence[Issuer]) -> str | None:
    """Why no id that these issuers could vouch for matches the pattern."""
    if not _VISIBLE.fullmatch(pattern):
        return "ids hold neither spaces nor characters outside ASCII"
    kind = _kind_of(pattern)
    of_kind = [issuer for issuer in vouching if issuer.kind is kind]
    if kind is Kind.HUMAN:
        return _address_problem(pattern, of_kind)
    return _arn_problem(pattern, of_kind) if pattern.startswith("arn:") else _subject_problem(pattern, of_kind)


def _address_problem(pattern: str, issuers: Sequence[Issuer]) -> str | None:
    if not issuers:
        return "a workload's id is {issuer}/{subject} or an ARN, and no wildcard stands for / or :"
    if pattern != pattern.lower():
        return "people's ids are in lower case"
    if not any(character in pattern for character in "@*?"):
        return "a person's id is an e-mail address"
    domain = glob(pattern.rpartition("@")[2])
    if "@" in pattern and not any(domain.fullmatch(each) for issuer in issuers for each in issuer.domains):
        return "no issuer vouches for that domain"
    return None


def _arn_problem(pattern: str, issuers: Sequence[Issuer]) -> str | None:
    if IAM not in issuers:
        return "ARNs come from the IAM door only, as workloads without groups"
    if _PATH_OR_NO_PRINCIPAL.fullmatch(pattern):
        return "at the IAM door an id is arn:<partition>:iam::<account>:role/<name without path> or …:user/<name>"
    return None


def _subject_problem(pattern: str, issuers: Sequence[Issuer]) -> str | None:
    if not issuers:
        return "a person's id holds neither / nor :"
    name, slash, _ = pattern.partition("/")
    if ":" not in name and not any(glob(name).fullmatch(issuer.name) for issuer in issuers if issuer is not IAM):
        return f"no issuer of workloads is called {name}"
    return None if slash else "a workload's id is {issuer}/{subject} or an ARN"
