"""The environment: typed, complete, and never local inside Lambda."""

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib import settings
from chalicelib.core.rsa import read_public_key
from chalicelib.settings import Misconfigured
from chalicelib.version import VERSION
from tests.signing import PUBLIC_KEYS

COMPLETE = {
    "DAYPASS_TABLE": "daypass",
    "DAYPASS_CATALOGUE": "chalicelib/catalogue.toml",
    "DAYPASS_HUB_ACCOUNT": "123456789012",
    "AWS_REGION": "eu-central-1",
}
DOOR = {"DAYPASS_API_ID": "abc", "DAYPASS_STAGE": "prod", "DAYPASS_ORGANIZATION_ID": "o-1"}


def test_a_complete_environment_is_read() -> None:
    read = settings.read({**COMPLETE, **DOOR})
    assert (read.table, read.region, read.local) == ("daypass", "eu-central-1", False)
    assert read.iam_door == settings.IamDoor(api_id="abc", stage="prod", organization_id="o-1")


@pytest.mark.parametrize("missing", ["DAYPASS_TABLE", "DAYPASS_CATALOGUE", "DAYPASS_HUB_ACCOUNT"])
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(Misconfigured, match=missing):
        settings.read({name: value for name, value in COMPLETE.items() if name != missing})


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(Misconfigured, match=r"DAYPASS_TABLE.*DAYPASS_HUB_ACCOUNT"):
        settings.read({**COMPLETE, "DAYPASS_TABLE": "x", "DAYPASS_HUB_ACCOUNT": "12345"})


def test_without_a_region_there_is_none_to_guess() -> None:
    with pytest.raises(Misconfigured, match="REGION"):
        settings.read({name: value for name, value in COMPLETE.items() if name != "AWS_REGION"})


@pytest.mark.parametrize("left_out", sorted(DOOR))
def test_the_iam_door_needs_all_three_to_open(left_out: str) -> None:
    some = {name: value for name, value in DOOR.items() if name != left_out}
    assert settings.read({**COMPLETE, **some}).iam_door is None


QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/daypass-emergencies.fifo"
EMERGENCY = {"DAYPASS_EMERGENCY_QUEUE": QUEUE, "DAYPASS_EMERGENCY_KEY": "1234abcd-12ab-34cd-56ef-1234567890ab"}


def test_the_emergency_queue_comes_with_its_key_or_not_at_all() -> None:
    read = settings.read({**COMPLETE, **EMERGENCY})
    assert (read.emergency_queue, read.emergency_key) == tuple(EMERGENCY.values())
    assert settings.read(COMPLETE).emergency_queue is None
    for alone in EMERGENCY:
        with pytest.raises(Misconfigured, match=r"DAYPASS_EMERGENCY_QUEUE and DAYPASS_EMERGENCY_KEY belong together"):
            settings.read({**COMPLETE, alone: EMERGENCY[alone]})


@pytest.mark.parametrize("queue", [QUEUE.removesuffix(".fifo"), "", "daypass-emergencies.fifo", f"{QUEUE}/"])
def test_only_the_url_of_a_fifo_queue_is_taken(queue: str) -> None:
    with pytest.raises(Misconfigured, match="DAYPASS_EMERGENCY_QUEUE"):
        settings.read({**COMPLETE, **EMERGENCY, "DAYPASS_EMERGENCY_QUEUE": queue})


ANNOUNCED = {
    "DAYPASS_EVENT_BUS": "arn:aws:events:eu-central-1:123456789012:event-bus/daypass",
    "DAYPASS_BREAK_GLASS_TOPIC": "arn:aws:sns:eu-central-1:123456789012:break-glass",
    "DAYPASS_DEAD_LETTERS": "https://sqs.eu-central-1.amazonaws.com/123456789012/dead",
}


def test_where_to_announce_is_read_and_may_be_left_out() -> None:
    read = settings.read({**COMPLETE, **ANNOUNCED})
    assert (read.event_bus, read.break_glass_topic, read.dead_letters) == tuple(ANNOUNCED.values())
    none = settings.read(COMPLETE)
    assert (none.event_bus, none.break_glass_topic, none.dead_letters) == (None,) * 3


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DAYPASS_BREAK_GLASS_TOPIC", "arn:aws:sns:eu-central-1:123456789012:break-glass.fifo"),
        ("DAYPASS_BREAK_GLASS_TOPIC", "break-glass"),
        ("DAYPASS_SLACK_BOT_TOKEN", "xoxb-a-token-in-plain"),
        ("DAYPASS_DEAD_LETTERS", "dead"),
        ("DAYPASS_EVENT_BUS", "two words"),
    ],
)
def test_where_to_announce_is_refused_where_it_can_be_nothing(name: str, wrong: str) -> None:
    with pytest.raises(Misconfigured, match=name) as mistake:
        settings.read({**COMPLETE, name: wrong})
    assert wrong not in str(mistake.value)


def test_a_deployed_stage_never_believes_local_issuers() -> None:
    assert settings.read({**COMPLETE, "DAYPASS_LOCAL": "true"}).local
    with pytest.raises(Misconfigured, match="LOCAL"):
        settings.read({**COMPLETE, "DAYPASS_LOCAL": "true", "AWS_LAMBDA_FUNCTION_NAME": "daypass-prod"})


IN_S3 = {"DAYPASS_CATALOGUE": "s3://daypass-catalogue/prod/catalogue.toml", "DAYPASS_CATALOGUE_KEY": PUBLIC_KEYS[0]}


def test_a_catalogue_in_s3_comes_with_the_key_that_signs_it_or_with_two() -> None:
    read = settings.read({**COMPLETE, **IN_S3})
    assert (read.catalogue, read.catalogue_max_stale) == (IN_S3["DAYPASS_CATALOGUE"], timedelta(hours=1))
    assert read.catalogue_keys == (read_public_key(PUBLIC_KEYS[0]),)
    both = settings.read({**COMPLETE, **IN_S3, "DAYPASS_CATALOGUE_KEY": " ".join(PUBLIC_KEYS)})
    assert len(both.catalogue_keys) == 2


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"DAYPASS_CATALOGUE_KEY": ""}, "DAYPASS_CATALOGUE_KEY is missing"),
        ({"DAYPASS_CATALOGUE_KEY": "bm8ga2V5"}, "DAYPASS_CATALOGUE_KEY is no RSA public key"),
        ({"DAYPASS_CATALOGUE": "s3://with.dot/c.toml"}, "no dot in the bucket's name"),
        ({"DAYPASS_CATALOGUE": "s3://bucket"}, "write s3://bucket/key"),
        ({"DAYPASS_CATALOGUE": "catalogue.toml"}, "DAYPASS_CATALOGUE_KEY is for a catalogue in S3"),
        ({"DAYPASS_CATALOGUE_MAX_STALE": "4m"}, "CATALOGUE_MAX_STALE must be between 5 min and 24 h"),
        ({"DAYPASS_CATALOGUE_MAX_STALE": "2d"}, "CATALOGUE_MAX_STALE must be between 5 min and 24 h"),
        ({"DAYPASS_CATALOGUE_MAX_STALE": "soon"}, "CATALOGUE_MAX_STALE.*write a length such as 30m"),
    ],
)
def test_what_would_have_a_catalogue_believed_by_mistake_is_refused(changed: dict[str, str], wrong: str) -> None:
    with pytest.raises(Misconfigured, match=wrong):
        settings.read({**COMPLETE, **IN_S3, **changed})


def test_what_the_environment_holds_is_never_repeated() -> None:
    with pytest.raises(Misconfigured) as mistake:
        settings.read({**COMPLETE, "DAYPASS_HUB_ACCOUNT": "a-secret-by-mistake"})
    assert "a-secret-by-mistake" not in str(mistake.value)


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == VERSION


SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:daypass/slack-signing-AbCdEf"
PARAMETER_ARN = "arn:aws:ssm:eu-central-1:123456789012:parameter/daypass/slack-bot-token"
SLACK = {"DAYPASS_SLACK_SIGNING_SECRET": SECRET_ARN, "DAYPASS_SLACK_BOT_TOKEN": PARAMETER_ARN}


def test_both_secrets_by_their_arn_open_the_slack_door() -> None:
    door = settings.read({**COMPLETE, **SLACK}).slack_door
    assert door is not None
    assert (door.signing_secret.get_secret_value(), door.bot_token.get_secret_value()) == (SECRET_ARN, PARAMETER_ARN)
    assert door.api == "https://slack.com/api/"


@pytest.mark.parametrize("left_out", sorted(SLACK))
def test_without_either_the_slack_door_is_shut(left_out: str) -> None:
    some = {name: value for name, value in SLACK.items() if name != left_out}
    assert settings.read({**COMPLETE, **some}).slack_door is None


@pytest.mark.parametrize("name", sorted(SLACK))
@pytest.mark.parametrize(
    "value",
    [
        "xoxb-CANARY-1",
        "8f742231b10e8888CANARY",
        "arn:aws:s3:::CANARY",
        "arn:aws:iam::123456789012:role/CANARY",
        "arn:aws:secretsmanager:eu-central-1:123456789012:CANARY",
        f"{SECRET_ARN} CANARY",
    ],
)
def test_a_secret_in_plain_is_refused_without_being_repeated(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=rf"{name}: give the ARN") as mistake:
        settings.read({**COMPLETE, **SLACK, name: value})
    assert "CANARY" not in str(mistake.value)


def test_local_settings_may_hold_them_and_never_show_them() -> None:
    local = {**COMPLETE, "DAYPASS_LOCAL": "true", "DAYPASS_SLACK_API": "http://127.0.0.1:9/api/"}
    read = settings.read({**local, "DAYPASS_SLACK_SIGNING_SECRET": "CANARY-1", "DAYPASS_SLACK_BOT_TOKEN": "CANARY-2"})
    assert read.slack_door is not None
    assert "CANARY" not in repr(read) + str(read) + repr(read.slack_door)


def test_the_bot_token_goes_nowhere_in_the_clear() -> None:
    with pytest.raises(Misconfigured, match=r"SLACK_API.*https"):
        settings.read({**COMPLETE, **SLACK, "DAYPASS_SLACK_API": "http://slack.com/api/"})
    assert settings.read({**COMPLETE, **SLACK, "DAYPASS_SLACK_API": "https://slack-gov.com/api/"}).slack_door


def test_sign_in_may_be_elsewhere_and_only_a_local_one_hears_keys_in_the_clear() -> None:
    assert settings.read(COMPLETE).signin is None
    for address in ("https://signin.aws.amazon.com/federation", "https://us-west-2.signin.aws.amazon.com/federation"):
        assert settings.read({**COMPLETE, "DAYPASS_SIGNIN": address}).signin == address
    clear = {**COMPLETE, "DAYPASS_SIGNIN": "http://127.0.0.1:8000/aws-console/federation"}
    with pytest.raises(Misconfigured, match=r"SIGNIN.*https"):
        settings.read(clear)
    assert settings.read({**clear, "DAYPASS_LOCAL": "true"}).signin
    with pytest.raises(Misconfigured, match="SIGNIN"):
        settings.read({**COMPLETE, "DAYPASS_SIGNIN": "ftp://signin.example/"})


def test_digests_are_of_a_copy() -> None:
    copy = {"DAYPASS_LEDGER_COPY": "ledger-of-daypass/prod"}
    key = {"DAYPASS_DIGEST_KEY": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
    read = settings.read({**COMPLETE, **copy, **key})
    assert (read.ledger_copy, read.digest_key) == (copy["DAYPASS_LEDGER_COPY"], key["DAYPASS_DIGEST_KEY"])
    assert settings.read({**COMPLETE, **copy}).digest_key is None
    with pytest.raises(Misconfigured, match=r"DAYPASS_DIGEST_KEY signs what DAYPASS_LEDGER_COPY holds"):
        settings.read({**COMPLETE, **key})


@pytest.mark.parametrize("place", ["s3://bucket", "Bucket", "a", "bucket/", "bucket/a b", "bucket//x y"])
def test_a_copy_is_named_by_its_bucket_and_a_prefix(place: str) -> None:
    with pytest.raises(Misconfigured, match="DAYPASS_LEDGER_COPY"):
        settings.read({**COMPLETE, "DAYPASS_LEDGER_COPY": place})


def test_what_is_over_is_kept_for_ever_or_for_at_least_a_quarter() -> None:
    assert settings.read(COMPLETE).retain is None
    assert settings.read({**COMPLETE, "DAYPASS_RETAIN": "400d"}).retain == timedelta(days=400)
    for wrong in ("89d", "400", "for ever", ""):
        with pytest.raises(Misconfigured, match="DAYPASS_RETAIN"):
            settings.read({**COMPLETE, "DAYPASS_RETAIN": wrong})
