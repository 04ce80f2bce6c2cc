"""Clients of AWS, with the patience that a caller behind API Gateway has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from chalicelib.core.refusals import Calls, Unavailable

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_sts.client import STSClient
    from mypy_boto3_sts.type_defs import CredentialsTypeDef

# Two calls revoke, one of each client, and together they have 5 s: no second tries, the sweeper's come later.
_HURRIED = Config(connect_timeout=1, read_timeout=1.5, retries={"mode": "standard", "total_max_attempts": 1})

# An emergency while the table is out: 9 s for the table, 3 s to put the beginning into the queue (KMS, then SQS), 13 s
# for STS, 3 s to put the outcome there. Together 28 s; API Gateway gives up after 29.
_FALLBACK = Config(connect_timeout=0.5, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 1})


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


def kms_client(session: Session, region: str) -> Any:
    """A client of KMS: at worst two tries of a second and a second between them, for STS's turn comes after it."""
    config = Config(
        connect_timeout=0.5,
        read_timeout=0.5,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return session.create_client("kms", region_name=region, config=config)


def hurried_sts_client(session: Session, region: str) -> STSClient:
    """A client of the region's own STS endpoint that gives up after 2.5 s."""
    return cast("STSClient", session.create_client("sts", region_name=region, config=_HURRIED))


def hurried_iam_client(session: Session, region: str, credentials: CredentialsTypeDef) -> IAMClient:
    """A client of IAM that acts with these credentials and gives up after 2.5 s. region: tells the partition."""
    return cast(
        "IAMClient",
        session.create_client(
            "iam",
            region_name=region,
            config=_HURRIED,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
        ),
    )


def hurried_client(session: Session, service: str, region: str) -> Any:
    """A client of a directory that gives up after 2.5 s."""
    return session.create_client(service, region_name=region, config=_HURRIED)


def fallback_client(session: Session, service: str, region: str) -> Any:
    """A client of SQS or KMS that gives up after 1.5 s."""
    return session.create_client(service, region_name=region, config=_FALLBACK)


def patient_client(session: Session, service: str, region: str) -> Any:
    """A client for what nobody waits for: at worst three tries of 6 s. `AWS_ENDPOINT_URL` is botocore's to obey."""
    config = Config(connect_timeout=1, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    return session.create_client(service, region_name=region, config=config)


def answered(name: str, response: Mapping[str, Any]) -> Calls:
    """The id of a call that AWS answered with an error, under this name; nothing where it told none."""
    id = response.get("ResponseMetadata", {}).get("RequestId")
    return {name: id} if isinstance(id, str) and id else {}


@contextmanager
def unavailable_where_refused(service: str) -> Iterator[None]:
    """Whatever AWS says is no for now: a missing permission, bus or topic is mended while the stream waits."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        raise Unavailable(f"{service} refused: {code}.") from None  # SignatureDoesNotMatch repeats our session token
    except ParamValidationError:
        raise
    except (BotoCoreError, ResponseParserError):
        raise Unavailable(f"{service} did not answer.") from None
