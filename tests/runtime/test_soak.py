"""The soak test of `scons soak`, for some seconds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_short_soak(build: Path) -> None:
    environment = os.environ | {"COSOC_SOAK_SECONDS": "8"}
    done = subprocess.run(
        [build / "bin" / "test-runtime", "[.soak]"], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout
    assert "results checked" in done.stdout
