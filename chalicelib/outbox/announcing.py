"""Announcing: every event of every chain, on the bus, in a shape that others can rely on.

The shape is `docs/event.schema.json`. It holds identifiers and no free text: reasons and comments are in it as the
commitments that the history has of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chalicelib.core.ledger import named
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request
from chalicelib.core.times import read_stamp, stamp
from chalicelib.outbox.batch import Delivered
from chalicelib.outbox.ports import Bus, Committed, Entry, Find, NotTaken

SCHEMA = 1
"""Goes up only where a consumer that knows the older shape would misread the newer one. Fields may be added."""

LARGEST = 200 * 1024
"""Bytes of a detail. With everything around it EventBridge takes 256 KB.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html.
"""


class TooLarge(Exception):
    """The bus would never take it."""


def announce(lines: Sequence[Committed], *, bus: Bus, find: Find, now: datetime) -> Delivered:
    """Put the lines on the bus. find: a request as it is now, by its id."""
    entries: dict[int, Entry] = {}
    hopeless: dict[int, Exception] = {}
    known: dict[str, Request | None] = {}
    for number, line in enumerate(lines):
        try:
            id = line.request_id
            if id is not None and id not in known:
                known[id] = find(id)
            entries[number] = entry(line, known[id] if id is not None else None, now)
        except Unavailable as outage:
            return _put(bus, entries, hopeless, number, outage.detail)
        except Exception as error:  # a bug at one line is no other line's
            hopeless[number] = error
    return _put(bus, entries, hopeless, len(lines), None)


def _put(bus: Bus, entries: dict[int, Entry], hopeless: dict[int, Exception], count: int, why: str | None) -> Delivered:
    try:
        bus.put(tuple(entries.values()))
    except NotTaken as missing:
        return Delivered(list(entries)[missing.taken], str(missing), hopeless)
    return Delivered(count, why, hopeless)


def entry(line: Committed, request: Request | None, now: datetime) -> Entry:
    """One line as it is announced. Raises TooLarge.

    request: as it is now, which may be later than the line; its `version` is the seq of the last line that it knows.
    None where there is none any more, and for what belongs to none.
    """
    event = line.event
    detail: dict[str, Any] = {
        "schema": SCHEMA,
        "id": line.id,
        named(line.chain): line.chain,
        **event.as_json(),
    }
    if request is not None:
        detail["request"] = _facts(request, now)
    text = json.dumps(detail, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > LARGEST:
        raise TooLarge(f"an event of {len(text)} characters")
    return Entry(
        detail_type=event.type,
        detail=text,
        at=read_stamp(event.at),
        resources=(request.role_arn,) if request else (),
    )


def _facts(request: Request, now: datetime) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "version": request.version,
        "state": request.state(now).value,
        "requester": request.requester.id,
        "requester_kind": request.requester.kind.value,
        "role": request.role,
        "role_arn": request.role_arn,
        "account": request.account,
        "account_id": request.account_id,
        "duration_seconds": int(request.duration.total_seconds()),
        "break_glass": request.break_glass,
        "rule": request.rule,
        "created_at": stamp(request.created_at),
    }
    if request.window is not None:
        facts |= {"starts_at": stamp(request.window.starts_at), "ends_at": stamp(request.window.ends_at)}
    return facts
