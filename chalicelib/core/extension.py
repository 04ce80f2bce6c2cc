"""Extensions: more of the same, in a window that begins where the one before it ends.

    [ a request )[ its extension )[ the extension of that )   one requester, one role, one policy, one chain

A rule has terms of its own for an extension: `extending` makes of it the rule that it is for one, and all that judges
requests by rules goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.approvals import lacking
from chalicelib.core.catalogue import Rule
from chalicelib.core.life import State, Window
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import FieldError, Invalid, NotActive, NotEligible, NotYours, Refusal
from chalicelib.core.request import Ask, Link, Request
from chalicelib.core.times import spoken, stamp


def may_extend(base: Request, principal: Principal, now: datetime) -> Refusal | None:
    """Why the principal may not extend the request now, whatever the rules say; None if nothing stands against it."""
    if base.requester.id != principal.id:
        return NotYours("Only the person who asked for it can extend it.")
    if base.break_glass:
        return NotEligible("An emergency is never extended: ask for the role, or break the glass again.")
    state = base.state(now)
    if state in (State.READY, State.ACTIVE):
        return None
    if state is State.PENDING:
        return NotActive(f"Nobody has approved request {base.id} yet: it can be extended once it is ready or active.")
    if state is State.SCHEDULED and base.window is not None:
        begins = stamp(base.window.starts_at)
        return NotActive(f"Request {base.id} begins at {begins}: it can be extended from then on.")
    only = "only what is ready or active can be extended"
    return NotActive(f"Request {base.id} is {state}: {only}. Ask anew.{onward(base)}")


def onward(request: Request) -> str:
    """What to add where a request is over: the one that went on from it, if there is one."""
    return f" It was extended by {request.extended_by}." if request.extended_by else ""


def completed(wish: Ask, base: Request) -> Ask:
    """The ask with all that it takes from its base, the ticket too where it has none of its own.

    Raises Invalid that names every field that was sent although the base says it.
    """
    if errors := tuple(_sent_too_much(wish, base)):
        named = "; ".join(f"{error.field}: {error.message}" for error in errors)
        raise Invalid(f"An extension is more of the same: {named}.", errors)
    return replace(
        wish,
        role=base.role,
        ticket=base.ticket if wish.ticket is None else wish.ticket,
        scope=base.scope,
        session_policy=None if base.scope else base.session_policy,
        starts_at=base.window.ends_at if base.window else None,
    )


def _sent_too_much(wish: Ask, base: Request) -> Iterator[FieldError]:
    if wish.role not in ("", base.role):
        yield FieldError("role", f"it is its base's, {base.role}: leave it out")
    for field in ("scope", "session_policy"):
        if getattr(wish, field) is not None:
            yield FieldError(field, "it is its base's: leave it out")
    if wish.starts_at is not None:
        yield FieldError("starts_at", "it begins where its base ends: leave it out")
    if wish.break_glass:
        yield FieldError("break_glass", "an emergency extends nothing: leave it or extends out")


def link_after(base: Request) -> Link:
    """The place of an extension of the request."""
    earlier = base.link
    length = base.window.ends_at - base.window.starts_at if base.window else base.duration
    return Link(
        base=base.id,
        number=earlier.number + 1 if earlier else 1,
        before=earlier.before + length if earlier else length,
        base_duration=base.duration,
        approvals=earlier.approvals if earlier else base.approvals,
    )


def use_by(base: Request, duration: timedelta) -> datetime | None:
    """The latest that an extension could end whose base is not opened yet; None where it is, and all is settled."""
    if base.window is not None:
        return None
    assert base.use_by is not None, "what is ready and not opened waits for its first use"
    # The extension of an extension: its base's use_by is the latest end of that already.
    return base.use_by + duration if base.link else base.use_by + base.duration + duration


def opened(extension: Request, base: Request, now: datetime) -> Request:
    """An extension that was asked for before its base was opened, with the window that follows from the base's.

    Raises NotActive where the base is not open yet.
    """
    if base.window is None:
        state = base.state(now)
        hint = "use that one first" if state is State.READY else "there is nothing to go on from. Ask anew"
        raise NotActive(f"This goes on where request {base.id} ends, which is {state} and was not used: {hint}.")
    begins = base.window.ends_at
    return replace(extension, window=Window(begins, begins + extension.duration), link=link_after(base))


def extending(rules: Iterable[Rule], link: Link | None) -> tuple[Rule, ...]:
    """The rules as they are for that link, without those that do not extend so far; as they are where there is none."""
    if link is None:
        return tuple(rules)
    return tuple(_for_link(rule, link) for rule in rules if hindrance(rule, link) is None)


def _for_link(rule: Rule, link: Link) -> Rule:
    assert rule.extensions is not None
    stages = rule.extensions.stages
    longest = min(rule.max_duration, _left(rule, link))
    if stages:  # what others approve is not counted in days
        return replace(rule, stages=stages, max_duration=longest, max_per_day=None)
    return replace(rule, stages=stages, max_duration=min(longest, link.base_duration))


def hindrance(rule: Rule, link: Link) -> str | None:
    """Why the rule does not extend as far as that link, in words; None where it does."""
    terms = rule.extensions
    if terms is None:
        return f"{rule.name!r} extends nothing."
    if link.number > terms.max:
        many = "extension" if terms.max == 1 else "extensions in a row"
        return f"{rule.name!r} allows {terms.max} {many}, and this would be number {link.number}."
    if lacking(rule, link.approvals):
        return f"{rule.name!r} asks for more approvals than the request had that all this began with."
    if _left(rule, link) <= timedelta(0):
        return f"{rule.name!r} lets it last {spoken(_most(rule))} with all its extensions, which are over by then."
    return None


def refused(rules: Iterable[Rule], link: Link) -> NotEligible:
    """The refusal where no rule extends as far as that link."""
    why = " ".join(filter(None, (hindrance(rule, link) for rule in rules)))
    return NotEligible(f"Request {link.base} cannot be extended: {why} Ask anew.")


def _most(rule: Rule) -> timedelta:
    """How long a chain may be, all in all."""
    return rule.max_duration * (1 + (rule.extensions.max if rule.extensions else 0))


def _left(rule: Rule, link: Link) -> timedelta:
    return _most(rule) - link.before
