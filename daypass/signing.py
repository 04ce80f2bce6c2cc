"""Proof by AWS's own signature, for the IAM door: what API Gateway verifies before Daypass is asked.

The one module of the client that knows botocore, which is there where the AWS CLI, boto3 or `daypass[iam]` is.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from daypass.client import DaypassError

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session

AMBIENT: Final = "1"
"""In place of a profile's name: whatever AWS's own order finds (the environment's keys, an instance's role)."""

_SERVICE: Final = "execute-api"
_GATEWAY = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", re.ASCII)
_SIGNING: Final = "DAYPASS_IS_SIGNING"


class Signer:
    """Signs requests as a profile of the AWS configuration; `1`: as what AWS's own order finds.

    Raises DaypassError where botocore, the profile, its credentials or a region are missing.
    """

    def __init__(self, url: str, profile: str) -> None:
        self._url = url
        self._profile = profile

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Mapping[str, str]:
        _check_installed()
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError, ClientError

        request = AWSRequest(method, url, headers=dict(headers), data=body or b"")
        try:
            with self._once():
                SigV4Auth(self._credentials.get_frozen_credentials(), _SERVICE, self._region).add_auth(request)
        except (BotoCoreError, ClientError) as error:
            raise _wrong(f"DAYPASS_IAM={self._profile}: AWS's library says {type(error).__name__}.") from None
        return dict(request.headers.items())

    @cached_property
    def _session(self) -> Session:
        from botocore.session import Session

        return Session(profile=None if self._profile == AMBIENT else self._profile)

    @cached_property
    def _credentials(self) -> Credentials:
        found = self._session.get_credentials()
        if found is None:
            raise _wrong(f"DAYPASS_IAM={self._profile} finds no AWS credentials to sign with.")
        return found

    @cached_property
    def _region(self) -> str:
        """That of an API of API Gateway is in its name."""
        told = _GATEWAY.fullmatch(urlsplit(self._url).hostname or "")
        region = told[1] if told else os.environ.get("AWS_REGION") or self._session.get_config_variable("region")
        if not isinstance(region, str):
            raise _wrong(f"The region of {self._url} is not in its name: AWS_REGION or the profile has to say it.")
        return region

    @contextmanager
    def _once(self) -> Iterator[None]:
        """A profile's `credential_process` inherits a mark: else one that asks Daypass would do so for ever."""
        if os.environ.get(_SIGNING):
            raise _wrong(f"The AWS profile of DAYPASS_IAM ({self._profile}) gets its credentials from Daypass itself.")
        os.environ[_SIGNING] = "1"
        try:
            yield
        finally:
            del os.environ[_SIGNING]


def _check_installed() -> None:
    if find_spec("botocore") is None:
        raise _wrong("DAYPASS_IAM needs botocore: pip install 'daypass[iam]'")


def _wrong(sentence: str) -> DaypassError:
    return DaypassError(sentence, slug="not-configured")
