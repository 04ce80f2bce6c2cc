"""The forms that come back: what somebody filled in is done, or the form says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from chalicelib.broker import deciding, seeing
from chalicelib.broker.seeing import Requestable
from chalicelib.core.refusals import Invalid, MayNotApprove
from chalicelib.core.rules import not_eligible
from chalicelib.fields import parsed
from chalicelib.slack import asks, emergencies, forms
from chalicelib.slack.buttons import Blocks, needs_mfa, user
from chalicelib.slack.text import Json, label
from chalicelib.slack.visit import Office, Visit
from chalicelib.slack.words import terms

View = Mapping[str, Any]


def sent(office: Office, payload: Mapping[str, Any]) -> Blocks | None:
    """Do what the form says. What there is to read; None where nothing is: the form closes."""
    view = payload["view"]
    about = view["private_metadata"] if view["callback_id"] in (forms.SHORTEN, forms.DENY) else None
    visit = office.call(user(payload), about)
    return _FORMS[view["callback_id"]](visit, view)


def _ask(visit: Visit, view: View) -> Blocks | None:
    given = forms.values(view)
    role = given.get("role", "")
    seconds = given.get(f"duration:{role}")
    if seconds is None:
        raise Invalid("Choose a role, and for how long: the form asks for it once the role is chosen.")
    scope = given.get(f"scope:{role}")
    prefix = f"parameter:{scope}:"
    ask = asks.wish(
        role=role,
        duration=timedelta(seconds=int(seconds)),
        reason=given.get("reason", ""),
        ticket=given.get("ticket"),
        scope=scope,
        parameters={name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)},
    )
    return asks.asked(visit, ask, view["id"])


def _shorten(visit: Visit, view: View) -> Blocks | None:
    given, request_id = forms.values(view), str(view["private_metadata"])
    comment = _comment(given["comment"]) if "comment" in given else None
    duration = timedelta(seconds=int(given["duration_seconds"]))
    try:
        deciding.approve(visit.world, visit.principal, request_id, comment=comment, duration=duration)
    except MayNotApprove:
        if told := needs_mfa(visit, request_id):
            return told
        raise
    return None


def _deny(visit: Visit, view: View) -> Blocks | None:
    comment = _comment(forms.values(view).get("comment", ""))
    deciding.deny(visit.world, visit.principal, str(view["private_metadata"]), comment=comment)
    return None


def _comment(text: str) -> str:
    return parsed("The comment", lambda: forms.Comment(comment=text)).comment


_FORMS: Mapping[str, Callable[[Visit, View], Blocks | None]] = {
    forms.ASK: _ask,
    forms.EMERGENCY: emergencies.confirmed,
    forms.SHORTEN: _shorten,
    forms.DENY: _deny,
}


def chosen(office: Office, payload: Mapping[str, Any]) -> None:
    """A role or a scope was chosen: the form asks for what belongs to it. Raises NotEligible, Unauthenticated."""
    visit, view = office.click(user(payload)), payload["view"]
    given = forms.values(view)
    role = given.get("role", "")
    item = seeing.on_terms(visit.world, visit.principal, role)
    if item is None:
        raise not_eligible(role)
    office.calls.update(view, forms.ask(item, given.get(f"scope:{role}")))


def roles(office: Office, payload: Mapping[str, Any]) -> Json:
    """The roles that somebody may request and that fit what they typed so far, at most a hundred."""
    visit = office.call(user(payload))
    typed = str(payload.get("value") or "").strip().lower()
    found = seeing.requestable(visit.world, visit.principal, q=typed, after=None, limit=forms.MOST_OPTIONS).items
    return {"options": [_option(item) for item in found]}


def _option(item: Requestable) -> Json:
    role = item.role
    return {
        "text": label(f"{role.name} in {role.account.name}", 75),
        "value": role.name,
        "description": label(terms(item), 75),
    }


def wrong_fields(view: View, refusal: Invalid) -> dict[str, str]:
    """What is wrong with which of the form's own fields; nothing where some mistake is in none of them."""
    fields = {_field(block["block_id"]): str(block["block_id"]) for block in view["blocks"] if block["type"] == "input"}
    wrong = {error.field.removeprefix("scope."): error.message for error in refusal.errors}
    return {fields[name]: message for name, message in wrong.items()} if wrong.keys() <= fields.keys() else {}


def _field(block_id: str) -> str:
    kind, _, about = block_id.partition(":")
    if kind == "parameter":
        return f"parameters.{about.partition(':')[2]}"
    return "duration_seconds" if kind == "duration" else kind
