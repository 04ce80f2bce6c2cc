"""What is handed out, once."""

from __future__ import annotations

from typing import Literal

from chalicelib.broker.console import Link
from chalicelib.broker.lending import Credentials
from chalicelib.web.views.out import Instant, Out


class AssumedRoleUser(Out):
    Arn: str
    AssumedRoleId: str


class CredentialsView(Out):
    """What the AWS CLI's `credential_process` reads, and whose it is."""

    Version: Literal[1] = 1
    AccessKeyId: str
    SecretAccessKey: str
    SessionToken: str
    Expiration: Instant
    AccountId: str
    AssumedRoleUser: AssumedRoleUser
    SourceIdentity: str
    RequestId: str
    SessionName: str

    @classmethod
    def of(cls, lent: Credentials) -> CredentialsView:
        return cls(
            Version=1,
            AccessKeyId=lent.access_key_id,
            SecretAccessKey=lent.secret_access_key.value,
            SessionToken=lent.session_token.value,
            Expiration=lent.expiration,
            AccountId=lent.account_id,
            AssumedRoleUser=AssumedRoleUser(Arn=lent.assumed_role_arn, AssumedRoleId=lent.assumed_role_id),
            SourceIdentity=lent.source_identity,
            RequestId=lent.request_id,
            SessionName=lent.session_name,
        )


class ConsoleView(Out):
    """`url` signs in whoever follows it, until `expires_at`: it is as secret as credentials are."""

    url: str
    expires_at: Instant

    @classmethod
    def of(cls, link: Link) -> ConsoleView:
        return cls(url=link.url.value, expires_at=link.expires_at)
