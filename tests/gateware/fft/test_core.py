"""The FFT core on both simulators: larger ones in Verilator, a small one, with fewer commands, in Icarus."""

import json

import pytest

from cosoc.gateware.fft.config import FFTConfig
from cosoc.gateware.fft.core import FFTCore
from cosoc.gateware.fft.cycles import command_cycles
from tests.gateware.fft.commands import command
from tests.gateware.harness import simulate

BENCH = "tests.gateware.fft.bench_core"

QUICK = "transforms|special/log2_length=5|mixed_queue/stall=1|refusal|reset_in_flight"
"""The tests that Icarus, a hundred times slower, has time for."""

CONFIGS = {
    "p1": {"max_log2": 7, "real_input": 1},
    "p2": {"max_log2": 8, "samples": 2, "multiply": 1},
    "p4": {"max_log2": 6, "samples": 4, "number_format": 1, "real_input": 1, "multiply": 1, "memory_ports": 2},
}


def run(name, config, simulator, seed, **environment):
    simulate(
        FFTCore(FFTConfig(**config)),
        name=f"fft_core_{name}",
        module=BENCH,
        simulator=simulator,
        seed=seed,
        env={"FFT_CONFIG": json.dumps(config), **environment},
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_verilator(name):
    run(name, CONFIGS[name], "verilator", seed=1)


def test_icarus():
    run("p1_5", {"max_log2": 5}, "icarus", seed=2, COCOTB_TEST_FILTER=QUICK)


def test_long_commands_take_one_cycle_per_sample():
    """What the benches measure as cycles, for the default core: the share of the fill in a command of many frames."""
    assert 64 * 256 / command_cycles(command(0, 8, 64), FFTConfig()) >= 0.95
