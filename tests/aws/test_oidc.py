"""Daypass as an OIDC provider, end to end: KMS signs, an STS verifies by what was published, the session is walled.

KMS is the embedded AWS's. STS is `tests.oidc`'s, for ministack neither verifies a token nor keeps the session policy.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import botocore.session
import jwt
import pytest

from chalicelib.aws.clients import sts_client
from chalicelib.aws.signing import KmsSigner
from chalicelib.aws.sts import StsLender
from chalicelib.broker import lending, revoking
from chalicelib.broker.lending import Credentials
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.life import Status
from chalicelib.core.provider import ProviderKey
from chalicelib.core.refusals import StsRefused, Unavailable
from chalicelib.core.token import subject
from daypass.local import example
from daypass.operator.documents import JWKS
from daypass.operator.places import Folder
from daypass.operator.publishing import publish
from tests.builders import HOUR, NOW, SECOND
from tests.hub import broker_session
from tests.oidc import StubSts, TrustedRole, stub_sts
from tests.people import ALICE, DAVE
from tests.stage import EXAMPLE, Stage, an_ask, read_example

DAY = timedelta(hours=24)
ROLE = "arn:aws:iam::111111111111:role/daypass/SandboxAdmin"
CDK = "arn:aws:iam::111111111111:role/cdk-deploy"
FILES = "arn:aws:s3:::sandbox-files/hello.txt"


def an_oidc_catalogue(issuer: str, *keys: ProviderKey, more: str = "") -> Catalogue:
    """The example's, whose sandbox-admin is lent via oidc for 12 h at most."""
    before, _, rest = EXAMPLE.partition("[provider]")
    after = rest[rest.index("[accounts.sandbox]") :]
    provided = f'[provider]\nissuer = "{issuer}"\n' + "".join(
        f'[[provider.keys]]\narn = "{key.arn}"\nsigns_from = {key.signs_from.isoformat()}\n' for key in keys
    )
    own = 'role_name = "daypass/SandboxAdmin"\nexternal_id = "local-example-sandbox"\nmax_session = "1h"\n'
    assert own in after
    oidc = f'role_name = "daypass/SandboxAdmin"\nvia = "oidc"\nmax_session = "12h"\n{more}'
    return read_example(before + provided + after.replace(own, oidc))


@dataclass
class Hub:
    """A stage whose lender is real: it signs with KMS and asks the stub. Its clock is the stub's too."""

    stage: Stage
    sts: StubSts
    kms: Any
    folder: Folder

    def key(self, signs_from: datetime) -> ProviderKey:
        made = self.kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        return ProviderKey(made["Arn"], signs_from)

    def with_keys(self, *keys: ProviderKey, more: str = "") -> None:
        self.stage.catalogue = an_oidc_catalogue(self.sts.issuer, *keys, more=more)

    def publish(self) -> None:
        """By today's catalogue; whoever asks for the documents gets them from now on."""
        provider = self.stage.catalogue.provider
        assert provider is not None
        outcome = publish(provider, self.folder, lambda region: self.kms, self.stage.now)
        assert outcome.objections == ()
        paths = (".well-known/openid-configuration", JWKS)
        self.sts.documents = {path: document for path in paths if (document := self.folder.read(path))}

    def lent(self, duration: timedelta = 8 * HOUR, **wish: Any) -> Credentials:
        given = lending.ask_and_lend(self.stage.world, ALICE, an_ask("sandbox-admin", duration, **wish), None)
        assert isinstance(given, Credentials)
        return given


@pytest.fixture
def sts() -> Iterator[StubSts]:
    with stub_sts() as serving:
        serving.roles[ROLE] = TrustedRole(sub=f"daypass:role:{ROLE}")
        yield serving


@pytest.fixture(scope="module")
def session(seeded) -> botocore.session.Session:
    """The broker's, one for all: a session of its own would read botocore's models anew for each test."""
    return broker_session(seeded.url)


@pytest.fixture
def hub(seeded, session, sts, tmp_path, monkeypatch) -> Hub:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", seeded.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    stage = Stage()
    stage.lender = StsLender(sts_client(session, example.REGION), KmsSigner(session).sign)  # type: ignore[assignment]
    sts.now = lambda: stage.now
    hub = Hub(stage, sts, example.kms_of_the_hub(seeded.url), Folder(tmp_path))
    hub.with_keys(hub.key(NOW - DAY))
    hub.publish()
    return hub


class TestASession:
    def test_is_lent_for_the_whole_window_by_a_token_that_sts_verifies(self, hub):
        lent = hub.lent(8 * HOUR, ticket="OPS-1")
        session = hub.sts.sessions[lent.access_key_id]
        assert (session.role_arn, session.name, session.expires_at) == (ROLE, lent.session_name, NOW + 8 * HOUR)
        assert session.source_identity == "alice@example.com" == lent.source_identity
        assert session.tags == {"daypass:request": lent.request_id, "daypass:ticket": "OPS-1"}
        assert session.transitive == ()
        assert (lent.expiration, lent.secret_access_key.value) == (NOW + 8 * HOUR, f"secret of {lent.access_key_id}")
        assert hub.sts.signed_calls == 0  # nothing but the token vouches for it

    def test_meets_the_wall_at_the_windows_end_though_sts_lends_for_longer(self, hub):
        lent = hub.lent(60 * SECOND)
        assert hub.sts.sessions[lent.access_key_id].expires_at == NOW + 900 * SECOND
        assert hub.sts.may(lent.access_key_id, "s3:GetObject", FILES)
        assert not hub.sts.may(lent.access_key_id, "sts:AssumeRole", CDK)
        hub.stage.pass_time(59 * SECOND)
        assert hub.sts.may(lent.access_key_id, "s3:GetObject", FILES)
        hub.stage.pass_time(SECOND)
        assert not hub.sts.may(lent.access_key_id, "s3:GetObject", FILES)

    def test_may_chain_where_the_role_may_and_its_tags_follow(self, hub):
        provider = hub.stage.catalogue.provider
        hub.with_keys(*provider.keys, more=f'chaining = ["{CDK}"]\n')
        lent = hub.lent()
        assert hub.sts.sessions[lent.access_key_id].transitive == ("daypass:request",)
        assert hub.sts.may(lent.access_key_id, "sts:AssumeRole", CDK)

    def test_is_narrowed_by_the_policy_that_was_asked_for(self, hub):
        policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}
        lent = hub.lent(session_policy=json.dumps(policy))
        assert hub.sts.may(lent.access_key_id, "s3:GetObject", FILES)
        assert not hub.sts.may(lent.access_key_id, "s3:PutObject", FILES)

    def test_is_on_the_record_with_what_joins_it_to_cloudtrail(self, hub):
        lent = hub.lent()
        issuing, issued = hub.stage.history(lent.request_id)[-2:]
        [key] = hub.stage.catalogue.provider.keys
        assert (issuing.details["via"], issuing.details["issuer"]) == ("oidc", hub.sts.issuer)
        assert issuing.details["kid"] == key.kid == jwt.get_unverified_header(hub.sts.tokens[0])["kid"]
        assert issued.details["sts_request_id"] == f"stub-{lent.access_key_id}"
        assert issued.details["kms_request_id"]

    def test_is_cut_until_its_own_end_not_until_an_hour_after_it_began(self, hub):
        lent = hub.lent(8 * HOUR)
        hub.stage.pass_time(5 * HOUR)
        request = revoking.revoke(hub.stage.world, DAVE, lent.request_id, comment="no more")
        assert request.status is Status.REVOKED
        assert hub.stage.revoker.denied == {(ROLE, lent.request_id)}
        assert request.revocation is not None
        assert request.revocation.due_at() == NOW + 8 * HOUR + timedelta(minutes=1)


class TestRotation:
    def test_what_was_published_a_day_ahead_verifies_the_old_keys_tokens_and_the_new_ones(self, hub):
        [old] = hub.stage.catalogue.provider.keys
        takes_over = hub.stage.now + DAY
        new = hub.key(takes_over)
        hub.with_keys(old, new)
        hub.publish()
        a_day_before = dict(hub.sts.documents)

        hub.stage.now = takes_over - SECOND
        hub.lent()
        hub.stage.now = takes_over
        hub.lent()
        assert hub.sts.documents == a_day_before
        assert [jwt.get_unverified_header(token)["kid"] for token in hub.sts.tokens] == [old.kid, new.kid]

    def test_a_token_of_the_last_second_still_verifies_a_day_later_and_then_the_old_key_may_go(self, hub):
        [old] = hub.stage.catalogue.provider.keys
        new = hub.key(hub.stage.now + DAY)
        hub.with_keys(old, new)
        hub.publish()
        hub.stage.now = new.signs_from + DAY
        hub.with_keys(new)
        hub.publish()
        hub.lent()
        assert old.kid not in hub.sts.documents[JWKS].decode()

    def test_a_key_that_was_not_published_is_unknown(self, hub):
        hub.with_keys(hub.key(NOW - DAY))
        with pytest.raises(StsRefused, match="hold the key"):
            hub.lent()

    def test_before_the_first_keys_time_nothing_is_lent_nor_recorded(self, hub):
        hub.with_keys(hub.key(NOW + HOUR))
        with pytest.raises(Unavailable, match="2031-03-05T13:00:00Z") as refused:
            hub.lent()
        assert refused.value.retry_after == HOUR
        assert hub.stage.requests.everything(after=None, limit=1).items == ()


def tampered(token: str) -> str:
    """The same signature under a claim that it is for another role."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["sub"] = "daypass:role:arn:aws:iam::111111111111:role/daypass/Other"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{forged}.{signature}"


def unsigned(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, "", algorithm="none", headers={"kid": jwt.get_unverified_header(token)["kid"]})


def with_header(token: str, **changed: str) -> str:
    header, payload, signature = token.split(".")
    told = {**json.loads(base64.urlsafe_b64decode(header + "==")), **changed}
    return f"{base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b'=').decode()}.{payload}.{signature}"


class TestTheStub:
    """That it can say no: what it lets through proves something."""

    def asked(self, hub: Hub, token: str, role: str = ROLE, duration: int = 900) -> str:
        """What it answers to somebody who holds a token and nothing else: `lent`, or the code of its no."""
        call = {"RoleArn": role, "RoleSessionName": "somebody", "DurationSeconds": str(duration), "Policy": "{}"}
        status, _, answer = hub.sts.answered({**call, "WebIdentityToken": token})
        return "lent" if status == 200 else str(answer).partition("<Code>")[2].partition("</Code>")[0]

    @pytest.fixture
    def token(self, hub):
        hub.lent()
        return hub.sts.tokens[0]

    def test_it_lends_for_the_token_as_it_is(self, hub, token):
        assert self.asked(hub, token) == "lent"

    @pytest.mark.parametrize(
        "forge",
        [
            tampered,
            unsigned,
            lambda token: with_header(token, kid="another"),
            lambda token: with_header(token, alg="ES256"),
            lambda token: token[:-8] + "AAAAAAAA",
            lambda token: "no.jwt.atall",
        ],
    )
    def test_it_believes_no_other(self, hub, token, forge):
        assert self.asked(hub, forge(token)) == "InvalidIdentityToken"

    def test_it_believes_it_for_a_minute(self, hub, token):
        hub.stage.now = NOW + 59 * SECOND
        assert self.asked(hub, token) == "lent"
        for instant in (NOW + 60 * SECOND, NOW - SECOND):
            hub.stage.now = instant
            assert self.asked(hub, token) == "ExpiredTokenException"

    def test_it_believes_it_for_its_audience(self, hub, token):
        hub.sts.audiences = frozenset({"another"})
        assert self.asked(hub, token) == "InvalidIdentityToken"

    def test_it_opens_no_other_role(self, hub, token):
        other = "arn:aws:iam::111111111111:role/daypass/Other"
        hub.sts.roles[other] = TrustedRole(sub=subject(other))
        assert self.asked(hub, token, role=other) == "AccessDenied"
        assert self.asked(hub, token, role="arn:aws:iam::111111111111:role/daypass/Nobody") == "AccessDenied"

    def test_it_lends_no_longer_than_the_role(self, hub, token):
        hub.sts.roles[ROLE] = replace(hub.sts.roles[ROLE], max_session=HOUR)
        assert self.asked(hub, token, duration=3600) == "lent"
        assert self.asked(hub, token, duration=3601) == "ValidationError"

    def test_it_believes_nothing_that_is_not_published(self, hub, token):
        hub.sts.documents = {}
        assert self.asked(hub, token) == "InvalidIdentityToken"


class TestWhatATargetAccountGetsWrong:
    """Each is refused by STS, and Daypass says what to check."""

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"sub": "daypass:role:other"}, "AccessDenied"),
            ({"aud": "another"}, "AccessDenied"),
            ({"actions": frozenset({"sts:AssumeRoleWithWebIdentity"})}, "AccessDenied"),
            ({"max_session": HOUR}, "ValidationError"),
        ],
    )
    def test_in_its_trust_policy_or_role(self, hub, changed, code):
        hub.sts.roles[ROLE] = replace(hub.sts.roles[ROLE], **changed)
        with pytest.raises(StsRefused, match="Check that") as refused:
            hub.lent()
        assert refused.value.code == code
        assert hub.sts.tokens[0] not in refused.value.detail
        [request] = hub.stage.requests.everything(after=None, limit=1).items
        assert hub.stage.history(request.id)[-1].details["code"] == code
        assert (request.status, request.window, request.lent_until) == (Status.APPROVED, None, None)

    def test_by_trusting_another_audience(self, hub):
        hub.sts.audiences = frozenset({"another"})
        with pytest.raises(StsRefused, match=r"audience sts\.amazonaws\.com"):
            hub.lent()
