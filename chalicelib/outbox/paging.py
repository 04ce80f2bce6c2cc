"""Paging: an emergency, and what was found of it, as a message that wakes somebody up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chalicelib.broker.ports import Stale
from chalicelib.core.ledger import EventType
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request, Verdict
from chalicelib.core.times import spoken, stamp
from chalicelib.outbox.batch import Delivered, one_by_one
from chalicelib.outbox.ports import Committed, Find, Message, Messages, Page, Pager

PAGED = frozenset({EventType.BREAK_GLASS_OPENED, EventType.BREAK_GLASS_REVIEWED})

LONGEST_SUBJECT = 100
"""Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html (Subject)."""


def page(lines: Sequence[Committed], *, pager: Pager, messages: Messages, find: Find) -> Delivered:
    """Page for the lines that are about emergencies, each once; twice only where a crash hid that it was done."""

    def tell(line: Committed) -> None:
        if line.event.type not in PAGED or line.request_id is None:
            return
        request = find(line.request_id)
        if request is None:
            return
        known = {message.place: message for message in messages.of(request.id)}
        message = known.get(pager.place) or Message(request_id=request.id, place=pager.place)
        if message.version >= line.event.seq:
            return
        pager.publish(written(line, request))
        try:
            messages.put(replace(message, version=line.event.seq))
        except Stale:
            raise Unavailable("Somebody else pages for the same emergency.") from None

    return one_by_one(lines, tell)


def written(line: Committed, request: Request) -> Page:
    """The message: what the broker knows, and nothing that its reader could be fooled by. No reason, no comment."""
    opened = line.event.type == EventType.BREAK_GLASS_OPENED
    where = f"{request.role} in {request.account}"
    subject = f"Daypass EMERGENCY: {where}" if opened else f"Daypass emergency reviewed: {where}"
    facts = {
        "who": request.requester.id,
        "role": f"{request.role} ({request.role_arn})",
        "account": f"{request.account} ({request.account_id})",
        "for": spoken(request.duration),
        "when": line.event.at,
        "rule": request.rule,
        **(_opened(request) if opened else _reviewed(line)),
        "request": request.id,
        "more": f"daypass show {request.id}",
    }
    first = "The glass was broken: access without approval." if opened else "An emergency was reviewed."
    text = "\n".join([first, "", *(f"{name}: {value}" for name, value in facts.items())])
    return Page(
        subject="".join(c if " " <= c <= "~" else "?" for c in subject)[:LONGEST_SUBJECT],
        text=f"{text}\n",
        attributes={
            "type": line.event.type,
            "severity": _severity(line),
            "request_id": request.id,
            "account_id": request.account_id,
            "role": request.role,
        },
    )


def _opened(request: Request) -> Mapping[str, str]:
    return {"review by": stamp(request.review_by)} if request.review_by else {}


def _reviewed(line: Committed) -> Mapping[str, str]:
    return {"verdict": str(line.event.details.get("verdict", "")), "by": line.event.actor}


def _severity(line: Committed) -> str:
    """`critical` for what is open and for what should not have been; `info` for what was found justified."""
    if line.event.type == EventType.BREAK_GLASS_REVIEWED and line.event.details.get("verdict") == Verdict.JUSTIFIED:
        return "info"
    return str(line.event.details.get("severity", "critical"))
