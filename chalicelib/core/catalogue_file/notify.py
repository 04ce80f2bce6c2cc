"""Who hears of a rule's requests, in the catalogue file: Slack channels, people in person, and a reminder."""

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


def read_notify(shape: NotifyShape, place: str, say: Say) -> Notify:
    if not shape.slack and not shape.direct:
        say(place, "tells nobody: name channels in slack, or write direct = true")
    if len(shape.slack) > MOST_CHANNELS:
        say(f"{place}.slack", f"names {len(shape.slack)} channels: {MOST_CHANNELS} is the most")
    for number, channel in enumerate(shape.slack):
        if problem := _problem(channel, shape.slack[:number]):
            say(f"{place}.slack[{number}]", f"{channel!r:.100} {problem}")
    remind_after = None
    if shape.remind_after is not None:
        remind_after = length(shape.remind_after, f"{place}.remind_after", say, least=_SOONEST, most=ANSWER_WITHIN)
    return Notify(slack=shape.slack, direct=shape.direct, remind_after=remind_after)


def _problem(channel: str, before: tuple[str, ...]) -> str | None:
    if not _ID.fullmatch(channel) and not (_NAME.fullmatch(channel) and channel == channel.lower()):
        return 'is neither a channel\'s name, as in "#sre-approvals", nor its id, as in "C0123456789"'
    return "is named twice" if channel in before else None
