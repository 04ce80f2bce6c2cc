"""The directories of the catalogue file: who else tells groups, written `group@name` in rules."""

from __future__ import annotations

import re
from collections.abc import Mapping

from chalicelib.core.catalogue_file.mistakes import NAME, Say, entry
from chalicelib.core.catalogue_file.shape import DirectoryShape
from chalicelib.core.vouching import Directory

# https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_GetUserId.html (IdentityStoreId)
_IDENTITY_STORE = re.compile(r"d-[0-9a-f]{10}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (FunctionName): a full ARN, which names its region
_FUNCTION = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_$-]{1,128})?"
)


def read_directories(shapes: Mapping[str, DirectoryShape | None], say: Say, *, partition: str) -> dict[str, Directory]:
    found: dict[str, Directory] = {}
    for name, shape in shapes.items():
        place = entry("directories", name)
        if not NAME.fullmatch(name):
            say(place, "is not a name: 1 to 63 lower-case letters, digits and -")
        if shape is None:
            continue
        if (shape.identity_store is None) == (shape.function is None):
            say(place, 'give either identity_store = "d-…" or lambda = "arn:…"')
        if shape.identity_store is not None and not _IDENTITY_STORE.fullmatch(shape.identity_store):
            say(f"{place}.identity_store", "must be the id of an identity store, such as d-1234567890")
        if shape.function is not None:
            _say_no_function(shape.function, f"{place}.lambda", say, partition=partition)
        found[name] = Directory(name=name, identity_store=shape.identity_store, function=shape.function)
    return found


def _say_no_function(arn: str, place: str, say: Say, *, partition: str) -> None:
    match = _FUNCTION.fullmatch(arn)
    if match is None:
        say(
            place, f"must be the ARN of a function, such as arn:{partition}:lambda:eu-central-1:123456789012:function:x"
        )
    elif match["partition"] != partition:
        say(place, f"can never be asked: the partition is {partition}")
