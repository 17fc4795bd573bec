"""DMA readers, DMA writers and the arbiter against an independent model of memory."""

import pytest

from tests.gateware.bus.dma_system import DMASystem
from tests.gateware.harness import SIMULATORS, simulate


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_dma(simulator):
    simulate(DMASystem(), name="dma_system", module="tests.gateware.bus.bench_dma", simulator=simulator, seed=21)
