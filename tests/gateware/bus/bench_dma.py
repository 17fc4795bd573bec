"""cocotb tests of the DMA readers and writers and of what is between them and the bus, of any width."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import AxiBus, AxiSlave

from cosoc.gateware.bus.bursts import ErrorReport
from cosoc.gateware.bus.width import longest_burst
from cosoc.gateware.layout.page import Error
from cosoc.gateware.peripheral.core import Transfer
from tests.gateware.axi_monitor import AXIMonitor, stall_channels
from tests.gateware.bus.dma_system import READERS, WRITERS
from tests.gateware.harness import STALLS, StreamSink, StreamSource, start, wait_until
from tests.gateware.peripheral_bench import Memory, seed

SIZE = 1 << 17
BURSTS = [1, 2, 7, 16, 64]


class Bench:
    """Sources and sinks on every port, and a memory on the bus; when `stuck`, the core of reader 0 takes nothing."""

    def __init__(self, dut, *, bus_stall: str, core_stall: str, burst_beats: int, stuck: bool = False):
        self.dut = dut
        self.rng = random.Random(f"{seed()} {bus_stall} {core_stall} {burst_beats}")
        self.memory = Memory(SIZE)
        self.memory.data[:] = self.rng.randbytes(SIZE)
        self.parts = parts_of_beat(dut)
        self.monitor = AXIMonitor(
            dut,
            "m_axi_",
            dut.clk,
            dut.rst,
            active=1,
            word_bytes=16 // self.parts,
            max_beats=self.parts * burst_beats,
            max_outstanding=64,
        )
        slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi_"), dut.clk, dut.rst, target=self.memory)
        stall_channels((slave.write_if, slave.read_if), bus_stall, seed())
        for interface in (slave.write_if, slave.read_if):
            interface.log.setLevel("ERROR")
        dut.window__base.value = 0
        dut.window__limit.value = (1 << 64) - 1
        dut.window__burst_beats.value = burst_beats
        dut.stop.value = 0
        common = {"stall": core_stall, "seed": seed()}
        self.read_requests = [StreamSource(dut, f"read__{i}__request", dut.clk, **common) for i in range(READERS)]
        self.read_data = [
            StreamSink(dut, f"read__{i}__data", dut.clk, may_take=lambda i=i: not (stuck and i == 0), **common)
            for i in range(READERS)
        ]
        self.write_requests = [StreamSource(dut, f"write__{i}__request", dut.clk, **common) for i in range(WRITERS)]
        self.write_data = [StreamSource(dut, f"write__{i}__data", dut.clk, **common) for i in range(WRITERS)]
        self.done = [0] * WRITERS
        self.reports: list[tuple[int, int, int]] = []
        cocotb.start_soon(self._watch())

    async def _watch(self):
        """Counts `done` tokens, and gathers reports as (port, sequence, error), when the clock edge takes them."""
        while True:
            await RisingEdge(self.dut.clk)
            for i in range(WRITERS):
                self.done[i] += int(getattr(self.dut, f"write__{i}__done__valid").value)
            for i in range(READERS + WRITERS):
                value = getattr(self.dut, f"report__{i}").value
                report = ErrorReport.from_bits(int(value if value.is_resolvable else value.resolve("zeros")))
                if report.valid:
                    self.reports.append((i, report.sequence, report.error))

    def read(self, port, address, length, sequence=0) -> list[bytes]:
        """Asks for a transfer; returns the bytes of the beats that must come."""
        self.read_requests[port].send(transfer(address, length, sequence))
        data = self.memory.data[address : address + length]
        return [bytes(data[i : i + 16]) for i in range(0, len(data), 16)]

    def write(self, port, address, data: bytes, sequence=0):
        """Asks for a transfer and queues its data, with random bytes above the length."""
        self.write_requests[port].send(transfer(address, len(data), sequence))
        padded = data + self.rng.randbytes(-len(data) % 16)
        self.write_data[port].send(*(int.from_bytes(padded[i : i + 16], "little") for i in range(0, len(padded), 16)))

    async def moved(self, beats, done, *, cycles) -> int:
        """Waits until each reader has given so many beats and each writer so many `done`; returns the cycles."""
        return await wait_until(
            self.dut.clk,
            lambda: [len(sink.received) for sink in self.read_data] == beats and self.done == done,
            cycles=cycles,
            what=f"{beats} beats read and {done} transfers written",
        )


def parts_of_beat(dut) -> int:
    """Beats of the bus that carry 16 bytes."""
    return 128 // len(dut.m_axi__wdata)


def transfer(address: int, length: int, sequence: int) -> int:
    return Transfer.const({"address": address, "length": length, "sequence": sequence}).as_bits()


def same(beats: list[int], expected: list[bytes]) -> bool:
    """Beats against bytes; those above the length of the last beat are unspecified."""
    return len(beats) == len(expected) and all(
        beat.to_bytes(16, "little")[: len(wanted)] == wanted for beat, wanted in zip(beats, expected, strict=True)
    )


def near_a_boundary(rng: random.Random) -> int:
    """An offset into 16 KB, often one that makes bursts meet a 4 KB boundary."""
    return rng.choice([0, 0x10, 0xFF0, 0xFE0, 0x1F00, 0x2FF0, 16 * rng.randrange(1024)])


@cocotb.test()
@cocotb.parametrize(
    (
        ("bus_stall", "core_stall"),
        [("never", "random"), ("random", "random"), ("random", "mostly"), ("mostly", "never"), ("alternating", "never")],
    )
)
async def moves_everything(dut, bus_stall, core_stall):
    """All ports at once, random transfers: every byte is right, and no other byte changes."""
    longest = longest_burst(len(dut.m_axi__wdata))
    burst_beats = random.Random(f"{seed()} {bus_stall} {core_stall}").choice([*BURSTS, longest])
    bench = Bench(dut, bus_stall=bus_stall, core_stall=core_stall, burst_beats=burst_beats)
    await start(dut)
    rng = bench.rng
    expected = bytearray(bench.memory.data)
    wanted = [[] for _ in range(READERS)]
    for port in range(READERS):
        for _ in range(6):
            length = rng.choice([1, 15, 16, 17, 32, 200, 600])
            wanted[port] += bench.read(port, 0x4000 * port + near_a_boundary(rng), length)
    for port in range(WRITERS):
        for index in range(6):
            # Each into a page of its own or two, so that the order between ports does not matter.
            address = 0x8000 + 0x8000 * port + 0x1000 * index + rng.choice([0, 0x10, 0xFF0 - 0x300])
            data = rng.randbytes(rng.choice([1, 15, 16, 17, 32, 200, 600]))
            expected[address : address + len(data)] = data
            bench.write(port, address, data)
    await bench.moved([len(beats) for beats in wanted], [6, 6], cycles=20_000)
    for sink, beats in zip(bench.read_data, wanted, strict=True):
        assert same(sink.received, beats)
    assert bench.memory.data == expected
    assert bench.reports == []
    await FallingEdge(dut.clk)
    assert dut.idle.value == (1 << READERS + WRITERS) - 1
    assert bench.monitor.quiet


@cocotb.test()
@cocotb.parametrize(length=[16 * 300, 16])
async def sustains_one_beat_of_the_bus_per_cycle(dut, length):
    """Long transfers, and short ones back to back, when memory allows; the limit leaves room for latencies."""
    bench = Bench(dut, bus_stall="never", core_stall="never", burst_beats=16)
    await start(dut)
    count = 16 * 300 // length
    wanted = []
    for index in range(count):
        wanted += bench.read(0, index * length, length)
        bench.write(0, 0x10000 + index * length, bench.rng.randbytes(length))
    passed = await bench.moved([300, 0], [count, 0], cycles=3000)
    assert same(bench.read_data[0].received, wanted)
    limit = 300 * bench.parts + 60 if length > 16 else 1000 * bench.parts
    assert passed <= limit, f"300 beats of 16 bytes each way in {passed} cycles"


@cocotb.test()
async def a_slow_core_blocks_nobody(dut):
    """Reader 0's core takes nothing and writer 0's core sends nothing; the others go on."""
    bench = Bench(dut, bus_stall="random", core_stall="never", burst_beats=16, stuck=True)
    await start(dut)
    bench.read(0, 0, 16 * 1000)
    bench.write_requests[0].send(transfer(0x8000, 16 * 100, 0))
    wanted = bench.read(1, 0x1000, 16 * 200)
    data = bench.rng.randbytes(16 * 200)
    bench.write(1, 0x10000, data)
    await bench.moved([0, 200], [0, 1], cycles=5000)
    assert same(bench.read_data[1].received, wanted)
    assert bench.memory.data[0x10000 : 0x10000 + len(data)] == data


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def errors_are_reported(dut, stall):
    """Zeros and swallowed data between good transfers, and a report with the right sequence."""
    bench = Bench(dut, bus_stall=stall, core_stall=stall, burst_beats=16)
    await start(dut)
    dut.window__base.value = 0x1000
    dut.window__limit.value = 0xFFFF
    bench.memory.bad |= {0x3010, 0xA020}
    before = bytes(bench.memory.data)
    good = bench.read(0, 0x1000, 40, 1)
    wanted = [*good, bytes(16), bytes(16)]
    bench.read_requests[0].send(transfer(0xFF0, 32, 2), transfer(0x1004, 16, 3), transfer(0x3000, 48, 4))
    wanted += [bytes(16), before[0x3000:0x3010], bytes(16), before[0x3020:0x3030]]
    wanted += bench.read(0, 0xFFF0, 16, 5)
    for sequence, (address, length) in enumerate([(0x8000, 33), (0x1_0000, 64), (0x8008, 16), (0xA000, 64), (0x9000, 17)]):
        bench.write(0, address, bytes([sequence + 1]) * length, sequence)
    await bench.moved([len(wanted), 0], [5, 0], cycles=5000)
    assert same(bench.read_data[0].received, wanted)
    assert [report for report in bench.reports if report[0] == 0] == [
        (0, 2, Error.OUTSIDE_WINDOW),
        (0, 2, Error.OUTSIDE_WINDOW),
        (0, 3, Error.MISALIGNED),
        (0, 4, Error.READ_RESPONSE),
    ]
    assert [report for report in bench.reports if report[0] == 2] == [
        (2, 1, Error.OUTSIDE_WINDOW),
        (2, 2, Error.MISALIGNED),
        (2, 3, Error.WRITE_RESPONSE),
    ]
    data = bench.memory.data
    assert data[0x8000:0x8021] == b"\1" * 33
    assert data[0x9000:0x9011] == b"\5" * 17
    assert data[0x8021:0x9000] == before[0x8021:0x9000]
    assert data[0x10000:] == before[0x10000:]


@cocotb.test()
@cocotb.parametrize(stall=["never", "random", "mostly"])
async def stops_between_bursts(dut, stall):
    """After `stop` the bursts on the bus end and no other begins; then everything goes on as if nothing had been."""
    bench = Bench(dut, bus_stall=stall, core_stall="random", burst_beats=8)
    await start(dut)
    wanted = bench.read(0, 0x1000, 16 * 120)
    data = bench.rng.randbytes(16 * 120)
    bench.write(1, 0x8000, data)
    for _ in range(4):
        for _ in range(bench.rng.randrange(10, 60)):
            await FallingEdge(dut.clk)
        dut.stop.value = 1
        await wait_until(dut.clk, lambda: dut.idle.value == 15, cycles=3000, what="idle")
        assert bench.monitor.quiet
        bursts = len(bench.monitor.bursts)
        for _ in range(20):
            await FallingEdge(dut.clk)
        assert len(bench.monitor.bursts) == bursts
        dut.stop.value = 0
    await bench.moved([120, 0], [0, 1], cycles=5000)
    assert same(bench.read_data[0].received, wanted)
    assert bench.memory.data[0x8000 : 0x8000 + len(data)] == data
