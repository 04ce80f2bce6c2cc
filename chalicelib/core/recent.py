"""The ids that were seen last, in memory that does not grow."""

from __future__ import annotations


class Recent:
    """Remembers at least the last `size` different ids, and never more than twice as many."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, id: str) -> bool:
        return id in self._young or id in self._old

    def add(self, id: str) -> bool:
        """Remember an id. Returns whether it is new, as far as is remembered."""
        if id in self._young:
            return False
        new = id not in self._old
        self._young.add(id)
        if len(self._young) == self._size:
            self._young, self._old = set(), self._young
        return new
