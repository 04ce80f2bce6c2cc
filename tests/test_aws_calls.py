"""How many calls to AWS each use case makes, with a warm catalogue and warm keys, counted as botocore sends them.

And how many the Slack door makes to Slack, as Slack hears them, where it has not been asked for a minute.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.signin import AwsConsole
from chalicelib.broker import (
    asking,
    balancing,
    binding,
    console,
    deciding,
    emergency,
    ending,
    extending,
    lending,
    looking,
    revoking,
    seeing,
)
from chalicelib.broker.claiming import IdempotencyKey
from chalicelib.broker.lending import Credentials
from chalicelib.core.binding import SlackUser
from chalicelib.core.catalogue import Quotas, Stage, Who
from chalicelib.core.principal import Principal
from chalicelib.core.provider import Via
from chalicelib.core.refusals import QuotaUsed, StsRefused
from chalicelib.core.request import Request, Verdict
from daypass.local import example
from tests.builders import HOUR, SECOND
from tests.hub import Hub
from tests.local.accounts import as_root
from tests.people import ALICE, CAROL, DAVE, FRANK
from tests.signin import stub_sign_in
from tests.slack.fake_slack import TEAM, Person
from tests.slack.team import Workspace, open_workspace
from tests.stage import CATALOGUE, an_ask, more_of, read_example, with_rules
from tests.trails import a_session, a_use

SANDBOX = "engineers administer the sandbox"
KEY = IdempotencyKey("POST /requests", "k-1")
WRITE, READ, BATCH, STORY, STS = "TransactWriteItems", "GetItem", "BatchGetItem", "Query", "AssumeRole"
KMS, STS_WITH_TOKEN = "Sign", "AssumeRoleWithWebIdentity"
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


def test_the_console_takes_what_credentials_take_and_then_one_of_sign_in_one_read_and_one_write(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    with stub_sign_in() as stub:
        world = replace(hub.world, console=AwsConsole(stub.site))
        for number in (1, 2):
            calls = counted(hub, lambda: console.open_console(world, CAROL, id, destination=None))
            assert (calls, len(stub.heard)) == ({READ: 2, WRITE: 3, STS: 1}, number)


def test_ask_and_issue_takes_three_write_sts_write(hub: Hub) -> None:
    lent = []
    calls = counted(hub, lambda: lent.append(lending.ask_and_lend(hub.world, ALICE, an_ask("sandbox-admin"), KEY)))
    assert isinstance(lent[0], Credentials)
    assert calls == {WRITE: 2, STS: 1}


@pytest.fixture
def vouched(hub: Hub, seeded) -> Hub:
    """The hub, with a role that trusts the local provider's tokens for it, and another that trusts the same ones."""
    catalogue = read_example(example.catalogue("http://127.0.0.1:8000", example.provider_key(seeded.url)))
    assert catalogue.provider is not None
    issuer = catalogue.provider.issuer.removeprefix("http://")
    roles = {
        name: replace(catalogue.roles[name], role_name=f"daypass/Vouched-{name}", via=Via.OIDC, external_id=None)
        for name in ("sandbox-admin", "payments-read")
    }
    for role in roles.values():
        trust = {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{role.account.id}:oidc-provider/{issuer}"},
            "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {
                "StringEquals": {
                    f"{issuer}:aud": "sts.amazonaws.com",
                    f"{issuer}:sub": f"daypass:role:{roles['sandbox-admin'].arn}",
                }
            },
        }
        iam = as_root("iam", seeded.url, role.account.id)
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(
                Path="/daypass/",
                RoleName=role.role_name.removeprefix("daypass/"),
                AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            )
    today = replace(catalogue, roles={**catalogue.roles, **roles})
    hub.world = replace(hub.world, catalogue=lambda: today)
    return hub


def test_where_the_provider_vouches_kms_is_one_call_more(vouched: Hub) -> None:
    lent = []
    wish = an_ask("sandbox-admin")
    calls = counted(vouched, lambda: lent.append(lending.ask_and_lend(vouched.world, ALICE, wish, KEY)))
    assert isinstance(lent[0], Credentials)
    assert calls == {WRITE: 2, KMS: 1, STS_WITH_TOKEN: 1}
    again = counted(vouched, lambda: lending.lend(vouched.world, ALICE, lent[0].request_id))
    assert again == {READ: 1, WRITE: 2, KMS: 1, STS_WITH_TOKEN: 1}


def test_a_trust_that_asks_for_another_roles_sub_lets_nobody_in(vouched: Hub) -> None:
    with pytest.raises(
        StsRefused, match="sub daypass:role:arn:aws:iam::222222222222:role/daypass/Vouched-payments-read"
    ):
        lending.ask_and_lend(vouched.world, ALICE, an_ask("payments-read"), KEY)


def test_breaking_the_glass_takes_three_with_an_emergency_queue_or_without_and_its_review_three(hub: Hub) -> None:
    fire = an_ask(reason="payments are down for everybody", break_glass=True)
    lent = []
    queue = SqsQueue(hub.session, example.REGION, url="https://nowhere/q.fifo", key="none")
    world = replace(hub.world, queue=queue)
    calls = counted(hub, lambda: lent.append(lending.ask_and_lend(world, CAROL, fire, KEY)))
    assert isinstance(lent[0], Credentials)
    assert calls == {WRITE: 2, STS: 1}
    assert {client for client in ("_sqs", "_kms") if client in vars(queue)} == set(), "no client was even made"
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


def test_revoking_takes_three_for_the_record_two_for_the_deny_and_two_to_see_how_full_the_role_is(hub: Hub) -> None:
    id = asking.ask(hub.world, CAROL, an_ask(), None).request.id
    deciding.approve(hub.world, FRANK, id, comment=None, duration=None)
    lending.lend(hub.world, CAROL, id)
    calls = counted(hub, lambda: revoking.revoke(hub.world, FRANK, id, comment="no more"))
    looks = {"ListRolePolicies": 1, "GetRolePolicy": 1}
    assert calls == {READ: 1, WRITE: 2, STS: 1, "PutRolePolicy": 1, **looks}


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
    assert calls == {READ: 2, WRITE: 2, STS: 1, "PutRolePolicy": 1, "ListRolePolicies": 1, "GetRolePolicy": 1}
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


def test_looking_at_what_was_done_takes_one_for_each_session_and_two_to_tell_who_looked(hub: Hub) -> None:
    request = in_use(hub)
    lending.lend(hub.world, CAROL, request.id)
    look = partial(looking.activity, hub.world, request_id=request.id, after=None, limit=50)
    assert counted(hub, lambda: look(principal=CAROL)) == {STORY: 3}
    assert counted(hub, lambda: look(principal=DAVE)) == {STORY: 4, WRITE: 1}


def test_noting_a_file_takes_one_write_for_25_sessions_one_read_and_one_write_for_each_that_is_suspected(
    hub: Hub,
) -> None:
    use, zoe = a_use("ASIA0"), a_use(None, session=a_session("ASIA1", name="zoe"))
    take = partial(balancing.take, hub.world.trail(), now=hub.world.now())
    suspected = {"BatchWriteItem": 1, BATCH: 1, WRITE: 2}
    assert counted(hub, lambda: take(file="0", records=[use, zoe])) == suspected
    assert counted(hub, lambda: take(file="1", records=[])) == {}


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
    denied = {STS: 1, "PutRolePolicy": 1, "ListRolePolicies": 1, "GetRolePolicy": 1}
    assert revoked == ({BATCH: 1, READ: 1, WRITE: 2, **denied}, ["users.info"])
