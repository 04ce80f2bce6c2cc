"""Looking: what was done with a request's sessions, as CloudTrail told it, and who looked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chalicelib.broker.ports import Page, Requests, Trail, World
from chalicelib.broker.seeing import story
from chalicelib.core.activity import Doings, doings, in_words, listed, of_onward, of_session, onward_of
from chalicelib.core.ledger import EventType
from chalicelib.core.noting import Deed, Note, Onward, Place
from chalicelib.core.principal import Principal
from chalicelib.core.request import Session, SessionStatus
from chalicelib.core.times import stamp

MOST_NOTES = 1_000
"""Notes of one request that are read, of each of which the table keeps some 20 KB at most. What more there is, is
said to be missing."""

MOST_ONWARD = 50
"""Sessions that a request's went on to, in however many steps, and that are followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One call. session: the id of the session that it goes back to. place: where it was made."""

    session: str
    place: Place
    access_key_id: str | None
    deed: Deed

    @property
    def position(self) -> str:
        return f"{stamp(self.deed.at)}#{self.deed.id}"


@dataclass(frozen=True, slots=True)
class WentOn:
    onward: Onward
    doings: Doings


@dataclass(frozen=True, slots=True)
class Accounted:
    """A session's account: itself, and the sessions that were come to from it."""

    session: Session
    role_arn: str
    doings: Doings
    went_on: tuple[WentOn, ...]

    @property
    def all_doings(self) -> tuple[Doings, ...]:
        return self.doings, *(each.doings for each in self.went_on)


@dataclass(frozen=True, slots=True)
class Activity:
    sessions: tuple[Accounted, ...]
    page: Page[Act]
    summary: str


def activity(world: World, principal: Principal, request_id: str, *, after: str | None, limit: int) -> Activity:
    """What was done with the request's last 50 sessions, oldest first. Raises NotFound and Unavailable.

    Who looks at somebody else's is on the record before anything is shown: on the day's chain, so that a reader never
    stands in the way of a decision.
    """
    request, sessions = story(world, principal, request_id)
    if principal.id != request.requester.id:
        world.day_chains().append(
            EventType.ACTIVITY_READ,
            at=world.now(),
            actor=principal.id,
            details={"request_id": request.id, "requester": request.requester.id},
        )
    accounts, acts = _of_all(world.trail(), request.role_arn, sessions)
    later = [act for act in acts if after is None or act.position > after]
    shown = later[:limit]
    following = shown[-1].position if len(later) > limit else None
    return Activity(accounts, Page(tuple(shown), following), _summed(accounts))


def summary(requests: Requests, trail: Trail, request_id: str) -> str:
    """In words, what was done with a request's sessions as far as CloudTrail has told."""
    found = requests.story(request_id)
    return _summed(_of_all(trail, found[0].role_arn, found[1])[0]) if found else ""


def _summed(accounts: Sequence[Accounted]) -> str:
    sessions = in_words([account.doings for account in accounts])
    onward = [each for account in accounts for each in account.went_on]
    if not onward:
        return sessions
    roles = ", ".join(sorted({each.onward.role_arn for each in onward}))
    return f"{sessions} It went on to {roles}: {in_words([each.doings for each in onward])}"


def _of_all(trail: Trail, role_arn: str, sessions: Sequence[Session]) -> tuple[tuple[Accounted, ...], tuple[Act, ...]]:
    left, followed = MOST_NOTES, 0
    accounts: list[Accounted] = []
    acts: dict[str, Act] = {}
    for session in sessions:
        told = trail.told(Place(role_arn, session.session_name), most=max(left, 1))
        own = of_session(session, told.notes)
        left -= len(told.notes)
        if session.status is not SessionStatus.ISSUED and not own:
            continue
        went_on: list[WentOn] = []
        for onward, notes, whole in _onward(trail, own, left, MOST_ONWARD - followed):
            followed += 1
            left -= len(notes)
            went_on.append(WentOn(onward, doings(notes, whole=whole)))
            acts |= {act.deed.id: act for act in _acts(session.id, onward.place, notes)}
        acts |= {act.deed.id: act for act in _acts(session.id, Place(role_arn, session.session_name), own)}
        accounts.append(Accounted(session, role_arn, doings(own, whole=told.whole), tuple(went_on)))
    return tuple(accounts), tuple(sorted(acts.values(), key=lambda act: act.position))


def _onward(
    trail: Trail, notes: Sequence[Note], left: int, most: int
) -> Iterator[tuple[Onward, tuple[Note, ...], bool]]:
    """The sessions that were come to from these, in one step or more, each once; and their notes."""
    waiting, known = list(onward_of(notes)), set[str]()
    while waiting and len(known) < most:
        onward = waiting.pop(0)
        if onward.access_key_id in known:
            continue
        known.add(onward.access_key_id)
        told = trail.told(onward.place, most=max(left, 1))
        own = of_onward(onward, told.notes)
        left -= len(told.notes)
        waiting += onward_of(own)
        yield onward, own, told.whole


def _acts(session: str, place: Place, notes: Sequence[Note]) -> Iterator[Act]:
    for deed, key in listed(notes):
        yield Act(session=session, place=place, access_key_id=key, deed=deed)
