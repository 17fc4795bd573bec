"""Every accelerator of the list inside its peripheral."""

import pytest

from cosoc.gateware.accelerators import ACCELERATORS
from cosoc.gateware.peripheral.verilog import peripheral_verilog
from tests.gateware.harness import simulate
from tests.gateware.peripheral.smallest import smallest


@pytest.mark.parametrize("accelerator", ACCELERATORS, ids=lambda item: item.name)
def test_accelerator(accelerator):
    simulate(
        peripheral_verilog(accelerator, smallest(accelerator)),
        name=f"cosoc_{accelerator.module}",
        module="tests.gateware.peripheral.bench_identity",
        simulator="icarus",
        seed=41,
        env={"ACCELERATOR": accelerator.name},
    )
