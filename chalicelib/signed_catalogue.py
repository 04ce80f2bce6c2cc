"""Today's catalogue from S3: looked for once a minute, believed only as signed and by its serial, doubted with age.

look ──► what all instances know (the table) ──► the current version (S3, on a condition) ──► signed? no mistake?
                                                       serial: newer   put on the record, then believed
                                                               same    believed
                                                               older, or another catalogue's: refused
                                                 nothing to believe: the last good version, by its id
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.broker.ports import Stale
from chalicelib.core.believing import LastGood, NotBelieved, Standing, Stored, Version, standing
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import CatalogueMistakes
from chalicelib.core.refusals import Unavailable
from chalicelib.core.rsa import PublicKey, signed
from chalicelib.core.times import spoken, stamp
from chalicelib.log import log
from chalicelib.metrics import Metric, count

EVERY = timedelta(minutes=1)
"""How often an instance looks."""

AGAIN = timedelta(seconds=5)
"""How soon it looks again while it has none at all."""

TOLD_EVERY = timedelta(minutes=10)
"""How often it is put down for all instances that the last good version is still what the bucket holds."""

MAX_STALE = timedelta(hours=1)

_CLOCKS = timedelta(minutes=5)
"""How far the clocks of two instances may be apart."""

_ROUNDS = 3


class Bucket(Protocol):
    location: str

    def current(self, *, unless: str | None) -> Stored | None:
        """None where its ETag still is that one. Raises Unavailable, NotBelieved."""

    def version(self, version_id: str) -> Stored:
        """Raises Unavailable, NotBelieved."""


class State(Protocol):
    """What all instances know together."""

    def read(self) -> LastGood | None:
        """None before the first. Raises Unavailable."""

    def believe(self, before: LastGood | None, after: LastGood) -> None:
        """Put a newer version in the place of the last good one, and on the record. Raises Stale, Unavailable."""

    def seen(self, before: LastGood, version: Version, at: datetime) -> None:
        """Put down that the last good one was seen. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A version that is signed and has no mistakes. etag: of the object it came from."""

    catalogue: Catalogue
    version: Version
    etag: str


class SignedCatalogue:
    """keys: any of them may have signed. parse: raises CatalogueMistakes. now: aware UTC.

    max_stale: how long the last good version is today's after it was last seen in the bucket. What is in doubt says so
    (`Catalogue.doubt`), and breaks the glass only.
    """

    def __init__(
        self,
        bucket: Bucket,
        state: State,
        keys: Sequence[PublicKey],
        parse: Callable[[str], Catalogue],
        now: Callable[[], datetime],
        *,
        max_stale: timedelta = MAX_STALE,
    ) -> None:
        self._bucket = bucket
        self._state = state
        self._keys = keys
        self._parse = parse
        self._now = now
        self._max_stale = max_stale
        self._looked_at: datetime | None = None
        self._current: _Read | None = None  # as the bucket gave it last, believed or not
        self._good: _Read | None = None
        self._seen_at: datetime | None = None  # when the good one was last seen in the bucket, by whichever instance
        self._told: Catalogue | None = None

    def __call__(self) -> Catalogue:
        """The last good catalogue. Raises Unavailable where this instance has none."""
        now = self._now()
        if due := self._due(now):
            self._looked_at = now
            self._look(now)
        if (held := self.held()) is None:
            raise Unavailable(
                "There is no usable catalogue yet: the log says why. One that is signed and without a mistake, with a "
                "serial above the last one's, has to be uploaded; or S3 and the table have to answer again.",
                AGAIN,
            )
        if due and held.doubt:
            log.error("catalogue_doubted", extra={"catalogue_digest": held.digest, "why": held.doubt})
            count(Metric.CATALOGUE_DOUBTED)
        return held

    def held(self) -> Catalogue | None:
        """What this instance holds, with its doubt if there is one; nobody is asked."""
        if self._good is None:
            return None
        doubt = self._doubt(self._now())
        if self._told is None or (self._told.digest, self._told.doubt) != (self._good.version.digest, doubt):
            self._told = replace(self._good.catalogue, doubt=doubt)  # kept, for it holds an index of its own
        return self._told

    def _due(self, now: datetime) -> bool:
        pause = EVERY if self._good else AGAIN
        return self._looked_at is None or not self._looked_at <= now < self._looked_at + pause

    def _doubt(self, now: datetime) -> str | None:
        if self._seen_at is None or now < self._seen_at - _CLOCKS:
            return "It is not known whether this catalogue is the newest."
        if now - self._seen_at <= self._max_stale:
            return None
        since, longest = stamp(self._seen_at), spoken(self._max_stale)
        return f"This catalogue was last seen to be the newest at {since}, longer ago than {longest}."

    def _look(self, now: datetime) -> None:
        try:
            last = self._state.read()
        except Unavailable as unavailable:
            _not_seen(unavailable)
            if self._good is None:
                self._good = self._fetched()  # unseen by the others: for emergencies, which the table's outage may be
            return
        if current := self._fetched():
            try:
                last = self._settled(current, last, now)
            except Unavailable as unavailable:
                _not_seen(unavailable)
        if last and current and last.version.digest == current.version.digest:
            self._good, self._seen_at = current, now
            self._tell(last, current, now)
        elif last:
            self._fall_back(last)

    def _fetched(self) -> _Read | None:
        """The bucket's current version, if it is signed and without a mistake; why not, the log says."""
        known = self._current
        try:
            stored = self._bucket.current(unless=known.etag if known else None)
            if stored is not None:
                self._current = None
                self._current = self._read(stored)
        except Unavailable as unavailable:
            _not_seen(unavailable)
            return None
        except NotBelieved as wrong:
            self._current = None
            _refused(*wrong.whys)
        return self._current

    def _read(self, stored: Stored) -> _Read:
        """Raises NotBelieved. Nothing of what is stored is interpreted before its signature is found to be right."""
        if not any(signed(key, stored.body, stored.signature) for key in self._keys):
            raise NotBelieved("its signature is by none of the keys in the settings, or of other bytes")
        try:
            catalogue = self._parse(stored.body.decode())
        except UnicodeDecodeError:
            raise NotBelieved("it is not text") from None
        except CatalogueMistakes as mistakes:
            raise NotBelieved(*str(mistakes).splitlines()) from None
        if catalogue.serial is None:
            raise NotBelieved("it has no serial: give it one that is higher than the last one's")
        version = Version(
            serial=catalogue.serial,
            digest=catalogue.digest,
            location=self._bucket.location,
            version_id=stored.version_id,
        )
        return _Read(catalogue, version, stored.etag)

    def _settled(self, current: _Read, last: LastGood | None, now: datetime) -> LastGood:
        """The last good version that all instances know of once they were told of this one. Raises Unavailable."""
        for _ in range(_ROUNDS):
            found = standing(current.version, last)
            if last and found is not Standing.NEWER:
                if found is not Standing.SAME:
                    _refused(_why_not(found, current.version, last.version))
                return last
            after = LastGood(version=current.version, seen_at=now)
            try:
                self._state.believe(last, after)
            except Stale:
                last = self._state.read()
                continue
            log.info("catalogue_believed", extra={"serial": current.version.serial, "digest": current.version.digest})
            return after
        raise Unavailable("Too many newer catalogues at once.")

    def _tell(self, last: LastGood, current: _Read, now: datetime) -> None:
        """For instances that begin while the bucket cannot be read, or holds what nobody believes."""
        recently = last.seen_at <= now < last.seen_at + TOLD_EVERY
        if recently and last.version == current.version:
            return
        with suppress(Unavailable):
            self._state.seen(last, current.version, now)

    def _fall_back(self, last: LastGood) -> None:
        """Hold what all instances know to be the last good version, as of when any of them saw it last."""
        if self._good is None or self._good.version.digest != last.version.digest:
            good = self._by_id(last.version)
            if good is None:  # a later one is known: what is held is not the newest
                self._seen_at = None
                return
            self._good, self._seen_at = good, None
        self._seen_at = max(self._seen_at or last.seen_at, last.seen_at)

    def _by_id(self, version: Version) -> _Read | None:
        if version.location != self._bucket.location:
            _refused(f"the last good one is in {version.location}, which the settings do not name any more")
            return None
        try:
            read = self._read(self._bucket.version(version.version_id))
        except Unavailable as unavailable:
            _not_seen(unavailable)
            return None
        except NotBelieved as wrong:
            _refused(*wrong.whys)
            return None
        return read if read.version.digest == version.digest else None


def _why_not(found: Standing, version: Version, last: Version) -> str:
    if found is Standing.OLDER:
        return f"its serial {version.serial} is lower than {last.serial}, the highest seen: raise it"
    return f"its serial {version.serial} is another catalogue's, {last.digest}: raise it"


def _refused(*whys: str) -> None:
    log.error("catalogue_refused", extra={"whys": whys})
    count(Metric.CATALOGUE_REFUSED)


def _not_seen(unavailable: Unavailable) -> None:
    log.error("catalogue_not_seen", extra={"why": unavailable.detail})
    count(Metric.CATALOGUE_NOT_SEEN)
