"""What was done with sessions as lines for people, in which nobody's words can forge another line."""

from __future__ import annotations

import json
from collections.abc import Iterator

from daypass.client import Json
from daypass.narrowing import LONGEST, OWN, Narrowed, Used
from daypass.showing import ENDING, columns, pairs, plain


def activity(told: Json) -> str:
    """In words, session by session, and call by call."""
    sessions = [line for session in told.get("sessions", []) for line in _doings(session)]
    head = ("SESSION", "TOLD", "CALLS", "FIRST", "LAST", "DENIED", "WITH")
    calls = [
        (
            str(item.get("at", "")),
            str(item.get("action", "")),
            str(item.get("error") or ("read" if item.get("read_only") else "ok")),
            str(item.get("address", "")),
            str(item.get("region", "")),
            f"{plain(item.get('session'))[-ENDING:]} {plain(item.get('role_arn')).rpartition('/')[2]}",
        )
        for item in told.get("items", [])
    ]
    unlisted = sum(_number(each.get("unlisted")) for session in told.get("sessions", []) for each in _chain(session))
    partial = any(each.get("partial") for session in told.get("sessions", []) for each in _chain(session))
    parts = [
        plain(told.get("summary")),
        columns(head, sessions) if sessions else "",
        columns(("WHEN", "CALL", "OUTCOME", "FROM", "REGION", "AS"), calls) if calls else "",
        f"{unlisted} more calls are counted above and not listed." if unlisted else "",
        "There is more than could be read: what is missing is in CloudTrail's own files." if partial else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _chain(session: Json) -> list[Json]:
    return [session, *session.get("went_on_to", [])]


def _doings(session: Json) -> Iterator[tuple[str, ...]]:
    for number, each in enumerate(_chain(session)):
        ending = plain(session.get("id"))[-ENDING:]
        name = f"  → {plain(each.get('role_arn')).rpartition('/')[2]}" if number else ending
        told = ("used" if each.get("used") else "never used") if each.get("seen") or each.get("used") else "not seen"
        denied = sum(map(_number, (each.get("denied") or {}).values()))
        services = ", ".join(plain(service) for service in each.get("services", []))
        times = (str(each.get("first_use", "")), str(each.get("last_use", "")))
        yield name, told, str(each.get("events", "")), *times, str(denied or ""), services


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def used(what: Used, narrow: Narrowed) -> str:
    """What was used, as a policy, and what that leaves open."""
    about = [
        ("requests", str(what.requests)),
        ("sessions", f"{what.sessions}, {what.unused} of them never used"),
        ("actions", f"{len(what.actions)}, {len(what.actions) - len(what.succeeded)} of them only ever denied"),
        ("as IAM", f"{len(narrow.taken)} by CloudTrail's own name"),
        *(("mapped", f"{plain(name)} is {', '.join(names)}") for name, names in narrow.mapped.items()),
        *(("left out", f"{plain(name)}: no action of IAM's that is known") for name in narrow.left_out),
        ("partial", f"{what.partial} sessions did more than could be read" if what.partial else ""),
    ]
    return "\n\n".join(part for part in (pairs(about), plain(narrow.policy), "\n".join(_open(narrow))) if part)


def _open(narrow: Narrowed) -> Iterator[str]:
    if narrow.policy is None:
        yield "Nothing was used: there is nothing to suggest."
        return
    room = f"{len(narrow.policy)} characters, and Daypass adds {OWN}: STS takes {LONGEST}."
    yield f"It fits. {room}" if narrow.fits else f"It does NOT fit. {room} Put it into a policy of the role's."
    yield "Resources are not narrowed: CloudTrail's names tell of actions only."
    yield "Data events (objects of S3, items of DynamoDB, invocations) are missing unless the trail records them."
    yield "Read it before you use it: CloudTrail's names are not always IAM's, and some actions need others too."


def used_json(what: Used, narrow: Narrowed) -> dict[str, object]:
    return {
        "requests": what.requests,
        "sessions": what.sessions,
        "never_used": what.unused,
        "partial": what.partial,
        "actions": dict(sorted(what.actions.items())),
        "denied": dict(sorted(what.denied.items())),
        "taken": list(narrow.taken),
        "mapped": {name: list(names) for name, names in narrow.mapped.items()},
        "left_out": list(narrow.left_out),
        "policy": json.loads(narrow.policy) if narrow.policy else None,
        "characters": len(narrow.policy or ""),
        "fits": narrow.fits,
    }
