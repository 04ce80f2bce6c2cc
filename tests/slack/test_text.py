"""What people typed arrives readable, pings nobody, and forges nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.slack.text import SECTION, cut, escaped, label, plain, quoted, section, sentence
from tests.slack.reading import check_message, read_mrkdwn

HOSTILE = (
    "<!channel>",
    "<!here|here> <@U0BOB> <#C0GENERAL> <!subteam^S0SRE>",
    "<https://evil.example|Approve>",
    "https://evil.example mailto:a@b.example",
    "*bold* _italic_ ~struck~ `code` ```block```",
    "`; *Approved* by `frank@example.com",
    "a\nReason: `b`\n*Approved* by carol",
    "a\r\nb\u2028c\u2029d\x85e\tf",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200ey\u200f",
    "&amp; &lt;!channel&gt; & < >",
    "ticket: INC-1: done: ",
    "👩‍💻 déjà vu שלום مرحبا 你好 می‌خواهم",
    "x" * 3000,
    "&" * 3000,
    "`" * 50,
    "\x00\x07\x1b[31m\ud800",
    ">>> quote",
)
texts = (
    st.text(st.characters(), max_size=80)
    | st.sampled_from(HOSTILE)
    | st.text(alphabet="`*_~<>&|!@#: \n\u202e", max_size=40)
)


def hostile(test):
    for each in HOSTILE:
        test = example(each)(test)
    return test


@hostile
@given(texts)
def test_a_quotation_is_one_piece_of_code_and_nothing_else(text: str) -> None:
    read = read_mrkdwn(f"Reason: {quoted(text)}\nDone.")
    assert len(read.quotations) == 1
    assert (read.controls, read.styled) == ((), ())
    assert read.bare == "Reason: \ufffc\nDone."


@hostile
@given(texts)
def test_what_can_be_read_of_it_arrives_unharmed(text: str) -> None:
    [shown] = read_mrkdwn(quoted(text, 100_000)).quotations
    assert shown == (plain(text).replace("`", "ˋ").strip() or "…")


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=80))
def test_letters_numbers_and_signs_stay_as_they_are(text: str) -> None:
    assert plain(text) == text


@hostile
@given(texts)
def test_plain_text_is_one_line_without_controls_or_turns(text: str) -> None:
    shown = plain(text)
    assert not set(shown) & {
        *"\n\r\t\x00\x1b\u2028\u2029\x85",
        *map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
    }
    assert plain(shown) == shown


@given(texts, st.integers(5, 60))
def test_a_quotation_is_never_longer_than_it_may_be_and_says_where_it_was_cut(text: str, most: int) -> None:
    shown = quoted(text, most)
    assert len(shown) <= most
    [inside] = read_mrkdwn(shown).quotations
    whole = read_mrkdwn(quoted(text, 100_000)).quotations[0]
    assert inside == whole or (inside.endswith("…") and whole.startswith(inside[:-1]))


@hostile
@given(texts)
def test_every_block_of_it_is_one_that_slack_takes(text: str) -> None:
    blocks = [section(f"Reason: {quoted(text, SECTION - 8)}"), sentence(text)]
    check_message({"response_type": "ephemeral", "text": escaped(plain(text)) or "…", "blocks": blocks})
    assert len(label(text, 24)["text"]) <= 24


@pytest.mark.parametrize(("text", "most", "shown"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("", 3, "")])
def test_cutting_leaves_a_mark(text: str, most: int, shown: str) -> None:
    assert cut(text, most) == shown


def test_an_emoji_of_several_characters_stays_one() -> None:
    assert quoted("👩‍💻 :tada:") == "`👩‍💻 :tada:`"
