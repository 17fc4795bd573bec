"""cocotb tests of the Conv2D core against the golden model: bit-exact memory and equal error codes.

The environment variable CONFIG holds the parameters of the core.
"""

from __future__ import annotations

import json
import os

import cocotb

from cosoc.gateware.conv2d.config import COMMAND, Conv2DConfig, Conv2DFlag
from tests.gateware.conv2d.tiles import Memory
from tests.gateware.core_bench import CoreBench

CONFIG = Conv2DConfig(**json.loads(os.environ["CONFIG"]))

KERNELS = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (1, 7), (5, 2), (1, 3)]


def make_bench(dut, memory: Memory, stall: str = "never") -> CoreBench:
    return CoreBench(dut, COMMAND, readers=2, writers=1, memory=memory.data, stall=stall, seed=cocotb.RANDOM_SEED)


async def check(dut, memory: Memory, commands: list[dict[str, int]], stall: str = "never") -> CoreBench:
    """Runs the commands as one queue and compares everything."""
    expected_errors, expected = memory.expect(commands)
    bench = make_bench(dut, memory, stall)
    await bench.start()
    errors = await bench.run(commands)
    assert errors == expected_errors
    differing = [i for i, (a, b) in enumerate(zip(memory.data, expected, strict=True)) if a != b]
    assert not differing, f"{len(differing)} bytes differ, the first at {differing[0]:#x}; commands: {commands}"
    return bench


@cocotb.test()
async def kernels(dut):
    """Every kernel, on tiles that it fits and on smaller ones."""
    memory = Memory(CONFIG, cocotb.RANDOM_SEED)
    commands = [memory.command(kernel=kernel, padding=(kernel[0] // 2, kernel[1] // 2), size=(5, 6)) for kernel in KERNELS]
    commands += [memory.command(kernel=kernel, padding=(3, 2), size=(2, 3), out_size=(3, 4)) for kernel in ((7, 7), (6, 5))]
    await check(dut, memory, commands)
