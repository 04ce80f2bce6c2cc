"""Daypass for programs: `from daypass import Client`. What a command does not need, it does not load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daypass.client import Client, DaypassError

__all__ = ["Client", "DaypassError"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from daypass import client

    return getattr(client, name)
