"""What was kept of a ledger where its forger could not write: copy and digests, in S3 or fetched to a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from chalicelib.aws.safe import Bucket
from chalicelib.core import copied
from chalicelib.core.comparing import Digests, read_digests
from chalicelib.core.digest import FOLDER, Book, Signed
from chalicelib.core.ledger import Recorded
from chalicelib.core.verifying import Break

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?")
_EVENT = re.compile(r"events/(?P<day>[0-9-]{10})/(?P<chain>[^/]+)/(?P<seq>[0-9]{10})\.json", re.ASCII)
_AT_ONCE = 10  # connections that a client of botocore keeps


@dataclass(frozen=True, slots=True)
class Found:
    """changes: what was done to the name since it was first written; 0 where a folder cannot tell."""

    name: str
    read: Callable[[], bytes]
    changes: int = 0


Place = Callable[[str], Iterable[Found]]
"""Everything whose name begins so, by name. Raises OSError; S3's own errors where it is in S3."""


@dataclass(slots=True)
class Copy:
    """broken: what in it somebody wrote over or hid, or that does not hold what Daypass writes there."""

    book: Book = field(default_factory=Book)
    events: int = 0
    broken: list[Break] = field(default_factory=list)


def place(text: str) -> Place:
    """`s3://bucket/prefix`, or the folder into which all of it was fetched."""
    match = _S3.fullmatch(text)
    if match is None:
        return partial(_in_folder, Path(text))
    import boto3

    return partial(_in_bucket, Bucket(boto3.client("s3"), match["bucket"], match["prefix"] or ""))


def _in_folder(root: Path, prefix: str) -> Iterator[Found]:
    if not root.is_dir():
        raise NotADirectoryError(0, "it is no folder", str(root))
    for path in sorted((root / prefix).rglob("*.json")):
        yield Found(path.relative_to(root).as_posix(), path.read_bytes)


def _in_bucket(bucket: Bucket, prefix: str) -> Iterator[Found]:
    for each in bucket.stored(prefix):
        yield Found(each.name, partial(bucket.get, each.name, each.version), each.changes)


def digests(where: Place, key: EllipticCurvePublicKey) -> Digests:
    """The row of digests, each as it was first written. Raises FileNotFoundError where there is none."""
    found = list(where(FOLDER))
    if not found:
        raise FileNotFoundError(0, "there are no digests", FOLDER)
    told = read_digests({each.name: each.read() for each in found}, partial(_is_signed, key))
    told.broken.extend(_changed(found))
    return told


def copy(where: Place, folders: Iterable[str], take: Callable[[Recorded], None]) -> Copy:
    """The events of the copy under these names, each as it was first written. take: is given each of them."""
    kept = Copy()
    for folder in folders:
        found = list(where(folder))
        kept.broken += _changed(found)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for each, text in zip(found, pool.map(lambda one: one.read(), found), strict=True):
                try:
                    recorded = copied.read(each.name, text)
                except ValueError:
                    kept.broken.append(_broken(each.name, "does not hold what Daypass writes there"))
                    continue
                take(recorded)
                kept.events += 1
                event = recorded.event
                kept.book.take(event.at[:10], recorded.chain, event.seq, event.hash)
    return kept


def _changed(found: Iterable[Found]) -> Iterator[Break]:
    for each in found:
        if each.changes:
            yield _broken(each.name, "was written over or hidden; what was there first counts here")


def _broken(name: str, why: str) -> Break:
    """By the event where the name tells one, else by the name."""
    match = _EVENT.fullmatch(name)
    if match is None:
        return Break(name, 0, why)
    return Break(match["chain"], int(match["seq"]), f"in the copy of {match['day']} {why}")


def public_key(pem: bytes) -> EllipticCurvePublicKey:
    """The key that digests are signed with. Raises ValueError for all but one on P-256."""
    key = load_pem_public_key(pem)
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("not a key on P-256")
    return key


def _is_signed(key: EllipticCurvePublicKey, signed: Signed) -> bool:
    try:
        key.verify(signed.signature, signed.digest.text.encode(), ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
