"""Forgetting as a run: oldest first, within its time, and one that fails keeps no other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.broker import deciding
from chalicelib.broker.forgetting import GRACE, MOST, WITHIN, forget
from chalicelib.broker.ports import Page, Stale
from chalicelib.core.forgetting import LEAST
from chalicelib.core.request import Request
from tests.builders import an_id
from tests.people import BOB
from tests.stage import Stage


@dataclass
class FakePast:
    """`ports.Past` beside a stage's requests. raises: what comes of letting these go."""

    stage: Stage
    gone: dict[str, datetime] = field(default_factory=dict)
    raises: dict[str, Exception] = field(default_factory=dict)
    looked_at: int = 0

    def oldest(self, *, before: datetime, after: str | None, limit: int) -> Page[Request]:
        known = sorted(self.stage.requests._requests.values(), key=lambda request: request.id)
        found = [each for each in known if each.created_at < before and each.id > (after or "")][: limit + 1]
        shown = found[:limit]
        self.looked_at += len(shown)
        left = tuple(each for each in shown if each.id not in self.gone)
        return Page(left, shown[-1].id if len(found) > limit else None)

    def let_go(self, request: Request, until: datetime) -> None:
        if error := self.raises.get(request.id):
            raise error
        self.gone[request.id] = until


def over(count: int) -> tuple[FakePast, list[str]]:
    """Requests that were denied long ago, and one that waits since yesterday."""
    stage = Stage()
    requests = [stage.asked() for _ in range(count)]
    for request in requests:
        deciding.deny(stage.world, BOB, request.id, comment="no")
    stage.pass_time(LEAST + timedelta(days=1))
    stage.asked()
    return FakePast(stage), [request.id for request in requests]


def test_what_is_over_is_let_go_with_time_to_take_it_back_and_what_is_not_stays() -> None:
    past, ids = over(3)
    run = forget(past, lambda: past.stage.now, retain=LEAST)
    assert (run.requests, run.failures) == (ids, {})
    assert past.gone == dict.fromkeys(ids, past.stage.now + GRACE)
    assert forget(past, lambda: past.stage.now, retain=LEAST).requests == []


def test_one_that_fails_keeps_no_other_and_one_that_somebody_is_at_waits() -> None:
    past, (one, other, third) = over(3)
    past.raises = {one: KeyError("a bug"), other: Stale()}
    run = forget(past, lambda: past.stage.now, retain=LEAST)
    assert (run.requests, list(run.failures)) == ([third], [one])


def test_given_time_is_up_then_the_next_run_goes_on() -> None:
    past, ids = over(3)
    now = past.stage.now
    ticks = iter([now, now, now + WITHIN])
    assert forget(past, lambda: next(ticks), retain=LEAST).requests == ids[:1]


def test_a_run_looks_at_so_many_and_no_more() -> None:
    past, _ = over(1)
    [request] = [each for each in past.stage.requests._requests.values() if each.status == "denied"]
    for _ in range(MOST + 60):
        id = an_id()
        past.stage.requests._requests[id] = replace(request, id=id)
    assert len(forget(past, lambda: past.stage.now, retain=LEAST).requests) <= MOST
    assert past.looked_at == MOST
