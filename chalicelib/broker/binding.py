"""Binding: a Slack user is given a one-time code, and who signs in and confirms it acts in Slack from then on."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.broker.ports import Stale, World
from chalicelib.core.binding import CODE_LASTS, Binding, Offer, SlackUser, digest
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import FieldError, Invalid, NotEligible, NotFound


@dataclass(frozen=True, slots=True)
class Bound:
    """replaced: the user of the same team whom the principal had bound before, and who is bound no more."""

    binding: Binding
    replaced: SlackUser | None = None


def offer(world: World, user: SlackUser, email: str) -> str:
    """A new one-time code for a Slack user, to be shown to nobody else. email: as Slack knows it, in lower case."""
    code = world.new_salt()
    world.bindings().offer(digest(code), Offer(user=user, email=email, until=world.now() + CODE_LASTS))
    return code


def confirm(world: World, principal: Principal, code: str, *, email: str | None = None) -> Bound:
    """Bind the Slack user who was given the code to the principal. The same principal may say it twice.

    email: the user's in Slack, which has to be named where it is not the principal's id: who was talked into
    confirming somebody else's code would lend them their name.
    Raises NotEligible (workloads), NotFound (no such code, or used, or over) and Invalid (another e-mail address).
    """
    if principal.kind is not Kind.HUMAN:
        raise NotEligible("Only people have a Slack user; you are signed in as a workload.")
    offered = world.bindings().offered(digest(code))
    if offered is None or world.now() >= offered.until or offered.used_by not in (None, principal.id):
        raise _no_such_code()
    if offered.email not in (principal.id, (email or "").lower()):
        message = f"Slack knows this user as {offered.email}, and you are {principal.id}"
        raise Invalid(
            f"email: {message}. If that user is you too, name the address with `email`. If not, somebody wants to act "
            "in your name: confirm nothing.",
            (FieldError("email", message),),
        )
    return _again(world, offered) if offered.used_by else _bound(world, principal, code, offered)


def unbind(world: World, principal: Principal) -> tuple[SlackUser, ...]:
    """End the principal's binding in every team of Slack's. Returns the users who are nobody to Daypass from now on."""
    return world.bindings().unbind(principal.id, world.now())


def _bound(world: World, principal: Principal, code: str, offered: Offer) -> Bound:
    binding = Binding(
        user=offered.user,
        email=offered.email,
        principal_id=principal.id,
        kind=principal.kind,
        groups=principal.groups,
        issuer=principal.issuer,
        confirmed_at=world.now(),
    )
    try:
        return Bound(binding, world.bindings().bind(digest(code), binding))
    except Stale:
        raise _no_such_code() from None


def _again(world: World, offered: Offer) -> Bound:
    binding, _ = world.bindings().bound(offered.user)
    if binding is None or binding.principal_id != offered.used_by:
        raise _no_such_code()
    return Bound(binding)


def _no_such_code() -> NotFound:
    return NotFound(
        "There is no such code, or it was used, or its 10 minutes are over: type the slash command in Slack again."
    )
