"""Answering: what each address does with a call. Whatever is decided is decided by the broker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chalicelib.broker import (
    asking,
    binding,
    console,
    deciding,
    emergency,
    ending,
    erasing,
    extending,
    lending,
    revoking,
    seeing,
)
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import (
    FieldError,
    Invalid,
    Unavailable,
)
from chalicelib.core.request import Request
from chalicelib.version import VERSION
from chalicelib.web import cursor
from chalicelib.web.contract import Answer, Call
from chalicelib.web.views.activities import ActivityView
from chalicelib.web.views.histories import EventList, EventView, RecordedList, RecordedView
from chalicelib.web.views.lent import ConsoleView, CredentialsView
from chalicelib.web.views.people import HealthView, LoginIssuer, LoginView, PrincipalView, SlackBindingView, UnboundView
from chalicelib.web.views.requests import RequestList, RequestSummary, RequestView
from chalicelib.web.views.roles import DryRunView, RoleList, RoleView


def health(catalogue: Catalogue | None) -> HealthView:
    known: dict[str, Any] = {}
    if catalogue is not None:
        told = {"digest": catalogue.digest, "serial": catalogue.serial, "doubt": catalogue.doubt}
        known = {f"catalogue_{name}": value for name, value in told.items() if value is not None}
    return HealthView(status="ok", version=VERSION, **known)


def login(catalogue: Catalogue | None) -> LoginView:
    if catalogue is None:
        raise Unavailable("There is no usable catalogue yet: the log names its mistakes.")
    people = (issuer for issuer in catalogue.issuers if issuer.kind is Kind.HUMAN)
    return LoginView(issuers=[LoginIssuer.of(issuer) for issuer in people])


def me(call: Call) -> Answer:
    return Answer(200, PrincipalView.of(call.principal))


def roles(call: Call) -> Answer:
    after = cursor.position(call.query.cursor, cursor.ROLE)
    page = seeing.requestable(call.world, call.principal, q=call.query.q, after=after, limit=call.query.limit)
    items = [RoleView.of(item) for item in page.items]
    return Answer(200, RoleList(items=items, next_cursor=cursor.encoded(page.next)))


def ask(call: Call) -> Answer:
    wish = call.body.ask()
    dry_run, act = (asking.dry_run, asking.ask) if wish.extends is None else (extending.dry_run, extending.extend)
    if call.query.dry_run:
        return Answer(200, DryRunView.of(dry_run(call.world, call.principal, wish)))
    asked = act(call.world, call.principal, wish, _key(call, "POST /requests"))
    shown = _shown(call, asked.request)
    if asked.replayed:
        return Answer(200, shown)
    return Answer(201, shown, _location(call, asked.request))


def ask_and_lend(call: Call) -> Answer:
    outcome = lending.ask_and_lend(call.world, call.principal, call.body.ask(), _key(call, "POST /credentials"))
    if isinstance(outcome, Request):
        return Answer(202, _shown(call, outcome), _location(call, outcome))
    return Answer(200, CredentialsView.of(outcome))


def listed(call: Call) -> Answer:
    query = call.query
    filters = seeing.Filters(
        mine=query.mine, to_approve=query.to_approve, state=query.state, role=query.role, requester=query.requester
    )
    after = cursor.position(query.cursor, cursor.LIST)
    page = seeing.listed(call.world, call.principal, filters, after=after, limit=query.limit)
    now = call.world.now()
    items = [RequestSummary.of(request, now) for request in page.items]
    return Answer(200, RequestList(items=items, next_cursor=cursor.encoded(page.next)))


def show(call: Call) -> Answer:
    request, sessions = seeing.story(call.world, call.principal, call.id)
    return Answer(200, RequestView.of(seeing.current(call.world, request), call.world.now(), sessions))


def events(call: Call) -> Answer:
    after = int(cursor.position(call.query.cursor, cursor.SEQ) or 0)
    page = seeing.history(call.world, call.principal, call.id, after=after, limit=call.query.limit)
    items = [EventView.of(event) for event in page.items]
    return Answer(200, EventList(items=items, next_cursor=cursor.encoded(page.next)))


def day(call: Call) -> Answer:
    query = call.query
    after = cursor.position(query.cursor, cursor.DAY)
    page = seeing.day(call.world, call.principal, query.day, after=after, limit=query.limit)
    items = [RecordedView.told(recorded) for recorded in page.items]
    return Answer(200, RecordedList(items=items, next_cursor=cursor.encoded(page.next)))


def activity(call: Call) -> Answer:
    # A tenth of what everybody else would import, and few look.
    from chalicelib.broker import looking

    after = cursor.position(call.query.cursor, cursor.ACT)
    told = looking.activity(call.world, call.principal, call.id, after=after, limit=call.query.limit)
    return Answer(200, ActivityView.of(told, cursor.encoded(told.page.next)))


def approve(call: Call) -> Answer:
    seconds = call.body.duration_seconds
    duration = timedelta(seconds=seconds) if seconds is not None else None
    comment = call.body.comment
    request = deciding.approve(call.world, call.principal, call.id, comment=comment, duration=duration)
    return Answer(200, _shown(call, request))


def deny(call: Call) -> Answer:
    request = deciding.deny(call.world, call.principal, call.id, comment=call.body.comment)
    return Answer(200, _shown(call, request))


def escalate(call: Call) -> Answer:
    request = emergency.escalate(call.world, call.principal, call.id, reason=call.body.reason)
    return Answer(200, _shown(call, request))


def review(call: Call) -> Answer:
    found = call.body
    request = emergency.review(call.world, call.principal, call.id, verdict=found.verdict, comment=found.comment)
    return Answer(200, _shown(call, request))


def cancel(call: Call) -> Answer:
    return Answer(200, _shown(call, ending.cancel(call.world, call.principal, call.id)))


def give_back(call: Call) -> Answer:
    return Answer(200, _shown(call, ending.give_back(call.world, call.principal, call.id, cut=call.body.cut)))


def revoke(call: Call) -> Answer:
    request = revoking.revoke(call.world, call.principal, call.id, comment=call.body.comment)
    return Answer(200, _shown(call, request))


def erase(call: Call) -> Answer:
    return Answer(200, _shown(call, erasing.erase(call.world, call.principal, call.id)))


def lend(call: Call) -> Answer:
    return Answer(200, CredentialsView.of(lending.lend(call.world, call.principal, call.id)))


def open_console(call: Call) -> Answer:
    link = console.open_console(call.world, call.principal, call.id, destination=call.body.destination)
    return Answer(200, ConsoleView.of(link))


def bind(call: Call) -> Answer:
    body = call.body
    bound = binding.confirm(call.world, call.principal, body.code, email=body.email)
    return Answer(200, SlackBindingView.of(bound))


def unbind(call: Call) -> Answer:
    return Answer(200, UnboundView.of(binding.unbind(call.world, call.principal)))


def _shown(call: Call, request: Request) -> RequestView:
    """The request as it is now; its sessions are read only where there are any."""
    known = call.world.requests.story(request.id) if request.sessions_begun else None
    return RequestView.of(seeing.current(call.world, request), call.world.now(), known[1] if known else ())


def _location(call: Call, request: Request) -> dict[str, str]:
    return {"Location": f"{call.door}/requests/{request.id}"}


def _key(call: Call, route: str) -> IdempotencyKey | None:
    if call.key is None:
        return None
    if not (1 <= len(call.key) <= 255 and call.key.isascii() and call.key.isprintable()):
        message = "1 to 255 printable ASCII characters"
        raise Invalid(f"Idempotency-Key: {message}.", (FieldError("Idempotency-Key", message),))
    return IdempotencyKey(route, call.key)
