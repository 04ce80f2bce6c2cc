"""The deployed stage with its catalogue in the embedded S3, and how many calls to AWS that takes."""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from chalicelib import wiring
from chalicelib.aws.table import Table
from chalicelib.core.believing import SIGNATURE
from chalicelib.core.refusals import Unavailable
from chalicelib.signed_catalogue import SignedCatalogue
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests.local.accounts import as_root
from tests.signing import CI, PUBLIC_KEYS, SOMEBODY_ELSE, sign
from tests.stage import EXAMPLE
from tests.test_wiring import call, forget_what_was_made

_names = itertools.count(1)


class Deployed:
    """Any number of containers of one stage, on a clock set by hand; and CI, which uploads for it."""

    def __init__(self, aws: EmbeddedAws, bucket: str) -> None:
        self.s3 = as_root("s3", aws.url, HUB_ACCOUNT)
        self.bucket = bucket
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.calls: Counter[str] = Counter()
        self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def upload(self, serial: int, longest: str = "8h", by: Any = CI) -> None:
        body = f"serial = {serial}\n{EXAMPLE}".replace('max_duration = "8h"', f'max_duration = "{longest}"').encode()
        metadata = {SIGNATURE: base64.b64encode(sign(by, body)).decode()}
        self.s3.put_object(Bucket=self.bucket, Key="catalogue.toml", Body=body, Metadata=metadata)

    def container(self) -> SignedCatalogue:
        """A new one, whose calls are counted; it is the one that the app uses from now on."""
        forget_what_was_made()
        source = wiring._catalogue()
        assert isinstance(source, SignedCatalogue)
        source._now = lambda: self.now
        bucket: Any = source._bucket
        send = bucket._http.send

        def counting(request: Any) -> Any:
            self.calls["GetObject"] += 1
            return send(request)

        bucket._http.send = counting
        state: Any = source._state
        for client in (state._quick, state._table.client):
            client.meta.events.register("before-send.*.*", self._count)
        return source

    def _count(self, **event: Any) -> None:
        self.calls[event["event_name"].rpartition(".")[2]] += 1

    def counted(self, act: Any) -> Counter[str]:
        self.calls.clear()
        act()
        return Counter(self.calls)


@pytest.fixture
def deployed(embedded_aws: EmbeddedAws, table: Table, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    bucket = f"daypass-catalogue-dev-{next(_names)}"
    for name, value in {
        "DAYPASS_TABLE": table._name,
        "DAYPASS_CATALOGUE": f"s3://{bucket}/catalogue.toml",
        "DAYPASS_CATALOGUE_KEY": PUBLIC_KEYS[0],
        "DAYPASS_HUB_ACCOUNT": HUB_ACCOUNT,
        "DAYPASS_LOCAL": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": HUB_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": embedded_aws.url,
    }.items():
        monkeypatch.setenv(name, value)
    yield Deployed(embedded_aws, bucket)
    forget_what_was_made()


def test_a_cold_start_reads_the_state_and_the_object_and_a_warm_one_both_once_a_minute(deployed: Deployed) -> None:
    deployed.upload(1)
    first = deployed.container()
    assert deployed.counted(first) == {"GetItem": 1, "GetObject": 1, "Query": 1, "TransactWriteItems": 1}, (
        "the very first of all"
    )
    cold = deployed.container()
    assert deployed.counted(cold) == {"GetItem": 1, "GetObject": 1}
    for _ in range(3):
        assert deployed.counted(lambda: [cold() for _ in range(100)]) == {}
        deployed.now += timedelta(seconds=60)
        assert deployed.counted(cold) == {"GetItem": 1, "GetObject": 1}


def test_a_newer_version_costs_its_event_once_and_ten_quiet_minutes_a_write(deployed: Deployed) -> None:
    deployed.upload(1)
    one, other = deployed.container(), deployed.container()
    one()
    other()
    deployed.upload(2, "6h")
    deployed.now += timedelta(minutes=1)
    assert deployed.counted(one) == {"GetItem": 1, "GetObject": 1, "Query": 1, "TransactWriteItems": 1}
    assert deployed.counted(other) == {"GetItem": 1, "GetObject": 1}
    deployed.now += timedelta(minutes=10)
    assert deployed.counted(one) == {"GetItem": 1, "GetObject": 1, "TransactWriteItems": 1}
    assert deployed.counted(other) == {"GetItem": 1, "GetObject": 1}


def test_the_health_of_a_container_costs_no_call_and_tells_what_it_holds(deployed: Deployed) -> None:
    deployed.upload(3)
    source = deployed.container()
    deployed.calls.clear()
    status, health = call("GET", "/v1/health")
    assert (status, set(health)) == (200, {"status", "version"})
    assert deployed.calls == {}
    good = source()
    told = call("GET", "/v1/health")[1]
    assert (told["catalogue_digest"], told["catalogue_serial"]) == (good.digest, 3)
    deployed.now += timedelta(hours=2)
    deployed.calls.clear()
    assert "last seen to be the newest at" in call("GET", "/v1/health")[1]["catalogue_doubt"]
    assert deployed.calls == {}


def test_given_nothing_signed_by_ci_then_a_call_is_503_and_says_where_to_look(deployed: Deployed) -> None:
    deployed.upload(1, by=SOMEBODY_ELSE)
    deployed.container()
    status, login = call("GET", "/v1/login")
    assert (status, login["type"]) == (503, "urn:daypass:problem:unavailable")
    with pytest.raises(Unavailable, match="the log says why"):
        wiring.catalogue()


def test_an_old_version_put_back_is_not_believed_by_a_container_that_never_saw_the_newer_one(
    deployed: Deployed,
) -> None:
    deployed.upload(1)
    deployed.container()()
    deployed.upload(2, "6h")
    deployed.container()()
    deployed.upload(1)
    last_good = deployed.container()
    assert deployed.counted(lambda: last_good().serial) == {"GetItem": 1, "GetObject": 2}
    assert last_good().serial == 2


def test_no_client_of_s3_is_made(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes tens of milliseconds: docs/decisions/0048."""
    made: list[str] = []
    create = botocore.session.Session.create_client

    def noted(session: Any, service_name: str, *args: Any, **named: Any) -> Any:
        made.append(service_name)
        return create(session, service_name, *args, **named)

    monkeypatch.setattr(botocore.session.Session, "create_client", noted)
    deployed.upload(1)
    assert deployed.container()().serial == 1
    assert set(made) == {"dynamodb"}
