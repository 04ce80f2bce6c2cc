"""Who hears of a request: by the rule that decides it, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.broker import deciding, emergency, ending
from chalicelib.broker.audience import Audience, audience, overdue
from chalicelib.core.catalogue import Notify, Who
from chalicelib.core.catalogue import Stage as Approvals
from chalicelib.core.request import Request
from tests.builders import HOUR, SECOND
from tests.people import CAROL, FRANK
from tests.stage import CATALOGUE, Stage, an_ask, with_rules

SRE = "sre administer payments"
DIRECT = Notify(slack=("#sre",), direct=True)
NAMED = (Approvals(1, Who(ids=("frank@example.com", "erin@*", "carol@example.com"))),)


def hears(stage: Stage, request: Request) -> Audience:
    return audience(stage.catalogue, stage.request(request.id), stage.now)


def test_the_channels_of_its_rule_hear_of_it() -> None:
    stage = Stage()
    assert hears(stage, stage.asked(CAROL)) == Audience(channels=("#sre-approvals",))
    assert hears(stage, stage.asked(CAROL, an_ask("payments-read"))) == Audience()


def test_in_person_those_are_asked_who_are_named_and_not_the_requester() -> None:
    stage = Stage(catalogue=with_rules((SRE, {"notify": DIRECT, "stages": NAMED})))
    assert hears(stage, stage.asked(CAROL)) == Audience(channels=("#sre",), asked=("frank@example.com",))


def test_the_members_of_a_group_cannot_be_told_in_person() -> None:
    stage = Stage(catalogue=with_rules((SRE, {"notify": DIRECT})))
    assert hears(stage, stage.asked(CAROL)).asked == ()


@pytest.mark.parametrize("answer", ["yes", "no", "none in time"])
def test_once_others_answered_the_requester_hears_it(answer: str) -> None:
    stage = Stage(catalogue=with_rules((SRE, {"notify": DIRECT, "stages": NAMED})))
    request = stage.asked(CAROL)
    if answer == "yes":
        deciding.approve(stage.world, FRANK, request.id, comment=None, duration=None)
    elif answer == "no":
        deciding.deny(stage.world, FRANK, request.id, comment="no")
    else:
        stage.pass_time(9 * HOUR)
    assert hears(stage, request) == Audience(channels=("#sre",), answered="carol@example.com")


def test_who_took_it_back_knows() -> None:
    stage = Stage(catalogue=with_rules((SRE, {"notify": DIRECT, "stages": NAMED})))
    request = stage.asked(CAROL)
    ending.cancel(stage.world, CAROL, request.id)
    assert hears(stage, request) == Audience(channels=("#sre",))


def test_of_an_emergency_those_hear_too_whom_its_terms_name() -> None:
    glass = CATALOGUE.rules[2].break_glass
    assert glass is not None
    terms = {
        "notify": Notify(slack=("#sre",)),
        "break_glass": type(glass)(
            who=glass.who,
            max_duration=glass.max_duration,
            reviewers=Who(ids=("dave@example.com",)),
            review_within=glass.review_within,
            notify=Notify(slack=("#incidents", "#sre"), direct=True),
        ),
    }
    stage = Stage(catalogue=with_rules((SRE, terms)))
    request = stage.asked(CAROL)
    assert hears(stage, request) == Audience(channels=("#sre",))
    emergency.escalate(stage.world, CAROL, request.id, reason="nobody answers and it burns")
    assert hears(stage, request) == Audience(channels=("#sre", "#incidents"), asked=("dave@example.com",))


def test_of_several_rules_the_one_that_is_shown_tells() -> None:
    leads = {"who": Who(groups=frozenset({"sre"})), "roles": ("payments-*",), "notify": Notify(slack=("#other",))}
    more = (*NAMED, *NAMED)
    stage = Stage(catalogue=with_rules(("engineers export data", {**leads, "stages": more, "max_duration": 9 * HOUR})))
    request = stage.asked(CAROL)
    assert hears(stage, request).channels == ("#sre-approvals",)
    stage.catalogue = with_rules((SRE, {"who": Who(groups=frozenset({"nobody"}))}), ("engineers export data", leads))
    assert hears(stage, request).channels == ("#other",)


def test_a_rule_that_is_gone_tells_nobody() -> None:
    stage = Stage()
    request = stage.approved(CAROL)
    stage.catalogue = with_rules((SRE, {"name": "another"}))
    assert hears(stage, request) == Audience()


def test_a_reminder_is_due_after_so_long_and_only_while_it_waits() -> None:
    after = timedelta(minutes=30)
    stage = Stage(catalogue=with_rules((SRE, {"notify": Notify(slack=("#sre",), remind_after=after)})))
    waiting, answered = stage.asked(CAROL), stage.approved(CAROL)
    stage.pass_time(after - SECOND)
    assert overdue(stage.catalogue, waiting, stage.now) is None
    stage.pass_time(SECOND)
    assert overdue(stage.catalogue, waiting, stage.now) == Notify(slack=("#sre",), remind_after=after)
    assert overdue(stage.catalogue, answered, stage.now) is None
    assert overdue(CATALOGUE, waiting, stage.now) is None
    stage.pass_time(9 * HOUR)
    assert overdue(stage.catalogue, waiting, stage.now) is None
