"""The limits of STS's AssumeRole, at their edges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import limits

ARN = "arn:aws:iam::222222222222:role/daypass/Admin"


@pytest.mark.parametrize(
    "arn",
    [
        ARN,
        "arn:aws:iam::222222222222:role/Admin",
        "arn:aws-us-gov:iam::222222222222:role/a/b/c/Admin",
        "arn:aws:iam::222222222222:role/" + "N" * 64,
        "arn:aws:iam::222222222222:role/" + "p" * 510 + "/N",
    ],
)
def test_the_arn_of_a_role(arn):
    assert limits.role_arn(arn) == arn


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "Admin",
        "arn:aws:iam::2222:role/Admin",
        "arn:aws:iam::\u0662" + "2" * 11 + ":role/Admin",
        "arn:aws:iam::222222222222:user/Admin",
        "arn:aws:iam::222222222222:role/",
        "arn:aws:iam::222222222222:role/daypass/",
        "arn:aws:iam::222222222222:role/" + "N" * 65,
        "arn:aws:iam::222222222222:role/Ädmin",
        "arn:aws:iam::222222222222:role/a b/Admin",
        "arn:aws:sts::222222222222:assumed-role/Admin/s",
        "arn:aws:iam::222222222222:role/" + "p" * 2048 + "/N",
        ARN + "\n",
    ],
)
def test_what_is_not_the_arn_of_a_role(arn):
    with pytest.raises(ValueError):
        limits.role_arn(arn)


@pytest.mark.parametrize("check", [limits.session_name, limits.source_identity])
@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("ab", True),
        ("a" * 64, True),
        ("A_z0+=,.@-", True),
        ("", False),
        ("a", False),
        ("a" * 65, False),
        ("a b", False),
        ("aws:alice", False),
        ("a/b", False),
        ("älice", False),
        ("\u0661\u0662", False),
        ("alice\n", False),
    ],
)
def test_names(check, name, fits):
    if fits:
        assert check(name) == name
    else:
        with pytest.raises(ValueError):
            check(name)


@pytest.mark.parametrize("identifier", ["ab", "a" * 1224, "A_z0+=,.@:/-"])
def test_external_ids(identifier):
    assert limits.external_id(identifier) == identifier


@pytest.mark.parametrize("identifier", ["", "a", "a" * 1225, "secret word", "secrét", "secret\n", "secret$"])
def test_what_is_no_external_id_is_not_shown(identifier):
    with pytest.raises(ValueError) as caught:
        limits.external_id(identifier)
    assert str(caught.value) == "not an external id"


@pytest.mark.parametrize("text", ["{", "x" * 2048, "\t\n\r ~\u00a0ÿ"])
def test_policies(text):
    assert limits.policy(text) == text


@pytest.mark.parametrize("text", ["", "x" * 2049, "Ā", "\x00", "\x1f", "\u2028", "😀"])
def test_what_is_no_policy(text):
    with pytest.raises(ValueError):
        limits.policy(text)


@pytest.mark.parametrize("seconds", [900, 901, 3600, 43200])
def test_durations(seconds):
    assert limits.duration(timedelta(seconds=seconds)) == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [-900, 0, 899, 899.999999, 900.5, 43200.000001, 43201])
def test_what_is_no_duration(seconds):
    with pytest.raises(ValueError):
        limits.duration(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"daypass:request": "01K0000000000000000000000B"},
        {"k" * 128: "v" * 256, "empty": ""},
        {"Größe": "ñ 漢字 ٣ _.:/=+-@"},
        {f"key-{number}": "v" for number in range(50)},
    ],
)
def test_tags(tags):
    assert limits.tags(tags) == tags


@pytest.mark.parametrize(
    "tags",
    [
        {"": "v"},
        {"k" * 129: "v"},
        {"k": "v" * 257},
        {"k": "a#b"},
        {"k": "a\nb"},
        {"k": "a\u0301"},  # a combining accent is a mark, no letter
        {"k": "😀"},
        {"k!": "v"},
        {"aws:k": "v"},
        {"AWS:k": "v"},
        {"Key": "v", "key": "v"},
        {f"key-{number}": "v" for number in range(51)},
    ],
)
def test_what_are_no_tags(tags):
    with pytest.raises(ValueError):
        limits.tags(tags)


def test_transitive_keys_are_keys_of_tags():
    assert limits.transitive(("a",), of={"a": "1", "b": "2"}) == ("a",)
    for keys in (("c",), ("a", "a"), ("A",)):
        with pytest.raises(ValueError):
            limits.transitive(keys, of={"a": "1", "b": "2"})


def test_the_numbers_are_the_ones_that_botocores_model_of_sts_has():
    call: Any = Session().get_service_model("sts").operation_model("AssumeRole").input_shape
    members = call.members
    tag = members["Tags"].member.members

    def bounds(shape: Any) -> tuple[int | None, int | None]:
        return shape.metadata.get("min"), shape.metadata.get("max")

    assert bounds(members["RoleArn"]) == (20, 2048)
    assert bounds(members["RoleSessionName"]) == (2, 64)
    assert bounds(members["SourceIdentity"]) == (2, 64)
    assert bounds(members["ExternalId"]) == (2, 1224)
    assert bounds(members["DurationSeconds"]) == (900, 43200)
    assert bounds(members["Tags"]) == (None, 50)
    assert (bounds(tag["Key"]), bounds(tag["Value"])) == ((1, 128), (0, 256))
    assert members["Policy"].metadata["min"] == 1  # its 2048 stands in the documentation only


@given(st.text())
def test_any_text_is_checked_without_breaking(text):
    for check in (limits.role_arn, limits.session_name, limits.source_identity, limits.external_id, limits.policy):
        try:
            assert check(text) == text
        except ValueError:
            continue
    assert isinstance(limits.fits_tag_value(text), bool)
