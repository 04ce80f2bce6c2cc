"""The one request that is meant by the ending of its id."""

import pytest

from chalicelib.broker import finding
from chalicelib.core.refusals import Invalid, NotFound
from tests.builders import a_submission, an_id
from tests.people import ALICE, CAROL, DAVE
from tests.stage import Stage, an_ask


def asked(stage: Stage, count: int, who=ALICE) -> list[str]:
    ids = [an_id() for _ in range(count)]
    for id in ids:
        stage.requests.submit(a_submission(id=id, requester=who), claim=None, max_open=1000, now=stage.now)
    return ids


def test_an_ending_that_one_request_has_finds_it_whatever_its_case() -> None:
    stage = Stage()
    first, second = stage.asked(ALICE, an_ask("sandbox-admin")), stage.asked(ALICE, an_ask("sandbox-admin"))
    for request in (first, second):
        assert finding.by_ending(stage.world, ALICE, request.id[-6:].lower()) == request.id


def test_a_whole_id_is_taken_at_its_word_without_a_look() -> None:
    assert finding.by_ending(Stage().world, ALICE, "01K00000000000000000000000") == "01K00000000000000000000000"


@pytest.mark.parametrize("ending", ["", "a b", "<!channel>", "é", "x" * 27])
def test_what_is_no_ending_is_refused(ending: str) -> None:
    with pytest.raises(Invalid, match="letters and digits"):
        finding.by_ending(Stage().world, ALICE, ending)


def test_only_what_one_may_see_is_found() -> None:
    stage = Stage()
    request = stage.asked(CAROL)
    with pytest.raises(NotFound, match="No request that you may see"):
        finding.by_ending(stage.world, ALICE, request.id[-8:])
    assert finding.by_ending(stage.world, DAVE, request.id[-8:]) == request.id
    with pytest.raises(NotFound):
        finding.by_ending(stage.world, DAVE, request.id[-8:], mine=True)


def test_an_ending_of_several_is_refused_with_how_many_there_are() -> None:
    stage = Stage()
    ids = asked(stage, 11)
    shared = next(id[-1] for id in ids if sum(other.endswith(id[-1]) for other in ids) == 2)
    with pytest.raises(Invalid, match="2 requests end in"):
        finding.by_ending(stage.world, ALICE, shared)


def test_the_newest_two_hundred_are_looked_at() -> None:
    stage = Stage()
    ids = asked(stage, 201)
    assert finding.by_ending(stage.world, ALICE, ids[1][-10:], mine=True) == ids[1]
    with pytest.raises(NotFound, match="200 were looked at"):
        finding.by_ending(stage.world, ALICE, ids[0][-10:], mine=True)
