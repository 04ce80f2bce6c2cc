"""The limits of STS's AssumeRole and its like, checked before it is called: botocore checks minima only.

Every function returns the value it was given, or raises ValueError: that is a bug of ours, never the caller's mistake.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import timedelta

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}", re.ASCII)
_POLICY = re.compile(r"[\t\n\r\x20-\xff]{1,2048}")

_LONGEST_ARN = 2048
_LONGEST_TOKEN = 20000
_MOST_TAGS = 50
_LONGEST_KEY = 128
_LONGEST_VALUE = 256
_SHORTEST = timedelta(seconds=900)
_LONGEST = timedelta(seconds=43200)


def role_arn(arn: str) -> str:
    """The ARN of a role, at most 2048 characters.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (RoleArn).
    """
    if len(arn) > _LONGEST_ARN or not _ROLE_ARN.fullmatch(arn):
        raise ValueError(f"not the ARN of a role: {arn!r}")
    return arn


def session_name(name: str) -> str:
    """2-64 characters of `[A-Za-z0-9_+=,.@-]`.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (RoleSessionName).
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a role session name: {name!r}")
    return name


def source_identity(identity: str) -> str:
    """2-64 characters of `[A-Za-z0-9_+=,.@-]`; the reserved beginning `aws:` is none, for want of a colon.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (SourceIdentity).
    """
    if not _NAME.fullmatch(identity):
        raise ValueError(f"not a source identity: {identity!r}")
    return identity


def external_id(identifier: str) -> str:
    """2-1224 characters of `[A-Za-z0-9_+=,.@:/-]`. The error does not show it.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (ExternalId).
    """
    if not _EXTERNAL_ID.fullmatch(identifier):
        raise ValueError("not an external id")
    return identifier


def policy(text: str) -> str:
    """1-2048 characters of tab, line feed, carriage return and U+0020 to U+00FF.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (Policy).
    """
    if not _POLICY.fullmatch(text):
        raise ValueError(f"not a session policy: {len(text)} characters, of which STS takes 1 to 2048 of Latin-1")
    return text


def duration(length: timedelta) -> timedelta:
    """900 to 43200 whole seconds. The role's own maximum and the hour of a role chain are narrower.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (DurationSeconds).
    """
    if length.microseconds or not _SHORTEST <= length <= _LONGEST:
        raise ValueError(f"not a session duration: {length}")
    return length


def tags(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """At most 50 session tags, keys of 1-128 and values of 0-256 characters; keys differ by more than case.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html (things to know).
    """
    if len(pairs) > _MOST_TAGS or len({key.casefold() for key in pairs}) < len(pairs):
        raise ValueError(f"more than {_MOST_TAGS} session tags, or two keys that differ by case only")
    for key, value in pairs.items():
        if not _fits_tag_key(key) or not fits_tag_value(value):
            raise ValueError(f"not a session tag: {key!r}")
    return pairs


def transitive(keys: tuple[str, ...], *, of: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of the session tags that follow a role chain, each once and each a tag of the same call.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (TransitiveTagKeys).
    """
    if len(set(keys)) < len(keys) or not of.keys() >= set(keys):
        raise ValueError("a transitive key that is no session tag, or is given twice")
    return keys


def web_identity_token(text: str) -> str:
    """4-20000 characters. The error does not show it.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html (WebIdentityToken).
    """
    if not 4 <= len(text) <= _LONGEST_TOKEN:
        raise ValueError(f"not a web identity token: {len(text)} characters, of which STS takes 4 to {_LONGEST_TOKEN}")
    return text


def fits_tag_value(text: str) -> bool:
    r"""Whether a text may be a session tag's value: at most 256 characters of `[\p{L}\p{Z}\p{N}_.:/=+\-@]`.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html.
    """
    return len(text) <= _LONGEST_VALUE and all(map(_fits_tag, text))


def _fits_tag_key(key: str) -> bool:
    reserved = key.casefold().startswith("aws:")
    return 1 <= len(key) <= _LONGEST_KEY and all(map(_fits_tag, key)) and not reserved


def _fits_tag(character: str) -> bool:
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"
