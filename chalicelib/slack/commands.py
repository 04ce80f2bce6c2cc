"""The slash command: `/daypass` and what may follow it. The answer is for the one who typed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.broker import binding, ending, finding, revoking, seeing
from chalicelib.broker.knowing import known
from chalicelib.broker.seeing import Filters
from chalicelib.core.binding import SlackUser
from chalicelib.core.life import State
from chalicelib.core.refusals import FieldError, Invalid
from chalicelib.core.request import Request
from chalicelib.fields import parsed
from chalicelib.slack import asks, emergencies, forms
from chalicelib.slack.text import Json, quoted, section, sentence
from chalicelib.slack.visit import Office, Unbound, Visit
from chalicelib.slack.words import line, privately, story

LISTED = 10
"""Requests of each list: a message has room for 50 blocks."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One use of the command. trigger: the same for every time that Slack tells of it; opens one form within 3 s."""

    name: str
    text: str
    trigger: str
    user: SlackUser

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Typed:
        return cls(
            name=str(payload.get("command", "")),
            text=_as_typed(str(payload.get("text", ""))).strip(),
            trigger=str(payload.get("trigger_id", "")),
            user=SlackUser(str(payload.get("team_id", "")), str(payload.get("user_id", ""))),
        )


def answer(office: Office, payload: Mapping[str, Any]) -> Json | None:
    """What the person reads; None where a form is shown instead. Raises what the use cases raise."""
    typed = Typed.of(payload)
    visit = office.command(typed.user)
    if isinstance(visit, Unbound):
        return privately(*_offered(office, visit))
    verb, _, rest = typed.text.partition(" ")
    match verb:
        case "":
            office.calls.open(typed.trigger, forms.ask())
            return None
        case "help":
            return privately(*_help(typed.name))
        case "break-glass":
            ask = asks.from_text(visit.world.catalogue(), visit.principal, rest, break_glass=True)
            return emergencies.begin(office, visit, ask, typed.trigger)
        case _ if verb in _VERBS:
            return privately(*_VERBS[verb](visit, rest.strip()))
        case _:
            asker = known(visit.world, visit.principal)
            ask = asks.from_text(visit.world.catalogue(), asker, typed.text)
            return privately(*asks.asked(visit, ask, typed.trigger))


def _offered(office: Office, unbound: Unbound) -> list[Json]:
    code = binding.offer(office.world(), unbound.user, unbound.email)
    return [
        sentence(f"{unbound.why} Say so once with your sign-in, in a terminal, within 10 minutes:"),
        section(f"`daypass slack-bind {code}`"),
        sentence("Give this code to nobody: who confirms it lends you their name."),
    ]


def _list(visit: Visit, rest: str) -> list[Json]:
    now = visit.world.now()
    blocks: list[Json] = []
    for title, filters in (("*Yours*", Filters(mine=True)), ("*Waiting for your answer*", Filters(to_approve=True))):
        found = seeing.listed(visit.world, visit.principal, filters, after=None, limit=LISTED).items
        blocks += [section(title), *(line(request, now) for request in found)] if found else []
    return blocks or [sentence("You have no requests, and none waits for your answer.")]


def _show(visit: Visit, rest: str) -> list[Json]:
    id = finding.by_ending(visit.world, visit.principal, _one_id(rest))
    request = seeing.current(visit.world, seeing.found(visit.world, visit.principal, id))
    return story(request, visit.world.now())


def _done(visit: Visit, rest: str) -> list[Json]:
    """Whatever it takes to be done: what is used is returned, what is not is cancelled."""
    id = finding.by_ending(visit.world, visit.principal, _one_id(rest), mine=True)
    state = seeing.found(visit.world, visit.principal, id).state(visit.world.now())
    end = ending.give_back if state is State.ACTIVE else ending.cancel
    return _ended(end(visit.world, visit.principal, id), visit)


def _revoke(visit: Visit, rest: str) -> list[Json]:
    which, *why = rest.split(maxsplit=1) or [""]
    if not why:
        raise _unclear("write which request and why, as in: revoke 4XK2Q9ZD it was a mistake")
    id = finding.by_ending(visit.world, visit.principal, which)
    comment = parsed("The reason", lambda: forms.Comment(comment=why[0])).comment
    return _ended(revoking.revoke(visit.world, visit.principal, id, comment=comment), visit)


def _ended(request: Request, visit: Visit) -> list[Json]:
    told = story(request, visit.world.now())[:1]
    for deny in request.revocation.denies if request.revocation else ():
        known = (
            "Its sessions are being cut."
            if deny.written_at
            else "Its sessions could not be cut yet: it is tried again."
        )
        told.append(sentence(f"{known} {deny.error or ''}"))
    return told


_VERBS: Mapping[str, Callable[[Visit, str], list[Json]]] = {
    "list": _list,
    "show": _show,
    "done": _done,
    "revoke": _revoke,
}


def _help(name: str) -> list[Json]:
    usage = (
        ("", "a form: choose a role, for how long, and why"),
        ("payments-admin 2h INC-123 the disk is full", "ask at once; the ticket may be left out"),
        ("list", "your requests, and those that wait for your answer"),
        ("show 4XK2Q9ZD", "one of them; any ending of an id will do"),
        ("done 4XK2Q9ZD", "give it back, or take it back"),
        ("revoke 4XK2Q9ZD it was a mistake", "take somebody's access away"),
        ("break-glass payments-admin 30m why it cannot wait", "in an emergency: now, reviewed afterwards"),
    )
    return [section("\n".join(f"{quoted(f'{name} {words}'.strip(), 200)} {about}" for words, about in usage))]


def _one_id(rest: str) -> str:
    if len(rest.split()) != 1:
        raise _unclear("write which request, as in: show 4XK2Q9ZD")
    return rest


def _unclear(message: str) -> Invalid:
    return Invalid(f"{message[0].upper()}{message[1:]}.", (FieldError("text", message),))


def _as_typed(text: str) -> str:
    """Slack writes the three characters of its own by their names in all it sends."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
