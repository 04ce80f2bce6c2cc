"""`daypass catalogue sign`, `verify` and `diff`: for those who bring a catalogue to S3."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chalicelib.core.believing import LARGEST
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import CatalogueMistakes, read_catalogue
from chalicelib.core.rsa import PublicKey, read_public_key, signed
from daypass.operator import difference
from daypass.operator.catalogue_objects import CatalogueObject, NotPut
from daypass.operator.reading import AsJson, HubAccount, Local, Partition, stopped, write_json, write_lines

CHANGES: Final = 6
"""The exit code where somebody gains or loses access."""

_S3 = "s3://"
_ALGORITHM = "RSASSA_PKCS1_V1_5_SHA_256"

File = Annotated[Path, typer.Argument(metavar="CATALOGUE", help="The catalogue's TOML file.")]
Place = Annotated[str, typer.Argument(metavar="FILE|s3://BUCKET/KEY", help="Of S3 the newest, or ?versionId=… of it.")]
PublicKeys = Annotated[
    str,
    typer.Option(
        "--public-key",
        metavar="KEY",
        envvar="DAYPASS_CATALOGUE_KEY",
        help="As `aws kms get-public-key --query PublicKey --output text` prints it.",
    ),
]

catalogue = typer.Typer(
    help="The catalogue in S3: sign it, verify it, and say what a newer one changes.",
    add_completion=False,
    rich_markup_mode=None,
)


@catalogue.command()
def sign(
    file: File,
    hub_account: HubAccount,
    key: Annotated[str, typer.Option(metavar="ARN", help="The KMS key that signs catalogues, and nothing else.")],
    to: Annotated[str | None, typer.Option(metavar="s3://BUCKET/KEY", help="Where to upload it, signed.")] = None,
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Sign a catalogue without mistakes, and upload it; without --to its signature is put beside it, in FILE.sig."""
    import boto3

    body = _bytes(file)
    read = _good(str(file), body, hub_account, partition, local)
    serial = _serial(read, str(file))
    with _in_words():
        # Any: the stubs of KMS are not installed.
        make: Any = boto3.client
        signature = _signature(make("kms", _region(key)), key, body)
        version_id = CatalogueObject(make("s3"), to).put(body, signature, serial) if to else None
    if to is None:
        beside = file.with_name(f"{file.name}.sig")
        beside.write_text(base64.b64encode(signature).decode() + "\n", "utf-8")
    told = {"serial": serial, "digest": read.digest, "signature": base64.b64encode(signature).decode()}
    if as_json:
        write_json({**told, "to": to, "version_id": version_id})
    else:
        where = f"uploaded to {to} as version {version_id}" if to else f"the signature is in {file}.sig"
        write_lines([f"Serial {serial}, digest {read.digest}: {where}."])


@catalogue.command()
def verify(
    place: Place,
    hub_account: HubAccount,
    public_key: PublicKeys,
    signature: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a file: where its signature is, if not in FILE.sig.")
    ] = None,
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Say whether the broker would believe a catalogue: whether it is signed by the key, and has no mistakes."""
    keys = _keys(public_key)
    body, written = _with_signature(place, signature)
    if not any(signed(key, body, written) for key in keys):
        raise stopped(f"{place} is not signed by this key, or was changed since.")
    read = _good(place, body, hub_account, partition, local)
    serial = _serial(read, place)
    if as_json:
        write_json({"ok": True, "serial": serial, "digest": read.digest})
    else:
        write_lines([f"Signed, without a mistake. Serial {serial}, digest {read.digest}."])


@catalogue.command()
def diff(
    older: Place,
    newer: Place,
    hub_account: HubAccount,
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Say who gains (+) and who loses (-) access from one catalogue to another. Exit code 6 where anybody does."""
    before, after = (_good(place, _content(place), hub_account, partition, local) for place in (older, newer))
    found = difference.difference(before, after)
    if as_json:
        write_json(difference.as_json(found))
    else:
        write_lines(difference.lines(found) if found else ["Nobody gains or loses access."])
    if found:
        raise typer.Exit(CHANGES)


def _signature(kms: Any, key: str, body: bytes) -> bytes:
    """KMS is shown the digest only. What it answers is checked by the key's public half, as the broker will."""
    answer = kms.sign(
        KeyId=key, Message=hashlib.sha256(body).digest(), MessageType="DIGEST", SigningAlgorithm=_ALGORITHM
    )
    signature: bytes = answer["Signature"]
    public = base64.b64encode(kms.get_public_key(KeyId=key)["PublicKey"]).decode()
    [theirs] = _keys(public)
    if not signed(theirs, body, signature):
        raise NotPut(f"{key} did not sign this: nothing was uploaded.")
    return signature


def _region(key: str) -> str:
    parts = key.split(":")
    if len(parts) < 6 or parts[2] != "kms":
        raise stopped(f"{key} is not the ARN of a KMS key.")
    return parts[3]


def _keys(text: str) -> list[PublicKey]:
    try:
        return [read_public_key(each) for each in text.split()]
    except ValueError as error:
        raise stopped(f"The public key {error}.") from None


def _good(place: str, body: bytes, hub_account: str, partition: str, local: bool) -> Catalogue:
    if len(hub_account) != 12 or not hub_account.isdecimal():
        raise stopped(f"{hub_account} is no account: --hub-account takes its 12 digits.")
    try:
        return read_catalogue(body.decode(), hub_account=hub_account, partition=partition, local=local)
    except UnicodeDecodeError:
        raise stopped(f"{place} cannot be read: it is not text.") from None
    except CatalogueMistakes as wrong:
        raise stopped(*(f"{place}: {mistake}" for mistake in wrong.mistakes)) from None


def _serial(read: Catalogue, place: str) -> int:
    if read.serial is None:
        raise stopped(f"{place}: serial: is missing: a whole number that goes up with every version")
    return read.serial


def _bytes(file: Path) -> bytes:
    try:
        body = file.read_bytes()
    except OSError as error:
        raise stopped(f"{file} cannot be read: {error.strerror}.") from None
    if len(body) > LARGEST:
        raise stopped(f"{file} is larger than {LARGEST // 1024**2} MiB, which the broker does not read.")
    return body


def _content(place: str) -> bytes:
    return _with_signature(place, None)[0] if place.startswith(_S3) else _bytes(Path(place))


def _with_signature(place: str, beside: Path | None) -> tuple[bytes, bytes]:
    if not place.startswith(_S3):
        file = Path(place)
        body = _bytes(file)
        return body, _decoded(_bytes(beside or file.with_name(f"{file.name}.sig")))
    import boto3

    with _in_words():
        found = CatalogueObject(boto3.client("s3"), place).get()
    if found is None:
        raise stopped(f"There is nothing at {place}.")
    return found.body, found.signature


def _decoded(written: bytes) -> bytes:
    try:
        return base64.b64decode(written.strip(), validate=True)
    except ValueError:
        return b""


@contextmanager
def _in_words() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    from daypass.operator.commands import in_aws_words

    try:
        yield
    except ClientError as error:
        raise stopped(in_aws_words(error)) from None
    except (NotPut, BotoCoreError, ValueError) as error:
        raise stopped(str(error)) from None
