"""The copy of the ledger: under which name an event is kept there, and as which text."""

from __future__ import annotations

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
    """The event with its `request_id`, as an export has it, in the form of RFC 8785: the same bytes every time."""
    return canonical({**recorded.event.as_json(), "request_id": recorded.request_id}).encode()


def _escaped(chain: str) -> str:
    """Safe in the name of an object and of a file; no two chains have the same."""
    return "".join(
        letter if letter in _PLAIN else "".join(f"%{byte:02X}" for byte in letter.encode()) for letter in chain
    )
