"""Reminding: a request that waits for longer than its rule likes is said once more, in the thread of its message.

Nothing depends on it, nothing is recorded of it but that it was tried: at most one reminder for a message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chalicelib.broker.audience import reminder_due
from chalicelib.broker.seeing import as_shown
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request
from chalicelib.outbox.ports import Message
from chalicelib.outbox.posting import WITHIN, Desk, put, take, told
from chalicelib.slack.messages import reminder
from chalicelib.slack.posting import Posted, SaidNo, Silent, Throttled

MOST = 200
"""Requests that one run looks at: those that lapse soonest come first."""

_PAGE = 50


@dataclass(frozen=True, slots=True)
class Reminded:
    """One run. posted: how many reminders. failed: how many could not be posted now; the next run tries again."""

    posted: int
    failed: int


def remind(desk: Desk) -> Reminded:
    """Remind those who may approve what has waited for long. Raises Unavailable where the list cannot be read."""
    until = desk.now() + WITHIN
    posted = failed = 0
    for request, message in _unreminded(desk):
        if desk.now() >= until:
            break
        try:
            posted += _reminded(desk, request, message)
        except Unavailable:  # one message that cannot be answered must not silence all others
            failed += 1
    return Reminded(posted, failed)


def _unreminded(desk: Desk) -> Iterator[tuple[Request, Message]]:
    for listed in _waiting(desk):
        if not reminder_due(desk.catalogue(), listed, desk.now()):
            continue
        request = desk.requests.get(listed.id)  # the list may be behind the record
        if request is None or not reminder_due(desk.catalogue(), request, desk.now()):
            continue
        for message in desk.messages.of(request.id):
            if message.ts and not message.for_requester and not message.reminded:
                yield request, message


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
