"""cocotb tests of the FFT core against its golden model; the environment's MAX_LOG2 tells which core is under test."""

from __future__ import annotations

import os
import random

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from cosoc.gateware.fft.config import COMMAND, MIN_LOG2, FFTConfig, FFTOperation
from cosoc.gateware.fft.cycles import command_cycles
from cosoc.gateware.fft.golden import execute
from cosoc.gateware.layout.page import Error
from tests.gateware.core_bench import CoreBench
from tests.gateware.fft.signals import special_values, white_noise
from tests.gateware.harness import STALLS, little_endian, start

CONFIG = FFTConfig(max_log2=int(os.environ.get("MAX_LOG2", "5")))
LENGTHS = range(MIN_LOG2, CONFIG.max_log2 + 1)
OPERATIONS = list(FFTOperation)
MEMORY_BYTES = 1 << 16


async def run(dut, *batches, memory, stall="never", clock_runs=False):
    """Runs batches of commands on the core and on the golden model; everything must be equal, all of memory included.

    Returns the cycles that each batch took.
    """
    expected = bytearray(memory)
    bench = CoreBench(dut, COMMAND, readers=1, writers=1, memory=memory, stall=stall, seed=cocotb.RANDOM_SEED)
    if not clock_runs:
        await bench.start()
    cycles = []
    for commands in batches:
        errors = [execute(fields, expected, CONFIG) for fields in commands]
        assert await bench.run(commands) == errors
        different = np.flatnonzero(np.frombuffer(memory, "<u4") != np.frombuffer(expected, "<u4"))
        assert different.size == 0, f"{different.size} words differ, the first at {4 * different[0]:#x}"
        cycles.append(bench.cycles)
    return cycles


def command(operation, log2_length, frames, source, target):
    return {
        "opcode": operation,
        "log2_length": log2_length,
        "frames": frames,
        "in_address": source,
        "out_address": target,
    }


def memory_of(samples):
    """A memory that begins with these samples; random bytes follow."""
    memory = bytearray(random.Random(1).randbytes(MEMORY_BYTES))
    content = np.ascontiguousarray(samples, dtype=np.complex64).tobytes()
    memory[: len(content)] = content
    return memory


@cocotb.test()
@cocotb.parametrize(log2_length=LENGTHS, operation=OPERATIONS)
async def transforms(dut, log2_length, operation):
    """Several frames of white noise, the cycle model, and the rate of one sample per cycle."""
    frames = 5 if log2_length < 8 else 2
    one, several = (command(operation, log2_length, count, 0, MEMORY_BYTES // 2) for count in (1, frames))
    samples = white_noise(np.random.default_rng(cocotb.RANDOM_SEED), frames << log2_length)
    cycles = await run(dut, [one], [several], memory=memory_of(samples))
    assert cycles == [command_cycles(one, CONFIG), command_cycles(several, CONFIG)]
    assert cycles[1] - cycles[0] == (frames - 1) << log2_length


@cocotb.test()
@cocotb.parametrize(log2_length=LENGTHS, operation=OPERATIONS)
async def special(dut, log2_length, operation):
    """Infinities, NaN, subnormal numbers, the largest and smallest numbers and signed zeros."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    frames = min(8, 2048 >> log2_length)
    samples = special_values(rng, frames, 1 << log2_length)
    await run(dut, [command(operation, log2_length, frames, 0, MEMORY_BYTES // 2)], memory=memory_of(samples))


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def mixed_queue(dut, stall):
    """Commands of all lengths and both directions in a queue, refused ones between them, under stalls."""
    rng = random.Random(cocotb.RANDOM_SEED)
    commands = []
    for _ in range(12):
        log2_length = rng.choice([n for n in LENGTHS if n <= 7])
        frames = rng.randint(1, max(1, 64 >> log2_length))
        good = command(rng.choice(OPERATIONS), log2_length, frames, 16 * rng.randrange(512), 16 * rng.randrange(1024, 2048))
        commands += [good] * rng.randint(1, 2)
        if rng.random() < 0.5:
            commands.append(good | rng.choice(REFUSED)[0])
    samples = white_noise(np.random.default_rng(cocotb.RANDOM_SEED), 2048)
    await run(dut, commands, memory=memory_of(samples), stall=stall)


REFUSED = [
    ({"opcode": 2}, Error.BAD_OPCODE),
    ({"opcode": 255, "log2_length": 0, "in_address": 1}, Error.BAD_OPCODE),
    ({"log2_length": MIN_LOG2 - 1}, Error.BAD_LENGTH),
    ({"log2_length": CONFIG.max_log2 + 1}, Error.BAD_LENGTH),
    ({"log2_length": 32 + MIN_LOG2}, Error.BAD_LENGTH),
    ({"frames": 0}, Error.BAD_LENGTH),
    ({"log2_length": MIN_LOG2, "frames": 1 << 26}, Error.BAD_LENGTH),
    ({"log2_length": CONFIG.max_log2, "frames": 1 << 29 - CONFIG.max_log2}, Error.BAD_LENGTH),
    ({"frames": 0xFFFFFFFF, "out_address": 8}, Error.BAD_LENGTH),
    ({"in_address": 8}, Error.MISALIGNED),
    ({"out_address": MEMORY_BYTES // 2 + 1}, Error.MISALIGNED),
]
"""Changes to a good command, and the error that each makes."""


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def refused(dut, stall):
    """Every bad command is refused, and the good ones around it are executed."""
    good = command(FFTOperation.FORWARD, MIN_LOG2, 2, 0, MEMORY_BYTES // 2)
    commands, expected = [good], [Error.NONE]
    for change, error in REFUSED:
        commands += [good | change, good]
        expected += [error, Error.NONE]
    assert [execute(fields, bytearray(MEMORY_BYTES), CONFIG) for fields in commands] == expected
    samples = white_noise(np.random.default_rng(cocotb.RANDOM_SEED), 64)
    await run(dut, commands, memory=memory_of(samples), stall=stall)


@cocotb.test()
async def refusal_cycles(dut):
    fields = command(FFTOperation.FORWARD, MIN_LOG2, 0, 0, 0)
    assert await run(dut, [fields], memory=memory_of([])) == [command_cycles(fields, CONFIG)]


@cocotb.test()
@cocotb.parametrize(stall=list(STALLS))
async def in_place(dut, stall):
    """Output over input, for many frames."""
    samples = white_noise(np.random.default_rng(cocotb.RANDOM_SEED), 32 << MIN_LOG2 + 1)
    commands = [command(operation, MIN_LOG2 + n, 32, 0, 0) for n, operation in ((0, 0), (0, 0), (1, 1))]
    await run(dut, commands, memory=memory_of(samples), stall=stall)


@cocotb.test()
@cocotb.parametrize(stall=["never", "random"])
async def chained(dut, stall):
    """Each command reads what those before it wrote: wholly, only the first beat, only the last beat."""
    samples = white_noise(np.random.default_rng(cocotb.RANDOM_SEED), 64)
    size = 2 * 8 << MIN_LOG2
    sources_and_targets = [
        (0, 4096),
        (4096, 8192),
        (4096 + size - 16, 12288),
        (12288 - size + 16, 16384),
        (12288 + size, 20480),
    ]
    commands = [command(FFTOperation.FORWARD, MIN_LOG2, 2, source, target) for source, target in sources_and_targets]
    await run(dut, commands, memory=memory_of(samples), stall=stall)


@cocotb.test()
async def commands_without_gap(dut):
    """Commands of one length and direction follow each other at one sample per cycle."""
    single = command(FFTOperation.INVERSE, CONFIG.max_log2, 1, 0, MEMORY_BYTES // 2)
    memory = memory_of(white_noise(np.random.default_rng(cocotb.RANDOM_SEED), 1 << CONFIG.max_log2))
    cycles = await run(dut, [single] * 4, memory=memory)
    assert cycles == [command_cycles(single, CONFIG) + (3 << CONFIG.max_log2)]


@cocotb.test()
@cocotb.parametrize(cycles=[20, 77, 150])
async def reset_in_flight(dut, cycles):
    """A reset while frames are in the pipeline, the reorder buffer and the queues leaves nothing behind."""
    await start(dut)
    words = COMMAND.encode(command(FFTOperation.INVERSE, MIN_LOG2, 100, 0, 0))
    dut.command__payload.value = int.from_bytes(little_endian(words, 4), "little")
    dut.read__0__data__payload.value = random.Random(cocotb.RANDOM_SEED).getrandbits(128)
    dut.completion__ready.value = 0
    dut.write__0__done__valid.value = 0
    streams = [dut.command__valid, dut.read__0__data__valid, dut.read__0__request__ready]
    streams += [dut.write__0__request__ready, dut.write__0__data__ready]
    for offered in (1, 0):
        for handle in streams:
            handle.value = offered
        dut.rst.value = 1 - offered
        await ClockCycles(dut.clk, cycles if offered else 2, RisingEdge)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    samples = white_noise(np.random.default_rng(cocotb.RANDOM_SEED), 4 << MIN_LOG2)
    fields = command(FFTOperation.FORWARD, MIN_LOG2, 4, 0, MEMORY_BYTES // 2)
    assert await run(dut, [fields], memory=memory_of(samples), clock_runs=True) == [command_cycles(fields, CONFIG)]
