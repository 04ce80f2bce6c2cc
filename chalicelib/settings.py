"""The environment, typed, read once. `DAYPASS_*` variables appear nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from chalicelib.core.believing import LOCATION
from chalicelib.core.forgetting import LEAST
from chalicelib.core.rsa import PublicKey, read_public_key
from chalicelib.core.times import read_length, spoken

PREFIX = "DAYPASS_"
S3 = "s3://"
SECRET_ARN = re.compile(
    r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[!-~]+|ssm:[a-z0-9-]+:[0-9]{12}:parameter/[!-~]+)",
    re.ASCII,
)

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_PLACE = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]{1,500})?$"

_KEY = r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]{1,250}$"
_SHORTEST_STALE, _LONGEST_STALE = timedelta(minutes=5), timedelta(hours=24)

# No FIFO topic: it takes no e-mail addresses and wants a group for every message.
_TOPIC = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$"


def _length(text: object) -> object:
    try:
        return read_length(text) if isinstance(text, str) else text
    except ValueError:
        raise ValueError("write a length such as 30m, 1h or 400d") from None


Length = Annotated[timedelta, BeforeValidator(_length)]


class Misconfigured(Exception):
    """The environment is incomplete or contradicts itself; names every variable that is wrong."""


class IamDoor(BaseModel):
    """The one API Gateway, stage and organization whose word on callers is believed."""

    model_config = ConfigDict(frozen=True)

    api_id: str
    stage: str
    organization_id: str


class SlackDoor(BaseModel):
    """Where the two secrets of the Slack app are kept: ARNs, or with `local` the secrets themselves."""

    model_config = ConfigDict(frozen=True)

    signing_secret: SecretStr
    bot_token: SecretStr
    api: str


class Settings(BaseModel):
    """table: the DynamoDB table's name. catalogue: a path, or `s3://bucket/key`. hub_account: the account that the
    broker runs in.

    catalogue_key: of a catalogue in S3, the public half of the KMS key that signs it, as `aws kms get-public-key` tells
    it; two, with a space between them, while it is replaced. catalogue_max_stale: for how long such a catalogue is
    today's after it was last seen, as in "1h".
    api_id, stage, organization_id: all three open the IAM door; without them it is shut.
    emergency_queue, emergency_key: both or neither: the URL of an SQS FIFO queue, and the ARN or id of a KMS HMAC key;
    what takes the table's place in an emergency while the table is out.
    event_bus: the EventBridge bus (name or ARN) that hears every event. break_glass_topic: the ARN of the SNS topic
    that hears of emergencies. What is absent is not told.
    dead_letters: the URL of the SQS queue for what can never be told; without one it is left to Lambda to give it up.
    trail: set where CloudTrail's log files are noted: only then is a session missed that they do not tell of.
    ledger_copy: the bucket under Object Lock that every event is copied to, as `bucket` or `bucket/prefix`.
    digest_key: the ARN of the KMS key that signs what the copy holds of each day; without one there are no digests.
    retain: for how long a request is kept after it is over, as in `400d`; without one for ever.
    slack_signing_secret, slack_bot_token: ARNs of secrets of AWS Secrets Manager or of parameters of SSM; both open the
    Slack door, without them it is shut. slack_api: the address of Slack's Web API.
    signin: where sessions become links into the AWS console, instead of at the partition's own sign-in.
    local: set by `daypass local` alone: lets the catalogue name loopback issuers; refused inside Lambda.
    """

    model_config = ConfigDict(frozen=True)

    table: Annotated[str, Field(min_length=3, max_length=255)]
    catalogue: str
    hub_account: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    region: str
    partition: str = "aws"
    api_id: str | None = None
    stage: str | None = None
    organization_id: str | None = None
    emergency_queue: Annotated[str, Field(pattern=r"^https?://.+\.fifo$")] | None = None
    emergency_key: Annotated[str, Field(min_length=1)] | None = None
    event_bus: Annotated[str, Field(pattern=r"^[!-~]{1,1600}$")] | None = None
    break_glass_topic: Annotated[str, Field(pattern=_TOPIC)] | None = None
    dead_letters: Annotated[str, Field(pattern=r"^https?://[!-~]{1,1000}$")] | None = None
    trail: bool = False
    ledger_copy: Annotated[str, Field(pattern=_PLACE)] | None = None
    digest_key: Annotated[str, Field(pattern=_KEY)] | None = None
    retain: Annotated[Length, Field(ge=LEAST)] | None = None
    slack_signing_secret: SecretStr | None = None
    slack_bot_token: SecretStr | None = None
    slack_api: str = "https://slack.com/api/"
    signin: Annotated[str, Field(pattern=r"^https?://[!-~]{1,500}$")] | None = None
    local: bool = False
    catalogue_key: str | None = None
    catalogue_max_stale: Length = timedelta(hours=1)

    @model_validator(mode="after")
    def _catalogue_is_signed(self) -> Settings:
        if not self.catalogue.startswith(S3):
            if self.catalogue_key is not None:
                raise ValueError(f"{PREFIX}CATALOGUE_KEY is for a catalogue in S3: a file is not signed")
            return self
        if not LOCATION.fullmatch(self.catalogue):
            raise ValueError(
                f"{PREFIX}CATALOGUE: write s3://bucket/key: no dot in the bucket's name, a key of letters, digits, ._/-"
            )
        if not self.catalogue_keys:
            raise ValueError(f"{PREFIX}CATALOGUE_KEY is missing: a catalogue in S3 is believed by its signature only")
        if not _SHORTEST_STALE <= self.catalogue_max_stale <= _LONGEST_STALE:
            between = f"between {spoken(_SHORTEST_STALE)} and {spoken(_LONGEST_STALE)}"
            raise ValueError(f"{PREFIX}CATALOGUE_MAX_STALE must be {between}")
        return self

    @property
    def catalogue_keys(self) -> tuple[PublicKey, ...]:
        """Raises ValueError."""
        try:
            return tuple(read_public_key(key) for key in (self.catalogue_key or "").split())
        except ValueError as error:
            raise ValueError(f"{PREFIX}CATALOGUE_KEY {error}") from None

    @model_validator(mode="after")
    def _queue_has_its_key(self) -> Settings:
        if (self.emergency_queue is None) != (self.emergency_key is None):
            raise ValueError(f"{PREFIX}EMERGENCY_QUEUE and {PREFIX}EMERGENCY_KEY belong together: set both, or neither")
        return self

    @model_validator(mode="after")
    def _digests_are_of_a_copy(self) -> Settings:
        if self.digest_key and not self.ledger_copy:
            raise ValueError(f"{PREFIX}DIGEST_KEY signs what {PREFIX}LEDGER_COPY holds: set both, or only that one")
        return self

    @model_validator(mode="after")
    def _secrets_are_not_in_the_environment(self) -> Settings:
        given = {"SLACK_SIGNING_SECRET": self.slack_signing_secret, "SLACK_BOT_TOKEN": self.slack_bot_token}
        plain = [name for name, value in given.items() if value and not SECRET_ARN.fullmatch(value.get_secret_value())]
        if plain and not self.local:
            raise ValueError(
                f"{' and '.join(PREFIX + name for name in plain)}: give the ARN of a secret (AWS Secrets Manager) or "
                "of a SecureString (SSM), never the secret itself: an environment is read by many"
            )
        if not self.slack_api.startswith("https://") and not self.local:
            raise ValueError(f"{PREFIX}SLACK_API: the bot token goes there, so it has to be https")
        return self

    @model_validator(mode="after")
    def _keys_go_over_tls(self) -> Settings:
        if self.signin and not self.signin.startswith("https://") and not self.local:
            raise ValueError(f"{PREFIX}SIGNIN: the keys of sessions go there, so it has to be https")
        return self

    @property
    def slack_door(self) -> SlackDoor | None:
        if self.slack_signing_secret and self.slack_bot_token:
            return SlackDoor(
                signing_secret=self.slack_signing_secret, bot_token=self.slack_bot_token, api=self.slack_api
            )
        return None

    @property
    def iam_door(self) -> IamDoor | None:
        if self.api_id and self.stage and self.organization_id:
            return IamDoor(api_id=self.api_id, stage=self.stage, organization_id=self.organization_id)
        return None


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings. Raises Misconfigured."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    try:
        settings = Settings.model_validate({"region": region, **given})
    except ValidationError as mistakes:
        named = "; ".join(
            f"{PREFIX}{'.'.join(str(part) for part in mistake['loc']).upper()}: {mistake['msg']}"
            for mistake in mistakes.errors(include_input=False, include_url=False)
        )
        raise Misconfigured(named) from None
    if settings.local and "AWS_LAMBDA_FUNCTION_NAME" in environment:
        raise Misconfigured(f"{PREFIX}LOCAL: a deployed stage never believes local issuers; unset it")
    return settings
