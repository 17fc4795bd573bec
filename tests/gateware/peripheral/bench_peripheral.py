"""cocotb tests of a whole peripheral around the copying core."""

from __future__ import annotations

import random

import cocotb

from cosoc.gateware.layout.page import ID_PREFIX, VERSION, Error
from tests.gateware.copy_core import COPY
from tests.gateware.harness import STALLS
from tests.gateware.peripheral_bench import PeripheralBench, seed

RING = 0x2000


def copy(source: int, target: int, length: int, **more: int) -> dict[str, int]:
    return {"in_address": source, "out_address": target, "length": length, **more}


async def begin(dut, *, stall="never", slots_log2=3, **kwargs) -> PeripheralBench:
    bench = PeripheralBench(dut, COPY, stall=stall, seed=seed())
    bench.memory.data[:] = random.Random(seed()).randbytes(len(bench.memory.data))
    await bench.start()
    await bench.set_up_ring(base=RING, slots_log2=slots_log2, **kwargs)
    return bench


@cocotb.test()
async def identifies_itself(dut):
    bench = await begin(dut)
    assert await bench.read("id") == ID_PREFIX | 200
    assert await bench.read("version") == VERSION
    assert [await bench.read(f"capability{i}") for i in range(3)] == [1, 0, 0]


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def copies_around_the_ring(dut, stall):
    """Several commands at once, more than the ring has slots; every byte of memory is as it should be."""
    rng = random.Random(seed())
    bench = await begin(dut, stall=stall, slots_log2=2)
    expected = bytearray(bench.memory.data)
    for round_index in range(3):
        await bench.write("burst_beats", rng.choice([1, 3, 16, 256]))
        commands = []
        for index in range(4):
            length = rng.choice([1, 15, 16, 17, 64, 300, 700])
            source = 0x8000 + rng.choice([0xFF0, 0xF80, 16 * rng.randrange(256)])
            target = 0x10000 + 0x1000 * (4 * round_index + index) + rng.choice([0xFF0, 0xF80, 0])
            expected[target : target + length] = expected[source : source + length]
            commands.append(copy(source, target, length, tag=rng.randrange(1 << 16)))
        completions = await bench.run(commands)
        for command, completion in zip(commands, completions, strict=True):
            assert completion["error"] == Error.NONE
            assert completion["tag"] == command["tag"]
            assert 0 < completion["cycles"] < 20_000
    assert bench.memory.data[0x8000:] == expected[0x8000:]
    assert await bench.read("ring_head") == 12
    assert bench.monitor.quiet
