"""What transitions take out of people's days, in the table: one counter for each person, day and quota."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.aws.items import SCHEMA, DayItem
from chalicelib.aws.transaction import Cancelled, Write
from chalicelib.broker.ports import DayIsUsed
from chalicelib.core.quotas import Charge

KEPT = timedelta(days=1)
"""How long a counter stays after its day: longer than any clock is behind another."""


def charged(days: type[DayItem], charge: Charge | None) -> list[Write]:
    """The write that counts a charge, only where the day has left what it needs: nothing is read before."""
    if charge is None:
        return []
    item, used = days.of(charge), DayItem.used
    counted = (
        used.add(charge.takes),
        DayItem.until.set(charge.over_at + KEPT),
        DayItem.kind.set(item.kind),
        DayItem.schema.set(SCHEMA),
    )
    if not charge.needs:
        return [Write(item, None, counted)]
    room = used <= charge.limit - charge.needs
    return [Write(item, used.does_not_exist() | room if charge.needs <= charge.limit else room, counted)]


def refuse_used(days: type[DayItem], charge: Charge | None, cancelled: Cancelled) -> None:
    """Raises DayIsUsed where it was the day that stood in a transaction's way, by what came with the refusal."""
    if charge is not None and "day" in cancelled.stored:
        stored = cancelled.stored["day"]
        raise DayIsUsed(charge, int(days.from_raw_data(stored).used) if stored else 0) from cancelled
