"""The table's stream: which of its records tell of a new line in a chain, and what that line says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.aws.items import EventItem, chain_key
from chalicelib.outbox.ports import Committed, Unreadable


def committed(record: Mapping[str, Any]) -> Committed | None:
    """The new event of a chain that a stream record tells of; None where it tells of anything else.

    Raises Unreadable where it should be one and is not as Daypass writes them, down to its hash.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html.
    """
    try:
        image = record["dynamodb"].get("NewImage", {})
        if record["eventName"] != "INSERT" or image.get("kind", {}).get("S") != "event":
            return None
        item = EventItem.from_raw_data(image)
        recorded = item.recorded()
        chain, event = recorded.chain, recorded.event
        intact = event.hash == event.computed_hash() and item.pk == chain_key(chain)
        line = Committed(chain, event, record["dynamodb"]["SequenceNumber"])
    except Exception as error:  # whatever it is: the record cannot be read, now or later
        raise Unreadable(f"{type(error).__name__} in a record of the stream") from error
    if not intact:
        raise Unreadable("an event whose hash or key is not its own")
    return line
