"""The FIR core: one size in each simulator."""

from __future__ import annotations

import json

import pytest

from cosoc.gateware.fir.config import FIRConfig
from cosoc.gateware.fir.core import FIRCore
from tests.gateware.harness import SIMULATORS, simulate

CONFIGS = {"8": {"multipliers": 8, "max_taps": 128}, "2": {"multipliers": 2, "max_taps": 64}}


@pytest.mark.parametrize(("size", "simulator"), list(zip(CONFIGS, SIMULATORS, strict=True)))
def test_core(size: str, simulator: str) -> None:
    simulate(
        FIRCore(FIRConfig(**CONFIGS[size])),
        name=f"fir_core_{size}",
        module="tests.gateware.fir.bench_core",
        simulator=simulator,
        seed=11,
        env={"FIR_CONFIG": json.dumps(CONFIGS[size])},
    )
