"""`CoreBench` passes a good core and names the fault of a bad one."""

import pytest

from tests.gateware.copy_core import CopyCore
from tests.gateware.harness import SIMULATORS, SimulationError, simulate

MODULE = "tests.gateware.bench_core_bench"


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_good_core_passes(simulator):
    simulate(CopyCore(), name="copy_core", module=MODULE, simulator=simulator, seed=5)


@pytest.mark.parametrize(
    ("case", "message"), [("misaligned", "0x8, which is not a multiple of 16"), ("outside", "leaves the memory")]
)
def test_a_bad_transfer_is_named(case, message):
    with pytest.raises(SimulationError, match=message):
        simulate(CopyCore(), name="copy_core", module=MODULE, simulator="icarus", seed=5, env={"CASE": case})


def test_a_completion_before_the_data_is_in_memory_is_named():
    with pytest.raises(SimulationError, match="completed with unfinished transfers"):
        simulate(CopyCore(completes_early=True), name="hasty_core", module=MODULE, simulator="icarus", seed=5)
