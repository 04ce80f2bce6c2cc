"""What tests share: one embedded AWS per run (with pytest-xdist: per worker), and a table of its own for each test."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import settings

from chalicelib.aws.table import Table, create
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import Emergencies, seed
from tests.hub import Hub, a_hub
from tests.local.accounts import as_root

# How long an example takes says more of the machine than of the code.
settings.register_profile("daypass", deadline=None, print_blob=True)
settings.load_profile("daypass")

_tables = itertools.count(1)


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws.started(port=0, data=tmp_path_factory.mktemp("embedded-aws")) as aws:
        yield aws


@pytest.fixture
def connect(embedded_aws: EmbeddedAws) -> Callable[..., Table]:
    """Makes a Table of the embedded AWS, which takes any 12 digits with the secret `test` for that account's root."""
    return partial(
        Table, region="us-east-1", host=embedded_aws.url, access_key_id="123456789012", secret_access_key="test"
    )


@pytest.fixture
def table(connect: Callable[..., Table]) -> Table:
    made: Table = connect(f"daypass-{next(_tables)}")
    create(made)
    return made


@pytest.fixture(scope="session")
def seeded(embedded_aws: EmbeddedAws) -> EmbeddedAws:
    """The embedded AWS with the example's accounts, roles and buckets."""
    seed(embedded_aws.url)
    return embedded_aws


@pytest.fixture
def hub(seeded: EmbeddedAws, table: Table, monkeypatch: pytest.MonkeyPatch) -> Hub:
    for service in ("STS", "IAM", "KMS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", seeded.url)
    return a_hub(seeded.url, table)


@pytest.fixture
def emergencies(seeded: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Emergencies:
    """The example's emergency queue, with nothing in it, where the broker's own clients find it."""
    for service in ("SQS", "KMS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", seeded.url)
    ours = seed(seeded.url)
    as_root("sqs", seeded.url, HUB_ACCOUNT).purge_queue(QueueUrl=ours.queue)
    return ours


@pytest.fixture
def closed_port() -> Iterator[str]:
    """A URL at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
