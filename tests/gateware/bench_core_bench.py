"""cocotb tests of `CoreBench`, on a core that copies and on cores with one fault each."""

from __future__ import annotations

import os
import random

import cocotb

from cosoc.gateware.layout.page import Error
from tests.gateware.copy_core import COPY
from tests.gateware.core_bench import CoreBench
from tests.gateware.harness import STALLS


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def copies(dut, stall):
    rng = random.Random(cocotb.RANDOM_SEED)
    memory = bytearray(rng.randbytes(4096))
    expected = bytearray(memory)
    bench = CoreBench(dut, COPY, readers=1, writers=1, memory=memory, stall=stall, seed=cocotb.RANDOM_SEED)
    await bench.start()
    # CASE names the one fault that a test of this bench asks for.
    extra = {"misaligned": {"in_address": 8, "length": 16}, "outside": {"in_address": 4080, "length": 17}}
    commands = [{"opcode": 1, "length": 16}, {"length": 0}]
    for length in (1, 16, 33, 200):
        source, target = 16 * rng.randrange(64), 2048 + 16 * rng.randrange(64)
        expected[target : target + length] = expected[source : source + length]
        commands.append({"length": length, "in_address": source, "out_address": target})
    if case := os.environ.get("CASE"):
        commands.append(extra[case])
    errors = await bench.run(commands, cycles=5000)
    assert errors == [Error.BAD_OPCODE, Error.BAD_LENGTH, 0, 0, 0, 0]
    assert memory == expected
    assert bench.beats_read == bench.beats_written == 1 + 1 + 3 + 13
