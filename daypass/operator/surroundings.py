"""What changes between two catalogues beside their rules: roles themselves, and what holds for everybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from chalicelib.core.catalogue import Catalogue, Role
from chalicelib.core.times import spoken
from chalicelib.core.vouching import Issuer
from daypass.operator.differing import moved
from daypass.operator.terms import people as people_in_words
from daypass.operator.witness import People


class Effect(StrEnum):
    """For whom it concerns: more, less, or a change that only they can tell."""

    MORE = "+"
    LESS = "-"
    OTHER = "~"


@dataclass(frozen=True, slots=True)
class Notice:
    effect: Effect
    says: str


def notices_of_roles(older: Catalogue, newer: Catalogue) -> Mapping[str, tuple[Notice, ...]]:
    """By the name of each role that is in both, what of itself changes."""
    both = sorted(older.roles.keys() & newer.roles.keys())
    found = {name: tuple(_of_role(older.roles[name], newer.roles[name])) for name in both}
    return {name: notices for name, notices in found.items() if notices}


def _of_role(before: Role, after: Role) -> Iterator[Notice]:
    if moved(before, after):
        yield Notice(Effect.OTHER, f"is {after.arn} from now on, instead of {before.arn}")
    if before.max_session != after.max_session:
        longer = after.max_session > before.max_session
        said = f"sessions of up to {spoken(after.max_session)} instead of {spoken(before.max_session)}"
        yield Notice(Effect.MORE if longer else Effect.LESS, said)
    if before.require_scope != after.require_scope:
        said = "has to be asked for with a scope" if after.require_scope else "may be asked for without a scope"
        yield Notice(Effect.LESS if after.require_scope else Effect.MORE, said)
    if before.identity_use != after.identity_use:
        said = (
            "15 min or longer only (identity_use)" if after.identity_use else "less than 15 min too (no identity_use)"
        )
        yield Notice(Effect.LESS if after.identity_use else Effect.MORE, said)
    yield from _listed(frozenset(before.chaining), frozenset(after.chaining), "its sessions may go on into")
    yield from _listed(frozenset(before.scopes), frozenset(after.scopes), "may be asked for with the scope")
    for name in sorted(before.scopes.keys() & after.scopes.keys()):
        if before.scopes[name] != after.scopes[name]:
            yield Notice(Effect.OTHER, f"the scope {name} lets other things be done: compare its policies")
    if before.via != after.via:
        yield Notice(Effect.OTHER, f"is lent via {after.via} instead of {before.via}")
    if before.external_id != after.external_id:
        yield Notice(Effect.OTHER, "has another external id: its trust policy has to know it")


def _listed(before: frozenset[str], after: frozenset[str], what: str) -> Iterator[Notice]:
    yield from (Notice(Effect.MORE, f"{what} {each}") for each in sorted(after - before))
    yield from (Notice(Effect.LESS, f"{what} {each} no more") for each in sorted(before - after))


def notices_of_all(older: Catalogue, newer: Catalogue) -> tuple[Notice, ...]:
    """What changes for everybody: who can sign in at all, who is an auditor, what is frozen or counted."""
    return (
        *_freeze(older, newer),
        *_quotas(older, newer),
        *_auditors(older, newer),
        *_issuers(older, newer),
        *_others(older, newer),
    )


def _freeze(older: Catalogue, newer: Catalogue) -> Iterator[Notice]:
    if older.frozen != newer.frozen:
        frozen = "nothing is approved or lent but in an emergency (freeze)"
        said = frozen if newer.frozen else "approving and lending go on (no freeze)"
        yield Notice(Effect.LESS if newer.frozen else Effect.MORE, said)


def _quotas(older: Catalogue, newer: Catalogue) -> Iterator[Notice]:
    for quota in fields(newer.quotas):
        before, after = getattr(older.quotas, quota.name), getattr(newer.quotas, quota.name)
        if before != after:
            said = f"{after} instead of {before} (quotas.{quota.name})"
            yield Notice(Effect.MORE if after > before else Effect.LESS, said)


def _auditors(older: Catalogue, newer: Catalogue) -> Iterator[Notice]:
    """Auditors see everything, and revoke."""
    before, after = older.auditors, newer.auditors
    said = f"auditors are {people_in_words(after)} instead of {people_in_words(before)}"
    if not People(newer).within(after, before):
        yield Notice(Effect.MORE, said)
    if not People(older).within(before, after):
        yield Notice(Effect.LESS, said)


def _issuers(older: Catalogue, newer: Catalogue) -> Iterator[Notice]:
    before, after = ({issuer.name: issuer for issuer in each.issuers} for each in (older, newer))
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield Notice(Effect.MORE, f"whom the issuer {name} vouches for can sign in")
        elif name not in after:
            yield Notice(Effect.LESS, f"nobody can sign in by the issuer {name} any more")
        else:
            yield from _of_issuer(before[name], after[name])


def _of_issuer(before: Issuer, after: Issuer) -> Iterator[Notice]:
    yield from _listed(before.domains, after.domains, f"the issuer {after.name} signs in people of")
    yield from _listed(frozenset(before.subjects), frozenset(after.subjects), f"the issuer {after.name} signs in")
    for name in ("url", "audience", "kind", "principal", "groups", "verified_by", "mfa"):
        if getattr(before, name) != getattr(after, name):
            yield Notice(Effect.OTHER, f"the issuer {after.name} is asked in another way who somebody is ({name})")


def _others(older: Catalogue, newer: Catalogue) -> Iterator[Notice]:
    for name in sorted(older.directories.keys() | newer.directories.keys()):
        if older.directories.get(name) != newer.directories.get(name):
            told: dict[bool, Any] = {True: "tells groups no more", False: "tells groups, or others than before"}
            yield Notice(Effect.OTHER, f"the directory {name} {told[name not in newer.directories]}")
    if older.provider != newer.provider:
        yield Notice(Effect.OTHER, 'roles via "oidc" are lent by another issuer, or other keys (provider)')
