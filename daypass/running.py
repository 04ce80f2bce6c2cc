"""Running a command with lent credentials, and with no other ones beside them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from daypass import showing
from daypass.saying import Stop

if TYPE_CHECKING:
    from daypass.client import Json

_CANNOT_RUN: Final = 127
"""As shells say it."""

NAMES: Final = {
    "AccessKeyId": "AWS_ACCESS_KEY_ID",
    "SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "SessionToken": "AWS_SESSION_TOKEN",
    "Expiration": "AWS_CREDENTIAL_EXPIRATION",
}
"""What credentials are called in an environment.

Source: https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html.
"""

# With one of these beside them, SDKs could take other credentials than the lent ones.
_OTHER_WAYS: Final = frozenset(
    {
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    }
)


def variables(lent: Json) -> dict[str, str]:
    """Credentials as the environment's variables."""
    return {ours: str(lent[theirs]) for theirs, ours in NAMES.items()}


def run(command: Sequence[str], credentials: Mapping[str, str]) -> NoReturn:
    """Become the command: its signals, output and exit code are nobody else's. Raises Stop where it cannot be run."""
    sys.stdout.flush()
    try:
        os.execvpe(command[0], list(command), environment(os.environ, credentials))
    except OSError as error:
        raise Stop(f"{showing.plain(command[0])} cannot be run: {error.strerror}.", _CANNOT_RUN) from None


def environment(shell: Mapping[str, str], credentials: Mapping[str, str]) -> dict[str, str]:
    """The shell's environment with these credentials' variables and no other way to credentials."""
    kept = {name: value for name, value in shell.items() if name not in _OTHER_WAYS and name not in NAMES.values()}
    return {**kept, **credentials}
