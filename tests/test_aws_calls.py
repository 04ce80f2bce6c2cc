"""How many calls to AWS each use case makes, with a warm catalogue and warm keys, counted as botocore sends them.

And how many the Slack door makes to Slack, as Slack hears them, where it has not been asked for a minute.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from chalicelib.broker import asking, binding, deciding, emergency, ending, lending, revoking, seeing
from chalicelib.broker.asking import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.binding import SlackUser
from chalicelib.core.principal import Principal
from chalicelib.core.request import Verdict
from tests.builders import SECOND
from tests.hub import Hub
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.slack.fake_slack import TEAM, Person
from tests.slack.workspace import Workspace, open_workspace
from tests.stage import an_ask, with_rules

KEY = IdempotencyKey("POST /requests", "k-1")
WRITE, READ, BATCH, STORY, STS = "TransactWriteItems", "GetItem", "BatchGetItem", "Query", "AssumeRole"
WITHOUT_MFA = with_rules(("sre administer payments", {"require_mfa": False}))


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


def test_looking_at_a_request_takes_one_and_at_its_history_two(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    assert counted(hub, lambda: seeing.story(hub.world, DAVE, id)) == {STORY: 1}
    assert counted(hub, lambda: seeing.history(hub.world, DAVE, id, after=0, limit=50)) == {READ: 1, STORY: 1}


# In Slack.


class InSlack:
    """A team over the embedded AWS."""

    def __init__(self, hub: Hub) -> None:
        self.sent = hub.calls
        self.world = replace(hub.world, catalogue=lambda: WITHOUT_MFA)
        self.team = Workspace(worlds=lambda: self.world)

    def person(self, who: Principal) -> Person:
        person = self.team.people[who.id]
        user = SlackUser(TEAM, person.id)
        binding.confirm(self.world, who, binding.offer(self.world, user, who.id))
        return person

    def asked(self, who: Principal = CAROL, role: str = "payments-admin") -> str:
        return asking.ask(self.world, who, an_ask(role), None).request.id

    def calls(self, act: Callable[[], object]) -> tuple[Counter[str], list[str]]:
        self.team.stage.pass_time(61 * SECOND)
        self.sent.clear()
        self.team.slack.calls.clear()
        act()
        return Counter(self.sent), self.team.slack.methods()


@pytest.fixture
def slack(hub: Hub) -> Iterator[InSlack]:
    made = InSlack(hub)
    with open_workspace(made.team):
        made.person(DAVE).types("list")  # the table's own first questions
        yield made


def test_a_click_takes_one_read_one_write_and_one_call_of_slack(slack: InSlack) -> None:
    frank, id = slack.person(FRANK), slack.asked()
    assert slack.calls(lambda: frank.presses("daypass_approve", id)) == ({BATCH: 1, WRITE: 1}, ["users.info"])


def test_a_click_that_is_refused_takes_one_read_and_one_call_of_slack(slack: InSlack) -> None:
    frank, id = slack.person(FRANK), slack.asked()
    deciding.deny(slack.world, FRANK, id, comment="no")
    for action in ("daypass_approve", "daypass_shorten", "daypass_deny"):
        assert slack.calls(lambda: frank.presses(action, id)) == ({BATCH: 1}, ["response_url"])


def test_a_click_that_opens_a_form_takes_one_read_and_one_call_of_slack(slack: InSlack) -> None:
    frank, id = slack.person(FRANK), slack.asked()
    for action in ("daypass_shorten", "daypass_deny"):
        assert slack.calls(lambda: frank.presses(action, id)) == ({BATCH: 1}, ["views.open"])


def test_a_form_that_comes_back_takes_one_read_one_write_and_one_call_of_slack(slack: InSlack) -> None:
    frank = slack.person(FRANK)
    form = frank.press_opens("daypass_deny", slack.asked())
    frank.writes(form, "comment", "no")
    assert slack.calls(lambda: frank.sends(form)) == ({BATCH: 1, WRITE: 1}, ["users.info"])


def test_asking_takes_one_read_one_write_and_one_call_of_slack(slack: InSlack) -> None:
    alice = slack.person(ALICE)
    ask = slack.calls(lambda: alice.types("sandbox-admin 1h trying things out"))
    assert ask == ({BATCH: 1, WRITE: 1}, ["users.info"])


def test_somebody_new_takes_one_read_one_write_and_one_call_of_slack(slack: InSlack) -> None:
    alice = slack.team.people[ALICE.id]
    assert slack.calls(lambda: alice.types("")) == ({BATCH: 1, WRITE: 1}, ["users.info"])


def test_confirming_takes_one_read_and_one_write_and_two_where_another_user_is_replaced(slack: InSlack) -> None:
    world = slack.world
    for user, writes in (("U1", 1), ("U1", 1), ("U2", 2)):
        code = binding.offer(world, SlackUser(TEAM, user), ALICE.id)
        confirm = slack.calls(lambda: binding.confirm(world, ALICE, code))
        assert confirm == ({BATCH: 1, WRITE: writes}, [])


def test_looking_takes_one_read_and_what_the_list_takes(slack: InSlack) -> None:
    carol, id = slack.person(CAROL), slack.asked()
    assert slack.calls(lambda: carol.types(f"show {id}")) == ({BATCH: 1, READ: 1}, ["users.info"])
    assert slack.calls(lambda: carol.types("list")) == ({BATCH: 1, STORY: 5}, ["users.info"])
    assert slack.calls(lambda: carol.types(f"done {id[-8:]}")) == (
        {BATCH: 1, STORY: 1, READ: 2, WRITE: 1},
        ["users.info"],
    )


def test_the_form_for_asking_takes_one_read_and_one_call_of_slack_a_step(slack: InSlack) -> None:
    alice = slack.person(ALICE)
    assert slack.calls(lambda: alice.types("")) == ({BATCH: 1}, ["users.info", "views.open"])
    [form] = slack.team.slack.forms.values()
    assert slack.calls(lambda: alice.searches(form, "")) == ({BATCH: 1}, ["users.info"])
    option = {"type": "external_select", "selected_option": {"value": "sandbox-admin"}}
    form.values["role"] = {"daypass_role": option}
    chosen = slack.calls(
        lambda: alice._interacts(
            "block_actions",
            actions=[{**option, "action_id": "daypass_role", "block_id": "role"}],
            view=alice._sent(form),
        )
    )
    assert chosen == ({BATCH: 1}, ["views.update"])
    alice.chooses(form, "duration", "3600")
    alice.writes(form, "reason", "trying things out")
    assert slack.calls(lambda: alice.sends(form)) == ({BATCH: 1, WRITE: 1}, ["users.info"])


def test_revoking_takes_what_it_takes_at_every_door(slack: InSlack) -> None:
    dave, id = slack.person(DAVE), slack.asked(ALICE, "sandbox-admin")
    lending.lend(slack.world, ALICE, id)
    revoked = slack.calls(lambda: dave.types(f"revoke {id} no more of this"))
    assert revoked == ({BATCH: 1, READ: 1, WRITE: 2, STS: 1, "PutRolePolicy": 1}, ["users.info"])
