"""Posting: one Slack message for a request and a place, brought up to date after everything that happens.

    event ──► the request as it is now ──► for each place: taken ──► Slack ──► the version that it shows
                                                                      ├── no answer: Slack is searched before a next try
                                                                      └── a no: told in the log, and that is all

What a message shows never follows from the event, but from the request as it is: so replayed, late and reordered events
can only repeat what is true, and a version that is shown already is not shown again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.broker.audience import Audience, audience
from chalicelib.broker.ports import Requests, Stale
from chalicelib.broker.seeing import as_shown
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.ledger import EventType
from chalicelib.core.life import OPEN, State
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request
from chalicelib.core.times import read_stamp
from chalicelib.outbox.batch import Delivered, one_by_one
from chalicelib.outbox.ports import Committed, Message, Messages, People
from chalicelib.slack.messages import Rendered, Telling, alarm, rendered
from chalicelib.slack.posting import Posted, SaidNo, Silent, Slack, Throttled

LEASE = timedelta(seconds=90)
"""For how long nobody else touches a message that somebody took: longer than Lambda lets that somebody run (60 s)."""

WITHIN = timedelta(seconds=35)
"""After so long a batch begins with no further place: one may take 11 calls of 2 s, at worst of 5 s."""

_BEGINNINGS = frozenset({EventType.SUBMITTED, EventType.ESCALATED, EventType.BREAK_GLASS_OPENED})
_NEWS = OPEN | {State.DENIED, State.EXPIRED}
_ENDINGS: Mapping[State, EventType] = {
    State.DENIED: EventType.DENIED,
    State.CANCELLED: EventType.CANCELLED,
    State.RETURNED: EventType.RETURNED,
    State.REVOKED: EventType.REVOKED,
}
_LAST_EVENTS = 20
_DELETED = "message_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What posting needs. not_told: hears of each place that Slack would not tell, and of Slack's word for why."""

    requests: Requests
    catalogue: Callable[[], Catalogue]
    now: Callable[[], datetime]
    messages: Messages
    slack: Slack
    people: People
    not_told: Callable[[Message, str], None]


def post(lines: Sequence[Committed], desk: Desk) -> Delivered:
    """Bring the messages of all requests that the lines are about up to date."""
    until = desk.now() + WITHIN
    shown: dict[str, int] = {}

    def tell(line: Committed) -> None:
        if line.request_id is not None and line.event.seq > shown.get(line.request_id, 0):
            shown[line.request_id] = _tell(desk, line.request_id, line, until)

    return one_by_one(lines, tell)


def _tell(desk: Desk, request_id: str, line: Committed, until: datetime) -> int:
    """Returns the version that all places show now, or that Slack would not show them."""
    request = desk.requests.get(request_id)
    if request is None:
        return line.event.seq  # erased since
    request = as_shown(desk.catalogue(), request, desk.now())
    for message in _places(desk, request, line):
        if message.version >= request.version:
            continue
        if desk.now() >= until:
            raise Unavailable("There was no time for all places: the next batch goes on.")
        bring_up_to_date(desk, request, message)
    return request.version


def _places(desk: Desk, request: Request, line: Committed) -> Iterator[Message]:
    """The messages that there are, and those that there should be, in the order in which people should hear of it."""
    known = {message.place: message for message in desk.messages.of(request.id) if not message.place.startswith("arn:")}
    if line.event.type in _BEGINNINGS or request.state(desk.now()) in _NEWS:
        channels = {message.channel for message in known.values()}
        for place, for_requester in _wanted(desk, request):
            if place not in channels:  # which the catalogue may have called by its name before
                known.setdefault(place, Message(request_id=request.id, place=place, for_requester=for_requester))
    yield from known.values()


def _wanted(desk: Desk, request: Request) -> Iterator[tuple[str, bool]]:
    hears: Audience = audience(desk.catalogue(), request, desk.now())
    yield from ((channel, False) for channel in hears.channels)
    persons = (*hears.asked, *((hears.answered,) if hears.answered else ()))
    if persons:
        users = desk.people(persons)
        yield from ((users[id], id == hears.answered) for id in persons if id in users)


def bring_up_to_date(desk: Desk, request: Request, message: Message) -> Message:
    """Have the place show the request as it is. Returns what is known of the message then: no `ts` where Slack said no.

    Raises Unavailable where that is to be tried again.
    """
    telling = told(desk, request, message)
    says = rendered(telling)
    if message.shows == _digest(says):
        return message
    taken = take(desk, message)
    released = replace(taken, taken_at=None, unsure_since=message.unsure_since)
    try:
        posted = _shown(desk, message, telling, says)
    except SaidNo as no:
        if no.code == _DELETED and message.ts:
            gone = put(desk, replace(released, channel=None, ts=None, shows=None))
            return bring_up_to_date(desk, request, gone)
        desk.not_told(message, no.code)
        return put(desk, released)
    except Throttled as throttled:
        put(desk, released)
        raise Unavailable(str(throttled), throttled.after) from None
    except Silent as silent:
        raise Unavailable(str(silent)) from None
    where = replace(taken, taken_at=None, unsure_since=None, channel=posted.channel, ts=posted.ts)
    return put(desk, replace(where, version=request.version, shows=_digest(says), loud=telling.loud))


def _digest(says: Rendered) -> str:
    return hashlib.sha256(json.dumps([says.text, says.blocks]).encode()).hexdigest()


def take(desk: Desk, message: Message) -> Message:
    """Write down that something is about to be tried, before it is. Raises Unavailable where somebody else is at it."""
    now = desk.now()
    if message.taken_at is not None and now < message.taken_at + LEASE:
        raise Unavailable("Somebody else is at this message, or was interrupted at it.", message.taken_at + LEASE - now)
    unsure = None if message.ts else message.unsure_since or now
    return put(desk, replace(message, taken_at=now, unsure_since=unsure))


def put(desk: Desk, message: Message) -> Message:
    try:
        return desk.messages.put(message)
    except Stale:
        raise Unavailable("Somebody else changed what is known of this message.") from None


def _shown(desk: Desk, message: Message, telling: Telling, says: Rendered) -> Posted:
    """Where the message is that says so now: updated where it was, else posted."""
    posted = _known(desk, message)
    if posted is None:
        return desk.slack.post(message.place, says, message.request_id)
    desk.slack.update(posted, says)
    if telling.loud and not message.loud:
        desk.slack.reply(posted, alarm(telling), to_all=True)
    return posted


def _known(desk: Desk, message: Message) -> Posted | None:
    """Where the message is, as far as that can be known: after an attempt without an outcome Slack is asked."""
    if message.channel and message.ts:
        return Posted(message.channel, message.ts)
    if message.unsure_since is None:
        return None
    try:
        return desk.slack.find(message.place, message.request_id, message.unsure_since)
    except SaidNo:  # it may not look: better two messages than none
        return None


def told(desk: Desk, request: Request, message: Message) -> Telling:
    person = message.place.startswith(("U", "W"))
    role = desk.catalogue().roles.get(request.role)
    now = desk.now()
    return Telling(
        request=request,
        now=now,
        role=role if role and role.arn == request.role_arn else None,
        ended_at=_ended_at(desk, request, now),
        for_requester=message.for_requester,
        loud=request.break_glass and not person,
    )


def _ended_at(desk: Desk, request: Request, now: datetime) -> datetime | None:
    """When somebody ended it, as far as its last events tell."""
    ending = _ENDINGS.get(request.state(now))
    if ending is None:
        return None
    last = desk.requests.events(request.id, after=max(0, request.version - _LAST_EVENTS), limit=_LAST_EVENTS)
    times = [read_stamp(event.at) for event in last.items if event.type == ending]
    return times[-1] if times else None
