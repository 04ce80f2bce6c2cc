"""The catalogue file: a good one gives these values; a mistake is refused with its place, and all of them at once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import (
    Account,
    BreakGlass,
    Catalogue,
    Effect,
    Example,
    Extensions,
    Notify,
    Quotas,
    Role,
    Rule,
    Scope,
    Stage,
    Who,
)
from chalicelib.core.catalogue_file import CatalogueMistakes, Mistake, read_catalogue
from chalicelib.core.principal import Kind
from chalicelib.core.provider import Provider, ProviderKey, Via
from chalicelib.core.vouching import Directory, Issuer, MfaClaim, VerifiedBy

HUB = "123456789012"
KEY = f"arn:aws:kms:eu-central-1:{HUB}:key/0d5d9c2e-1f7a-4a53-9c0b-5a7f6c1e2d3b"
NEXT_KEY = f"arn:aws:kms:eu-central-1:{HUB}:key/mrk-1234abcd12ab34cd56ef1234567890ab"
POLICY = """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject",\
"Resource":"arn:aws:s3:::${bucket}/*"}]}"""
GOOD = f"""
[[issuers]]
name = "people"
url = "https://example.okta.com"
audience = "daypass"
client_id = "0oa1"
redirect_port = 8912
kind = "human"
groups = "groups"
domains = ["example.com", "example.org"]
mfa = {{ claim = "amr", any_of = ["mfa", "hwk"] }}

[[issuers]]
name = "cluster"
url = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC"
audience = "daypass"
kind = "workload"
subjects = ["system:serviceaccount:ci:*"]

[provider]
issuer = "https://id.example.com/daypass"

[[provider.keys]]
arn = "{KEY}"
signs_from = 2026-11-01T00:00:00+01:00

[[provider.keys]]
arn = "{NEXT_KEY}"
signs_from = "2027-11-01T00:00:00Z"

[accounts.payments-prod]
id = "222222222222"

[accounts.payments-test]
id = "222222222223"

[accounts.hub]
id = "{HUB}"

[roles.payments-admin]
account = "payments-prod"
role_name = "daypass/Admin"
external_id = "daypass-1"
max_session = "90m"
chaining = ["arn:aws:iam::*:role/cdk-*"]

[roles.payments-admin.scopes.one-bucket]
parameters = {{ bucket = "[a-z0-9.-]{{3,63}}" }}
policy = '''{POLICY}'''

[roles.reader]
accounts = ["payments-*"]
role_name = "daypass/team/Reader"
via = "oidc"
identity_use = true

[[rules]]
name = "sre administer payments"
who = {{ groups = ["sre"] }}
roles = ["payments-*"]
max_duration = "4h"
approvals = [{{ count = 1, from = {{ groups = ["sre-leads"] }} }}]
require = {{ mfa = true, ticket = "[A-Z]+-[0-9]+" }}
break_glass = {{ who = {{ groups = ["oncall"] }}, max_duration = "1h", reviewers = {{ groups = ["security"] }}, review_within = "24h" }}

[[rules]]
name = "the robot reads"
who = {{ ids = ["cluster/system:serviceaccount:ci:deployer"], kind = "workload", issuer = "cluster" }}
roles = ["reader@*"]
max_duration = "12h"
approvals = []

[[rules]]
name = "contractors never"
effect = "deny"
who = {{ groups = ["contractors"] }}
roles = ["payments-admin"]

[auditors]
groups = ["security"]

[[tests]]
who = {{ id = "zoe@example.com", groups = ["sre", "contractors"] }}
asks = {{ role = "payments-admin", duration = "1h", ticket = "OPS-1" }}
expect = "not-eligible"

[[tests]]
who = {{ id = "cluster/system:serviceaccount:ci:deployer", mfa = false }}
asks = {{ role = "reader@payments-test", duration = "1h" }}
expect = "auto-approved"
"""  # noqa: E501


def read(text: str, *, local: bool = False) -> Catalogue:
    return read_catalogue(text, hub_account=HUB, local=local)


def mistakes_in(text: str, *, local: bool = False) -> tuple[Mistake, ...]:
    with pytest.raises(CatalogueMistakes) as refused:
        read(text, local=local)
    return refused.value.mistakes


def changed(old: str, new: str) -> str:
    assert old in GOOD, f"the good catalogue has no {old}"
    return GOOD.replace(old, new, 1)


# A good file


def test_given_a_good_file_when_read_then_its_issuers_are_these():
    assert read(GOOD).issuers == (
        Issuer(
            name="people",
            url="https://example.okta.com",
            audience="daypass",
            client_id="0oa1",
            redirect_port=8912,
            kind=Kind.HUMAN,
            groups="groups",
            domains=frozenset({"example.com", "example.org"}),
            verified_by=VerifiedBy.EMAIL_VERIFIED,
            mfa=MfaClaim(claim="amr", any_of=frozenset({"mfa", "hwk"})),
        ),
        Issuer(
            name="cluster",
            url="https://oidc.eks.eu-west-1.amazonaws.com/id/ABC",
            audience="daypass",
            kind=Kind.WORKLOAD,
            groups=None,
            subjects=("system:serviceaccount:ci:*",),
        ),
    )


def test_given_a_good_file_when_read_then_its_roles_are_these():
    prod, test = Account("payments-prod", "222222222222"), Account("payments-test", "222222222223")
    scope = Scope(name="one-bucket", policy=json.loads(POLICY), parameters={"bucket": "[a-z0-9.-]{3,63}"})
    reader = Role(
        name="reader@payments-prod", account=prod, role_name="daypass/team/Reader", via=Via.OIDC, identity_use=True
    )
    catalogue = read(GOOD)
    assert catalogue.accounts == {"payments-prod": prod, "payments-test": test, "hub": Account("hub", HUB)}
    assert catalogue.roles == {
        "payments-admin": Role(
            name="payments-admin",
            account=prod,
            role_name="daypass/Admin",
            external_id="daypass-1",
            max_session=timedelta(minutes=90),
            chaining=("arn:aws:iam::*:role/cdk-*",),
            scopes={"one-bucket": scope},
        ),
        "reader@payments-prod": reader,
        "reader@payments-test": replace(reader, name="reader@payments-test", account=test),
    }


def test_given_a_good_file_when_read_then_its_provider_is_this_in_utc():
    assert read(GOOD).provider == Provider(
        "https://id.example.com/daypass",
        (
            ProviderKey(KEY, datetime(2026, 10, 31, 23, tzinfo=UTC)),
            ProviderKey(NEXT_KEY, datetime(2027, 11, 1, tzinfo=UTC)),
        ),
    )


def test_given_a_good_file_when_read_then_its_rules_are_these():
    assert read(GOOD).rules == (
        Rule(
            name="sre administer payments",
            who=Who(groups=frozenset({"sre"})),
            roles=("payments-*",),
            max_duration=timedelta(hours=4),
            stages=(Stage(1, Who(groups=frozenset({"sre-leads"}))),),
            require_mfa=True,
            ticket="[A-Z]+-[0-9]+",
            break_glass=BreakGlass(
                who=Who(groups=frozenset({"oncall"})),
                max_duration=timedelta(hours=1),
                reviewers=Who(groups=frozenset({"security"})),
                review_within=timedelta(hours=24),
            ),
        ),
        Rule(
            name="the robot reads",
            who=Who(ids=("cluster/system:serviceaccount:ci:deployer",), kind=Kind.WORKLOAD, issuer="cluster"),
            roles=("reader@*",),
            max_duration=timedelta(hours=12),
        ),
        Rule(
            name="contractors never",
            effect=Effect.DENY,
            who=Who(groups=frozenset({"contractors"})),
            roles=("payments-admin",),
        ),
    )


def test_given_a_good_file_when_read_then_auditors_tests_and_digest_are_these():
    catalogue = read(GOOD)
    zoe, robot = catalogue.examples
    assert catalogue.auditors == Who(groups=frozenset({"security"}))
    assert catalogue.digest == hashlib.sha256(GOOD.encode()).hexdigest()
    assert zoe == Example(
        who=zoe.who, role="payments-admin", duration=timedelta(hours=1), expect="not-eligible", ticket="OPS-1"
    )
    assert (zoe.who.id, zoe.who.kind, zoe.who.issuer, zoe.who.mfa) == ("zoe@example.com", Kind.HUMAN, "people", True)
    assert zoe.who.groups == {"sre", "contractors"}
    assert (robot.who.kind, robot.who.issuer, robot.who.mfa) == (Kind.WORKLOAD, "cluster", False)


def test_given_a_file_with_nobody_and_nothing_in_it_when_read_then_nobody_may_have_anything():
    text = "issuers = []\n"
    assert read(text) == Catalogue(digest=hashlib.sha256(text.encode()).hexdigest())


@pytest.mark.parametrize("text", ["", "\n", "# soon\n"])
def test_given_an_empty_file_when_read_then_it_is_taken_for_half_written(text):
    with pytest.raises(CatalogueMistakes, match="is empty"):
        read(text)


def test_given_another_partition_when_read_then_the_arns_are_of_it():
    text = (
        changed("arn:aws:iam::*:role/cdk-*", "arn:aws-cn:iam::*:role/cdk-*")
        .replace("arn:aws:s3", "arn:aws-cn:s3")
        .replace("arn:aws:kms", "arn:aws-cn:kms")
    )
    catalogue = read_catalogue(text, hub_account=HUB, partition="aws-cn")
    assert catalogue.roles["payments-admin"].arn == "arn:aws-cn:iam::222222222222:role/daypass/Admin"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/people", "http://localhost:8000", "http://[::1]:8000/x"])
def test_given_an_issuer_on_this_machine_when_read_then_it_is_believed_in_daypass_local_only(url):
    text = changed("https://example.okta.com", url)
    assert read(text, local=True).issuers[0].url == url
    assert [mistake.place for mistake in mistakes_in(text)] == ['issuers[0] "people".url']


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('mfa = { claim = "amr", any_of = ["mfa", "hwk"] }', 'mfa = "issuer"'),
        ('groups = "groups"\n', 'groups = "groups"\nverified_by = "issuer"\nprincipal = "upn"\n'),
        ('who = { groups = ["sre"] }', 'who = { ids = ["*@example.com", "a?b*"], kind = "human", issuer = "people" }'),
        ('who = { groups = ["sre"] }', 'who = { ids = ["arn:aws:iam::222222222222:role/deploy-*"], issuer = "iam" }'),
        ('who = { groups = ["sre"] }', 'who = { ids = ["*/system:serviceaccount:*:*"] }'),
        ('max_session = "90m"', 'max_session = "15m"'),
        ('max_duration = "4h"', 'max_duration = "60s"'),
        ("${bucket}/*", "${bucket}/${aws:PrincipalTag/team, 'none'}/${*}"),
        ("[a-z0-9.-]{3,63}", "[a-z]+(-[a-z]+)*"),
        # A deny for other people, or for fewer roles, leaves the rule something to give.
        ('who = { groups = ["contractors"] }\n', 'who = { groups = ["sre"] }\n'),
    ],
)
def test_given_what_else_the_file_may_say_when_read_then_it_is_taken(old, new):
    assert read(changed(old, new)).rules


PROVIDER = GOOD[GOOD.index("[provider]") : GOOD.index("[accounts.payments-prod]")]


def test_given_a_role_via_oidc_when_there_is_no_provider_then_the_role_says_so():
    [mistake] = mistakes_in(GOOD.replace(PROVIDER, ""))
    assert str(mistake) == "roles.reader.via: needs a [provider], whose issuer the account trusts"


def test_given_a_provider_with_mistakes_when_read_then_a_role_via_oidc_has_none_of_its_own():
    places = {mistake.place for mistake in mistakes_in(GOOD.replace(PROVIDER, "[provider]\n"))}
    assert places == {"provider.issuer", "provider.keys"}


def test_given_a_provider_without_keys_when_read_then_that_is_told():
    [mistake] = mistakes_in(GOOD.replace(PROVIDER, '[provider]\nissuer = "https://id.example.com"\nkeys = []\n'))
    assert mistake == Mistake(
        "provider.keys", "must not be empty: add [[provider.keys]] with the arn of the key that signs"
    )


def test_given_a_provider_on_this_machine_when_read_then_it_is_believed_in_daypass_local_only():
    text = changed("https://id.example.com/daypass", "http://127.0.0.1:8000/local/issuers/provider")
    provider = read(text, local=True).provider
    assert provider is not None
    assert provider.issuer == "http://127.0.0.1:8000/local/issuers/provider"
    assert [mistake.place for mistake in mistakes_in(text)] == ["provider.issuer"]


def test_given_several_mistakes_in_one_table_when_read_then_all_are_told():
    text = changed(f'arn = "{KEY}"', 'arn = 1\nkid = "x"').replace("[auditors]", '[auditors]\ngroup = ["x"]\nids = 1')
    assert {mistake.place for mistake in mistakes_in(text)} == {
        "provider.keys[0].arn",
        "provider.keys[0].kid",
        "auditors.group",
        "auditors.ids",
    }


# One mistake

PEOPLE, CLUSTER = 'issuers[0] "people"', 'issuers[1] "cluster"'
ADMIN, ONE_BUCKET = "roles.payments-admin", "roles.payments-admin.scopes.one-bucket"
SRE, ROBOT, NEVER = 'rules[0] "sre administer payments"', 'rules[1] "the robot reads"', 'rules[2] "contractors never"'
SRE_WHO, ROBOT_WHO = 'who = { groups = ["sre"] }', 'who = { ids = ["cluster/system:serviceaccount:ci:deployer"], '
STAGE = 'approvals = [{ count = 1, from = { groups = ["sre-leads"] } }]'
AUDITORS_LINE = GOOD[: GOOD.index("[auditors]")].count("\n") + 1
STATEMENT = '"Action":"s3:GetObject"'

BROKEN: list[tuple[str, str, str, str]] = [
    # TOML and shape
    ("[auditors]", "[auditors", f"line {AUDITORS_LINE}, column 10", "is not TOML"),
    ("[auditors]", "[accounts.hub]", f"line {AUDITORS_LINE}, column 14", "is not TOML"),
    ("[auditors]", "[auditor]", "auditor", "not a key that Daypass knows"),
    ('id = "222222222222"', "id = 222222222222", "accounts.payments-prod.id", "must be a text in quotes"),
    ('id = "222222222222"', "", "accounts.payments-prod.id", "is missing"),
    ('kind = "human"', 'kind = "person"', f"{PEOPLE}.kind", "must be 'human' or 'workload'"),
    ('audience = "daypass"\nclient', 'audience = ""\nclient', f"{PEOPLE}.audience", "must not be empty"),
    ("identity_use = true", 'identity_use = "true"', "roles.reader.identity_use", "must be true or false"),
    ('roles = ["payments-*"]', 'roles = "payments-*"', f"{SRE}.roles", "must be a list"),
    ('roles = ["payments-*"]', "roles = []", f"{SRE}.roles", "must not be empty"),
    (SRE_WHO, 'who = "sre"', f"{SRE}.who", "must be a table"),
    (SRE_WHO, "who = { groups = [] }", f"{SRE}.who.groups", "must not be empty"),
    (SRE_WHO, 'who = { group = ["sre"], kind = "human" }', f"{SRE}.who.group", "not a key that Daypass knows"),
    (STAGE, "approvals = [{ count = 1 }]", f"{SRE}.approvals[0].from", "is missing"),
    ("count = 1", "count = 0", f"{SRE}.approvals[0].count", "at least 1"),
    ("count = 1", 'count = "1"', f"{SRE}.approvals[0].count", "a whole number"),
    ('"24h" }', '"24h", by = "x" }', f"{SRE}.break_glass.by", "not a key that Daypass knows"),
    (', review_within = "24h"', "", f"{SRE}.break_glass.review_within", "is missing"),
    ('reviewers = { groups = ["security"] }, ', "", f"{SRE}.break_glass.reviewers", "is missing"),
    ('expect = "not-eligible"', 'expect = "denied"', "tests[0].expect", "'not-eligible', 'auto-approved', 'needs-app"),
    # what is not built yet
    ('roles = ["payments-*"]', 'roles = ["payments-*"]\nfreeze = []', f"{SRE}.freeze", "not a key"),
    ("[auditors]", "[directories.x]\n[auditors]", "directories.x", "either identity_store"),
    ("[auditors]", '[directories.X]\nidentity_store = "d-1234567890"\n[auditors]', "directories.X", "not a name"),
    ("[auditors]", '[directories.x]\nidentity_store = "1"\n[auditors]', "directories.x.identity_store", "d-1234567890"),
    ("[auditors]", '[directories.x]\nlambda = "facts"\n[auditors]', "directories.x.lambda", "the ARN of a function"),
    (
        "[auditors]",
        '[directories.x]\nlambda = "arn:aws-cn:lambda:cn-north-1:123456789012:function:facts"\n[auditors]',
        "directories.x.lambda",
        "the partition is aws",
    ),
    ("[auditors]", "[organization]\n[auditors]", "organization", "not built yet"),
    # extensions
    *(
        ('roles = ["payments-*"]', f'roles = ["payments-*"]\nextensions = {terms}', f"{SRE}.extensions{place}", message)
        for terms, place, message in (
            ("1", "", "must be a table"),
            ("{ approvals = [] }", ".max", "is missing"),
            ("{ max = 0, approvals = [] }", ".max", "at least 1"),
            ("{ max = 11, approvals = [] }", ".max", "at most 10"),
            ("{ max = 2 }", ".approvals", "is missing: write []"),
            ("{ max = 2, approvals = [{ count = 1, from = {} }] }", ".approvals[0].from", "is for nobody"),
            ('{ max = 2, approvals = [], max_duration = "1h" }', ".max_duration", "not a key"),
        )
    ),
    ('effect = "deny"', 'effect = "deny"\nextensions = { max = 1 }', f"{NEVER}.extensions", "a deny has only"),
    # quotas
    ('roles = ["reader@*"]', 'roles = ["reader@*"]\nmax_per_day = 13', f"{ROBOT}.max_per_day", "a text in quotes"),
    ('roles = ["reader@*"]', 'roles = ["reader@*"]\nmax_per_day = "13"', f"{ROBOT}.max_per_day", "not a length"),
    *(
        ('roles = ["reader@*"]', f'roles = ["reader@*"]\nmax_per_day = "{given}"', f"{ROBOT}.max_per_day", message)
        for given, message in (
            ("11h", "is 11 h: it must be between 12 h and 24 h"),  # max_duration: no such window would ever fit
            ("43199s", "it must be between 12 h and 24 h"),
            ("25h", "it must be between 12 h and 24 h"),
        )
    ),
    ('roles = ["payments-*"]', 'roles = ["payments-*"]\nmax_per_day = "4h"', f"{SRE}.max_per_day", "without approval"),
    *(
        ("[auditors]", f"[quotas]\n{given}\n[auditors]", f"quotas.{place}", message)
        for given, place, message in (
            ("open_requests = 0", "open_requests", "at least 1"),
            ("open_requests = 101", "open_requests", "at most 100"),
            ("open_requests = true", "open_requests", "a whole number"),
            ("break_glass_per_day = 0", "break_glass_per_day", "at least 1"),
            ("break_glass_per_day = 101", "break_glass_per_day", "at most 100"),
            ('break_glass_per_day = "5"', "break_glass_per_day", "a whole number"),
            ("open_request = 5", "open_request", "not a key that Daypass knows"),
        )
    ),
    ('\n[[issuers]]\nname = "people"', 'quotas = 5\n[[issuers]]\nname = "people"', "quotas", "must be a table"),
    ('via = "oidc"', 'via = "saml"', "roles.reader.via", "must be 'role' or 'oidc'"),
    # the provider
    *(
        ("https://id.example.com/daypass", url, "provider.issuer", message)
        for url, message in (
            ("https://a1b2c3.execute-api.eu-central-1.amazonaws.com/api", "API Gateway's name for an API"),
            ("https://files.s3.eu-central-1.amazonaws.com", "a name of AWS's"),
            ("https://x1.lambda-url.eu-central-1.on.aws", "a name of AWS's"),
            ("https://10.1.2.3/daypass", "is an address"),
            ("https://[2001:db8::1]/daypass", "is an address"),
            ("http://id.example.com", "must be https"),
            ("http://127.0.0.1:8000", "must be https"),
            ("https://id.example.com/?tenant=1", "no query"),
            ("https://id.example.com/#x", "no query and no fragment"),
            ("https://id.example.com/", "no / at its end"),
            ("https://id.example.com:8443", "no port"),
            ("https://ID.example.com", "lower case"),
            ("https://daypass", "a name of your own"),
            ("https://user@id.example.com", "a name of your own"),
            (f"https://id.example.com/{'x' * 240}", "a name of your own"),
            ("https://example.okta.com", "must sign nobody in"),
        )
    ),
    ('issuer = "https://id.example.com/daypass"\n', "", "provider.issuer", "is missing"),
    ('daypass"\n\n[[provider', 'daypass"\nurl = "x"\n[[provider', "provider.url", "not a key"),
    (f'arn = "{KEY}"\n', "", "provider.keys[0].arn", "is missing"),
    (f'arn = "{KEY}"\n', f'arn = "{KEY}"\nkid = "x"\n', "provider.keys[0].kid", "not a key"),
    (KEY, KEY.replace(HUB, "222222222222"), "provider.keys[0].arn", f"lives in the hub account {HUB}"),
    (KEY, KEY.replace("arn:aws:", "arn:aws-cn:"), "provider.keys[0].arn", "this one is aws"),
    (KEY, KEY.replace("key/", "alias/"), "provider.keys[0].arn", "not a KMS key's ARN"),
    (KEY, NEXT_KEY, "provider.keys[1].arn", "is the key of provider.keys[0]"),
    *(
        ("2026-11-01T00:00:00+01:00", instant, f"provider.keys[{number}].signs_from", message)
        for instant, number, message in (
            ("2027-11-01T01:00:00+01:00", 1, "the instant of provider.keys[0]"),
            ("2026-11-01T00:00:00", 0, "with its zone"),
            ("2026-11-01T00:00:00.5Z", 0, "whole seconds"),
            ("2026-11-01", 0, "must be an instant"),
            ("0001-01-01T00:00:00+10:00", 0, "must be an instant"),
            ('"tomorrow"', 0, "must be an instant"),
            ("true", 0, "must be an instant"),
        )
    ),
    # notify
    ('roles = ["payments-*"]', 'roles = ["payments-*"]\nnotify = "#sre"', f"{SRE}.notify", "must be a table"),
    *(
        ('roles = ["payments-*"]', f'roles = ["payments-*"]\nnotify = {{ {notify} }}', f"{SRE}.notify{place}", message)
        for notify, place, message in (
            ("direct = false", "", "tells nobody"),
            ('remind_after = "30m"', "", "tells nobody"),
            ("slack = []", ".slack", "must not be empty"),
            ('slack = "#sre"', ".slack", "must be a list"),
            ('slack = ["sre"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["#SRE"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["#sre leads"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["#sre.leads"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["#"]', ".slack[0]", "neither a channel's name"),
            (f'slack = ["#{"a" * 81}"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["U0123456789"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["c0123456789"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["<!channel>"]', ".slack[0]", "neither a channel's name"),
            ('slack = ["#sre", "C0123456789", "#sre"]', ".slack[2]", "named twice"),
            ('slack = ["#a", "#b", "#c", "#d", "#e", "#f"]', ".slack", "names 6 channels: 5 is the most"),
            ('slack = ["#sre"], remind_after = "10s"', ".remind_after", "between 1 min and 8 h"),
            ('slack = ["#sre"], remind_after = "9h"', ".remind_after", "between 1 min and 8 h"),
            ('slack = ["#sre"], remind_after = "soon"', ".remind_after", "not a length"),
            ('slack = ["#sre"], escalate_to = ["#managers"]', ".escalate_to", "does not say when"),
            ('slack = ["#sre"], remind_after = "1h", escalate_to = ["#sre"]', ".escalate_to[0]", "named twice"),
            ('slack = ["#sre"], remind_after = "1h", escalate_to = ["sre"]', ".escalate_to[0]", "neither a channel"),
            ('slack = ["#sre"], email = true', ".email", "not a key"),
        )
    ),
    (
        'roles = ["reader@*"]',
        'roles = ["reader@*"]\nnotify = { slack = ["#sre"], remind_after = "30m" }',
        'rules[1] "the robot reads".notify.remind_after',
        "nobody to remind",
    ),
    (
        'review_within = "24h"',
        'review_within = "24h", notify = { slack = ["#x"], remind_after = "1h" }',
        f"{SRE}.break_glass.notify.remind_after",
        "waits for nobody",
    ),
    (
        'review_within = "24h"',
        'review_within = "24h", notify = { slack = ["#x"], escalate_to = ["#y"] }',
        f"{SRE}.break_glass.notify.escalate_to",
        "waits for nobody",
    ),
    (
        'roles = ["payments-admin"]\n\n[auditors]',
        'roles = ["payments-admin"]\nnotify = { slack = ["#sre"] }\n\n[auditors]',
        'rules[2] "contractors never".notify',
        "only name, who and roles",
    ),
    # hours and freeze
    ('\n[[issuers]]\nname = "people"', 'freeze = "yes"\n[[issuers]]\nname = "people"', "freeze", "true or false"),
    ('roles = ["payments-*"]', 'roles = ["payments-*"]\nhours = "9-17"', f"{SRE}.hours", "must be a table"),
    *(
        ('roles = ["payments-*"]', f'roles = ["payments-*"]\nhours = {{ {hours} }}', f"{SRE}.hours{place}", message)
        for hours, place, message in (
            ('days = "mon-fri", from = "08:00", to = "18:00"', ".zone", "is missing"),
            ('days = "mon-fri", to = "18:00", zone = "UTC"', ".from", "is missing"),
            ('days = "mon-fri", from = "08:00", to = "18:00", zone = "UTC", until = 1', ".until", "not a key"),
            ('days = "Mon-Fri", from = "08:00", to = "18:00", zone = "UTC"', ".days", "must name days"),
            ('days = "mon-", from = "08:00", to = "18:00", zone = "UTC"', ".days", "must name days"),
            ('days = "mon-fri-sat", from = "08:00", to = "18:00", zone = "UTC"', ".days", "must name days"),
            ('days = "mon,,tue", from = "08:00", to = "18:00", zone = "UTC"', ".days", "must name days"),
            ('days = "mon", from = "8:00", to = "18:00", zone = "UTC"', ".from", "a time of the day"),
            ('days = "mon", from = "08:60", to = "18:00", zone = "UTC"', ".from", "a time of the day"),
            ('days = "mon", from = "08:00", to = "24:01", zone = "UTC"', ".to", "a time of the day"),
            ('days = "mon", from = "18:00", to = "08:00", zone = "UTC"', ".to", "later than from"),
            ('days = "mon", from = "08:00", to = "08:00", zone = "UTC"', ".to", "later than from"),
            ('days = "mon", from = "08:00", to = "18:00", zone = "Mars/Base"', ".zone", "no time zone 'Mars/Base'"),
            ('days = "mon", from = "08:00", to = "18:00", zone = "Europe"', ".zone", "no time zone"),
            ('days = "mon", from = "08:00", to = "18:00", zone = "../etc/passwd"', ".zone", "no time zone"),
            ('days = "mon", from = "08:00", to = "18:00", zone = "/etc/localtime"', ".zone", "no time zone"),
        )
    ),
    # issuers
    ('name = "people"', 'name = "cluster"', 'issuers[1] "cluster".name', 'is the name of issuers[0] "cluster"'),
    ("redirect_port = 8912", "redirect_port = 80", f"{PEOPLE}.redirect_port", "1024"),
    ('name = "people"', 'name = "iam"', 'issuers[0] "iam".name', "the IAM door"),
    ('name = "people"', 'name = "My People"', 'issuers[0] "My People".name', "lower-case letters"),
    ("https://example.okta.com", "http://example.okta.com", f"{PEOPLE}.url", "must be https"),
    ("https://example.okta.com", "https://example.okta.com?a=b", f"{PEOPLE}.url", "https URL"),
    ("https://example.okta.com", "https://a@example.com", f"{PEOPLE}.url", "https URL"),
    ("https://example.okta.com", "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC/", f"{CLUSTER}.url", "the url of"),
    ('domains = ["example.com", "example.org"]\n', "", f"{PEOPLE}.domains", "is missing"),
    ('"example.org"]', '"@Example.org"]', f"{PEOPLE}.domains[1]", "not a domain"),
    ('subjects = ["system:serviceaccount:ci:*"]\n', "", f"{CLUSTER}.subjects", "is missing"),
    ('kind = "workload"\n', 'kind = "workload"\ndomains = ["x.com"]\n', f"{CLUSTER}.domains", "is for people"),
    ('kind = "workload"\n', 'kind = "workload"\nprincipal = "sub"\n', f"{CLUSTER}.principal", "is for people"),
    ('kind = "human"\n', 'kind = "human"\nsubjects = ["x"]\n', f"{PEOPLE}.subjects", "is for workloads"),
    ('any_of = ["mfa", "hwk"]', "any_of = []", f"{PEOPLE}.mfa", 'must be "issuer"'),
    ('mfa = { claim = "amr", any_of = ["mfa", "hwk"] }', 'mfa = "always"', f"{PEOPLE}.mfa", 'must be "issuer"'),
    # accounts
    ('id = "222222222222"', 'id = "22222222222"', "accounts.payments-prod.id", "12 digits"),
    ('id = "222222222223"', 'id = "222222222222"', "accounts.payments-test.id", "the id of accounts.payments-prod"),
    ("[accounts.hub]", '[accounts."the hub"]', 'accounts."the hub"', "is not a name"),
    # roles
    ('account = "payments-prod"', 'account = "payments"', f"{ADMIN}.account", "no account 'payments'"),
    ('account = "payments-prod"', 'account = "hub"', f"{ADMIN}.account", "the hub account"),
    ('accounts = ["payments-*"]', 'accounts = ["*"]', "roles.reader.accounts", "the hub account"),
    ('accounts = ["payments-*"]', 'accounts = ["payments-*", "x-*"]', "roles.reader.accounts[1]", "matches no account"),
    ('account = "payments-prod"\n', "", ADMIN, "either account"),
    ('role_name = "daypass/Admin"', 'role_name = "Admin"', f"{ADMIN}.role_name", "no role under /daypass/"),
    ('role_name = "daypass/Admin"', 'role_name = "daypass-revoker/A"', f"{ADMIN}.role_name", "no role under"),
    ('role_name = "daypass/Admin"', 'role_name = "daypass/A*"', f"{ADMIN}.role_name", "no role under"),
    ('role_name = "daypass/Admin"', f'role_name = "daypass/{"a" * 65}"', f"{ADMIN}.role_name", "no role under"),
    ('role_name = "daypass/Admin"', f'role_name = "daypass/{"a/" * 300}b"', f"{ADMIN}.role_name", "no role under"),
    (
        'role_name = "daypass/Admin"',
        'role_name = "daypass/READER"',
        "roles.reader.role_name",
        f"payments-prod as {ADMIN}",
    ),
    ('external_id = "daypass-1"', 'external_id = "x y"', f"{ADMIN}.external_id", "2 to 1224"),
    ('external_id = "daypass-1"', 'external_id = "xyz"\nvia = "oidc"', f"{ADMIN}.external_id", 'via = "role" only'),
    ('max_session = "90m"', 'max_session = "14m"', f"{ADMIN}.max_session", "between 15 min and 12 h"),
    ('max_session = "90m"', 'max_session = "13h"', f"{ADMIN}.max_session", "between 15 min and 12 h"),
    ('max_session = "90m"', 'max_session = "soon"', f"{ADMIN}.max_session", "'soon' is not a length"),
    ("arn:aws:iam::*:role/cdk-*", "arn:aws:iam::*:user/x", f"{ADMIN}.chaining[0]", "not a role ARN"),
    ("arn:aws:iam::*:role/cdk-*", "arn:aws-cn:iam::*:role/x", f"{ADMIN}.chaining[0]", "the partition is aws"),
    ("identity_use = true", "require_scope = true", "roles.reader.require_scope", "has none"),
    # scopes
    ("scopes.one-bucket", 'scopes."one bucket"', 'roles.payments-admin.scopes."one bucket"', "is not a name"),
    (POLICY, "{", f"{ONE_BUCKET}.policy", "is not the JSON of a policy"),
    (STATEMENT, '"Action":"s3:*","Action":"*"', f"{ONE_BUCKET}.policy", "the key 'Action' twice"),
    (STATEMENT, f'{STATEMENT},"Principal":"*"', f"{ONE_BUCKET}.policy.Statement[0]", "may not hold 'Principal'"),
    (STATEMENT, f'{STATEMENT},"Resource":"*"', f"{ONE_BUCKET}.policy", "the key 'Resource' twice"),
    ("${bucket}/*", "${bucket}/${key}", f"{ONE_BUCKET}.policy.Statement[0].Resource", "'${key}' is not among"),
    ("${bucket}/*", "${bucket}/${Key}", f"{ONE_BUCKET}.policy.Statement[0].Resource", "'${Key}' is neither"),
    ("${bucket}/*", "${bucket}/${key", f"{ONE_BUCKET}.policy.Statement[0].Resource", "does not close"),
    ("${bucket}/*", "${bucket}/${aws:PrincipalTag/${bucket}}", f"{ONE_BUCKET}.policy.Statement[0].Resource", "neither"),
    ("${bucket}/*", "files/*", f"{ONE_BUCKET}.parameters.bucket", "used nowhere"),
    (
        '"Resource":"arn',
        '"Condition":{"StringEquals":{"aws:${bucket}":"x"}},"Resource":"arn',
        f"{ONE_BUCKET}.policy.Statement[0].Condition.StringEquals",
        "may stand only in the values",
    ),
    ("{ bucket =", '{ Bucket = "x", bucket =', f"{ONE_BUCKET}.parameters.Bucket", "a name is a lower-case letter"),
    ("[a-z0-9.-]{3,63}", "[a-z", f"{ONE_BUCKET}.parameters.bucket", "not a regular expression"),
    ("[a-z0-9.-]{3,63}", "([a-z]+)*", f"{ONE_BUCKET}.parameters.bucket", "repeats a repetition"),
    ("${bucket}/*", "${bucket}/" + "x" * 1800, f"{ONE_BUCKET}.policy", "STS takes 2048"),
    # rules
    ('name = "the robot reads"', 'name = "contractors never"', f"{NEVER}.name", "is the name of rules[1]"),
    ('name = "the robot reads"', r'name = "a\nb"', r'rules[1] "a\nb".name', "printable"),
    ('roles = ["payments-*"]', 'roles = ["payments-*", "data-*"]', f"{SRE}.roles[1]", "'data-*' matches no role"),
    ('roles = ["payments-*"]', 'roles = ["reader"]', f"{SRE}.roles[0]", "matches no role"),
    ('roles = ["payments-*"]', 'roles = ["Payments-*"]', f"{SRE}.roles[0]", "matches no role"),
    ('max_duration = "4h"\n', "", f"{SRE}.max_duration", "is missing"),
    ('max_duration = "4h"', 'max_duration = "13h"', f"{SRE}.max_duration", "between 1 min and 12 h"),
    ('max_duration = "4h"', 'max_duration = "59s"', f"{SRE}.max_duration", "between 1 min and 12 h"),
    (STAGE, "", f"{SRE}.approvals", "is missing: write []"),
    ('effect = "deny"\n', 'effect = "deny"\napprovals = []\n', f"{NEVER}.approvals", "a deny has only"),
    ('effect = "deny"\n', 'effect = "deny"\nmax_duration = "1h"\n', f"{NEVER}.max_duration", "a deny has only"),
    ('effect = "deny"\n', 'effect = "deny"\nrequire = { mfa = true }\n', f"{NEVER}.require", "a deny has only"),
    ('ticket = "[A-Z]+-[0-9]+"', 'ticket = "("', f"{SRE}.require.ticket", "not a regular expression"),
    ('ticket = "[A-Z]+-[0-9]+"', 'ticket = "a{99999999999}"', f"{SRE}.require.ticket", "not a regular expression"),
    ('max_duration = "1h", rev', 'max_duration = "1d", rev', f"{SRE}.break_glass.max_duration", "and 12 h"),
    ('review_within = "24h"', 'review_within = "1y"', f"{SRE}.break_glass.review_within", "is not a length"),
    # who
    (SRE_WHO, "who = {}", f"{SRE}.who", "is for nobody"),
    (SRE_WHO, 'who = { issuer = "robots" }', f"{SRE}.who.issuer", "no issuer 'robots'"),
    (SRE_WHO, 'who = { issuer = "people", kind = "workload" }', f"{SRE}.who", "is for nobody: no issuer is called"),
    (SRE_WHO, 'who = { groups = ["sre"], issuer = "cluster" }', f"{SRE}.who", "tells groups"),
    (SRE_WHO, 'who = { groups = ["sre"], issuer = "iam" }', f"{SRE}.who", "tells groups"),
    (SRE_WHO, 'who = { ids = ["cluster/x"], kind = "human" }', f"{SRE}.who.ids[0]", "holds neither / nor :"),
    (SRE_WHO, 'who = { ids = ["a@example.com", "b:c"], issuer = "people" }', f"{SRE}.who.ids[1]", "neither / nor :"),
    (SRE_WHO, 'who = { ids = ["a@example.com"], kind = "workload" }', f"{SRE}.who.ids[0]", "a workload's id is"),
    (SRE_WHO, 'who = { ids = ["Alice@example.com"] }', f"{SRE}.who.ids[0]", "lower case"),
    (SRE_WHO, 'who = { ids = ["alice"] }', f"{SRE}.who.ids[0]", "an e-mail address"),
    (SRE_WHO, 'who = { ids = ["alice@example.net"] }', f"{SRE}.who.ids[0]", "vouches for that domain"),
    (SRE_WHO, 'who = { ids = ["a b@example.com"] }', f"{SRE}.who.ids[0]", "neither spaces"),
    (SRE_WHO, 'who = { ids = ["robots/x"] }', f"{SRE}.who.ids[0]", "no issuer of workloads is called robots"),
    (SRE_WHO, 'who = { ids = ["ci:x"] }', f"{SRE}.who.ids[0]", "{issuer}/{subject}"),
    (SRE_WHO, 'who = { ids = ["arn:aws:iam::1:role/a/b"] }', f"{SRE}.who.ids[0]", "without path"),
    (SRE_WHO, 'who = { ids = ["arn:aws:sts::1:assumed-role/a/b"] }', f"{SRE}.who.ids[0]", "without path"),
    (SRE_WHO, 'who = { ids = ["arn:aws:iam::1:role/a"], issuer = "cluster" }', f"{SRE}.who.ids[0]", "IAM door only"),
    ('from = { groups = ["sre-leads"] }', "from = {}", f"{SRE}.approvals[0].from", "is for nobody"),
    (
        'from = { groups = ["sre-leads"] }',
        'from = { kind = "workload" }',
        f"{SRE}.approvals[0].from",
        "people, who alone",
    ),
    (
        'from = { groups = ["sre-leads"] }',
        'from = { ids = ["cluster/x"] }',
        f"{SRE}.approvals[0].from.ids[0]",
        "neither /",
    ),
    (
        'count = 1, from = { groups = ["sre-leads"] }',
        'count = 2, from = { ids = ["frank@example.com"] }',
        f"{SRE}.approvals[0].count",
        "only 1 may approve",
    ),
    ('who = { groups = ["oncall"] }', "who = {}", f"{SRE}.break_glass.who", "is for nobody"),
    ('who = { groups = ["oncall"] }', 'who = { issuer = "iam" }', f"{SRE}.break_glass.who", "people, who alone"),
    ('reviewers = { groups = ["security"] }', "reviewers = {}", f"{SRE}.break_glass.reviewers", "is for nobody"),
    ('[auditors]\ngroups = ["security"]', "[auditors]", "auditors", "is for nobody"),
    ('[auditors]\ngroups = ["security"]', '[auditors]\ngroup = ["x"]\nkind = "human"', "auditors.group", "not a key"),
    # tests
    ('asks = { role = "payments-admin"', 'asks = { role = "payments"', "tests[0].asks.role", "no role 'payments'"),
    ('duration = "1h", ticket', 'duration = "one", ticket', "tests[0].asks.duration", "is not a length"),
    ('id = "zoe@example.com"', 'id = "zoe@example.net"', "tests[0].who", "no issuer vouches for a human"),
    ('id = "zoe@example.com"', 'id = "zoe@example.com", kind = "workload"', "tests[0].who", "vouches for a workload"),
]


@pytest.mark.parametrize(("old", "new", "place", "words"), BROKEN)
def test_given_one_mistake_when_read_then_that_one_is_told_with_its_place(old, new, place, words):
    mistakes = mistakes_in(changed(old, new))
    assert [mistake.place for mistake in mistakes][:1] == [place]
    assert words in mistakes[0].message
    assert len({mistake.place for mistake in mistakes}) == 1


def test_given_a_domain_of_two_issuers_when_read_then_the_second_is_told():
    second = '[[issuers]]\nname = "more"\nurl = "https://more.example.com"\naudience = "a"\nkind = "human"\n'
    [mistake] = mistakes_in(GOOD + second + 'domains = ["example.net", "example.com"]\n')
    assert mistake.place == 'issuers[2] "more".domains[1]'
    assert PEOPLE in mistake.message


def test_given_a_chaining_list_that_fills_the_session_policy_when_read_then_it_is_told():
    many = ",".join(f'"arn:aws:iam::111122223333:role/{number:060d}"' for number in range(20))
    places = [mistake.place for mistake in mistakes_in(changed('"arn:aws:iam::*:role/cdk-*"', many))]
    assert f"{ADMIN}.chaining" in places


# Rules that never matter


@pytest.mark.parametrize("told", ["", 'notify = { slack = ["#ci"] }'])
def test_given_the_same_terms_under_another_name_when_read_then_the_second_says_nothing_new(told):
    again = f"""
[[rules]]
name = "again"
who = {{ issuer = "cluster", kind = "workload", ids = ["cluster/system:serviceaccount:ci:deployer"] }}
roles = ["reader@*"]
max_duration = "720m"
approvals = []
{told}
"""
    [mistake] = mistakes_in(GOOD + again)
    assert (mistake.place, mistake.message) == (
        'rules[3] "again"',
        f"says nothing new: {ROBOT} has the same who, roles and terms",
    )


DENIES = """
[[rules]]
name = "not one"
effect = "deny"
who = { groups = ["oncall"] }
roles = ["reader@payments-prod"]

[[rules]]
name = "nor the other"
effect = "deny"
who = { groups = ["oncall"] }
roles = ["*@payments-test"]

[[rules]]
name = "nothing"
who = { groups = ["oncall"] }
roles = ["reader@*"]
max_duration = "1h"
approvals = []
"""


def test_given_denies_for_the_same_people_on_all_its_roles_when_read_then_an_allow_gives_nothing():
    [mistake] = mistakes_in(GOOD + DENIES)
    assert (mistake.place, mistake.message) == (
        'rules[5] "nothing"',
        "gives nothing: a deny for the same who covers all its roles",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('roles = ["reader@*"]', 'roles = ["*"]'),
        ('who = { groups = ["oncall"] }\nroles = ["reader@*"]', 'who = { kind = "human" }\nroles = ["reader@*"]'),
    ],
)
def test_given_denies_that_leave_a_role_or_a_person_when_read_then_the_allow_stands(old, new):
    assert old in DENIES
    assert read(GOOD + DENIES.replace(old, new)).rules


def test_given_a_break_glass_for_others_when_read_then_a_denied_allow_still_gives_something():
    glass = 'break_glass = { who = { ids = ["a@example.com"] }, max_duration = "1h", reviewers = { kind = "human" }, '
    assert read(GOOD + DENIES + glass + 'review_within = "1h" }\n').rules


# All at once


@pytest.mark.parametrize(
    ("days", "named"),
    [
        ("mon-fri", "mon,tue,wed,thu,fri"),
        ("sat,sun", "sat,sun"),
        ("sun-thu", "mon,tue,wed,thu,sun"),
        ("wed", "wed"),
        ("mon-mon,wed", "mon,wed"),
        ("mon-sun", "mon,tue,wed,thu,fri,sat,sun"),
    ],
)
def test_hours_are_read_as_they_are_written(days, named):
    hours = f'hours = {{ days = "{days}", from = "08:00", to = "24:00", zone = "Europe/Berlin" }}'
    rule = read(changed('roles = ["payments-*"]', f'roles = ["payments-*"]\n{hours}')).rules[0]
    assert str(rule.hours) == f"{named} 08:00-24:00 Europe/Berlin"


@pytest.mark.parametrize("most", [1, 10])
def test_extensions_are_read_with_stages_of_their_own(most):
    stage = '[{ count = 2, from = { groups = ["security"] } }]'
    for approvals, stages in (("[]", ()), (stage, (Stage(2, Who(groups=frozenset({"security"}))),))):
        extensions = f"extensions = {{ max = {most}, approvals = {approvals} }}"
        rule = read(changed('roles = ["payments-*"]', f'roles = ["payments-*"]\n{extensions}')).rules[0]
        assert rule.extensions == Extensions(max=most, stages=stages)
    assert read(GOOD).rules[0].extensions is None


@pytest.mark.parametrize(
    "term", ['hours = { days = "mon", from = "08:00", to = "09:00", zone = "UTC" }', 'max_per_day = "4h"']
)
def test_a_deny_has_neither_hours_nor_a_limit_a_day(term):
    [mistake] = mistakes_in(changed('effect = "deny"', f'effect = "deny"\n{term}'))
    assert (mistake.place, mistake.message) == (
        f'rules[2] "contractors never".{term.split()[0]}',
        "a deny has only name, who and roles",
    )


def test_quotas_are_read_each_with_a_value_of_its_own_where_it_is_left_out():
    assert read(GOOD).quotas == Quotas(open_requests=20, break_glass_per_day=5)
    assert read(changed("[auditors]", "[quotas]\nopen_requests = 100\n[auditors]")).quotas == Quotas(open_requests=100)
    both = "[quotas]\nopen_requests = 1\nbreak_glass_per_day = 2\n[auditors]"
    assert read(changed("[auditors]", both)).quotas == Quotas(open_requests=1, break_glass_per_day=2)


@pytest.mark.parametrize(("given", "hours"), [("12h", 12), ("720m", 12), ("24h", 24), ("1d", 24)])
def test_a_rule_without_approvals_may_lend_so_much_a_day(given, hours):
    rule = read(changed('roles = ["reader@*"]', f'roles = ["reader@*"]\nmax_per_day = "{given}"')).rules[1]
    assert rule.max_per_day == timedelta(hours=hours)
    assert read(GOOD).rules[1].max_per_day is None


def test_who_is_told_is_read_as_it_is_written():
    later = 'remind_after = "30m", escalate_to = ["#managers"]'
    told = f'notify = {{ slack = ["#sre-approvals", "C0123456789", "#дежурные"], direct = true, {later} }}'
    burning = 'review_within = "24h", notify = { slack = ["#incidents"] }'
    text = changed('roles = ["payments-*"]', f'roles = ["payments-*"]\n{told}')
    sre, robot, _ = read(text.replace('review_within = "24h"', burning, 1)).rules
    assert sre.notify == Notify(
        slack=("#sre-approvals", "C0123456789", "#дежурные"),
        direct=True,
        remind_after=timedelta(minutes=30),
        escalate_to=("#managers",),
    )
    assert sre.break_glass is not None
    assert sre.break_glass.notify == Notify(slack=("#incidents",))
    assert robot.notify == Notify()


def test_where_only_extensions_wait_for_approval_their_approvers_may_be_reminded():
    extensions = 'extensions = { max = 2, approvals = [{ count = 1, from = { groups = ["sre-leads"] } }] }'
    reminded = 'notify = { slack = ["#sre"], remind_after = "30m" }'
    robot = read(changed('roles = ["reader@*"]', f'roles = ["reader@*"]\n{extensions}\n{reminded}')).rules[1]
    assert robot.notify.remind_after == timedelta(minutes=30)


@pytest.mark.parametrize("freeze", ["true", "false"])
def test_freeze_stands_at_the_top(freeze):
    assert read(f"freeze = {freeze}\n{GOOD}").frozen is (freeze == "true")
    assert not read(GOOD).frozen


def test_given_many_mistakes_when_read_then_all_are_told_a_line_each():
    text = (
        changed('id = "222222222223"', 'id = "22"')
        .replace('role_name = "daypass/Admin"', 'role_name = "Admin"\nhours = "9-17"')
        .replace('account = "payments-prod"', 'account = "nowhere"')
        .replace(SRE_WHO, "who = {}\nfreeze = true")
        .replace('roles = ["reader@*"]', 'roles = ["writer@*"]\nmax_per_day = "3h"\nextension = 1')
        .replace('expect = "auto-approved"', 'expect = "yes"')
    )
    mistakes = mistakes_in(text)
    assert {mistake.place for mistake in mistakes} == {
        "accounts.payments-test.id",
        f"{ADMIN}.hours",
        f"{ADMIN}.role_name",
        f"{ADMIN}.account",
        f"{SRE}.freeze",
        f"{SRE}.who",
        f"{ROBOT}.extension",
        f"{ROBOT}.max_per_day",
        f"{ROBOT}.roles[0]",
        "tests[1].expect",
    }
    with pytest.raises(CatalogueMistakes) as refused:
        read(text)
    assert str(refused.value).splitlines() == [f"{mistake.place}: {mistake.message}" for mistake in mistakes]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id = "222222222222"', 'id = "2"'),
        ('id = "222222222222"', "id = 2"),
        ('role_name = "daypass/team/Reader"', "role_name = 5"),
        ('name = "people"\nurl = "https://example.okta.com"', 'name = "people"'),
        ('accounts = ["payments-*"]', ""),
    ],
)
def test_given_one_broken_entry_when_read_then_what_refers_to_it_is_not_blamed(old, new):
    assert len(mistakes_in(changed(old, new))) == 1


# Anything at all


def test_given_toml_nested_without_end_when_read_then_it_is_refused():
    [mistake] = mistakes_in("a = " + "[" * 100_000)
    assert mistake == Mistake("the file", "is nested too deeply")


@pytest.mark.parametrize(
    "text", ["a = " + "1" * 5000, 'a = "\ud800"', "a = 1979-13-01", "\x00", "=", "[[rules]]\n[rules]"]
)
def test_given_a_text_that_toml_cannot_be_when_read_then_it_is_refused(text):
    [mistake] = mistakes_in(text)
    assert "is not TOML" in mistake.message


def told_of(text: str) -> tuple[Mistake, ...]:
    try:
        read(text)
    except CatalogueMistakes as refused:
        return refused.mistakes or (Mistake("", ""),)
    return ()


def read_or_refused(text: str) -> None:
    for mistake in told_of(text):
        assert mistake.place
        assert mistake.message
        assert str(mistake).isprintable()


@given(text=st.text(max_size=80))
def test_no_text_raises_anything_but_mistakes(text):
    read_or_refused(text)


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.sampled_from(
        ["${bucket}", "payments-*", "(", "1h", "people", POLICY, "human", "2" * 12, "arn:aws:iam::*:role/x"]
    ),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(["groups", "ids", "who", "count", "from", "kind", "a\nb", ""]), inside, max_size=3
        )
    ),
    max_leaves=6,
)
SPOTS = [
    *('id = "222222222222"', 'name = "people"', 'kind = "human"', 'account = "payments-prod"', 'max_session = "90m"'),
    *('role_name = "daypass/Admin"', 'accounts = ["payments-*"]', SRE_WHO, STAGE, 'roles = ["payments-*"]'),
    *('name = "the robot reads"', 'expect = "not-eligible"', 'groups = ["security"]', f"policy = '''{POLICY}'''"),
    *('mfa = { claim = "amr", any_of = ["mfa", "hwk"] }', 'parameters = { bucket = "[a-z0-9.-]{3,63}" }'),
    *('domains = ["example.com", "example.org"]', 'subjects = ["system:serviceaccount:ci:*"]', 'via = "oidc"'),
    *('issuer = "https://id.example.com/daypass"', f'arn = "{KEY}"', "signs_from = 2026-11-01T00:00:00+01:00"),
]


def toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            return json.dumps(value)


@given(spots=st.lists(st.sampled_from(SPOTS), min_size=1, max_size=3), data=st.data())
def test_no_value_anywhere_raises_anything_but_mistakes(spots, data):
    text = GOOD
    for spot in spots:
        text = text.replace(spot, f"{spot.partition(' ')[0]} = {toml(data.draw(VALUES))}", 1)
    read_or_refused(text)


@given(
    section=st.sampled_from(["issuers", "provider", "accounts", "roles", "rules", "auditors", "tests", "else"]),
    value=VALUES,
)
def test_no_section_of_any_type_raises_anything_but_mistakes(section, value):
    read_or_refused(f"{section} = {toml(value)}\n")


# Directories

STORE = '[directories.store]\nidentity_store = "d-1234567890"\n'
HOOK = '[directories.hook]\nlambda = "arn:aws:lambda:eu-central-1:123456789012:function:facts:live"\n'


def with_directories(text: str = GOOD) -> str:
    return text.replace("[auditors]", f"{STORE}{HOOK}[auditors]", 1)


def test_directories_are_asked_for_the_groups_that_rules_and_auditors_name_and_for_no_others():
    text = with_directories(
        changed('who = { groups = ["sre"] }', 'who = { groups = ["sre", "sre@store"] }')
        .replace('from = { groups = ["sre-leads"] }', 'from = { groups = ["leads@store", "team@example.com"] }')
        .replace('reviewers = { groups = ["security"] }', 'reviewers = { groups = ["onduty@hook"] }')
    )
    catalogue = read(text)
    assert catalogue.directories == {
        "store": Directory(name="store", identity_store="d-1234567890"),
        "hook": Directory(name="hook", function="arn:aws:lambda:eu-central-1:123456789012:function:facts:live"),
    }
    assert catalogue.directory_groups == {
        "store": frozenset({"sre@store", "leads@store"}),
        "hook": frozenset({"onduty@hook"}),
    }


def test_a_directory_that_no_rule_names_is_never_asked():
    assert read(with_directories()).directory_groups == {}


def test_no_emergency_waits_for_a_directory():
    text = with_directories(changed('groups = ["oncall"]', 'groups = ["oncall@hook"]'))
    [mistake] = mistakes_in(text)
    assert mistake.place == f"{SRE}.break_glass.who.groups"
    assert "no emergency waits for one" in mistake.message


def test_a_directory_tells_groups_of_people_whose_issuer_tells_none():
    without = changed('groups = "groups"\n', "")
    assert f"{SRE}.who" in {mistake.place for mistake in mistakes_in(without)}
    asked = with_directories(without.replace('who = { groups = ["sre"] }', 'who = { groups = ["sre@store"] }'))
    assert f"{SRE}.who" not in {mistake.place for mistake in mistakes_in(asked)}
