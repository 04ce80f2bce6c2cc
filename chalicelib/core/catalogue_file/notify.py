"""Who hears of a rule's requests, in the catalogue file: Slack channels, people in person, and who hears later."""

from __future__ import annotations

import re
from datetime import timedelta

from chalicelib.core.catalogue import Notify
from chalicelib.core.catalogue_file.mistakes import Say, length
from chalicelib.core.catalogue_file.shape import NotifyShape
from chalicelib.core.life import ANSWER_WITHIN

MOST_CHANNELS = 5

# A channel's name has at most 80 characters: letters of any script in lower case, digits, `-` and `_`.
# Source: https://docs.slack.dev/reference/methods/conversations.create (name).
_NAME = re.compile(r"#[\w-]{1,80}")
_ID = re.compile(r"[CG][A-Z0-9]{8,20}", re.ASCII)
_SOONEST = timedelta(minutes=1)


def read_notify(shape: NotifyShape, place: str, say: Say, *, no_wait: str | None) -> Notify:
    """no_wait: why nobody is waited for, and so nothing comes later; None where somebody may be."""
    if not shape.slack and not shape.direct:
        say(place, "tells nobody: name channels in slack, or write direct = true")
    _check(shape.slack, (), f"{place}.slack", say)
    _check(shape.escalate_to, shape.slack, f"{place}.escalate_to", say)
    remind_after = None
    if shape.remind_after is not None:
        remind_after = length(shape.remind_after, f"{place}.remind_after", say, least=_SOONEST, most=ANSWER_WITHIN)
    for name in ("remind_after", "escalate_to"):
        if no_wait and getattr(shape, name):
            say(f"{place}.{name}", no_wait)
    if shape.escalate_to and not (shape.remind_after or no_wait):
        say(f"{place}.escalate_to", "does not say when: remind_after does")
    return Notify(slack=shape.slack, direct=shape.direct, remind_after=remind_after, escalate_to=shape.escalate_to)


def _check(channels: tuple[str, ...], others: tuple[str, ...], place: str, say: Say) -> None:
    if len(channels) > MOST_CHANNELS:
        say(place, f"names {len(channels)} channels: {MOST_CHANNELS} is the most")
    for number, channel in enumerate(channels):
        if problem := _problem(channel, (*others, *channels[:number])):
            say(f"{place}[{number}]", f"{channel!r:.100} {problem}")


def _problem(channel: str, before: tuple[str, ...]) -> str | None:
    if not _ID.fullmatch(channel) and not (_NAME.fullmatch(channel) and channel == channel.lower()):
        return 'is neither a channel\'s name, as in "#sre-approvals", nor its id, as in "C0123456789"'
    return "is named twice" if channel in before else None
