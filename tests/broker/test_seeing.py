"""Seeing: default deny, also for looking."""

import pytest

from chalicelib.broker import deciding, seeing
from chalicelib.broker.seeing import Filters
from chalicelib.core.life import State
from chalicelib.core.refusals import NotEligible, NotFound
from chalicelib.core.request import ScopeChoice
from tests.builders import HOUR, a_principal
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, FRANK, PEOPLE, ROBOT, now_in
from tests.stage import Stage, an_ask

EXPORT = an_ask("data-export", scope=ScopeChoice("one-bucket", {"bucket": "data-files"}))


def who_sees(stage: Stage, id: str) -> set[str]:
    def sees(who) -> bool:
        try:
            seeing.found(stage.world, who, id)
        except NotFound:
            return False
        return True

    return {who.id.partition("@")[0] for who in PEOPLE if sees(who)}


def test_a_request_is_seen_by_its_requester_those_who_may_approve_it_and_auditors() -> None:
    stage = Stage()
    assert who_sees(stage, stage.asked(CAROL).id) == {"carol", "bob", "frank", "dave"}


def test_a_request_without_approvals_is_seen_by_its_requester_and_auditors() -> None:
    stage = Stage()
    assert who_sees(stage, stage.asked(ALICE, an_ask("sandbox-admin")).id) == {"alice", "dave"}


def test_who_decided_on_a_request_sees_it_after_they_left_the_group() -> None:
    stage = Stage()
    request = stage.approved(by=FRANK)
    assert seeing.found(stage.world, now_in(FRANK), request.id)
    denied = deciding.deny(stage.world, FRANK, stage.asked().id, comment="no")
    assert seeing.found(stage.world, now_in(FRANK), denied.id)


def test_the_same_words_for_what_is_not_there_and_what_may_not_be_seen() -> None:
    stage = Stage()
    there = stage.asked().id
    said = []
    for id in (there, "01K99999999999999999999999"):
        with pytest.raises(NotFound) as refusal:
            seeing.found(stage.world, EVE, id)
        said.append(refusal.value.detail.replace(id, "ID"))
    assert said[0] == said[1]


def test_nobody_reads_the_history_or_the_sessions_of_what_they_may_not_see() -> None:
    stage = Stage()
    request = stage.asked()
    with pytest.raises(NotFound):
        seeing.history(stage.world, EVE, request.id, after=0, limit=50)
    with pytest.raises(NotFound):
        seeing.story(stage.world, EVE, request.id)


def names(page) -> list[str]:
    return [request.id for request in page.items]


def listed(stage: Stage, who, limit: int = 50, **filters):
    return seeing.listed(stage.world, who, Filters(**filters), after=None, limit=limit)


def test_a_list_shows_what_one_may_see_newest_first() -> None:
    stage = Stage()
    carols, alices = stage.asked(CAROL), stage.asked(ALICE, an_ask("sandbox-admin"))
    assert names(listed(stage, DAVE)) == [alices.id, carols.id]
    assert names(listed(stage, BOB)) == [carols.id]
    assert names(listed(stage, EVE)) == []


def test_mine_is_what_i_asked_for_and_to_approve_what_waits_for_me() -> None:
    stage = Stage()
    mine, others = stage.asked(BOB), stage.asked(CAROL)
    assert names(listed(stage, BOB, mine=True)) == [mine.id]
    assert names(listed(stage, BOB, to_approve=True)) == [others.id]
    assert set(names(listed(stage, FRANK, to_approve=True))) == {mine.id, others.id}


def test_what_i_approved_and_what_lapsed_waits_for_me_no_more() -> None:
    stage = Stage()
    request = stage.asked(ALICE, EXPORT)
    assert names(listed(stage, FRANK, to_approve=True)) == [request.id]
    deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    assert names(listed(stage, FRANK, to_approve=True)) == []
    assert names(listed(stage, DAVE, to_approve=True)) == [request.id]
    stage.pass_time(8 * HOUR)
    assert names(listed(stage, DAVE, to_approve=True)) == []


def test_filters_by_state_role_and_requester() -> None:
    stage = Stage()
    pending, ready = stage.asked(CAROL), stage.asked(ALICE, an_ask("sandbox-admin"))
    assert names(listed(stage, DAVE, state=State.PENDING)) == [pending.id]
    assert names(listed(stage, DAVE, state=State.READY)) == [ready.id]
    assert names(listed(stage, DAVE, role="sandbox-admin")) == [ready.id]
    assert names(listed(stage, DAVE, requester=CAROL.id)) == [pending.id]
    assert names(listed(stage, EVE, requester=CAROL.id)) == []


def test_a_page_looks_on_until_it_finds_what_may_be_seen() -> None:
    stage = Stage()
    seen = stage.asked(CAROL)
    for _ in range(5):
        stage.asked(ALICE, an_ask("sandbox-admin"))
    page = seeing.listed(stage.world, BOB, Filters(), after=None, limit=3)
    assert (names(page), page.next) == ([seen.id], None)


def test_a_page_may_be_empty_and_still_lead_on_without_naming_what_may_not_be_seen() -> None:
    stage = Stage()
    seen = stage.asked(CAROL)
    hidden = []
    for n in range(seeing.MOST_LOOKED_AT + 10):
        who = a_principal(f"engineer-{n}@example.com")
        hidden.append(stage.asked(who, an_ask("sandbox-admin")).id)
    first = seeing.listed(stage.world, BOB, Filters(), after=None, limit=10)
    assert first.items == ()
    assert first.next is not None
    assert not [id for id in hidden if id in first.next]
    second = seeing.listed(stage.world, BOB, Filters(), after=first.next, limit=10)
    assert (names(second), second.next) == ([seen.id], None)


def test_the_list_of_somebody_elses_requests_names_none_that_may_not_be_seen() -> None:
    stage = Stage()
    ids = [stage.asked(CAROL).id for _ in range(3)]
    page = seeing.listed(stage.world, ALICE, Filters(requester=CAROL.id), after=None, limit=1)
    assert (page.items, page.next) == ((), None)
    assert ids


def test_the_shown_stages_follow_todays_catalogue_while_it_waits() -> None:
    stage = Stage()
    request = deciding.approve(stage.world, FRANK, stage.asked(ALICE, EXPORT).id, comment=None, duration=None)
    shown = seeing.current(stage.world, request)
    assert [stage_.approved_by for stage_ in shown.stages] == [(FRANK.id,), ()]


@pytest.mark.parametrize(
    ("who", "roles"),
    [
        (ALICE, ["data-export", "payments-read", "sandbox-admin"]),
        (CAROL, ["payments-admin", "payments-read"]),
        (ROBOT, ["deploy"]),
        (FRANK, []),
        (now_in(EVE, "oncall"), ["payments-admin"]),
        (now_in(EVE, "oncall", "contractors"), []),
        (now_in(EVE, "sre", "contractors"), ["payments-read"]),
    ],
)
def test_the_roles_one_may_request(who, roles) -> None:
    page = seeing.requestable(Stage().world, who, q="", after=None, limit=50)
    assert [item.role.name for item in page.items] == roles


def test_roles_are_paged_and_searched() -> None:
    world = Stage().world
    first = seeing.requestable(world, ALICE, q="", after=None, limit=2)
    assert [item.role.name for item in first.items] == ["data-export", "payments-read"]
    rest = seeing.requestable(world, ALICE, q="", after=first.next, limit=2)
    assert ([item.role.name for item in rest.items], rest.next) == (["sandbox-admin"], None)
    found = seeing.requestable(world, ALICE, q="payments-prod", after=None, limit=2)
    assert [item.role.name for item in found.items] == ["payments-read"]


def test_an_auditor_reads_everybodys_events_and_nobody_else_does() -> None:
    stage = Stage()
    stage.asked(CAROL)
    read = seeing.day(stage.world, DAVE, stage.now.date(), after=None, limit=50)
    assert [recorded.event.actor for recorded in read.items] == [CAROL.id]
    with pytest.raises(NotEligible):
        seeing.day(stage.world, CAROL, stage.now.date(), after=None, limit=50)
