"""`daypass explain`: what would become of somebody's ask, and what every rule says to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import typer

from chalicelib.core.catalogue import Catalogue, Effect
from chalicelib.core.catalogue_file.people import People
from chalicelib.core.catalogue_file.rules import SHORTEST_WINDOW
from chalicelib.core.catalogue_file.shape import ExampleWhoShape
from chalicelib.core.principal import Principal
from chalicelib.core.request import ScopeChoice
from chalicelib.core.rules import FROZEN, Considered, Terms
from chalicelib.core.times import read_instant, read_length, spoken, stamp
from chalicelib.core.verdict import Verdict, verdict
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
from daypass.showing import pairs, plain, stages, who

MISTAKE: Final = 1
NOT_ELIGIBLE: Final = 3


def explain(
    catalogue: File,
    caller_id: Annotated[
        str, typer.Option("--who", metavar="ID", help="An e-mail address, {issuer}/{subject} or an ARN.")
    ],
    role: Annotated[str, typer.Option(help="As the catalogue names it.")],
    hub_account: HubAccount,
    groups: Annotated[list[str] | None, typer.Option(metavar="G,…", help="Theirs; group@directory too.")] = None,
    kind: Annotated[Literal["human", "workload"] | None, typer.Option(help="Where the id does not tell it.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Where the id does not tell it.")] = None,
    mfa: Annotated[bool, typer.Option("--mfa/--no-mfa", help="Whether they proved a second factor.")] = True,
    duration: Annotated[str | None, typer.Option(help="As the catalogue writes lengths: 90m, 4h.")] = None,
    ticket: Annotated[str | None, typer.Option(help="The ticket that the ask names.")] = None,
    scope: Annotated[str | None, typer.Option(help="One of the role's scopes.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A parameter of the scope.")] = None,
    at: Annotated[str | None, typer.Option(metavar="INSTANT", help="When, as in 2026-11-23T12:00:00Z; now.")] = None,
    break_glass: Annotated[bool, typer.Option("--break-glass", help="An emergency.")] = False,
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Say what would become of an ask, with every rule that covers the role, and why it matches or does not.

    Exit code 0 where it would be let in, with approvals or without; 3 where they are not eligible; 1 for a mistake, in
    the catalogue, here or in the ask (too long, a ticket missing).
    """
    known = good(catalogue, hub_account, partition, local)
    if role not in known.roles:
        raise stopped(f"There is no role {role!r} in the catalogue.")
    caller = _caller(known, caller_id, groups or [], kind, issuer, mfa)
    try:
        terms = Terms(role, _length(duration) if duration is not None else None, ticket)
        instant = read_instant(at) if at else datetime.now(UTC).replace(microsecond=0)
    except ValueError as wrong:
        raise stopped(f"{wrong}.") from None
    found = verdict(known, caller, terms, instant, break_glass=break_glass, scope=_scope(scope, param or []))
    if as_json:
        write_json(_told(known, caller, terms, instant, found))
    else:
        write_lines(_shown(known, caller, terms, instant, found))
    if found.ruling is None:
        raise typer.Exit(NOT_ELIGIBLE if found.would == "not-eligible" else MISTAKE)


def _length(text: str) -> timedelta:
    """Raises ValueError for what is no length, or one that nobody can ask for."""
    asked = read_length(text)
    if asked < SHORTEST_WINDOW:
        raise ValueError(f"{text} is too short: nobody can ask for less than {spoken(SHORTEST_WINDOW)}")
    return asked


def _caller(
    catalogue: Catalogue,
    caller_id: str,
    groups: Iterable[str],
    kind: Literal["human", "workload"] | None,
    issuer: str | None,
    mfa: bool,
) -> Principal:
    """The principal as a door would make them: what is not given, the id tells, as in the catalogue's [[tests]]."""
    if not caller_id or issuer == "":
        raise stopped("--who and --issuer are texts that are not empty.")
    wrong: list[str] = []
    shape = ExampleWhoShape(
        id=caller_id if "/" in caller_id or ":" in caller_id else caller_id.lower(),
        groups=tuple(group for each in groups for group in each.split(",") if group),
        kind=kind,
        issuer=issuer,
        mfa=mfa,
    )
    people = People(catalogue.issuers, catalogue.directories, complete=True)
    caller = people.signed_in(shape, "--who", lambda place, message: wrong.append(f"{place}: {message}."))
    if wrong:
        raise stopped(*wrong)
    return caller


def _scope(name: str | None, given: Iterable[str]) -> ScopeChoice | None:
    parameters = dict(_parameter(text) for text in given)
    if parameters and name is None:
        raise stopped("--param belongs to a scope: write --scope name too.")
    return ScopeChoice(name, parameters) if name is not None else None


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise stopped(f"--param {text!r} has no value: write --param name=value.")
    return name, value


def _told(catalogue: Catalogue, caller: Principal, terms: Terms, at: datetime, found: Verdict) -> dict[str, object]:
    ruling = found.ruling
    return {
        "allowed": ruling is not None,
        "would": found.would,
        "why": found.why,
        "rule": ruling.rule if ruling else None,
        "stages": approvals(ruling.stages) if ruling else [],
        "reviewers": [conditions(each) for each in ruling.emergency.reviewers] if ruling and ruling.emergency else [],
        "max_duration_seconds": seconds(ruling.max_duration) if ruling else None,
        "session_policy": found.session_policy,
        "lends_from": stamp(found.lends_from) if found.lends_from else None,
        "rules": [_rule(considered) for considered in found.considered],
        "rules_about_other_roles": len(catalogue.rules) - len(found.considered),
        "who": {
            "id": caller.id,
            "kind": caller.kind,
            "groups": sorted(caller.groups),
            "issuer": caller.issuer,
            "mfa": caller.mfa,
        },
        "asks": {
            "role": terms.role,
            "duration_seconds": seconds(terms.duration),
            "ticket": terms.ticket,
            "at": stamp(at),
        },
        "catalogue_digest": catalogue.digest,
    }


def _rule(considered: Considered) -> dict[str, object]:
    rule = considered.rule
    return {"rule": rule.name, "effect": rule.effect, "matches": considered.matches, "why": considered.why}


def _shown(catalogue: Catalogue, caller: Principal, terms: Terms, at: datetime, found: Verdict) -> Iterator[str]:
    asked = f", {spoken(terms.duration)}" if terms.duration else ""
    yield f"{caller.id} asks for {terms.role}{asked}: {found.would}. {found.why}"
    if found.ruling:
        yield from pairs(_terms(catalogue, found, at)).split("\n")
    yield ""
    for considered in found.considered:
        yield f"{_mark(considered):4}  {considered.why}"
    if others := len(catalogue.rules) - len(found.considered):
        yield f"Of the catalogue's rules {others} {'is' if others == 1 else 'are'} about other roles."


def _terms(catalogue: Catalogue, found: Verdict, at: datetime) -> list[tuple[str, str]]:
    ruling = found.ruling
    assert ruling is not None
    glass = ruling.emergency
    scoped = "" if found.session_policy or not ruling.role.require_scope else ", ".join(sorted(ruling.role.scopes))
    return [
        ("after", stages(approvals(ruling.stages))),
        ("up to", spoken(ruling.max_duration)),
        ("scope", f"one has to be chosen: {scoped}" if scoped else ""),
        ("policy", plain(found.session_policy)),
        ("lends", _lends(found, at)),
        ("review", f"by {' or '.join(who(conditions(each)) for each in glass.reviewers)}" if glass else ""),
    ]


def _lends(found: Verdict, at: datetime) -> str:
    if found.lends_from is None:
        return FROZEN
    if found.lends_from > at:
        return f"from {stamp(found.lends_from)} on, when the rule's hours begin"
    return "once it is approved" if found.ruling and found.ruling.stages else "at once"


def _mark(considered: Considered) -> str:
    if not considered.matches:
        return "-"
    return "DENY" if considered.rule.effect is Effect.DENY else "yes"
