"""What people typed, as Slack may show it: readable, unable to ping, to link, to format, or to forge a line.

Slack's mrkdwn has no escape for `*`, `_` and `~`, so a quotation is inline code, in which nothing is formatted or
linked, and which only a backtick could end.
Sources: https://docs.slack.dev/messaging/formatting-message-text (escaping),
https://docs.slack.dev/reference/block-kit/composition-objects/text-object (verbatim).
"""

from __future__ import annotations

import unicodedata
from typing import Any

Json = dict[str, Any]

SECTION = 3000
"""Characters that the text of a section may have.
Source: https://docs.slack.dev/reference/block-kit/blocks/section-block."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BACKTICK = "\u02cb"  # a letter that looks like one
_JOINERS = "\u200c\u200d"  # emoji and Persian are made with them, and they do nothing else
_END = "…"


def plain(text: str) -> str:
    """One line of what can be seen: line breaks become spaces, controls `�`; what turns text around is dropped."""
    return "".join(map(_seen, text))


def _seen(c: str) -> str:
    if c.isprintable() or c in _JOINERS:
        return c
    if c.isspace():
        return " "
    return "" if unicodedata.category(c) == "Cf" else "\ufffd"


def cut(text: str, most: int) -> str:
    """The text in at most so many characters, with `…` where some are missing."""
    return text if len(text) <= most else text[: most - len(_END)] + _END


def escaped(text: str) -> str:
    """The text with the three characters that Slack reads as its own, by their names."""
    return "".join(_ENTITIES.get(c, c) for c in text)


def quoted(text: str, most: int = 600) -> str:
    """Somebody's own words as inline code of mrkdwn, in at most `most` characters of it, the marks included."""
    shown = plain(text).replace("`", _BACKTICK).strip() or _END
    whole = f"`{escaped(shown)}`"
    if len(whole) <= most:
        return whole
    room, kept = most - len(f"`{_END}`"), ""
    for c in shown:
        piece = _ENTITIES.get(c, c)
        if len(piece) > room:
            break
        room -= len(piece)
        kept += piece
    return f"`{kept}{_END}`"


def section(mrkdwn: str) -> Json:
    """A block of our own words in mrkdwn; what people typed stands in it quoted."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}}


def sentence(text: str) -> Json:
    """A block of a sentence that is shown as it is: nothing in it is read as formatting."""
    shown = cut(plain(text), SECTION) or _END
    return {"type": "section", "text": {"type": "plain_text", "text": shown, "emoji": False}}


def label(text: str, most: int) -> Json:
    """A plain text of a form or an option, cut to what Slack takes there."""
    return {"type": "plain_text", "text": cut(plain(text), most) or _END, "emoji": False}
