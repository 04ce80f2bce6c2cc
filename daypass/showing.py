"""The API's answers as lines for people: plain text in columns, in which nobody's words can forge another line."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from daypass.client import Json

ENDING: Final = 8  # of an id: enough to find it again
_WIDEST: Final = 48
_COLOURS: Final[Mapping[str, str]] = {
    "pending": "33",
    "ready": "32",
    "scheduled": "36",
    "active": "32;1",
    "denied": "31",
    "revoked": "31",
    "expired": "2",
    "cancelled": "2",
    "ended": "2",
    "returned": "2",
}

# Of an event's details, what `--json` tells and a person does not ask for.
_FOR_JSON: Final = frozenset(
    {"assumed_role_id", "comment_sha256", "reason_sha256", "role_arn", "session", "sts_region", "sts_request_id"}
)

# What a deny reached beyond the request, for want of room at its role.
_ALSO_CUT: Final[Mapping[str, str]] = {
    "person": "every other session that this person had at the role: its inline policies are nearly full",
    "role": "EVERYBODY's sessions at the role: its inline policies are nearly full; whoever asks anew gets a new one",
}

Paint = Callable[[str, str], str]


def in_colour(text: str, state: str) -> str:
    code = _COLOURS.get(state)
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def colourless(text: str, state: str) -> str:
    return text


def plain(value: object) -> str:
    """One line of printable text: line breaks become spaces, other controls and what turns text around become `�`."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def length(seconds: object) -> str:
    """`4 h`, `1 h 30 min`, `45 s`."""
    if not isinstance(seconds, int):
        return plain(seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (left, "s")) if n) or "0 s"


def who(condition: object) -> str:
    """A stage's `from`: `groups sre-leads`."""
    if not isinstance(condition, Mapping):
        return plain(condition)
    parts = (
        f"{name} {', '.join(plain(v) for v in value) if isinstance(value, list) else plain(value)}"
        for name, value in condition.items()
        if value
    )
    return " and ".join(parts) or "nobody"


def stages(of: Iterable[Json], *, missing: bool = False) -> str:
    """`1 of groups sre-leads + 1 of groups security`; with missing: what is still to be said yes to."""
    lacking = [(stage.get("count", 0) - (len(stage.get("approved_by", [])) if missing else 0), stage) for stage in of]
    return " + ".join(f"{count} of {who(stage.get('from'))}" for count, stage in lacking if count > 0)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint = colourless, state: int = -1) -> str:
    """Rows under their heads, aligned; the column `state` is painted by what it says. The last column may be long."""
    table = [tuple(head), *((*map(_short, row[:-1]), plain(row[-1])) for row in rows)]
    widths = [max(_width(row[i]) for row in table) for i in range(len(head))]
    lines = []
    for number, row in enumerate(table):
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        if number and state >= 0:
            cells[state] = paint(cells[state], row[state])
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def pairs(of: Sequence[tuple[str, str]]) -> str:
    """Name and value, a line each; what is empty is left out."""
    given = [(name, value) for name, value in of if value]
    width = max((len(name) for name, _ in given), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in given)


def roles(items: Sequence[Json]) -> str:
    rows = []
    for item in items:
        terms = [term for term in item.get("terms", []) if isinstance(term, Mapping)]
        longest = max((term.get("max_duration_seconds", 0) for term in terms), default=0)
        scoped = "a scope" if item.get("require_scope") else ""
        ways = " or ".join(dict.fromkeys(map(_way, terms)))
        scopes = ", ".join(plain(scope.get("name")) for scope in item.get("scopes", []))
        glass = item.get("break_glass")
        burning = f"in an emergency at once, up to {length(glass.get('max_duration_seconds'))}" if glass else ""
        needs = "; ".join(part for part in (ways, f"needs {scoped}: {scopes}" if scoped else "", burning) if part)
        rows.append((item.get("role", ""), _account(item), length(longest), needs))
    return columns(("ROLE", "ACCOUNT", "UP TO", "AFTER"), rows)


def _way(term: Mapping[str, Any]) -> str:
    """How one rule gives a role: `at once, 4 h a day, mon,tue 08:00-18:00 Europe/Berlin`."""
    per_day = f"{length(term['max_per_day_seconds'])} a day" if term.get("max_per_day_seconds") else ""
    parts = (stages(term.get("stages", [])) or "at once", per_day, plain(term.get("hours")))
    return ", ".join(part for part in parts if part)


def requests(items: Sequence[Json], paint: Paint = colourless) -> str:
    rows = [
        (
            str(item.get("id", ""))[-ENDING:],
            str(item.get("state", "")),
            str(item.get("role", "")),
            str(item.get("requester", "")),
            length(item.get("duration_seconds")),
            _when(item),
            quoted(item.get("reason")),
        )
        for item in items
    ]
    return columns(("ID", "STATE", "ROLE", "WHO", "FOR", "WHEN", "REASON"), rows, paint, state=1)


def _when(item: Json) -> str:
    """When it begins where that is to come, else when it ends or ended, else when it was asked for."""
    if item.get("starts_at") and item.get("state") in ("pending", "scheduled"):
        return f"from {item['starts_at']}"
    return f"until {item['ends_at']}" if item.get("ends_at") else f"asked {item.get('created_at', '')}"


def request(item: Json, paint: Paint = colourless) -> str:
    """All that a request says of itself, but for its history."""
    state = plain(item.get("state"))
    because = f" ({plain(item['expired_because'])})" if item.get("expired_because") else ""
    scope = item.get("scope") or {}
    given = scope.get("parameters", {}) if isinstance(scope, Mapping) else {}
    glass = bool(item.get("break_glass"))
    chosen = " ".join([plain(scope.get("name", "")), *(f"{plain(k)}={plain(v)}" for k, v in given.items())])
    about = [
        ("id", plain(item.get("id"))),
        ("state", paint(state, state) + because),
        ("role", f"{plain(item.get('role'))} in {_account(item)}"),
        ("role arn", plain(item.get("role_arn"))),
        ("who", plain(item.get("requester"))),
        ("for", length(item.get("duration_seconds"))),
        ("reason", quoted(item.get("reason"))),
        ("ticket", plain(item.get("ticket"))),
        ("scope", chosen.strip()),
        ("policy", plain(item.get("session_policy"))),
        ("rule", plain(item.get("rule"))),
        ("approvals", stages(item.get("stages", [])) or ("none: an emergency" if glass else "none needed")),
        ("escalated", quoted(item["escalated_because"]) if item.get("escalated_because") else ""),
        ("review", _review(item) if glass else ""),
        ("asked", plain(item.get("created_at"))),
        ("answer by", plain(item.get("answer_by")) if state == "pending" else ""),
        ("use by", plain(item.get("use_by")) if state == "ready" else ""),
        ("from", plain(item.get("starts_at"))),
        ("until", plain(item.get("ends_at"))),
        ("goes on from", plain(item.get("extends"))),
        ("extended by", plain(item.get("extended_by"))),
        ("texts erased", plain(item.get("erased_at"))),
    ]
    about += [("approved by", _approval(approval)) for approval in item.get("approvals", [])]
    if state in ("denied", "cancelled", "revoked"):  # else the last approval says it
        about += [("decided by", plain(item.get("decided_by")))]
        about += [("saying", quoted(item.get("decision_comment")) if item.get("decision_comment") else "")]
    about += [("session", _session(session)) for session in item.get("sessions", [])]
    if item.get("sessions"):
        about += [("its use", f"daypass activity {plain(item.get('id'))[-ENDING:]}")]
    return pairs([*about, *_revocation(item.get("revocation") or {})])


def timeline(events: Sequence[Json]) -> str:
    rows = [
        (
            str(event.get("at", "")),
            str(event.get("type", "")),
            str(event.get("actor", "")),
            " ".join(f"{plain(k)}={_detail(v)}" for k, v in (event.get("details") or {}).items() if k not in _FOR_JSON),
        )
        for event in events
    ]
    return columns(("WHEN", "WHAT", "WHO", "MORE"), rows)


def slack_unbound(item: Json) -> str:
    ended = [f"{plain(user.get('user'))} of team {plain(user.get('team'))}" for user in item.get("ended", [])]
    return f"Not you any more: {', '.join(ended)}." if ended else "No Slack user was you."


def slack_binding(item: Json) -> str:
    user = f"{plain(item.get('user'))} of team {plain(item.get('team'))}, {plain(item.get('email'))}"
    replaced = f"{plain(item['replaced'])}, who is nobody to Daypass any more" if item.get("replaced") else ""
    return pairs(
        [
            ("slack user", user),
            ("acts as", plain(item.get("principal"))),
            ("groups", ", ".join(plain(group) for group in item.get("groups", []))),
            ("until", f"{plain(item.get('until'))}; then confirm it again"),
            ("replaces", replaced),
        ]
    )


def quoted(text: object) -> str:
    """Somebody's own words, which can end neither the quotation nor the line."""
    return "“" + plain(text).replace("“", '"').replace("”", '"') + "”"


def _account(item: Json) -> str:
    return f"{plain(item.get('account'))} ({plain(item.get('account_id'))})"


def _approval(approval: Json) -> str:
    said = f" {quoted(approval['comment'])}" if approval.get("comment") else ""
    return f"{plain(approval.get('by'))} at {plain(approval.get('at'))}{said}"


def _review(emergency: Json) -> str:
    found = emergency.get("review")
    if not isinstance(found, Mapping):
        return f"due by {plain(emergency.get('review_by'))}"
    return f"{plain(found.get('verdict'))}, says {plain(found.get('by'))} {quoted(found.get('comment'))}"


def _session(session: Json) -> str:
    name, key = plain(session.get("session_name")), plain(session.get("access_key_id"))
    return f"{plain(session.get('issued_at'))} to {plain(session.get('expires_at'))}  {key}  {name}"


def _revocation(told: Json) -> list[tuple[str, str]]:
    """What is known of the sessions that were cut: a deny that is written takes AWS up to minutes to apply."""
    stopped = [("stopped", plain(told.get("stopped_at")))]
    denies = [line for deny in told.get("denies", []) for line in _deny(deny)]
    return [*stopped, *denies, *(("not cut", plain(arn)) for arn in told.get("not_covered", []))]


def _deny(deny: Json) -> list[tuple[str, str]]:
    lines = [("deny", f"{_known(deny)}  {plain(deny.get('role_arn'))}")]
    if others := _ALSO_CUT.get(str(deny.get("covers"))):
        lines.append(("also cut", others))
    return lines


def _known(deny: Json) -> str:
    if deny.get("removed_at"):
        return f"removed at {plain(deny['removed_at'])}: its sessions are over"
    written = f"written at {plain(deny['written_at'])}" if deny.get("written_at") else "NOT known to be written"
    return f"{written} ({plain(deny['error'])})" if deny.get("error") else written


def _detail(value: object) -> str:
    text = ",".join(plain(each) for each in value) if isinstance(value, list) else plain(value)
    if len(text) == 64 and all(c in "0123456789abcdef" for c in text):
        return text[:12] + "…"
    return text


def _short(cell: str) -> str:
    text = plain(cell)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _width(text: str) -> int:
    """The columns that a terminal gives the text."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    none = sum(unicodedata.combining(c) > 0 for c in text)
    return len(text) + wide - none
