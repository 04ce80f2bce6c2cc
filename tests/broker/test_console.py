"""The console: a session on the record like every other, and a link that is there before anybody has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.broker import console, deciding, ending, revoking
from chalicelib.broker.console import Link
from chalicelib.broker.ports import Secret
from chalicelib.core.life import State, Status
from chalicelib.core.refusals import (
    ConsoleRefused,
    Invalid,
    NotActive,
    NotEligible,
    NotFound,
    NotYours,
    QuotaUsed,
    StsRefused,
    TooManySessions,
    Unavailable,
)
from chalicelib.core.request import Request
from tests.builders import HOUR, NOW, SECOND
from tests.fakes import Effect
from tests.people import ALICE, BOB, CAROL, DAVE, ROBOT, now_in
from tests.stage import Stage, an_ask, via_oidc, with_rules

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
OPENED = ["session.issuing", "session.issued", "console.opened"]


def meanwhile(stage: Stage, act: Callable[[], object]) -> None:
    """What happens while AWS signs in."""
    assert stage.console is not None
    sign_in = stage.console.sign_in

    def after_that(*asked) -> Secret:
        act()
        return sign_in(*asked)

    stage.console.sign_in = after_that  # type: ignore[assignment, method-assign]


def test_a_link_is_a_new_session_that_opens_the_window_as_every_other_does() -> None:
    stage = Stage()
    request = stage.approved()
    stage.pass_time(2 * HOUR)
    link = stage.linked(request)
    assert stage.types(request.id)[-3:] == OPENED
    assert stage.request(request.id).window is not None
    assert link.expires_at == NOW + 2 * HOUR + QUARTER
    [session] = stage.sessions(request.id)
    assert stage.lender.plans[0].session_name == session.session_name
    assert stage.history(request.id)[-1].details == {"session": session.id, "link_expires_at": "2031-03-05T14:15:00Z"}
    assert stage.history(request.id)[-1].actor == CAROL.id


def test_every_link_is_of_a_session_of_its_own_and_another_one() -> None:
    stage = Stage()
    request = stage.approved()
    links = {stage.linked(request).url.value for _ in range(3)}
    assert len(links) == len(stage.sessions(request.id)) == 3


def test_neither_the_link_nor_the_keys_are_on_the_record() -> None:
    stage = Stage()
    request = stage.approved()
    link = stage.linked(request)
    told = str([event.as_json() for event in stage.history(request.id)]) + str(stage.requests.story(request.id))
    [lent] = stage.lender.lent
    for secret in (link.url.value, "signin-1", lent.secret_access_key.value, lent.session_token.value):
        assert secret not in told
        assert secret not in repr(link)


def test_of_a_chained_session_aws_is_told_no_duration_and_of_another_one_what_remains() -> None:
    for catalogue, duration in ((Stage().catalogue, None), (via_oidc("payments-admin"), 4 * HOUR)):
        stage = Stage(catalogue=catalogue)
        stage.linked(stage.approved(wish=an_ask(duration=4 * HOUR)))
        assert stage.console is not None
        assert stage.console.signed_in == [("ASIAFAKE000000000001", "https://console.aws.amazon.com/", duration)]


def test_it_leads_to_the_page_that_was_asked_for_and_never_out_of_the_console() -> None:
    stage = Stage()
    request = stage.approved()
    stage.linked(request, destination="/s3/home")
    assert stage.console is not None
    assert stage.console.signed_in[0][1] == "https://console.aws.amazon.com/s3/home"
    with pytest.raises(Invalid, match="destination"):
        stage.linked(request, destination="https://evil.example/")
    assert len(stage.lender.plans) == 1, "no session was made for nothing"


@pytest.mark.parametrize(
    ("window", "passed", "left"),
    [(HOUR, timedelta(0), QUARTER), (HOUR, 50 * MINUTE, 10 * MINUTE), (5 * MINUTE, timedelta(0), 5 * MINUTE)],
)
def test_the_link_ends_with_awss_quarter_of_an_hour_the_session_or_the_window(window, passed, left) -> None:
    stage = Stage()
    request = stage.approved(wish=an_ask(duration=window))
    stage.lent(request)
    stage.pass_time(passed)
    assert stage.linked(request).expires_at == NOW + passed + left


def test_the_quarter_of_an_hour_is_counted_from_before_aws_was_asked() -> None:
    stage = Stage()
    request = stage.approved()
    meanwhile(stage, lambda: stage.pass_time(4 * SECOND))
    assert stage.linked(request).expires_at == NOW + QUARTER


def test_a_workload_gets_no_link_whosever_request_it_is() -> None:
    stage = Stage()
    request = stage.asked(ROBOT, an_ask("deploy"))
    for each in (request, stage.approved()):
        with pytest.raises(NotEligible, match="only people"):
            stage.linked(each, ROBOT)
    assert stage.lender.plans == []


@pytest.mark.parametrize(("who", "refusal"), [(ALICE, NotFound), (BOB, NotYours), (DAVE, NotYours)])
def test_nobody_gets_a_link_by_somebody_elses_request(who, refusal) -> None:
    stage = Stage()
    with pytest.raises(refusal):
        stage.linked(stage.approved(), who)
    assert stage.lender.plans == []


def test_the_walls_and_quotas_of_sessions_are_those_of_links() -> None:
    stage = Stage()
    pending, ready = stage.asked(), stage.approved()
    with pytest.raises(NotActive):
        stage.linked(pending)
    with pytest.raises(NotEligible):
        stage.linked(ready, now_in(CAROL, "engineering"))
    for _ in range(10):
        stage.linked(ready)
    with pytest.raises(TooManySessions):
        stage.linked(ready)
    stage.pass_time(HOUR)
    with pytest.raises(NotActive, match="ended"):
        stage.linked(ready)
    stage.catalogue = with_rules(("engineers administer the sandbox", {"max_duration": HOUR, "max_per_day": HOUR}))
    first, second = (stage.asked(ALICE, an_ask("sandbox-admin")) for _ in range(2))
    stage.linked(first, ALICE)
    with pytest.raises(QuotaUsed):
        stage.linked(second, ALICE)


def test_an_emergency_may_be_seen_to_in_the_console_too() -> None:
    stage = Stage()
    request = stage.asked(wish=an_ask(reason="payments are down for everybody", break_glass=True))
    assert stage.linked(request)
    assert stage.types(request.id)[-3:] == OPENED


def test_where_sts_refuses_sign_in_is_not_asked() -> None:
    stage = Stage()
    request = stage.approved()
    stage.lender.refuse_next()
    with pytest.raises(StsRefused):
        stage.linked(request)
    assert stage.console is not None
    assert stage.console.signed_in == []
    assert stage.request(request.id).state(NOW) is State.READY


@pytest.mark.parametrize("refusal", [ConsoleRefused("no"), Unavailable("silence")])
def test_where_sign_in_fails_the_session_stays_on_the_record_and_trying_again_helps(refusal) -> None:
    stage = Stage()
    request = stage.approved()
    assert stage.console is not None
    stage.console.fail_next(refusal)
    with pytest.raises(type(refusal)):
        stage.linked(request)
    assert stage.types(request.id)[-2:] == OPENED[:2]
    assert stage.linked(request)
    assert stage.types(request.id)[-3:] == OPENED


def test_where_no_console_is_known_nothing_is_lent_for_it() -> None:
    stage = Stage(console=None)
    request = stage.approved()
    with pytest.raises(ConsoleRefused, match="partition"):
        stage.linked(request)
    assert stage.lender.plans == []


ENDS: dict[str, Callable[[Stage, Request], object]] = {
    "returned": lambda stage, request: ending.give_back(stage.world, CAROL, request.id),
    "revoked": lambda stage, request: revoking.revoke(stage.world, BOB, request.id, comment="no more"),
    "ended": lambda stage, request: stage.pass_time(HOUR),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_while_aws_signs_in_gives_no_link(end: str) -> None:
    stage = Stage()
    request = stage.approved()
    meanwhile(stage, lambda: ENDS[end](stage, request))
    with pytest.raises(NotActive, match="while the link was made"):
        stage.linked(request)
    assert "console.opened" not in stage.types(request.id)


@pytest.mark.parametrize("end", ["returned", "revoked"])
def test_what_ends_between_the_look_and_the_write_gives_no_link_either(end: str) -> None:
    stage = Stage()
    request = stage.approved()
    meanwhile(stage, lambda: stage.requests.meanwhile(lambda: ENDS[end](stage, request)))
    with pytest.raises(NotActive, match="while the link was made"):
        stage.linked(request)
    assert "console.opened" not in stage.types(request.id)


def test_what_others_write_at_the_same_time_is_no_reason_to_give_up() -> None:
    stage = Stage()
    request = stage.approved()
    meanwhile(stage, lambda: stage.requests.meanwhile(lambda: stage.lent(request)))
    assert stage.linked(request)
    assert stage.types(request.id)[-3:] == [*OPENED[:2], "console.opened"]


@pytest.mark.parametrize("effect", list(Effect))
def test_a_link_that_cannot_be_put_on_the_record_is_not_handed_out(effect: Effect) -> None:
    stage = Stage()
    request = stage.approved()
    meanwhile(stage, lambda: stage.requests.fail_next(effect))
    with pytest.raises(Unavailable):
        stage.linked(request)
    assert stage.request(request.id).status is Status.USED


def test_where_the_session_took_too_long_sign_in_is_not_asked() -> None:
    for wait, asked in ((console.PATIENCE, True), (console.PATIENCE + SECOND, False)):
        stage = Stage()
        request = stage.approved()
        lend = stage.lender.lend

        def slowly(plan, stage=stage, lend=lend, wait=wait):
            stage.pass_time(wait)
            return lend(plan)

        stage.lender.lend = slowly  # type: ignore[method-assign]
        if asked:
            assert stage.linked(request)
        else:
            with pytest.raises(Unavailable, match="sign-in was not asked"):
                stage.linked(request)
        assert stage.console is not None
        assert bool(stage.console.signed_in) is asked


def test_an_approvers_cut_ends_the_link_with_the_window() -> None:
    stage = Stage()
    request = stage.asked(wish=an_ask(duration=HOUR))
    deciding.approve(stage.world, BOB, request.id, comment=None, duration=3 * MINUTE)
    assert stage.linked(request).expires_at == NOW + 3 * MINUTE


def test_a_link_that_was_handed_out_shows_itself_to_nobody_who_only_prints_it() -> None:
    link = Link(Secret("https://signin.example/?SigninToken=x"), NOW)
    assert "SigninToken" not in f"{link} {link!r} {link.url} {replace(link)}"
