"""The environment: typed, complete, and never local inside Lambda."""

import tomllib
from pathlib import Path

import pytest

from chalicelib import settings
from chalicelib.settings import Misconfigured
from chalicelib.version import VERSION

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
    "DAYPASS_SLACK_BOT_TOKEN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:daypass/bot-AbCdEf",
    "DAYPASS_DEAD_LETTERS": "https://sqs.eu-central-1.amazonaws.com/123456789012/dead",
}


def test_where_to_announce_is_read_and_may_be_left_out() -> None:
    read = settings.read({**COMPLETE, **ANNOUNCED})
    assert (read.event_bus, read.break_glass_topic, read.slack_bot_token, read.dead_letters) == tuple(
        ANNOUNCED.values()
    )
    none = settings.read(COMPLETE)
    assert (none.event_bus, none.break_glass_topic, none.slack_bot_token, none.dead_letters) == (None,) * 4


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


def test_a_catalogue_in_s3_is_refused_as_not_built_yet() -> None:
    with pytest.raises(Misconfigured, match="not built yet"):
        settings.read({**COMPLETE, "DAYPASS_CATALOGUE": "s3://bucket/catalogue.toml"})


def test_what_the_environment_holds_is_never_repeated() -> None:
    with pytest.raises(Misconfigured) as mistake:
        settings.read({**COMPLETE, "DAYPASS_HUB_ACCOUNT": "a-secret-by-mistake"})
    assert "a-secret-by-mistake" not in str(mistake.value)


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == VERSION
