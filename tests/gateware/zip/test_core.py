"""The ZIP core in both simulators."""

from __future__ import annotations

import pytest

from cosoc.gateware.zip.config import ZIPConfig
from cosoc.gateware.zip.core import ZIPCore
from tests.gateware.harness import SIMULATORS, simulate


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("lanes", [1, 2])
def test_core(simulator: str, lanes: int) -> None:
    simulate(
        ZIPCore(ZIPConfig(lanes=lanes)),
        name=f"zip_core_{lanes}",
        module="tests.gateware.zip.bench_core",
        simulator=simulator,
        seed=lanes,
        env={"LANES": str(lanes)},
        timeout_s=500,
    )
