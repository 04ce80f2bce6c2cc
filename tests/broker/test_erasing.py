"""Erasing: what people wrote goes for good, what happened stays, and the history holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.broker import deciding, emergency, ending, revoking
from chalicelib.broker.erasing import erase
from chalicelib.core.erasing import ERASED
from chalicelib.core.ledger import commitment
from chalicelib.core.principal import Kind
from chalicelib.core.refusals import NotEligible, NotFound, NotOver, Refusal
from chalicelib.core.replaying import unexplained
from chalicelib.core.request import Request, Verdict
from chalicelib.web.views.requests import RequestView
from tests.builders import HOUR
from tests.people import ALICE, BOB, CAROL, DAVE, FRANK
from tests.stage import Stage, an_ask

SECRET = "the customer Jane Doe"


def denied(stage: Stage) -> Request:
    request = stage.asked(wish=an_ask(reason=f"{SECRET} called"))
    return deciding.deny(stage.world, FRANK, request.id, comment=f"not for {SECRET}")


def reviewed(stage: Stage) -> Request:
    request = stage.asked(wish=an_ask(reason=f"{SECRET} waits"))
    emergency.escalate(stage.world, CAROL, request.id, reason=f"nobody answers {SECRET}")
    stage.lent(request)
    ending.give_back(stage.world, CAROL, request.id)
    return emergency.review(stage.world, DAVE, request.id, verdict=Verdict.JUSTIFIED, comment=f"for {SECRET}")


def revoked(stage: Stage) -> Request:
    request = stage.asked(wish=an_ask(reason=f"{SECRET} called"))
    deciding.approve(stage.world, BOB, request.id, comment=f"yes, {SECRET}", duration=None)
    stage.lent(request)
    return revoking.revoke(stage.world, BOB, request.id, comment=f"enough of {SECRET}")


def shown(stage: Stage, id: str) -> dict[str, Any]:
    view = RequestView.of(stage.request(id), stage.now, stage.sessions(id))
    return view.model_dump(mode="json", by_alias=True, exclude_unset=True)


@pytest.mark.parametrize("story", [denied, reviewed, revoked])
def test_no_text_is_left_and_the_history_holds_as_before(story: Any) -> None:
    stage = Stage()
    request = story(stage)
    before = stage.history(request.id)
    stage.pass_time(9 * HOUR)
    assert SECRET in repr(stage.request(request.id))
    erase(stage.world, DAVE, request.id)
    assert SECRET not in repr(stage.request(request.id))
    assert stage.request(request.id).salt == ""
    after = stage.history(request.id)  # whose chain it has checked
    assert after[:-1] == before
    assert (after[-1].type, after[-1].actor, after[-1].details) == ("texts.erased", DAVE.id, {})
    told = shown(stage, request.id)
    assert (told["reason"], told["erased_at"]) == (ERASED, "2031-03-05T21:00:00Z")
    assert unexplained(told, [event.as_json() for event in after]) == []


def test_nothing_but_texts_changes() -> None:
    stage = Stage()
    request = reviewed(stage)
    stage.pass_time(9 * HOUR)
    before = stage.request(request.id)
    after = erase(stage.world, DAVE, request.id)
    assert after.review is not None
    assert before.review is not None
    texts = ("reason", "decision_comment", "escalated_because", "salt", "erased_at", "version", "head_hash")
    kept = {name: getattr(before, name) for name in texts}
    assert replace(after, **kept, review=replace(after.review, comment=before.review.comment)) == before


def test_before_it_is_erased_a_text_can_be_held_against_the_history_and_afterwards_not() -> None:
    stage = Stage()
    request = denied(stage)
    said = stage.history(request.id)[0].details["reason_sha256"]
    assert said == commitment(request.reason, request.salt)
    stage.pass_time(9 * HOUR)
    after = erase(stage.world, DAVE, request.id)
    assert said != commitment(f"{SECRET} called", after.salt)


def test_again_it_changes_nothing() -> None:
    stage = Stage()
    request = denied(stage)
    first = erase(stage.world, DAVE, request.id)
    assert erase(stage.world, DAVE, request.id) == first


@pytest.mark.parametrize(
    ("who", "refusal"),
    [(CAROL, NotEligible), (FRANK, NotEligible), (ALICE, NotFound), (replace(DAVE, kind=Kind.WORKLOAD), NotEligible)],
)
def test_only_auditors_do_it_and_no_workload(who: Any, refusal: type[Refusal]) -> None:
    stage = Stage()
    request = denied(stage)
    with pytest.raises(refusal):
        erase(stage.world, who, request.id)
    assert SECRET in stage.request(request.id).reason


def test_what_is_open_unreviewed_or_still_lives_is_kept() -> None:
    stage = Stage()
    pending, used = stage.asked(), stage.approved()
    stage.lent(used)
    fire = stage.asked(wish=an_ask(reason=f"{SECRET} cannot pay", break_glass=True))
    stage.lent(fire)
    for request, why in ((pending, "is pending"), (used, "is active"), (fire, "is active")):
        with pytest.raises(NotOver, match=why):
            erase(stage.world, DAVE, request.id)
    ending.give_back(stage.world, CAROL, used.id)
    with pytest.raises(NotOver, match="still live"):
        erase(stage.world, DAVE, used.id)
    stage.pass_time(9 * HOUR)
    with pytest.raises(NotOver, match="Nobody has reviewed"):
        erase(stage.world, DAVE, fire.id)
    for request in (pending, used):
        assert erase(stage.world, DAVE, request.id).erased_at == stage.now
