"""Emergencies that wait for their review, in the table: an item for each person, with the first time one is due."""

from __future__ import annotations

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.aws.items import SCHEMA, EmergenciesItem, review_position
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.broker.ports import ReviewIsOverdue
from chalicelib.core.request import Change, Request

Emergencies = type[EmergenciesItem]


def opened(
    emergencies: Emergencies, change: Change, cancelled: Cancelled | None = None, *, happened: bool = False
) -> list[Write]:
    """What lets a request become an emergency: no earlier one of the same person is overdue for its review.

    cancelled: what stood in the way of the first try. Raises ReviewIsOverdue where that was an overdue one; never where
    the emergency has happened already.
    """
    request = change.after
    if not request.break_glass or (change.before is not None and change.before.break_glass):
        return []
    position, now = review_position(request), change.events[-1].at
    review_by = position.partition("#")[0]
    due = EmergenciesItem.review_due
    due_before_this = due <= review_by
    condition = due.does_not_exist() | (due_before_this if happened else (due > now) & due_before_this)
    first = due.set(due | review_by)
    stored = cancelled.stored["emergencies"] if cancelled is not None else None
    if stored:
        item = emergencies.from_raw_data(stored)
        first_due: str | None = item.review_due  # None: the last one was reviewed between two tries
        if first_due is not None:
            if first_due <= now and not happened:
                overdue_since, _, request_id = min(item.unreviewed).partition("#")
                raise ReviewIsOverdue(request_id, overdue_since)
            condition, first = due == first_due, due.set(review_by)
    return [_write(emergencies, request, (EmergenciesItem.unreviewed.add({position}), first), condition)]


def reviewed(emergencies: Emergencies, request: Request) -> Write:
    """What has an emergency wait no longer, given those that wait as they are read now."""
    before = waiting(emergencies, request.requester.id)
    left = before - {review_position(request)}
    unreviewed, due = EmergenciesItem.unreviewed, EmergenciesItem.review_due
    actions: tuple[Action, ...] = (unreviewed.remove(), due.remove())
    if left:
        actions = (unreviewed.set(left), due.set(min(left).partition("#")[0]))
    unchanged = unreviewed == before if before else unreviewed.does_not_exist()
    return _write(emergencies, request, actions, unchanged)


def waiting(emergencies: Emergencies, principal_id: str) -> set[str]:
    """The positions of a person's emergencies that nobody has reviewed."""
    try:
        item = emergencies.get(f"principal#{principal_id}", "emergencies", consistent_read=True)
    except emergencies.DoesNotExist:
        return set()
    return item.unreviewed or set()


def _write(emergencies: Emergencies, request: Request, actions: tuple[Action, ...], condition: Condition) -> Write:
    item = emergencies.of(request.requester.id)
    kept = (EmergenciesItem.kind.set(item.kind), EmergenciesItem.schema.set(SCHEMA))
    return Write(item, condition, (*actions, *kept))
