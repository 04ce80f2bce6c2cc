"""The table's stream: which of its records tell of a new line in a chain, and what that line says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chalicelib.aws.items import EventItem, chain_key
from chalicelib.core.forgetting import LEAST
from chalicelib.core.times import read_stamp
from chalicelib.outbox.ports import Committed, Forged, Unreadable


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
        raise Forged("an event whose hash or key is not its own")
    return line


def guarded(record: Mapping[str, Any]) -> Committed | None:
    """As `committed`. Raises Forged also where an event was changed or deleted, unless it was let go and has expired.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html.
    """
    line = committed(record)
    change, name = record["dynamodb"], record["eventName"]
    sort = change.get("Keys", {}).get("sk", {}).get("S", "")
    if sort.startswith("event#") and name != "INSERT" and not (_let_go(record) or _expired(record)):
        raise Forged(f"{name} of an event")
    return line


def _let_go(record: Mapping[str, Any]) -> bool:
    """Whether nothing was done to an event but to say from when on it may be deleted, and that is late enough."""
    before, after = (record["dynamodb"].get(image, {}) for image in ("OldImage", "NewImage"))
    if record["eventName"] != "MODIFY" or {**before, "until": after.get("until")} != after:
        return False
    try:
        return read_stamp(before["at"]["S"]) + LEAST <= datetime.fromtimestamp(int(after["until"]["N"]), UTC)
    except (KeyError, TypeError, ValueError):
        return False


def _expired(record: Mapping[str, Any]) -> bool:
    identity = record.get("userIdentity") or {}
    told = {name.lower(): value for name, value in identity.items()}  # GetRecords and Lambda write them differently
    by_dynamodb = told.get("type") == "Service" and told.get("principalid") == "dynamodb.amazonaws.com"
    return record["eventName"] == "REMOVE" and by_dynamodb
