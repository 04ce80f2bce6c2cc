"""Events, as answers tell them."""

from __future__ import annotations

from typing import Any

from chalicelib.core.ledger import Event, Recorded
from chalicelib.web.views.out import Out


class EventView(Out):
    """One line of the history. hash: SHA-256 of `prev_hash` and the RFC 8785 form of the event without `hash`."""

    seq: int
    type: str
    at: str
    actor: str
    details: dict[str, Any]
    prev_hash: str
    hash: str

    @classmethod
    def of(cls, event: Event) -> EventView:
        return cls.model_validate(event.as_json())


class EventList(Out):
    items: list[EventView]
    next_cursor: str | None


class RecordedView(EventView):
    """One line of the history of `request_id` or, where it belongs to no request, of `chain`, which is of its day.

    Its hash covers the other fields, as in that history.
    """

    request_id: str | None = None
    chain: str | None = None

    @classmethod
    def told(cls, recorded: Recorded) -> RecordedView:
        return cls.model_validate(recorded.as_json())


class RecordedList(Out):
    items: list[RecordedView]
    next_cursor: str | None
