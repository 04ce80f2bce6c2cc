"""The copy of the ledger: under which name an event is kept there, and as which text."""

from __future__ import annotations

import json

from chalicelib.core.ledger import Event, Recorded, canonical

EVENTS = "events/"
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def folder(day: str, chain: str | None = None) -> str:
    """What the names of a day's events begin with, or of those of one chain. day: as in 2026-11-23."""
    return f"{EVENTS}{day}/" if chain is None else f"{EVENTS}{day}/{_escaped(chain)}/"


def name(chain: str, event: Event) -> str:
    """By day, chain and seq, so that there is one place for an event and for everything that claims to be it.

    chain: a request's id, or that of a chain which belongs to no request.
    """
    return f"{folder(event.at[:10], chain)}{event.seq:010d}.json"


def text(recorded: Recorded) -> bytes:
    """The event beside its chain, as an export has it, in the form of RFC 8785: the same bytes every time."""
    return canonical(recorded.as_json()).encode()


def read(name_of_it: str, content: bytes) -> Recorded:
    """The event that is kept under this name. Raises ValueError where it is none, or none that belongs there."""
    try:
        line = json.loads(content)
        chain = line.pop("request_id", None) or line.pop("chain")
        event = Event(**line)
        recorded = Recorded(chain, event)
        genuine = event.hash == event.computed_hash() and text(recorded) == content
        if genuine and name(chain, event) == name_of_it:
            return recorded
    except (KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise ValueError("no event") from wrong
    raise ValueError("not the event that belongs there")


def _escaped(chain: str) -> str:
    """Safe in the name of an object and of a file; no two chains have the same."""
    return "".join(
        letter if letter in _PLAIN else "".join(f"%{byte:02X}" for byte in letter.encode()) for letter in chain
    )
