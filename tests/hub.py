"""The broker on the embedded AWS: a real table, and an STS that enforces the example's trust policies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import botocore.session

from chalicelib.aws.bindings import Bindings
from chalicelib.aws.clients import sts_client
from chalicelib.aws.day_chains import DayChains
from chalicelib.aws.directories import AwsDirectories, hurried
from chalicelib.aws.revoker import IamRevoker
from chalicelib.aws.signing import KmsSigner
from chalicelib.aws.sts import StsLender
from chalicelib.aws.table import Table
from chalicelib.broker.ports import World
from daypass.local.example import BROKER_ARN, REGION, root
from tests.builders import an_id
from tests.stage import CATALOGUE


@dataclass
class Hub:
    """The world as Lambda has it, and a count of the calls that really went out to AWS, by operation."""

    world: World
    table: Table
    sts: Any
    session: botocore.session.Session
    calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for client in (self.table.client, self.sts):
            client.meta.events.register("before-send.*.*", self._count)
        self.session.register("before-send.*.*", self._count)  # the clients that the revoker and the signer will make

    def _count(self, **event: Any) -> None:
        self.calls[event["event_name"].rpartition(".")[2]] += 1


def a_hub(aws: str, table: Table) -> Hub:
    """The clients of one container: the table as the hub's root, STS as the broker's role.

    The environment's `AWS_ENDPOINT_URL_STS`, `…_IAM` and `…_KMS` must be `aws`, as `daypass local` sets it for the
    broker's own clients.
    """
    session = broker_session(aws)
    sts = sts_client(session, REGION)
    bindings = Bindings(table)
    world = World(
        catalogue=lambda: CATALOGUE,
        requests=table,
        day_chains=lambda: DayChains(table),
        bindings=lambda: bindings,
        lender=StsLender(sts, KmsSigner(session).sign),
        revoker=IamRevoker(session, REGION, clock=lambda: 0.0),
        directories=lambda: AwsDirectories(hurried(session, REGION)),
        now=lambda: datetime.now(UTC).replace(microsecond=0),
        new_id=an_id,
        new_salt=lambda: f"salt-{an_id()}",
    )
    return Hub(world, table, sts, session)


def broker_session(aws: str) -> botocore.session.Session:
    """A session that acts as the broker's role, with credentials that AWS would give to its Lambda."""
    hub: Any = botocore.session.Session().create_client("sts", region_name=REGION, **root("123456789012", aws))
    given = hub.assume_role(RoleArn=BROKER_ARN, RoleSessionName="daypass")["Credentials"]
    session = botocore.session.Session()
    session.set_credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    return session
