"""What tests of dense operations share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cosoc.runtime import Session
from tests.converter.dense_models import Runner


@pytest.fixture(scope="module")
def runner(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with Session(soc=build, mode="cpu", cpu_cores=1) as session:
        yield Runner(session, tmp_path_factory.mktemp("dense"))
