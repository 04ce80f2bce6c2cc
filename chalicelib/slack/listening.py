"""Bolt: which of Slack's calls goes to whom, and how each kind of them is answered.

The signature was checked before, by `door`. Nothing is done after the answer: the table is fast enough, and a function
that calls itself would have to be allowed to. `auth.test` is never called: there is one app with one token.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from chalice.app import Chalice, Response
from chalice.app import Request as HttpRequest
from slack_bolt import Ack, App, BoltRequest, BoltResponse
from slack_bolt.adapter.aws_lambda.chalice_handler import ChaliceSlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context import BoltContext

from chalicelib.core.refusals import Invalid, Refusal, Unavailable
from chalicelib.log import log
from chalicelib.metrics import count_refusal
from chalicelib.slack import blocks, buttons, commands, forms, submissions
from chalicelib.slack.door import TOLD, Handle
from chalicelib.slack.text import Json, cut, plain, sentence
from chalicelib.slack.visit import Office
from chalicelib.slack.words import BUG, privately

SLACK_WAITS_SECONDS = 3
_LONGEST_ERROR = 2000
_BOLT = "bolt"

T = TypeVar("T")


def listening(office: Office, chalice: Chalice) -> Handle:
    """What answers the requests that Slack signed."""
    app = App(
        name=_BOLT,  # by which Bolt also names a logger, and silences it as it is told to below
        logger=_quiet(),
        process_before_response=True,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        attaching_function_token_enabled=False,
        raise_error_for_unhandled_request=True,
        authorize=_authorize,
    )
    app.error(_unhandled)
    app.command(re.compile(r"/.+"))(_for_commands(office))
    app.options(forms.ROLE)(_for_options(office))
    for name in (blocks.APPROVE, blocks.SHORTEN, blocks.DENY):
        app.action(name)(_for_buttons(office))
    for name in (forms.ROLE, forms.SCOPE):
        app.action(name)(_for_choices(office))
    for name in (forms.ASK, forms.EMERGENCY, forms.SHORTEN, forms.DENY):
        app.view(name)(_for_forms(office))
    bolt = ChaliceSlackRequestHandler(app, chalice)

    def handle(request: HttpRequest) -> Response:
        try:
            answer: Response = bolt.handle(request)
        except Exception as error:  # all of ours are caught below: it is Bolt, and a body unlike any of Slack's
            _not_understood(error)
            return Response("", status_code=HTTPStatus.NOT_FOUND)
        return answer

    return handle


Listener = Callable[..., BoltResponse]


def _for_commands(office: Office) -> Listener:
    """Answered in the body; once more by response_url where Slack has told by then that nothing answered."""

    def listener(ack: Ack, body: Json, request: BoltRequest) -> BoltResponse:
        said = _tried(lambda: commands.answer(office, body))
        message = privately(sentence(said.detail)) if isinstance(said, Refusal) else said
        sent_at = int(request.headers["x-slack-request-timestamp"][0])
        if message and office.clock() - sent_at >= SLACK_WAITS_SECONDS:
            _tried(lambda: office.calls.tell(str(body.get("response_url")), message))
        return ack(message or "")

    return listener


def _for_buttons(office: Office) -> Listener:
    """What there is to say goes to response_url. Where that fails too, the status makes Slack mark the button."""

    def listener(ack: Ack, body: Json) -> BoltResponse:
        said = _tried(lambda: buttons.pressed(office, body))
        blocks = [sentence(said.detail)] if isinstance(said, Refusal) else said
        if not blocks:
            return ack()
        told = _tried(lambda: office.calls.tell(str(body.get("response_url")), privately(*blocks)))
        return BoltResponse(status=HTTPStatus.SERVICE_UNAVAILABLE) if isinstance(told, Refusal) else ack()

    return listener


def _for_choices(office: Office) -> Listener:
    """A form that asks for more is changed by a call of its own, and so is one that says why it does not."""

    def listener(ack: Ack, body: Json) -> BoltResponse:
        said = _tried(lambda: submissions.chosen(office, body))
        if isinstance(said, Refusal) and not isinstance(said, Unavailable):
            refusal = forms.told("Daypass", [sentence(said.detail)])
            said = _tried(lambda: office.calls.update(body["view"], refusal))
        return BoltResponse(status=HTTPStatus.SERVICE_UNAVAILABLE) if isinstance(said, Refusal) else ack()

    return listener


def _for_options(office: Office) -> Listener:
    """A list of options has no place for a sentence: whoever may choose none reads why when the form is sent."""

    def listener(ack: Ack, body: Json) -> BoltResponse:
        said = _tried(lambda: submissions.roles(office, body))
        return ack({"options": []} if isinstance(said, Refusal) else said)

    return listener


def _for_forms(office: Office) -> Listener:
    """The form closes, or tells what became of it, or says at its own fields what is wrong with them."""

    def listener(ack: Ack, body: Json) -> BoltResponse:
        said = _tried(lambda: submissions.sent(office, body))
        if isinstance(said, Invalid) and (wrong := submissions.wrong_fields(body["view"], said)):
            errors = {block_id: cut(plain(message), _LONGEST_ERROR) for block_id, message in wrong.items()}
            return ack(response_action="errors", errors=errors)
        blocks = [sentence(said.detail)] if isinstance(said, Refusal) else said
        return ack(response_action="update", view=forms.told("Daypass", blocks)) if blocks else ack()

    return listener


def _tried(act: Callable[[], T]) -> T | Refusal:
    """What came of it, its refusal, or for a bug one sentence; the log has all of it."""
    try:
        return act()
    except Refusal as refusal:
        TOLD.get().update(slug=refusal.slug, detail=refusal.detail)
        count_refusal(refusal.slug)
        return refusal
    except Exception:
        log.exception("slack_failed", extra=TOLD.get())
        return Unavailable(BUG)


def _authorize(context: BoltContext) -> AuthorizeResult:
    return AuthorizeResult(enterprise_id=context.enterprise_id, team_id=context.team_id, user_id=context.user_id)


def _unhandled(error: Exception) -> BoltResponse:
    """What nobody here listens to. Bolt's own message would repeat the body."""
    _not_understood(error)
    return BoltResponse(status=HTTPStatus.NOT_FOUND, body="")


def _not_understood(error: Exception) -> None:
    log.warning("slack_not_understood", extra={"bolt": type(error).__name__})


def _quiet() -> logging.Logger:
    """A logger for Bolt that writes nothing: it would repeat what Slack sent."""
    quiet = logging.getLogger(_BOLT)
    quiet.setLevel(logging.CRITICAL + 1)
    quiet.propagate = False
    return quiet
