"""Peripherals with two managers."""

import gc

import pytest

from cosoc.gateware.peripheral.core import CoreSignature
from cosoc.gateware.peripheral.verilog import peripheral_verilog
from tests.gateware.harness import SIMULATORS, simulate
from tests.gateware.peripheral.pair_accelerator import PAIR_ACCELERATOR, PAIR_CONFIG, PairConfig


@pytest.mark.parametrize(
    ("port_bits", "simulator"), [*((PAIR_CONFIG.memory_port_bits, name) for name in SIMULATORS), (64, "icarus"), (32, "verilator")]
)
def test_two_managers(port_bits, simulator):
    simulate(
        peripheral_verilog(PAIR_ACCELERATOR, PairConfig(memory_port_bits=port_bits)),
        name="cosoc_pair",
        module="tests.gateware.peripheral.bench_managers",
        simulator=simulator,
        seed=12,
    )


def test_signature_tells_the_managers():
    assert CoreSignature(readers=2, writers=1).managers == 1
    assert CoreSignature(readers=2, writers=1).reader_managers == (0, 0)
    assert CoreSignature(readers=2, writers=2, reader_managers=[0, 1], writer_managers=[1, 0]).managers == 2


@pytest.mark.parametrize(
    ("managers", "message"),
    [
        ({"reader_managers": [0, 2]}, r"managers \[0, 2\] of 2 read ports; expected one of 0\.\.1 for each port"),
        ({"writer_managers": [0]}, r"managers \[0\] of 2 write ports"),
        ({"reader_managers": [0, 1]}, "manager 1 needs a read port and a write port, or neither"),
    ],
)
def test_signature_refuses(managers, message):
    with pytest.raises(ValueError, match=message):
        CoreSignature(readers=2, writers=2, **managers)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_announced_managers_are_those_of_the_core():
    with pytest.raises(ValueError, match="the core of Pair has 2 managers, not 1 as announced"):
        peripheral_verilog(PAIR_ACCELERATOR, PairConfig(memory_ports=1))
    # Amaranth warns when a component that was never used is collected.
    gc.collect()
