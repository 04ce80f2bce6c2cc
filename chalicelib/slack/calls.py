"""What the door asks of Slack: who a user is, to open or change a form, and to say something to one person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook import WebhookClient

from chalicelib.broker.ports import Secret
from chalicelib.core.binding import SlackProfile, SlackUser
from chalicelib.core.refusals import Unauthenticated, Unavailable
from chalicelib.log import log
from chalicelib.slack.text import Json

FRESH_SECONDS = 60.0
PATIENCE_SECONDS = 2
"""Of one call. Slack waits for 3 s in all, and at most one call comes before the answer."""

_MOST_KNOWN = 5000
_FAILURES = (SlackClientError, HTTPException, OSError)
_NOBODY = frozenset({"user_not_found", "user_not_visible"})


class _Status(Exception):
    """What a response_url answered, which has no words for it."""


@dataclass
class SlackCalls:
    """Slack's Web API, one try each. token: the bot's. clock: seconds that only grow.

    Every method raises Unavailable where Slack did not do it, or did not say so; the log says why, by Slack's own code.
    """

    token: Callable[[], Secret]
    base_url: str
    clock: Callable[[], float]
    _known: dict[SlackUser, tuple[float, SlackProfile]] = field(default_factory=dict, repr=False)

    def profile(self, user: SlackUser) -> SlackProfile:
        """What Slack says of the user, at most a minute old. Raises Unauthenticated where it knows no such user."""
        at, known = self._known.get(user, (0.0, None))
        if known and self.clock() - at < FRESH_SECONDS:
            return known
        try:
            profile = _profile(self._client().users_info(user=user.id)["user"])
        except _FAILURES as error:
            if _code(error) in _NOBODY:
                raise Unauthenticated("Slack knows no such user.") from None
            raise _failed("users.info", error) from None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[user] = self.clock(), profile
        return profile

    def open(self, trigger_id: str, view: Json) -> None:
        try:
            self._client().views_open(trigger_id=trigger_id, view=view)
        except _FAILURES as error:
            raise _failed("views.open", error) from None

    def update(self, view: Mapping[str, Any], to: Json) -> None:
        """Change a form, unless somebody did so meanwhile. view: as Slack sent it."""
        try:
            self._client().views_update(view_id=view["id"], hash=view["hash"], view=to)
        except _FAILURES as error:
            raise _failed("views.update", error) from None

    def tell(self, response_url: str, message: Json) -> None:
        """Say something to the one person who just did something. Slack lets that be done five times in 30 minutes.

        Source: https://docs.slack.dev/interactivity/handling-user-interaction (response_url).
        """
        privately = {**message, "response_type": "ephemeral", "replace_original": False}
        try:
            answer = WebhookClient(response_url, timeout=PATIENCE_SECONDS, retry_handlers=[]).send_dict(privately)
        except _FAILURES as error:
            raise _failed("response_url", error) from None
        if answer.status_code != HTTPStatus.OK:
            raise _failed("response_url", _Status(f"status {answer.status_code}"))

    def _client(self) -> WebClient:
        return WebClient(self.token().value, base_url=self.base_url, timeout=PATIENCE_SECONDS, retry_handlers=[])


def _profile(told: Mapping[str, Any]) -> SlackProfile:
    """Source: https://docs.slack.dev/reference/objects/user-object. In an organization (Enterprise Grid) a user has
    several teams, and `team_id` is only one of them."""
    email = told.get("profile", {}).get("email")
    return SlackProfile(
        email=email.lower() if isinstance(email, str) and email else None,
        teams=frozenset({told.get("team_id", ""), *told.get("enterprise_user", {}).get("teams", ())}),
        deactivated=bool(told.get("deleted")),
        bot=bool(told.get("is_bot") or told.get("is_workflow_bot") or told.get("id") == "USLACKBOT"),
        guest=bool(told.get("is_restricted") or told.get("is_ultra_restricted")),
        stranger=bool(told.get("is_stranger")),
    )


def _failed(method: str, error: Exception) -> Unavailable:
    log.error("slack_call_failed", extra={"slack_method": method, "code": _code(error)})
    return Unavailable("Slack did not answer Daypass, so nothing was done. Try again in a minute.")


def _code(error: Exception) -> str:
    """Slack's own word for what went wrong. Never the error's text, which may hold what was sent."""
    if isinstance(error, SlackApiError):
        return str(error.response.get("error", "unknown"))
    return str(error) if isinstance(error, _Status) else type(error).__name__
