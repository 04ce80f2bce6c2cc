"""The contract as a table: every address, what goes in, what comes out, and the view that answers.

`routes.py` mounts it on the doors, `openapi.py` describes it, and a test walks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

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
from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import (
    AlreadyApprovedByYou,
    AlreadyExtended,
    AlreadyReviewed,
    CatalogueStale,
    ChangedMeanwhile,
    ConsoleRefused,
    FieldError,
    GroupsOverage,
    IdempotencyKeyReused,
    Invalid,
    MayNotApprove,
    MayNotReview,
    NotActive,
    NotCancellable,
    NotEligible,
    NotFound,
    NotOver,
    NotPending,
    NotYours,
    PassAsksForPass,
    QuotaUsed,
    Refusal,
    ReviewOverdue,
    StsRefused,
    TooLarge,
    TooLong,
    TooManyOpen,
    TooManySessions,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from chalicelib.core.request import Request
from chalicelib.version import VERSION
from chalicelib.web import bodies, cursor, views
from chalicelib.web.gate import Door

ULID_POSITION = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
DUE_POSITION = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z#(" + ULID_POSITION + ")?"
LIST_POSITION = f"({ULID_POSITION}|{DUE_POSITION})"
ROLE_POSITION = "[a-z0-9][a-z0-9@-]{0,126}"
SEQ_POSITION = "[0-9]{1,9}"
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
DAY_POSITION = f"{_DAY}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z#({ULID_POSITION}|day-{_DAY}-[0-9])#[0-9]{{10}}"

ACT_POSITION = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z#[ -~]{1,128}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, proven and parsed. door: the one it came by. id: of the path, if any. key: the Idempotency-Key."""

    world: World
    door: Door
    principal: Principal
    id: str
    body: Any
    query: Any
    key: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: BaseModel
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the contract.

    view: answers a proven call. body: None where none is read. answers: the models of each good status.
    refuses: what may be raised beside what the gate raises everywhere. takes_key: reads an Idempotency-Key.
    """

    method: str
    path: str
    summary: str
    view: Callable[[Call], Answer]
    answers: Mapping[int, tuple[type[BaseModel], ...]]
    body: type[bodies.In] | None = None
    query: type[bodies.In] = bodies.NoQuery
    refuses: tuple[type[Refusal], ...] = ()
    takes_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEndpoint:
    """An address that needs no proof: it tells what anybody may know. view: takes the catalogue, if there is one.

    looks: whether the catalogue is looked for, or only told as it is held.
    """

    path: str
    summary: str
    view: Callable[[Catalogue | None], BaseModel]
    answer: type[BaseModel]
    refuses: tuple[type[Refusal], ...] = ()
    looks: bool = True


GATE_REFUSES = (Unauthenticated, PassAsksForPass, GroupsOverage, Unavailable, Invalid)
BODY_REFUSES = (TooLarge, UnsupportedMediaType)
DECISION_REFUSES = (NotFound, MayNotApprove, NotPending, ChangedMeanwhile)
LENDING_REFUSES = (NotYours, NotActive, NotEligible, CatalogueStale, QuotaUsed, TooManySessions, StsRefused)
EXTENDING_REFUSES = (NotFound, NotYours, NotActive, AlreadyExtended, ChangedMeanwhile)
ASKING_REFUSES = (
    NotEligible,
    IdempotencyKeyReused,
    TooManyOpen,
    QuotaUsed,
    ReviewOverdue,
    TooLong,
    *EXTENDING_REFUSES,
)


def health(catalogue: Catalogue | None) -> views.HealthView:
    known: dict[str, Any] = {}
    if catalogue is not None:
        told = {"digest": catalogue.digest, "serial": catalogue.serial, "doubt": catalogue.doubt}
        known = {f"catalogue_{name}": value for name, value in told.items() if value is not None}
    return views.HealthView(status="ok", version=VERSION, **known)


def login(catalogue: Catalogue | None) -> views.LoginView:
    if catalogue is None:
        raise Unavailable("There is no usable catalogue yet: the log names its mistakes.")
    people = (issuer for issuer in catalogue.issuers if issuer.kind is Kind.HUMAN)
    return views.LoginView(issuers=[views.LoginIssuer.of(issuer) for issuer in people])


def me(call: Call) -> Answer:
    return Answer(200, views.PrincipalView.of(call.principal))


def roles(call: Call) -> Answer:
    after = cursor.position(call.query.cursor, ROLE_POSITION)
    page = seeing.requestable(call.world, call.principal, q=call.query.q, after=after, limit=call.query.limit)
    items = [views.RoleView.of(item) for item in page.items]
    return Answer(200, views.RoleList(items=items, next_cursor=cursor.encoded(page.next)))


def ask(call: Call) -> Answer:
    wish = call.body.ask()
    dry_run, act = (asking.dry_run, asking.ask) if wish.extends is None else (extending.dry_run, extending.extend)
    if call.query.dry_run:
        return Answer(200, views.DryRunView.of(dry_run(call.world, call.principal, wish)))
    asked = act(call.world, call.principal, wish, _key(call, "POST /requests"))
    shown = _shown(call, asked.request)
    if asked.replayed:
        return Answer(200, shown)
    return Answer(201, shown, _location(call, asked.request))


def ask_and_lend(call: Call) -> Answer:
    outcome = lending.ask_and_lend(call.world, call.principal, call.body.ask(), _key(call, "POST /credentials"))
    if isinstance(outcome, Request):
        return Answer(202, _shown(call, outcome), _location(call, outcome))
    return Answer(200, views.CredentialsView.of(outcome))


def listed(call: Call) -> Answer:
    query = call.query
    filters = seeing.Filters(
        mine=query.mine, to_approve=query.to_approve, state=query.state, role=query.role, requester=query.requester
    )
    after = cursor.position(query.cursor, LIST_POSITION)
    page = seeing.listed(call.world, call.principal, filters, after=after, limit=query.limit)
    now = call.world.now()
    items = [views.RequestSummary.of(request, now) for request in page.items]
    return Answer(200, views.RequestList(items=items, next_cursor=cursor.encoded(page.next)))


def show(call: Call) -> Answer:
    request, sessions = seeing.story(call.world, call.principal, call.id)
    return Answer(200, views.RequestView.of(seeing.current(call.world, request), call.world.now(), sessions))


def events(call: Call) -> Answer:
    after = int(cursor.position(call.query.cursor, SEQ_POSITION) or 0)
    page = seeing.history(call.world, call.principal, call.id, after=after, limit=call.query.limit)
    items = [views.EventView.of(event) for event in page.items]
    return Answer(200, views.EventList(items=items, next_cursor=cursor.encoded(page.next)))


def day(call: Call) -> Answer:
    query = call.query
    after = cursor.position(query.cursor, DAY_POSITION)
    page = seeing.day(call.world, call.principal, query.day, after=after, limit=query.limit)
    items = [views.RecordedView.told(recorded) for recorded in page.items]
    return Answer(200, views.RecordedList(items=items, next_cursor=cursor.encoded(page.next)))


def activity(call: Call) -> Answer:
    # A tenth of what everybody else would import, and few look.
    from chalicelib.broker import looking

    after = cursor.position(call.query.cursor, ACT_POSITION)
    told = looking.activity(call.world, call.principal, call.id, after=after, limit=call.query.limit)
    return Answer(200, views.ActivityView.of(told, cursor.encoded(told.page.next)))


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
    return Answer(200, views.CredentialsView.of(lending.lend(call.world, call.principal, call.id)))


def open_console(call: Call) -> Answer:
    link = console.open_console(call.world, call.principal, call.id, destination=call.body.destination)
    return Answer(200, views.ConsoleView.of(link))


def bind(call: Call) -> Answer:
    body = call.body
    bound = binding.confirm(call.world, call.principal, body.code, email=body.email)
    return Answer(200, views.SlackBindingView.of(bound))


def unbind(call: Call) -> Answer:
    return Answer(200, views.UnboundView.of(binding.unbind(call.world, call.principal)))


def _shown(call: Call, request: Request) -> views.RequestView:
    """The request as it is now; its sessions are read only where there are any."""
    known = call.world.requests.story(request.id) if request.sessions_begun else None
    return views.RequestView.of(seeing.current(call.world, request), call.world.now(), known[1] if known else ())


def _location(call: Call, request: Request) -> dict[str, str]:
    return {"Location": f"{call.door}/requests/{request.id}"}


def _key(call: Call, route: str) -> IdempotencyKey | None:
    if call.key is None:
        return None
    if not (1 <= len(call.key) <= 255 and call.key.isascii() and call.key.isprintable()):
        message = "1 to 255 printable ASCII characters"
        raise Invalid(f"Idempotency-Key: {message}.", (FieldError("Idempotency-Key", message),))
    return IdempotencyKey(route, call.key)


OPEN = (
    OpenEndpoint(path="/health", summary="Whether Daypass is up", view=health, answer=views.HealthView, looks=False),
    OpenEndpoint(
        path="/login",
        summary="What a client needs to log in",
        view=login,
        answer=views.LoginView,
        refuses=(Unavailable,),
    ),
)

ENDPOINTS = (
    Endpoint(method="GET", path="/me", summary="Who you are here", view=me, answers={200: (views.PrincipalView,)}),
    Endpoint(
        method="GET",
        path="/roles",
        summary="What you may request, on which terms",
        view=roles,
        query=bodies.RolesQuery,
        answers={200: (views.RoleList,)},
    ),
    Endpoint(
        method="POST",
        path="/requests",
        summary="Ask for a role",
        view=ask,
        body=bodies.AskBody,
        query=bodies.AskQuery,
        takes_key=True,
        answers={201: (views.RequestView,), 200: (views.RequestView, views.DryRunView)},
        refuses=ASKING_REFUSES,
    ),
    Endpoint(
        method="GET",
        path="/requests",
        summary="The requests that you may see",
        view=listed,
        query=bodies.ListQuery,
        answers={200: (views.RequestList,)},
    ),
    Endpoint(
        method="GET",
        path="/requests/{id}",
        summary="One request",
        view=show,
        answers={200: (views.RequestView,)},
        refuses=(NotFound,),
    ),
    Endpoint(
        method="GET",
        path="/requests/{id}/events",
        summary="A request's history, oldest first",
        view=events,
        query=bodies.EventsQuery,
        answers={200: (views.EventList,)},
        refuses=(NotFound,),
    ),
    Endpoint(
        method="GET",
        path="/requests/{id}/activity",
        summary="What was done with a request's sessions, as CloudTrail told it, oldest first",
        view=activity,
        query=bodies.ActivityQuery,
        answers={200: (views.ActivityView,)},
        refuses=(NotFound,),
    ),
    Endpoint(
        method="GET",
        path="/events",
        summary="All events of a day, of requests and of none, for auditors, oldest first",
        view=day,
        query=bodies.DayQuery,
        answers={200: (views.RecordedList,)},
        refuses=(NotEligible,),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/approve",
        summary="Say yes",
        view=approve,
        body=bodies.ApproveBody,
        answers={200: (views.RequestView,)},
        refuses=(*DECISION_REFUSES, AlreadyApprovedByYou, NotEligible, CatalogueStale),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/deny",
        summary="Say no, for good",
        view=deny,
        body=bodies.DenyBody,
        answers={200: (views.RequestView,)},
        refuses=DECISION_REFUSES,
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/cancel",
        summary="Take back what was not used",
        view=cancel,
        body=bodies.NothingBody,
        answers={200: (views.RequestView,)},
        refuses=(NotFound, NotYours, NotCancellable, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/return",
        summary="Give back what is used",
        view=give_back,
        body=bodies.ReturnBody,
        answers={200: (views.RequestView,)},
        refuses=(NotFound, NotYours, NotActive, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/revoke",
        summary="Take it away, and cut the sessions that were lent",
        view=revoke,
        body=bodies.RevokeBody,
        answers={200: (views.RequestView,)},
        refuses=(NotFound, MayNotApprove, NotActive, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/erase",
        summary="Erase what people wrote, once it is over",
        view=erase,
        body=bodies.NothingBody,
        answers={200: (views.RequestView,)},
        refuses=(NotFound, NotEligible, NotOver, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/escalate",
        summary="Make an emergency of your pending request",
        view=escalate,
        body=bodies.EscalateBody,
        answers={200: (views.RequestView,)},
        refuses=(NotFound, NotYours, NotEligible, NotPending, QuotaUsed, ReviewOverdue, TooLong, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/review",
        summary="Say whether somebody's emergency was justified",
        view=review,
        body=bodies.ReviewBody,
        answers={200: (views.RequestView,)},
        refuses=(NotFound, MayNotReview, AlreadyReviewed, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/credentials",
        summary="A new session of your request",
        view=lend,
        body=bodies.NothingBody,
        answers={200: (views.CredentialsView,)},
        refuses=(NotFound, *LENDING_REFUSES),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/console",
        summary="A link that signs you in to the AWS console, by a new session of your request",
        view=open_console,
        body=bodies.ConsoleBody,
        answers={200: (views.ConsoleView,)},
        refuses=(NotFound, *LENDING_REFUSES, ConsoleRefused),
    ),
    Endpoint(
        method="POST",
        path="/credentials",
        summary="Ask and, where no approval is due, receive in one call",
        view=ask_and_lend,
        body=bodies.AskBody,
        takes_key=True,
        answers={200: (views.CredentialsView,), 202: (views.RequestView,)},
        refuses=(*ASKING_REFUSES, *LENDING_REFUSES),
    ),
    Endpoint(
        method="POST",
        path="/slack/bind",
        summary="Say that a Slack user is you",
        view=bind,
        body=bodies.BindBody,
        answers={200: (views.SlackBindingView,)},
        refuses=(NotFound, NotEligible),
    ),
    Endpoint(
        method="POST",
        path="/slack/unbind",
        summary="Say that no Slack user is you any more",
        view=unbind,
        body=bodies.NothingBody,
        answers={200: (views.UnboundView,)},
    ),
)
