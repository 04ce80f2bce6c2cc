"""The audience: who hears of a request, by the rule that decides it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chalicelib.broker.seeing import as_shown
from chalicelib.core.catalogue import Catalogue, Notify, Who
from chalicelib.core.life import State, Status
from chalicelib.core.request import Request

_WILDCARDS = frozenset("*?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who hears of a request now.

    channels: Slack's, as the catalogue writes them. asked: the ids of the people who are asked to answer or to review,
    as far as they are named. answered: the id of the requester, once somebody else answered.
    """

    channels: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    answered: str | None = None


def audience(catalogue: Catalogue, request: Request, now: datetime) -> Audience:
    """Who hears of it by today's catalogue; nobody where the rule is gone or tells nobody."""
    shown = as_shown(catalogue, request, now)
    rule = catalogue.rule(shown.rule)
    if rule is None:
        return Audience()
    emergency = rule.break_glass.notify if request.break_glass and rule.break_glass else None
    channels = (*rule.notify.slack, *(emergency.slack if emergency else ()))
    if not (rule.notify.direct or (emergency and emergency.direct)):
        return Audience(channels=tuple(dict.fromkeys(channels)))
    return Audience(
        channels=tuple(dict.fromkeys(channels)),
        asked=_asked(shown, now),
        answered=request.requester.id if _answered(request, now) else None,
    )


def overdue(catalogue: Catalogue, request: Request, now: datetime) -> Notify | None:
    """What its rule says of requests that wait for longer than it likes; None where this one does not."""
    if request.state(now) is not State.PENDING:
        return None
    rule = catalogue.rule(as_shown(catalogue, request, now).rule)
    if rule is None or rule.notify.remind_after is None or now < request.created_at + rule.notify.remind_after:
        return None
    return rule.notify


def _asked(request: Request, now: datetime) -> tuple[str, ...]:
    if request.break_glass:
        asked = request.reviewers
    else:
        asked = tuple(stage.who for stage in request.stages) if request.state(now) is State.PENDING else ()
    named = (id for who in asked for id in _named(who))
    return tuple(dict.fromkeys(id for id in named if id != request.requester.id))


def _named(who: Who) -> tuple[str, ...]:
    """The ids that are written out. Nobody can list the members of a group."""
    return tuple(id for id in who.ids if not _WILDCARDS & set(id))


def _answered(request: Request, now: datetime) -> bool:
    """Whether there is an answer that the requester does not know: a yes, a no, or none in time."""
    asked_others = bool(request.stages) and not request.break_glass
    return asked_others and request.status is not Status.CANCELLED and request.state(now) is not State.PENDING
