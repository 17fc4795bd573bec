"""DMA readers, DMA writers, the arbiter and the width converter against an independent model of memory."""

import pytest

from tests.gateware.bus.dma_system import DMASystem
from tests.gateware.harness import SIMULATORS, simulate


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("port_bits", [128, 64, 32])
def test_dma(port_bits, simulator):
    simulate(DMASystem(port_bits), name="dma_system", module="tests.gateware.bus.bench_dma", simulator=simulator, seed=21)
