"""cocotb tests of ZIP inside its peripheral: commands through the ring, soft resets, memory that answers with errors."""

from __future__ import annotations

import random

import cocotb
import numpy as np

from cosoc.gateware.layout.page import Error
from cosoc.gateware.zip import golden
from cosoc.gateware.zip.config import COMMAND, ZIPConfig, ZIPOperation
from tests.gateware.peripheral_bench import PeripheralBench, seed

CONFIG = ZIPConfig(lanes=1)
RING, FIRST, RESULTS, END = 0x1000, 0x2000, 0x8000, 0x10000

Commands = list[dict[str, int]]


async def begin(dut, stall: str) -> PeripheralBench:
    bench = PeripheralBench(dut, COMMAND, memory_bytes=END, stall=stall, seed=seed())
    numbers = np.random.default_rng(seed()).standard_normal(END // 4).astype("<f4")
    bench.memory.data[:] = numbers.tobytes()
    await bench.start()
    return bench


def commands(rng: random.Random, count: int) -> Commands:
    """Of any operation and second operand; each has its own place for results."""
    found = []
    for index in range(count):
        operation = rng.choice(list(ZIPOperation))
        period = rng.choice([0, 2, 8])
        addresses = {f"{name}_address": FIRST + 16 * rng.randrange(1000) for name in "abc"}
        length = rng.randint(8, 90)
        found.append(
            {"opcode": operation, "length": length, "b_length": period, "out_address": RESULTS + 0x400 * index, **addresses}
        )
    return found


async def run(bench: PeripheralBench, work: Commands) -> list[int]:
    """Runs commands with a fresh ring; results must be those of the golden model. Returns the errors."""
    expected = bytearray(bench.memory.data)
    for command in work:
        golden.execute(COMMAND.decode(COMMAND.encode(command)), expected, CONFIG)
    await bench.set_up_ring(base=RING, slots_log2=4)
    completions = await bench.run(work)
    assert bench.memory.data[FIRST:] == expected[FIRST:]
    return [completion["error"] for completion in completions]


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def commands_through_the_ring(dut, stall):
    bench = await begin(dut, stall)
    assert await run(bench, commands(random.Random(seed()), 14)) == [Error.NONE] * 14
    assert bench.monitor.quiet


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def soft_reset_in_mid_transfer(dut, stall):
    """At any moment of ten commands; nothing of them is left, and the next ones are right."""
    rng = random.Random(seed())
    bench = await begin(dut, stall)
    for _ in range(6):
        await bench.set_up_ring(base=RING, slots_log2=4)
        bench.place(commands(rng, 10))
        await bench.ring()
        await bench.wait(rng.randint(30, 900))
        await bench.soft_reset()
        assert bench.monitor.quiet
        assert await bench.read("status") == 0
    assert await run(bench, commands(rng, 6)) == [Error.NONE] * 6


@cocotb.test()
async def errors_of_memory(dut):
    """A command whose operand or result lies outside the window or cannot be read fails alone."""
    bench = await begin(dut, "never")
    await bench.set_up_ring(base=RING, slots_log2=4)
    await bench.write64("window_limit", END - 1)
    good, unreadable, outside, unwritable, last = work = commands(random.Random(seed()), 5)
    unreadable |= {"opcode": ZIPOperation.MULTIPLY_ADD, "c_address": 0x6000}
    outside |= {"opcode": ZIPOperation.DIV, "b_address": END, "b_length": 0}
    unwritable |= {"out_address": END - 16}
    for command in (good, last):
        command |= {f"{name}_address": 0x3000 for name in "abc"}
    bench.memory.bad.add(0x6010)
    errors = [completion["error"] for completion in await bench.run(work)]
    assert errors == [Error.NONE, Error.READ_RESPONSE, Error.OUTSIDE_WINDOW, Error.OUTSIDE_WINDOW, Error.NONE]
