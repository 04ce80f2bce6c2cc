"""A visit: one call of a Slack user, who is somebody by their binding and by Slack's own word.

The binding and the request that is acted on are one read. Slack is asked who the user is before anything is listed,
shown or stored; a click that is refused anyway, or that only opens or changes a form, does without: then what Slack is
asked for is to show that, and one call is all that there is time for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from chalicelib.broker.ports import Claim, Requests, World
from chalicelib.core.binding import Binding, SlackProfile, SlackUser
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import Unauthenticated
from chalicelib.core.request import Change, Request
from chalicelib.identity import slack_user
from chalicelib.slack.calls import SlackCalls
from chalicelib.slack.door import TOLD


@dataclass(frozen=True, slots=True)
class Visit:
    """world: stores nothing before Slack has said who the user is. sure: asks Slack; raises Unauthenticated."""

    user: SlackUser
    principal: Principal
    world: World
    sure: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Unbound:
    """A user whom Slack vouches for and who is nobody to Daypass, or not any more; why. email: as Slack knows it."""

    user: SlackUser
    email: str
    why: str


@dataclass(frozen=True, slots=True)
class Office:
    """What the door's handlers work with. clock: seconds since 1970."""

    world: Callable[[], World]
    calls: SlackCalls
    clock: Callable[[], float]

    def click(self, user: SlackUser, request_id: str | None = None) -> Visit:
        """Somebody who is about to act on a request. Raises Unauthenticated where nobody is bound to the user."""
        world = self.world()
        binding, request = world.bindings().bound(user, request_id)
        if why := slack_user.not_bound(binding, world.catalogue(), world.now()):
            raise Unauthenticated(f"{why} Type the slash command to confirm who you are.")
        assert binding is not None
        return self._visit(world, user, binding, request)

    def call(self, user: SlackUser, request_id: str | None = None) -> Visit:
        """Somebody of whom both the binding and Slack say who they are. Raises Unauthenticated, also to the unbound."""
        visit = self.click(user, request_id)
        visit.sure()
        return visit

    def command(self, user: SlackUser) -> Visit | Unbound:
        """The same, but the unbound are known by their e-mail address: they may be given a code."""
        world = self.world()
        binding, _ = world.bindings().bound(user)
        profile = self._profile(user)
        why = slack_user.not_bound(binding, world.catalogue(), world.now())
        if binding and not why:
            why = slack_user.not_any_more(binding, profile)
        if binding and not why:
            return self._visit(world, user, binding, None)
        assert profile.email is not None, "without one they are not let in"
        return Unbound(user, profile.email, why or "")

    def _visit(self, world: World, user: SlackUser, binding: Binding, request: Request | None) -> Visit:
        def sure() -> None:
            if why := slack_user.not_any_more(binding, self._profile(user)):
                raise Unauthenticated(f"{why} Type the slash command to confirm who you are.")

        principal = slack_user.principal(binding)
        TOLD.get()["principal"] = principal.id
        guarded = cast(Requests, _Guarded(world.requests, request, sure))
        return Visit(user, principal, replace(world, requests=guarded), sure)

    def _profile(self, user: SlackUser) -> SlackProfile:
        profile = self.calls.profile(user)
        if why := slack_user.not_them(profile, user):
            raise Unauthenticated(why)
        return profile


class _Guarded:
    """`ports.Requests` in which a request was read already, and which stores nothing of somebody who is not sure."""

    def __init__(self, requests: Requests, read: Request | None, sure: Callable[[], None]) -> None:
        self._requests = requests
        self._read = read
        self._sure = sure

    def get(self, request_id: str) -> Request | None:
        read, self._read = self._read, None
        return read if read and read.id == request_id else self._requests.get(request_id)

    def submit(self, change: Change, *further: Change, claim: Claim | None, max_open: int, now: datetime) -> None:
        self._sure()
        self._requests.submit(change, *further, claim=claim, max_open=max_open, now=now)

    def commit(self, change: Change, *further: Change) -> None:
        self._sure()
        self._requests.commit(change, *further)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._requests, name)
