"""Publishing the provider's documents: what is there is read, what would leave a gap refused, what changed written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.core.provider import Provider
from daypass.operator.documents import PATHS, documents, objections
from daypass.operator.keys import public_key
from daypass.operator.places import Place


@dataclass(frozen=True, slots=True)
class Published:
    """objections: where there are any, nothing was written.

    written: each document, as its place shows it, and whether it had changed and was written.
    """

    objections: tuple[str, ...]
    written: dict[str, bool]


def publish(provider: Provider, place: Place, kms: Callable[[str], Any], now: datetime) -> Published:
    """kms: makes a client of KMS for a region. Raises NotOurs, CannotSign, and what S3 and KMS raise."""
    there = {path: found for path in PATHS if (found := place.read(path)) is not None}
    if refused := objections(provider, there, now):
        return Published(refused, {})
    keys = {key.kid: public_key(kms(key.arn.split(":")[3]), key) for key in provider.keys}
    written = {}
    for path, document in documents(provider, keys, there, now).items():
        written[place.shown(path)] = changed = there.get(path) != document
        if changed:
            place.write(path, document)
    return Published((), written)
