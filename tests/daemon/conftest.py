"""One daemon for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.support import Daemon, running


@pytest.fixture(scope="module")
def daemon(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """In mode functional, over the default SoC."""
    with running(build, tmp_path_factory.mktemp("daemon"), "--core-limit-ms", "50", "--log-limit", "200000") as result:
        yield result
