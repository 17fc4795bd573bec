"""cocotb tests of a peripheral with two managers, each of which sees a memory of its own."""

from __future__ import annotations

import random

import cocotb

from cosoc.gateware.layout.page import Error
from tests.gateware.harness import STALLS
from tests.gateware.pair_core import MANAGER_OF_PORT, PAIR, PairOperation, pattern
from tests.gateware.peripheral_bench import Memory, PeripheralBench, seed

RING = 0x2000
SOURCE, TARGET = 0x8000, 0x20000


class Bench(PeripheralBench):
    """Two memories: `memories[0]` behind `m_axi`, `memories[1]` behind `m_axi1`."""

    def __init__(self, dut, *, stall: str = "never") -> None:
        super().__init__(dut, PAIR, stall=stall, seed=seed())
        self.memories = (self.memory, Memory(len(self.memory.data)))
        self.monitors = (self.monitor, self.attach("m_axi1", self.memories[1], stall, seed() + 1))
        rng = random.Random(seed())
        for memory in self.memories:
            memory.data[:] = rng.randbytes(len(memory.data))


async def begin(dut, *, stall: str = "never") -> Bench:
    bench = Bench(dut, stall=stall)
    await bench.start()
    await bench.set_up_ring(base=RING, slots_log2=3)
    return bench


def command(operation: PairOperation, beats: int, source: int = SOURCE, target: int = TARGET) -> dict[str, int]:
    return {"opcode": operation, "beats": beats, "in_address": source, "out_address": target}


def move(bench: Bench, expected: tuple[bytearray, bytearray], values: dict[str, int]) -> None:
    """Does to `expected` what a command does to the memories: port p is on manager `MANAGER_OF_PORT[p]`."""
    size = 16 * values["beats"]
    for port, manager in enumerate(MANAGER_OF_PORT):
        source, target = values["in_address"] + port * size, values["out_address"] + port * size
        if values["opcode"] == PairOperation.COPY:
            expected[manager][target : target + size] = expected[manager][source : source + size]
        elif values["opcode"] == PairOperation.WRITE:
            expected[manager][target : target + size] = b"".join(pattern(port, beat) for beat in range(values["beats"]))


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def ports_reach_the_memory_of_their_manager(dut, stall):
    """Every byte of both memories is as it should be; counters have the beats of both."""
    rng = random.Random(seed())
    bench = await begin(dut, stall=stall)
    expected = (bytearray(bench.memories[0].data), bytearray(bench.memories[1].data))
    commands = [
        command(operation, beats, SOURCE + 16 * rng.randrange(300), TARGET + 0x1000 * index + 16 * rng.randrange(40))
        for index, (operation, beats) in enumerate(
            (operation, beats) for beats in (1, 17, 40) for operation in (PairOperation.COPY, PairOperation.WRITE)
        )
    ]
    commands.append(command(PairOperation.READ, 33))
    for values in commands:
        move(bench, expected, values)
    completions = await bench.run(commands)
    assert [completion["error"] for completion in completions] == [Error.NONE] * len(commands)
    for memory, content in zip(bench.memories, expected, strict=True):
        assert memory.data[SOURCE:] == content[SOURCE:]
    assert await bench.read64("beats_read") == 2 * (1 + 17 + 40 + 33)
    assert await bench.read64("beats_written") == 2 * 2 * (1 + 17 + 40)
    assert all(monitor.quiet for monitor in bench.monitors)


@cocotb.test()
async def only_manager_0_carries_the_ring(dut):
    bench = await begin(dut)
    bench.memories[1].bad |= set(range(0, SOURCE, 16))
    completions = await bench.run([command(PairOperation.COPY, 3)] * 8)
    assert [completion["error"] for completion in completions] == [Error.NONE] * 8


@cocotb.test()
@cocotb.parametrize(manager=[0, 1])
async def errors_of_both_managers_reach_the_command(dut, manager):
    bench = await begin(dut)
    port = MANAGER_OF_PORT.index(manager)
    bench.memories[manager].bad |= {SOURCE + port * 16 * 20 + 32, TARGET + 0x2000 + port * 16 * 20 + 16}
    read = command(PairOperation.READ, 20)
    completions = await bench.run([read, command(PairOperation.WRITE, 20, target=TARGET + 0x2000), read | {"in_address": 0x10000}])
    assert [completion["error"] for completion in completions] == [Error.READ_RESPONSE, Error.WRITE_RESPONSE, Error.NONE]


@cocotb.test()
async def the_window_bounds_both_managers(dut):
    bench = await begin(dut)
    await bench.write64("window_base", SOURCE)
    await bench.write64("window_limit", SOURCE + 0xFFF)
    inside = command(PairOperation.READ, 128)
    completions = await bench.run([inside, inside | {"in_address": SOURCE + 16}, inside | {"in_address": SOURCE - 16}])
    outside = [Error.NONE, Error.OUTSIDE_WINDOW, Error.OUTSIDE_WINDOW]
    assert [completion["error"] for completion in completions] == outside


@cocotb.test()
async def soft_reset_waits_for_both_managers(dut):
    """In the middle of transfers, at several times: no burst is left open, and the next command works."""
    rng = random.Random(seed())
    bench = await begin(dut, stall="random")
    for _ in range(6):
        bench.place([command(PairOperation.COPY, 200)] * 2)
        await bench.ring()
        await bench.wait(rng.randrange(20, 700))
        await bench.soft_reset()
        assert all(monitor.quiet for monitor in bench.monitors)
        await bench.set_up_ring(base=RING, slots_log2=3)
        expected = (bytearray(bench.memories[0].data), bytearray(bench.memories[1].data))
        values = command(PairOperation.COPY, rng.randrange(1, 50), target=0x30000)
        move(bench, expected, values)
        assert [completion["error"] for completion in await bench.run([values])] == [Error.NONE]
        for memory, content in zip(bench.memories, expected, strict=True):
            assert memory.data[SOURCE:] == content[SOURCE:]
