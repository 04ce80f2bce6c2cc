"""What changes between two catalogues for those who ask: who gains and who loses which role, and on which terms.

Somebody gains a role where a rule of the newer catalogue lets them in, and nothing in the older one did on terms that
were as easy; and loses it where the same is so the other way round. Where nobody is said to gain a role, nobody whom an
issuer vouches for is let in by the newer catalogue (`core/rules.py`) on an ask that the older one refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain

from chalicelib.core.catalogue import BreakGlass, Catalogue, Effect, Notify, Role, Rule, Who
from chalicelib.core.catalogue_file.rules import RoleNames
from chalicelib.core.principal import Principal
from daypass.operator.easing import as_easily_broken, as_easy
from daypass.operator.witness import People


class Sign(StrEnum):
    GAINS = "gains"
    LOSES = "loses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who gains (or loses) what, of one rule and one role.

    rule: that lets them in, in the newer catalogue (or did, in the older). emergency: whether by breaking the glass.
    example: one of them. denied_by: the deny that is in their way in the other catalogue, else None; then `other` is
    the rule of the same name there, if it has one.
    """

    sign: Sign
    rule: Rule
    emergency: bool
    example: Principal
    denied_by: Rule | None = None
    other: Rule | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RoleRules:
    """What a catalogue says of one role: of equal rules, of either catalogue, it holds the very same one."""

    allows: tuple[Rule, ...]
    denies: tuple[Rule, ...]

    @property
    def key(self) -> frozenset[int]:
        """Equal for the same rules in any order: rules are compared by what they are, and there are many."""
        return frozenset(map(id, (*self.allows, *self.denies)))

    @property
    def glasses(self) -> tuple[tuple[Rule, BreakGlass], ...]:
        """The rules by which the glass is broken, the deciding one first."""
        found = [(rule, rule.break_glass) for rule in self.allows if rule.break_glass]
        return tuple(sorted(found, key=lambda way: (-way[1].max_duration, way[0].name)))

    @property
    def kept_out(self) -> list[Who]:
        return [rule.who for rule in self.denies]


NOTHING = RoleRules((), ())


def changes_of_roles(older: Catalogue, newer: Catalogue) -> Mapping[str, tuple[Change, ...]]:
    """By the name of each role of either catalogue, what changes there; roles at which nothing does are left out.

    A role that is another one in AWS by now is taken away and given anew.
    """
    alike: dict[Rule, Rule] = {}
    before, after = _by_role(older, alike), _by_role(newer, alike)
    was, becomes = People(older), People(newer)
    known: dict[tuple[frozenset[int], frozenset[int]], tuple[Change, ...]] = {}
    found: dict[str, tuple[Change, ...]] = {}
    for name in sorted(before.keys() | after.keys()):
        pair = before.get(name, NOTHING), after.get(name, NOTHING)
        if moved(older.roles.get(name), newer.roles.get(name)):
            found[name] = (*_compared(pair[0], NOTHING, was, becomes), *_compared(NOTHING, pair[1], was, becomes))
            continue
        key = pair[0].key, pair[1].key
        if key not in known:  # many roles have the same rules
            known[key] = tuple(_compared(*pair, was, becomes)) if key[0] != key[1] else ()
        found[name] = known[key]
    return {name: changes for name, changes in found.items() if changes}


def moved(before: Role | None, after: Role | None) -> bool:
    """Whether one name stands for two roles of AWS."""
    return bool(before and after and before.arn != after.arn)


def _by_role(catalogue: Catalogue, alike: dict[Rule, Rule]) -> dict[str, RoleRules]:
    """What each role has of rules, without what makes no difference to who gets in. alike: the first of equal rules."""
    names = RoleNames(catalogue.roles)
    allows: dict[str, list[Rule]] = {name: [] for name in catalogue.roles}
    denies: dict[str, list[Rule]] = {name: [] for name in catalogue.roles}
    for rule in catalogue.rules:
        bare = replace(rule, roles=(), notify=Notify(), break_glass=_bare(rule.break_glass))
        bare = alike.setdefault(bare, bare)
        for name in names.covered_by(rule):
            (denies if rule.effect is Effect.DENY else allows)[name].append(bare)
    return {name: RoleRules(tuple(allows[name]), tuple(denies[name])) for name in catalogue.roles}


def _bare(glass: BreakGlass | None) -> BreakGlass | None:
    return glass and replace(glass, notify=Notify())


def _compared(before: RoleRules, after: RoleRules, was: People, becomes: People) -> Iterator[Change]:
    yield from _gained(before, after, becomes, Sign.GAINS)
    yield from _gained(after, before, was, Sign.LOSES)


def _gained(before: RoleRules, after: RoleRules, people: People, sign: Sign) -> Iterator[Change]:
    """Who gets in after and did not before, on terms as easy; read the other way round, who did and does not."""
    same = before.key & after.key
    for rule in after.allows:
        if id(rule) in same and before.denies == after.denies:
            continue
        known = [each.who for each in before.allows if as_easy(each, rule, people)]
        yield from _let_in(rule, [rule.who], [*after.kept_out, *known], before, after, people, sign)
    for number, (rule, glass) in enumerate(after.glasses):
        earlier = [each.who for _, each in after.glasses[:number]]
        yield from _breaking(rule, glass, earlier, before, after, people, sign)


def _let_in(
    rule: Rule,
    inside: Sequence[Who],
    outside: Sequence[Who],
    before: RoleRules,
    after: RoleRules,
    people: People,
    sign: Sign,
) -> Iterator[Change]:
    if example := people.somebody(inside, outside, mfa=rule.require_mfa):
        other = next((each for each in before.allows if each.name == rule.name), None)
        yield Change(sign=sign, rule=rule, emergency=False, example=example, other=other)
    for deny in before.denies:
        if example := people.somebody([*inside, deny.who], after.kept_out, mfa=rule.require_mfa):
            yield Change(sign=sign, rule=rule, emergency=False, example=example, denied_by=deny)


def _breaking(
    rule: Rule,
    glass: BreakGlass,
    earlier: Sequence[Who],
    before: RoleRules,
    after: RoleRules,
    people: People,
    sign: Sign,
) -> Iterator[Change]:
    """Of several glasses the longest decides for whoever may break it, on its terms and no other's."""
    inside, outside = [glass.who], [*after.kept_out, *earlier]

    def found(also: Sequence[Who], but: Sequence[Who] = ()) -> Principal | None:
        return people.somebody([*inside, *also], [*outside, *but], mfa=glass.require_mfa, human=True)

    ways = before.glasses
    not_as_easy = (
        found([each.who], [former.who for _, former in ways[:number]])
        for number, (_, each) in enumerate(ways)
        if not as_easily_broken(each, glass, people)
    )
    if example := next(filter(None, chain([found([], [each.who for _, each in ways])], not_as_easy)), None):
        other = next((each for each, _ in ways if each.name == rule.name), None)
        yield Change(sign=sign, rule=rule, emergency=True, example=example, other=other)
    for deny in before.denies:
        if example := found([deny.who]):
            yield Change(sign=sign, rule=rule, emergency=True, example=example, denied_by=deny)
