"""How many calls to AWS each use case makes, with a warm catalogue and warm keys, counted as botocore sends them."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from chalicelib.broker import asking, deciding, emergency, ending, extending, lending, revoking, seeing
from chalicelib.broker.asking import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.request import Request, Verdict
from tests.hub import Hub
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import an_ask, more_of

KEY = IdempotencyKey("POST /requests", "k-1")
WRITE, READ, STORY, STS = "TransactWriteItems", "GetItem", "Query", "AssumeRole"


def counted(hub: Hub, act) -> Counter[str]:
    hub.calls.clear()
    act()
    return Counter(hub.calls)


def test_asking_takes_one_call_with_a_key_and_without(hub: Hub) -> None:
    assert counted(hub, lambda: asking.ask(hub.world, CAROL, an_ask(), KEY)) == {WRITE: 1}
    assert counted(hub, lambda: asking.ask(hub.world, CAROL, an_ask(), None)) == {WRITE: 1}


def test_a_dry_run_and_a_refusal_take_none(hub: Hub) -> None:
    assert counted(hub, lambda: asking.dry_run(hub.world, CAROL, an_ask())) == {}
    assert counted(hub, lambda: asking.dry_run(hub.world, ALICE, an_ask())) == {}
    assert counted(hub, lambda: seeing.requestable(hub.world, CAROL, q="", after=None, limit=50)) == {}


def test_deciding_and_ending_take_two(hub: Hub) -> None:
    ids = [asking.ask(hub.world, CAROL, an_ask(), None).request.id for _ in range(3)]
    approve = counted(hub, lambda: deciding.approve(hub.world, FRANK, ids[0], comment=None, duration=None))
    deny = counted(hub, lambda: deciding.deny(hub.world, FRANK, ids[1], comment="no"))
    cancel = counted(hub, lambda: ending.cancel(hub.world, CAROL, ids[2]))
    assert approve == deny == cancel == {READ: 1, WRITE: 1}


def test_credentials_take_four_read_write_sts_write(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    for _ in range(2):
        assert counted(hub, lambda: lending.lend(hub.world, CAROL, id)) == {READ: 1, WRITE: 2, STS: 1}


def test_ask_and_issue_takes_three_write_sts_write(hub: Hub) -> None:
    lent = []
    calls = counted(hub, lambda: lent.append(lending.ask_and_lend(hub.world, ALICE, an_ask("sandbox-admin"), KEY)))
    assert isinstance(lent[0], Credentials)
    assert calls == {WRITE: 2, STS: 1}


def test_breaking_the_glass_takes_three_and_its_review_three(hub: Hub) -> None:
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    lent = []
    calls = counted(hub, lambda: lent.append(lending.ask_and_lend(hub.world, CAROL, fire, KEY)))
    assert isinstance(lent[0], Credentials)
    assert calls == {WRITE: 2, STS: 1}
    id, justified = lent[0].request_id, Verdict.JUSTIFIED
    review = counted(hub, lambda: emergency.review(hub.world, DAVE, id, verdict=justified, comment="I saw the pages"))
    assert review == {READ: 2, WRITE: 1}


def test_revoking_takes_two_for_the_record_and_three_for_the_deny(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    lending.lend(hub.world, CAROL, id)
    calls = counted(hub, lambda: revoking.revoke(hub.world, FRANK, id, comment="no more"))
    assert calls == {READ: 1, WRITE: 2, STS: 1, "PutRolePolicy": 1}


def test_revoking_what_was_not_used_takes_two(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    assert counted(hub, lambda: revoking.revoke(hub.world, FRANK, id, comment="no")) == {READ: 1, WRITE: 1}


def in_use(hub: Hub) -> Request:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    lending.lend(hub.world, CAROL, id)
    request = hub.world.requests.get(id)
    assert request is not None
    return request


def test_extending_takes_two_and_one_more_where_there_was_an_extension_before_or_the_key_finds_one(hub: Hub) -> None:
    base = in_use(hub)
    assert counted(hub, lambda: extending.dry_run(hub.world, CAROL, more_of(base))) == {READ: 1}
    made = []
    calls = counted(hub, lambda: made.append(extending.extend(hub.world, CAROL, more_of(base), KEY)))
    assert calls == {READ: 1, WRITE: 1}
    # The base, its extension, the key, and what the key made.
    assert counted(hub, lambda: extending.extend(hub.world, CAROL, more_of(base), KEY)) == {READ: 4}
    ending.cancel(hub.world, CAROL, made[0].request.id)
    assert counted(hub, lambda: extending.extend(hub.world, CAROL, more_of(base), None)) == {READ: 2, WRITE: 1}


def test_each_later_link_that_ends_takes_one_read_more(hub: Hub) -> None:
    base = in_use(hub)
    extending.extend(hub.world, CAROL, more_of(base), None)
    calls = counted(hub, lambda: revoking.revoke(hub.world, FRANK, base.id, comment="no more"))
    assert calls == {READ: 2, WRITE: 2, STS: 1, "PutRolePolicy": 1}
    other = asking.ask(hub.world, CAROL, an_ask(), None).request
    deciding.approve(hub.world, FRANK, other.id, comment=None, duration=None)
    first = extending.extend(hub.world, CAROL, more_of(other), None).request
    extending.extend(hub.world, CAROL, more_of(first), None)
    assert counted(hub, lambda: ending.cancel(hub.world, CAROL, other.id)) == {READ: 3, WRITE: 1}


def test_the_first_use_of_what_was_extended_unopened_takes_one_read_more_and_every_other_none(hub: Hub) -> None:
    base = in_use(hub)
    fixed = extending.extend(hub.world, CAROL, more_of(base), None).request
    other = asking.ask(hub.world, CAROL, an_ask(), None).request
    deciding.approve(hub.world, FRANK, other.id, comment=None, duration=None)
    unopened = extending.extend(hub.world, CAROL, more_of(other), None).request
    lending.lend(hub.world, CAROL, other.id)
    later = replace(hub.world, now=lambda: hub.world.now() + timedelta(minutes=61))
    assert counted(hub, lambda: lending.lend(later, CAROL, unopened.id)) == {READ: 2, WRITE: 2, STS: 1}
    for id in (unopened.id, fixed.id):
        assert counted(hub, lambda: lending.lend(later, CAROL, id)) == {READ: 1, WRITE: 2, STS: 1}


def test_looking_at_a_request_takes_one_and_at_its_history_two(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    assert counted(hub, lambda: seeing.story(hub.world, DAVE, id)) == {STORY: 1}
    assert counted(hub, lambda: seeing.history(hub.world, DAVE, id, after=0, limit=50)) == {READ: 1, STORY: 1}
