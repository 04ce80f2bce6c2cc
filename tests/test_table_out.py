"""The table switched off mid-story, on the embedded AWS: who is on call gets in, and afterwards it is all on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.table import Table
from chalicelib.broker import asking, deciding, emergency, lending, revoking, seeing
from chalicelib.broker.draining import SETTLES, Outcome, drain
from chalicelib.broker.lending import Credentials
from chalicelib.broker.ports import World
from chalicelib.core.ledger import beginning, first_break
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Verdict
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION, Emergencies
from tests.hub import Hub
from tests.local.accounts import as_root, as_session
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.stage import an_ask

FIRE = an_ask(reason="payments are down for everybody", break_glass=True)
REASON = "nobody answers and it burns"


@pytest.fixture
def queue(hub: Hub, emergencies: Emergencies) -> SqsQueue:
    """As the broker's role has it."""
    return SqsQueue(hub.session, REGION, url=emergencies.queue, key=emergencies.key)


@pytest.fixture
def out(hub: Hub, queue: SqsQueue, connect: Callable[..., Table], closed_port: str) -> World:
    """The same world, whose table is behind an address at which nobody listens."""
    return replace(hub.world, queue=queue, requests=connect(hub.table._name, host=closed_port))


def reads_payments(seeded: EmbeddedAws, lent: Credentials) -> int:
    keys = {
        "AccessKeyId": lent.access_key_id,
        "SecretAccessKey": lent.secret_access_key.value,
        "SessionToken": lent.session_token.value,
    }
    found: int = as_session("s3", seeded.url, keys).list_objects_v2(Bucket="payments-files")["KeyCount"]
    return found


def later(world: World) -> World:
    """After the calls of the outage are over."""
    begun = world.now()

    def now() -> datetime:
        return begun + SETTLES + timedelta(seconds=1)

    return replace(world, now=now)


def test_the_story_of_an_emergency_while_the_table_is_out(
    hub: Hub, queue: SqsQueue, out: World, seeded: EmbeddedAws
) -> None:
    world = replace(hub.world, queue=queue)
    pending = asking.ask(world, CAROL, an_ask(), None).request
    # The table goes out.
    for act in (
        lambda: asking.ask(out, ALICE, an_ask("sandbox-admin"), None),
        lambda: lending.ask_and_lend(out, ALICE, an_ask("sandbox-admin"), None),
        lambda: deciding.approve(out, FRANK, pending.id, comment=None, duration=None),
        lambda: emergency.escalate(out, CAROL, pending.id, reason=REASON),
        lambda: asking.ask(out, CAROL, FIRE, None),
        lambda: seeing.story(out, DAVE, pending.id),
    ):
        with pytest.raises(Unavailable):
            act()
    hub.calls.clear()
    lent = lending.ask_and_lend(out, CAROL, FIRE, None)
    assert hub.calls == {"GenerateMac": 2, "SendMessage": 2, "AssumeRole": 1}
    assert isinstance(lent, Credentials)
    assert reads_payments(seeded, lent)
    with pytest.raises(Unavailable, match=lent.request_id):
        lending.ask_and_lend(out, CAROL, FIRE, None)
    # Somebody who may send to the queue, but not use the key, tries to be let in by it.
    sqs = as_root("sqs", seeded.url, HUB_ACCOUNT)
    read = queue.receive()
    for message in read:
        sqs.change_message_visibility(QueueUrl=queue._url, ReceiptHandle=message.receipt, VisibilityTimeout=0)
    genuine = read[0].text
    forged = genuine.replace("carol@example.com", "eve@example.com").replace(lent.request_id, pending.id)
    sqs.send_message(QueueUrl=queue._url, MessageBody=forged, MessageGroupId=pending.id, MessageDeduplicationId="e-1")
    # It comes back.
    assert world.requests.get(lent.request_id) is None
    assert Counter(each.outcome for each in drain(later(world))) == {Outcome.WRITTEN: 2, Outcome.SET_ASIDE: 1}
    assert queue.receive() == ()
    events = world.requests.events(lent.request_id, after=0, limit=9).items
    assert first_break(beginning(lent.request_id), events) is None
    assert [event.type for event in events] == [
        "request.submitted",
        "break_glass.opened",
        "session.issuing",
        "session.issued",
    ]
    request, [session] = seeing.story(world, DAVE, lent.request_id)
    assert (request.head_hash, session.access_key_id) == (events[-1].hash, lent.access_key_id)
    assert seeing.story(world, DAVE, pending.id) == (pending, ())
    assert world.requests.by_requester("eve@example.com", after=None, limit=9).items == ()
    # And goes on from there.
    assert isinstance(lending.lend(world, CAROL, lent.request_id), Credentials)
    revoked = revoking.revoke(world, DAVE, lent.request_id, comment="that will do")
    assert revoked.revocation
    assert revoked.revocation.denies[0].written_at
    assert emergency.review(world, DAVE, lent.request_id, verdict=Verdict.JUSTIFIED, comment="saw it").review
