"""The ZIP core in both simulators, and its peripheral."""

from __future__ import annotations

import json

import pytest

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.peripheral.verilog import peripheral_verilog
from cosoc.gateware.zip.config import ZIPConfig
from cosoc.gateware.zip.core import ZIPCore
from tests.gateware.harness import SIMULATORS, simulate

CONFIGS = {
    "one_lane": {"lanes": 1},
    "two_ports": {"lanes": 4, "memory_ports": 2},
    "int16": {"lanes": 2, "number_format": 1},
}

QUICK = "operations_and_lengths/stall=1|second_operands/stall=1|that_touch.*/stall=0|mixed.*/stall=2|cycles_of_a_command"
"""Tests of configurations and of a simulator that are not the first; a filter also runs what would be skipped."""


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("name", CONFIGS)
def test_core(simulator: str, name: str) -> None:
    if (simulator, name) == ("icarus", "two_ports"):
        pytest.skip("the largest configuration takes Icarus minutes; the others have its modules")
    config = CONFIGS[name]
    quick = QUICK if "memory_ports" in config else f"{QUICK}|cycles_of_what"
    some = {} if (simulator, name) == ("verilator", "one_lane") else {"COCOTB_TEST_FILTER": quick}
    simulate(
        ZIPCore(ZIPConfig(**config)),
        name=f"zip_core_{name}",
        module="tests.gateware.zip.bench_core",
        simulator=simulator,
        seed=1,
        env={"ZIP_CONFIG": json.dumps(config), **some},
        timeout_s=500,
    )


def test_peripheral() -> None:
    """With registers, ring and DMA around it; soft resets, and memory that refuses."""
    (accelerator,) = (item for item in ACCELERATORS if item.name == "zip")
    verilog = peripheral_verilog(accelerator, ZIPConfig(lanes=1))
    module = "tests.gateware.zip.bench_peripheral"
    simulate(verilog, name=f"cosoc_{accelerator.module}", module=module, simulator="verilator", seed=2, timeout_s=300)
