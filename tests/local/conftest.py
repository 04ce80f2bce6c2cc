from __future__ import annotations

from collections.abc import Iterator

import pytest

from daypass.local import example
from daypass.local.embedded_aws import EmbeddedAws


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """An embedded AWS with the example in it, seeded twice: the second time must change nothing that matters."""
    with EmbeddedAws.started(data=tmp_path_factory.mktemp("aws")) as started:
        example.seed(started.url)
        example.seed(started.url)
        yield started
