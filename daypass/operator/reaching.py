"""`daypass who-can`: who could get into a role, how, through whom, and whom denies stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from chalicelib.core.catalogue import Catalogue, Role
from chalicelib.core.catalogue_file.people import People
from chalicelib.core.patterns import glob
from chalicelib.core.reach import How, Way, ways
from chalicelib.core.rules import FROZEN
from chalicelib.core.times import spoken
from chalicelib.core.vouching import directory_of
from daypass.operator.reading import (
    AsJson,
    File,
    HubAccount,
    Local,
    Partition,
    approvals,
    conditions,
    good,
    seconds,
    stopped,
    write_json,
    write_lines,
)
from daypass.showing import pairs, stages, who

NOBODY: Final = 3


def who_can(
    catalogue: File,
    role: Annotated[str, typer.Argument(help="As the catalogue names it, or a pattern: payments-*.")],
    hub_account: HubAccount,
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """List who could get into a role. Exit code 0 where anybody could, 3 where nobody, 1 for a mistake."""
    known = good(catalogue, hub_account, partition, local)
    chosen = [each for name, each in sorted(known.roles.items()) if glob(role).fullmatch(name)]
    if not chosen:
        raise stopped(f"No role of the catalogue is called {role!r}, and it matches none.")
    found = {each.name: ways(known, each.name) for each in chosen}
    if as_json:
        write_json(
            {
                "roles": [_told(known, each, found[each.name]) for each in chosen],
                "frozen": known.frozen,
                "catalogue_digest": known.digest,
            }
        )
    else:
        write_lines(line for each in chosen for line in _shown(known, each, found[each.name]))
        write_lines([FROZEN] if known.frozen else [])
    if not any(found.values()):
        raise typer.Exit(NOBODY)


def _told(catalogue: Catalogue, role: Role, found: tuple[Way, ...]) -> dict[str, object]:
    return {
        "role": role.name,
        "role_arn": role.arn,
        "require_scope": role.require_scope,
        "ways": [_way(catalogue, way) for way in found],
    }


def _way(catalogue: Catalogue, way: Way) -> dict[str, object]:
    rule, glass = way.rule, way.rule.break_glass if way.how is How.BREAK_GLASS else None
    return {
        "who": conditions(way.who),
        "how": way.how,
        "rule": rule.name,
        "stages": [] if glass else approvals(rule.stages),
        "reviewers": conditions(glass.reviewers) if glass else None,
        "max_duration_seconds": seconds(glass.max_duration if glass else rule.max_duration),
        "mfa": glass.require_mfa if glass else rule.require_mfa,
        "ticket": glass.require_ticket if glass else rule.ticket is not None,
        "hours": str(rule.hours) if rule.hours and not glass else None,
        "issuers": _issuers(catalogue, way),
        "directories": _directories(catalogue, way),
        "but_not": [{"who": conditions(deny.who), "rule": deny.name} for deny in way.denies],
    }


def _issuers(catalogue: Catalogue, way: Way) -> list[str]:
    """Who signs them in."""
    return list(People(catalogue.issuers, catalogue.directories, complete=True).through(way.who))


def _directories(catalogue: Catalogue, way: Way) -> list[str]:
    """Who tells their groups, beside the issuers."""
    return sorted({directory_of(group) for group in way.who.groups} & catalogue.directories.keys())


def _shown(catalogue: Catalogue, role: Role, found: tuple[Way, ...]) -> Iterator[str]:
    scoped = f", with one of its scopes: {', '.join(sorted(role.scopes))}" if role.require_scope else ""
    yield f"{role.name} in {role.account.name} ({role.account.id}){scoped}"
    if not found:
        yield "  nobody"
    for way in found:
        yield f"  {who(conditions(way.who))}"
        yield from (f"    {line}" for line in pairs(_lines(catalogue, way)).split("\n"))


def _lines(catalogue: Catalogue, way: Way) -> list[tuple[str, str]]:
    directories = [f"directory {name}" for name in _directories(catalogue, way)]
    return [
        ("how", _how(way)),
        ("through", ", ".join([*_issuers(catalogue, way), *directories])),
        ("rule", way.rule.name),
        *(("but not", f"{who(conditions(deny.who))}: {deny.name}") for deny in way.denies),
    ]


def _how(way: Way) -> str:
    rule, glass = way.rule, way.rule.break_glass
    if way.how is How.BREAK_GLASS and glass:
        needs = [*["a second factor"] * glass.require_mfa, *["a ticket"] * glass.require_ticket]
        review = f"reviewed by {who(conditions(glass.reviewers))} within {spoken(glass.review_within)}"
        return f"at once in an emergency{_with(needs)}, up to {spoken(glass.max_duration)}; {review}"
    needs = [*["a second factor"] * rule.require_mfa, *([f"a ticket like {rule.ticket}"] if rule.ticket else [])]
    first = f"after {stages(approvals(rule.stages))}" if rule.stages else "at once"
    hours = f", in {rule.hours}" if rule.hours else ""
    return f"{first}{_with(needs)}, up to {spoken(rule.max_duration)}{hours}"


def _with(needs: list[str]) -> str:
    return f", with {' and '.join(needs)}" if needs else ""
