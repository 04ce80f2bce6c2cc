"""The rules of the catalogue file: read, and refused where one could never matter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from chalicelib.core.catalogue import BreakGlass, Effect, Extensions, Notify, Rule, Stage
from chalicelib.core.catalogue_file.hours import read_hours
from chalicelib.core.catalogue_file.mistakes import Say, entry, length, regular_expression
from chalicelib.core.catalogue_file.notify import read_notify
from chalicelib.core.catalogue_file.people import People
from chalicelib.core.catalogue_file.shape import BreakGlassShape, ExtensionsShape, RuleShape, StageShape
from chalicelib.core.patterns import glob, literal_prefix
from chalicelib.core.quotas import A_DAY

SHORTEST_WINDOW = timedelta(seconds=60)
LONGEST_WINDOW = timedelta(hours=12)
_LONGEST_REVIEW = timedelta(days=30)
_LONGEST_NAME = 100
_AFTER = "\x7f"  # sorts behind every character of a name


class RoleNames:
    """The names of the roles there are, found by pattern at a cost that follows those with the pattern's beginning."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(names)
        self._known = frozenset(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def matching(self, pattern: str) -> Iterator[str]:
        prefix = literal_prefix(pattern)
        if pattern == prefix:
            return iter([pattern] if pattern in self else [])
        beginning = islice(self._names, bisect_left(self._names, prefix), bisect_right(self._names, prefix + _AFTER))
        if pattern == f"{prefix}*":  # no name holds the / or : at which the wildcard would stop
            return beginning
        return filter(glob(pattern).fullmatch, beginning)

    def covered_by(self, rule: Rule) -> frozenset[str]:
        return frozenset(name for pattern in rule.roles for name in self.matching(pattern))


def read_rules(shapes: Sequence[RuleShape | None], people: People, names: RoleNames, say: Say) -> tuple[Rule, ...]:
    placed = [(entry("rules", number, shape.name), shape) for number, shape in enumerate(shapes) if shape]
    rules = {place: _rule(shape, place, people, names, say) for place, shape in placed}
    _say_repeated(rules, say)
    _say_denied(rules, names, say)
    return tuple(rules.values())


def _rule(shape: RuleShape, place: str, people: People, names: RoleNames, say: Say) -> Rule:
    if len(shape.name) > _LONGEST_NAME or not shape.name.isprintable():
        say(f"{place}.name", f"must be at most {_LONGEST_NAME} printable characters")
    for number, pattern in enumerate(shape.roles):
        if next(names.matching(pattern), None) is None:
            say(f"{place}.roles[{number}]", f"{pattern!r:.80} matches no role")
    rule = Rule(name=shape.name, who=people.who(shape.who, f"{place}.who", say), roles=shape.roles)
    if shape.effect == "allow":
        return _with_terms(rule, shape, place, people, say)
    terms = ("max_duration", "approvals", "require", "break_glass", "hours", "extensions", "max_per_day", "notify")
    for term in terms:
        if getattr(shape, term) is not None:
            say(f"{place}.{term}", "a deny has only name, who and roles")
    return replace(rule, effect=Effect.DENY)


def _with_terms(rule: Rule, shape: RuleShape, place: str, people: People, say: Say) -> Rule:
    ticket = shape.require.ticket if shape.require else None
    glass, extensions = shape.break_glass, shape.extensions
    longest = _window(shape.max_duration, f"{place}.max_duration", say)
    return replace(
        rule,
        max_duration=longest,
        stages=_stages(shape.approvals, f"{place}.approvals", people, say),
        require_mfa=bool(shape.require and shape.require.mfa),
        ticket=regular_expression(ticket, f"{place}.require.ticket", say) if ticket else None,
        break_glass=_break_glass(glass, f"{place}.break_glass", people, say) if glass else None,
        hours=read_hours(shape.hours, f"{place}.hours", say) if shape.hours else None,
        extensions=_extensions(extensions, f"{place}.extensions", people, say) if extensions else None,
        max_per_day=_per_day(shape, f"{place}.max_per_day", longest, say),
        notify=_notify(shape, place, say),
    )


def _extensions(shape: ExtensionsShape, place: str, people: People, say: Say) -> Extensions:
    return Extensions(max=shape.max, stages=_stages(shape.approvals, f"{place}.approvals", people, say))


def _stages(shapes: Sequence[StageShape] | None, place: str, people: People, say: Say) -> tuple[Stage, ...]:
    if shapes is None:
        say(place, "is missing: write [] where none is due")
    return tuple(_stage(stage, f"{place}[{number}]", people, say) for number, stage in enumerate(shapes or ()))


def _per_day(shape: RuleShape, place: str, longest: timedelta, say: Say) -> timedelta | None:
    """How long one person may hold a role by the rule in a day: max_duration at least, so that every window fits."""
    if shape.max_per_day is None:
        return None
    if shape.approvals:
        say(place, "counts what is held without approval, and this rule asks for approvals: leave it out")
        return None
    return length(shape.max_per_day, place, say, least=longest, most=A_DAY)


def _notify(shape: RuleShape, place: str, say: Say) -> Notify:
    if shape.notify is None:
        return Notify()
    due = shape.approvals or (shape.extensions and shape.extensions.approvals)
    no_wait = None if due else "there is nobody to remind: no approval is due"
    return read_notify(shape.notify, f"{place}.notify", say, no_wait=no_wait)


def _stage(shape: StageShape, place: str, people: People, say: Say) -> Stage:
    stage = Stage(shape.count, people.who(shape.who, f"{place}.from", say, deciding=True))
    listed = not any(wildcard in pattern for pattern in stage.who.ids for wildcard in "*?")
    if stage.who.ids and listed and stage.count > len(set(stage.who.ids)):
        say(f"{place}.count", f"can never be reached: only {len(set(stage.who.ids))} may approve")
    return stage


def _break_glass(shape: BreakGlassShape, place: str, people: People, say: Say) -> BreakGlass:
    return BreakGlass(
        who=people.in_an_emergency(shape.who, f"{place}.who", say),
        max_duration=_window(shape.max_duration, f"{place}.max_duration", say),
        reviewers=people.who(shape.reviewers, f"{place}.reviewers", say, deciding=True),
        review_within=length(
            shape.review_within, f"{place}.review_within", say, least=SHORTEST_WINDOW, most=_LONGEST_REVIEW
        ),
        require_mfa=shape.mfa,
        require_ticket=shape.ticket,
        notify=_notify_of_emergency(shape, f"{place}.notify", say),
    )


def _notify_of_emergency(shape: BreakGlassShape, place: str, say: Say) -> Notify:
    if shape.notify is None:
        return Notify()
    return read_notify(shape.notify, place, say, no_wait="an emergency waits for nobody: leave it out")


def _window(text: str | None, place: str, say: Say) -> timedelta:
    return length(text, place, say, least=SHORTEST_WINDOW, most=LONGEST_WINDOW)


def _say_repeated(rules: dict[str, Rule], say: Say) -> None:
    by_name: dict[str, str] = {}
    by_terms: dict[Rule, str] = {}
    for place, rule in rules.items():
        if (first := by_name.setdefault(rule.name, place)) != place:
            say(f"{place}.name", f"is the name of {first}")
        terms = replace(rule, name="", roles=tuple(sorted(set(rule.roles))), notify=Notify())
        if (first := by_terms.setdefault(terms, place)) != place:
            say(place, f"says nothing new: {first} has the same who, roles and terms")


def _say_denied(rules: dict[str, Rule], names: RoleNames, say: Say) -> None:
    """An allow is dead where denies for the very same `who` cover all its roles."""
    denied: dict[str, set[str]] = {}
    for rule in rules.values():
        if rule.effect is Effect.DENY:
            denied.setdefault(rule.who.key, set()).update(names.covered_by(rule))
    for place, rule in rules.items():
        if rule.effect is Effect.DENY or rule.who.key not in denied:
            continue
        glass_is_dead = rule.break_glass is None or rule.break_glass.who.key == rule.who.key
        if glass_is_dead and names.covered_by(rule) <= denied[rule.who.key]:
            say(place, "gives nothing: a deny for the same who covers all its roles")
