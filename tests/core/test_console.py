"""Where the console is, what a link to it may lead to, and what sign-in is told of the session's duration."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.console import Site, session_duration, site
from chalicelib.core.provider import Via
from chalicelib.core.refusals import Invalid
from tests.builders import HOUR

HOST = "console.aws.amazon.com"
SITE = Site("https://eu-central-1.signin.aws.amazon.com/federation", HOST)


@pytest.mark.parametrize(
    ("partition", "region", "known"),
    [
        ("aws", "eu-central-1", SITE),
        ("aws-cn", "cn-north-1", Site("https://signin.amazonaws.cn/federation", "console.amazonaws.cn")),
        (
            "aws-us-gov",
            "us-gov-west-1",
            Site("https://signin.amazonaws-us-gov.com/federation", "console.amazonaws-us-gov.com"),
        ),
        ("aws-iso", "us-iso-east-1", None),
        ("aws-eusc", "eusc-de-east-1", None),
    ],
)
def test_every_partition_has_a_console_of_its_own_and_what_is_not_known_is_not_guessed(
    partition: str, region: str, known: Site | None
) -> None:
    assert site(partition, region) == known


def test_sign_in_may_be_elsewhere_and_the_pages_are_the_partitions_still() -> None:
    assert site("aws", "us-east-1", "http://127.0.0.1:1/f") == Site("http://127.0.0.1:1/f", HOST)
    assert site("aws-iso", "us-iso-east-1", "https://signin.example/f") is None


@pytest.mark.parametrize(
    ("wanted", "page"),
    [
        (None, f"https://{HOST}/"),
        ("/", f"https://{HOST}/"),
        ("/s3/home?region=eu-central-1", f"https://{HOST}/s3/home?region=eu-central-1"),
        ("//evil.example", f"https://{HOST}//evil.example"),
        (f"https://{HOST}", f"https://{HOST}"),
        (f"https://eu-central-1.{HOST}/ec2/home#Instances:", f"https://eu-central-1.{HOST}/ec2/home#Instances:"),
        (f"https://1-ab.eu-central-1.{HOST}/x", f"https://1-ab.eu-central-1.{HOST}/x"),
    ],
)
def test_a_page_of_the_console_is_taken_as_it_is_and_a_path_is_one_of_its_home(wanted: str | None, page: str) -> None:
    assert SITE.page(wanted) == page


OUTSIDE = [
    "https://evil.example/",
    f"https://evil{HOST}/",
    f"https://{HOST}.evil.example/",
    f"https://{HOST}@evil.example/",
    f"https://evil.example\\@{HOST}/",
    f"https://{HOST}\\.evil.example/",
    f"https://{HOST}:8443/",
    f"https://user@{HOST}/",
    f"http://{HOST}/",
    f"HTTPS://{HOST}/",
    f"//{HOST}.evil.example\\",
    "javascript:alert(1)",
    "s3/home",
    "/s3/home next",
    "/s3\n/home",
    "/é",
    f"https://{HOST}/\r\nSet-Cookie: x",
    "/" + "x" * 1000,
]


@pytest.mark.parametrize("wanted", OUTSIDE)
def test_no_link_leads_out_of_the_console(wanted: str) -> None:
    with pytest.raises(Invalid) as refusal:
        SITE.page(wanted)
    assert [error.field for error in refusal.value.errors] == ["destination"]
    assert HOST in refusal.value.detail


@given(st.text(max_size=40), st.sampled_from(["https://", "//", "/", "\\", "@", ":", ""]))
def test_whatever_is_wanted_a_page_is_at_the_console(text: str, before: str) -> None:
    try:
        page = SITE.page(before + text)
    except Invalid:
        return
    authority = page.removeprefix("https://").split("/")[0].split("?")[0].split("#")[0]
    assert page.startswith("https://")
    assert authority == HOST or authority.endswith("." + HOST)


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=12 * HOUR))
def test_a_session_that_is_not_chained_lasts_for_what_remains_within_aws_limits(remaining: timedelta) -> None:
    duration = session_duration(Via.OIDC, remaining)
    assert duration is not None
    assert timedelta(seconds=900) <= duration <= timedelta(seconds=43200)
    assert duration <= max(remaining, timedelta(seconds=900))
    assert duration.microseconds == 0


def test_of_a_chained_session_sign_in_is_told_no_duration() -> None:
    assert session_duration(Via.ROLE, HOUR) is None
