"""Other people's words in Slack: shown as they are, as nobody's but theirs.

They go into `rich_text`, whose texts Slack takes literally: no mention, no link, no bold, no date is made of what they
hold. What Slack reads as mrkdwn holds the broker's own words only, with its three special characters escaped.
Source: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block.
"""

from __future__ import annotations

from chalicelib.slack.text import Json

_OPENS_EMBEDDING = frozenset("\u202a\u202b\u202d\u202e")
_CLOSES_EMBEDDING = "\u202c"
_OPENS_ISOLATE = frozenset("\u2066\u2067\u2068")
_CLOSES_ISOLATE = "\u2069"


def quotation(text: str, longest: int) -> Json:
    """The text behind a bar of its own, which none of its line breaks ends. longest: characters that are shown."""
    return {"type": "rich_text_quote", "elements": [{"type": "text", "text": closed(shortened(text, longest)) or " "}]}


def shortened(text: str, longest: int) -> str:
    """The beginning of the text, and how much of it is left out."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest} more characters)"


def closed(text: str) -> str:
    """The text with every change of direction that it begins also ended, so that it turns nothing after it around.

    Source: https://www.unicode.org/reports/tr9/ (explicit directional formatting characters).
    """
    open_ones: list[str] = []
    for character in text:
        if character in _OPENS_EMBEDDING:
            open_ones.append(_CLOSES_EMBEDDING)
        elif character in _OPENS_ISOLATE:
            open_ones.append(_CLOSES_ISOLATE)
        elif open_ones and character == open_ones[-1]:
            open_ones.pop()
    return text + "".join(reversed(open_ones))
