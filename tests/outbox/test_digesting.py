"""Digesting: every day once, in a row, of what the copy holds; nobody who writes to the bucket holds it up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest

from chalicelib.core import copied
from chalicelib.core.comparing import Digests, read_digests
from chalicelib.core.digest import Digest, Signed, name
from chalicelib.core.ledger import Event, EventType, Recorded, beginning, next_event
from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.digesting import LATE, WITHIN, Digested, digest
from tests.outbox.fakes import FakeSafe

BEGUN = datetime(2026, 11, 23, 1, 17, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
FIRST = date(2026, 11, 22)


class Key:
    """`outbox.ports.SigningKey`. meanwhile: what happens while it signs."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile

    def sign(self, text: bytes) -> bytes:
        self.meanwhile()
        return hashlib.sha256(text).digest()

    def signed(self, text: bytes, signature: bytes) -> bool:
        return signature == hashlib.sha256(text).digest()


KEY = Key()


def is_signed(signed: Signed) -> bool:
    return KEY.signed(signed.digest.text.encode(), signed.signature)


@dataclass
class Archive:
    """A copy that is filled, a table, and a clock set by hand."""

    vault: FakeSafe = field(default_factory=FakeSafe)
    table: list[Recorded] = field(default_factory=list)
    now: datetime = BEGUN

    def happened(self, chain: str, at: datetime | None = None, *, copied_too: bool = True) -> Recorded:
        """A request was made."""
        event = next_event(beginning(chain), EventType.SUBMITTED, at or self.now, "carol", {})
        recorded = Recorded(chain, event)
        self.table.append(recorded)
        if copied_too:
            self.vault.keep(copied.name(chain, event), copied.text(recorded))
        return recorded

    def run(self) -> Digested:
        return digest(self.vault, KEY, self.day, lambda: self.now)

    def day(self, day: date) -> Iterable[Recorded]:
        return [each for each in self.table if each.event.at[:10] == day.isoformat()]

    def after(self, days: int = 1) -> Digested:
        self.now += days * ONE_DAY
        return self.run()

    def told(self) -> Digests:
        names = [each.name for each in self.vault.stored("digests/")]
        return read_digests({name: self.vault.texts[name] for name in names}, is_signed)


def test_the_first_run_begins_the_row_and_tells_of_no_day() -> None:
    archive = Archive()
    archive.happened("A", BEGUN - ONE_DAY)
    assert archive.run().made == [FIRST]
    told = archive.told()
    assert (told.first, told.last, told.whole, dict(told.statements), told.broken) == (FIRST, FIRST, True, {}, [])


def test_every_day_that_is_over_gets_one_digest_and_only_one() -> None:
    archive = Archive()
    archive.run()
    event = archive.happened("A").event
    assert archive.run().made == []
    assert archive.after().made == [date(2026, 11, 23)]
    assert archive.run().made == []
    [statement] = archive.told().statements["2026-11-23"]
    assert (statement.events, statement.heads["A"].hash) == (1, event.hash)


def test_days_that_were_missed_are_caught_up_with_in_one_row() -> None:
    archive = Archive()
    archive.run()
    for number, chain in enumerate("ABC"):
        archive.happened(chain, BEGUN + number * ONE_DAY)
    assert len(archive.after(5).made) == 5
    told = archive.told()
    assert (told.broken, told.whole, told.last) == ([], True, date(2026, 11, 27))
    assert [told.statements[f"2026-11-{day}"][0].events for day in (23, 24, 25, 26, 27)] == [1, 1, 1, 0, 0]


def test_what_comes_late_is_told_by_the_next_digest_and_what_was_told_stays() -> None:
    archive = Archive()
    archive.run()
    archive.happened("A")
    archive.after()
    archive.happened("B", BEGUN + timedelta(hours=1))
    archive.after()
    archive.after()
    told = archive.told()
    assert told.told_again == ["2026-11-23"]
    first, second = told.statements["2026-11-23"]
    assert (set(first.heads), set(second.heads)) == ({"A"}, {"A", "B"})
    assert told.broken == []


def test_late_is_for_as_long_as_the_emergency_queue_keeps_messages() -> None:
    archive = Archive()
    archive.run()
    archive.after(14)
    archive.happened("A", BEGUN)
    archive.after()
    assert "A" in archive.told().statements["2026-11-23"][-1].heads
    archive.after(LATE.days)
    archive.happened("B", BEGUN)
    archive.after()
    assert "B" not in archive.told().statements["2026-11-23"][-1].heads


def test_given_copy_and_table_differ_then_it_is_said() -> None:
    archive = Archive()
    archive.run()
    archive.happened("A")
    archive.happened("B", copied_too=False)
    gone, other = archive.happened("C"), archive.happened("D")
    archive.table.remove(gone)
    archive.table.remove(other)
    forged = next_event(beginning("D"), EventType.SUBMITTED, archive.now, "eve", {})
    archive.table.append(Recorded("D", forged))
    run = archive.after()
    assert run.unlike == ["B/1", "C/1", "D/1"]
    assert archive.told().statements["2026-11-23"][0].heads["D"].hash == other.event.hash
    assert archive.after().unlike == []


def test_given_an_event_of_the_table_no_longer_says_what_its_hash_says_then_it_is_said() -> None:
    archive = Archive()
    archive.run()
    told = archive.happened("A").event
    changed = Event(**{**told.as_json(), "actor": "eve"})  # type: ignore[arg-type]
    archive.table[:] = [Recorded("A", changed)]
    assert archive.after().unlike == ["A/1"]


GARBAGE = b"all is well"


@pytest.mark.parametrize(
    "place", ["events/2026-11-23/A/0000000001.json", "events/2026-11-23/x", "digests/2026-11-23.json"]
)
def test_what_somebody_else_wrote_into_the_bucket_is_named_and_holds_nothing_up(place: str) -> None:
    archive = Archive()
    archive.run()
    archive.vault.add(place, GARBAGE)
    archive.happened("B")
    run = archive.after()
    assert run.changed == {place}
    assert archive.after().made == [date(2026, 11, 24)]
    told = archive.told()
    if place.startswith("events/"):
        assert list(told.statements["2026-11-23"][0].heads) == ["B"]
        assert told.broken == []
    else:
        assert told.broken[0].chain == place


def test_an_event_under_another_ones_name_is_no_event() -> None:
    archive = Archive()
    archive.run()
    recorded = archive.happened("A")
    archive.vault.add("events/2026-11-23/B/0000000001.json", copied.text(recorded))
    assert archive.after().changed == {"events/2026-11-23/B/0000000001.json"}


def test_a_name_that_was_written_over_or_hidden_is_told_and_what_was_first_counts() -> None:
    archive = Archive()
    archive.run()
    recorded = archive.happened("A")
    place = copied.name("A", recorded.event)
    archive.vault.changes[place] = 1
    assert archive.after().changed == {place}
    assert archive.told().statements["2026-11-23"][0].heads["A"].hash == recorded.event.hash


def test_a_digest_in_the_place_of_the_next_one_is_told_and_the_row_goes_on() -> None:
    archive = Archive()
    archive.run()
    forged = Digest(FIRST, None, {}).followed({})
    archive.vault.add(name(forged.day), Signed(forged, b"mine").document)
    assert archive.after().changed == {name(forged.day)}
    archive.after()
    assert [each.why for each in archive.told().broken] == ["is not signed with this key", "is missing"]


def test_digests_of_days_to_come_are_none() -> None:
    archive = Archive()
    archive.run()
    archive.vault.add("digests/2099-01-01.json", GARBAGE)
    assert archive.after().made == [date(2026, 11, 23)]


def test_two_runs_at_once_make_one_row() -> None:
    archive = Archive()
    archive.run()
    archive.happened("A")
    archive.now += ONE_DAY
    other = Archive(archive.vault, archive.table, archive.now)
    run = digest(archive.vault, Key(meanwhile=other.run), archive.day, lambda: archive.now)
    assert (run.made, run.changed) == ([], set())
    assert archive.told().broken == []


def test_given_time_is_short_then_what_is_made_stays_and_the_next_run_goes_on() -> None:
    archive = Archive()
    archive.run()
    archive.now += 4 * ONE_DAY
    ticks = iter([archive.now, archive.now, *[archive.now + WITHIN] * 9])
    run = digest(archive.vault, KEY, archive.day, lambda: next(ticks))
    assert (len(run.made), run.finished) == (1, False)
    assert (len(archive.run().made), archive.told().broken) == (3, [])


def test_given_no_answer_then_nothing_is_lost() -> None:
    archive = Archive()
    archive.run()
    archive.happened("A")
    archive.vault.down = True
    with pytest.raises(Unavailable):
        archive.after()
    archive.vault.down = False
    assert archive.run().made == [date(2026, 11, 23)]
