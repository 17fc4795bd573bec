"""The FFT core on both simulators."""

import pytest

from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.core import FFTCore
from cosoc.gateware.verilog import to_verilog
from tests.gateware.harness import SIMULATORS, simulate


@pytest.fixture(scope="module")
def small():
    return to_verilog(FFTCore(FFTConfig(max_log2=5)), name="fft5")


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_small_core(small, simulator):
    simulate(small, name="fft5", module="tests.gateware.fft.bench_core", simulator=simulator, seed=1, env={"MAX_LOG2": "5"})
