"""What all tests share: the build under test, and the mark of slow tests.

`scons test` names the build in COSOC_BUILD; a test that needs it takes the fixture `build`. Tests marked `slow` run in
`scons test-full`, which sets COSOC_FULL.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: runs in `scons test-full` only")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("COSOC_FULL"):
        return
    skip = pytest.mark.skip(reason="slow: runs in `scons test-full`")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def build() -> Path:
    """Folder of the build for board=sim with one accelerator of each kind."""
    folder = Path(os.environ.get("COSOC_BUILD", ROOT / "build" / "sim-c2d1-fft1-zip1"))
    if not (folder / "soc.json").is_file():
        pytest.fail(f"there is no build in {folder}; make it with `./dev scons`")
    return folder
