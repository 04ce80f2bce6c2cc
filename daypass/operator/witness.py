"""Witnesses: a principal who is in all of these sets and in none of those, or that there is none.

Sets of principals are compared by what they mean, not by how they are written: two texts for one set differ in nobody.
Whom no issuer of the catalogue could vouch for is no witness. Groups are taken as if anybody could be in any of whom
anything tells groups: an issuer with a claim for them, or a directory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import product
from string import ascii_lowercase, digits, punctuation

from chalicelib.core.catalogue import Catalogue, Who
from chalicelib.core.catalogue_file.people import IAM
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.vouching import Issuer, directory_of

MOST_STEPS = 20_000
"""Beyond so many in search of an id somebody is taken to be there: a difference is rather said than passed over."""

UNKNOWN = "…"
"""The id of somebody who is only taken to be there."""

_LETTERS = ascii_lowercase + digits + punctuation
_ONE, _MANY, _ANYTHING = "?", "*", "**"  # the last: what may follow a workload's issuer, `/` and `:` too
_DIVIDES = "/:"
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

Glob = tuple[str, ...]
"""A pattern as its steps: characters, and the three above."""

State = frozenset[tuple[int, int]]


class Language:
    """The ids that match one pattern of several, read character by character."""

    def __init__(self, globs: Iterable[Glob]) -> None:
        self._globs = tuple(globs)
        self.letters = {step for each in self._globs for step in each} - {_ONE, _MANY, _ANYTHING}
        self.start = self._settled((number, 0) for number in range(len(self._globs)))

    def after(self, state: State, letter: str) -> State:
        return self._settled(self._steps(state, letter))

    def accepts(self, state: State) -> bool:
        return any(at == len(self._globs[number]) for number, at in state)

    def _steps(self, state: State, letter: str) -> Iterator[tuple[int, int]]:
        for number, at in state:
            step = self._globs[number][at] if at < len(self._globs[number]) else ""
            if step == _ANYTHING or (step == _MANY and letter not in _DIVIDES):
                yield number, at
            elif step == letter or (step == _ONE and letter not in _DIVIDES):
                yield number, at + 1

    def _settled(self, places: Iterable[tuple[int, int]]) -> State:
        """With the places that are reached without a character: behind what may stand for none."""
        found: set[tuple[int, int]] = set()
        for number, place in places:
            at = place
            found.add((number, at))
            while at < len(self._globs[number]) and self._globs[number][at] in (_MANY, _ANYTHING):
                at += 1
                found.add((number, at))
        return frozenset(found)


class People:
    """Those whom the issuers of a catalogue and the IAM door vouch for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._issuers = (*catalogue.issuers, IAM)
        self._directories = catalogue.directories
        self._known: dict[tuple[frozenset[Who], frozenset[Who], bool], Principal | None] = {}

    def somebody(
        self, inside: Iterable[Who], outside: Iterable[Who] = (), *, mfa: bool = True, human: bool = False
    ) -> Principal | None:
        """A principal whom every one of `inside` includes and none of `outside`, in as few groups as can be.

        None where there is none. mfa: what the principal is to have. human: whether only people are looked for.
        """
        key = frozenset(inside), frozenset(outside), human
        if key not in self._known:
            self._known[key] = next(self._found(*key), None)
        found = self._known[key]
        return found and replace(found, mfa=mfa)

    def within(self, smaller: Who, larger: Who, *, human: bool = False) -> bool:
        """Whether everybody in the one is in the other."""
        return self.somebody([smaller], [larger], human=human) is None

    def _found(self, inside: frozenset[Who], outside: frozenset[Who], human: bool) -> Iterator[Principal]:
        if any(who.is_empty() for who in inside):
            return
        each_of = [sorted(who.groups) for who in inside if who.groups]
        for chosen, issuer in product(_smallest_first(product(*each_of)), self._issuers):
            if (human and issuer.kind is not Kind.HUMAN) or not self._told(issuer, chosen):
                continue
            principal = Principal(
                id="",
                kind=issuer.kind,
                groups=chosen,
                issuer=issuer.name,
                mfa=True,
                authenticated_at=_BEGINNING,
            )
            if any(_without_ids(who).lacks(principal) for who in inside):
                continue
            against = [who for who in outside if not who.is_empty() and _without_ids(who).lacks(principal) is None]
            if not all(who.ids for who in against):
                continue
            wanted = [Language(_globs(who.ids)) for who in inside if who.ids]
            id = _shortest([_vouched_for(issuer), *wanted], Language(_globs(id for who in against for id in who.ids)))
            if id is not None:
                yield replace(principal, id=id)

    def _told(self, issuer: Issuer, groups: Iterable[str]) -> bool:
        return bool(issuer.groups) or all(directory_of(group) in self._directories for group in groups)


def _smallest_first(choices: Iterable[Sequence[str]]) -> list[frozenset[str]]:
    return sorted({frozenset(choice) for choice in choices}, key=lambda chosen: (len(chosen), sorted(chosen)))


@cache
def _without_ids(who: Who) -> Who:
    return Who(groups=who.groups, kind=who.kind, issuer=who.issuer)


def _globs(patterns: Iterable[str]) -> Iterator[Glob]:
    return (tuple(pattern) for pattern in patterns)


def _vouched_for(issuer: Issuer) -> Language:
    """The ids that the issuer may give: addresses of its domains, or what begins as its workloads' do."""
    if issuer.kind is Kind.HUMAN:
        return Language((_ONE, _MANY, *f"@{domain}") for domain in sorted(issuer.domains))
    return Language([(*("arn:" if issuer is IAM else f"{issuer.name}/"), _ANYTHING)])


def _shortest(wanted: Sequence[Language], unwanted: Language) -> str | None:
    """One of the shortest ids that all of the wanted accept and the unwanted does not; None if there is none.

    One character stands for all that nobody's pattern names: they are all alike to every pattern.
    """
    named = set().union(*(each.letters for each in wanted), unwanted.letters)
    another = [letter for letter in _LETTERS if letter not in named][:1]
    letters = sorted({*named, *another, *_DIVIDES})
    begin = (*(each.start for each in wanted), unwanted.start)
    found = deque([("", begin)])
    known = {begin}
    while found:
        id, (*states, refused) = found.popleft()
        accepted = all(each.accepts(state) for each, state in zip(wanted, states, strict=True))
        if accepted and not unwanted.accepts(refused):
            return id
        if len(known) > MOST_STEPS:
            return UNKNOWN
        for letter in letters:
            further = tuple(each.after(state, letter) for each, state in zip(wanted, states, strict=True))
            after = (*further, unwanted.after(refused, letter))
            if all(further) and after not in known:
                known.add(after)
                found.append((id + letter, after))
    return None
