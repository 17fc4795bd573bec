"""The whole peripheral, with a small core."""

import pytest

from cosoc.gateware.peripheral.verilog import peripheral_verilog
from tests.gateware.harness import SIMULATORS, simulate
from tests.gateware.peripheral.copy_accelerator import COPY_ACCELERATOR, COPY_CONFIG


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_peripheral(simulator):
    simulate(
        peripheral_verilog(COPY_ACCELERATOR, COPY_CONFIG),
        name="cosoc_copy",
        module="tests.gateware.peripheral.bench_peripheral",
        simulator=simulator,
        seed=11,
    )
