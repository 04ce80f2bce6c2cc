"""The words of Slack's answers."""

from chalicelib.core.catalogue import Who
from chalicelib.core.request import StageProgress
from chalicelib.slack.words import waiting

FILLED = StageProgress(1, Who(groups=frozenset({"sre-leads"})), ("frank@example.com",))
LACKING = StageProgress(2, Who(groups=frozenset({"security"})), ("dave@example.com",))


def test_however_many_stages_are_filled_the_one_that_lacks_is_told() -> None:
    assert waiting([*[FILLED] * 9, LACKING]) == "1 of `groups security`"
    assert waiting([FILLED]) == "nobody"
