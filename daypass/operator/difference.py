"""The difference between two catalogues as people read it, and as programs do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Principal
from daypass.operator.differing import Change, Sign, changes_of_roles
from daypass.operator.surroundings import Notice, notices_of_all, notices_of_roles
from daypass.operator.terms import differences, glass_parts, parts, people, told

_MARKS = {Sign.GAINS: "+", Sign.LOSES: "-"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """changes, notices: by the name of a role. for_all: what concerns no single role."""

    changes: Mapping[str, tuple[Change, ...]]
    notices: Mapping[str, tuple[Notice, ...]]
    for_all: tuple[Notice, ...]

    def __bool__(self) -> bool:
        return bool(self.changes or self.notices or self.for_all)


def difference(older: Catalogue, newer: Catalogue) -> Difference:
    return Difference(
        changes=changes_of_roles(older, newer),
        notices=notices_of_roles(older, newer),
        for_all=notices_of_all(older, newer),
    )


def lines(found: Difference) -> Iterator[str]:
    """For everybody first; then roles, those together at which the same changes. `+` gains, `-` loses, `~` is other."""
    if found.for_all:
        yield "everybody"
        yield from (f"  {notice.effect} {notice.says}" for notice in found.for_all)
    together: dict[tuple[str, ...], list[str]] = {}
    for role in sorted(found.changes.keys() | found.notices.keys()):
        said = (
            *(f"  {notice.effect} {notice.says}" for notice in found.notices.get(role, ())),
            *(f"  {_MARKS[change.sign]} {sentence(change)}" for change in found.changes.get(role, ())),
        )
        together.setdefault(tuple(dict.fromkeys(said)), []).append(role)
    for said, roles in together.items():
        yield ", ".join(roles)
        yield from said


def sentence(change: Change) -> str:
    """`group sre: up to 4 h instead of up to 2 h (rule 'sre administer payments')`."""
    glass = change.rule.break_glass if change.emergency else None
    terms = glass_parts(glass) if glass else parts(change.rule)
    return f"{terms['who']}: {'break-glass, ' if glass else ''}{_what(change, terms)}"


def _what(change: Change, terms: Mapping[str, str]) -> str:
    gains = change.sign is Sign.GAINS
    rule = f"rule {change.rule.name!r}"
    if deny := change.denied_by:
        denied = "not denied any more" if gains else "denied from now on"
        return f"{told(terms)} ({rule}), {denied} by {deny.name!r}, which is for {people(deny.who)}"
    if change.other is None:
        return f"{told(terms)} ({rule}, {'new' if gains else 'gone'} here)"
    glass = change.other.break_glass if change.emergency else None
    others = glass_parts(glass) if glass else parts(change.other)
    said = "; ".join(differences(terms, others) if gains else differences(others, terms))
    if not said:
        decides = "which decides now for such as" if gains else "which decides no more for such as"
        return f"{told(terms)} ({rule}, {decides} {_example(change.example)})"
    return f"{said} ({rule})"


def _example(principal: Principal) -> str:
    groups = f" of {', '.join(sorted(principal.groups))}" if principal.groups else ""
    return f"{principal.id}{groups}"


def as_json(found: Difference) -> dict[str, object]:
    return {
        "changes": bool(found),
        "everybody": [_notice(notice) for notice in found.for_all],
        "roles": {
            role: {
                "notices": [_notice(notice) for notice in found.notices.get(role, ())],
                **{sign.value: list(_of(sign, found.changes.get(role, ()))) for sign in Sign},
            }
            for role in sorted(found.changes.keys() | found.notices.keys())
        },
    }


def _notice(notice: Notice) -> dict[str, str]:
    return {"effect": notice.effect.name.lower(), "says": notice.says}


def _of(sign: Sign, changes: Iterable[Change]) -> Iterator[dict[str, object]]:
    for change in changes:
        if change.sign is sign:
            example = change.example
            yield {
                "rule": change.rule.name,
                "break_glass": change.emergency,
                "says": sentence(change),
                "denied_by": change.denied_by.name if change.denied_by else None,
                "example": {
                    "id": example.id,
                    "kind": example.kind.value,
                    "issuer": example.issuer,
                    "groups": sorted(example.groups),
                    "mfa": example.mfa,
                },
            }
