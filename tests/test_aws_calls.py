"""How many calls to AWS each use case makes, with a warm catalogue and warm keys, counted as botocore sends them."""

from collections import Counter
from dataclasses import replace

import pytest

from chalicelib.broker import asking, deciding, emergency, ending, lending, revoking, seeing
from chalicelib.broker.asking import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import Stage, Who
from chalicelib.core.quotas import Quotas
from chalicelib.core.refusals import QuotaUsed
from chalicelib.core.request import Verdict
from tests.builders import HOUR
from tests.hub import Hub
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import CATALOGUE, an_ask, with_rules

SANDBOX = "engineers administer the sandbox"
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


def test_days_are_counted_without_a_call_and_a_way_in_that_is_used_up_costs_one(hub: Hub) -> None:
    """Of three ways into the sandbox two lend an hour a day."""
    a_day = {"max_duration": HOUR, "max_per_day": HOUR}
    first = next(rule for rule in with_rules((SANDBOX, a_day)).rules if rule.name == SANDBOX)
    lead = Stage(1, Who(groups=frozenset({"sre-leads"})))
    ways = (first, replace(first, name="another"), replace(first, name="z", stages=(lead,), max_per_day=None))
    world = replace(hub.world, catalogue=lambda: replace(CATALOGUE, rules=ways))
    sandbox = an_ask("sandbox-admin")
    ready = [asking.ask(world, ALICE, sandbox, None).request.id for _ in range(2)]
    assert counted(hub, lambda: asking.ask(world, ALICE, sandbox, KEY)) == {WRITE: 1}
    assert counted(hub, lambda: lending.ask_and_lend(world, ALICE, sandbox, None)) == {WRITE: 2, STS: 1}
    assert counted(hub, lambda: lending.lend(world, ALICE, ready[0])) == {READ: 1, WRITE: 3, STS: 1}
    assert counted(hub, lambda: lending.ask_and_lend(world, ALICE, sandbox, None)) == {WRITE: 3}  # it waits for a lead
    with pytest.raises(QuotaUsed):
        lending.lend(world, ALICE, ready[1])


def test_an_emergency_too_many_costs_the_write_that_refuses_it(hub: Hub) -> None:
    world = replace(hub.world, catalogue=lambda: replace(CATALOGUE, quotas=Quotas(break_glass_per_day=1)))
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    assert counted(hub, lambda: lending.ask_and_lend(world, CAROL, fire, None)) == {WRITE: 2, STS: 1}
    hub.calls.clear()
    with pytest.raises(QuotaUsed):
        lending.ask_and_lend(world, CAROL, fire, None)
    assert hub.calls == {WRITE: 1}


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


def test_looking_at_a_request_takes_one_and_at_its_history_two(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    assert counted(hub, lambda: seeing.story(hub.world, DAVE, id)) == {STORY: 1}
    assert counted(hub, lambda: seeing.history(hub.world, DAVE, id, after=0, limit=50)) == {READ: 1, STORY: 1}
