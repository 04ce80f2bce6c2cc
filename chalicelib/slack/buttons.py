"""The buttons of an approval message: yes, yes for less, no. The message itself is kept up to date by the outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.broker import deciding, seeing
from chalicelib.broker.knowing import about, known
from chalicelib.core import approvals
from chalicelib.core.binding import SlackUser
from chalicelib.core.refusals import Invalid, MayNotApprove
from chalicelib.core.request import Approval
from chalicelib.slack import forms
from chalicelib.slack.blocks import APPROVE, DENY, SHORTEN
from chalicelib.slack.text import Json
from chalicelib.slack.visit import Office, Visit
from chalicelib.slack.words import ENDING, without_mfa

Blocks = list[Json]


def user(payload: Mapping[str, Any]) -> SlackUser:
    """Whom Slack says it was. An organization's own form has no team."""
    team = payload.get("team") or {}
    return SlackUser(str(team.get("id", "")), str(payload["user"]["id"]))


def pressed(office: Office, payload: Mapping[str, Any]) -> Blocks | None:
    """Do what the button says. What there is to read privately; None where the message or a form says it all."""
    action = payload["actions"][0]
    request_id = str(action.get("value", ""))
    visit = office.click(user(payload), request_id)
    return _BUTTONS[action["action_id"]](office, visit, request_id, str(payload.get("trigger_id", "")))


def _approve(office: Office, visit: Visit, request_id: str, trigger: str) -> Blocks | None:
    try:
        deciding.approve(visit.world, visit.principal, request_id, comment=None, duration=None)
    except MayNotApprove:
        if told := needs_mfa(visit, request_id):
            return told
        raise
    return None


def _shorten(office: Office, visit: Visit, request_id: str, trigger: str) -> Blocks | None:
    request = deciding.decidable(visit.world, visit.principal, request_id)
    form = forms.shorten(request)
    if form is None:
        raise Invalid("This is as short as it gets here: approve or deny it.")
    office.calls.open(trigger, form)
    return None


def _deny(office: Office, visit: Visit, request_id: str, trigger: str) -> Blocks | None:
    office.calls.open(trigger, forms.deny(deciding.decidable(visit.world, visit.principal, request_id)))
    return None


_BUTTONS: Mapping[str, Callable[[Office, Visit, str, str], Blocks | None]] = {
    APPROVE: _approve,
    SHORTEN: _shorten,
    DENY: _deny,
}


def needs_mfa(visit: Visit, request_id: str, *options: str) -> Blocks | None:
    """What to do where nothing but a second factor stands in the way of a yes; None where something else does."""
    request = visit.world.requests.get(request_id)
    if request is None:
        return None
    rules = seeing.admitting_today(visit.world.catalogue(), request)
    decider = known(visit.world, visit.principal, about(request))
    if approvals.may_decide(request, rules, decider) is not None:
        return None
    keys = approvals.qualifies(rules, decider)
    yes = Approval(by=visit.principal.id, at=visit.world.now(), comment=None, qualifies=keys, mfa=False)
    if approvals.lacks_mfa(request, rules, yes) is None:
        return None
    return without_mfa("Approving this needs a second factor.", f"daypass approve {request_id[-ENDING:]}")
