"""Events in the form of OCSF 1.5.0, for what collects security events: https://schema.ocsf.io/1.5.0.

Sessions are Authorize Session (3003), everything else Entity Management (3004) of an access request. What OCSF has no
attribute for, all of the hashes among it, is under `unmapped`: nothing of an event is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

VERSION: Final = "1.5.0"
_IAM: Final = 3
_SESSION, _ENTITY = (3003, "Authorize Session"), (3004, "Entity Management")
_CREATE, _UPDATE, _OTHER = (1, "Create"), (3, "Update"), 99
_ASSIGN: Final = (1, "Assign Privileges")
_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")
_USER, _SYSTEM = (1, "User"), (3, "System")
_SEVERITY: Final[Mapping[str, tuple[int, str]]] = {
    "break_glass.opened": (5, "Critical"),
    "bypass.found": (5, "Critical"),
    "session.unseen": (4, "High"),
    "deny.failed": (4, "High"),
    "session.failed": (2, "Low"),
}
_INFORMATIONAL: Final = (1, "Informational")
_OF_SESSIONS: Final = frozenset({"session.issuing", "session.issued", "session.failed"})
_ALARMS: Final = frozenset({"bypass.found", "session.unseen"})


def event(line: Mapping[str, Any]) -> dict[str, Any]:
    """An event with its `request_id` or its `chain`, as the API gives it, in the form of OCSF.

    Raises KeyError, TypeError and ValueError for what is no event of Daypass's.
    """
    of_session = line["type"] in _OF_SESSIONS
    chain = _chain(line)
    (class_uid, class_name), (activity_id, activity) = (_SESSION, _ASSIGN) if of_session else (_ENTITY, _activity(line))
    severity_id, severity = _SEVERITY.get(line["type"], _INFORMATIONAL)
    status_id, status = _status(line["type"])
    return {
        "category_uid": _IAM,
        "category_name": "Identity & Access Management",
        "class_uid": class_uid,
        "class_name": class_name,
        "activity_id": activity_id,
        "activity_name": activity,
        "type_uid": class_uid * 100 + activity_id,
        "time": _milliseconds(line["at"]),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": f"{line['type']} by {line['actor']}",
        "actor": {"user": _user(line["actor"])},
        "metadata": {
            "version": VERSION,
            "product": {"name": "Daypass", "vendor_name": "Daypass"},
            "uid": f"{chain}/{line['seq']}",
            "correlation_uid": chain,
            "sequence": line["seq"],
            "event_code": line["type"],
            "original_time": line["at"],
        },
        **(_session(line) if of_session else _entity(line)),
        "unmapped": {name: line[name] for name in ("details", "prev_hash", "hash")},
    }


def _chain(line: Mapping[str, Any]) -> str:
    return str(line["request_id"] if "request_id" in line else line["chain"])


def _activity(line: Mapping[str, Any]) -> tuple[int, str]:
    if line["type"] == "request.submitted":
        return _CREATE
    return _UPDATE if "request_id" in line else (_OTHER, line["type"])


def _status(kind: str) -> tuple[int, str]:
    if kind == "session.issuing":
        return _OTHER, "Issuing"
    return _FAILURE if kind.endswith(".failed") or kind in _ALARMS else _SUCCESS


def _session(line: Mapping[str, Any]) -> dict[str, Any]:
    details = line["details"]
    session = {"uid": details["session"], "credential_uid": details.get("access_key_id")}
    if "expiration" in details:
        session["expiration_time"] = _milliseconds(details["expiration"])
    return {
        "user": _user(line["actor"]),
        "session": {name: value for name, value in session.items() if value is not None},
        "privileges": ["sts:AssumeRole"],
    }


def _entity(line: Mapping[str, Any]) -> dict[str, Any]:
    kind = "access request" if "request_id" in line else "ledger"
    return {"entity": {"uid": _chain(line), "type_id": _OTHER, "type": kind}}


def _user(actor: str) -> dict[str, Any]:
    type_id, kind = _SYSTEM if actor == "daypass" else _USER
    return {"uid": actor, "name": actor, "type_id": type_id, "type": kind}


def _milliseconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp()) * 1000
