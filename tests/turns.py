"""Two who act at once, in every order in which their calls can reach the world."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations
from typing import Any

Order = tuple[str, ...]


def orders(**calls: int) -> list[Order]:
    """Every order of so many calls of two sides: orders(L=1, R=2) are LRR, RLR and RRL."""
    (one, first), (other, second) = calls.items()
    every = range(first + second)
    chosen = (frozenset(places) for places in combinations(every, first))
    return [tuple(one if place in places else other for place in every) for places in chosen]


class Turns:
    """Lets the calls of two sides through one at a time, in a given order; what goes beyond it goes in any."""

    def __init__(self, order: Order) -> None:
        self._order = list(order)
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, side: str) -> Iterator[None]:
        """One call of a side, which waits for its turn."""
        with self._changed:
            self._changed.wait_for(lambda: not self._order or self._order[0] == side, timeout=10)
        try:
            yield
        finally:
            with self._changed:
                if self._order and self._order[0] == side:
                    self._order.pop(0)
                self._changed.notify_all()

    def over(self, side: str) -> None:
        """The side makes no more calls: its turns fall away."""
        with self._changed:
            self._order = [other for other in self._order if other != side]
            self._changed.notify_all()


def both(turns: Turns, **acts: Callable[[], Any]) -> list[Any]:
    """What the two sides return, each of which takes its turns for its calls."""

    def run(side: str, act: Callable[[], Any]) -> Any:
        try:
            return act()
        finally:
            turns.over(side)

    with ThreadPoolExecutor(2) as pool:
        return [each.result() for each in [pool.submit(run, *side) for side in acts.items()]]
