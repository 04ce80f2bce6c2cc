"""What becomes of a call to the table that was not answered: it is out, it cannot keep up, or the mistake is ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from botocore import exceptions as botocore
from pynamodb.exceptions import PynamoDBException

from chalicelib.core.refusals import Unavailable

# Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_CANNOT_KEEP_UP = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_NOT_REACHED = (botocore.ConnectionError, botocore.ConnectionClosedError, botocore.ReadTimeoutError)


@contextmanager
def answering(*, outage: int | None = None) -> Iterator[None]:
    """Unavailable where the table is out or cannot keep up. Everything else is a bug and passes.

    outage: what Unavailable tells where the table is out; given around writes only.
    """
    try:
        yield
    except PynamoDBException as error:
        out = _is_out(error.cause)
        # botocore's word for what its HTTP client did not expect: no outage for certain, and none of our doing.
        if not (out or _code(error.cause) in _CANNOT_KEEP_UP or isinstance(error.cause, botocore.HTTPClientError)):
            raise
        told = "The table of requests did not answer. What was asked may have happened or not."
        raise Unavailable(told, outage=outage if out else None) from error


def _is_out(cause: BaseException | None) -> bool:
    """Whether the last of all attempts met no table, none in time, or one that failed by itself."""
    if isinstance(cause, botocore.ClientError):
        # PynamoDB makes an error of its own out of botocore's and drops the HTTP status.
        original = cause.__cause__ if isinstance(cause.__cause__, botocore.ClientError) else cause
        status = original.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR and _code(cause) not in _CANNOT_KEEP_UP
    return isinstance(cause, _NOT_REACHED)


def _code(cause: BaseException | None) -> str | None:
    return cause.response.get("Error", {}).get("Code") if isinstance(cause, botocore.ClientError) else None
