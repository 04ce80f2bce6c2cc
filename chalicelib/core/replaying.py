"""A request held against its own history: what the item says that no event explains.

The request is taken as the API shows it, so that whoever may read a request can check it. Names, times and numbers are
compared. Texts are not: their commitments are salted, and the salt is not shown. Nor is what an event leaves open: by
which rule a pending request would be decided, and where the window of an extension begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chalicelib.core.ledger import EventType
from chalicelib.core.life import State, Status
from chalicelib.core.times import read_stamp
from chalicelib.core.verifying import Break

SESSIONS_SHOWN = 50

_STATES: Mapping[Status, frozenset[State]] = {
    Status.PENDING: frozenset({State.PENDING, State.EXPIRED}),
    Status.APPROVED: frozenset({State.READY, State.SCHEDULED, State.ACTIVE, State.ENDED, State.EXPIRED}),
    Status.USED: frozenset({State.ACTIVE, State.ENDED}),
    Status.DENIED: frozenset({State.DENIED}),
    Status.CANCELLED: frozenset({State.CANCELLED}),
    Status.RETURNED: frozenset({State.RETURNED}),
    Status.REVOKED: frozenset({State.REVOKED}),
}

Line = Mapping[str, Any]


@dataclass(slots=True)
class _Story:
    """What the events add up to. might: the statuses that they leave open. opened_at: the first use that counts."""

    might: frozenset[Status] = frozenset()
    facts: dict[str, object] = field(default_factory=dict)
    approvals: list[tuple[str, str, bool]] = field(default_factory=list)
    review: tuple[str, str, str] | None = None
    begun: dict[str, Line] = field(default_factory=dict)
    issued: dict[str, Line] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    opened_at: str | None = None
    asked_start: bool = False
    written: list[tuple[str, str]] = field(default_factory=list)
    cut: bool = False


def unexplained(request: Line, events: Sequence[Line]) -> list[Break]:
    """Everything that the request says and its events do not, each named by its field.

    request: as `GET /v1/requests/{id}` answers; events: as its `events` do, oldest first, a chain that holds.
    Raises KeyError, TypeError and ValueError where one of the two is not as Daypass writes them.
    """
    story = _Story()
    for event in events:
        if tell := _TOLD.get(event["type"]):
            tell(story, event, event["details"])
    seq = events[-1]["seq"] if events else 0
    if request["version"] != seq:
        return [Break(request["id"], seq, f"version is {request['version']}: its history ends with event {seq}")]
    return [Break(request["id"], seq, f"{what}: no event says so") for what in _said(request, story)]


def _said(request: Line, story: _Story) -> Iterator[str]:
    if not any(request["state"] in _STATES[status] for status in story.might):
        yield f"state is {request['state']}"
    for name, value in story.facts.items():
        if request.get(name) != value:
            yield f"{name} is {request.get(name)!r}, not {value!r}"
    given = [(each["by"], each["at"], each.get("mfa", True)) for each in request["approvals"]]
    if given != story.approvals:
        yield f"approvals are by {', '.join(by for by, _, _ in given) or 'nobody'}"
    review = request.get("review")
    if (review and (review["verdict"], review["by"], review["at"])) != story.review:
        yield f"review is {review['verdict'] if review else 'none'}"
    yield from _window(request, story)
    yield from _sessions(request["sessions"], story)
    yield from _cuts(request.get("revocation"), story)


def _window(request: Line, story: _Story) -> Iterator[str]:
    begins, ends = request.get("starts_at"), request.get("ends_at")
    if begins is None or ends is None:
        if story.asked_start or any(id not in story.failed for id in story.begun):
            yield "window is none"
        return
    length = read_stamp(ends) - read_stamp(begins)
    if length > timedelta(seconds=request["duration_seconds"]):
        yield f"window is {begins} to {ends}, longer than what was approved"
    if "extends" in story.facts or story.facts.get("starts_at"):
        return
    if not story.begun:
        yield f"window is {begins} to {ends}"
    elif begins != story.opened_at:
        yield f"window begins at {begins}"


def _sessions(shown: Sequence[Line], story: _Story) -> Iterator[str]:
    for session in shown:
        begun, issued = story.begun.get(session["id"]), story.issued.get(session["id"])
        if begun is None or issued is None:
            yield f"session {session['id']} is there"
            continue
        expected = {
            "session_name": begun["details"]["session_name"],
            "access_key_id": issued["details"]["access_key_id"],
            "issued_at": issued["at"],
            "expires_at": min(issued["details"]["expiration"], begun["details"]["ends_at"]),
        }
        for name, value in expected.items():
            if session.get(name) != value:
                yield f"session {session['id']} has {name} {session.get(name)!r}, not {value!r}"
    here = {session["id"] for session in shown}
    if len(shown) < SESSIONS_SHOWN:
        for id in story.issued:
            if id not in here:
                yield f"session {id} is not there"


def _cuts(revocation: Line | None, story: _Story) -> Iterator[str]:
    if (revocation is not None) != story.cut:
        yield f"revocation is {'there' if revocation else 'none'}"
    for deny in revocation["denies"] if revocation else ():
        at = deny.get("written_at")
        if at is not None and (deny["role_arn"], at) not in story.written:
            yield f"a deny at {deny['role_arn']} is written at {at}"


# What each event tells


def _submitted(story: _Story, event: Line, details: Line) -> None:
    story.might = frozenset({Status.APPROVED if "rule" in details else Status.PENDING})
    story.asked_start = "starts_at" in details
    story.facts = {
        "requester": event["actor"],
        "created_at": event["at"],
        "role": details["role"],
        "role_arn": details["role_arn"],
        "duration_seconds": details["duration_seconds"],
        "catalogue_digest": details["catalogue_digest"],
        "ticket": details.get("ticket"),
        "scope": details.get("scope"),
        "break_glass": False,
    }
    for name in ("rule", "extends", "starts_at"):
        if name in details:
            story.facts[name] = details[name]


def _approved(story: _Story, event: Line, details: Line) -> None:
    story.approvals.append((event["actor"], event["at"], details.get("mfa") != "no"))
    if "duration_seconds" in details:
        story.facts["duration_seconds"] = details["duration_seconds"]
    if details["enough"] == "yes":
        story.might = frozenset({Status.APPROVED})
        story.facts |= {"rule": details["rule"], "decided_by": event["actor"]}


def _denied(story: _Story, event: Line, details: Line) -> None:
    story.might = frozenset({Status.DENIED})
    story.facts["decided_by"] = event["actor"]


def _cancelled(story: _Story, event: Line, details: Line) -> None:
    story.might = frozenset({Status.CANCELLED})
    if "comment_sha256" in details:  # it went with an earlier link that somebody took away
        story.facts["decided_by"] = event["actor"]


def _returned(story: _Story, event: Line, details: Line) -> None:
    story.might = frozenset({Status.RETURNED})
    story.cut = details.get("cut") == "yes"


def _revoked(story: _Story, event: Line, details: Line) -> None:
    left_alive = Status.RETURNED in story.might  # what was given back stays so, and what still lived of it is cut
    story.might = frozenset({Status.RETURNED if left_alive else Status.REVOKED})
    story.facts["decided_by"] = event["actor"]
    story.cut = True


def _escalated(story: _Story, event: Line, details: Line) -> None:
    story.asked_start = False
    for name in ("extends", "starts_at"):
        story.facts.pop(name, None)


def _opened(story: _Story, event: Line, details: Line) -> None:
    story.might = frozenset({Status.APPROVED})
    story.facts |= {"break_glass": True, "rule": details["rule"], "review_by": details["review_by"]}


def _reviewed(story: _Story, event: Line, details: Line) -> None:
    story.review = details["verdict"], event["actor"], event["at"]


def _extended(story: _Story, event: Line, details: Line) -> None:
    story.facts["extended_by"] = details["extension"]


def _issuing(story: _Story, event: Line, details: Line) -> None:
    if not story.begun or (all(id in story.failed for id in story.begun) and Status.APPROVED in story.might):
        story.opened_at = event["at"]
    story.begun[details["session"]] = event
    story.might = frozenset({Status.USED})


def _issued(story: _Story, event: Line, details: Line) -> None:
    story.issued[details["session"]] = event


def _failed(story: _Story, event: Line, details: Line) -> None:
    story.failed.add(details["session"])
    if story.might == {Status.USED} and len(story.begun) == len(story.failed):
        # Where STS had said no for certain, and to the only session there was, the request was unused again.
        story.might = frozenset({Status.USED, Status.APPROVED})


def _deny_written(story: _Story, event: Line, details: Line) -> None:
    story.written.append((details["role_arn"], event["at"]))


_TOLD: Mapping[str, Callable[[_Story, Line, Line], None]] = {
    EventType.SUBMITTED: _submitted,
    EventType.APPROVED: _approved,
    EventType.DENIED: _denied,
    EventType.CANCELLED: _cancelled,
    EventType.RETURNED: _returned,
    EventType.REVOKED: _revoked,
    EventType.ESCALATED: _escalated,
    EventType.EXTENDED: _extended,
    EventType.BREAK_GLASS_OPENED: _opened,
    EventType.BREAK_GLASS_REVIEWED: _reviewed,
    EventType.SESSION_ISSUING: _issuing,
    EventType.SESSION_ISSUED: _issued,
    EventType.SESSION_FAILED: _failed,
    EventType.DENY_WRITTEN: _deny_written,
}
