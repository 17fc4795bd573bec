"""The FFT core on both simulators: a larger one in Verilator, a small one, with fewer commands, in Icarus."""

from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.core import FFTCore
from cosoc.gateware.fft.cycles import command_cycles
from tests.gateware.harness import simulate

BENCH = "tests.gateware.fft.bench_core"

QUICK = "transforms|special/log2_length=5|mixed_queue/stall=1|refusal|reset_in_flight"
"""The tests that Icarus, a hundred times slower, has time for."""


def test_verilator():
    simulate(FFTCore(FFTConfig(max_log2=8)), name="fft_core_8", module=BENCH, simulator="verilator", seed=1, env={"MAX_LOG2": "8"})


def test_icarus():
    environment = {"MAX_LOG2": "5", "COCOTB_TEST_FILTER": QUICK}
    simulate(FFTCore(FFTConfig(max_log2=5)), name="fft_core_5", module=BENCH, simulator="icarus", seed=2, env=environment)


def test_long_commands_take_one_cycle_per_sample():
    """What the benches measure as cycles, for the default core: the share of the fill in a command of many frames."""
    fields = {"opcode": 0, "log2_length": 8, "frames": 64, "in_address": 0, "out_address": 0}
    assert 64 * 256 / command_cycles(fields, FFTConfig()) >= 0.95
