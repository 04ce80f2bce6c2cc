"""Whether one rule's terms are at least as easy as another's: whoever gets in on the second would on the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from chalicelib.core.catalogue import BreakGlass, Extensions, Rule, Stage, Who
from chalicelib.core.hours import Hours
from daypass.operator.witness import People


def as_easy(rule: Rule, other: Rule, people: People) -> bool:
    """Whether the rule lends all that the other does, for as long, as soon, and for no more than the other asks for.

    Of tickets only the same pattern counts as the same.
    """
    return (
        rule.max_duration >= other.max_duration
        and (other.require_mfa or not rule.require_mfa)
        and rule.ticket in (None, other.ticket)
        and _open(rule.hours, other.hours)
        and _lasts(rule.max_per_day, other.max_per_day)
        and filled_as_soon(rule.stages, other.stages, people)
        and _extended(rule.extensions, other.extensions, people)
    )


def as_easily_broken(glass: BreakGlass, other: BreakGlass, people: People) -> bool:
    """The same of emergencies; also who reviews them, and until when."""
    return (
        glass.max_duration >= other.max_duration
        and (other.require_mfa or not glass.require_mfa)
        and (other.require_ticket or not glass.require_ticket)
        and glass.review_within >= other.review_within
        and people.within(other.reviewers, glass.reviewers, human=True)
    )


def filled_as_soon(stages: Sequence[Stage], others: Sequence[Stage], people: People) -> bool:
    """Whether whatever fills the others fills the stages: each of their places is taken by somebody of another one's.

    A maximum matching of places to places (Kuhn's algorithm), since one person counts in one stage only.
    """
    places, theirs = _places(stages), _places(others)
    taken: dict[int, int] = {}

    def seated(place: int, tried: set[int]) -> bool:
        for number, who in enumerate(theirs):
            if number in tried or not people.within(who, places[place], human=True):
                continue
            tried.add(number)
            if number not in taken or seated(taken[number], tried):
                taken[number] = place
                return True
        return False

    return len(places) <= len(theirs) and all(seated(place, set()) for place in range(len(places)))


def _places(stages: Sequence[Stage]) -> list[Who]:
    return [stage.who for stage in stages for _ in range(stage.count)]


def _open(hours: Hours | None, others: Hours | None) -> bool:
    if hours is None or others is None:
        return hours is None
    longer = hours.opens <= others.opens and others.closes <= hours.closes
    return longer and others.days <= hours.days and hours.zone.key == others.zone.key


def _lasts(per_day: timedelta | None, others: timedelta | None) -> bool:
    return per_day is None or (others is not None and per_day >= others)


def _extended(extensions: Extensions | None, others: Extensions | None, people: People) -> bool:
    if extensions is None or others is None:
        return others is None
    return extensions.max >= others.max and filled_as_soon(extensions.stages, others.stages, people)
