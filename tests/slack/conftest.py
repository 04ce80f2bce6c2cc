from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slack.team import Workspace, open_workspace


@pytest.fixture
def team() -> Iterator[Workspace]:
    with open_workspace(Workspace()) as opened:
        yield opened
