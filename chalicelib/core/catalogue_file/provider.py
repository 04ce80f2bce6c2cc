"""The provider of the catalogue file: the name that target accounts trust Daypass by, and the keys behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from chalicelib.core.catalogue_file.mistakes import Say
from chalicelib.core.catalogue_file.shape import ProviderShape
from chalicelib.core.provider import Provider, ProviderKey
from chalicelib.core.times import read_instant
from chalicelib.core.vouching import Issuer

# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html (Url): no query, no port
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_PATH = r"(/[A-Za-z0-9._~-]+)*"
_URL = re.compile(rf"(?=.{{1,255}}$)https://(?P<host>{_LABEL}(\.{_LABEL})+){_PATH}")
_LOOPBACK = re.compile(rf"http://(localhost|127(\.[0-9]{{1,3}}){{3}})(:[0-9]{{1,5}})?{_PATH}")
_ADDRESS = re.compile(r"https://(\[|[0-9.]+([:/]|$))")
_AWS_OWN = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws", ".on.aws")
# https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN
_KEY_ARN = re.compile(r"arn:(?P<partition>[a-z0-9-]+):kms:[a-z0-9-]+:(?P<account>[0-9]{12}):key/[A-Za-z0-9-]{1,64}")


def read_provider(
    shape: ProviderShape | None, issuers: Sequence[Issuer], say: Say, *, hub_account: str, partition: str, local: bool
) -> Provider | None:
    """The provider; None where the file has none. Which of its keys signs is a question of the day, not of the file."""
    if shape is None:
        return None
    if problem := _issuer_problem(shape.issuer, issuers, local=local):
        say("provider.issuer", problem)
    if not shape.keys:
        say("provider.keys", "must not be empty: add [[provider.keys]] with the arn of the key that signs")
    keys: list[ProviderKey] = []
    first: dict[object, str] = {}
    for number, given in enumerate(shape.keys):
        place = f"provider.keys[{number}]"
        if problem := _arn_problem(given.arn, hub_account, partition):
            say(f"{place}.arn", problem)
        if (other := first.setdefault(given.arn, place)) != place:
            say(f"{place}.arn", f"is the key of {other}")
        begins = _instant(given.signs_from, f"{place}.signs_from", say)
        if begins is None:
            continue
        if (other := first.setdefault(begins, place)) != place:
            say(f"{place}.signs_from", f"is the instant of {other}: only one of them could sign then")
        keys.append(ProviderKey(given.arn, begins))
    return Provider(shape.issuer, tuple(keys))


def _issuer_problem(url: str, issuers: Sequence[Issuer], *, local: bool) -> str | None:
    if any(url == issuer.url.rstrip("/") for issuer in issuers):
        return "is the url of one of the issuers: what Daypass signs for STS must sign nobody in"
    if local and _LOOPBACK.fullmatch(url):
        return None
    if url.startswith("http://"):
        return "must be https: http is for `daypass local` on this machine"
    if _ADDRESS.match(url):
        return "is an address: target accounts would trust whoever has it next, so give a name of your own"
    if "?" in url or "#" in url:
        return "must have no query and no fragment: the documents lie below it"
    match = _URL.fullmatch(url)
    if match is None:
        return "must be https:// and a name of your own in lower case, perhaps with a path: no port, no / at its end"
    return _host_problem(match["host"])


def _host_problem(host: str) -> str | None:
    if ".execute-api." in host:
        return "is API Gateway's name for an API: it goes when the API goes, so give a fixed name of your own"
    if host.endswith(_AWS_OWN):
        return "is a name of AWS's: target accounts would trust whoever has it next, so give a name of your own"
    return None


def _arn_problem(arn: str, hub_account: str, partition: str) -> str | None:
    match = _KEY_ARN.fullmatch(arn)
    if match is None:
        return f"{arn!r:.80} is not a KMS key's ARN such as arn:{partition}:kms:<region>:{hub_account}:key/<id>"
    if match["partition"] != partition:
        return f"is in another partition: this one is {partition}"
    if match["account"] != hub_account:
        return f"is of another account: the key that signs lives in the hub account {hub_account}"
    return None


def _instant(given: object, place: str, say: Say) -> datetime | None:
    """An instant as TOML writes it, or as RFC 3339 text, in UTC and whole seconds."""
    try:
        if isinstance(given, datetime) and given.tzinfo:
            return read_instant(given.isoformat())
        if isinstance(given, str):
            return read_instant(given)
    except (ValueError, OverflowError):
        pass
    say(place, "must be an instant in whole seconds and with its zone, as in 2026-11-23T12:00:00Z")
    return None
