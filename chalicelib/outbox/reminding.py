"""Reminding: a request that waits for longer than its rule likes is said once more, in the thread of its message.

Where the rule names further channels for that case, they are told of the request too. Nothing depends on it, and of it
nothing is recorded but that it was tried: at most one reminder for a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chalicelib.broker.audience import overdue
from chalicelib.broker.seeing import as_shown
from chalicelib.core.catalogue import Notify
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request
from chalicelib.outbox.ports import Message
from chalicelib.outbox.posting import WITHIN, Desk, bring_up_to_date, put, take, told
from chalicelib.slack.messages import reminder
from chalicelib.slack.posting import Posted, SaidNo, Silent, Throttled

MOST = 200
"""Requests that one run looks at: those that lapse soonest come first."""

_PAGE = 50


@dataclass(frozen=True, slots=True)
class Reminded:
    """One run. posted: how many reminders. escalated: how many further channels were told.

    failed: how many of either could not be told now; the next run tries again.
    """

    posted: int = 0
    escalated: int = 0
    failed: int = 0


def remind(desk: Desk) -> Reminded:
    """Remind those who may approve what has waited for long. Raises Unavailable where the list cannot be read."""
    until = desk.now() + WITHIN
    posted = escalated = failed = 0
    for request, message in _untold(desk):
        if desk.now() >= until:
            break
        try:
            if message.ts:
                posted += _reminded(desk, request, message)
            else:
                escalated += _escalated(desk, request, message)
        except Unavailable:  # one message that cannot be answered must not silence all others
            failed += 1
    return Reminded(posted, escalated, failed)


def _untold(desk: Desk) -> Iterator[tuple[Request, Message]]:
    """What waits for long, with each message that reminds of it or that a further channel is owed."""
    for listed in _waiting(desk):
        if not overdue(desk.catalogue(), listed, desk.now()):
            continue
        request = desk.requests.get(listed.id)  # the list may be behind the record
        notify = overdue(desk.catalogue(), request, desk.now()) if request else None
        if request is None or notify is None:
            continue
        messages = desk.messages.of(request.id)
        reminding = (each for each in messages if each.ts and not each.for_requester and not each.reminded)
        yield from ((request, message) for message in (*reminding, *_owed(request, notify, messages)))


def _owed(request: Request, notify: Notify, messages: Sequence[Message]) -> Iterator[Message]:
    """The messages of further channels that are not there yet, and that Slack did not say no to."""
    known = {message.place: message for message in messages}
    channels = {message.channel for message in messages}
    for place in notify.escalate_to:
        message = known.get(place, Message(request_id=request.id, place=place))
        if not (message.ts or message.reminded or place in channels):
            yield message


def _waiting(desk: Desk) -> Iterator[Request]:
    after: str | None = None
    looked_at = 0
    while looked_at < MOST:
        page = desk.requests.waiting(now=desk.now(), after=after, limit=_PAGE)
        yield from page.items
        looked_at += len(page.items)
        after = page.next
        if after is None:
            return


def _escalated(desk: Desk, request: Request, message: Message) -> bool:
    """Whether the further channel shows the request now. It needs no reminder in its own thread."""
    after = bring_up_to_date(desk, as_shown(desk.catalogue(), request, desk.now()), message)
    put(desk, replace(after, reminded=True))
    return after.ts is not None


def _reminded(desk: Desk, request: Request, message: Message) -> bool:
    """Whether it was posted. It is on record before it is tried: no answer is as good as a reminder."""
    taken = take(desk, replace(message, reminded=True))
    assert message.channel is not None
    assert message.ts is not None
    says = reminder(told(desk, as_shown(desk.catalogue(), request, desk.now()), message))
    try:
        desk.slack.reply(Posted(message.channel, message.ts), says, to_all=False)
    except SaidNo as no:
        desk.not_told(message, no.code)
        put(desk, replace(taken, taken_at=None))
        return False
    except Throttled as throttled:
        put(desk, replace(taken, taken_at=None, reminded=False))
        raise Unavailable(str(throttled), throttled.after) from None
    except Silent as silent:
        put(desk, replace(taken, taken_at=None))
        raise Unavailable(str(silent)) from None
    put(desk, replace(taken, taken_at=None))
    return True
