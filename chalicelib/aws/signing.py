"""KMS, which signs what Daypass vouches for, with keys that nobody can read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from chalicelib.aws.clients import answered, kms_client, patient_client, unavailable_where_refused
from chalicelib.broker.ports import NothingLent
from chalicelib.core.refusals import Refusal, StsRefused

if TYPE_CHECKING:
    from botocore.session import Session

_NO_SIGNATURE = "no-signature"
_STATE = "Its state is not Enabled: enable it, or let another key sign from now on."
_CHECK: Mapping[str, str] = {
    "AccessDeniedException": (
        "Check that the broker's own policy and the key's policy allow the broker's role kms:Sign on it, that it bears "
        "the alias that the broker's policy asks for, and that no SCP or RCP denies it."
    ),
    "DisabledException": _STATE,
    "KMSInvalidStateException": _STATE,
    "NotFoundException": "There is no such key: check the catalogue's provider.keys.",
    "InvalidKeyUsageException": "It is no RSA key for signing: make one with KeySpec RSA_2048, KeyUsage SIGN_VERIFY.",
}
"""What to check, by KMS's error code. Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html."""

_PASSING = frozenset(
    {"DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException", "RequestTimeout"}
)


@dataclass(frozen=True, slots=True)
class Signature:
    """request_id: CloudTrail's `requestID` of kms:Sign. bytes: as secret as the token they complete."""

    bytes: bytes
    request_id: str

    def __repr__(self) -> str:
        return f"Signature(•••, {self.request_id})"


Sign = Callable[[str, bytes], Signature]
"""Of a key's ARN and a message; as `KmsSigner.sign`."""


class KmsSigner:
    """Signs with keys of any region: a client for each, made at its first use, of at most 3 s a call."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._clients: dict[str, Any] = {}

    def sign(self, key_arn: str, message: bytes) -> Signature:
        """RSASSA-PKCS1-v1_5 with SHA-256, which is RS256. KMS is shown the digest only, never the message.

        Raises StsRefused where KMS said no, NothingLent where it did not answer.
        """
        try:
            answer = self._client(key_arn.split(":")[3]).sign(
                KeyId=key_arn,
                Message=hashlib.sha256(message).digest(),
                MessageType="DIGEST",
                SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256",
            )
        except ClientError as error:
            raise _no(error, key_arn) from None
        except ParamValidationError:
            raise
        except (BotoCoreError, ResponseParserError):
            raise NothingLent("AWS KMS did not answer: nothing was lent; try again.", _NO_SIGNATURE) from None
        return Signature(answer["Signature"], answer["ResponseMetadata"]["RequestId"])

    def _client(self, region: str) -> Any:
        if region not in self._clients:
            self._clients[region] = kms_client(self._session, region)
        return self._clients[region]


def _no(error: ClientError, key_arn: str) -> Refusal | NothingLent:
    response: Mapping[str, Any] = error.response
    code = response.get("Error", {}).get("Code", "Unknown")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    calls = answered("kms_request_id", response)
    if status >= 500 or code in _PASSING or code.startswith(("Throttl", "TooManyRequests", "ExpiredToken")):
        return NothingLent(f"AWS KMS did not sign ({code}): nothing was lent; try again.", code, calls)
    advice = _CHECK.get(code, "Ask the people who run Daypass.")
    return StsRefused(f"AWS KMS did not sign with {key_arn}: {code}. {advice}", code, calls)


class DigestKey:
    """The key that signs the ledger's digests and nothing else. arn: of a KMS key with KeySpec ECC_NIST_P256.

    Sources: https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html and API_Verify.html.
    """

    _ALGORITHM = "ECDSA_SHA_256"

    def __init__(self, session: Session, arn: str) -> None:
        self._session, self._arn = session, arn

    @cached_property
    def _client(self) -> Any:
        return patient_client(self._session, "kms", self._arn.split(":")[3])

    def sign(self, text: bytes) -> bytes:
        """DER. Raises Unavailable."""
        with unavailable_where_refused("KMS"):
            signature: bytes = self._client.sign(**self._asked(text))["Signature"]
        return signature

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Raises Unavailable."""
        with unavailable_where_refused("KMS"):
            try:
                self._client.verify(**self._asked(text), Signature=signature)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "KMSInvalidSignatureException":
                    raise
                return False
        return True

    def _asked(self, text: bytes) -> dict[str, Any]:
        return {
            "KeyId": self._arn,
            "Message": hashlib.sha256(text).digest(),
            "MessageType": "DIGEST",
            "SigningAlgorithm": self._ALGORITHM,
        }
