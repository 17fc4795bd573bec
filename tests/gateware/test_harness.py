"""The harness runs benches on both simulators, and a bench that fails or has no test is an error."""

import pytest
from amaranth import Module
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from cosoc.gateware.verilog import to_verilog
from tests.gateware.harness import SIMULATORS, SimulationError, simulate


class Queue(wiring.Component):
    """A FIFO behind a pair of streams."""

    write: In(stream.Signature(8))
    read: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=8, depth=3)
        wiring.connect(m, wiring.flipped(self.write), queue.w_stream)
        wiring.connect(m, queue.r_stream, wiring.flipped(self.read))
        return m


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_streams(simulator):
    simulate(Queue(), name="queue", module="tests.gateware.bench_harness", simulator=simulator, seed=3)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_failures_are_named(simulator):
    with pytest.raises(SimulationError, match="failed: passes_everything"):
        simulate(Queue(), name="queue", module="tests.gateware.bench_harness", simulator=simulator, seed=3, env={"EXPECT": "61"})


def test_a_bench_without_tests_is_an_error():
    with pytest.raises(SimulationError):
        simulate(Queue(), name="queue", module="tests.gateware.harness", simulator="icarus", seed=3)


def test_verilog_is_deterministic_and_its_names_are_prefixed():
    text = to_verilog(Queue(), name="queue")
    assert text == to_verilog(Queue(), name="queue")
    modules = [line.split("(")[0].split()[1] for line in text.splitlines() if line.startswith("module ")]
    assert modules == ["queue", "queue__queue"]
