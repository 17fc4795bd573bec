"""The register file."""

import pytest

from cosoc.gateware.layout.registers import Access, Register, RegisterField, RegisterMap
from cosoc.gateware.peripheral.registers import RegisterFile
from tests.gateware.harness import SIMULATORS, simulate

MAP = RegisterMap(
    (
        Register("state", 0x00, Access.READ_ONLY, "from the hardware"),
        Register("setting", 0x04, Access.READ_WRITE, "all bits", reset=0x1234),
        Register("option", 0x08, Access.READ_WRITE, "some bits", (RegisterField("on", 0, 1, ""), RegisterField("mode", 4, 2, ""))),
        Register("events", 0x0C, Access.WRITE_ONE_TO_CLEAR, "reasons"),
    )
)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_registers(simulator):
    simulate(
        RegisterFile(MAP, address_bits=8),
        name="register_file",
        module="tests.gateware.peripheral.bench_registers",
        simulator=simulator,
        seed=31,
    )
