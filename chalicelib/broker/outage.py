"""When the table is the emergency: a new one goes on the record in a queue, since nothing is lent without a record.

the table ✗ ──► queue: submitted, opened, session.issuing ──► STS ──► queue: session.issued ──► credentials
                  └── no answer: nothing is lent                        └── no answer: nothing is handed out

`draining.py` brings the queue's entries into the table once it is back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from chalicelib.broker.ports import Claim, Entry, World
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Change, SessionStatus

PATIENCE = timedelta(seconds=12)
"""From the call's beginning to asking STS: 9 s in which the table did not answer and 3 s for the queue. STS's own 13 s
and the queue's next 3 s then end within API Gateway's 29."""


def record(world: World, change: Change, claim: Claim | None, unavailable: Unavailable) -> Callable[[Change], None]:
    """Put an emergency that the table did not take into the queue; returns what puts its outcome there, too.

    Should the table have taken it all the same, the drain will find that it did. Raises Unavailable, and then nothing
    may be lent: where the table is not out, for what is no new emergency, without a queue or its answer, and where the
    same person was lent another one in the same outage: quotas and overdue reviews, which else bound that, are in the
    table.
    """
    request, queue = change.after, world.queue
    if unavailable.outage is None or change.before is not None or not request.break_glass:
        raise unavailable
    if queue is None:
        raise Unavailable(f"{unavailable.detail} There is no emergency queue to take its place: nothing was lent.")
    this_outage = request.requester.id, unavailable.outage
    earlier = world.queued.setdefault(this_outage, request.id)
    if earlier != request.id:
        raise Unavailable(
            f"The table of requests does not answer, and you were lent emergency {earlier} since it does not: the next "
            "one has to wait until it does. Nothing was lent."
        )

    def put(entry: Entry, *, lost: str) -> None:
        issued = entry.session is not None and entry.session.status is SessionStatus.ISSUED
        try:
            queue.put(entry)
        except Unavailable as error:
            del world.queued[this_outage]
            raise Unavailable(f"{error.detail} {lost}; try again.") from error
        if not (entry.opens or issued):
            del world.queued[this_outage]

    put(Entry(request, change.events, change.session, claim), lost="Neither does the table: nothing was lent")
    return lambda outcome: put(
        Entry(outcome.after, outcome.events, outcome.session),
        lost="What STS lent is not on the record, so it is not handed out",
    )
