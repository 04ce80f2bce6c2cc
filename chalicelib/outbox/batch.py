"""A batch of the table's stream: in order, up to the first record that has to be tried again.

What can never succeed is buried at once, and what comes after it goes on: one bad record holds up nobody. What may
succeed later holds up all that comes after it, so that what is told of a request is told in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.refusals import Unavailable
from chalicelib.outbox.ports import Committed, DeadLetters, Unreadable

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of some lines at one sink. done: of so many first ones no more is to be done.

    why: what stands in the way of the next one. hopeless: by position, what was passed over and why.
    """

    done: int
    why: str | None = None
    hopeless: Mapping[int, Exception] = field(default_factory=dict)


Sink = Callable[[Sequence[Committed]], Delivered]
Read = Callable[[Record], Committed | None]


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of a batch. failed: the sequence number from which on Lambda has to try again; None: all is done.

    announced: how many lines are done. buried: the letters that were put aside, each with what was wrong.
    """

    announced: int
    failed: str | None
    why: str | None
    buried: tuple[tuple[Mapping[str, object], Exception], ...]

    def response(self) -> dict[str, Any]:
        """The answer that Lambda reads.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
        """
        return {"batchItemFailures": [] if self.failed is None else [{"itemIdentifier": self.failed}]}


@dataclass(frozen=True, slots=True)
class _Bad:
    """A record that no repetition makes better. position: in the batch."""

    position: int
    sink: str
    error: Exception


def handle(records: Sequence[Record], *, read: Read, sinks: Mapping[str, Sink], dead: DeadLetters | None) -> Handled:
    """Hand the new lines among the records to every sink, and bury what is hopeless.

    dead: None where nothing can be buried: then what is hopeless is tried again until Lambda gives it up.
    """
    lines: list[tuple[int, Committed]] = []
    bad: list[_Bad] = []
    for position, record in enumerate(records):
        try:
            line = read(record)
        except Unreadable as error:
            bad.append(_Bad(position, "stream", error))
            continue
        if line is not None:
            lines.append((position, line))
    outcomes = {name: sink([line for _, line in lines]) for name, sink in sinks.items()}
    for name, outcome in outcomes.items():
        bad += [_Bad(lines[number][0], name, error) for number, error in outcome.hopeless.items()]
    stop, why = _first_stop(len(records), lines, outcomes.values())
    buried, stop, why = _bury(records, bad, stop, why, dead)
    return Handled(
        announced=sum(position < stop for position, _ in lines),
        failed=None if stop == len(records) else _sequence_number(records[stop]),
        why=why,
        buried=tuple(buried),
    )


def _first_stop(
    count: int, lines: Sequence[tuple[int, Committed]], outcomes: Iterable[Delivered]
) -> tuple[int, str | None]:
    """The position of the first record that some sink has to be given again, and why; the end where there is none."""
    stops = [(lines[outcome.done][0], outcome.why) for outcome in outcomes if outcome.done < len(lines)]
    return min(stops, key=lambda stop: stop[0], default=(count, None))


def _bury(
    records: Sequence[Record], bad: Iterable[_Bad], stop: int, why: str | None, dead: DeadLetters | None
) -> tuple[list[tuple[Mapping[str, object], Exception]], int, str | None]:
    """Bury what comes before the stop: what comes after it will be seen again."""
    buried: list[tuple[Mapping[str, object], Exception]] = []
    for each in sorted(bad, key=lambda bad: bad.position):
        if each.position >= stop:
            break
        letter = _letter(records[each.position], each)
        try:
            if dead is None:
                raise Unavailable("There is no queue for dead letters.")
            dead.bury(letter)
        except Unavailable as outage:
            return buried, each.position, outage.detail
        buried.append((letter, each.error))
    return buried, stop, why


def _letter(record: Record, bad: _Bad) -> Mapping[str, object]:
    """Where the line is to be found; not what it holds, and of the error only what kind it is."""
    change = record.get("dynamodb")
    return {
        "sink": bad.sink,
        "error": type(bad.error).__name__,
        "sequence_number": _sequence_number(record),
        "keys": change.get("Keys") if isinstance(change, Mapping) else None,
    }


def _sequence_number(record: Record) -> str:
    change = record.get("dynamodb")
    return str(change.get("SequenceNumber", "")) if isinstance(change, Mapping) else ""


def one_by_one(lines: Sequence[Committed], tell: Callable[[Committed], None]) -> Delivered:
    """Tell the lines one after the other, up to the first that has to wait. A bug at one line is no other line's."""
    hopeless: dict[int, Exception] = {}
    for number, line in enumerate(lines):
        try:
            tell(line)
        except Unavailable as outage:
            return Delivered(number, outage.detail, hopeless)
        except Exception as error:
            hopeless[number] = error
    return Delivered(len(lines), None, hopeless)
