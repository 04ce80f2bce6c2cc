"""The contract as a table: every address, what goes in, what comes out, and the view that answers.

`routes.py` mounts it on the doors, `openapi.py` describes it, and a test walks it.
"""

from __future__ import annotations

from chalicelib.core.refusals import (
    AlreadyApprovedByYou,
    AlreadyExtended,
    AlreadyReviewed,
    CatalogueStale,
    ChangedMeanwhile,
    ConsoleRefused,
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
from chalicelib.web import answering, bodies
from chalicelib.web.contract import Endpoint, OpenEndpoint
from chalicelib.web.views.activities import ActivityView
from chalicelib.web.views.histories import EventList, RecordedList
from chalicelib.web.views.lent import ConsoleView, CredentialsView
from chalicelib.web.views.people import HealthView, LoginView, PrincipalView, SlackBindingView, UnboundView
from chalicelib.web.views.requests import RequestList, RequestView
from chalicelib.web.views.roles import DryRunView, RoleList

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

OPEN = (
    OpenEndpoint(
        path="/health", summary="Whether Daypass is up", view=answering.health, answer=HealthView, looks=False
    ),
    OpenEndpoint(
        path="/login",
        summary="What a client needs to log in",
        view=answering.login,
        answer=LoginView,
        refuses=(Unavailable,),
    ),
)

ENDPOINTS = (
    Endpoint(method="GET", path="/me", summary="Who you are here", view=answering.me, answers={200: (PrincipalView,)}),
    Endpoint(
        method="GET",
        path="/roles",
        summary="What you may request, on which terms",
        view=answering.roles,
        query=bodies.RolesQuery,
        answers={200: (RoleList,)},
    ),
    Endpoint(
        method="POST",
        path="/requests",
        summary="Ask for a role",
        view=answering.ask,
        body=bodies.AskBody,
        query=bodies.AskQuery,
        takes_key=True,
        answers={201: (RequestView,), 200: (RequestView, DryRunView)},
        refuses=ASKING_REFUSES,
    ),
    Endpoint(
        method="GET",
        path="/requests",
        summary="The requests that you may see",
        view=answering.listed,
        query=bodies.ListQuery,
        answers={200: (RequestList,)},
    ),
    Endpoint(
        method="GET",
        path="/requests/{id}",
        summary="One request",
        view=answering.show,
        answers={200: (RequestView,)},
        refuses=(NotFound,),
    ),
    Endpoint(
        method="GET",
        path="/requests/{id}/events",
        summary="A request's history, oldest first",
        view=answering.events,
        query=bodies.EventsQuery,
        answers={200: (EventList,)},
        refuses=(NotFound,),
    ),
    Endpoint(
        method="GET",
        path="/requests/{id}/activity",
        summary="What was done with a request's sessions, as CloudTrail told it, oldest first",
        view=answering.activity,
        query=bodies.ActivityQuery,
        answers={200: (ActivityView,)},
        refuses=(NotFound,),
    ),
    Endpoint(
        method="GET",
        path="/events",
        summary="All events of a day, of requests and of none, for auditors, oldest first",
        view=answering.day,
        query=bodies.DayQuery,
        answers={200: (RecordedList,)},
        refuses=(NotEligible,),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/approve",
        summary="Say yes",
        view=answering.approve,
        body=bodies.ApproveBody,
        answers={200: (RequestView,)},
        refuses=(*DECISION_REFUSES, AlreadyApprovedByYou, NotEligible, CatalogueStale),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/deny",
        summary="Say no, for good",
        view=answering.deny,
        body=bodies.DenyBody,
        answers={200: (RequestView,)},
        refuses=DECISION_REFUSES,
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/cancel",
        summary="Take back what was not used",
        view=answering.cancel,
        body=bodies.NothingBody,
        answers={200: (RequestView,)},
        refuses=(NotFound, NotYours, NotCancellable, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/return",
        summary="Give back what is used",
        view=answering.give_back,
        body=bodies.ReturnBody,
        answers={200: (RequestView,)},
        refuses=(NotFound, NotYours, NotActive, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/revoke",
        summary="Take it away, and cut the sessions that were lent",
        view=answering.revoke,
        body=bodies.RevokeBody,
        answers={200: (RequestView,)},
        refuses=(NotFound, MayNotApprove, NotActive, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/erase",
        summary="Erase what people wrote, once it is over",
        view=answering.erase,
        body=bodies.NothingBody,
        answers={200: (RequestView,)},
        refuses=(NotFound, NotEligible, NotOver, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/escalate",
        summary="Make an emergency of your pending request",
        view=answering.escalate,
        body=bodies.EscalateBody,
        answers={200: (RequestView,)},
        refuses=(NotFound, NotYours, NotEligible, NotPending, QuotaUsed, ReviewOverdue, TooLong, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/review",
        summary="Say whether somebody's emergency was justified",
        view=answering.review,
        body=bodies.ReviewBody,
        answers={200: (RequestView,)},
        refuses=(NotFound, MayNotReview, AlreadyReviewed, ChangedMeanwhile),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/credentials",
        summary="A new session of your request",
        view=answering.lend,
        body=bodies.NothingBody,
        answers={200: (CredentialsView,)},
        refuses=(NotFound, *LENDING_REFUSES),
    ),
    Endpoint(
        method="POST",
        path="/requests/{id}/console",
        summary="A link that signs you in to the AWS console, by a new session of your request",
        view=answering.open_console,
        body=bodies.ConsoleBody,
        answers={200: (ConsoleView,)},
        refuses=(NotFound, *LENDING_REFUSES, ConsoleRefused),
    ),
    Endpoint(
        method="POST",
        path="/credentials",
        summary="Ask and, where no approval is due, receive in one call",
        view=answering.ask_and_lend,
        body=bodies.AskBody,
        takes_key=True,
        answers={200: (CredentialsView,), 202: (RequestView,)},
        refuses=(*ASKING_REFUSES, *LENDING_REFUSES),
    ),
    Endpoint(
        method="POST",
        path="/slack/bind",
        summary="Say that a Slack user is you",
        view=answering.bind,
        body=bodies.BindBody,
        answers={200: (SlackBindingView,)},
        refuses=(NotFound, NotEligible),
    ),
    Endpoint(
        method="POST",
        path="/slack/unbind",
        summary="Say that no Slack user is you any more",
        view=answering.unbind,
        body=bodies.NothingBody,
        answers={200: (UnboundView,)},
    ),
)
