"""Today's catalogue: the file as it is now, or the last good version of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import CatalogueMistakes
from chalicelib.core.refusals import Unavailable
from chalicelib.log import log


class CatalogueSource:
    """Reads the file again whenever it changed. A version with mistakes is refused whole; the log names them all."""

    def __init__(self, path: Path, parse: Callable[[str], Catalogue]) -> None:
        self._path = path
        self._parse = parse
        self._seen: tuple[int, int] | str | None = "nothing yet"
        self._good: Catalogue | None = None

    def __call__(self) -> Catalogue:
        """The last good catalogue. Raises Unavailable where there never was one."""
        seen = self._stamp()
        if seen != self._seen:
            self._seen = seen
            self._good = self._read() or self._good
        if self._good is None:
            raise Unavailable("There is no usable catalogue yet: the log names its mistakes.")
        return self._good

    def held(self) -> Catalogue | None:
        """The last good catalogue; None where there never was one."""
        with suppress(Unavailable):
            return self()
        return None

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def _read(self) -> Catalogue | None:
        try:
            catalogue = self._parse(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            log.error("catalogue_unreadable", extra={"path": str(self._path), "why": type(error).__name__})
            return None
        except CatalogueMistakes as mistakes:
            log.error("catalogue_refused", extra={"mistakes": str(mistakes).splitlines()})
            return None
        log.info("catalogue_read", extra={"catalogue_digest": catalogue.digest})
        return catalogue
