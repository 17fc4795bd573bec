"""cocotb tests of the register file, on a map with one register of each kind."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import FallingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from tests.gateware.axi_monitor import stall_channels
from tests.gateware.harness import CLOCK_NS, STALLS, start
from tests.gateware.peripheral_bench import seed


class Bench:
    """The bus, and what the hardware sees."""

    def __init__(self, dut, stall):
        self.dut = dut
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
        stall_channels((self.master.write_if, self.master.read_if), stall, seed())
        for interface in (self.master.write_if, self.master.read_if):
            interface.log.setLevel("ERROR")
        self.written = 0
        dut.clear.value = 0
        dut.state__value.value = 0
        dut.events__set.value = 0

    async def start(self):
        await start(self.dut)
        cocotb.start_soon(self._count())

    async def _count(self):
        while True:
            await FallingEdge(self.dut.clk)
            self.written += int(self.dut.setting__written.value)

    async def read(self, address):
        answer = await with_timeout(self.master.read(address, 4), 2000 * CLOCK_NS, "ns")
        assert answer.resp == 0
        return int.from_bytes(answer.data, "little")

    async def write(self, address, data: bytes):
        answer = await with_timeout(self.master.write(address, data), 2000 * CLOCK_NS, "ns")
        assert answer.resp == 0


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def random_accesses(dut, stall):
    """Against a dictionary, with writes of single bytes and halves."""
    rng = random.Random(seed())
    bench = Bench(dut, stall)
    await bench.start()
    setting, option, writes = 0x1234, 0, 0
    for _ in range(40):
        state = rng.getrandbits(32)
        dut.state__value.value = state
        address = rng.choice([0x04, 0x08])
        size = rng.choice([1, 2, 4])
        offset = rng.randrange(0, 5 - size)
        value = rng.getrandbits(8 * size)
        await bench.write(address + offset, value.to_bytes(size, "little"))
        mask = ((1 << 8 * size) - 1) << 8 * offset
        if address == 0x04:
            setting = setting & ~mask | value << 8 * offset
            writes += 1
        else:
            option = (option & ~mask | value << 8 * offset) & 0b110001
        assert await bench.read(0x00) == state
        assert await bench.read(0x04) == setting == dut.setting__value.value
        assert await bench.read(0x08) == option == dut.option__value.value
        assert bench.written == writes, "`written` must be high for one cycle of each write"


@cocotb.test()
async def read_only_and_unmapped(dut):
    bench = Bench(dut, "never")
    await bench.start()
    dut.state__value.value = 77
    for address in (0x00, 0x10, 0x20, 0xFC):
        await bench.write(address, b"\xff" * 4)
    assert await bench.read(0x00) == 77
    assert [await bench.read(address) for address in (0x10, 0x20, 0xFC)] == [0, 0, 0]
    assert await bench.read(0x04) == 0x1234
    assert await bench.read(0x08) == 0


@cocotb.test()
async def write_one_to_clear(dut):
    bench = Bench(dut, "never")
    await bench.start()
    for bit in (0, 1, 4):
        dut.events__set.value = 1 << bit
        await FallingEdge(dut.clk)
    dut.events__set.value = 0
    assert await bench.read(0x0C) == 0b10011
    await bench.write(0x0C, (0b00010).to_bytes(4, "little"))
    assert await bench.read(0x0C) == 0b10001
    await bench.write(0x0D, b"\xff")
    assert await bench.read(0x0C) == 0b10001, "a byte that was not strobed was cleared"
    dut.events__set.value = 0b10000
    await bench.write(0x0C, b"\xff" * 4)
    assert await bench.read(0x0C) == 0b10000, "setting wins over clearing"
    dut.events__set.value = 0
    await bench.write(0x0C, b"\xff" * 4)
    assert await bench.read(0x0C) == 0


@cocotb.test()
async def clear_restores_reset_values(dut):
    bench = Bench(dut, "never")
    await bench.start()
    await bench.write(0x04, b"\x55" * 4)
    await bench.write(0x08, b"\xff" * 4)
    dut.events__set.value = 3
    await FallingEdge(dut.clk)
    dut.events__set.value = 0
    dut.clear.value = 1
    await FallingEdge(dut.clk)
    dut.clear.value = 0
    assert [await bench.read(address) for address in (0x04, 0x08, 0x0C)] == [0x1234, 0, 0]
