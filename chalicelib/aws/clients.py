"""Clients of AWS, with the patience that a caller behind API Gateway has."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from botocore.config import Config

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_sts.client import STSClient


def sts_client(session: Session, region: str) -> STSClient:
    """A client of the region's own STS endpoint: at worst two tries of 6 s and a second between them.

    Regional is botocore's default since 1.40: a token of the global endpoint is refused in regions that are opted into.
    `AWS_ENDPOINT_URL` is botocore's to obey.
    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_region-endpoints.html.
    """
    config = Config(
        connect_timeout=1,
        read_timeout=5,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return cast("STSClient", session.create_client("sts", region_name=region, config=config))
