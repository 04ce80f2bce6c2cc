"""Forgetting: what has been over for longer than it is to be kept is handed to the table's time to live.

It decides nothing of any request: only what nothing can happen to any more goes, oldest first. The copy of the ledger
keeps the events for as long as its bucket says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.broker.ports import Past, Stale
from chalicelib.core.forgetting import forgettable
from chalicelib.core.request import Request

MOST = 500
"""Requests that one run looks at, oldest first: also those that stay, as an emergency without a review does."""

WITHIN = timedelta(seconds=15)
"""After so long a run begins nothing more: Lambda ends it after 29 s."""

GRACE = timedelta(days=7)
"""From the run on that lets something go until DynamoDB may delete it: time to take it back."""

_PAGE = 50


@dataclass(slots=True)
class Forgotten:
    """One run. requests: those that were let go. failures: by request id what went wrong; they are tried again."""

    requests: list[str] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)


def forget(past: Past, clock: Callable[[], datetime], *, retain: timedelta) -> Forgotten:
    """Let go what has been over for `retain`. May run twice, late, or many times at once.

    Raises Unavailable where the list cannot be read.
    """
    begun, run = clock(), Forgotten()
    for request in _oldest(past, begun - retain):
        if clock() - begun >= WITHIN:
            break
        if not forgettable(request, now=begun, retain=retain):
            continue
        try:
            past.let_go(request, begun + GRACE)
        except Stale:
            continue  # somebody is at it: the next run looks again
        except Exception as error:  # one request that cannot be let go must not keep all others
            run.failures[request.id] = error
        else:
            run.requests.append(request.id)
    return run


def _oldest(past: Past, before: datetime) -> Iterator[Request]:
    after: str | None = None
    for _ in range(MOST // _PAGE):
        page = past.oldest(before=before, after=after, limit=_PAGE)
        yield from page.items
        after = page.next
        if after is None:
            return
